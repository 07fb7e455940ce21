namespace RedisFailover;

/// <summary>
/// What is known of one node, judged: what its times, run ids and histories mean, worked out here for all rules. What is the same node as
/// another is in docs/architecture.md.
/// </summary>
internal sealed class NodeAssessment
{
    /// <summary>A master sends something at least this often (repl-ping-replica-period is 10 s by default).</summary>
    private static readonly TimeSpan LongestPing = TimeSpan.FromSeconds(12);

    private readonly Assessment _all;

    internal NodeAssessment(Assessment all, NodeView view)
    {
        _all = all;
        View = view;
        Contact = ContactOf(view);
        Heard = HeardOf(all, view);
    }

    internal NodeView View { get; }

    /// <summary>What is known of all of them.</summary>
    internal Assessment All => _all;

    internal Contact Contact { get; }

    internal HeardSince Heard { get; }

    internal NodeAddress Address => View.Address;

    /// <summary>What it last said of itself; null before its first answer.</summary>
    internal NodeInfo? Info => View.Info;

    /// <summary>Whether it answers, and what it has said holds for now: said since this monitor leads and since it last failed.</summary>
    internal bool IsCurrent => IsInOrder && Has(HeardSince.Term);

    /// <summary>Whether it answers, and what it has said of itself holds for after its last failure.</summary>
    internal bool IsInOrder => IsAnswering && Has(HeardSince.LastFailure);

    internal bool IsAnswering => Contact == Contact.Answering;

    internal bool IsOnline => View.IsOnline;

    internal bool IsMaster => View.IsMaster;

    internal bool IsReplica => View.IsReplica;

    /// <summary>Whether it answers, but not with what a Redis would tell us: only somebody's hand changes that.</summary>
    internal bool CannotBeWatched => Contact is Contact.AuthRefused or Contact.NotRedis;

    /// <summary>How the monitors vote on it.</summary>
    internal Votes Votes => _all.VotesOn(Address);

    /// <summary>Whether enough monitors cannot reach it.</summary>
    internal bool IsVotedOut => Votes.Suffice;

    /// <summary>
    /// Whether enough monitors cannot reach it, though it has been back for as long as they need to see that: at a first start, or at the
    /// end of a disturbance, they may be slower than this one.
    /// </summary>
    internal bool IsOutvoted => IsVotedOut && !(_all.Now < View.OnlineSince + _all.Policy.ReachabilityPatience);

    /// <summary>Whether it is somebody else's: it holds data, shares no history, and <see cref="ForeignSigns"/> speak against it.</summary>
    internal bool IsForeign => Lineage == Lineage.Foreign;

    /// <summary>Whether an operator has given up what it holds, so that it may be made a replica though it is somebody else's.</summary>
    internal bool IsAdopted
        => Info is { RunId.Length: > 0 } info && _all.View.Config?.Adopted.GetValueOrDefault(Address) == info.RunId;

    /// <summary>Whether nothing is written to it: it is somebody else's, and no operator has given up what it holds.</summary>
    internal bool IsLeftAlone => IsForeign && !IsAdopted;

    /// <summary>Why it counts as somebody else's; null where it is ours.</summary>
    internal string? ForeignSign => IsForeign ? ForeignSigns.Of(_all, this) : null;

    /// <summary>Whether it shares the master's history.</summary>
    internal bool IsOfLineage => Info is { } info && _all.Topology.Identity is { } identity && info.SharesHistoryWith(identity);

    internal Lineage Lineage => Info is not { } info ? Lineage.Unknown
        : IsOfLineage ? Lineage.Same
        : IsOfAnother(info) ? Lineage.Foreign
        : _all.Topology.Identity is null ? Lineage.Unknown
        : info.Keys == 0 ? Lineage.Empty : Lineage.Diverged;

    /// <summary>Of the master, or the one that is replaced; unknown of others.</summary>
    internal RunState Run
        => Address != _all.OldMasterAddress || Info is not { } info || _all.Topology.Identity is not { RunId.Length: > 0 } known
            ? RunState.Unknown
        : info.RunId == known.RunId ? RunState.SameRun : RunState.Restarted;

    /// <summary>
    /// Whether what it has can no longer change by the old master's doing. A replica is detached, or nothing listens at the old master's
    /// port and the link to it is down, and it said so after the loss: what was sent before has reached it by then.
    /// </summary>
    internal bool OffsetIsFinal => Has(HeardSince.LastFailure) && (Info is { Role: NodeRole.Replica } replica
        ? Has(HeardSince.Loss) && (replica.IsDetached || (!replica.LinkUp && _all.From?.View.ProbeFailure == ProbeFailure.Refused))
        : Has(HeardSince.Change));

