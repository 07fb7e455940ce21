using System.Collections.Immutable;

namespace RedisFailover;

/// <summary>How the monitors' views of a node become one verdict. The names are redis_failover's.</summary>
internal enum NodeStrategy
{
    /// <summary>Unavailable when more than half of the live monitors say so; a tie means available.</summary>
    Majority,

    /// <summary>Unavailable when all live monitors say so.</summary>
    Consensus,

    /// <summary>Unavailable when a single monitor says so.</summary>
#pragma warning disable CA1720 // redis_failover's name for it.
    Single,
#pragma warning restore CA1720
}

/// <summary>
/// Which of several replicas with equally much data is promoted. One that is behind is never preferred to one that is not; then come those
/// that most monitors reach and that would take writes, those whose data the others can read, and those that are back for stable-time.
/// </summary>
internal enum FailoverStrategy
{
    /// <summary>Then by replica-priority, latency, address.</summary>
    Offset,

    /// <summary>Then by latency, replica-priority, address.</summary>
    Latency,
}

/// <summary>What is done for writes that clients were told are safe.</summary>
internal enum WriteSafetyMode
{
    /// <summary>Nothing: the best replica that answers is promoted, min-replicas-to-write is the operator's.</summary>
    None,

    /// <summary>A failover waits for the nodes that may hold such writes, and a master that is cut off stops taking writes.</summary>
    Replicated,
}

/// <summary>What the decider goes by; the same for all monitors of a cluster.</summary>
internal sealed record FailoverPolicy
{
    /// <summary>
    /// The configured nodes, in the order of the configuration: on a first start with empty nodes the first becomes master.
    /// </summary>
    public required ImmutableArray<NodeAddress> Nodes { get; init; }

    /// <summary>Consecutive failures that make a node unavailable for a monitor. Default 3, at least 1.</summary>
    public int MaxFailures { get; init; } = 3;

    /// <summary>The time in which a probe has to be answered. Default 1 s.</summary>
    public TimeSpan ProbeTimeout { get; init; } = TimeSpan.FromSeconds(1);

    /// <summary>How the views become a verdict. Default majority.</summary>
    public NodeStrategy NodeStrategy { get; init; }

    /// <summary>How a candidate is chosen among equals. Default offset.</summary>
    public FailoverStrategy FailoverStrategy { get; init; }

    /// <summary>With fewer live monitors nothing is decided. Default 1, at least 1.</summary>
    public int RequiredMonitors { get; init; } = 1;

    /// <summary>How long a planned switchover may hold writes before it is undone. Default 2 s.</summary>
    public TimeSpan SwitchoverTimeout { get; init; } = TimeSpan.FromSeconds(2);

    /// <summary>
    /// How long a switchover's pause lasts on the old master if nobody lifts it. Longer than it takes another monitor to take over
    /// in the middle, so that the old master cannot take writes beside a promoted one. Default 15 s.
    /// </summary>
    public TimeSpan PauseLimit { get; init; } = TimeSpan.FromSeconds(15);

    /// <summary>What is done for acknowledged writes. Default none.</summary>
    public WriteSafetyMode WriteSafety { get; init; }

    /// <summary>K of <c>WAIT K</c>: on how many replicas a write is before it counts as safe. Default 1, at least 1.</summary>
    public int WriteQuorum { get; init; } = 1;

    /// <summary>min-replicas-max-lag, in seconds: after so long a master that is cut off refuses writes. Default 5, at least 1.</summary>
    public int WriteMaxLag { get; init; } = 5;

    /// <summary>How long a node may load its data set until that counts as unavailable. Default 5 s.</summary>
    public TimeSpan LoadingTimeout { get; init; } = TimeSpan.FromSeconds(5);

    /// <summary>How long a master may refuse writes because it cannot save (MISCONF) until it is replaced. Default 15 s.</summary>
    public TimeSpan MisconfTimeout { get; init; } = TimeSpan.FromSeconds(15);

    /// <summary>
    /// How long a master may answer BUSY, hold its writes (a FAILOVER or CLIENT PAUSE of somebody), or take no new connection, until it is
    /// replaced. Default 15 s.
    /// </summary>
    public TimeSpan BusyTimeout { get; init; } = TimeSpan.FromSeconds(15);

    /// <summary>
    /// A replica whose data are older (its link is down, or it applies too slowly) is not offered for reads. Default 10 s; 0: always
    /// offered.
    /// </summary>
    public TimeSpan MaxReplicaStaleness { get; init; } = TimeSpan.FromSeconds(10);

    /// <summary>After so long without its monitor a registration is forgotten. Default 24 h.</summary>
    public TimeSpan MonitorAbsence { get; init; } = TimeSpan.FromHours(24);

