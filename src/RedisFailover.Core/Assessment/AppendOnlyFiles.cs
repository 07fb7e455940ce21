namespace RedisFailover;

/// <summary>What a restarted node has kept by its append-only file, which forgets the replication history.</summary>
internal static class AppendOnlyFiles
{
    /// <summary>
    /// How far in the master's history a node was last seen that is back from its append-only file, which keeps the data and forgets the
    /// history; the master that was, as far as anybody was seen. Null where its own history tells, where it has had a link since, and where
    /// that may not be the file that it wrote. The number of its keys proves nothing: they may have been deleted since. By its last word:
    /// who wants to put it above others asks it again first, and an older word is no reason to put others above it.
    /// </summary>
    internal static long? KeptUntil(NodeAssessment node, MasterIdentity known)
        => LastSeenWriting(node, known, run => run.AppendsAll) is (long offset, var lost) ? offset - lost : null;

    /// <summary>
    /// How much of the end of a run's file is gone, in bytes, which are about as many of the stream: what a host had not written to its
    /// disk when it lost power. Null where a shorter file may as well have been rewritten: the same base tells, since Redis 7, that it was
    /// not. A base without a key, which Redis makes at its first start, it counts only after the next one.
    /// </summary>
    private static long? EndLost(NodeView now, NodeInfo run)
        => (now.AtFirst, run) is not ({ AppendedBytes: { } bytes } first, { AppendedBytes: { } before }) ? 0
            : (first, run) is ({ LoadedKeys: not null, AppendedBase: { } based }, { AppendedBase: { } then })
                && (based == then || (then == 0 && based <= EmptyBase)) ? Math.Max(0, before - then - bytes + based)
            : bytes >= before ? 0 : null;

    /// <summary>Whether its file is there and no shorter than when it was last seen: what it lacks of its keys it has deleted.</summary>
    internal static bool IsFileThere(NodeView now, NodeInfo before)
        => now.AtFirst is { AppendsOnly: true, AppendedBytes: > 0 and var bytes } && bytes >= before.AppendedBytes
            && EndLost(now, before) == 0;

    /// <summary>
    /// Another member whose file may not have had everything, and may have: a full copy was not written into it yet, or a write had failed.
    /// It may have kept what this node is known to lack, so only an operator can choose. One that is back with less than half of its keys
    /// has not; nor has one with no more keys than this node, where no monitor that lives saw what it had. Null where there is none.
    /// </summary>
    internal static NodeAssessment? MayHaveMore(Assessment a, MasterIdentity known, NodeAssessment node)
    {
        (long furthest, bool isOfItsEnd) = (Histories.FurthestSeen(a, known), Histories.IsOfTheLoss(a, known));
        return (node.Info!.CommonOffset(known) ?? KeptUntil(node, known)) is not { } held
            || (isOfItsEnd && DataLoss.MayBePings(furthest - held)) ? null
            : (from n in a.Configured
                where n.IsInOrder && n.Address != node.Address && a.Topology.Members.Contains(n.Address)
                    && !CandidateRules.IsNeverPromoted(a, n) && KeptUntil(n, known) is null
                let kept = n.View.BeforeRestart is not null
                    ? LastSeenWriting(n, known, run => run.AppendsOnly && 2 * n.View.AtFirst!.Keys >= run.Keys) is (long offset, var lost)
                        ? offset - (lost ?? 0) : null
                    : !IsFromItsFile(n, known) || n.Info!.Keys <= node.Info.Keys ? null
                    : isOfItsEnd ? furthest : (long?)long.MaxValue
                where kept > held && !DataLoss.MayBePings(kept.Value - held)
                orderby kept descending
                select n).FirstOrDefault();
    }

    /// <summary>Whether a node has what its append-only file has kept: it has followed nobody since it was started from that.</summary>
    private static bool IsFromItsFile(NodeAssessment node, MasterIdentity known)
        => node is { IsLeftAlone: false, View: { HasFollowed: false, AtFirst.AppendsOnly: true },
            Info: { Loading: false, SyncInProgress: false } info } && !info.SharesHistoryWith(known);

    /// <summary>
    /// How far in the master's history the last run was seen that knew it, of one that has what its file has kept, as long as all the runs
    /// between wrote that file; and how much of its end is gone.
    /// </summary>
    private static (long Offset, long? EndLost)? LastSeenWriting(NodeAssessment node, MasterIdentity known, Func<NodeInfo, bool> writes)
    {
        if (!IsFromItsFile(node, known))
        {
            return null;
        }

        NodeInfo? last = node.View.FormerRuns.TakeWhile(run => writes(run) && !IsFileLost(node.View, run))
            .FirstOrDefault(run => run is { SyncInProgress: false, CopyBrokeOff: false } && run.CommonOffset(known) is not null);
        return last is null ? null
            : (last.RunId == known.RunId ? Histories.FurthestSeen(node.All, known) : last.CommonOffset(known)!.Value,
                EndLost(node.View, last));
    }

    /// <summary>
    /// Whether a node was started without the append-only file of that run: it holds nothing, and its file is shorter; or that was less
    /// than half as long when it first answered, and no rewrite explains that: it has no base, or half of the keys are gone as well. A
    /// power cut takes no more than the end of a file.
    /// </summary>
    internal static bool IsFileLost(NodeView now, NodeInfo before)
        => before.Keys > 0 && ((now.Info!.Keys == 0 && !IsFileThere(now, before))
            || (now.AtFirst is { AppendedBytes: { } bytes } first && 2 * bytes < before.AppendedBytes
                && (first.AppendedBase <= EmptyBase || 2 * first.Keys < before.Keys)));

    /// <summary>A base without a key is of some 90 bytes (Redis 7).</summary>
    private const int EmptyBase = 256;

    /// <summary>
    /// A member whose append-only file has kept more than this node has, or than it is known to have; null where there is none. Where
    /// nothing tells what this node has, one that followed it to the end comes first, and of others the keys tell.
    /// </summary>
    internal static NodeAssessment? KeptByFile(Assessment a, MasterIdentity known, NodeAssessment node)
    {
        long furthest = Histories.FurthestSeen(a, known);
        long? held = node.Info!.CommonOffset(known) ?? KeptUntil(node, known);
        // Whose history is the master's, but not known from where on it left it, may have everything.
        return held >= furthest || (held is null && node.Info.SharesHistoryWith(known)) ? null
            : (from n in a.Configured
                where n.IsInOrder && n.Address != node.Address && a.Topology.Members.Contains(n.Address)
                    && !CandidateRules.IsNeverPromoted(a, n)
                let kept = KeptUntil(n, known)
                where kept is not null
                    && (held is { } has ? kept > has
                        : DataLoss.MayBePings(furthest - kept.Value) || FollowedToTheEnd(n, node) || n.Info!.Keys > node.Info.Keys)
                orderby kept descending, n.Info!.Keys descending
                select n).FirstOrDefault();
    }

    /// <summary>
    /// Whether a node was in step with this master by the last word of both, which are up to a second apart: it told how far it was, and
    /// lacked no more than one that may be promoted (max-lag).
    /// </summary>
    private static bool FollowedToTheEnd(NodeAssessment node, NodeAssessment master)
        => node.View.BeforeRestart is { LinkUp: true } && master.View.BeforeRestart is { Role: NodeRole.Master } last
            && last.Replicas.Any(r => r.Replica == node.Address && r is { IsOnline: true, Lag: null or <= 1 }
                && !(last.Offset - r.Offset > node.All.Policy.MaxLag));
}
