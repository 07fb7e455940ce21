using System.Collections.Immutable;

namespace RedisFailover;

/// <summary>What a node's answer, or its silence, changes.</summary>
internal static class NodeObservations
{
    internal static ClusterView Answered(this ClusterView view, NodeAnswered answer, FailoverPolicy policy)
    {
        ClusterView known = view.HandedOver == answer.Node && view.Node(answer.Node).Info?.RunId != answer.Info.RunId
            ? view with { HandedOver = null } : view;
        return known.With(view.Node(answer.Node).Answered(answer.At, answer.Latency).Informed(answer.Info, answer.Asked))
            .WithOneNameFor(answer.Info.RunId, policy);
    }

    /// <summary>Whether it was restarted meanwhile, and with what, only INFO tells: till then it is not back.</summary>
    internal static ClusterView Beat(this ClusterView view, NodeBeat beat)
        => view.Node(beat.Node) is { Info: null } or { ProbeFailure: not (null or ProbeFailure.Silent) }
            ? view : view.With(view.Node(beat.Node).Answered(beat.At, beat.Latency));

    internal static ClusterView NodeFailed(this ClusterView view, NodeFailed failure, FailoverPolicy policy)
        => view.With(view.Node(failure.Node).Failed(failure, policy));

    internal static ClusterView With(this ClusterView view, NodeView node) => view with { Nodes = view.Nodes.SetItem(node.Address, node) };

    /// <summary>
    /// One server that answers under two names (an address and a host name, say) would be told to follow itself. It keeps the name that the
    /// topology knows the master by, or the first in the configuration; under the others it is not watched.
    /// </summary>
    private static ClusterView WithOneNameFor(this ClusterView view, string runId, FailoverPolicy policy)
    {
        ImmutableArray<NodeAddress> names = runId.Length == 0 ? []
            : [.. view.Nodes.Values.Where(n => n is { IsOnline: true, FailingSince: null } && n.Info!.RunId == runId)
                .Select(n => n.Address)];
        if (names.Length < 2)
        {
            return view;
        }

        NodeAddress one = view.Topology?.Master is { } master && names.Contains(master)
            ? master : policy.Nodes.FirstOrDefault(names.Contains) ?? names[0];
        return view with
        {
            Nodes = view.Nodes.SetItems(names.Where(n => n != one).Select(n => KeyValuePair.Create(
                n, new NodeView(n) { ProbeFailure = ProbeFailure.NotRedis, SameServerAs = one,
                    Detail = $"it is the same server as {one}, by its run id" }))),
        };
    }
}
