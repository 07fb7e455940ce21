namespace RedisFailover;

/// <summary>
/// A new leader finds a topology that names another master than the nodes do: somebody else wrote it while no monitor led. The nodes' own
/// word holds: to follow the znode would make a replica of the real master, which goes on taking writes, or promote one beside it.
/// </summary>
internal static class TopologyMismatch
{
    /// <summary>
    /// The real master put back into the topology; null where the topology names it, or no other node shows that it is the one.
    /// </summary>
    internal static PlanBuilder? Decide(Assessment a)
    {
        if (a.Topology is not { State: TopologyState.Ok, Master: { } named })
        {
            return null;
        }

        foreach (
            NodeAssessment node in a.Nodes.Where(n
                => n.Address != named && a.IsConfigured(n.Address) && n is { IsMaster: true, IsCurrent: true }))
        {
            if (WhatShows(a, node) is { } evidence)
            {
                string reason =
                    $"the topology names {named} as the master, though {evidence}: somebody else wrote it; {node.Address} stays the master";
                Topology next = NodeLists.WithMaster(a, node, reason) with { Epoch = a.NextEpoch };
                var record = new HistoryEntry { Kind = HistoryKind.Restored, Epoch = next.Epoch, From = node.Address, To = node.Address,
                        Reason = reason };
                return PlanBuilder.Because(reason)
                    .Do(new PublishTopology(next, a.View.Version, record))
                    .ReportReason(ProblemCatalogue.TopologyOverwritten, node.Address);
            }
        }

        return null;
    }

    private static string? WhatShows(Assessment a, NodeAssessment node)
    {
        NodeAssessment named = a.Master;
        return a.Topology.Identity is { RunId.Length: > 0 } identity
            ? node.Info!.RunId == identity.RunId && named.Info?.RunId != identity.RunId
                ? $"what it says of the master's data is true of {node.Address}, which is a master"
                : null
            : a.Topology.Epoch > 0 && named is { IsReplica: true, IsInOrder: true } && named.Info!.MasterAddress == node.Address
                && named.Info.SharesHistoryWith(node.Info!.Identity)
                ? $"that follows {node.Address}, which is a master with the same history"
                : null;
    }
}
