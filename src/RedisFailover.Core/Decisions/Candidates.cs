using System.Collections.Immutable;

namespace RedisFailover;

/// <summary>Which replica may become master, and which of several does.</summary>
internal static class Candidates
{
    /// <summary>
    /// Why a node may not be promoted, or null when it may: it has to answer, hold the lost master's history and data, and its
    /// offset has to be known to be final.
    /// </summary>
    internal static string? Unfit(NodeView node, MasterIdentity? lost, ClusterView view, TimeSpan now)
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

        if (info.Priority == 0)
        {
            return "its replica-priority is 0";
        }

        if (info.SyncInProgress)
        {
            return "it is receiving a full copy";
        }

        if (lost is not null && !info.SharesHistoryWith(lost))
        {
            return $"its data are not the master's (replication id {Short(info.ReplicationId)}, the master's was {Short(lost.ReplicationId)})";
        }

        if (lost is { HasData: true } && info.Keys == 0)
        {
            return "it is empty and the master was not";
        }

        return view.Failed.TryGetValue(new Promote(node.Address), out (TimeSpan RetryAt, string Failure) failed) && failed.RetryAt > now
            ? $"its promotion failed: {failed.Failure}"
            : null;
    }

    /// <summary>Whether a node could be made master at all, whatever it lacks.</summary>
    internal static bool CanBePromoted(NodeView node) => node is { IsOnline: true, FailingSince: null, Evidence: null, Info.Loading: false };

    /// <summary>
    /// Whether its offset can no longer grow by the old master's doing: asked after the change of master began, or after the old
    /// master's failure and without a link to it.
    /// </summary>
    internal static bool IsFinal(NodeView node, MasterChangeProgress progress)
        => node.InfoAsked >= progress.StartedAt
            || (node.InfoAsked >= progress.LostAt && node.Info is { Role: NodeRole.Replica, LinkUp: false });

    /// <summary>
    /// The best first: those of the lost master's own history before those of the one that it continued (which miss all that came
    /// after), then the most data, then by the strategy, then by address so that the outcome is always the same.
    /// </summary>
    internal static ImmutableArray<NodeView> Ranked(IEnumerable<NodeView> fit, MasterIdentity? lost, FailoverPolicy policy)
    {
        IOrderedEnumerable<NodeView> byData = fit
            .OrderByDescending(n => lost is null || n.Info!.ReplicationId == lost.ReplicationId || n.Info.PreviousReplicationId == lost.ReplicationId)
            .ThenByDescending(n => n.Info!.Offset);
        IOrderedEnumerable<NodeView> ranked = policy.FailoverStrategy == FailoverStrategy.Latency
            ? byData.ThenBy(n => n.Latency).ThenBy(n => n.Info!.Priority)
            : byData.ThenBy(n => n.Info!.Priority).ThenBy(n => n.Latency);
        return [.. ranked.ThenBy(n => n.Address)];
    }

    private static string Short(string id) => id.Length <= 8 ? id : id[..8];
}
