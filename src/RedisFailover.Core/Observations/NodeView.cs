using System.Collections.Immutable;

namespace RedisFailover;

/// <summary>What a monitor makes of the probes of a node.</summary>
internal enum NodeCondition
{
    /// <summary>No answer yet, and not enough failures to say that there is none.</summary>
    Unknown,

    /// <summary>It answers.</summary>
    Online,

    /// <summary>It failed max-failures times in a row.</summary>
    Unavailable,
}

/// <summary>One node as this monitor sees it.</summary>
/// <param name="Address">The node.</param>
internal sealed record NodeView(NodeAddress Address)
{
    /// <summary>Whether it answers.</summary>
    public NodeCondition Condition { get; init; }

    /// <summary>Consecutive failures; 0 after an answer. Failures that are our own fault (AuthRefused, NotRedis) are not counted.</summary>
    public int Failures { get; init; }

    /// <summary>When the failures began; null while it answers.</summary>
    public TimeSpan? FailingSince { get; init; }

    /// <summary>When it last answered; null before its first answer.</summary>
    public TimeSpan? AnsweredAt { get; init; }

    /// <summary>
    /// Since when it is gone, as it is told: the first failure, or, where that was silence, its last answer. Decisions go by
    /// <see cref="FailingSince"/>, before which nothing was known.
    /// </summary>
    public TimeSpan? GoneSince { get; init; }

    /// <summary>When the last failed probe was; never, where none has been.</summary>
    public TimeSpan LastFailedAt { get; init; } = TimeSpan.MinValue;

    /// <summary>When it began to answer; null while it does not.</summary>
    public TimeSpan? OnlineSince { get; init; }

    /// <summary>Since when it has answered every time; before, when it last began to. Null before its first answer.</summary>
    public TimeSpan? AnswersSince { get; init; }

    /// <summary>Since when it has answered nothing but LOADING; null when it does not.</summary>
    public TimeSpan? LoadingSince { get; init; }

    /// <summary>Since when it has said that it refuses writes (MISCONF); null when it does not.</summary>
    public TimeSpan? RefusesWritesSince { get; init; }

    /// <summary>Since when it has answered nothing but BUSY; null when it does not.</summary>
    public TimeSpan? BusySince { get; init; }

    /// <summary>Since when it has said that it is shutting down; null when it does not.</summary>
    public TimeSpan? ShutsDownSince { get; init; }

    /// <summary>Since when it has held its writes for a FAILOVER that somebody sent it; null when it does not.</summary>
    public TimeSpan? FailsOverSince { get; init; }

    /// <summary>Since when it was seen to hold its writes (CLIENT PAUSE); null when it does not. A FAILOVER holds them too.</summary>
    public TimeSpan? WritesPausedSince { get; init; }

    /// <summary>When it was last seen to have refused commands with OOM; null when it was not.</summary>
    public TimeSpan? OutOfMemoryAt { get; init; }

    /// <summary>Since when it has had its present role and master; null while it has shown no other.</summary>
    public TimeSpan? RoleSince { get; init; }

    /// <summary>The name under which the same server is watched; null where it is no other's.</summary>
    public NodeAddress? SameServerAs { get; init; }

    /// <summary>
    /// Since when it has refused new connections, though the one that there is goes on, and how; null where it takes them.
    /// </summary>
    public (TimeSpan Since, ProbeFailure Failure, string Detail)? RefusesConnections { get; init; }

    /// <summary>Whether nobody can connect to it anew: not for our own credentials, nor for want of connections (maxclients).</summary>
    internal bool TakesNoConnections
        => RefusesConnections is { Failure: not RedisFailover.ProbeFailure.AuthRefused } && IsAnswering && Info is { IsFull: false };

    /// <summary>Whether its name is wrong: it led to another server while <see cref="SameServerAs"/> was the one that it is.</summary>
    public bool LeadsAstray { get; init; }

    /// <summary>
    /// Whether the process that answers ran already when the one before it at this address last answered: it was not restarted, but is
    /// another server.
    /// </summary>
    public bool RanBesideFormer { get; init; }

    /// <summary>Of a replica: since when it has had no link to its master, or has followed nobody; null when it has one.</summary>
    public TimeSpan? LinkDownSince { get; init; }

