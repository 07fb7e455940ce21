using System.Collections.Immutable;

namespace RedisFailover;

/// <summary>What a node's answer, or its silence, changes.</summary>
internal static class NodeObservations
{
    internal static ClusterView Answered(this ClusterView view, NodeAnswered answer, FailoverPolicy policy)
    {
        if (view.StillLeadsAstray(answer))
        {
            return view;
        }

        ClusterView known = view.HandedOver == answer.Node && view.Node(answer.Node).Info?.RunId != answer.Info.RunId
            ? view with { HandedOver = null } : view;
        return known.With(view.Node(answer.Node).Answered(answer.At, answer.Latency)
                .Informed(answer.Info, answer.Asked, policy.MaxReplicaStaleness))
            .WithCopiesOf(answer)
            .WithOneNameFor(answer.Info.RunId, view.Node(answer.Node), policy);
    }

    /// <summary>A full copy may begin and end between two answers of the one that gets it.</summary>
    private static ClusterView WithCopiesOf(this ClusterView view, NodeAnswered answer)
        => answer.Info.Replicas.IsEmpty ? view : view with
        {
            Nodes = view.Nodes.SetItems(
                answer.Info.Replicas.Where(r => !r.IsOnline && view.Nodes.GetValueOrDefault(r.Replica) is { CopySeenAt: null })
                    .DistinctBy(r => r.Replica)
                    .Select(r => KeyValuePair.Create(r.Replica, view.Nodes[r.Replica].SeenCopied(answer.Asked)))),
        };

    /// <summary>Whether it was restarted meanwhile, and with what, only INFO tells: till then it is not back.</summary>
    internal static ClusterView Beat(this ClusterView view, NodeBeat beat)
        => view.Node(beat.Node) is { Info: null } or { ProbeFailure: not (null or ProbeFailure.Silent) }
            ? view : view.With(view.Node(beat.Node).Answered(beat.At, beat.Latency));

    internal static ClusterView NodeFailed(this ClusterView view, NodeFailed failure, FailoverPolicy policy)
        => view.With(view.Node(failure.Node).Failed(failure, policy));

    internal static ClusterView With(this ClusterView view, NodeView node) => view with { Nodes = view.Nodes.SetItem(node.Address, node) };

    /// <summary>
    /// One server that answers under two names (an address and a host name, say) would be told to follow itself. It keeps the name that the
    /// topology knows the master by, or the first in the configuration; under the others it is not watched. A name that led to another
    /// server while this one was already known is wrong, and what answers there says nothing of the node that is meant.
    /// </summary>
    private static ClusterView WithOneNameFor(this ClusterView view, string runId, NodeView before, FailoverPolicy policy)
    {
        ImmutableArray<NodeView> names = runId.Length == 0 ? []
            : [.. view.Nodes.Values.Where(n => n is { IsOnline: true, FailingSince: null } && n.Info!.RunId == runId)];
        if (names.Length < 2)
        {
            return view;
        }

        NodeAddress? meant = names
            .FirstOrDefault(n => IsMeantBeside(n, before) || IsReplicaUnderItsMastersName(n, names, view.Topology))?.Address;
        NodeAddress one = meant
            ?? (view.Topology?.Master is { } master && names.Any(n => n.Address == master) ? master
                : policy.Nodes.FirstOrDefault(address => names.Any(n => n.Address == address)) ?? names[0].Address);
        return view with
        {
            Nodes = view.Nodes.SetItems(names.Where(n => n.Address != one).Select(n => KeyValuePair.Create(
                n.Address, new NodeView(n.Address) { ProbeFailure = ProbeFailure.NotRedis, SameServerAs = one,
                    LeadsAstray = meant is not null, Detail = $"it is the same server as {one}, by its run id" }))),
        };
    }

    /// <summary>
    /// Whether what answers under a name that is wrong may still be the other node: that has failed meanwhile, say, or was restarted. The
    /// process that the topology knows as the master is believed at once.
    /// </summary>
    private static bool StillLeadsAstray(this ClusterView view, NodeAnswered answer)
        => view.Node(answer.Node) is { LeadsAstray: true, SameServerAs: { } other } && answer.Info.RunId != view.Topology?.Identity?.RunId
            && !(view.Node(other) is { IsAnswering: true, Info: { } there } && there.RunId != answer.Info.RunId);

    /// <summary>Whether the other name led to another server while this one was already what it is.</summary>
    private static bool IsMeantBeside(NodeView node, NodeView other)
        => node.Address != other.Address
            && (other.LeadsAstray || (other.Info is { } was && was.RunId != node.Info!.RunId && node.RunSince <= other.InfoAsked));

    /// <summary>Whether it answers under the master's name too, is another process than that was, and has a link to a master.</summary>
    private static bool IsReplicaUnderItsMastersName(
        NodeView node, ImmutableArray<NodeView> names, Topology? topology)
        => topology is { Master: { } master, Identity: { RunId.Length: > 0 } identity } && node.Address != master
            && names.Any(n => n.Address == master)
            && node.Info is { Role: NodeRole.Replica, LinkUp: true } info && info.RunId != identity.RunId;
}
