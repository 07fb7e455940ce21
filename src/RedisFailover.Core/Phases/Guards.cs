using System.Collections.Immutable;

namespace RedisFailover;

/// <summary>A reason for which nothing is decided yet, or something else comes first.</summary>
internal sealed record Guard(string Name, Func<Assessment, PlanBuilder?> Test);

/// <summary>
/// What has to be in order before a phase decides anything. The first guard that objects has the word; the order is the documentation.
/// </summary>
internal static class Guards
{
    internal static Guard[] All { get; } =
    [
        new(nameof(ZooKeeperLost), ZooKeeperLost),
        new("GivenUp", a => a.View.Config is { IsGivenUp: true }
            ? PlanBuilder.Because("an operator has removed this cluster (redis-failover clusters remove): nothing is decided for it")
            : null),
        new("NotLeading", a => a.View.Term is null ? PlanBuilder.Because("another monitor leads") : null),
        new("Resigning", a => a.View.Running.Any(x => x is Resign) ? PlanBuilder.Because("resigning") : null),
        new("PublicationInFlight", a
            => a.View.Running.Any(x => x is PublishTopology or PublishConfig) ? PlanBuilder.Because("waiting for the publication") : null),
        new("TopologyUnread", a
            => a.View.TopologyKnown ? null : PlanBuilder.Because("the topology has to be read first").Do(new ReadTopology())),
        new(nameof(NotOurCluster), NotOurCluster),
        new(nameof(ConfigRequests), ConfigRequests.Decide),
        new("RequestInAPause", Pausing.Refusal),
        new(nameof(NodesNotAskedThisTerm), NodesNotAskedThisTerm),
        new(nameof(TooFewMonitors), TooFewMonitors),
        new(nameof(TopologyOverwritten), TopologyOverwritten),
        new(nameof(EpochWentBack), EpochWentBack),
        // A change of master is left only where this monitor cannot finish it, which it finds out itself.
        new("AnotherMonitorReachesMore", a => a.Topology.IsChangingMaster ? null : Resigning.When(a, Resigning.Deadline(a))),
        new(nameof(TopologyMismatch), TopologyMismatch.Decide),
    ];

    internal static PlanBuilder? Objection(Assessment a)
    {
        foreach (Guard guard in All)
        {
            if (guard.Test(a) is { } plan)
            {
                return plan;
            }
        }

        return null;
    }

    /// <summary>
    /// The master is lost and ZooKeeper cannot be reached, so that nothing can begin: that is said instead. A leader that has its lease
    /// still keeps the replicas from the master, which may come back with nothing.
    /// </summary>
    private static PlanBuilder? ZooKeeperLost(Assessment a)
    {
        if (a.View.ZooKeeperLostAt is not { } since || a.Topology is not { State: TopologyState.Ok, Master: { } master }
            || Loss(a, $"master {master} is lost") is not { } loss)
        {
            return null;
        }

        ImmutableArray<FailoverAction> kept = a.View.Term is null ? [] : Isolating.WithoutDecision(a);
        // A connection that is lost is mostly back in a moment; and one who was frozen finds both lost when he wakes, long after others
        // have acted.
        TimeSpan patience = since + a.Policy.ProbeTimeout;
        return a.Now < patience
            ? PlanBuilder.Because($"{loss}; ZooKeeper, which cannot be reached from here, is waited for").Do(kept).WakeBy(patience)
            : PlanBuilder.Because(
                $"{loss}, and no failover can take place: ZooKeeper cannot be reached from here, for {(a.Now - since).TotalSeconds:0.0} s "
                    + $"now")
                .Do(kept).ReportReason(ProblemCatalogue.ZooKeeperUnreachable, master);

        static string? Loss(Assessment a, string otherwise)
            => a.Master.View.Condition == NodeCondition.Unavailable ? otherwise
                : a.View.Term is not null && a.Verdict.IsLost ? a.Verdict.Reason : null;
    }

    /// <summary>The topology is another cluster's: nothing of it is touched, and nobody is kept from leading who belongs to it.</summary>
    private static PlanBuilder? NotOurCluster(Assessment a)
    {
        if (a.View.Topology is not { } topology || topology.KnowsAnyOf(a.Policy.Nodes))
        {
            return null;
        }

        const string Reason = "resigning: none of this monitor's nodes is a member of the topology at its znode path";
        return PlanBuilder.Because(Reason).Do(new Resign(Reason)).ReportReason(ProblemCatalogue.NotOurCluster);
    }

