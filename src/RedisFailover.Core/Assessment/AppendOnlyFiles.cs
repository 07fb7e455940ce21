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
    {
        if (node is not { IsLeftAlone: false, View.HasFollowed: false,
                Info: { AppendsOnly: true, Loading: false, SyncInProgress: false } info } || info.SharesHistoryWith(known))
        {
            return null;
        }

        return LastSeenWriting(node, known, run => run.AppendsAll);
    }

    /// <summary>
    /// The same where the file may not have had everything, and may have: a full copy was not written into it yet, or a write had failed.
    /// Only an operator can tell.
    /// </summary>
    internal static long? MayHaveKeptUntil(NodeAssessment node, MasterIdentity known)
        => node is { IsInOrder: true, IsLeftAlone: false, View.HasFollowed: false, Info: { AppendsOnly: true, SyncInProgress: false } info }
            && !info.SharesHistoryWith(known) ? LastSeenWriting(node, known, run => run.AppendsOnly) : null;

    /// <summary>
    /// Whether another node's file may have kept everything while this one, whose file is whole, is known to lack something: an operator
    /// has to choose, the keys of one that deletes are no measure.
    /// </summary>
    internal static bool MayHaveMoreThan(NodeAssessment node, NodeAssessment other, MasterIdentity known)
        => KeptUntil(other, known) is null && MayHaveKeptUntil(other, known) is not null && KeptUntil(node, known) is { } until
            && !DataLoss.MayBePings(Histories.FurthestSeen(node.All, known) - until);

    /// <summary>How far in the master's history its last run was seen that knew that, as long as all since wrote the file.</summary>
    private static long? LastSeenWriting(NodeAssessment node, MasterIdentity known, Func<NodeInfo, bool> writes)
    {
        IEnumerable<NodeInfo> runs = node.View.FormerRuns.TakeWhile(run => writes(run) && !IsFileLost(node.View, run));
        return runs.FirstOrDefault(run => run is { SyncInProgress: false, CopyBrokeOff: false } && run.CommonOffset(known) is not null)
            is not { } last ? null
            : last.RunId == known.RunId ? Histories.FurthestSeen(node.All, known) : last.CommonOffset(known);
    }

    /// <summary>
    /// Whether a node was started without the append-only file of that run: it holds nothing, or its file was less than half as long when
    /// it first answered, and no rewrite explains that: it has no base, or half of the keys are gone as well. A power cut takes no more
    /// than the end of a file.
    /// </summary>
    internal static bool IsFileLost(NodeView now, NodeInfo before)
        => before.Keys > 0 && (now.Info!.Keys == 0
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
        bool hasAll = held is { } end && DataLoss.MayBePings(furthest - end);
        return hasAll || (held is null && node.Info.SharesHistoryWith(known)) ? null
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
