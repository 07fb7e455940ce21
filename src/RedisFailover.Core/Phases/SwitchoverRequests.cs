namespace RedisFailover;

/// <summary>
/// What operators ask for: a switchover begins, or the request is refused with the reason; and what is answered when a change ends.
/// </summary>
internal static class SwitchoverRequests
{
    /// <summary>How often the replicas are asked while a request waits for one to be in step.</summary>
    private static readonly TimeSpan PatienceInterval = TimeSpan.FromMilliseconds(50);

    /// <summary>The master serves, and an operator wants another.</summary>
    internal static PlanBuilder Fulfil(Assessment a)
    {
        if (IsBeingRefused(a.View))
        {
            return PlanBuilder.Because("waiting until the refusal is written");
        }

        NodeAddress? target = a.View.Asked!.Target;
        return Objection(a, target) is { } objection ? Refuse(a, objection)
            : MasterAnswers(a) ?? ReplicasAreAsked(a, target) ?? OneComesIntoStep(a, target) ?? Begin(a, target);
    }

    /// <summary>The refusal of what the operator asks for now.</summary>
    internal static PlanBuilder Refuse(Assessment a, string why)
    {
        if (IsBeingRefused(a.View))
        {
            return PlanBuilder.Because("waiting until the refusal is written");
        }

        string reason = $"request refused: {why}";
        return PlanBuilder.Because(reason).Do(Refusal(a.View.Wish!, a.View.Request, a.Topology, why))
            .ReportReason(ProblemCatalogue.NeedsOperator);
    }

    /// <summary>While a switchover runs, every request but its own is told so at once.</summary>
    internal static IEnumerable<FailoverAction> RefuseOthers(Assessment a)
    {
        if (a.Topology is not { State: TopologyState.SwitchingOver, Intent: { } intent })
        {
            yield break;
        }

        string reason = $"a switchover{(intent.Target is { } target ? $" to {target}" : "")} is under way already";
        foreach (OperatorRequest request in a.View.Requests.Where(r => r.Id != intent.Request))
        {
            yield return Refusal(request.Wish, request, a.Topology, reason);
        }

        if (intent.Request is not null && a.View.ManualFailover is { } wish)
        {
            yield return Refusal(wish, null, a.Topology, reason);
        }
    }

    /// <summary>
    /// The answer that goes out in one transaction with the topology that ends a change of master. It goes to the request that the
    /// change was made for; a failover that nobody asked for answers one that was waiting.
    /// </summary>
    internal static RequestStep? Answer(Assessment a, Topology after, RequestOutcome outcome, HistoryEntry record)
    {
        OperatorRequest? request = a.Topology.Intent?.Request is { } id ? a.View.Requests.FirstOrDefault(r => r.Id == id) : a.View.Request;
        if (request is null)
        {
            return null;
        }

        bool isRefused = outcome == RequestOutcome.Done && request.Target is { } target && target != after.Master;
        return new RequestStep(
            request,
            new RequestAnswer(isRefused
                ? RequestOutcome.Refused : outcome, record.Reason, after.Master, after.Epoch) { Millis = record.Millis });
    }

    /// <summary>Whether the refusal of what is asked for now is on its way: there is no second one, in other words.</summary>
    private static bool IsBeingRefused(ClusterView view)
        => view.Running.Any(a => a is RefuseWish refusal && refusal.Wish == view.Wish && refusal.Request?.Request.Id == view.Request?.Id);

    /// <summary>Why it cannot be done at all, whatever the replicas say.</summary>
    private static string? Objection(Assessment a, NodeAddress? target)
        => a.View.Asked!.Fault
            ?? (target == a.Master.Address ? $"{target} is the master already"
                : target is not null && !a.IsConfigured(target)
                    ? $"{Words.Quoted(target.ToString())} is not among the configured nodes; there are {string.Join(", ", a.Policy.Nodes)}"
                // It would not obey either: the switchover would begin, only to be undone at its deadline.
                // One that cannot even be tried (its name is not known) takes no orders, and an operator may know that it is gone.
                : a.Master.Contact == Contact.LocalFault && a.View.Asked is { Force: true, Target: not null } ? null
                : MasterRules.Unmonitored(a.Master) is { } unmonitored
                    ? unmonitored + (a.Master.Contact == Contact.LocalFault
                        ? "; if it is gone for good: redis-failover failover REPLICA --force" : "")
                : MasterRules.WhyNoHandover(a.Master));

    /// <summary>
    /// A master that answers the others and not this monitor can be neither made to hold its writes nor demoted from here: null where it
    /// answers, or an operator takes that on himself.
    /// </summary>
    private static PlanBuilder? MasterAnswers(Assessment a)
    {
        TimeSpan patience = a.View.WishedAt + (a.View.Asked!.Timeout ?? a.Policy.SwitchoverTimeout);
        return a.Master.IsAnswering || a.View.Asked is { Force: true, Target: not null } ? null
            : a.Now < patience
                ? Serving.AskingForLinks(
                    a, a.Master, PlanBuilder.Because($"waiting for an answer of master {a.Master.Address}").WakeBy(patience))
            : Refuse(a, $"master {a.Master.Address} "
                + (a.Master.Contact is Contact.Busy or Contact.Loading ? "serves nobody" : "does not answer the leading monitor")
                + $" ({a.Master.View.Detail}), so that it cannot hand over, and {a.Master.Votes}; to replace it as it is: "
                + "redis-failover failover REPLICA --force");
    }