    /// <summary>
    /// How long after an election registered monitors that are missing are waited for. Default 8 s: two session time-outs.
    /// </summary>
    public TimeSpan RegistrationWait { get; init; } = TimeSpan.FromSeconds(8);

    /// <summary>
    /// Of replicas with equally much data one that has answered without a break for so long is preferred: a node that dies and
    /// returns every few seconds is not made master while another will do. Default 30 s.
    /// </summary>
    public TimeSpan StableTime { get; init; } = TimeSpan.FromSeconds(30);

    /// <summary>
    /// At least so long between two failovers; a master that is lost earlier is waited for. Default 0: every loss is answered at once.
    /// </summary>
    public TimeSpan FailoverInterval { get; init; } = TimeSpan.Zero;

    /// <summary>A replica that is known to miss more bytes of the lost master's stream is not promoted. Default 64 MiB.</summary>
    public long MaxLag { get; init; } = 64 * 1024 * 1024;

    /// <summary>The nodes that are never promoted, whatever they hold. Default none.</summary>
    public ImmutableArray<NodeAddress> NeverPromote { get; init; } = [];

    /// <summary>The nodes that clients do not read from while they are replicas. Default none.</summary>
    public ImmutableArray<NodeAddress> NeverRead { get; init; } = [];

    /// <summary>Where nodes stand, by the operator's word. Default none.</summary>
    public ImmutableSortedDictionary<NodeAddress, string> Zones { get; init; } = ImmutableSortedDictionary<NodeAddress, string>.Empty;

    /// <summary>In place of nodes' own replica-priority. Default none.</summary>
    public ImmutableSortedDictionary<NodeAddress, int> Priorities { get; init; } = ImmutableSortedDictionary<NodeAddress, int>.Empty;

    /// <summary>
    /// Whether <see cref="Nodes"/> are those of <c>R/config</c>, which all monitors share. Default false: of this monitor's own file.
    /// </summary>
    public bool NodesAreShared { get; init; }

    /// <summary>The nodes and tags of <c>R/config</c> in place of the file's, where it has any.</summary>
    public FailoverPolicy With(ClusterConfig? config)
        => config is not { Nodes: { IsEmpty: false } nodes } ? this : this with
        {
            Nodes = [.. nodes.Select(n => n.Node)],
            NeverPromote = [.. nodes.Where(n => n.NeverPromote).Select(n => n.Node)],
            NeverRead = [.. nodes.Where(n => n.NeverRead).Select(n => n.Node)],
            Zones = nodes.Where(n => n.Zone is not null).ToImmutableSortedDictionary(n => n.Node, n => n.Zone!),
            Priorities = nodes.Where(n => n.Priority is not null).ToImmutableSortedDictionary(n => n.Node, n => n.Priority!.Value),
            NodesAreShared = true,
        };

    /// <summary>The priority of a node: the operator's word, or else its own replica-priority.</summary>
    internal int PriorityOf(NodeAddress node, int own) => Priorities.TryGetValue(node, out int priority) ? priority : own;

    /// <summary>
    /// How long after a master was restarted with less than it had the nodes are waited for that do not answer yet, and may have it: what
    /// it takes to judge a silent node, or to load a data set.
    /// </summary>
    public TimeSpan ReturnPatience => SilenceLimit > LoadingTimeout ? SilenceLimit : LoadingTimeout;

    /// <summary>How long the decider waits before it tries again to relieve a master that was not relieved in time.</summary>
    public TimeSpan HandoverInterval => 10 * SwitchoverTimeout;

    /// <summary>How long an action that failed waits until it is tried again. 250 ms.</summary>
    public TimeSpan RetryDelay { get; init; } = TimeSpan.FromMilliseconds(250);

    /// <summary>How long a question that could not be asked waits until it is asked again. 20 ms.</summary>
    public TimeSpan InspectRetryDelay { get; init; } = TimeSpan.FromMilliseconds(20);

    /// <summary>
    /// How long a monitor that hangs may still be listed with what it saw before: ZooKeeper's session time-out. Default 4 s.
    /// </summary>
    public TimeSpan ViewLifetime { get; init; } = TimeSpan.FromSeconds(4);

    /// <summary>
    /// How long another monitor has to reach more nodes than the leader before the leader gives up: two probes, because the phases
    /// of two monitors' probes differ by up to half a one.
    /// </summary>
    public TimeSpan ReachabilityPatience => 2 * ProbeTimeout;

    /// <summary>Silence is judged after max-failures probes that each had their full time: <c>MaxFailures x ProbeTimeout</c>.</summary>
    public TimeSpan SilenceLimit => MaxFailures * ProbeTimeout;
}
