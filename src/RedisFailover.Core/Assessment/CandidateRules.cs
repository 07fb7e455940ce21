namespace RedisFailover;

/// <summary>What somebody has to be fit for.</summary>
[Flags]
internal enum Purpose
{
    /// <summary>To replace a master that is lost, now: its word has to be final.</summary>
    Failover = 1,

    /// <summary>To take over if the master were lost: asked while it is well.</summary>
    Readiness = 2,

    /// <summary>To replace a master that lives and serves nobody.</summary>
    Replacement = 4,

    /// <summary>To take over from a living master that hands over because it cannot go on.</summary>
    Handover = 8,

    /// <summary>To take over from a living master because an operator asks for it.</summary>
    Switchover = 16,

    /// <summary>To be promoted at the end of a handover that has begun.</summary>
    CatchingUp = 32,

    /// <summary>All of them.</summary>
    Any = Failover | Readiness | Replacement | Handover | Switchover | CatchingUp,
}

/// <summary>Why a node may not become master.</summary>
internal enum Unfitness
{
    /// <summary>It could not be detached from the lost master.</summary>
    NotDetached,

    /// <summary>It refuses our credentials, or is no Redis.</summary>
    NotWatched,

    /// <summary>It does not answer at present.</summary>
    NotAnswering,

    /// <summary>It has not said since the loss what it holds.</summary>
    NotHeard,

    /// <summary>It does not answer.</summary>
    Unavailable,

    /// <summary>It is loading its data set.</summary>
    Loading,

    /// <summary>A script keeps it busy.</summary>
    Busy,

    /// <summary>It is configured never to be promoted, here or by its own replica-priority.</summary>
    NeverPromoted,

    /// <summary>It is receiving a full copy.</summary>
    Copying,

    /// <summary>It is empty and the master was not.</summary>
    Empty,

    /// <summary>Its data are of another history.</summary>
    Diverged,

    /// <summary>Its promotion has just failed.</summary>
    PromotionFailed,

    /// <summary>It would serve no better than the living master: most monitors cannot reach it, say, or it would refuse writes.</summary>
    NoBetterThanMaster,

    /// <summary>It lacks more than max-lag.</summary>
    TooFarBehind,

    /// <summary>It is the lost master itself.</summary>
    LostMaster,

    /// <summary>It has not answered when it was asked for this.</summary>
    Hanging,

    /// <summary>Its link to the master is down.</summary>
    LinkDown,

    /// <summary>The monitors may not make it a master.</summary>
    RightsMissing,
}

/// <summary>One reason for which a node may not become master, and for which purposes it counts.</summary>
internal sealed record CandidateRule(Unfitness Code, Purpose Purposes, Func<Screening, NodeAssessment, string?> Why);

