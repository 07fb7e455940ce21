using System.Collections.Immutable;

namespace RedisFailover;

/// <summary>
/// All that a monitor knows: an immutable value that changes only by <see cref="Apply"/> and <see cref="Start"/>. The decider reads
/// nothing else. What is known stands here; what each observation changes in the files beside this that are named after the kinds.
/// </summary>
internal sealed record ClusterView
{
    /// <summary>Each node that is watched: those configured, and those outside that are master or have to do with a change of it.</summary>
    public ImmutableSortedDictionary<NodeAddress, NodeView> Nodes { get; init; } = ImmutableSortedDictionary<NodeAddress, NodeView>.Empty;

    /// <summary>The other live monitors, with what they see; that is known to a leader only.</summary>
    public ImmutableDictionary<string, MonitorReport> OtherMonitors { get; init; } = ImmutableDictionary<string, MonitorReport>.Empty;

    /// <summary>The fencing token while this monitor leads; null while it does not.</summary>
    public int? Term { get; init; }

    /// <summary>Since when ZooKeeper cannot be reached from here; null while it can.</summary>
    public TimeSpan? ZooKeeperLostAt { get; init; }

    /// <summary>
    /// Whether <see cref="Topology"/> and <see cref="Version"/> are what the znode holds, as far as this leader can know.
    /// </summary>
    public bool TopologyKnown { get; init; }

    /// <summary>
    /// Whether <see cref="Topology"/> is this leader's own: it has read the znode since its election, and written all that came
    /// after.
    /// </summary>
    public bool TopologyIsOurs { get; init; }

    /// <summary>
    /// The publication of which it is not known whether it took place, and what is said to have failed; null when there is none.
    /// </summary>
    public (Topology Next, string Failure, ResumeWrites? Afterwards)? Unacknowledged { get; init; }

    /// <summary>The last readable content of <c>R/nodes</c>; null when there never was one.</summary>
    public Topology? Topology { get; init; }

    /// <summary>The version of <c>R/nodes</c>; -1 when it does not exist.</summary>
    public int Version { get; init; } = -1;

    /// <summary>Why the content of <c>R/nodes</c> is not readable now; null when it is.</summary>
    public string? TopologyFault { get; init; }

    /// <summary>
    /// Whether the store is older than what this monitor knows, or empty: ZooKeeper's data were lost, or put back from a backup.
    /// </summary>
    public bool StoreWentBack { get; init; }

    /// <summary>The highest epoch seen anywhere.</summary>
    public long LastEpoch { get; init; }

    /// <summary>The wish in <c>R/manual_failover</c>; null when there is none.</summary>
    public string? ManualFailover { get; init; }

    /// <summary>The requests below <c>R/requests</c> that are not answered, the oldest first.</summary>
    public ImmutableArray<OperatorRequest> Requests { get; init; } = [];

    /// <summary>The requests for a change of <c>R/config</c> that are not answered, the oldest first.</summary>
    public ImmutableArray<OperatorRequest> Changes { get; init; } = [];

    /// <summary>The last readable content of <c>R/config</c>; null when there never was one: the monitor's own file holds.</summary>
    public ClusterConfig? Config { get; init; }

    /// <summary>The version of <c>R/config</c>; -1 when it does not exist.</summary>
    public int ConfigVersion { get; init; } = -1;

    /// <summary>Why the content of <c>R/config</c> is not readable now, or that it is lost; null when it is as it should be.</summary>
    public string? ConfigFault { get; init; }

    /// <summary>
    /// When the pause in <see cref="Config"/> ends by itself, on the monotonic clock; null: not by itself, or there is none.
    /// </summary>
    public TimeSpan? PauseEndsAt { get; init; }

    /// <summary>Whether an operator has switched failover off, and that is not over.</summary>
    public bool IsPaused(TimeSpan now) => Config?.Pause is not null && !(PauseEndsAt <= now);

    /// <summary>The request whose turn it is; null when there is none, or the wish in <c>R/manual_failover</c> comes first.</summary>
    public OperatorRequest? Request => ManualFailover is null ? Requests.FirstOrDefault() : null;

