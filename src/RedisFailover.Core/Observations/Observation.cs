using System.Collections.Immutable;

namespace RedisFailover;

/// <summary>How a probe of a node failed. The kinds differ in what they prove.</summary>
internal enum ProbeFailure
{
    /// <summary>Nothing listens at the port: the process is gone.</summary>
    Refused,

    /// <summary>The connection was closed by the other side.</summary>
    Closed,

    /// <summary>No answer within the deadline: it hangs, or the network does. Proves nothing about the process.</summary>
    Silent,

    /// <summary>The network says that there is no way to the host.</summary>
    Unreachable,

    /// <summary>It is up but still loads its data set (LOADING), and serves nobody.</summary>
    Loading,

    /// <summary>It refuses our credentials, or INFO. A fault of our configuration, never a reason to fail over.</summary>
    AuthRefused,

    /// <summary>
    /// What answers does not speak as Redis does. A fault of the configuration, and no reason to fail over while a replica has its link.
    /// </summary>
    NotRedis,

    /// <summary>
    /// This monitor's own fault: the name does not resolve, there is no route, no port or file handle left, or it may not connect.
    /// Proves nothing about the node.
    /// </summary>
    Local,

    /// <summary>It lives, but a script or module keeps it busy (BUSY), and it serves nobody.</summary>
    Busy,

    /// <summary>It answers, and holds its clients' writes (CLIENT PAUSE … WRITE). Seen on a connection of its own alone.</summary>
    WritesHeld,
}

/// <summary>
/// Something that the monitor has learnt; what flows from the probes, ZooKeeper and finished actions into the coordinator.
/// </summary>
/// <param name="At">When, on the monitor's monotonic clock (time since its start).</param>
internal abstract record Observation(TimeSpan At);

/// <summary>A node answered INFO.</summary>
/// <param name="At">When the answer was complete.</param>
/// <param name="Asked">When the question was sent: what the answer says was true at this time or later.</param>
/// <param name="Node">The node.</param>
/// <param name="Info">What it said.</param>
/// <param name="Latency">Time between question and answer.</param>
internal sealed record NodeAnswered(TimeSpan At, TimeSpan Asked, NodeAddress Node, NodeInfo Info, TimeSpan Latency) : Observation(At);

/// <summary>A node answered a heartbeat: it lives. Nothing else is learnt.</summary>
internal sealed record NodeBeat(TimeSpan At, NodeAddress Node, TimeSpan Latency) : Observation(At);

/// <summary>One probe of a node failed.</summary>
/// <param name="At">When.</param>
/// <param name="Node">The node.</param>
/// <param name="ProbeFailure">How.</param>
/// <param name="Detail">The error in words, without secrets.</param>
internal sealed record NodeFailed(TimeSpan At, NodeAddress Node, ProbeFailure ProbeFailure, string Detail) : Observation(At);

/// <summary>
/// Whether a node that answers over the connection that there is takes a new one, and our login on it. Told when it refused several in a
/// row, and when it takes them again.
/// </summary>
/// <param name="At">When.</param>
/// <param name="Node">The node.</param>
/// <param name="ProbeFailure">How it refused; null where it takes them.</param>
/// <param name="Detail">The error in words, without secrets.</param>
internal sealed record NewConnectionTried(TimeSpan At, NodeAddress Node, ProbeFailure? ProbeFailure, string Detail) : Observation(At)
{
    /// <summary>When the first of those was tried that it refused; <see cref="Observation.At"/> unless told.</summary>
    public TimeSpan Since { get; init; } = At;
}

/// <summary>Another monitor is here: its ephemeral znode was seen. What it sees is not known yet.</summary>
internal sealed record MonitorCame(TimeSpan At, string MonitorId) : Observation(At);

/// <summary>Another monitor published its view.</summary>
internal sealed record MonitorReported(TimeSpan At, string MonitorId, MonitorReport Report) : Observation(At);

/// <summary>Another monitor is gone: its ephemeral znode was removed.</summary>
internal sealed record MonitorLeft(TimeSpan At, string MonitorId) : Observation(At);

/// <summary>Which monitors are registered: those of which a majority is counted.</summary>
/// <param name="At">When they were read.</param>
/// <param name="Others">Their ids, this monitor's left out.</param>
internal sealed record MembersSeen(TimeSpan At, ImmutableHashSet<string> Others) : Observation(At);

/// <summary>This monitor was elected.</summary>
/// <param name="At">When.</param>
/// <param name="Term">The fencing token: the version of <c>R/term</c>.</param>
internal sealed record LeadershipGained(TimeSpan At, int Term) : Observation(At);

/// <summary>This monitor no longer leads.</summary>
internal sealed record LeadershipLost(TimeSpan At) : Observation(At);

