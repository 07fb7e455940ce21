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

        topology = topology with
        {
            Replicas = replicas.ToImmutable(),
            Unavailable = unavailable.ToImmutable(),
            NeverPromoted = [.. policy.Nodes.Where(n => policy.NeverPromote.Contains(n)
                || (view.Node(n).Info is { } info ? info.Priority == 0 : topology.NeverPromoted.Contains(n)))],
            // Before a master is known nobody is a member yet: what follows some other master is not thereby ours.
            Members = topology.State == TopologyState.NoMaster ? topology.Members : [.. topology.Members.AsEnumerable().Concat(replicas).Concat(topology.Master is { } master ? [master] : [])
                .Distinct().Order()],
        };
        return topology.Master is null ? topology : topology with { Remarks = RemarksOf(view, topology) };
    }

    /// <summary>Why a node that answers is left out, where that lasts until somebody does something about it.</summary>
    private static ImmutableSortedDictionary<NodeAddress, string> RemarksOf(ClusterView view, Topology topology)
    {
        ImmutableSortedDictionary<NodeAddress, string>.Builder remarks = ImmutableSortedDictionary.CreateBuilder<NodeAddress, string>();
        foreach (NodeView node in topology.Unavailable.Select(view.Node))
        {
            string? remark = node.Evidence is Evidence.Denied or Evidence.Nonsense ? $"it cannot be watched: {node.Detail}"
                : node is { IsOnline: true, Evidence: null } && IsForeign(topology, node) ? $"left alone, because its data were never this cluster's ({Described(node.Info!)})"
                // What a leader who has only just started does not know yet stays as it was.
                : node.Info is null ? topology.Remarks.GetValueOrDefault(node.Address)
                : null;
            if (remark is not null)
            {
                string? before = topology.Remarks.GetValueOrDefault(node.Address);
                remarks[node.Address] = Words.SameButForNumbers(before, remark) ? before! : remark;
            }
        }

        return remarks.ToImmutable();
    }

    private static string Described(NodeInfo info)
        => $"{(info.Role == NodeRole.Master ? "a master" : $"a replica of {info.MasterAddress}")}, {info.Keys} keys, offset {info.Offset}";

    /// <summary>What each node other than the master must be told, and what cannot be told without harm.</summary>
    internal static (ImmutableArray<FailoverAction> Actions, string? Warning) Corrections(ClusterView view, FailoverPolicy policy, Topology topology)
    {
        NodeAddress master = topology.Master!;
        // Nobody is told to follow a master that fails, or that has not said what it has since it failed: it may have lost everything.
        bool isInOrder = view.Node(master) is { IsInOrder: true } own && own.InfoAsked >= view.LeadingSince;
        bool waits = false;
        ImmutableArray<FailoverAction>.Builder actions = ImmutableArray.CreateBuilder<FailoverAction>();
        List<string> foreign = [];
        List<string> stubborn = [];
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

            // A heartbeat alone brought it back: what it is and how far it came meanwhile it has not said yet.
            if (!node.IsInOrder)
            {
                actions.Add(new Inspect(address));
                continue;
            }

            if (IsForeign(topology, node))
            {
                foreign.Add($"{address} ({Described(info)})");
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
                actions.Add(new Demote(address, master, CutsClients: !HandedOver(view, topology, node), HandedOver(view, topology, node) ? null : Returned(topology, view.Node(master), node))
                {
                    MinReplicas = WriteSafety.AfterOffice(policy, topology, info),
                });
                if (DemotionFailure(view, topology, address) is { } failure)
                {
                    stubborn.Add($"{address} takes writes as well, which will be lost: it cannot be made a replica ({failure})");
                }
            }
        }

        if (waits && view.Node(master) is { IsAnswering: true })
        {
            actions.Add(new Inspect(master));
        }

        string? others = stubborn.Count == 0 ? null : string.Join("; ", stubborn);
        return (actions.ToImmutable(), foreign.Count == 0
            ? others
            : (others is null ? "" : $"{others}; ") + $"left alone, because following {master} would wipe data that were never this cluster's: {string.Join(", ", foreign)}; "
                + "empty the node, or take it out of the configuration");
    }

    /// <summary>Whether reads may be sent to it.</summary>
    private static bool IsUsable(ClusterView view, FailoverPolicy policy, Topology topology, NodeAddress address)
    {
        NodeView node = view.Node(address);
        // One that was away and refuses our credentials since may be anything by now.
        if (Verdict.IsUnavailable(view, policy, address, out _) || node is { Evidence: Evidence.Denied, IsOnline: false, Info: not null })
        {
            return false;
        }

        // Nor can it be told to follow a new master: it goes on with the old one, or with what that had.
        if (node is { Evidence: Evidence.Denied, Info.Role: NodeRole.Replica } && topology.Master is { } master && node.Info.MasterAddress != master)
        {
            return false;
        }

        // A leader that has only just started has not heard everyone: what it does not know yet stays as it was.
        if (node.Info is not { } info)
        {
            return topology.Replicas.Contains(address);
        }

        // Its demotion is on its way, unless that has failed.
        if (node.IsOnline && HandedOver(view, topology, node) && DemotionFailure(view, topology, address) is null)
        {
            return true;
        }

        bool ours = topology.Identity is not { } identity || info.SharesHistoryWith(identity);
        return info.Role == NodeRole.Replica
            && node.Evidence is not (Evidence.Loading or Evidence.Nonsense)
            && (info.LinkUp ? info.MasterAddress == topology.Master || ours : info.ServesStaleData && ours && !info.SyncInProgress
                && (info.Keys > 0 || topology.Identity is not { HasData: true }));
    }

    /// <summary>
    /// The old master of a switchover, which is not a replica yet: clients keep their connections to it, on which what it has held back is
    /// answered. To a leader who was not there it shows as a master in the list of replicas whose history the new master continues.
    /// </summary>
    private static bool HandedOver(ClusterView view, Topology topology, NodeView node)
        => view.HandedOver == node.Address
            || (node.IsMaster && topology.Replicas.Contains(node.Address) && topology.Identity is { PreviousReplicationId: { } previous }
                && node.Info!.ReplicationId == previous);

    private static string? DemotionFailure(ClusterView view, Topology topology, NodeAddress node)
        => view.Failed.Where(f => f.Key is Demote demotion && demotion.Node == node && demotion.Master == topology.Master).Select(f => f.Value.Failure).FirstOrDefault();

    /// <summary>A node with data that were never this cluster's: it was no member and shares no history.</summary>
    internal static bool IsForeign(Topology topology, NodeView node)
        => node.Info!.Keys > 0
            && !topology.Members.Contains(node.Address)
            && !(topology.Identity is { } identity && node.Info.SharesHistoryWith(identity));

    /// <summary>What to note of it: how much is lost, or that nobody can tell. An empty node that was not the master before has nothing to lose.</summary>
    private static HistoryEntry? Returned(Topology topology, NodeView master, NodeView returning)
    {
        NodeInfo info = returning.Info!;
        if (info.Keys == 0 && topology.LastChange?.From != returning.Address)
        {
            return null;
        }

        long? bytes = LostByReturning(master, returning);
        string how = LeftByHand(master, returning) ? "was made a master by somebody (REPLICAOF NO ONE) and is made a replica again" : "came back as a master and is made a replica";
        string lost = bytes switch
        {
            null when info.Keys == 0 => $"it was restarted and is empty: whatever it took as the master that never reached {master.Address} is lost, how much is not known",
            null => $"it was restarted meanwhile ({info.Keys} keys): whatever it took that never reached {master.Address} is lost, how much is not known",
            0 => $"all of its replication stream had reached {master.Address}: nothing is known to be lost",
            _ => $"{bytes} bytes of its replication stream never reached {master.Address} and are lost",
        };
        return new HistoryEntry
        {
            Kind = HistoryKind.Demoted,
            Epoch = topology.Epoch,
            From = returning.Address,
            To = master.Address,
            Reason = $"{returning.Address} {how}; {lost}",
            BytesBehind = bytes,
        };
    }

    /// <summary>
    /// How much of a returning master's stream the new one does not have; null where that cannot be known. Either the new one remembers
    /// where its history left the old one (second_repl_offset), as long as the old one still has that history, that is, was not restarted;
    /// or the returning one remembers where it left the history of the new one itself.
    /// </summary>
    private static long? LostByReturning(NodeView master, NodeView returning)
        => master.Info is not { } office ? null
            : office is { PreviousReplicationId: { } previous, PreviousHistoryEnd: > 0 } && returning.Info!.ReplicationId == previous
                ? Math.Max(0, returning.Info.Offset - (office.PreviousHistoryEnd - 1))
            : LeftByHand(master, returning) ? Math.Max(0, returning.Info!.Offset - (returning.Info.PreviousHistoryEnd - 1))
            : null;

    /// <summary>A replica of this master that somebody else promoted: without a restart it left the master's present history.</summary>
    private static bool LeftByHand(NodeView master, NodeView returning)
        => returning is { WasPromoted: true, Info: { PreviousReplicationId: { } left, PreviousHistoryEnd: > 0 } } && left == master.Info?.ReplicationId;
}