/// <summary>
/// Who may take over: one table for failover, switchover, handover and readiness. The first rule that objects gives the reason; a code
/// stands more than once where its words or its purposes differ.
/// </summary>
/// <remarks>
/// Beside it: <see cref="WriteHolders"/> (acknowledged writes), <see cref="Latecomers"/> (who is waited for), <see cref="LastResort"/>
/// (nobody is fit), <see cref="ChangingMaster"/> (one that is promoted already) and <see cref="FirstMaster"/> (no topology yet).
/// </remarks>
internal static class CandidateRules
{
    internal static CandidateRule[] All { get; } =
    [
        new(Unfitness.NotDetached, Purpose.Failover, (s, n) => IsNotFinal(n) && s.All.FailureOf(new Detach(n.Address)) is { } failure
            ? $"it could not be detached from its master: {failure}" : null),
        new(Unfitness.NotWatched, Purpose.Any, (_, n) => n.CannotBeWatched ? n.View.Detail : null),
        new(Unfitness.Loading, Purpose.Any, (_, n) => n.Contact == Contact.Loading ? n.View.Detail : null),
        new(Unfitness.Busy, Purpose.Any, (_, n) => n.Contact == Contact.Busy ? n.View.Detail : null),
        new(Unfitness.NotAnswering, Purpose.Failover, (_, n)
            => IsNotFinal(n) && n.View.FailingSince is not null ? $"it does not answer at present ({n.View.Detail})" : null),
        // Before NotHeard: one that is left alone is never asked what it holds.
        new(Unfitness.Diverged, Purpose.Any, (_, n)
            => n.IsLeftAlone ? $"it is somebody else's and is left alone: {n.ForeignSign}" : null),
        new(Unfitness.Diverged, Purpose.Failover, (s, n) => OtherMasters.MadeByOthers(s.All) is { } made && OtherMasters.HasLinkTo(n, made)
            ? $"it follows {made.Address}, which is a master, and is left to it" : null),
        new(Unfitness.NotHeard, Purpose.Failover, (_, n)
            => IsNotFinal(n) ? "it has not said yet what it holds since the master was lost" : null),
        new(Unfitness.Unavailable, Purpose.Any, (_, n)
            => n.Contact == Contact.LocalFault ? $"this monitor cannot try it ({n.View.Detail})" : null),
        new(Unfitness.Unavailable, Purpose.Any, (_, n)
            => n.IsOnline ? null : n.View.Detail.Length > 0 ? $"unavailable ({n.View.Detail})" : "not seen yet"),
        new(Unfitness.Loading, Purpose.Any, (_, n) => n.Info!.Loading ? "it is loading its data set" : null),
        new(Unfitness.NeverPromoted, Purpose.Any, (s, n)
            => s.All.Policy.NeverPromote.Contains(n.Address) ? "it is configured never to be promoted" : null),
        new(Unfitness.NeverPromoted, Purpose.Any, (s, n) => s.All.PriorityOf(n) > 0 ? null
            : s.All.Policy.Priorities.ContainsKey(n.Address) ? "its tag is priority=0" : "its replica-priority is 0"),
        new(Unfitness.NeverPromoted, Purpose.Any, (_, n)
            => n.Info!.Mode is "standalone" or "" ? null : $"it runs in {n.Info.Mode} mode"),
        new(Unfitness.Copying, Purpose.Any & ~Purpose.Readiness, (_, n) => n.Info!.SyncInProgress ? "it is receiving a full copy" : null),
        // One whose tries are refused has nothing in progress once the master is gone.
        new(Unfitness.Copying, Purpose.Readiness, (_, n)
            => n is { Info.SyncInProgress: true, Refusal: null } ? "it is receiving a full copy" : null),
        new(Unfitness.Empty, Purpose.Any, (s, n)
            => s.Lost is { HasData: true } lost && n.Info!.Keys == 0 && !Histories.HasAllThatIsKnownOf(n.Info, lost)
            ? "it is empty and the master was not" : null),
        new(Unfitness.Diverged, Purpose.Any, (s, n) => s.Lost is not { } lost || n.Info!.SharesHistoryWith(lost) ? null
            : $"its data are not the master's (replication id {Short(n.Info.ReplicationId)}, the master's was "
                + $"{Short(lost.ReplicationId)})"),
        new(Unfitness.PromotionFailed, Purpose.Any, (s, n)
            => s.All.View.Failed.GetValueOrDefault(new Promote(n.Address)) is { } failed && failed.RetryAt > s.All.Now
            ? $"its promotion failed: {failed.Why}" : null),
        // In a failover it is tried all the same: the right may have been given since it was asked for.
        new(Unfitness.RightsMissing, Purpose.Any & ~Purpose.Failover, (_, n)
            => n.LacksRightToPromote ? Forbidden(n, NodeRights.ChangeRole) : null),
        new(Unfitness.NoBetterThanMaster, Purpose.Handover | Purpose.Switchover | Purpose.Replacement, (_, n) => Reservation(n)),
        new(Unfitness.NoBetterThanMaster, Purpose.Replacement, (s, n) => WouldLackReplicas(s.All, n)),
        new(Unfitness.TooFarBehind, Purpose.Failover | Purpose.Readiness | Purpose.Replacement, TooFarBehind),
        new(Unfitness.LostMaster, Purpose.Failover, (s, n)
            => n.IsMaster && n.Address == s.All.From?.Address ? "it is the master that is replaced" : null),
        new(Unfitness.Hanging, Purpose.Handover | Purpose.Switchover, (s, n) => Hanging(n, s.AskedAt, s.All.Now)),
        new(Unfitness.LinkDown, Purpose.Handover | Purpose.Switchover, (_, n) => n.Info!.LinkUp ? null : "its link to the master is down"),
    ];