    /// <summary>What the operator asks for now, by either way; null for nothing.</summary>
    public OperatorRequest? Asked => ManualFailover is { } text ? OperatorRequest.Manual(text) : Request;

    /// <summary>The same as it was written: by this one is known from another. Null for nothing.</summary>
    public string? Wish => ManualFailover ?? Request?.Wish;

    /// <summary>When that was first seen, or when this monitor was elected, whichever is later.</summary>
    public TimeSpan WishedAt { get; init; }

    /// <summary>
    /// The version that the watch on <c>R/nodes</c> told of since the last publication began; null for none. Somebody else's write may be
    /// heard of before the reply to the publication that it followed.
    /// </summary>
    public int? VersionHeard { get; init; }

    /// <summary>Whether the watch on <c>R/manual_failover</c> has told anything since the last action that clears it began.</summary>
    public bool WishHeard { get; init; }

    /// <summary>When the last publication failed, why, and how many in a row; null where the last one was written.</summary>
    public (TimeSpan At, string Failure, int Times)? Unpublished { get; init; }

    /// <summary>Since when ZooKeeper would refuse a publication, and in which words; null where it would not, or was not asked.</summary>
    public (TimeSpan At, string Failure)? TopologyRefused { get; init; }

    /// <summary>
    /// Since when, and why, the leader cannot write the topology, or the next one the term: it was refused twice, or would be. Null where
    /// both can be written.
    /// </summary>
    internal (TimeSpan At, string Failure)? CannotPublish
        => Unpublished is { Times: > 1 } failed ? (failed.At, failed.Failure) : TopologyRefused;

    /// <summary>The change of master under way; null when there is none.</summary>
    public MasterChangeProgress? Progress { get; init; }

    /// <summary>
    /// The old master of a switchover that has just taken place, until it follows the new one: its clients need not be cut off.
    /// </summary>
    public NodeAddress? HandedOver { get; init; }

    /// <summary>
    /// What the old master of a switchover that was given up has to be told, now that the znode says that it goes on; null when
    /// that is done.
    /// </summary>
    public ResumeWrites? Resumption { get; init; }

    /// <summary>Until when it is tried again after it has failed: then the pause has ended by itself. Null: it has not failed.</summary>
    public TimeSpan? ResumptionEndsAt { get; init; }

    /// <summary>When this monitor became leader.</summary>
    public TimeSpan LeadingSince { get; init; }

    /// <summary>Since when another monitor has reached more of the cluster's nodes than this leader does; null while none does.</summary>
    public TimeSpan? OutseenSince { get; init; }

    /// <summary>When the other monitors' views were last heard of.</summary>
    public TimeSpan VotesHeardAt { get; init; }

    /// <summary>When the last failover of this cluster was seen to end; null when none was since this monitor started.</summary>
    public TimeSpan? FailedOverAt { get; init; }

    /// <summary>When a switchover was last given up; null when none was since this monitor leads.</summary>
    public TimeSpan? GaveUpAt { get; init; }

    /// <summary>The actions that were started and are not finished.</summary>
    public ImmutableHashSet<FailoverAction> Running { get; init; } = [];

    /// <summary>The actions that failed.</summary>
    public ImmutableDictionary<FailoverAction, ActionFailure> Failed { get; init; } =
        ImmutableDictionary<FailoverAction, ActionFailure>.Empty;

    /// <summary>The live monitors, this one included.</summary>
    public int LiveMonitors => OtherMonitors.Count + 1;

    /// <summary>
    /// The other monitors that were here under the leader before and are not, with the time at which they were seen to be gone. After an
    /// outage of ZooKeeper one monitor is back before the others. For a session time-out from its election a leader counts each of them as
    /// one that has no opinion, so that it is no majority by itself.
    /// </summary>
    public ImmutableDictionary<string, TimeSpan> Awaited { get; init; } = ImmutableDictionary<string, TimeSpan>.Empty;

