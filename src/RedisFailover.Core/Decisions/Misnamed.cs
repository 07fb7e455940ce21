namespace RedisFailover;

/// <summary>
/// A new leader finds a topology that names another master than the nodes do: somebody else wrote it while no monitor led. The nodes' own
/// word holds: to follow the znode would make a replica of the real master, which goes on taking writes, or promote one beside it.
/// </summary>
internal static class Misnamed
{
    /// <summary>The real master put back into the topology; null where the topology names it, or no other node shows that it is the one.</summary>
    internal static Decision? Decide(ClusterView view, FailoverPolicy policy, Topology topology)
    {
        NodeView named = view.Node(topology.Master!);
        foreach (NodeView node in view.Nodes.Values)
        {
            if (node.Address == named.Address || !policy.Nodes.Contains(node.Address) || node is not { IsMaster: true, IsInOrder: true } || node.InfoAsked < view.LeadingSince
                || WhatShows(topology, named, node) is not { } evidence)
            {
                continue;
            }

            string reason = $"the topology names {named.Address} as the master, though {evidence}: somebody else wrote it; {node.Address} is in office, as before";
            Topology next = Completion.InOffice(view, policy, topology, node, reason) with { Epoch = Math.Max(topology.Epoch, view.LastEpoch) + 1 };
            var record = new HistoryEntry { Kind = HistoryKind.Restored, Epoch = next.Epoch, From = node.Address, To = node.Address, Reason = reason };
            return Decision.Do(reason, new PublishTopology(next, view.Version, record)) with { Warning = reason };
        }

        return null;
    }

    private static string? WhatShows(Topology topology, NodeView named, NodeView node)
        => topology.Identity is { RunId.Length: > 0 } identity
            ? node.Info!.RunId == identity.RunId && named.Info?.RunId != identity.RunId
                ? $"what it says of the master's data is true of {node.Address}, which is a master"
                : null
            : topology.Epoch > 0 && named is { IsReplica: true, IsInOrder: true } && named.Info!.MasterAddress == node.Address && named.Info.SharesHistoryWith(node.Info!.Identity)
                ? $"that follows {node.Address}, which is a master with the same history"
                : null;
}