    /// <summary>
    /// Why another node with equally much data is better, or null: most monitors cannot reach it, they may not promote it, its data differ
    /// from its master's, or it would refuse writes or evict keys. A living master is not replaced by such a node.
    /// </summary>
    internal static string? Reservation(NodeAssessment node)
        => node.IsVotedOut ? node.Votes.ToString()
            : node.LacksRightToPromote ? Forbidden(node, NodeRights.ChangeRole)
            : node.View is { TakesNoConnections: true, RefusesConnections: (_, _, var detail) } ? $"it takes no new connection ({detail})"
            : node is { IsReplica: true, View.WritesPausedSince: not null } ? "it is paused (CLIENT PAUSE)"
            : node.Divergence is { } differs ? $"{differs}: its data differ"
            : WouldRefuseWrites(node) is { } why ? $"{why} and would refuse writes"
            : node is { IsReplica: true, Info.IsOverMaxMemory: true } ? "it holds more than its maxmemory and would evict keys"
            : null;

    /// <summary>Whether it is never promoted, by configuration or by its priority.</summary>
    internal static bool IsNeverPromoted(Assessment a, NodeAssessment node)
        => a.Policy.NeverPromote.Contains(node.Address)
            || (node.Info is not null ? a.PriorityOf(node) == 0 : a.Topology.NeverPromoted.Contains(node.Address));

    /// <summary>Why it would refuse writes as a master, whatever follows it; null where it would take them.</summary>
    internal static string? WouldRefuseWrites(NodeAssessment node) => node.Info switch
    {
        { RefusesWrites: true } => "it cannot save",
        { IsOutOfMemory: true } => "it has no memory left (maxmemory, noeviction)",
        _ => null,
    };

    /// <summary>
    /// Why it would refuse writes for want of replicas, in the place of a master that is gone; null where it would not, or where the
    /// monitors set the number themselves.
    /// </summary>
    internal static string? WouldLackReplicas(Assessment a, NodeAssessment node)
    {
        if (a.Policy.WriteSafety != WriteSafetyMode.None || node.Info?.MinReplicas is not { Count: > 0 and var demanded, MaxLag: > 0 })
        {
            return null;
        }

        int left = a.Configured.Count(n
                => n.Address != node.Address && n.Address != a.OldMasterAddress
                    && n is { IsReplica: true, IsAnswering: true, IsForeign: false });
        return left >= demanded ? null
            : $"its min-replicas-to-write is {demanded}, and {Words.Count(left, "replica", "replicas")} would be left";
    }

    /// <summary>Which of these commands the monitors may not run on a node, in words.</summary>
    internal static string Forbidden(NodeAssessment node, NodeRights rights)
        => $"the monitors may not run {string.Join(" and ", NodeRight.Commands(node.Info!.MissingRights & rights))} on it";

    /// <summary>Why a node that was asked at that time counts as one that hangs; null where it has answered.</summary>
    internal static string? Hanging(NodeAssessment node, TimeSpan askedAt, TimeSpan now)
        => node.WasAskedSince(askedAt) ? null
            : !node.IsAnswering ? $"it does not answer at present ({node.View.Detail})"
            : $"it has not answered within {(now - askedAt).TotalMilliseconds:0} ms";

    private static bool IsNotFinal(NodeAssessment node) => node.IsOnline && !node.OffsetIsFinal;

    /// <summary>
    /// What the master took after it was last asked is not known, so this sees a lasting lag, not that of the last moment. While it serves,
    /// each of the two words on a replica may be a second old: the better one counts.
    /// </summary>
    private static string? TooFarBehind(Screening s, NodeAssessment node)
        => s.Lost is { } lost && node.Info is { } info && Lacking(s, node, info, lost) is var lacking && lacking > s.All.Policy.MaxLag
            ? $"it lacks {lacking} bytes, more than max-lag ({s.All.Policy.MaxLag})"
            : null;

    private static long Lacking(Screening s, NodeAssessment node, NodeInfo info, MasterIdentity lost)
    {
        long lacking = lost.Offset - (info.CommonOffset(lost) ?? info.Offset);
        return s is { Purpose: Purpose.Readiness, All.Topology.Master: not null,
            All.Master: { IsMaster: true, IsAnswering: true, Info: { } master } } && info.LinkUp
            && master.ReplicationId == lost.ReplicationId && NodeReports.BytesBehind(master, node.View) is { } behind
            ? Math.Min(lacking, behind) : lacking;
    }

    private static string Short(string id) => id.Length <= 8 ? id : id[..8];
}
