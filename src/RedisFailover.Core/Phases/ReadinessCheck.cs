using System.Collections.Immutable;

namespace RedisFailover;

/// <summary>Whether a failover would work now: the failover's own questions, asked while the master serves.</summary>
internal static class ReadinessCheck
{
    /// <summary>The answer; null when no master is named, or another monitor leads.</summary>
    /// <param name="view">All that the monitor knows.</param>
    /// <param name="policy">What it goes by.</param>
    /// <param name="now">The time on its monotonic clock.</param>
    /// <param name="lease">What keeps it from carrying anything out; null where it has its lease.</param>
    public static Readiness? Of(ClusterView view, FailoverPolicy policy, TimeSpan now, Problem? lease = null)
    {
        ArgumentNullException.ThrowIfNull(view);
        ArgumentNullException.ThrowIfNull(policy);
        if (view.Term is null || view.Topology is not { Master: not null })
        {
            return null;
        }

        var a = Assessment.Of(view, policy, now);
        var screening = Screening.Of(a, Purpose.Readiness, a.Configured.Where(n => n.Address != a.Master.Address));
        string remarks = string.Join(
            "; ", [.. screening.Unfit.Select(u => u.ToString()), .. AfterOthers(screening), .. Behind(screening)]);
        string others = remarks.Length > 0 ? $" ({remarks})" : "";
        ImmutableArray<NodeAddress> candidates = [.. screening.Fit.Select(n => n.Address).Order()];
        (ProblemCode Code, string Why)? objection = lease is not null ? (lease.Code, lease.Message) : Objection(screening, others);
        return new Readiness(objection is null, candidates, objection?.Why
            ?? $"{string.Join(", ", candidates)} could take over{others}; {Witnesses(a)}")
        {
            LiveMonitors = view.LiveMonitors,
            Hindrance = objection?.Code,
        };
    }

    /// <summary>
    /// Why no failover would take place, or what it would be worth, in the order in which it would be found; null where it would work.
    /// </summary>
    private static (ProblemCode Code, string Why)? Objection(Screening screening, string others)
    {
        Assessment a = screening.All;
        return MasterRules.Unmonitored(a.Master) is { } unmonitored ? (ProblemCatalogue.MasterNotWatched, unmonitored)
            : a.View.LiveMonitors < a.Policy.RequiredMonitors
                ? (ProblemCatalogue.TooFewMonitors,
                    $"{Words.Count(a.View.LiveMonitors, "monitor is", "monitors are")} alive, {a.Policy.RequiredMonitors} are required")
            : a.FailureOf(new ReadTopology()) is { } failure
                ? (ProblemCatalogue.FailoverHeldBack, $"the leading monitor cannot read the topology: {failure}")
            : a.View.CannotPublish is { Failure: var unwritten }
                ? (ProblemCatalogue.TopologyNotWritten, $"the leading monitor cannot write what a failover needs: {unwritten}")
            : WithoutOpinion(a) is [_, ..] without && !a.Suffices(a.View.Voters - without.Length, a.View.Voters)
                ? (ProblemCatalogue.FailoverHeldBack,
                    $"{string.Join(" and ", without.AsEnumerable())} cannot judge master {a.Master.Address}: "
                        + "if it hangs it is not replaced")
            : a.View.IsPaused(a.Now) ? (ProblemCatalogue.Paused, a.View.Config!.Pause!.ToString())
            : Serving.HeldBackUntil(a) is not null
                ? (ProblemCatalogue.FailoverHeldBack,
                    $"the last one was less than failover-interval ({a.Policy.FailoverInterval.TotalMilliseconds:0} ms) ago{others}")
            : screening.Fit is not [var best, ..] ? (ProblemCatalogue.NoCandidate, $"nobody could take over{others}")
            // As if all were asked now: answers are a second old at most.
            : WriteHolders.Missing(a, best, Purpose.Readiness) is { } missing ? (ProblemCatalogue.FailoverHeldBack, missing)
            : RefusedWrites(screening) is { } refused
                ? (refused.Code, $"{best.Address} would take over and refuse writes: {refused.Why}{others}")
            : null;
    }

    /// <summary>
    /// Monitors that are here and have no word on the master: they reach no node, or cannot try it. Not while they, or it, may only just
    /// have come.
    /// </summary>
    private static string[] WithoutOpinion(Assessment a)
    {
        bool mayHaveJustCome = a.Now < a.View.LeadingSince + a.Policy.ViewLifetime
            || a.Now < a.Master.View.OnlineSince + a.Policy.ViewLifetime;
        return [.. a.View.OtherMonitors.Where(m => m.Value.IsBlind
                || (!mayHaveJustCome && m.Value.Available.Count + m.Value.Unavailable.Count > 0
                    && !m.Value.Available.ContainsKey(a.Master.Address) && !m.Value.Unavailable.Contains(a.Master.Address)))
            .Select(m => m.Key).Order(StringComparer.Ordinal)];
    }

    /// <summary>Why the next master would refuse writes, where each of the candidates would; null where one would take them.</summary>
    private static (ProblemCode Code, string Why)? RefusedWrites(Screening screening)
    {
        NodeAssessment best = screening.Fit[0];
        return screening.Fit.Any(n => CandidateRules.WouldRefuseWrites(n) is null
            && CandidateRules.WouldLackReplicas(screening.All, n) is null) ? null
            : CandidateRules.WouldRefuseWrites(best) is { } why ? (ProblemCatalogue.CandidateRefusesWrites, why)
            : CandidateRules.WouldLackReplicas(screening.All, best) is { } lacking ? (ProblemCatalogue.MinReplicasUnmet, lacking)
            : null;
    }

    /// <summary>Those who would come after others with as much data, by the order of the configuration.</summary>
    private static IEnumerable<string> AfterOthers(Screening screening)
    {
        Assessment a = screening.All;
        NodeAssessment[] fit = [.. a.Configured.Where(screening.Fit.Contains)];
        return [
            .. fit.Where(n => !n.IsStable && fit.Any(other => other.IsStable))
                .Select(n
                    => $"{n.Address}: after others with as much, as it is back for less than stable-time "
                        + $"({a.Policy.StableTime.TotalSeconds:0} s)"),
            .. fit.Where(n => CandidateRules.Reservation(n) is not null)
                .Select(n => $"{n.Address}: after others with as much, as {CandidateRules.Reservation(n)}"),
        ];
    }

    /// <summary>What would be lost with those that may be promoted and catch up with nothing: they have no link.</summary>
    private static IEnumerable<string> Behind(Screening screening)
        => from node in screening.Fit
            where screening.Lost is { HasData: true } && node.Info is { LinkUp: false }
            let lacks = DataLoss.Writes(screening.Lost!.Offset - (node.Info!.CommonOffset(screening.Lost) ?? screening.Lost.Offset))
            where lacks > 0
            orderby node.Address
            select $"{node.Address}: has no link, and lacks {lacks} bytes that the master has";

    private static string Witnesses(Assessment a)
    {
        int witnesses = a.Policy.NodeStrategy switch
        {
            NodeStrategy.Consensus => a.View.LiveMonitors,
            NodeStrategy.Single => 1,
            _ => (a.View.LiveMonitors / 2) + 1,
        };
        return a.View.LiveMonitors == 1
            ? "the one monitor that is alive decides" : $"{witnesses} of {a.View.LiveMonitors} monitors have to agree";
    }
}
