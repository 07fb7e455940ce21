using System.Collections.Immutable;

namespace RedisFailover;

/// <summary>No master was ever known: find the one that there is, make one of empty nodes, or say why neither is safe.</summary>
internal static class Adoption
{
    internal static Decision Decide(ClusterView view, FailoverPolicy policy, TimeSpan now, Topology topology)
    {
        ImmutableArray<NodeView> nodes = [.. policy.Nodes.Select(view.Node)];
        ImmutableArray<NodeView> online = [.. nodes.Where(n => n.IsOnline && n.Evidence != Evidence.Loading)];
        // A node that is still starting, when others have come, may be the one with the data: it is given its time. One that refuses our
        // credentials or speaks no Redis has answered already, and only somebody's hand changes what it says.
        int open = nodes.Count(n => (!n.IsOnline || n.Evidence == Evidence.Loading) && n.Evidence is not (Evidence.Denied or Evidence.Nonsense));
        TimeSpan patience = online.Select(n => n.OnlineSince ?? now).Append(online.IsEmpty ? view.LeadingSince : TimeSpan.MaxValue).Min() + policy.SilenceLimit;
        if (open > 0 && now < patience)
        {
            return Decision.Nothing("waiting for all nodes to be seen", patience);
        }

        if (online.IsEmpty)
        {
            return Wait(view, policy, topology, "no Redis node answers yet: " + string.Join("; ", nodes.Select(Describe)));
        }

        ImmutableArray<NodeView> masters = [.. online.Where(n => n.IsMaster)];
        ImmutableArray<NodeView> followed = [.. masters.Where(m => online.Any(n => n.IsReplica && n.Info!.MasterAddress == m.Address))];
        if (Chosen(view, online) is { } chosen)
        {
            return Adopt(view, policy, topology, chosen, $"{chosen.Address} is the master, as the operator chose");
        }

        if (followed.Length == 1)
        {
            return Adopt(view, policy, topology, followed[0], $"{followed[0].Address} is the master: replicas follow it");
        }

        if (followed.Length > 1)
        {
            return Ambiguous(view, policy, topology, "several masters have replicas", followed);
        }

        if (masters.IsEmpty)
        {
            return Headless(view, policy, topology, online);
        }

        ImmutableArray<NodeView> withData = [.. masters.Where(m => m.Info!.Keys > 0)];
        if (withData.Length > 1)
        {
            return Ambiguous(view, policy, topology, "several masters hold data", withData);
        }

        // Replicas with data of a master that does not answer may hold more than a master that stands alone.
        ImmutableArray<NodeView> orphans = [.. online.Where(n => n.IsReplica && n.Info!.Keys > 0)];
        if (!orphans.IsEmpty)
        {
            return Ambiguous(
                view, policy, topology, "a master stands beside replicas with data of another one that does not answer", [.. withData, .. orphans]);
        }

        if (withData.Length == 1)
        {
            return Adopt(view, policy, topology, withData[0], $"{withData[0].Address} is the master: it alone holds data");
        }

        return Adopt(view, policy, topology, masters[0], $"{masters[0].Address} is the master: all nodes are empty, it is the first of those that answer");
    }

    private static NodeView? Chosen(ClusterView view, ImmutableArray<NodeView> online)
        => view.Wish is { } wish && NodeAddress.TryParse(wish, out NodeAddress? named)
            ? online.FirstOrDefault(n => n.Address == named && n.IsMaster)
            : null;

    private static Decision Adopt(ClusterView view, FailoverPolicy policy, Topology topology, NodeView master, string reason)
    {
        Topology next = Membership.WithLists(
            topology with
            {
                Master = master.Address,
                State = TopologyState.Ok,
                Epoch = Math.Max(topology.Epoch, view.LastEpoch) + 1,
                Reason = reason,
                Identity = master.Info!.Identity,
                Intent = null,
            },
            view,
            policy);
        var record = new HistoryEntry { Kind = HistoryKind.Adopted, Epoch = next.Epoch, To = master.Address, Reason = reason };
        return Decision.Do(reason, new PublishTopology(next, view.Version, record, ClearsWish: view.ManualFailover is not null)
        {
            Request = Requests.Answer(view, topology, next, RequestOutcome.Done, reason, []),
        });
    }

    /// <summary>
    /// Replicas only: of a master that is gone, or of each other after everything was restarted. The one with the most data is
    /// promoted, by the same steps as in a failover. Replicas of a master outside the configuration are not ours to take.
    /// </summary>
    private static Decision Headless(ClusterView view, FailoverPolicy policy, Topology topology, ImmutableArray<NodeView> replicas)
    {
        ImmutableArray<NodeView> outside = [.. replicas.Where(n => n.Info!.LinkUp && !policy.Nodes.Contains(n.Info.MasterAddress!))];
        if (!outside.IsEmpty)
        {
            return Ambiguous(view, policy, topology, $"they replicate from {outside[0].Info!.MasterAddress}, which is not configured", outside);
        }

        NodeView best = replicas.OrderByDescending(n => n.Info!.Keys > 0).ThenByDescending(n => n.Info!.Offset).First();
        NodeAddress? gone = best.Info!.MasterAddress is { } master && !view.Node(master).IsOnline && policy.Nodes.Contains(master) ? master : null;
        if (gone is not null && !Verdict.IsUnavailable(view, policy, gone, out string votes))
        {
            return Wait(view, policy, topology, $"all nodes that answer are replicas of {gone}, and {votes}");
        }

        string reason = gone is null
            ? "all nodes are replicas and none of them has a master"
            : $"all nodes that answer are replicas of {gone}, which does not answer";
        Topology intent = Membership.WithLists(
            topology with
            {
                State = TopologyState.FailingOver,
                Epoch = Math.Max(topology.Epoch, view.LastEpoch) + 1,
                Reason = reason,
                // The history is the master's, the process is not.
                Identity = best.Info.Identity with { RunId = "" },
                Intent = new FailoverIntent(gone, Target: null),
            },
            view,
            policy);
        return Decision.Do(reason, [new PublishTopology(intent, view.Version), .. replicas.Select(n => new Inspect(n.Address))]);
    }

    private static Decision Ambiguous(ClusterView view, FailoverPolicy policy, Topology topology, string problem, ImmutableArray<NodeView> nodes)
        => Wait(
            view,
            policy,
            topology,
            $"nothing is touched, because {problem}: {string.Join("; ", nodes.Select(Describe))}. Choose the master by writing its host:port "
                + "into the znode manual_failover, or take the others out of the configuration");

    /// <summary>The znode says so too, once: an operator looks there first, and clients can tell it from a missing znode.</summary>
    private static Decision Wait(ClusterView view, FailoverPolicy policy, Topology topology, string why)
    {
        Topology next = Membership.WithLists(topology with { State = TopologyState.NoMaster, Reason = why }, view, policy);
        return view.Version >= 0 && topology.State == TopologyState.NoMaster && Words.SameButForNumbers(topology.Reason, why)
            ? Decision.Nothing(why) with { Warning = why }
            : Decision.Do(why, new PublishTopology(next, view.Version)) with { Warning = why };
    }

    private static string Describe(NodeView node)
        => node.IsOnline
            ? $"{node.Address} ({node.Info!.Role.ToString().ToLowerInvariant()}, {node.Info.Keys} keys, offset {node.Info.Offset})"
            : $"{node.Address} ({(node.Detail.Length > 0 ? node.Detail : "not seen yet")})";
}
