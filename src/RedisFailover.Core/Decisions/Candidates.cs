using System.Collections.Immutable;

namespace RedisFailover;

/// <summary>Which replica may become master, and which of several does.</summary>
internal static class Candidates
{
    /// <summary>
    /// Why a node may not be promoted, or null when it may: it has to answer, hold the lost master's history and data, and its
    /// offset has to be known to be final.
    /// </summary>
    internal static string? Unfit(NodeView node, MasterIdentity? lost, ClusterView view, FailoverPolicy policy, TimeSpan now)
    {
        if (node.Evidence is Evidence.Denied or Evidence.Nonsense or Evidence.Loading)
        {
            return node.Detail;
        }

        if (!node.IsOnline)
        {
            return node.Detail.Length > 0 ? $"unavailable ({node.Detail})" : "not seen yet";
        }

        NodeInfo info = node.Info!;
        if (info.Loading)
        {
            return "it is loading its data set";
        }

        if (policy.NeverPromote.Contains(node.Address))
        {
            return "it is configured never to be promoted";
        }

        if (info.Priority == 0)
        {
            return "its replica-priority is 0";
        }

        if (info.SyncInProgress)
        {
            return "it is receiving a full copy";
        }

        if (lost is { HasData: true } && info.Keys == 0)
        {
            return "it is empty and the master was not";
        }

        if (lost is not null && !info.SharesHistoryWith(lost))
        {
            return $"its data are not the master's (replication id {Short(info.ReplicationId)}, the master's was {Short(lost.ReplicationId)})";
        }

        return view.Failed.TryGetValue(new Promote(node.Address), out (TimeSpan RetryAt, string Failure) failed) && failed.RetryAt > now
            ? $"its promotion failed: {failed.Failure}"
            : null;
    }

    /// <summary>Whether a node could be made master at all, whatever it lacks.</summary>
    internal static bool CanBePromoted(NodeView node) => node is { IsAnswering: true, Info.Loading: false };

    /// <summary>
    /// Why it holds too little of the lost master's data, or null when it holds enough. What the master took after it was last asked
    /// is not known, so this sees a lasting lag, not that of the last moment.
    /// </summary>
    internal static string? TooFarBehind(NodeView node, MasterIdentity? lost, FailoverPolicy policy)
        => lost is not null && node.Info is { } info && lost.Offset - (info.CommonOffset(lost) ?? info.Offset) is var lacking && lacking > policy.MaxLag
            ? $"it lacks {lacking} bytes, more than max-lag ({policy.MaxLag})"
            : null;

    /// <summary>
    /// Why another node with equally much data is better, or null: most monitors cannot reach it, or it would refuse writes. A living
    /// master is not replaced by such a node.
    /// </summary>
    internal static string? Reservation(NodeView node, ClusterView view, FailoverPolicy policy)
        => Verdict.IsUnavailable(view, policy, node.Address, out string votes) ? votes
            : node.Info is { RefusesWrites: true } ? "it cannot save and would refuse writes"
            : null;

    /// <summary>
    /// Before a living master holds its writes for a replica, the replicas are asked once more: one that hangs would let it hold them until the
    /// deadline, for nothing. Who answers is asked; each has the time of a probe.
    /// </summary>
    internal static ImmutableArray<FailoverAction> Unheard(IEnumerable<NodeView> nodes, TimeSpan since, FailoverPolicy policy, TimeSpan now)
        => now < since + policy.ProbeTimeout ? [.. nodes.Where(n => n.InfoAsked < since && n.IsAnswering).Select(n => new Inspect(n.Address))] : [];

    /// <summary>Why a node that was asked then counts as one that hangs; null where it has answered.</summary>
    internal static string? Hangs(NodeView node, TimeSpan since, TimeSpan now)
        => node.InfoAsked >= since ? null
            : !node.IsAnswering ? $"it does not answer at present ({node.Detail})"
            : $"it has not answered within {(now - since).TotalMilliseconds:0} ms";

    /// <summary>
    /// Whether what it has can no longer change by the old master's doing: a replica is detached, or nothing listens at the old master's
    /// port and the link to it is down; and it said so after the old master's failure (what was sent to it before has reached it by
    /// then). Any other node was asked after the change of master began. What a node said before it failed is nobody's word: it may have
    /// been restarted since, and answers a PING before it says what it has now.
    /// </summary>
    internal static bool IsFinal(NodeView node, ClusterView view, Topology topology, MasterChangeProgress progress)
        => node.InfoAsked > node.LastFailedAt && (node.Info is { Role: NodeRole.Replica } replica
            ? node.InfoAsked >= progress.LostAt && (replica.IsDetached || (!replica.LinkUp && topology.Intent?.From is { } from && view.Node(from).Evidence == Evidence.Refused))
            : node.InfoAsked >= progress.StartedAt);

    /// <summary>
    /// The best first: who has most of what the lost master had; then who has most at all, of what it took after it had parted from that master.
    /// Nothing comes before the data. Then those without a reservation, those that have been stable, then by the strategy, then by address so
    /// that the outcome is always the same.
    /// </summary>
    internal static ImmutableArray<NodeView> Ranked(IEnumerable<NodeView> fit, MasterIdentity? lost, ClusterView view, FailoverPolicy policy, TimeSpan now)
    {
        IOrderedEnumerable<NodeView> byData = fit
            .OrderByDescending(n => lost is null ? n.Info!.Offset : n.Info!.CommonOffset(lost) ?? -1)
            .ThenByDescending(n => n.Info!.Offset)
            .ThenBy(n => Reservation(n, view, policy) is not null)
            .ThenBy(n => !IsStable(n, policy, now));
        IOrderedEnumerable<NodeView> ranked = policy.FailoverStrategy == FailoverStrategy.Latency
            ? byData.ThenBy(n => n.Latency).ThenBy(n => n.Info!.Priority)
            : byData.ThenBy(n => n.Info!.Priority).ThenBy(n => n.Latency);
        return [.. ranked.ThenBy(n => n.Address)];
    }

    /// <summary>Whether it has answered for stable-time without a break.</summary>
    internal static bool IsStable(NodeView node, FailoverPolicy policy, TimeSpan now) => node.OnlineSince is { } since && now - since >= policy.StableTime;

    private static string Short(string id) => id.Length <= 8 ? id : id[..8];
}