    /// <summary>
    /// Of a master: full copies that it began one after the other, with less than <see cref="CopiesApart"/> between two; 0 for
    /// none.
    /// </summary>
    public long FullCopiesInARow { get; init; }

    /// <summary>When the first of <see cref="FullCopiesInARow"/> was seen; null for none.</summary>
    public TimeSpan? FullCopiesSince { get; init; }

    /// <summary>When the last of <see cref="FullCopiesInARow"/> was seen; null for none.</summary>
    public TimeSpan? LastFullCopyAt { get; init; }

    /// <summary>
    /// Full copies that begin further apart than this have nothing to do with each other: a large one takes minutes to fail.
    /// </summary>
    public static readonly TimeSpan CopiesApart = TimeSpan.FromMinutes(5);

    /// <summary>How often, while nothing else changed, it was made to follow its master again; null where it was not.</summary>
    public Corrections? Corrected { get; init; }

    /// <summary>How the last probe failed; null after an answer.</summary>
    public ProbeFailure? ProbeFailure { get; init; }

    /// <summary>The last failure in words.</summary>
    public string Detail { get; init; } = "";

    /// <summary>What it last said of itself; null before its first answer.</summary>
    public NodeInfo? Info { get; init; }

    /// <summary>When <see cref="Info"/> was asked for: it holds for this time or later.</summary>
    public TimeSpan InfoAsked { get; init; } = TimeSpan.MinValue;

    /// <summary>
    /// What it last said in each of its runs before this one that this monitor saw, the last run first: as far back as its data may go by
    /// its own files.
    /// </summary>
    public ImmutableArray<NodeInfo> FormerRuns { get; init; } = [];

    /// <summary>What it last said before it was restarted; null when it was not, since this monitor watches it.</summary>
    public NodeInfo? BeforeRestart => FormerRuns.FirstOrDefault();

    /// <summary>What it last said as a master, where it has become a replica since without a restart; null otherwise.</summary>
    public NodeInfo? AsMaster { get; init; }

    /// <summary>What the process that answers said first; null before its first answer.</summary>
    public NodeInfo? AtFirst { get; init; }

    /// <summary>Since when the process that answers has been known, away or not; null before its first answer.</summary>
    public TimeSpan? RunSince { get; init; }

    /// <summary>
    /// Of a master: how far it had come when, the oldest first, spaced so that it reaches back for max-replica-staleness: how old the data
    /// of a replica are that applies too slowly.
    /// </summary>
    public ImmutableArray<(TimeSpan At, long Offset)> Trail { get; init; } = [];

    /// <summary>Of a replica: whether it was seen with a link to the master that it follows now, since it follows that one.</summary>
    public bool HadLink { get; init; }

    /// <summary>
    /// Whether the process that answers was seen with a link to its master: what it holds is that master's, and not of a file alone.
    /// </summary>
    public bool HasFollowed { get; init; }

    /// <summary>
    /// What it said last each time before it was seen to have come less far, in one run: a full copy has replaced what it held then.
    /// </summary>
    public ImmutableArray<NodeInfo> Overwritten { get; init; } = [];

    /// <summary>
    /// What it had refused of its master's stream (<see cref="NodeInfo.StreamErrors"/>) when it last had all of it: after a full copy,
    /// or as a master.
    /// </summary>
    public long StreamErrorsBefore { get; init; }

    /// <summary>How many commands of its master's it has refused since.</summary>
    public long RefusedOfStream => Info is { Role: NodeRole.Replica } info ? Math.Max(0, info.StreamErrors - StreamErrorsBefore) : 0;

    /// <summary>Since when it has been seen to refuse what its master sends; null when it does not.</summary>
    public TimeSpan? RefusesStreamSince { get; init; }

    /// <summary>When it was seen to receive a full copy, in this run, that was not seen to be complete; null otherwise.</summary>
    public TimeSpan? CopySeenAt { get; init; }

    /// <summary>Whether it turned from a replica into a master without a restart: somebody told it to.</summary>
    public bool WasPromoted { get; init; }

    /// <summary>The time that its last answer took.</summary>
    public TimeSpan Latency { get; init; }

    /// <summary>Whether it answers and has said what it is.</summary>
    public bool IsOnline => Condition == NodeCondition.Online && Info is not null;

    /// <summary>
    /// Whether it answers at present: not one that has missed a beat, is loading, or answers others but not us (AuthRefused).
    /// </summary>
    public bool IsAnswering => IsOnline && FailingSince is null && ProbeFailure is null;

