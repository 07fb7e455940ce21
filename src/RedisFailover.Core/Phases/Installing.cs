namespace RedisFailover;

/// <summary>The promoted node is published as the new master, and noted in the history.</summary>
internal static class Installing
{
    internal static PlanBuilder Decide(Assessment a, NodeAssessment promoted)
    {
        bool planned = a.Topology.State == TopologyState.SwitchingOver
            && (a.Progress.PausedAt is not null || a.From is { IsVotedOut: false }) && a.From?.Run != RunState.Restarted;
        long? behind = BytesBehind(a, promoted);
        string occasion = Occasion(a, promoted);
        string reason = $"{promoted.Address} replaces {a.From?.Address.ToString() ?? "no master"}: {occasion}";
        Topology next = Next(a, promoted, planned, reason);
        var record = new HistoryEntry
        {
            // The last resort may be the lost master itself.
            Kind = promoted.Address == a.From?.Address ? HistoryKind.Restored
                : planned && (behind is not > 0 || a.Topology.Intent is { Forced: true }) ? HistoryKind.Switchover
                : HistoryKind.Failover,
            Epoch = next.Epoch,
            From = a.From?.Address,
            To = promoted.Address,
            Reason = occasion,
            BytesBehind = behind,
            Millis = ChangeSteps.Of(a.Progress),
        };
        PlanBuilder plan = PlanBuilder.Because(reason)
            .Do(OldMaster(a, promoted, planned))
            // What follows upon the answer to a promotion was not done where nobody here has had one.
            .Do(promoted.Address == a.Progress.Promoted ? [] : [new KeepRole(promoted.Address)])
            .Do(new PublishTopology(next, a.View.Version, record, ClearsWish: a.View.ManualFailover is not null)
            {
                Request = SwitchoverRequests.Answer(a, next, RequestOutcome.Done, record),
            });
        return behind > 0
            ? plan.Report(Problem.Of(
                ProblemCatalogue.NeedsOperator, $"{promoted.Address} lacks the last {behind} bytes that {a.From?.Address} was seen to have",
                    promoted.Address))
            : plan;
    }

    /// <summary>
    /// What the old master of a switchover holds back need not wait for the publication, the new one is the master already; and it must not
    /// wait for a successor if this monitor dies in between. It follows nobody who has failed meanwhile.
    /// </summary>
    private static IEnumerable<FailoverAction> OldMaster(Assessment a, NodeAssessment promoted, bool planned)
        => planned && promoted.IsCurrent && a.From is { IsMaster: true, View.FailingSince: null } old
            ? [new Demote(old.Address, promoted.Address, CutsClients: false)
            {
                MinReplicas = WriteSafety.AfterServing(a, old.Info!), EndsFailover = old.Info!.FailsOver,
            }]
            : [];

    /// <summary>"adopted" is the word for a cluster whose first master is made of a replica: there was nothing to fail over from.</summary>
    private static string Occasion(Assessment a, NodeAssessment promoted)
        => (a.Topology.Intent?.Occasion ?? a.Topology.Reason)
            + (a.Progress.BegunBy is { } former ? $"; begun by {former}, which left it to its successor" : "")
            + (a.Progress.PromotedDespite is { } despite
                ? $"; {promoted.Address} was promoted {despite}" : "");

    private static Topology Next(Assessment a, NodeAssessment promoted, bool planned, string reason)
    {
        // A switchover leaves the epoch to the old master until here.
        Topology next = NodeLists.WithMaster(a, promoted, reason) with
        {
            Epoch = a.Topology.Master is null ? a.Topology.Epoch : a.NextEpoch,
            WriteQuorum = WriteSafety.UnderNewMaster(a, promoted.Address),
        };
        // It has all the data and is a replica in a moment: clients keep their connections to it, on which their held-back
        // writes are about to be answered with READONLY.
        return planned && a.From is { IsOnline: true, IsVotedOut: false } from && from.Address != promoted.Address
            && !next.Replicas.Contains(from.Address)
            ? next with
            {
                Replicas = [.. a.Policy.Nodes.Where(n => n == from.Address || next.Replicas.Contains(n))],
                Unavailable = next.Unavailable.Remove(from.Address),
            }
            : next;
    }

    /// <summary>What the new master is known to lack; null where that is not known.</summary>
    private static long? BytesBehind(Assessment a, NodeAssessment promoted)
    {
        if (a.Topology.Identity is not { } lost || promoted.Info!.CommonOffset(lost) is not { } common)
        {
            return null;
        }

        // A master that held no key lost none, whatever else its stream was made of.
        long behind = lost.HasData ? DataLoss.Writes(Histories.FurthestSeen(a, lost) - common) : 0;
        // What a master took after a restart is not known where the new one goes by what was before, nor what it took since it was last
        // seen: that is no "nothing lost".
        bool isUnknown = (a.From is { Run: RunState.Restarted, Info: { Role: NodeRole.Master, Keys: > 0 } } old
                && !old.Has(HeardSince.Loss))
            || (lost.HasData && a.From is { } from && from.Address != promoted.Address && !Histories.IsOfTheLoss(a, lost));
        return behind == 0 && isUnknown ? null : behind;
    }

}
