using System.Collections.Immutable;

namespace RedisFailover;

/// <summary>What the leading monitor tells of the nodes.</summary>
internal static class NodeReports
{
    /// <summary>Of each configured node.</summary>
    /// <param name="view">All that the monitor knows.</param>
    /// <param name="policy">What it goes by.</param>
    /// <param name="now">The time on its monotonic clock.</param>
    /// <param name="wallClock">The same moment by the wall clock.</param>
    public static ImmutableSortedDictionary<NodeAddress, NodeReport> Of(ClusterView view, FailoverPolicy policy, TimeSpan now,
        DateTimeOffset wallClock)
    {
        ArgumentNullException.ThrowIfNull(view);
        ArgumentNullException.ThrowIfNull(policy);
        NodeView? master = view.Topology?.Master is { } address ? view.Node(address) : null;
        return policy.Nodes.Distinct().Select(view.Node).ToImmutableSortedDictionary(n => n.Address, n => Of(n, master, now, wallClock));
    }

    private static NodeReport Of(NodeView node, NodeView? master, TimeSpan now, DateTimeOffset wallClock)
    {
        bool isReplica = node is { IsOnline: true, Info.Role: NodeRole.Replica };
        ReplicaLink? link = isReplica && master is { IsMaster: true, IsAnswering: true }
            ? master.Info!.Replicas.FirstOrDefault(r => r.Replica == node.Address && r.IsOnline) : null;
        return new NodeReport
        {
            Role = node.Info is not { } info ? "unknown" : info.Role == NodeRole.Master ? "master" : "replica",
            Link = isReplica ? LinkOf(node.Info!) : "",
            Master = isReplica && !node.Info!.IsDetached ? node.Info.MasterAddress : null,
            LagBytes = isReplica && master is { IsMaster: true, Info: { } there } ? BytesBehind(there, node) : null,
            LagSeconds = link?.Lag,
            Since = SinceOf(node) is { } since && since <= now ? wallClock - (now - since) : null,
            Server = node.Info is { Software: { Version.Length: > 0 } software } ? software.ToString() : "",
        };
    }

    private static string LinkOf(NodeInfo replica)
        => replica.IsDetached ? "detached" : replica.SyncInProgress ? "copying" : replica.LinkUp ? "up" : "down";

    /// <summary>
    /// How far a replica is behind its master, in bytes: by the master's own word at one moment, where it has one; else by the last words
    /// of both, up to a second apart. Null where they have nothing in common.
    /// </summary>
    internal static long? BytesBehind(NodeInfo master, NodeView replica)
        => master.Replicas.FirstOrDefault(r => r.Replica == replica.Address && r.IsOnline) is { Offset: > 0 } link
            ? Math.Max(0, master.Offset - link.Offset)
            : replica.Info!.CommonOffset(master.Identity) is { } common ? Math.Max(0, master.Offset - common)
            : null;

    private static TimeSpan? SinceOf(NodeView node)
        => node.Condition == NodeCondition.Unavailable ? node.GoneSince ?? node.FailingSince
            : node.LinkDownSince is { } down ? down
            : node.OnlineSince is { } online ? (node.RoleSince is { } role && role > online ? role : online)
            : null;
}
