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
internal sealed partial record NodeView(NodeAddress Address)
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
}
