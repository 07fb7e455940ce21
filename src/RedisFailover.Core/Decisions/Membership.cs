using System.Collections.Immutable;

namespace RedisFailover;

/// <summary>Which node belongs to which list of the topology, and which has to be put right.</summary>
internal static class Membership
{
    /// <summary>The topology with the lists as they should be under this master (or under none, during a change).</summary>
    internal static Topology WithLists(Topology topology, ClusterView view, FailoverPolicy policy)
    {
        ImmutableArray<NodeAddress>.Builder replicas = ImmutableArray.CreateBuilder<NodeAddress>();
        ImmutableArray<NodeAddress>.Builder unavailable = ImmutableArray.CreateBuilder<NodeAddress>();
        foreach (NodeAddress node in policy.Nodes)
        {
            if (node == topology.Master)
            {
                continue;
            }

            (IsUsable(view, policy, topology, node) ? replicas : unavailable).Add(node);
        }

        return topology with
        {
            Replicas = replicas.ToImmutable(),
            Unavailable = unavailable.ToImmutable(),
            NeverPromoted = [.. policy.Nodes.Where(n => policy.NeverPromote.Contains(n)
                || (view.Node(n).Info is { } info ? info.Priority == 0 : topology.NeverPromoted.Contains(n)))],
            // Before a master is known nobody is a member yet: what follows some other master is not thereby ours.
            Members = topology.State == TopologyState.NoMaster ? topology.Members : [.. topology.Members.AsEnumerable().Concat(replicas).Concat(topology.Master is { } master ? [master] : [])
                .Distinct().Order()],
        };
    }

    /// <summary>What each node other than the master must be told, and what cannot be told without harm.</summary>
    internal static (ImmutableArray<FailoverAction> Actions, string? Warning) Corrections(ClusterView view, FailoverPolicy policy, Topology topology)
    {
        NodeAddress master = topology.Master!;
        // Nobody is told to follow a master that fails, or that has not said what it has since it failed: it may have lost everything.
        bool isInOrder = view.Node(master).IsInOrder;
        bool waits = false;
        ImmutableArray<FailoverAction>.Builder actions = ImmutableArray.CreateBuilder<FailoverAction>();
        List<string> foreign = [];
        foreach (NodeAddress address in policy.Nodes)
        {
            NodeView node = view.Node(address);
            if (address == master || !node.IsOnline || node.Evidence is not null || node.InfoAsked < view.LeadingSince)
            {
                continue;
            }

            NodeInfo info = node.Info!;
            if (info.Role == NodeRole.Replica && info.MasterAddress == master)
            {
                continue;
            }

            if (IsForeign(topology, node))
            {
                foreign.Add($"{address} ({info.Role.ToString().ToLowerInvariant()}, {info.Keys} keys, offset {info.Offset})");
            }
            else if (!isInOrder)
            {
                waits = true;
            }
            else if (info.Role == NodeRole.Replica)
            {
                actions.Add(new Follow(address, master));
            }
            else
            {
                actions.Add(new Demote(address, master, CutsClients: !HandedOver(view, topology, node), HandedOver(view, topology, node) ? null : Returned(view.Node(master), node, topology.Epoch))
                {
                    MinReplicas = WriteSafety.AfterOffice(policy, topology, info),
                });
            }
        }

        if (waits && view.Node(master) is { IsOnline: true, FailingSince: null, Evidence: null })
        {
            actions.Add(new Inspect(master));
        }

        return (actions.ToImmutable(), foreign.Count == 0
            ? null
            : $"left alone, because following {master} would wipe data that were never this cluster's: {string.Join(", ", foreign)}; "
                + "empty the node, or take it out of the configuration");
    }

    /// <summary>Whether reads may be sent to it.</summary>
    private static bool IsUsable(ClusterView view, FailoverPolicy policy, Topology topology, NodeAddress address)
    {
        NodeView node = view.Node(address);
        if (Verdict.IsUnavailable(view, policy, address, out _))
        {
            return false;
        }

        // A leader that has only just started has not heard everyone: what it does not know yet stays as it was.
        if (node.Info is not { } info)
        {
            return topology.Replicas.Contains(address);
        }

        // Its demotion is on its way.
        if (node.IsOnline && HandedOver(view, topology, node))
        {
            return true;
        }

        bool ours = topology.Identity is not { } identity || info.SharesHistoryWith(identity);
        return info.Role == NodeRole.Replica
            && node.Evidence is not (Evidence.Loading or Evidence.Nonsense)
            && (info.LinkUp ? info.MasterAddress == topology.Master || ours : info.ServesStaleData && ours && !info.SyncInProgress);
    }

    /// <summary>
    /// The old master of a switchover, which is not a replica yet: clients keep their connections to it, on which what it has held back is
    /// answered. To a leader who was not there it shows as a master in the list of replicas whose history the new master continues.
    /// </summary>
    private static bool HandedOver(ClusterView view, Topology topology, NodeView node)
        => view.HandedOver == node.Address
            || (node.IsMaster && topology.Replicas.Contains(node.Address) && topology.Identity is { PreviousReplicationId: { } previous }
                && node.Info!.ReplicationId == previous);

    /// <summary>A node with data that were never this cluster's: it was no member and shares no history.</summary>
    internal static bool IsForeign(Topology topology, NodeView node)
        => node.Info!.Keys > 0
            && !topology.Members.Contains(node.Address)
            && !(topology.Identity is { } identity && node.Info.SharesHistoryWith(identity));

    /// <summary>What to note of it: how much is lost, or that nobody can tell. An empty node that comes back has nothing to lose.</summary>
    private static HistoryEntry? Returned(NodeView master, NodeView returning, long epoch)
    {
        long? bytes = LostByReturning(master, returning);
        if (bytes is null && returning.Info!.Keys == 0)
        {
            return null;
        }

        string lost = bytes switch
        {
            null => $"it was restarted meanwhile ({returning.Info!.Keys} keys): whatever it took that never reached {master.Address} is lost, how much is not known",
            0 => "nothing that it held is lost",
            _ => $"{bytes} bytes of its replication stream never reached {master.Address} and are lost",
        };
        return new HistoryEntry
        {
            Kind = HistoryKind.Demoted,
            Epoch = epoch,
            From = returning.Address,
            To = master.Address,
            Reason = $"{returning.Address} came back as a master and is made a replica; {lost}",
            BytesBehind = bytes,
        };
    }

    /// <summary>
    /// How much of a returning master's stream the promoted node does not have. The promoted node remembers where its history left
    /// the old one (second_repl_offset); known only while the old master still has that history, that is, was not restarted.
    /// </summary>
    private static long? LostByReturning(NodeView master, NodeView returning)
        => master.Info is { PreviousReplicationId: { } previous, PreviousHistoryEnd: > 0 } promoted && returning.Info!.ReplicationId == previous
            ? Math.Max(0, returning.Info.Offset - (promoted.PreviousHistoryEnd - 1))
            : null;
}