    /// <summary>What a node said before this monitor led may be older than what the leader before did to it.</summary>
    private static PlanBuilder? NodesNotAskedThisTerm(Assessment a)
    {
        TimeSpan patience = a.View.LeadingSince + a.Policy.ProbeTimeout;
        ImmutableArray<FailoverAction> unheard =
            [.. a.Nodes.Where(n => n.IsAnswering && !n.Has(HeardSince.Term)).Select(n => new Inspect(n.Address))];
        return unheard.IsEmpty || a.Now >= patience
            ? null : PlanBuilder.Because("asking every node anew, as a new leader").Do(unheard).WakeBy(patience);
    }

    /// <summary>A change that is under way is finished or undone all the same: it must not stay half done.</summary>
    private static PlanBuilder? TooFewMonitors(Assessment a)
    {
        if (a.View.LiveMonitors >= a.Policy.RequiredMonitors || a.Topology.IsChangingMaster)
        {
            return null;
        }

        // Who reads that has to know what hangs on it.
        string? loss = a.Topology is not { State: TopologyState.Ok, Master: { } master } ? null
            : a.Verdict.IsLost ? a.Verdict.Reason
            : a.Master.View.Condition == NodeCondition.Unavailable ? $"master {master} cannot be reached from here"
            : null;
        string few = (loss is null ? "" : $"{loss}, and ")
            + $"nothing is decided: {Words.Count(a.View.LiveMonitors, "monitor is", "monitors are")} here, {a.Policy.RequiredMonitors} "
            + $"are required";
        // Whoever made a request waits for its answer; what stands in manual_failover may wait for the monitors.
        PlanBuilder plan = a.View is { Topology: not null, Request: not null }
            ? SwitchoverRequests.Refuse(a, few)
            : PlanBuilder.Because(few).ReportReason(ProblemCatalogue.TooFewMonitors);
        return plan.First(Isolating.WithoutDecision(a));
    }

    private static PlanBuilder? TopologyOverwritten(Assessment a)
    {
        if (a.View is not { TopologyFault: { } fault, Topology: { } memory })
        {
            return null;
        }

        string reason = a.View.StoreWentBack
            ? $"ZooKeeper's data were lost or put back ({fault}): the topology goes on as the leading monitor knows it, as a new "
                + $"incarnation"
            : $"the topology is written again as the leading monitor knows it: {fault}";
        // Clients that know later epochs, or writes later than those of a store that was put back, follow what stands above both.
        Topology again = a.View.StoreWentBack
            ? memory.AsNewIncarnation() with { Epoch = a.NextEpoch, Reason = reason }
            : memory with { Epoch = Math.Max(memory.Epoch, a.View.LastEpoch), Reason = reason };
        var record = new HistoryEntry
        {
            Kind = a.View.StoreWentBack
                ? HistoryKind.Renewed : HistoryKind.Overwritten, Epoch = again.Epoch, To = memory.Master, Reason = reason,
        };
        return PlanBuilder.Because(reason)
            .Do(new PublishTopology(again, a.View.Version, record))
            .ReportReason(a.View.StoreWentBack ? ProblemCatalogue.StoreRenewed : ProblemCatalogue.TopologyOverwritten);
    }

    /// <summary>
    /// Written by somebody else while no monitor was here that knew better, or put back from a backup: clients that know the later
    /// epochs would not follow it.
    /// </summary>
    private static PlanBuilder? EpochWentBack(Assessment a)
    {
        if (a.View.Topology is not { } old || old.Epoch >= a.View.LastEpoch)
        {
            return null;
        }

        string writer = old.ChangedBy.Length > 0 ? $"'{old.ChangedBy}'" : "unknown";
        string reason = $"epoch {old.Epoch} in R/nodes is older than {a.View.LastEpoch} in the history (writer: {writer}); "
            + $"it goes on as epoch {a.NextEpoch}";
        return PlanBuilder.Because(reason)
            .Do(new PublishTopology(old with { Epoch = a.NextEpoch, Reason = reason }, a.View.Version))
            .ReportReason(ProblemCatalogue.TopologyOverwritten);
    }
}
