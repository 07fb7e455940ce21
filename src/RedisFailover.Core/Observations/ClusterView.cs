using System.Collections.Immutable;

namespace RedisFailover;

/// <summary>A change of master that this monitor is carrying out, on its monotonic clock.</summary>
/// <param name="StartedAt">When this monitor decided on it, or read that another had.</param>
/// <param name="LostAt">When the old master's failures began, or <paramref name="StartedAt"/> where there were none.</param>
/// <param name="Inherited">Whether another leader began it.</param>
public sealed record MasterChangeProgress(TimeSpan StartedAt, TimeSpan LostAt, bool Inherited)
{
    /// <summary>
    /// How long the change had been under way, by the wall clocks, when this monitor took it over from another; null where that is not
    /// known. Zero for one that it began itself.
    /// </summary>
    public TimeSpan? Before { get; init; } = TimeSpan.Zero;

    /// <summary>The monitor that it was taken over from; null where there is none, or its name is not known.</summary>
    public string? BegunBy { get; init; }

    /// <summary>When the intent was acknowledged by the ZooKeeper quorum.</summary>
    public TimeSpan? IntentAt { get; init; }

    /// <summary>Of a switchover: when the old master confirmed that it holds writes.</summary>
    public TimeSpan? PausedAt { get; init; }

    /// <summary>Whether the old master may still hold its writes, for the pause that it was told.</summary>
    public bool HoldsWrites { get; init; }

    /// <summary>The node that this monitor promoted; null before.</summary>
    public NodeAddress? Promoted { get; init; }

    /// <summary>Why the promoted node was not fit, where an operator asked for it all the same; null where it was.</summary>
    public string? PromotedDespite { get; init; }

    /// <summary>When the new master confirmed that it is one.</summary>
    public TimeSpan? PromotedAt { get; init; }
}

/// <summary>
/// All that a monitor knows: an immutable value that changes only by <see cref="Apply"/> and <see cref="Start"/>. The decider reads
/// nothing else.
/// </summary>
public sealed record ClusterView
{
    /// <summary>Each node that is watched: those configured, and the topology's master when it is not among them.</summary>
    public ImmutableSortedDictionary<NodeAddress, NodeView> Nodes { get; init; } = ImmutableSortedDictionary<NodeAddress, NodeView>.Empty;

    /// <summary>The other live monitors, with what they see; that is known to a leader only.</summary>
    public ImmutableDictionary<string, MonitorReport> OtherMonitors { get; init; } = ImmutableDictionary<string, MonitorReport>.Empty;

    /// <summary>The fencing token while this monitor leads; null while it does not.</summary>
    public int? Term { get; init; }

    /// <summary>Whether <see cref="Topology"/> and <see cref="Version"/> are what the znode holds, as far as this leader can know.</summary>
    public bool TopologyKnown { get; init; }

    /// <summary>The last readable content of <c>R/nodes</c>; null when there never was one.</summary>
    public Topology? Topology { get; init; }

    /// <summary>The version of <c>R/nodes</c>; -1 when it does not exist.</summary>
    public int Version { get; init; } = -1;

    /// <summary>Why the content of <c>R/nodes</c> is not readable now; null when it is.</summary>
    public string? TopologyFault { get; init; }

    /// <summary>The highest epoch seen anywhere.</summary>
    public long LastEpoch { get; init; }

    /// <summary>The wish in <c>R/manual_failover</c>; null when there is none.</summary>
    public string? ManualFailover { get; init; }

    /// <summary>The requests below <c>R/requests</c> that are not answered, the oldest first.</summary>
    public ImmutableArray<OperatorRequest> Requests { get; init; } = [];

    /// <summary>The request whose turn it is; null when there is none, or the wish in <c>R/manual_failover</c> comes first.</summary>
    public OperatorRequest? Request => ManualFailover is null ? Requests.FirstOrDefault() : null;

    /// <summary>What the operator asks for now, by either way; null for nothing.</summary>
    public string? Wish => ManualFailover ?? Request?.Wish;

    /// <summary>When that was first seen.</summary>
    public TimeSpan WishedAt { get; init; }

    /// <summary>
    /// The version that the watch on <c>R/nodes</c> told of since the last publication began; null for none. Somebody else's write may be
    /// heard of before the reply to the publication that it followed.
    /// </summary>
    public int? VersionHeard { get; init; }

    /// <summary>Whether the watch on <c>R/manual_failover</c> has told anything since the last action that clears it began.</summary>
    public bool WishHeard { get; init; }

    /// <summary>The change of master under way; null when there is none.</summary>
    public MasterChangeProgress? Progress { get; init; }

