using System.Globalization;

namespace RedisFailover.Monitor.Http;

/// <summary>
/// What a load balancer asks of a node. By what this monitor knows, without a look at ZooKeeper: an answer takes no longer while that
/// is away.
/// </summary>
internal static class NodeCheck
{
    /// <summary>Whether writes may go there: the topology names it, and it says of itself that it is master.</summary>
    internal static (bool Yes, string Why) IsMaster(ClusterView view, NodeAddress address)
    {
        NodeView node = view.Node(address);
        return view.Topology is not { } topology ? (false, "the topology is not known yet")
            : topology.Master != address ? (false, $"the master is {topology.Master?.ToString() ?? "nobody"}")
            : node.Condition == NodeCondition.Unavailable ? (false, $"it does not answer: {node.Detail}")
            : node.Info is null ? (false, $"it has not answered this monitor yet{(node.Detail.Length > 0 ? $": {node.Detail}" : "")}")
            : node.Info.Role != NodeRole.Master ? (false, "it says that it is a replica")
            : (true, $"it is the master of epoch {topology.Epoch.ToString(CultureInfo.InvariantCulture)}");
    }

    /// <summary>Whether reads may go there: the topology offers it, and it lacks no more than <paramref name="maxLag"/>.</summary>
    internal static (bool Yes, string Why) IsReplica(ClusterView view, NodeAddress address, long? maxLag)
    {
        NodeView node = view.Node(address);
        return view.Topology is not { } topology ? (false, "the topology is not known yet")
            : !topology.Replicas.Contains(address) ? (false, "it is no replica in use")
            : node.Condition == NodeCondition.Unavailable ? (false, $"it does not answer: {node.Detail}")
            : !node.IsReplica ? (false, "it does not say that it is a replica")
            : node.Info!.Loading || node.Info.SyncInProgress ? (false, "it is receiving a copy of the data")
            : maxLag is not { } most ? (true, "it is a replica in use")
            : Lag(view, address) is not { } lag ? (false, "how far it is behind is not known")
            : (lag <= most, $"it is {lag.ToString(CultureInfo.InvariantCulture)} bytes behind");
    }

    /// <summary>The bytes of the master's stream that a replica lacked when both were last asked; null where that cannot be told.</summary>
    internal static long? Lag(ClusterView view, NodeAddress address)
        => view.Topology?.Master is { } master && view.Node(master) is { IsMaster: true, Info: { } there }
            && view.Node(address) is { IsReplica: true, Info: { LinkUp: true } here } && here.SharesHistoryWith(there.Identity)
            ? Math.Max(0, there.Offset - here.Offset)
            : null;

    /// <summary>Bytes as 1048576, 512kb or 1mb; null where it is none.</summary>
    internal static long? Bytes(string text)
    {
        string lower = text.ToLowerInvariant();
        (string suffix, long unit) = lower.EndsWith("kb", StringComparison.Ordinal) ? ("kb", 1L << 10)
            : lower.EndsWith("mb", StringComparison.Ordinal) ? ("mb", 1L << 20)
            : lower.EndsWith("gb", StringComparison.Ordinal) ? ("gb", 1L << 30) : ("", 1);
        return long.TryParse(lower[..^suffix.Length], NumberStyles.None, CultureInfo.InvariantCulture, out long number)
            && number <= 1L << 30
            ? number * unit
            : null;
    }
}
