using System.Collections.Immutable;

namespace RedisFailover;

/// <content>What an answer changes: the run that goes on or another one, and full copies.</content>
internal sealed partial record NodeView
{
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

        info = Info is { } last && last.RunId == info.RunId && KeepsWholeFile(last, info) ? info with { AppendsAll = true } : info;
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
        // A link may be too short to be seen. In one run a replica's replication id changes by its master's doing alone.
        HasFollowed = HasFollowed
            || (info.Role == NodeRole.Replica && (info.LinkUp || info.ReplicationId != before.ReplicationId)),
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

    /// <summary>
    /// Whether an append-only file that had everything has it still: Redis writes on into it until the next one is complete, and where a
    /// rewrite fails as well. A full copy makes it worthless; whether there was one a replica tells since Redis 7.
    /// </summary>
    private bool KeepsWholeFile(NodeInfo before, NodeInfo info)
        => before.AppendsAll && info is { AppendsOnly: true, AppendFailed: false, SyncInProgress: false } && CopySeenAt is null
            && !HasLoaded(before, info) && (info.LoadedKeys is not null || (before.Role == NodeRole.Master && info.Role == NodeRole.Master
                && before.ReplicationId == info.ReplicationId));

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
}