    /// <summary>Whether it answers, and what it has said of itself holds for after its last failure: it may have been restarted.</summary>
    public bool IsInOrder => IsAnswering && InfoAsked > LastFailedAt;

    /// <summary>Whether it answers as a master.</summary>
    public bool IsMaster => IsOnline && Info!.Role == NodeRole.Master;

    /// <summary>Whether it answers as a replica.</summary>
    public bool IsReplica => IsOnline && Info!.Role == NodeRole.Replica;

    /// <summary>
    /// Whether the last probe came back with nothing at all from there, not even a refusal: the fault may as well be this monitor's.
    /// </summary>
    public bool IsOutOfSight
        => ProbeFailure is RedisFailover.ProbeFailure.Silent or RedisFailover.ProbeFailure.Unreachable or RedisFailover.ProbeFailure.Local;

    /// <summary>Its failures count from now: those before were this monitor's own.</summary>
    internal NodeView CountedAnew(TimeSpan at) => this with
    {
        Condition = Condition == NodeCondition.Unavailable ? NodeCondition.Unknown : Condition,
        Failures = 0,
        FailingSince = FailingSince is null ? null : at,
    };

    /// <summary>
    /// Whether it is out of sight for good: not for a probe that was late. What this monitor itself lacks is not counted in probes.
    /// </summary>
    internal bool StaysOutOfSight(FailoverPolicy policy)
        => IsOutOfSight && (ProbeFailure == RedisFailover.ProbeFailure.Local || Failures >= policy.MaxFailures);

    private static bool IsOfUs(ProbeFailure failure) => failure == RedisFailover.ProbeFailure.AuthRefused;

    internal NodeView Connected(NewConnectionTried tried) => this with
    {
        WritesPausedSince = tried.ProbeFailure == RedisFailover.ProbeFailure.WritesHeld ? WritesPausedSince ?? tried.Since : null,
        RefusesConnections = tried.ProbeFailure is not { } failure || failure == RedisFailover.ProbeFailure.WritesHeld ? null
            : (RefusesConnections is { } before && IsOfUs(before.Failure) == IsOfUs(failure) ? before.Since : tried.Since, failure,
                tried.Detail),
    };

    internal NodeView Answered(TimeSpan at, TimeSpan latency) => this with
    {
        OnlineSince = OnlineSince ?? at,
        AnswersSince = LastFailedAt >= AnsweredAt ? at : AnswersSince ?? at,
        Condition = NodeCondition.Online,
        Failures = 0,
        FailingSince = null,
        GoneSince = null,
        AnsweredAt = at,
        LoadingSince = null,
        BusySince = null,
        ProbeFailure = null,
        SameServerAs = null,
        LeadsAstray = false,
        Detail = "",
        Latency = latency,
    };

    /// <summary>
    /// Takes what it said over, unless something that was asked for later is known already: answers can overtake each other.
    /// </summary>
    internal NodeView Informed(NodeInfo info, TimeSpan asked)
    {
        if (asked < InfoAsked)
        {
            return this;
        }

        NodeView view = (Info is { } known && known.RunId == info.RunId ? Continued(known, info, asked) : Restarted(Info, info, asked)) with
        {
            Info = info,
            InfoAsked = asked,
            RoleSince = Info is { } was && (was.Role, was.MasterAddress) != (info.Role, info.MasterAddress) ? asked : RoleSince,
            HadLink = info.Role == NodeRole.Replica && (info.LinkUp || (HadLink && Info!.MasterAddress == info.MasterAddress)),
            RefusesWritesSince = info.RefusesWrites ? RefusesWritesSince ?? asked : null,
            ShutsDownSince = info.ShutsDownIn is null ? null : ShutsDownSince ?? asked,
            FailsOverSince = info.FailsOver ? FailsOverSince ?? asked : null,
            LinkDownSince = info is not { Role: NodeRole.Replica, LinkUp: false } ? null
                : Info is { } then && then.MasterAddress == info.MasterAddress && LinkDownSince is { } since ? since
                : asked - (info.LinkDownFor ?? TimeSpan.Zero),
        };
        return view.Copying(Info, asked).Refusing(asked);
    }

