using System.Collections.Immutable;

namespace RedisFailover;

/// <summary>Which node belongs to which list of a topology.</summary>
internal static class NodeLists
{
    /// <summary>This topology with the lists as they should be under its master (or under none, during a change).</summary>
    internal static Topology Of(Assessment a, Topology topology) => Of(ReferenceEquals(topology, a.Topology) ? a : a.Under(topology));

    /// <summary>The topology with this node as the current master.</summary>
    internal static Topology WithMaster(Assessment a, NodeAssessment master, string reason) => Of(a, a.Topology with
    {
        Master = master.Address,
        State = TopologyState.Ok,
        Reason = reason,
        Waiting = null,
        Identity = master.Info?.Identity ?? a.Topology.Identity,
        Intent = null,
    });

    private static Topology Of(Assessment a)
    {
        Topology topology = a.Topology;
        ImmutableArray<NodeAssessment> others = [.. a.Configured.Where(n => n.Address != topology.Master)];
        ILookup<bool, NodeAddress> usable = others.ToLookup(n => IsUsable(a, n), n => n.Address);
        topology = topology with
        {
            Replicas = [.. usable[true]],
            Unavailable = [.. usable[false]],
            NeverPromoted = [.. a.Configured.Where(n => CandidateRules.IsNeverPromoted(a, n)).Select(n => n.Address)],
            NeverRead = [.. a.Policy.Nodes.Where(n => a.Policy.NeverRead.Contains(n))],
            Zones = a.Policy.Zones,
            // Before a master is known nobody is a member yet: what follows some other master is not thereby ours.
            Members = topology.State == TopologyState.NoMaster ? topology.Members
                : [.. topology.Members.Where(n => Stays(a, n)).Concat(usable[true])
                    .Concat(others.Where(n => IsTakenIn(n, topology.Master)).Select(n => n.Address))
                    .Concat(topology.Master is { } master ? [master] : []).Distinct().Order()],
        };
        return topology.Master is null ? topology : topology with { Remarks = RemarksOf(a, usable[false]) };
    }

    /// <summary>
    /// A node that an operator has removed is no member any more: should it be added again with other data, these are not wiped. Nor is one
    /// under whose address somebody else's server has come up: that stays theirs, whatever speaks for it later.
    /// </summary>
    private static bool Stays(Assessment a, NodeAddress member)
        => !(a.Node(member) is { IsInOrder: true, IsForeign: true } && a.IsConfigured(member)) && IsKept(a, member);

    /// <summary>It follows the master and has its data, or none of its own: a replica of ours, be it not in step yet.</summary>
    private static bool IsTakenIn(NodeAssessment node, NodeAddress? master)
        => node is { IsInOrder: true, IsReplica: true, Lineage: Lineage.Same or Lineage.Empty } && node.Info!.MasterAddress == master;

    private static bool IsKept(Assessment a, NodeAddress member)
        => !a.Policy.NodesAreShared || a.IsConfigured(member) || member == a.Topology.Intent?.From;

    /// <summary>Why a node that answers is left out, where that lasts until somebody does something about it.</summary>
    private static ImmutableSortedDictionary<NodeAddress, string> RemarksOf(Assessment a, IEnumerable<NodeAddress> unavailable)
    {
        ImmutableSortedDictionary<NodeAddress, string>.Builder remarks = ImmutableSortedDictionary.CreateBuilder<NodeAddress, string>();
        foreach (NodeAssessment node in unavailable.Select(a.Node))
        {
            string? before = a.Topology.Remarks.GetValueOrDefault(node.Address);
            string? remark = node.CannotBeWatched ? $"it cannot be watched: {node.View.Detail}"
                : node is { IsOnline: true, View.ProbeFailure: null, IsLeftAlone: true }
                    ? $"left alone, because it is somebody else's: {node.ForeignSign} ({node.Described})"
                // What a leader who has only just started does not know yet stays as it was.
                : node.Info is null ? before
                : null;
            if (remark is not null)
            {
                remarks[node.Address] = Words.SameButForNumbers(before, remark) ? before! : remark;
            }
        }

        return remarks.ToImmutable();
    }

    /// <summary>Whether reads may be sent to it.</summary>
    private static bool IsUsable(Assessment a, NodeAssessment node)
    {
        // One that was away and refuses our credentials since may be anything by now. Nor can one that refuses them be told to follow a new
        // master: it goes on with the old one, or with what that had.
        if (node.IsVotedOut
            || (node.Contact == Contact.AuthRefused && node.Info is { } stale && (!node.IsOnline || FollowsAnother(a, stale))))
        {
            return false;
        }

        // A leader that has only just started has not heard everyone: what it does not know yet stays as it was.
        if (node.Info is not { } info)
        {
            return a.Topology.Replicas.Contains(node.Address);
        }

        // Who was away may be another server by now: its own word of since then takes it in, and not the votes of those who reach it.
        if (!node.IsInOrder && !a.Topology.Replicas.Contains(node.Address))
        {
            return false;
        }

        // Its demotion is on its way, unless that has failed.
        return (node.IsOnline && Correcting.HandedOver(a, node) && Correcting.DemotionFailure(a, node.Address) is null)
            || (info.Role == NodeRole.Replica && node.Contact is not (Contact.Loading or Contact.Busy or Contact.NotRedis)
                && node is { IsStale: false, CannotCopyMaster: false } && IsReadable(a, info) && !WasLeftBehind(a, node));
    }

    /// <summary>
    /// A former master has nothing of what the present one took, and may show writes that are lost, until it has a link; unless it handed
    /// over, and had the same.
    /// </summary>
    private static bool WasLeftBehind(Assessment a, NodeAssessment node)
        => node is { Info: { LinkUp: false, IsDetached: false }, View.HadLink: false } && !a.Topology.Replicas.Contains(node.Address)
            && (node.View.AsMaster is not null || a.Topology.LastChange?.From == node.Address)
            && !(a.Topology.LastChange is { Kind: HistoryKind.Switchover } last && last.From == node.Address);

    private static bool FollowsAnother(Assessment a, NodeInfo info)
        => info.Role == NodeRole.Replica && a.Topology.Master is { } master && info.MasterAddress != master;

    private static bool IsReadable(Assessment a, NodeInfo info)
    {
        bool ours = a.Topology.Identity is not { } identity || info.SharesHistoryWith(identity);
        return info.LinkUp ? info.MasterAddress == a.Topology.Master || ours
            : info.ServesStaleData && ours && !info.SyncInProgress
                && (info.Keys > 0 || a.Topology.Identity is not { HasData: true } master || Histories.HasAllThatIsKnownOf(info, master));
    }
}