    /// <summary>The old master of a switchover that has just taken place, until it follows the new one: its clients need not be cut off.</summary>
    public NodeAddress? HandedOver { get; init; }

    /// <summary>When this monitor became leader.</summary>
    public TimeSpan LeadingSince { get; init; }

    /// <summary>Since when another monitor has reached more of the configured nodes than this leader does; null while none does.</summary>
    public TimeSpan? OutseenSince { get; init; }

    /// <summary>When the other monitors' views were last heard of.</summary>
    public TimeSpan VotesHeardAt { get; init; }

    /// <summary>When the last failover of this cluster was seen to begin; null when none was since this monitor started.</summary>
    public TimeSpan? FailedOverAt { get; init; }

    /// <summary>When a switchover was last given up; null when none was since this monitor leads.</summary>
    public TimeSpan? GaveUpAt { get; init; }

    /// <summary>The actions that were started and are not finished.</summary>
    public ImmutableHashSet<FailoverAction> Running { get; init; } = [];

    /// <summary>The actions that failed, with the time before which they are not tried again and the reason.</summary>
    public ImmutableDictionary<FailoverAction, (TimeSpan RetryAt, string Failure)> Failed { get; init; }
        = ImmutableDictionary<FailoverAction, (TimeSpan, string)>.Empty;

    /// <summary>The live monitors, this one included.</summary>
    public int LiveMonitors => OtherMonitors.Count + 1;

    /// <summary>What is known of a node; a view without any knowledge when it was never heard of.</summary>
    public NodeView Node(NodeAddress address) => Nodes.GetValueOrDefault(address) ?? new NodeView(address);

    /// <summary>What this monitor tells the others.</summary>
    public MonitorReport Report() => new(
        Nodes.Values.Where(n => n is { Condition: NodeCondition.Online, Evidence: not (Evidence.Denied or Evidence.Nonsense) }).ToImmutableSortedDictionary(n => n.Address, n => n.Latency.TotalSeconds),
        [.. Nodes.Values.Where(n => n.Condition == NodeCondition.Unavailable).Select(n => n.Address)]);

    /// <summary>
    /// Whether the verdict on a node that became unavailable will wait for the monitors' votes. Not where its port refuses: a leader
    /// that finds the same has the replicas for witnesses, unless the strategy asks for every monitor's word.
    /// </summary>
    public bool VotesDecide(NodeAddress node, FailoverPolicy policy)
    {
        ArgumentNullException.ThrowIfNull(policy);
        return policy.NodeStrategy == NodeStrategy.Consensus || Node(node).Evidence != Evidence.Refused;
    }

    /// <summary>Marks actions as started.</summary>
    public ClusterView Start(ImmutableArray<FailoverAction> actions, TimeSpan now)
    {
        ClusterView view = this with { Running = Running.Union(actions) };
        foreach (FailoverAction action in actions)
        {
            view = action switch
            {
                PublishTopology p => view with { VersionHeard = null, WishHeard = view.WishHeard && !p.ClearsWish },
                RefuseWish { Request: null } => view with { WishHeard = false },
                _ => view,
            };
        }

        if (view.Progress is { } current && actions.Any(a => a is ResumeWrites))
        {
            view = view with { Progress = current with { PausedAt = null, HoldsWrites = false } };
        }

        PublishTopology? intent = actions.OfType<PublishTopology>().FirstOrDefault(p => p.Next.IsChangingMaster);
        if (intent is null)
        {
            return view;
        }

        TimeSpan? failingSince = intent.Next.Intent?.From is { } from ? Node(from).FailingSince : null;
        if (view.Progress is { } running)
        {
            // A switchover whose master is lost becomes a failover: what was asked before says nothing about who has most now.
            return Topology is { State: TopologyState.SwitchingOver, Master: not null } && intent.Next.State == TopologyState.FailingOver
                ? view with { Progress = running with { StartedAt = now, LostAt = failingSince ?? now, IntentAt = null, PausedAt = null, Before = TimeSpan.Zero, BegunBy = null } }
                : view;
        }

        // What failed in an earlier change says nothing about this one.
        return view with
        {
            Progress = new MasterChangeProgress(now, failingSince ?? now, Inherited: false),
            Failed = Failed.RemoveRange(Failed.Keys.Where(a => a is PauseWrites or Promote)),
        };
    }