/// <summary>ZooKeeper cannot be reached from here: nobody is told of anything, and nothing is written.</summary>
internal sealed record ZooKeeperLost(TimeSpan At) : Observation(At);

/// <summary>ZooKeeper can be reached again.</summary>
internal sealed record ZooKeeperBack(TimeSpan At) : Observation(At);

/// <summary>The znode <c>R/nodes</c> was read.</summary>
/// <param name="At">When.</param>
/// <param name="Version">The znode's version; -1 when it does not exist.</param>
/// <param name="Topology">Its content; null when it does not exist or is not readable.</param>
/// <param name="Fault">Why it is not readable; null when it is.</param>
/// <param name="LastEpoch">The highest epoch that the history knows: a floor for the next one where the znode itself is lost.</param>
/// <param name="Synced">
/// Whether it was read after a sync, on a leader's demand. What a watch brings may be older than what the leader wrote since:
/// a leader takes it as a hint to read again.
/// </param>
internal sealed record TopologyRead(TimeSpan At, int Version, Topology? Topology, string? Fault, long LastEpoch,
    bool Synced) : Observation(At)
{
    /// <summary>
    /// How long the change of master that it tells of has been under way, by the wall clocks; null where that is not known.
    /// </summary>
    public TimeSpan? ChangeAge { get; init; }
}

/// <summary>Whether the leader may write <c>R/nodes</c> was asked, before it has to.</summary>
/// <param name="At">When.</param>
/// <param name="Refusal">What ZooKeeper says if it may not; null where it may.</param>
internal sealed record TopologyRightAsked(TimeSpan At, string? Refusal) : Observation(At);

/// <summary>The znode <c>R/config</c> was read.</summary>
/// <param name="At">When.</param>
/// <param name="Version">The znode's version; -1 when it does not exist.</param>
/// <param name="Config">Its content; null when it does not exist or is not readable.</param>
/// <param name="Fault">Why it is not readable; null when it is, or does not exist.</param>
/// <param name="Synced">Whether it was read after a sync, on a leader's demand.</param>
internal sealed record ConfigRead(TimeSpan At, int Version, ClusterConfig? Config, string? Fault, bool Synced) : Observation(At)
{
    /// <summary>
    /// How long its pause has left, by ZooKeeper's clock; null where it has none, or one without an end, or that clock is not known yet.
    /// </summary>
    public TimeSpan? PauseLeft { get; init; }
}

/// <summary>The znode <c>R/manual_failover</c> holds this wish, or none any more.</summary>
/// <param name="At">When.</param>
/// <param name="Wish">Its text as the operator wrote it; null when there is none.</param>
internal sealed record OperatorWished(TimeSpan At, string? Wish) : Observation(At);

/// <summary>The requests below <c>R/requests</c> that are not answered, the oldest first.</summary>
/// <param name="At">When they were read.</param>
/// <param name="Pending">All of them.</param>
internal sealed record RequestsSeen(TimeSpan At, ImmutableArray<OperatorRequest> Pending) : Observation(At);

/// <summary>An action of an earlier decision is done.</summary>
/// <param name="At">When.</param>
/// <param name="Action">The action.</param>
/// <param name="Failure">Why it failed; null when it succeeded.</param>
/// <param name="Info">What the node said of itself afterwards, where the action asks.</param>
/// <param name="Version">Of a publication: the znode's new version.</param>
internal sealed record ActionFinished(TimeSpan At, FailoverAction Action, string? Failure = null, NodeInfo? Info = null,
    int Version = -1) : Observation(At)
{
    /// <summary>When the question that <see cref="Info"/> answers was sent; <see cref="Observation.At"/> unless told.</summary>
    public TimeSpan Asked { get; init; } = At;

    /// <summary>Of a failure: whether the node itself has said no, or says that nothing has changed. Otherwise no answer came.</summary>
    public bool Refused { get; init; }

    /// <summary>Of <see cref="PublishConfig"/>: what was written; null where it was refused instead.</summary>
    public ClusterConfig? WrittenConfig { get; init; }

    /// <summary>Of a publication: the topology with what the writer added; null: as it was asked for.</summary>
    public Topology? Written { get; init; }
}

/// <summary>An action that failed.</summary>
/// <param name="RetryAt">Before this it is not tried again.</param>
/// <param name="Why">In words.</param>
/// <param name="Refused">Whether the node itself has said no; else one who answers again may well do it.</param>
internal sealed record ActionFailure(TimeSpan RetryAt, string Why, bool Refused);

/// <summary>Time has passed: the moment that the last decision asked to be woken at.</summary>
internal sealed record Tick(TimeSpan At) : Observation(At);
