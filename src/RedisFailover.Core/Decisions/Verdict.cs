namespace RedisFailover;

/// <summary>Whether a node is lost, by the word of more than one witness.</summary>
internal static class Verdict
{
    /// <summary>How the live monitors vote on a node.</summary>
    internal static bool IsUnavailable(ClusterView view, FailoverPolicy policy, NodeAddress node, out string votes)
    {
        int live = view.LiveMonitors;
        int against = view.OtherMonitors.Values.Count(m => m.Unavailable.Contains(node))
            + (view.Node(node).Condition == NodeCondition.Unavailable ? 1 : 0);
        votes = $"{against} of {live} monitors cannot reach it";
        // A monitor without an opinion counts as one that sees it: a tie, and any doubt, mean available.
        return policy.NodeStrategy switch
        {
            NodeStrategy.Consensus => against == live,
            NodeStrategy.Single => against > 0,
            _ => against * 2 > live,
        };
    }

    /// <summary>Why the master is lost, or null when it is not.</summary>
    internal static string? MasterLost(ClusterView view, FailoverPolicy policy, Topology topology)
    {
        NodeAddress master = topology.Master!;
        NodeView own = view.Node(master);
        if (IsUnavailable(view, policy, master, out string votes))
        {
            return own.Evidence is { } evidence && own.Condition == NodeCondition.Unavailable
                ? $"master {master} is lost: {votes} ({evidence.ToString().ToLowerInvariant()}: {own.Detail})"
                : $"master {master} is lost: {votes}";
        }

        if (ReplicasConfirm(view, policy, master, own))
        {
            return $"master {master} is lost: nothing listens there, and every replica that answers has lost its link to it";
        }

        // Nothing follows from what it said before this monitor led.
        if (own.InfoAsked < view.LeadingSince)
        {
            return null;
        }

        if (own.IsReplica)
        {
            return $"master {master} says that it is a replica of {own.Info!.MasterAddress}";
        }

        return Restarted(view, topology, own);
    }

    /// <summary>
    /// The fast path: the leader's own finding that the port refuses (never silence, which a partition shows too), confirmed by
    /// every replica that answers, one at least, asked after the failure began. Saves the round trip of the votes.
    /// </summary>
    private static bool ReplicasConfirm(ClusterView view, FailoverPolicy policy, NodeAddress master, NodeView own)
    {
        if (policy.NodeStrategy == NodeStrategy.Consensus || own.Condition != NodeCondition.Unavailable || own.Evidence != Evidence.Refused)
        {
            return false;
        }

        bool any = false;
        foreach (NodeView node in view.Nodes.Values)
        {
            if (node.Address == master || !node.IsReplica)
            {
                continue;
            }

            if (node.Info!.LinkUp || node.InfoAsked < own.FailingSince)
            {
                return false;
            }

            any = true;
        }

        return any;
    }

    /// <summary>
    /// The same address with another run id: the process was restarted faster than the probes could tell. Its replicas are about
    /// to copy what it has now; where it came back without its history, one of them, which has it, takes its place.
    /// </summary>
    private static string? Restarted(ClusterView view, Topology topology, NodeView own)
    {
        if (!own.IsMaster || topology.Identity is not { RunId.Length: > 0 } known || own.Info!.RunId == known.RunId)
        {
            return null;
        }

        // Restarted from a snapshot, it continues the history from where the snapshot was taken (second_repl_offset); a replica that
        // is beyond that would be wiped down to it.
        bool replicaHasMore = view.Nodes.Values.Any(n => n.Address != own.Address && n.IsReplica && n.Info!.Keys > 0
            && n.Info.SharesHistoryWith(known)
            && (!n.Info.SharesHistoryWith(own.Info.Identity)
                || (n.Info.ReplicationId == known.ReplicationId && own.Info.ReplicationId != known.ReplicationId
                    && n.Info.Offset > own.Info.PreviousHistoryEnd - 1)));
        return replicaHasMore
            ? $"master {own.Address} was restarted and came back with another history ({own.Info.Keys} keys)"
            : null;
    }
}
