using System.Collections.Immutable;

namespace RedisFailover;

/// <summary>
/// An operator gives up the data of a node that is left alone as somebody else's. The order is kept in <c>R/config</c>, so that it outlives
/// the leader, and holds for the server that answers now: its run id is part of it.
/// </summary>
internal static class NodeAdoption
{
    internal static ConfigRequests.Outcome Apply(AdoptNode order, string by, ClusterConfig config, Assessment a)
    {
        if (Objection(order, a) is { } why)
        {
            return ConfigRequests.Outcome.Refused(why);
        }

        NodeAssessment node = a.Node(order.Node);
        // What has been carried out is forgotten here: nothing else needs it.
        ImmutableSortedDictionary<NodeAddress, string> adopted = config.Adopted
            .Where(n => n.Key != order.Node && a.Node(n.Key) is { IsForeign: true, IsAdopted: true })
            .ToImmutableSortedDictionary()
            .Add(order.Node, node.Info!.RunId);
        string copying = node.Info.Replicas.IsEmpty ? ""
            : $"; so are those of {string.Join(", ", node.Info.Replicas.Select(r => r.Replica))}, which copies from it";
        return new ConfigRequests.Outcome(
            config with { Adopted = adopted },
            HistoryKind.Nodes,
            $"{order.Node} is taken in, as {by} asked: its own data ({node.Described}) "
                + (a.Topology.Master is { } master ? $"are replaced by those of master {master}{copying}"
                    : $"may be thrown away, or become the cluster's by force{copying}"));
    }

    private static string? Objection(AdoptNode order, Assessment a)
    {
        NodeAssessment node = a.Node(order.Node);
        return !order.DiscardsItsData ? $"what {order.Node} holds would be thrown away: say --discard-its-data if it may be"
            : !a.IsConfigured(order.Node)
                ? $"{order.Node} is not one of the nodes: {string.Join(", ", a.Policy.Nodes)}; add it first (redis-failover nodes add)"
            : order.Node == a.Topology.Master ? $"{order.Node} is the master"
            // A change that waits may wait for this: by force it is promoted with what it holds.
            : a.Topology is { IsChangingMaster: true, Waiting: null } ? "a change of master is under way: ask again when it is done"
            : a.Topology.State == TopologyState.NoMaster ? "there is no master whose data it could take instead"
            : a.View.IsPaused(a.Now) ? $"{a.View.Config!.Pause}: ask again when it is on"
            : !node.IsInOrder ? $"{order.Node} does not answer{(node.View.Detail.Length > 0 ? $" ({node.View.Detail})" : "")}"
            : !node.IsForeign
                ? $"{order.Node} is not left alone: it holds {(node.Info!.Keys == 0 ? "no key" : "this cluster's data")}, and nothing has "
                    + $"to be thrown away"
            : null;
    }
}
