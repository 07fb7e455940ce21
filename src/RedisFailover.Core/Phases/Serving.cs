using System.Collections.Immutable;

namespace RedisFailover;

/// <summary>The master serves: it is watched, operators' requests are heard, the other nodes are put right.</summary>
internal static class Serving
{
    /// <summary>
    /// For how long a replica that still believes in its link is asked again at once while the master fails; and how often later.
    /// </summary>
    private static readonly TimeSpan FirstSuspicion = TimeSpan.FromMilliseconds(20), LaterSuspicion = TimeSpan.FromMilliseconds(50);

    internal static PlanBuilder Decide(Assessment a)
    {
        string trouble = a.Verdict.Reason;
        return (a.Verdict.Remedy switch
        {
            Remedy.FailOver => LeftToOthers(a) ?? HeldBack(a) ?? FailOver(a),
            Remedy.FailOverAtOnce => OthersHandover.Decide(a) ?? FailOver(a),
            Remedy.HandOver or Remedy.FailOverIfSomebodyIsFit => Handover.Decide(a, out trouble),
            _ => null,
        })
            ?? (a.View.Asked is null ? Keep(a, trouble) : SwitchoverRequests.Fulfil(a));
    }

    /// <summary>Until when the next failover has to wait; null when it need not. An operator's request ends the waiting.</summary>
    internal static TimeSpan? HeldBackUntil(Assessment a)
        => a.View.FailedOverAt is { } last && last + a.Policy.FailoverInterval is var until && a.Now < until && a.View.Asked is null
            ? until : null;

    /// <summary>What is the matter with the master, as a problem.</summary>
    internal static Problem Trouble(Assessment a, string trouble) => Problem.Of(CodeOf(a.Verdict.Status), trouble, a.Master.Address);

    private static ProblemCode CodeOf(MasterStatus status) => status switch
    {
        MasterStatus.Loading => ProblemCatalogue.MasterLoading,
        MasterStatus.RefusesWrites => ProblemCatalogue.MasterMisconf,
        MasterStatus.Unmonitored => ProblemCatalogue.MasterNotWatched,
        MasterStatus.Busy => ProblemCatalogue.MasterBusy,
        MasterStatus.FailsOver => ProblemCatalogue.MasterFailsOver,
        MasterStatus.WritesPaused => ProblemCatalogue.WritesPaused,
        MasterStatus.TakesNoConnections => ProblemCatalogue.ConnectionsExhausted,
        MasterStatus.Foreign => ProblemCatalogue.ForeignData,
        _ => ProblemCatalogue.MasterUnreachable,
    };

    /// <summary>
    /// To announce a failover that only another monitor can carry out would take the master from those who still reach it.
    /// </summary>
    private static PlanBuilder? LeftToOthers(Assessment a)
        => Resigning.DeadlineWithoutMaster(a) is not { } deadline || a.Nodes.Any(n => n.IsReplica) ? null
            : Resigning.When(a, deadline)
                ?? PlanBuilder.Because($"{a.Verdict.Reason}; left to a monitor that reaches more nodes than this one").WakeBy(deadline);

    /// <summary>The history shows how long it took: where it was held back, the verdict was reached long before.</summary>
    private static PlanBuilder FailOver(Assessment a)
        => Beginning.Failover(a, WasHeldBack(a)
            ? $"{a.Verdict.Reason}; it was held back until now, by failover-interval" : a.Verdict.Reason);

    private static bool WasHeldBack(Assessment a) => a.Topology.Waiting is { Code: WaitCause.HeldBack };

    private static PlanBuilder? HeldBack(Assessment a)
    {
        if (HeldBackUntil(a) is not { } until)
        {
            return null;
        }

        string reason = $"{a.Verdict.Reason}; held back for {(until - a.Now).TotalSeconds:0.0} s by failover-interval; "
            + "redis-failover failover starts it now";
        Topology next =
            NodeLists.Of(a, a.Topology with { Reason = reason, Waiting = new WaitCause(WaitCause.HeldBack, [a.Master.Address]) });
        PlanBuilder plan = PlanBuilder.Because(reason).Do(Isolating.WhileWaiting(a)).WakeBy(until)
            .ReportReason(ProblemCatalogue.FailoverHeldBack, a.Master.Address);
        return Words.SameButForNumbers(a.Topology.Reason, reason) && next with { Reason = a.Topology.Reason } == a.Topology
            ? plan
            : plan.First(new PublishTopology(next, a.View.Version));
    }

    /// <summary>What is waited for may be over, because the master is gone: the replicas are asked for their links meanwhile.</summary>
    internal static PlanBuilder AskingForLinks(Assessment a, NodeAssessment master, PlanBuilder plan)
    {
        (ImmutableArray<FailoverAction> questions, TimeSpan? wakeAt) = Suspicion(a, master);
        return plan.Do(questions).WakeBy(wakeAt);
    }

