using System.Collections.Immutable;
using RedisFailover.Shared;
using RedisFailover.ZooKeeper;

namespace RedisFailover.Monitor.Options;

/// <summary>How the log is written.</summary>
internal enum LogFormat
{
    /// <summary>One line of text an event, for people.</summary>
    Text,

    /// <summary>One JSON object an event, for programs.</summary>
    Json,
}

/// <summary>What the monitor was told to do; made by <see cref="OptionBinder"/>. Defaults and ranges: <see cref="Settings"/>.</summary>
internal sealed record MonitorOptions
{
    /// <summary>Before any setting is applied; no monitor runs with it.</summary>
    internal static MonitorOptions Nothing { get; } = new()
    {
        Nodes = [],
        NeverPromote = [],
    };

    /// <summary>The Redis nodes, in the operator's order. At least one, none twice.</summary>
    internal ImmutableArray<NodeAddress> Nodes { get; init; }

    /// <summary>The ZooKeeper ensemble.</summary>
    internal ZooKeeperConnectionString ZooKeeper { get; init; } = null!;

    /// <summary>The root of this cluster's znodes.</summary>
    internal string ZnodePath { get; init; } = "";

    /// <summary>The cluster's name: the last part of its path in ZooKeeper, unless it was given one.</summary>
    internal string Name { get => field ?? ZnodePath[(ZnodePath.LastIndexOf('/') + 1)..]; init; }

    /// <summary>The clusters of this process, each with all that holds for it; this one alone, unless several were given.</summary>
    internal ImmutableArray<MonitorOptions> Clusters { get => field.IsDefault ? FindsClusters ? [] : [this] : field; init; }

    /// <summary>Whether the clusters are those that stand below <see cref="ZnodePath"/>, and come and go while the process runs.</summary>
    internal bool FindsClusters { get; init; }

    /// <summary>Whether the process may have several clusters.</summary>
    internal bool HasMany => FindsClusters || !ReferenceEquals(Clusters[0], this);

    /// <summary>Redis' ACL user; null: the default user.</summary>
    internal string? Username { get; init; }

    /// <summary>Redis' password; null: none. Never logged.</summary>
    internal string? Password { get; init; }

    /// <summary>Where the password was read from; null: nowhere.</summary>
    internal string? PasswordFile { get; init; }

    /// <summary>Consecutive failures that make a node unavailable.</summary>
    internal int MaxFailures { get; init; }

    /// <summary>The time in which a probe has to be answered.</summary>
    internal TimeSpan ProbeTimeout { get; init; }

    /// <summary>The session time-out that is asked of ZooKeeper, which clamps it to 2 to 20 of its ticks.</summary>
    internal TimeSpan SessionTimeout { get; init; }

    /// <summary>How the monitors' views become one verdict.</summary>
    internal NodeStrategy NodeStrategy { get; init; }

    /// <summary>Which of several replicas with equally much data is promoted.</summary>
    internal FailoverStrategy FailoverStrategy { get; init; }

    /// <summary>With fewer live monitors nothing is decided.</summary>
    internal int RequiredMonitors { get; init; }

    /// <summary>How long a switchover may hold writes before it is undone.</summary>
    internal TimeSpan SwitchoverTimeout { get; init; }

    /// <summary>What is done for writes that clients were told are safe.</summary>
    internal WriteSafetyMode WriteSafety { get; init; }

    /// <summary>K of WAIT K: on how many replicas a write is before it counts as safe.</summary>
    internal int WriteQuorum { get; init; }

    /// <summary>With write safety, after how many seconds a master that is cut off refuses writes.</summary>
    internal int WriteMaxLag { get; init; }

    /// <summary>How long a node may load its data set until it counts as unavailable.</summary>
    internal TimeSpan LoadingTimeout { get; init; }

    /// <summary>How long a master may refuse writes because it cannot save until it is replaced.</summary>
    internal TimeSpan MisconfTimeout { get; init; }

    /// <summary>How long a leader's lease holds after its last renewal was sent.</summary>
    internal TimeSpan Lease { get; init; }

    /// <summary>
    /// How long a master may answer BUSY, hold its writes (a FAILOVER or CLIENT PAUSE of somebody), or take no new connection, until it is
    /// replaced.
    /// </summary>
    internal TimeSpan BusyTimeout { get; init; }

    /// <summary>A replica whose data are older is not offered for reads.</summary>
    internal TimeSpan MaxReplicaStaleness { get; init; }

    /// <summary>After so long without its monitor a registration is forgotten.</summary>
    internal TimeSpan MonitorAbsence { get; init; }

    /// <summary>How long after an election missing registered monitors are waited for.</summary>
    internal TimeSpan? RegistrationWait { get; init; }

    /// <summary>Among replicas with equally much data those that have answered for so long come first.</summary>
    internal TimeSpan StableTime { get; init; }

    /// <summary>At least so long between two failovers.</summary>
    internal TimeSpan FailoverInterval { get; init; }

    /// <summary>A replica that is known to miss more bytes of the lost master's stream is not promoted.</summary>
    internal long MaxLag { get; init; }

    /// <summary>The nodes that are never promoted; each of them one of <see cref="Nodes"/>.</summary>
    internal ImmutableArray<NodeAddress> NeverPromote { get; init; }