    private NodeView Refusing(TimeSpan asked)
        => this with { RefusesStreamSince = RefusedOfStream > 0 ? RefusesStreamSince ?? asked : null };

    /// <summary>A master says that it sends this one a full copy, or will: what is told by this node itself may come too late.</summary>
    internal NodeView SeenCopied(TimeSpan asked) => this with { CopySeenAt = CopySeenAt ?? asked };

    /// <summary>The same, and how far it has come is remembered for as long as a replica may be behind.</summary>
    internal NodeView Informed(NodeInfo info, TimeSpan asked, TimeSpan longestBehind)
    {
        NodeView next = Informed(info, asked);
        if (info.Role != NodeRole.Master || longestBehind == TimeSpan.Zero)
        {
            return next.Trail.IsEmpty ? next : next with { Trail = [] };
        }

        bool goesOn = Info?.RunId == info.RunId && Info.ReplicationId == info.ReplicationId;
        ImmutableArray<(TimeSpan At, long Offset)> trail = goesOn ? Trail : [];
        return !trail.IsEmpty && asked - trail[^1].At < longestBehind / TrailParts ? next
            : next with { Trail = [.. trail.TakeLast(TrailParts), (asked, info.Offset)] };
    }

    /// <summary>In so many parts a master's trail is kept: an age is known to within one of them.</summary>
    private const int TrailParts = 8;

    /// <summary>Each time there has to be a full copy, and what was lost before the first of so many is long known.</summary>
    private const int MostOverwritten = 4;

    /// <summary>The run that was known has gone on.</summary>
    private NodeView Continued(NodeInfo before, NodeInfo info, TimeSpan asked) => this with
    {
        HasFollowed = HasFollowed || info is { Role: NodeRole.Replica, LinkUp: true },
        Overwritten = info.Offset < before.Offset ? [.. Overwritten.TakeLast(MostOverwritten - 1), before] : Overwritten,
        AsMaster = info.Role == NodeRole.Master ? null : before.Role == NodeRole.Master ? before : AsMaster,
        WasPromoted = info.Role == NodeRole.Master && (WasPromoted || before.Role == NodeRole.Replica),
        OutOfMemoryAt = info.OutOfMemoryErrors > before.OutOfMemoryErrors ? asked : OutOfMemoryAt,
        CopySeenAt = IsCopied(before, info, asked) ? null : CopySeenAt ?? (info.SyncInProgress || HasLoaded(before, info) ? asked : null),
        // While it is copied nothing is carried out; what was counted behind it is counted with the next answer. A count that falls was
        // set back (CONFIG RESETSTAT).
        StreamErrorsBefore = info.Role == NodeRole.Master ? info.StreamErrors
            : IsCopied(before, info, asked) ? (before.LinkUp ? info : before).StreamErrors
            : Math.Min(StreamErrorsBefore, info.StreamErrors),
    };

    /// <summary>Whether a full copy is complete, with what it says now.</summary>
    private bool IsCopied(NodeInfo before, NodeInfo info, TimeSpan asked)
        => info is { Role: NodeRole.Replica, LinkUp: true } && (asked > CopySeenAt || HasLoaded(before, info));

    /// <summary>A quick copy shows in nothing but what was loaded last: in one run that is never a file of its own.</summary>
    private static bool HasLoaded(NodeInfo before, NodeInfo info) => info.LoadedKeys != before.LoadedKeys;

    /// <summary>Another run, or the first that is seen.</summary>
    private NodeView Restarted(NodeInfo? before, NodeInfo info, TimeSpan asked) => this with
    {
        // It was away, if only for milliseconds.
        OnlineSince = before is not null && asked > OnlineSince ? asked : OnlineSince,
        RunSince = asked,
        AtFirst = info,
        HasFollowed = info is { Role: NodeRole.Replica, LinkUp: true },
        // What it had from a link is of no run before that.
        FormerRuns = before is null ? FormerRuns : HasFollowed ? [before] : [before, .. FormerRuns.Take(MostFormerRuns - 1)],
        Overwritten = [],
        AsMaster = null,
        WasPromoted = false,
        CopySeenAt = null,
        StreamErrorsBefore = info.Role == NodeRole.Master ? info.StreamErrors : 0,
        RanBesideFormer = before is null ? RanBesideFormer : asked - InfoAsked + ClockSlack < info.Uptime,
    };