    /// <summary>The other registered monitors: for a while after an election a majority is one of these, whoever of them is here.</summary>
    public ImmutableHashSet<string> Registered { get; init; } = ImmutableHashSet.Create<string>(StringComparer.Ordinal);

    /// <summary>Whether this leader still waits for the registered monitors that are missing.</summary>
    public bool WaitsForRegistered { get; init; }

    /// <summary>
    /// The monitors that count, though they are not here: those awaited, and for a while the registered ones. None while another leads.
    /// </summary>
    public ImmutableSortedSet<string> MissingVoters => Term is null ? []
        : [.. Awaited.Keys.Concat(WaitsForRegistered ? Registered : []).Where(m => !OtherMonitors.ContainsKey(m))];

    /// <summary>Of how many monitors a majority has to be: those alive and those that are missing and still count.</summary>
    public int Voters => LiveMonitors + (Term is null || (Awaited.IsEmpty && !WaitsForRegistered) ? 0 : MissingVoters.Count);

    /// <summary>What is known of a node; a view without any knowledge when it was never heard of.</summary>
    public NodeView Node(NodeAddress address) => Nodes.GetValueOrDefault(address) ?? new NodeView(address);

    /// <summary>
    /// Only the nodes that this policy, the topology or a change of master has to do with; those that were never heard of among them.
    /// </summary>
    public ClusterView WithNodesOf(FailoverPolicy policy)
    {
        ArgumentNullException.ThrowIfNull(policy);
        return this with { Nodes = policy.Nodes.Concat(Outside(policy)).ToImmutableSortedDictionary(n => n, Node) };
    }

    /// <summary>
    /// The nodes that are watched though this policy does not name them, because they are master, are being replaced or promoted, or are
    /// being told something. A former master that is not configured is nobody's, once it is replaced.
    /// </summary>
    internal IEnumerable<NodeAddress> Outside(FailoverPolicy policy)
        => new[] { Topology?.Master, Topology?.Intent?.From, Topology?.Intent?.Target, Progress?.Promoted, HandedOver }
            .Concat(Running.Select(action => action.On)).OfType<NodeAddress>().Distinct().Where(n => !policy.Nodes.Contains(n)).Order();

    /// <summary>
    /// Whether nothing at all comes back from any node. That tells more of this monitor than of the nodes: its word on any of them
    /// counts for nothing.
    /// </summary>
    public bool IsBlind => !Nodes.IsEmpty && Nodes.Values.All(n => n.IsOutOfSight);

    /// <summary>
    /// When it was last found blind; null when it was not since the master was last seen as the process that the topology knows.
    /// </summary>
    public TimeSpan? BlindAt { get; init; }

    /// <summary>Since when it is blind; null while it is not.</summary>
    public TimeSpan? BlindSince { get; init; }

    internal bool SeesTheSameMaster
        => Topology is { Master: { } master, Identity: { RunId.Length: > 0 } identity }
            && Node(master) is { IsInOrder: true, Info: { } info } && info.RunId == identity.RunId;

    /// <summary>What this monitor tells the others.</summary>
    public MonitorReport Report() => new(
        Nodes.Values.Where(n
            => n is { Condition: NodeCondition.Online,
                ProbeFailure: not (ProbeFailure.AuthRefused or ProbeFailure.NotRedis or ProbeFailure.Local) })
            .ToImmutableSortedDictionary(n => n.Address, n => n.Latency.TotalSeconds),
        [.. Nodes.Values.Where(n => n.Condition == NodeCondition.Unavailable).Select(n => n.Address)])
    {
        IsBlind = IsBlind,
        Shut = [.. Nodes.Values.Where(n => n.TakesNoConnections).Select(n => n.Address)],
        Unwatched = Nodes.Values.Where(n
            => n is { Condition: not NodeCondition.Unavailable,
                ProbeFailure: ProbeFailure.AuthRefused or ProbeFailure.NotRedis or ProbeFailure.Local })
            .ToImmutableSortedDictionary(n => n.Address, n => n.Detail),
        ConfigVersion = Config is null ? -1 : ConfigVersion,
    };

