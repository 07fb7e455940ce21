using System.Collections.Immutable;

namespace RedisFailover;

/// <summary>No master was ever known: find the one that there is, make one of empty nodes, or say why neither is safe.</summary>
internal static class FirstMaster
{
    internal static PlanBuilder Decide(Assessment a)
    {
        ImmutableArray<NodeAssessment> online = [.. a.Configured.Where(n => n.IsOnline && n.Contact != Contact.Loading)];
        if (NotSeenYet(a, online) is { } waiting)
        {
            return waiting;
        }

        if (online.IsEmpty)
        {
            return Wait(a, ProblemCatalogue.NoMaster, "no Redis node answers yet: " + string.Join("; ", a.Configured.Select(Describe)));
        }

        ImmutableArray<NodeAssessment> masters = [.. online.Where(n => n.IsMaster)];
        ImmutableArray<NodeAssessment> followed =
            [.. masters.Where(m => online.Any(n => n.IsReplica && n.Info!.MasterAddress == m.Address))];
        return Chosen(a, online) is { } chosen ? Adopt(a, chosen, $"{chosen.Address} is the master, as the operator chose")
            : Ordered(a) is { } ordered
                ? Promote(a, ordered, null, $"replica {ordered.Address} is to be the master, as the operator ordered")
            : followed.Length == 1 && (followed[0].Info!.Keys > 0 || (masters.All(m => m.Info!.Keys == 0) && !OthersMayHoldData(a)))
                ? Adopt(a, followed[0], $"{followed[0].Address} is the master: replicas follow it")
            : followed.Length > 1 ? Ambiguous(a, "several masters have replicas", followed)
            : followed.Length == 1 && masters.Any(m => m.Info!.Keys > 0)
                ? Ambiguous(a, "the master that has replicas is empty, and another one is not", masters)
            : masters.IsEmpty ? ReplicasOnly(a, online)
            : ByData(a, online, masters);
    }

    /// <summary>
    /// A node that is still starting, when others have come, may be the one with the data: it is given its time, and one that loads its
    /// data has them. One that refuses our credentials or speaks no Redis has answered already, and only somebody's hand changes what it
    /// says.
    /// </summary>
    private static PlanBuilder? NotSeenYet(Assessment a, ImmutableArray<NodeAssessment> online)
    {
        TimeSpan since = online.IsEmpty ? a.View.LeadingSince : online.Min(n => n.View.OnlineSince ?? a.Now);
        TimeSpan patience = a.Configured.Where(n => (!n.IsOnline || n.Contact == Contact.Loading) && !n.CannotBeWatched)
            .Select(n => n.View.LoadingSince is { } loading ? loading + a.Policy.LoadingTimeout : since + a.Policy.SilenceLimit)
            .DefaultIfEmpty(TimeSpan.MinValue).Max();
        return a.Now < patience ? PlanBuilder.Because("waiting for all nodes to be seen").WakeBy(patience) : null;
    }

    /// <summary>Masters that nobody follows: what they hold decides.</summary>
    private static PlanBuilder ByData(Assessment a, ImmutableArray<NodeAssessment> online, ImmutableArray<NodeAssessment> masters)
    {
        ImmutableArray<NodeAssessment> withData = [.. masters.Where(m => m.Info!.Keys > 0)];
        // Replicas with data of a master that does not answer may hold more than a master that stands alone.
        ImmutableArray<NodeAssessment> orphans = [.. online.Where(n => n.IsReplica && n.Info!.Keys > 0)];
        return withData.Length > 1 ? Ambiguous(a, "several masters hold data", withData)
            : !orphans.IsEmpty
                ? Ambiguous(a, "a master stands beside replicas with data of another one that does not answer", [.. withData, .. orphans])
            : withData.Length == 1 ? Adopt(a, withData[0], $"{withData[0].Address} is the master: it alone holds data")
            : OthersMayHoldData(a)
                ? Ambiguous(a, "those that answer are empty, and one that cannot be asked may hold the data", a.Configured)
            : Adopt(a, masters[0], $"{masters[0].Address} is the master: {AllEmpty(a, online)}");
    }

    /// <summary>Whether a node lives that does not say what it holds, or is away and was seen with data.</summary>
    private static bool OthersMayHoldData(Assessment a)
        => a.Configured.Any(n => n.Contact is Contact.AuthRefused or Contact.Loading or Contact.Busy
            || n is { IsOnline: false, Info.Keys: > 0 });

    private static string AllEmpty(Assessment a, ImmutableArray<NodeAssessment> online)
        => online.Length == a.Configured.Length
            ? "all nodes are empty, it is the first of those that answer"
            : $"it is the first of those that answer, which are empty; "
                + $"{string.Join(", ", a.Configured.Except(online).Select(n => n.Address))} did not answer";

    private static NodeAssessment? Chosen(Assessment a, ImmutableArray<NodeAssessment> online)
        => a.View.Asked?.Target is { } named ? online.FirstOrDefault(n => n.Address == named && n.IsMaster) : null;

    /// <summary>By force a replica is taken too, whosever it is: of the others none is touched that does not hold the same data.</summary>
    private static NodeAssessment? Ordered(Assessment a)
        => a.View.Asked is { Force: true, Target: { } named }
            && a.Node(named) is { IsConfigured: true, IsReplica: true, CanBePromoted: true } node ? node : null;