    /// <summary>The view after an observation.</summary>
    public ClusterView Apply(Observation observation, FailoverPolicy policy)
    {
        ArgumentNullException.ThrowIfNull(observation);
        ArgumentNullException.ThrowIfNull(policy);
        ClusterView view = Applied(observation, policy);
        if (view.Term is null)
        {
            return view.OutseenSince is null ? view : view with { OutseenSince = null };
        }

        bool same = view.Term == Term && ReferenceEquals(view.OtherMonitors, OtherMonitors)
            && (ReferenceEquals(view.Nodes, Nodes) || observation is not (NodeAnswered or NodeBeat or NodeFailed or ActionFinished) || SameReach(observation, view));
        return same ? view
            : Sight.Better(view, policy) is null ? view with { OutseenSince = null }
            : view with { OutseenSince = view.OutseenSince ?? observation.At };
    }

    private bool SameReach(Observation observation, ClusterView after)
    {
        NodeAddress? node = observation switch
        {
            NodeAnswered o => o.Node,
            NodeBeat o => o.Node,
            NodeFailed o => o.Node,
            ActionFinished o => o.Action.On,
            _ => null,
        };
        return node is null || (Node(node).Condition == after.Node(node).Condition && Node(node).Evidence == after.Node(node).Evidence);
    }

    private ClusterView Applied(Observation observation, FailoverPolicy policy) => observation switch
    {
        NodeAnswered o => With(Node(o.Node).Answered(o.At, o.Latency).Informed(o.Info, o.Asked)),
        NodeBeat o => Node(o.Node).Info is null ? this : With(Node(o.Node).Answered(o.At, o.Latency)),
        NodeFailed o => With(Node(o.Node).Failed(o, policy)),
        MonitorCame o => OtherMonitors.ContainsKey(o.MonitorId) ? this : this with { OtherMonitors = OtherMonitors.Add(o.MonitorId, MonitorReport.None) },
        MonitorReported o => this with { OtherMonitors = OtherMonitors.SetItem(o.MonitorId, o.Report), VotesHeardAt = o.At },
        MonitorLeft o => this with { OtherMonitors = OtherMonitors.Remove(o.MonitorId) },
        // A leader trusts nothing that it heard before its election: it reads the topology first.
        LeadershipGained o => this with
        {
            Term = o.Term,
            LeadingSince = o.At,
            TopologyKnown = false,
            Progress = null,
            HandedOver = null,
            OutseenSince = null,
            GaveUpAt = null,
            Failed = Failed.Clear(),
        },
        // Nor does one that leads no longer follow what the others see.
        LeadershipLost => this with
        {
            Term = null,
            TopologyKnown = false,
            Progress = null,
            HandedOver = null,
            Failed = Failed.Clear(),
            Running = Running.Remove(new Resign("")),
            OtherMonitors = OtherMonitors.ToImmutableDictionary(m => m.Key, _ => MonitorReport.None),
        },
        TopologyRead o => Read(o),
        OperatorWished o => Asked(this with { ManualFailover = o.Wish, WishHeard = true }, o.At),
        RequestsSeen o => Asked(this with { Requests = o.Pending }, o.At),
        ActionFinished o => Finished(o, policy),
        Tick => this,
        _ => throw new ArgumentOutOfRangeException(nameof(observation), observation, "An observation that is not applied."),
    };

    private ClusterView Asked(ClusterView next, TimeSpan at)
        => next with { WishedAt = next.Wish == Wish && next.Request?.Id == Request?.Id ? WishedAt : at };

    private ClusterView Without(OperatorRequest? request, TimeSpan at)
        => request is null ? this : Asked(this with { Requests = Requests.RemoveAll(r => r.Id == request.Id) }, at);

    private ClusterView With(NodeView node) => this with { Nodes = Nodes.SetItem(node.Address, node) };

    private ClusterView Read(TopologyRead read)
    {
        if (Term is not null && !read.Synced)
        {
            return this with { TopologyKnown = TopologyKnown && read.Version == Version, VersionHeard = read.Version };
        }

        if (Topology is { } known && read.Topology is { } back && back.Epoch < LastEpoch)
        {
            // Clients refuse it: what is known holds, and a leader writes it again. A watch may be late and tell of the past.
            string writer = back.ChangedBy.Length > 0 ? $"it names '{back.ChangedBy}' as its writer" : "it names no writer";
            return this with
            {
                TopologyKnown = Term is not null,
                Version = read.Version,
                TopologyFault = read.Synced ? $"its epoch went back from {LastEpoch} to {back.Epoch}, which no monitor writes; {writer}" : TopologyFault,
                LastEpoch = Math.Max(LastEpoch, read.LastEpoch),
                Progress = known.IsChangingMaster ? Progress ?? new MasterChangeProgress(read.At, read.At, Inherited: true) { Before = null } : null,
            };
        }

        ClusterView view = this with
        {
            TopologyKnown = Term is not null,
            Version = read.Version,
            Topology = read.Topology ?? Topology,
            FailedOverAt = read.Topology is { } next && IsFailover(next) ? read.At : FailedOverAt,
            TopologyFault = read.Fault ?? (read.Topology is null && Topology is not null ? "it is missing" : null),
            LastEpoch = Math.Max(Math.Max(LastEpoch, read.LastEpoch), read.Topology?.Epoch ?? 0),
        };
        return view.Topology is { IsChangingMaster: true }
            ? view with
            {
                Progress = view.Progress ?? new MasterChangeProgress(read.At, read.At, Inherited: true)
                {
                    Before = read.ChangeAge,
                    BegunBy = view.Topology.ChangedBy is { Length: > 0 } by ? by : null,
                },
            }
            : view with { Progress = null };
    }

