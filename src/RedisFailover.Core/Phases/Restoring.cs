using System.Collections.Immutable;

namespace RedisFailover;

/// <summary>A change of master is given up: the old master goes on, and that is noted in the history.</summary>
internal static class Restoring
{
    internal static PlanBuilder Decide(Assessment a, NodeAssessment from, string reason)
    {
        Topology next = Next(a, from, reason);
        var record = new HistoryEntry
        {
            Kind = HistoryKind.Restored,
            Epoch = next.Epoch,
            From = from.Address,
            To = from.Address,
            Reason = reason,
            BytesBehind = a.Topology.Identity is { } held && DataLoss.Of(from.View, held) is (_, var bytes) ? bytes : null,
            Millis = ChangeSteps.Of(a.Progress, givenUpAt: a.Now),
        };
        var publication = new PublishTopology(next, a.View.Version, record, ClearsWish: a.View.ManualFailover is not null)
        {
            Request = SwitchoverRequests.Answer(a, next, RequestOutcome.Undone, record),
        };
        if (from.Info is null || (a.Topology.State != TopologyState.SwitchingOver && !a.Progress.HoldsWrites))
        {
            return PlanBuilder.Because(reason).Do(publication);
        }

        // What it takes before this is written would be lost if another monitor installed the one that was promoted after all.
        var resumption = new ResumeWrites(from.Address, from.Info.PausesWritesAlone ? null : WriteSafety.AfterServing(a, from.Info));
        return a.Progress.Inherited || next.Epoch != a.Topology.Epoch
            ? PlanBuilder.Because(reason).Do(publication with { Afterwards = resumption })
            : PlanBuilder.Because(reason).Do(publication, resumption);
    }

    /// <summary>A handover or switchover did not get there.</summary>
    internal static PlanBuilder GiveUp(Assessment a, NodeAssessment from, NodeAssessment target, string why)
    {
        if (UncertainPromotions(a) is { IsEmpty: false } questions)
        {
            return PlanBuilder.Because("asking whether the promotion was done").Do(questions).WakeBy(a.Now + a.Policy.ProbeTimeout);
        }

        // Another monitor led it, and may have got as far as the promotion: nothing is undone on an answer from before, however
        // long a new one takes, while the target may still give it.
        TimeSpan hearing = a.Progress.StartedAt + a.Policy.SilenceLimit + a.Policy.ProbeTimeout;
        return a.Progress.Inherited && target.Address != from.Address && !target.Has(HeardSince.Change) && a.Now < hearing
            && !target.IsVotedOut
            ? PlanBuilder.Because($"asking {target.Address} whether it was promoted").Do(new Inspect(target.Address)).WakeBy(hearing)
            : Decide(a, from, $"the switchover to {target.Address} was given up and nothing changed: {why}");
    }

    /// <summary>A promotion whose answer was lost may have been done: the node is asked before the old master goes on.</summary>
    internal static ImmutableArray<FailoverAction> UncertainPromotions(Assessment a)
        => [.. a.View.Failed
            .Where(f
                => f.Key is Promote promote && a.Node(promote.Node) is { IsAnswering: true } node
                    && node.View.InfoAsked < f.Value.RetryAt - a.Policy.RetryDelay)
            .Select(f => f.Key.On!).Order().Select(n => new Inspect(n))];

    private static Topology Next(Assessment a, NodeAssessment from, string reason)
    {
        Topology next = NodeLists.WithMaster(a, from, reason);
        if (a.Topology.State == TopologyState.SwitchingOver && from.Run == RunState.Restarted)
        {
            // It was restarted since, and nobody has judged yet whether others have more: that goes by what it was.
            next = next with { Identity = a.Topology.Identity };
        }

        // Where a node may have been promoted the epoch is used up, whatever has become of it or of its answer.
        return a.Topology.Master is not null && a.Progress.ChosenAt is not null ? next with { Epoch = a.NextEpoch } : next;
    }
}