    private static PlanBuilder Adopt(Assessment a, NodeAssessment master, string reason)
    {
        Topology next = NodeLists.WithMaster(a, master, reason) with { Epoch = a.NextEpoch };
        var record = new HistoryEntry { Kind = HistoryKind.Adopted, Epoch = next.Epoch, To = master.Address, Reason = reason };
        return PlanBuilder.Because(reason)
            .Do(new PublishTopology(next, a.View.Version, record, ClearsWish: a.View.ManualFailover is not null)
        {
            Request = SwitchoverRequests.Answer(a, next, RequestOutcome.Done, record),
        });
    }

    /// <summary>
    /// Replicas only: of a master that is gone, or of each other after everything was restarted. The one with the most data is
    /// promoted, by the same steps as in a failover. Replicas of a master outside the configuration are not ours to take.
    /// </summary>
    private static PlanBuilder ReplicasOnly(Assessment a, ImmutableArray<NodeAssessment> replicas)
    {
        ImmutableArray<NodeAssessment> outside = [.. replicas.Where(n => n.Info!.LinkUp && !a.IsConfigured(n.Info.MasterAddress!))];
        if (!outside.IsEmpty)
        {
            return Ambiguous(a, $"they replicate from {outside[0].Info!.MasterAddress}, which is not configured", outside);
        }

        NodeAssessment best = replicas.OrderByDescending(n => n.Info!.Keys > 0).ThenByDescending(n => n.Info!.Offset).First();
        // Also of one further up in a chain: it may live, and take writes.
        NodeAddress[] away =
            [.. replicas.Select(n => n.Info!.MasterAddress!).Where(m => a.IsConfigured(m) && !a.Node(m).IsOnline).Distinct().Order()];
        // However long it loads: it has the data.
        if (away.FirstOrDefault(m => !a.Node(m).IsVotedOut || a.Node(m).Contact == Contact.Loading) is { } unseen)
        {
            return Wait(a, ProblemCatalogue.NoMaster, $"all nodes that answer are replicas of {unseen} or of each other, and "
                + (a.Node(unseen).Contact == Contact.Loading ? "it is loading its data set"
                    : a.Node(unseen).CannotBeWatched ? $"the monitors cannot ask it: {a.Node(unseen).View.Detail}"
                    : $"{a.Node(unseen).Votes}"));
        }

        if (best.Info!.Keys == 0 && OthersMayHoldData(a))
        {
            return Ambiguous(a, "those that answer are empty, and one that cannot be asked may hold the data", a.Configured);
        }

        // Append-only files forget the history: nobody can tell which is the older, by the number of keys as little as by the offsets.
        ImmutableArray<NodeAssessment> others =
            [.. replicas.Where(n => n.Info!.Keys > 0 && !n.Info.SharesHistoryWith(best.Info!.Identity))];
        if (!others.IsEmpty)
        {
            return Ambiguous(a, "replicas hold data of different histories", [best, .. others]);
        }

        NodeAddress? gone = away.Contains(best.Info.MasterAddress!) ? best.Info.MasterAddress : away.FirstOrDefault();
        string reason = gone is null
            ? "all nodes are replicas and none of them has a master"
            : $"all nodes that answer are replicas of {gone}, which does not answer";
        return Promote(a, best, gone, reason);
    }

    /// <summary>A replica becomes the first master by the steps of a failover.</summary>
    private static PlanBuilder Promote(Assessment a, NodeAssessment best, NodeAddress? gone, string reason)
    {
        Topology intent = NodeLists.Of(a, a.Topology with
        {
            State = TopologyState.FailingOver,
            Epoch = a.NextEpoch,
            Reason = reason,
            // The history is the master's, the process is not.
            Identity = best.Info!.Identity with { RunId = "" },
            Waiting = null,
            Intent = new FailoverIntent(gone, a.View.Asked?.Target) { Occasion = reason, BegunIn = a.NextEpoch },
        });
        return PlanBuilder.Because(reason).Do(new PublishTopology(intent, a.View.Version))
            .Do(a.Configured.Where(n => n.IsReplica && n.IsOnline).Select(n => new Inspect(n.Address)));
    }

    private static PlanBuilder Ambiguous(Assessment a, string problem, ImmutableArray<NodeAssessment> nodes)
        => Wait(
            a,
            ProblemCatalogue.NeedsOperator,
            $"nothing is touched, because {problem}: {string.Join("; ", nodes.Select(Describe))}. Choose the master, "
                + "redis-failover failover HOST:PORT --force, or take the others out of the configuration");

    /// <summary>The znode says so too, once: an operator looks there first, and clients can tell it from a missing znode.</summary>
    private static PlanBuilder Wait(Assessment a, ProblemCode code, string why)
    {
        if (a.View.Request is { } request)
        {
            return SwitchoverRequests.Refuse(a, request.Target is { } named
                ? $"{named} does not answer as a master, or as a replica to be taken by --force; {why}" : why);
        }

        PlanBuilder plan = PlanBuilder.Because(why).ReportReason(code);
        return a.View.Version >= 0 && a.Topology.State == TopologyState.NoMaster && Words.SameButForNumbers(a.Topology.Reason, why)
            ? plan
            : plan.Do(new PublishTopology(
                NodeLists.Of(a, a.Topology with { State = TopologyState.NoMaster, Reason = why, Waiting = new WaitCause(code.Name, []) }),
                    a.View.Version));
    }

    private static string Describe(NodeAssessment node)
        => node.IsOnline
            ? $"{node.Address} ({node.Info!.Role.ToString().ToLowerInvariant()}, {node.Info.Keys} keys, offset {node.Info.Offset})"
            : $"{node.Address} ({(node.View.Detail.Length > 0 ? node.View.Detail : "not seen yet")})";
}