    /// <summary>Whether it has said, since the master began to fail, that its link to it is down.</summary>
    internal bool HasLostItsLink => IsReplica && !Info!.LinkUp && Has(HeardSince.MasterFailure);

    /// <summary>
    /// Since when its data have been getting older than those of a master that goes on: it has no link, nothing comes over it though the
    /// master has more, or it has not applied what the master had taken by then. Before that was master, or was back, it took no writes.
    /// Null where they have not.
    /// </summary>
    internal TimeSpan? BehindSince => MasterBeside is not { Info: { } master, View: var view } || !IsReplica ? null
        : View.LinkDownSince is { } down ? new[] { down, view.RoleSince, view.BeforeRestart is null ? null : view.RunSince }.Max()
        // What one in use said before the master took more is no sign yet.
        : Info is { LinkUp: true, LinkSilentFor: { } silent } && silent >= LongestPing && Info.Offset < master.Offset
            && (WasAskedSince(view.InfoAsked) || !_all.Topology.Replicas.Contains(Address))
            ? View.InfoAsked - silent
        : Info is { LinkUp: true } && Info.ReplicationId == master.ReplicationId
            // How old it was when it spoke: what it has taken since is not known.
            ? view.Trail.Where(t => t.Offset > Info.Offset && t.At <= View.InfoAsked)
                .Select(t => (TimeSpan?)(_all.Now - (View.InfoAsked - t.At))).FirstOrDefault()
        : null;

    /// <summary>Whether its data are older than max-replica-staleness, so that nobody should read them.</summary>
    internal bool IsStale
        => _all.Policy.MaxReplicaStaleness is var limit && limit > TimeSpan.Zero
            && ((BehindSince is { } since && _all.Now - since >= limit) || (IsReplica && WithoutLinkAtTheLoss >= limit));

    /// <summary>
    /// For how long it had had no link when the master went; its data have not grown older since. Null where it had one, and to a monitor
    /// that never heard the master: to it that has been gone since it looked.
    /// </summary>
    private TimeSpan? WithoutLinkAtTheLoss
        => _all.OldMasterAddress is { } master && master != Address && _all.View.Node(master) is { Info: not null } gone
            ? gone.GoneSince - View.LinkDownSince : null;

    /// <summary>
    /// Whether following the master would cost it its data for nothing: it cannot read the full copy that it would get, and has no place to
    /// go on from.
    /// </summary>
    internal bool CannotCopyMaster
        => MasterBeside is { Info: { } master } && Info is { Keys: > 0 } info && !info.Software.CanRead(master.Software)
        && !(IsReplica && info.MasterAddress == _all.Topology.Master) && !info.GoesOnUnder(master);

    /// <summary>
    /// Whether the master sends it a full copy, or has it wait for others before it begins (repl-diskless-sync-delay): it is connected, and
    /// has no link yet.
    /// </summary>
    internal bool IsBeingCopied => IsReplica && Refusal is null && (Info!.SyncInProgress
        || MasterBeside?.Info!.Replicas.Any(r => r.Replica == Address && !r.IsOnline) == true);

    /// <summary>
    /// Why the present master refuses its replication; null where that cannot be told, or it has a link. Redis calls it a copy in progress
    /// while it tries.
    /// </summary>
    internal ReplicationRefusal? Refusal => IsReplica && !Info!.LinkUp && MasterBeside is { } master && Info.MasterAddress == master.Address
        ? ReplicationRefusal.Of(master.View, View, _all.Policy) : null;

    /// <summary>The present master, another node than this one; null where there is none that may take writes.</summary>
    private NodeAssessment? MasterBeside => _all.Topology.Master is { } master && master != Address
        && _all.Master is { IsMaster: true, Contact: Contact.Answering or Contact.Failing } serving ? serving : null;

    /// <summary>
    /// Of a replica: why what it holds is not what its master took, though it has come as far; null where nothing shows that.
    /// </summary>
    internal string? Divergence => View.RefusedOfStream is > 0 and var refused
        ? $"it has refused commands of its master's (unexpected_error_replies: {refused})"
        : IsReplica && Address != _all.OldMasterAddress && _all.OldMasterAddress is { } master
            && Info!.Databases < _all.View.Node(master).Info?.Databases
        ? $"it has {Info.Databases} databases, and its master {_all.View.Node(master).Info!.Databases}"
        : null;

