using System.Collections.Immutable;

namespace RedisFailover;

/// <summary>
/// Replicas of the master whose addresses are no configured node's: a backup that nobody manages, or one of ours under an address that
/// nobody knows (a restarted pod whose name is not told yet, a network that translates addresses).
/// </summary>
internal static class UnknownCopies
{
    /// <summary>
    /// Who copies the master and is certainly none of the configured nodes, as each of these is in order and copies it by its own name.
    /// </summary>
    internal static ImmutableArray<NodeAddress> Others(Assessment a)
        => a.Master.Run == RunState.SameRun
            && a.Configured.All(n => n.Address == a.Master.Address || (n.IsInOrder && IsNamed(a, n)))
                ? Outside(a) : [];

    /// <summary>Whether a configured node that is not in order may be attached all the same, under an address of its own.</summary>
    internal static bool MayBeOneOfOurs(Assessment a) => Outside(a).Count(n => !a.Topology.OtherReplicas.Contains(n)) > Unnamed(a);

    /// <summary>Whether the master lists this node, be it under another address.</summary>
    internal static bool IsAttached(Assessment a, NodeAssessment node)
        => IsNamed(a, node) || (IsUnnamed(a, node) && Outside(a).Count(n => !a.Topology.OtherReplicas.Contains(n)) >= Unnamed(a));

    private static bool IsNamed(Assessment a, NodeAssessment node) => a.Master.Info!.Attached.Contains(node.Address);

    /// <summary>How many nodes say that they copy the master, which does not name them.</summary>
    private static int Unnamed(Assessment a) => a.Configured.Count(n => IsUnnamed(a, n));

    private static bool IsUnnamed(Assessment a, NodeAssessment node)
        => node.Address != a.Master.Address && !IsNamed(a, node)
            && node is { IsInOrder: true, IsReplica: true, Info: { LinkUp: true } info } && info.MasterAddress == a.Master.Address;

    private static ImmutableArray<NodeAddress> Outside(Assessment a)
        => [.. a.Master.Info!.Attached.Where(n => !a.IsConfigured(n) && n != NodeInfo.Nowhere)];
}