    /// <summary>
    /// Whether the verdict on a node that became unavailable will wait for the monitors' votes. Not where its port refuses: a leader
    /// that finds the same has the replicas for witnesses, unless the strategy asks for every monitor's word.
    /// </summary>
    public bool VotesDecide(NodeAddress node, FailoverPolicy policy)
    {
        ArgumentNullException.ThrowIfNull(policy);
        return policy.NodeStrategy == NodeStrategy.Consensus || Node(node).ProbeFailure != ProbeFailure.Refused;
    }

    /// <summary>The view after an observation.</summary>
    public ClusterView Apply(Observation observation, FailoverPolicy policy)
    {
        ArgumentNullException.ThrowIfNull(observation);
        ArgumentNullException.ThrowIfNull(policy);
        ClusterView view = Applied(observation, policy);
        if (view.Nodes.Count > policy.Nodes.Length)
        {
            // Also the last words of a node that was removed.
            view = view.WithNodesOf(policy);
        }

        return view.WithWaits(observation.At, policy).WithSight(observation.At, policy).WithReach(this, observation, policy);
    }

    /// <summary>One row for each kind of observation.</summary>
    private ClusterView Applied(Observation observation, FailoverPolicy policy) => observation switch
    {
        NodeAnswered o => this.Answered(o, policy),
        NodeBeat o => this.Beat(o),
        NodeFailed o => this.NodeFailed(o, policy),
        NewConnectionTried o => this.With(Node(o.Node).Connected(o)),
        MonitorCame o => this.Came(o),
        MonitorReported o => this.Reported(o),
        MonitorLeft o => this.Left(o, policy),
        MembersSeen o => this with { Registered = o.Others },
        LeadershipGained o => this.Elected(o, policy),
        LeadershipLost => this.Deposed(),
        ZooKeeperLost o => this with { ZooKeeperLostAt = ZooKeeperLostAt ?? o.At },
        ZooKeeperBack => this with { ZooKeeperLostAt = null },
        TopologyRead o => this.Read(o),
        TopologyRightAsked { Refusal: null } => this with { TopologyRefused = null },
        TopologyRightAsked { Refusal: { } refusal } o => this with { TopologyRefused = (TopologyRefused?.At ?? o.At, refusal) },
        OperatorWished o => this.Wished(o),
        RequestsSeen o => this.Requested(o),
        ConfigRead o => this.Read(o),
        ActionFinished o => this.Finished(o, policy),
        Tick => this,
        _ => throw new ArgumentOutOfRangeException(nameof(observation), observation, "An observation that is not applied."),
    };

    /// <summary>
    /// Whether it brings no news: a node that answers has answered again, a right is what it was. What time alone changes has alarms of its
    /// own.
    /// </summary>
    public bool HasHeard(Observation observation)
        => (observation is NodeBeat beat && Node(beat.Node).IsAnswering)
            || (observation is TopologyRightAsked asked && asked.Refusal == TopologyRefused?.Failure);

    /// <summary>
    /// Whether nothing is under way or open after a decision, so that figures alone change nothing. With write safety they do: who has
    /// everything is told by offsets.
    /// </summary>
    public bool IsAtRestAfter(Decision decision, FailoverPolicy policy)
        => decision is { Actions.IsEmpty: true, Problems.IsEmpty: true, Warning: null }
            && this is { Running.IsEmpty: true, Topology.State: TopologyState.Ok } && policy.WriteSafety == WriteSafetyMode.None;

    /// <summary>Whether a node that answers has said again what it said before, figures aside.</summary>
    public bool HasHeardAlmost(Observation observation)
        => observation is NodeAnswered answered && Node(answered.Node) is { IsAnswering: true, Info: { } known }
            && known.DiffersInFiguresAlone(answered.Info);

    /// <summary>Marks actions as started.</summary>
    public ClusterView Start(ImmutableArray<FailoverAction> actions, TimeSpan now) => this.Started(actions, now);
}