    /// <summary>Where HTTP is answered; null: nowhere.</summary>
    internal Uri? Http { get; init; }

    /// <summary>What HTTP asks for before it answers; null: nothing. Never logged.</summary>
    internal SecretFile? HttpToken { get; init; }

    /// <summary>The certificate of HTTPS; null: plain HTTP.</summary>
    internal TlsFiles? HttpTls { get; init; }

    /// <summary>How the log is written.</summary>
    internal LogFormat LogFormat { get; init; }

    /// <summary>The least important level that is logged.</summary>
    internal Serilog.Events.LogEventLevel LogLevel { get; init; }

    /// <summary>The monitor's name in znodes and logs.</summary>
    internal string Id { get; init; } = "";

    /// <summary>What they were read from.</summary>
    internal IReadOnlyDictionary<string, GivenOption> Given { get; init; } =
        System.Collections.Immutable.ImmutableDictionary<string, GivenOption>.Empty;

    /// <summary>Secrets, certificates and rights.</summary>
    internal SecuritySettings Security { get; init; } = new();

    /// <summary>These options with what holds for all monitors of the cluster in place of what this monitor's own sources say.</summary>
    /// <exception cref="OptionException">A setting is unknown, wrong, or does not go with another.</exception>
    internal MonitorOptions Under(ClusterConfig config)
    {
        // The security of this monitor stays as it is: a file that is just being replaced must not make the cluster's settings wrong.
        Dictionary<string, GivenOption> given = Given.Where(g => !OptionSources.Secret.Contains(g.Key))
            .ToDictionary(g => g.Key, g => g.Value, StringComparer.Ordinal);
        foreach ((string name, string value) in config.Settings)
        {
            given[name] = Settings.Find(name) is { IsLive: true } setting && setting.Name == name
                ? new GivenOption(name, value, "the cluster's configuration")
                : throw new OptionException(
                    $"{name} is no setting that can be changed for all monitors; allowed: "
                        + $"{string.Join(", ", Settings.All.Where(s => s.IsLive).Select(s => s.Name))}");
        }

        if (!config.Nodes.IsEmpty)
        {
            given["nodes"] = new GivenOption("nodes", string.Join(',', config.Nodes.Select(n => n.Node)), "the cluster's configuration");
            given.Remove("never-promote");
        }

        return new OptionBinder(given).Bind() with { Name = Name, Security = Security };
    }

    /// <summary>
    /// Whether a monitor that runs with the one has nothing to begin anew for the other. What holds for the whole process takes effect
    /// when that is restarted.
    /// </summary>
    internal bool IsSameClusterAs(MonitorOptions other)
        => Given.Keys.Concat(other.Given.Keys).Where(name => Settings.Find(name) is { IsOfOneCluster: true })
            .All(name => Given.GetValueOrDefault(name)?.Value == other.Given.GetValueOrDefault(name)?.Value);

    /// <summary>Why a configuration of the cluster cannot hold here, in one line; null where it can.</summary>
    internal string? FaultOf(ClusterConfig config)
    {
        try
        {
            Under(config);
            return null;
        }
        catch (OptionException e)
        {
            return e.Message;
        }
    }

    /// <summary>What the decider goes by.</summary>
    internal FailoverPolicy Policy => new()
    {
        Nodes = Nodes,
        MaxFailures = MaxFailures,
        ProbeTimeout = ProbeTimeout,
        NodeStrategy = NodeStrategy,
        FailoverStrategy = FailoverStrategy,
        RequiredMonitors = RequiredMonitors,
        SwitchoverTimeout = SwitchoverTimeout,
        WriteSafety = WriteSafety,
        WriteQuorum = WriteQuorum,
        WriteMaxLag = WriteMaxLag,
        LoadingTimeout = LoadingTimeout,
        MisconfTimeout = MisconfTimeout,
        BusyTimeout = BusyTimeout,
        MaxReplicaStaleness = MaxReplicaStaleness,
        MonitorAbsence = MonitorAbsence,
        RegistrationWait = RegistrationWait ?? (2 * SessionTimeout),
        StableTime = StableTime,
        FailoverInterval = FailoverInterval,
        MaxLag = MaxLag,
        NeverPromote = NeverPromote,
        ViewLifetime = SessionTimeout,
        PauseLimit = SwitchoverTimeout + (2 * SessionTimeout) + TimeSpan.FromSeconds(2),
    };

    /// <summary>Without the password.</summary>
    public override string ToString()
        => HasMany
            ? $"{(FindsClusters ? "the clusters" : $"clusters {string.Join(',', Clusters.Select(c => c.Name))}")} below {ZnodePath}, "
                + $"ZooKeeper {ZooKeeper}"
            : $"nodes {string.Join(',', Nodes)}; ZooKeeper {ZooKeeper}{ZnodePath}";

    /// <summary>What decides when a master is lost, and what may be promoted then.</summary>
    internal string Rules
        => $"write-safety {WriteSafety.ToString().ToLowerInvariant()}, node-strategy {NodeStrategy.ToString().ToLowerInvariant()}, "
            + $"silence is judged after {MaxFailures} x {ProbeTimeout.TotalMilliseconds:0} ms";
}
