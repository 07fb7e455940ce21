using System.Collections.Immutable;
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

/// <summary>What the monitor was told to do; validated by <see cref="OptionBinder"/>.</summary>
internal sealed record MonitorOptions
{
    /// <summary>The Redis nodes, in the operator's order. At least one, none twice.</summary>
    internal required ImmutableArray<NodeAddress> Nodes { get; init; }

    /// <summary>The ZooKeeper ensemble.</summary>
    internal required ZooKeeperConnectionString ZooKeeper { get; init; }

    /// <summary>The root of this cluster's znodes. Default "/redis_failover".</summary>
    internal string ZnodePath { get; init; } = ZnodePaths.DefaultRoot;

    /// <summary>Redis' ACL user; null: the default user.</summary>
    internal string? Username { get; init; }

    /// <summary>Redis' password; null: none. Never logged.</summary>
    internal string? Password { get; init; }

    /// <summary>Consecutive failures that make a node unavailable. Default 3, 1 to 100.</summary>
    internal int MaxFailures { get; init; } = 3;

    /// <summary>The time in which a probe has to be answered. Default 1000 ms, 10 ms to 60 s.</summary>
    internal TimeSpan ProbeTimeout { get; init; } = TimeSpan.FromMilliseconds(1000);

    /// <summary>The session time-out that is asked of ZooKeeper, which clamps it to 2 to 20 of its ticks. Default 4000 ms, 100 ms to 10 min.</summary>
    internal TimeSpan SessionTimeout { get; init; } = TimeSpan.FromMilliseconds(4000);

    /// <summary>How the monitors' views become one verdict. Default majority.</summary>
    internal NodeStrategy NodeStrategy { get; init; }

    /// <summary>Which of several replicas with equally much data is promoted. Default offset.</summary>
    internal FailoverStrategy FailoverStrategy { get; init; }

    /// <summary>With fewer live monitors nothing is decided. Default 1, 1 to 100.</summary>
    internal int RequiredMonitors { get; init; } = 1;

    /// <summary>How long a switchover may hold writes before it is undone. Default 2000 ms, 100 ms to 60 s.</summary>
    internal TimeSpan SwitchoverTimeout { get; init; } = TimeSpan.FromMilliseconds(2000);

    /// <summary>What is done for writes that clients were told are safe. Default none.</summary>
    internal WriteSafetyMode WriteSafety { get; init; }

    /// <summary>K of WAIT K: on how many replicas a write is before it counts as safe. Default 1, 1 to 100.</summary>
    internal int WriteQuorum { get; init; } = 1;

    /// <summary>With write safety, after how many seconds a master that is cut off refuses writes. Default 5, 1 to 600.</summary>
    internal int WriteMaxLag { get; init; } = 5;

    /// <summary>How long a node may load its data set until it counts as unavailable. Default 5000 ms, 0 to 1 h.</summary>
    internal TimeSpan LoadingTimeout { get; init; } = TimeSpan.FromMilliseconds(5000);

    /// <summary>How long a master may refuse writes because it cannot save until it is replaced. Default 15000 ms, 0 to 1 h.</summary>
    internal TimeSpan MisconfTimeout { get; init; } = TimeSpan.FromMilliseconds(15_000);

    /// <summary>How long a leader's lease holds after its last renewal was sent. Default 500 ms, 100 ms to half of the session time-out.</summary>
    internal TimeSpan Lease { get; init; } = TimeSpan.FromMilliseconds(500);

    /// <summary>How long a master may answer BUSY (a script that does not end) until it is replaced. Default 15000 ms, 0 to 1 h.</summary>
    internal TimeSpan BusyTimeout { get; init; } = TimeSpan.FromMilliseconds(15_000);

    /// <summary>A replica whose link has been down for longer is not offered for reads. Default 10000 ms, 0 (always offered) to 1 h.</summary>
    internal TimeSpan MaxReplicaStaleness { get; init; } = TimeSpan.FromMilliseconds(10_000);

    /// <summary>After so long without its monitor a registration is forgotten. Default 24 h, 1 min to 365 days.</summary>
    internal TimeSpan MonitorAbsence { get; init; } = TimeSpan.FromHours(24);

    /// <summary>How long after an election missing registered monitors are waited for. Default null: two session time-outs.</summary>
    internal TimeSpan? RegistrationWait { get; init; }

    /// <summary>Among replicas with equally much data those that have answered for so long come first. Default 30000 ms, 0 to 1 h.</summary>
    internal TimeSpan StableTime { get; init; } = TimeSpan.FromMilliseconds(30_000);

    /// <summary>At least so long between two failovers. Default 0 (no waiting), to 1 h.</summary>
    internal TimeSpan FailoverInterval { get; init; }

    /// <summary>A replica that is known to miss more bytes of the lost master's stream is not promoted. Default 64 MiB, 0 to 1 TiB.</summary>
    internal long MaxLag { get; init; } = 64 * 1024 * 1024;

    /// <summary>The nodes that are never promoted; each of them one of <see cref="Nodes"/>. Default none.</summary>
    internal ImmutableArray<NodeAddress> NeverPromote { get; init; } = [];

    /// <summary>Where HTTP is answered; null: nowhere.</summary>
    internal Uri? Http { get; init; }

    /// <summary>How the log is written. Default text.</summary>
    internal LogFormat LogFormat { get; init; }

    /// <summary>The least important level that is logged. Default information.</summary>
    internal Serilog.Events.LogEventLevel LogLevel { get; init; } = Serilog.Events.LogEventLevel.Information;

    /// <summary>The monitor's name in znodes and logs. Default: host name and process id.</summary>
    internal required string Id { get; init; }

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
        => $"write-safety {WriteSafety.ToString().ToLowerInvariant()}, nodes {string.Join(',', Nodes)}, ZooKeeper {ZooKeeper}, znodes below {ZnodePath}, node-strategy {NodeStrategy.ToString().ToLowerInvariant()}, "
            + $"silence is judged after {MaxFailures} x {ProbeTimeout.TotalMilliseconds:0} ms";
}