    /// <summary>Whether this topology, which follows the one that is known, tells of a failover that is new.</summary>
    private bool IsFailover(Topology next)
        => Topology is { Epoch: > 0 } known && next.Epoch > known.Epoch
            && (next.State == TopologyState.FailingOver || (next.State == TopologyState.Ok && known.Master is not null && next.Master != known.Master));

    private ClusterView Finished(ActionFinished finished, FailoverPolicy policy)
    {
        // The lead that was given up ends with LeadershipLost, which may come later; till then nothing more is to be done.
        bool resigned = finished is { Action: Resign, Failure: null };
        ClusterView view = resigned ? this : this with { Running = Running.Remove(finished.Action) };
        if (finished.Info is { } info && finished.Action.On is { } node)
        {
            view = view.With(view.Node(node).Answered(finished.At, view.Node(node).Latency).Informed(info, finished.Asked));
        }

        if (finished.Failure is { } failure)
        {
            // Whether a publication that failed was applied is not known: the znode tells.
            return finished.Action switch
            {
                PublishTopology => view with { TopologyKnown = false },
                Inspect => view with { Failed = view.Failed.SetItem(finished.Action, (finished.At + policy.InspectRetryDelay, failure)) },
                _ => view with { Failed = view.Failed.SetItem(finished.Action, (finished.At + policy.RetryDelay, failure)) },
            };
        }

        view = view with { Failed = view.Failed.Remove(finished.Action) };
        return finished.Action switch
        {
            PublishTopology publication => view.Published(publication, finished),
            PauseWrites => view with { Progress = view.Progress is { } p ? p with { PausedAt = finished.At, HoldsWrites = true } : null },
            Promote promote => view with { Progress = view.Progress is { } p ? p with { Promoted = promote.Node, PromotedAt = finished.At, PromotedDespite = promote.Despite } : null },
            Demote demotion => view with { HandedOver = view.HandedOver == demotion.Node ? null : view.HandedOver },
            RefuseWish { Request: { } step } => view.Without(step.Request, finished.At),
            RefuseWish => view.WithoutWish(finished.At),
            _ => view,
        };
    }

    /// <summary>After the znode was removed. If the watch has told since of a wish, that may be the next one: then the watch has the last word.</summary>
    private ClusterView WithoutWish(TimeSpan at) => WishHeard ? this : Asked(this with { ManualFailover = null }, at);

    private ClusterView Published(PublishTopology publication, ActionFinished finished)
    {
        if (Term is null || finished.Version < Version)
        {
            return this;
        }

        ClusterView view = publication.ClearsWish ? WithoutWish(finished.At) : this;
        return (publication.Request is { Answer: not null } answered ? view.Without(answered.Request, finished.At) : view) with
        {
            Topology = finished.Written ?? publication.Next,
            FailedOverAt = IsFailover(publication.Next) ? finished.At : FailedOverAt,
            GaveUpAt = Topology is { State: TopologyState.SwitchingOver, Intent.From: { } was } && publication.Next.Master == was ? finished.At : GaveUpAt,
            // What the watch told meanwhile is the publication, what was there before, or somebody else's write upon it.
            TopologyKnown = VersionHeard is not { } heard || heard == finished.Version || heard == publication.ExpectedVersion,
            TopologyFault = null,
            Version = finished.Version,
            LastEpoch = Math.Max(LastEpoch, publication.Next.Epoch),
            HandedOver = Topology is { State: TopologyState.SwitchingOver, Intent.From: { } from } && publication.Next.Master is { } next && next != from
                && !Node(from).IsReplica
                ? from
                : HandedOver,
            Progress = publication.Next.IsChangingMaster && Progress is { } progress ? progress with { IntentAt = progress.IntentAt ?? finished.At } : null,
        };
    }
}