    /// <summary>One that was restarted more often than that, and never had a link, is in trouble of another kind.</summary>
    private const int MostFormerRuns = 8;

    /// <summary>By how much a server's whole seconds of uptime may differ from ours.</summary>
    private static readonly TimeSpan ClockSlack = TimeSpan.FromSeconds(2);

    /// <summary>Counts the full copies that the node has begun since it was asked before.</summary>
    private NodeView Copying(NodeInfo? before, TimeSpan asked)
    {
        long begun = before is null || before.RunId != Info!.RunId ? 0 : Info.FullCopies - before.FullCopies;
        return begun > 0
            ? LastFullCopyAt is { } last && asked - last < CopiesApart
                ? this with { FullCopiesInARow = FullCopiesInARow + begun, LastFullCopyAt = asked }
                : this with { FullCopiesInARow = begun, FullCopiesSince = asked, LastFullCopyAt = asked }
            : LastFullCopyAt is { } over && asked - over >= CopiesApart
                ? this with { FullCopiesInARow = 0, FullCopiesSince = null, LastFullCopyAt = null }
                : this;
    }

    /// <summary>A probe failed. What it proves depends on how: see <see cref="RedisFailover.ProbeFailure"/>.</summary>
    internal NodeView Failed(NodeFailed failure, FailoverPolicy policy)
    {
        if (LeadsAstray)
        {
            // It is the other node that failed, as far as anybody knows.
            return this;
        }

        NodeView said = this with { ProbeFailure = failure.ProbeFailure, Detail = failure.Detail };
        return failure.ProbeFailure switch
        {
            RedisFailover.ProbeFailure.AuthRefused => said.RefusedUs(),
            RedisFailover.ProbeFailure.Busy => said.FoundBusy(failure.At),
            RedisFailover.ProbeFailure.Loading => said.FoundLoading(failure.At, policy),
            RedisFailover.ProbeFailure.NotRedis or RedisFailover.ProbeFailure.Local => said,
            _ => said.Unanswered(failure, policy),
        };
    }

    /// <summary>It lives, whatever failed before: only what it would say of itself is not known.</summary>
    private NodeView RefusedUs() => this with
    {
        Condition = Condition == NodeCondition.Unavailable ? NodeCondition.Unknown : Condition,
        Failures = 0,
        FailingSince = null,
        GoneSince = null,
        LoadingSince = null,
        BusySince = null,
    };

    /// <summary>It lives and keeps what it has; when it serves again nobody knows: time decides, not the number of probes.</summary>
    private NodeView FoundBusy(TimeSpan at) => this with
    {
        Failures = 0,
        FailingSince = null,
        GoneSince = null,
        LastFailedAt = at,
        LoadingSince = null,
        BusySince = BusySince ?? at,
    };

    /// <summary>It lives, and will serve when it is done: time decides, not the number of probes.</summary>
    private NodeView FoundLoading(TimeSpan at, FailoverPolicy policy)
    {
        TimeSpan since = LoadingSince ?? at;
        bool stuck = at - since >= policy.LoadingTimeout;
        return this with
        {
            Failures = 0,
            FailingSince = FailingSince ?? at,
            GoneSince = GoneSince ?? at,
            LastFailedAt = at,
            LoadingSince = since,
            // Once it has answered it loads nothing but a copy, unless it is restarted.
            CopySeenAt = CopySeenAt ?? at,
            Condition = stuck ? NodeCondition.Unavailable : Condition,
            OnlineSince = stuck ? null : OnlineSince,
        };
    }

    private NodeView Unanswered(NodeFailed failure, FailoverPolicy policy)
    {
        bool isSilent = failure.ProbeFailure == RedisFailover.ProbeFailure.Silent;
        int failures = Failures + 1;
        bool isGone = failures >= policy.MaxFailures;
        return this with
        {
            Failures = failures,
            FailingSince = FailingSince ?? failure.At,
            GoneSince = GoneSince ?? (isSilent ? AnsweredAt : null) ?? failure.At,
            LastFailedAt = failure.At,
            // Silence may be a part of the loading, or of being busy.
            LoadingSince = isSilent ? LoadingSince : null,
            BusySince = isSilent ? BusySince : null,
            Condition = isGone ? NodeCondition.Unavailable : Condition,
            OnlineSince = isGone ? null : OnlineSince,
        };
    }
}