    /// <summary>The topology is kept up to date, the other nodes are put right, and what is amiss is told.</summary>
    private static PlanBuilder Keep(Assessment a, string trouble)
    {
        Latecomers? others = a.Master is { IsMaster: true, Run: RunState.Restarted } ? Latecomers.Beside(a, a.Master) : null;
        ImmutableArray<NodeAssessment> awaited = others?.Nodes ?? [];
        (ImmutableArray<FailoverAction> corrections, ImmutableArray<Problem> wrong, TimeSpan? judgedAt) = Correcting.Of(a);
        (WriteQuorum? quorum, ImmutableArray<FailoverAction> safeguards, Problem? weakness) = WriteSafety.Maintain(a);
        // Who is not known to all as a possible holder of writes is not let near them yet, and who may have more than the master is not
        // told to copy it.
        PlanBuilder plan = PlanBuilder.Because("all is well")
            .Do(corrections.Concat(Unanswered.Of(a)).Where(c => c is not (Follow or Demote)
                || (WriteSafety.MayAttach(a, c.On!) && awaited.All(n => n.Address != c.On))))
            .Do(Isolating.WhileLoading(a))
            .Do(safeguards);
        // Who reaches no node changes nothing.
        Topology seen = a.View.IsBlind ? a.Topology : NodeLists.Of(a, a.Topology);
        Publish(a, plan, (awaited.IsEmpty ? Refreshed(a, seen) : seen) with { WriteQuorum = quorum, Waiting = null });
        (ImmutableArray<FailoverAction> questions, TimeSpan? wakeAt) = Suspicion(a, a.Master);
        plan.First([.. questions, .. awaited.Where(n => n.IsAnswering).Select(n => new Inspect(n.Address))])
            .WakeBy(wakeAt).WakeBy(others?.Until).WakeBy(a.Verdict.Until).WakeBy(judgedAt);
        foreach (Problem? problem in (IEnumerable<Problem?>)
            [Less(a, awaited), trouble.Length > 0
                ? Trouble(a, trouble) : null, NotConfigured(a), .. wrong, weakness, MonitorDisagreement.Of(a)])
        {
            _ = problem is null ? plan : plan.Report(problem);
        }

        return plan;
    }

    /// <summary>The topology as it should be, if that differs; and what the plan is about.</summary>
    private static void Publish(Assessment a, PlanBuilder plan, Topology next)
    {
        // What the znode said about a master that was waited for holds no longer.
        bool isBack = WasHeldBack(a);
        if (!isBack && next == a.Topology)
        {
            _ = plan.Actions.Count == 0 ? plan : plan.With(string.Join("; ", plan.Actions));
            return;
        }

        HistoryEntry? record = next.Identity != a.Topology.Identity && a.Topology.Identity is { } before
            ? DataLoss.OfMaster(a.Master.View, before, a.Topology.Epoch) : null;
        string reason = record?.Reason ?? (isBack ? $"{a.Master.Address} answers again" : TopologyChanges.Between(a, next));
        plan.With(reason).First(new PublishTopology(next with { Reason = reason }, a.View.Version, record));
    }

    private static Problem? Less(Assessment a, ImmutableArray<NodeAssessment> awaited)
        => awaited.IsEmpty ? null : Problem.Of(
            ProblemCatalogue.NeedsOperator,
            $"master {a.Master.Address} was restarted and may have less than before; if "
                + $"{string.Join(" or ", awaited.Select(n => n.Address))} "
                + (awaited.All(n => n.Contact == Contact.Loading) ? "has it once it is loaded"
                    : $"comes within {a.Policy.ReturnPatience.TotalSeconds:0} s and has it")
                + ", it takes over",
            a.Master.Address);

    private static Problem? NotConfigured(Assessment a)
        => a.Master.IsConfigured ? null : Problem.Of(
            ProblemCatalogue.NeedsOperator,
            $"the master {a.Master.Address} is not among the configured nodes; it stays the master until it is lost or replaced by a "
                + $"switchover",
            a.Master.Address) with
        {
            Advice = "Put it into the nodes of all monitors, or: redis-failover switchover.",
        };

    /// <summary>
    /// While the master fails but is not judged: ask the replicas about their links, so that a verdict needs no further round.
    /// </summary>
    private static (ImmutableArray<FailoverAction> Questions, TimeSpan? WakeAt) Suspicion(Assessment a, NodeAssessment master)
    {
        if (master.View is not { FailingSince: { } since, ProbeFailure: not (ProbeFailure.Silent or ProbeFailure.Loading) })
        {
            return ([], null);
        }

        // The longer it lasts the less a millisecond matters. At first the answers themselves set the pace: no timer is as fine.
        TimeSpan interval = a.Now - since < FirstSuspicion ? TimeSpan.Zero : LaterSuspicion;
        (NodeAddress Node, TimeSpan Due)[] open = [.. a.Nodes
            .Where(n => n.Address != master.Address && n.IsReplica && n.Contact != Contact.Loading && !n.HasLostItsLink)
            .Select(n => (n.Address, n.Has(HeardSince.MasterFailure) ? n.View.InfoAsked + interval : a.Now))];
        return ([.. open.Where(n => n.Due <= a.Now).Select(n => new Inspect(n.Node))],
            open.Where(n => n.Due > a.Now).Select(n => (TimeSpan?)n.Due).Min());
    }

    /// <summary>
    /// The identity in the znode is renewed when it became another one, not with every byte of the offset. Only by what the master says
    /// now: a replica that has more than a restarted master takes its place as long as the znode knows what that was.
    /// </summary>
    private static Topology Refreshed(Assessment a, Topology topology)
    {
        if (a.Master is not { IsMaster: true, IsCurrent: true } master)
        {
            return topology;
        }

        MasterIdentity current = topology.Identity?.Then(master.Info!.Identity) ?? master.Info!.Identity;
        bool isKnown = topology.Identity is { } known && current with { Offset = known.Offset } == known;
        return topology with
        {
            Identity = isKnown ? topology.Identity : current,
            // As they are now, once there is a new one: an address that was given up may be anybody's later.
            OtherReplicas = UnknownCopies.Others(a) is var others && others.All(n => topology.OtherReplicas.Contains(n))
                ? topology.OtherReplicas : [.. others.Take(Topology.MaxOtherReplicas).Order()],
        };
    }

}