    private static IEnumerable<NodeAssessment> Asked(Assessment a, NodeAddress? target)
        => (target is null ? a.Configured : [a.Node(target)]).Where(n => n.Address != a.Master.Address);

    /// <summary>What was asked before the request came may be a second old.</summary>
    private static PlanBuilder? ReplicasAreAsked(Assessment a, NodeAddress? target)
        => Handover.Unheard(a, Asked(a, target).Where(n => n.IsReplica), a.View.WishedAt) is { IsEmpty: false } questions
            ? PlanBuilder.Because("asking the replicas before the operator's request is heard").Do(questions)
                .WakeBy(a.View.WishedAt + a.Policy.ProbeTimeout)
            : null;

    /// <summary>A replica that has only just been told whom to follow needs a second to get there.</summary>
    private static PlanBuilder? OneComesIntoStep(Assessment a, NodeAddress? target)
    {
        // Who refuses our credentials is no candidate, and will not become one by waiting.
        NodeAssessment[] replicas = [.. Asked(a, target).Where(n => n.IsReplica && !n.CannotBeWatched)];
        if (a.Now >= a.View.WishedAt + (a.View.Asked!.Timeout ?? a.Policy.SwitchoverTimeout)
            || replicas.Length == 0 || replicas.Any(n => n.Info!.LinkUp && !n.Info.SyncInProgress))
        {
            return null;
        }

        // One that is loading answers at once and says nothing new: it will be heard when it is done. Each has its own pace: one that does
        // not answer must not let the others be asked as fast as they do.
        (NodeAddress Node, TimeSpan Due)[] talking =
            [.. replicas.Where(n => n.Contact != Contact.Loading).Select(n => (n.Address, n.View.InfoAsked + PatienceInterval))];
        return PlanBuilder.Because("waiting until a replica is in step with the master")
            .Do(talking.Where(t => t.Due <= a.Now).Select(t => new Inspect(t.Node)))
            .WakeBy(talking.Select(t => t.Due).Where(at => at > a.Now).DefaultIfEmpty(a.Now + PatienceInterval).Min());
    }

    private static PlanBuilder Begin(Assessment a, NodeAddress? target)
    {
        OperatorRequest? request = a.View.Request;
        var screening = Screening.Of(a, Purpose.Switchover, Asked(a, target), a.View.WishedAt);
        NodeAssessment? forced = screening.Fit.IsEmpty ? Forced(a, target) : null;
        if ((forced ?? screening.Fit.FirstOrDefault()) is not { } chosen)
        {
            return Refuse(a, NobodyIsFit(a, target, screening));
        }

        (NodeAddress from, NodeAddress to) = (a.Master.Address, chosen.Address);
        string occasion = forced is null
            ? "as the operator asked" : $"forced, as the operator asked; data may be lost: {screening.Objections}";
        string reason = $"switchover from {from} to {to}, {occasion}";
        // The master stays the master and is named until another one is: clients go on, and only the master itself holds them up.
        Topology intent = a.Topology with
        {
            State = TopologyState.SwitchingOver,
            Reason = reason,
            Identity = screening.Lost,
            Waiting = null,
            Intent = new FailoverIntent(from, to)
            {
                Occasion = occasion,
                BegunIn = a.Topology.Epoch,
                MasterWasHeard = Histories.HasHeard(a.Master, screening.Lost),
                Request = request?.Id,
                Timeout = request?.Timeout,
                Forced = forced is not null || !a.Master.IsAnswering,
                MinReplicas = WriteSafety.ToPutBack(a.Master.Info),
            },
        };
        return PlanBuilder.Because(reason)
            .Do(new PublishTopology(intent, a.View.Version) { Request = request is null ? null : new RequestStep(request) });
    }

    /// <summary>By force a replica is taken that answers, whatever it lacks.</summary>
    private static NodeAssessment? Forced(Assessment a, NodeAddress? target)
        => a.View.Asked is { Force: true } && target is not null
            && a.Node(target) is { IsReplica: true, CanBePromoted: true, IsLeftAlone: false } node
            && CandidateRules.Hanging(node, a.View.WishedAt, a.Now) is null ? node : null;

    private static string NobodyIsFit(Assessment a, NodeAddress? target, Screening screening)
    {
        string why = screening.Unfit.IsEmpty ? "there is none" : screening.Objections;
        return target is null ? $"no replica can take over: {why}"
            : $"the node that was asked for cannot take over: {why}"
                + (a.View.Asked is { Force: true } && !a.Node(target).IsReplica
                    ? "; by force a replica is taken that answers, whatever it lacks" : "");
    }

    private static RefuseWish Refusal(string wish, OperatorRequest? request, Topology topology, string reason)
        => new(wish, new HistoryEntry { Kind = HistoryKind.Refused, Epoch = topology.Epoch, From = topology.Master, Reason = reason })
        {
            Request = request is null
                ? null
                : new RequestStep(request, new RequestAnswer(RequestOutcome.Refused, reason, topology.Master, topology.Epoch)),
        };
}