    internal bool IsConfigured => _all.IsConfigured(Address);

    /// <summary>Whether it could be made master at all, whatever it lacks.</summary>
    internal bool CanBePromoted => IsAnswering && !Info!.Loading;

    /// <summary>Of a node that is offered for nothing, why: "is unavailable", "is not usable as a replica (its link is down)".</summary>
    internal string WhyNotInUse => this is { IsAnswering: true, Info: { } info, IsVotedOut: false }
        ? $"is not usable as a replica ({(info.Role == NodeRole.Master ? "it says that it is a master"
            : Refusal is not null ? "the master refuses its replication"
            : IsBeingCopied ? "it is receiving a full copy"
            : CannotCopyMaster ? "it cannot read a copy of the master and keeps its own data"
            : !info.LinkUp ? "its link is down" : IsStale ? "its data are too old"
            : info.MasterAddress == _all.Topology.Master ? "it has only just come back" : "it follows another")})"
        : Contact is Contact.Busy or Contact.Loading ? $"serves nobody ({View.Detail})"
        : IsOutvotedAlone ? $"is unavailable: {Votes}, though it answers this one"
        : "is unavailable";

    /// <summary>Whether it answers this monitor, and is unavailable by the votes of others.</summary>
    internal bool IsOutvotedAlone => IsVotedOut && Contact == Contact.Answering;

    /// <summary>Whether the monitors may not make it a master, as far as they know.</summary>
    internal bool LacksRightToPromote => Info is { MissingRights: var missing } && missing.HasFlag(NodeRights.ChangeRole);

    /// <summary>Whether it has answered for stable-time without a break.</summary>
    internal bool IsStable => View.OnlineSince is { } since && _all.Now - since >= _all.Policy.StableTime;

    /// <summary>"a master, 12 keys, offset 400".</summary>
    internal string Described
        => $"{(Info!.Role == NodeRole.Master ? "a master" : $"a replica of {Info.MasterAddress}")}, {Info.Keys} keys, offset {Info.Offset}";

    internal bool Has(HeardSince moment) => (Heard & moment) == moment;

    /// <summary>Whether it was asked at this time or later.</summary>
    internal bool WasAskedSince(TimeSpan time) => View.InfoAsked >= time;

    /// <summary>
    /// One without a key has nothing to lose, unless it is at work for somebody else, or is getting what another cluster's master has.
    /// </summary>
    private bool IsOfAnother(NodeInfo info) => info.Keys > 0 ? ForeignSigns.Of(_all, this) is not null
        : info.Role == NodeRole.Master ? ForeignSigns.Of(_all, this) is not null
        : (info.LinkUp || info.SyncInProgress) && ForeignSigns.FollowsAnother(_all, this);

    private static Contact ContactOf(NodeView node) => node.ProbeFailure switch
    {
        ProbeFailure.AuthRefused => Contact.AuthRefused,
        ProbeFailure.NotRedis => Contact.NotRedis,
        ProbeFailure.Loading => Contact.Loading,
        ProbeFailure.Busy => Contact.Busy,
        ProbeFailure.Local => Contact.LocalFault,
        _ when node.Condition == NodeCondition.Unavailable => Contact.Unreachable,
        _ when node.IsAnswering => Contact.Answering,
        _ when node.IsOnline => Contact.Failing,
        _ => Contact.Unseen,
    };

    private static HeardSince HeardOf(Assessment all, NodeView node)
    {
        TimeSpan asked = node.InfoAsked;
        NodeView? master = all.OldMasterAddress is { } address ? all.View.Node(address) : null;
        return When(asked >= all.View.LeadingSince, HeardSince.Term)
            | When(asked > node.LastFailedAt, HeardSince.LastFailure)
            | When(asked >= all.Progress.StartedAt, HeardSince.Change)
            | When(asked >= all.Progress.LostAt, HeardSince.Loss)
            | When(asked >= all.Progress.PausedAt, HeardSince.WritesHeld)
            | When(asked >= master?.FailingSince, HeardSince.MasterFailure)
            // True also where there is no master, or none that has been back: then nobody has to speak anew.
            | When(!(asked < master?.OnlineSince), HeardSince.MasterReturn)
            | When(asked >= all.View.VotesHeardAt, HeardSince.Votes);

        static HeardSince When(bool isSo, HeardSince moment) => isSo ? moment : HeardSince.None;
    }
}
