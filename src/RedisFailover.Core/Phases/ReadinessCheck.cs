using System.Collections.Immutable;

namespace RedisFailover;

/// <summary>Whether a failover would work now: the failover's own questions, asked while the master serves.</summary>
public static class ReadinessCheck
{
    /// <summary>The answer; null when no master is named, or another monitor leads.</summary>
    public static Readiness? Of(ClusterView view, FailoverPolicy policy, TimeSpan now)
    {
        ArgumentNullException.ThrowIfNull(view);
        ArgumentNullException.ThrowIfNull(policy);
        if (view.Term is null || view.Topology is not { Master: not null })
        {
            return null;
        }

        var a = Assessment.Of(view, policy, now);
        var screening = Screening.Of(a, Purpose.Readiness, a.Configured.Where(n => n.Address != a.Master.Address));
        string remarks = string.Join("; ", screening.Unfit.Select(u => u.ToString()).Concat(AfterOthers(screening)));
        string others = remarks.Length > 0 ? $" ({remarks})" : "";
        ImmutableArray<NodeAddress> candidates = [.. screening.Fit.Select(n => n.Address).Order()];
        string? objection = Objection(screening, others);
        return new Readiness(objection is null, candidates, objection ?? $"{string.Join(", ", candidates)} could take over{others}; {Witnesses(a)}")
        {
            LiveMonitors = view.LiveMonitors,
        };
    }

    /// <summary>Why no failover would take place, in the order in which a failover would find it; null where it would.</summary>
    private static string? Objection(Screening screening, string others)
    {
        Assessment a = screening.All;
        return MasterRules.Unmonitored(a.Master) is { } unmonitored ? unmonitored
            : a.View.LiveMonitors < a.Policy.RequiredMonitors
                ? $"{Words.Count(a.View.LiveMonitors, "monitor is", "monitors are")} alive, {a.Policy.RequiredMonitors} are required"
            : a.View.IsPaused(a.Now) ? a.View.Config!.Pause!.ToString()
            : Serving.HeldBackUntil(a) is not null ? $"the last one was less than failover-interval ({a.Policy.FailoverInterval.TotalMilliseconds:0} ms) ago{others}"
            : screening.Fit is not [var best, ..] ? $"nobody could take over{others}"
            // As if all were asked now: answers are a second old at most.
            : WriteHolders.Missing(a, best, Purpose.Readiness) is { } missing ? missing
            : screening.Fit.All(n => n.Info!.RefusesWrites) ? $"{best.Address} would take over and refuse writes, because it cannot save{others}"
            : null;
    }

    /// <summary>Those who would come after others with as much data, by the order of the configuration.</summary>
    private static IEnumerable<string> AfterOthers(Screening screening)
    {
        Assessment a = screening.All;
        NodeAssessment[] fit = [.. a.Configured.Where(screening.Fit.Contains)];
        return [
            .. fit.Where(n => !n.IsStable && fit.Any(other => other.IsStable))
                .Select(n => $"{n.Address}: after others with as much, as it is back for less than stable-time ({a.Policy.StableTime.TotalSeconds:0} s)"),
            .. fit.Where(n => CandidateRules.Reservation(n) is not null).Select(n => $"{n.Address}: after others with as much, as {CandidateRules.Reservation(n)}"),
        ];
    }

    private static string Witnesses(Assessment a)
    {
        int witnesses = a.Policy.NodeStrategy switch
        {
            NodeStrategy.Consensus => a.View.LiveMonitors,
            NodeStrategy.Single => 1,
            _ => (a.View.LiveMonitors / 2) + 1,
        };
        return a.View.LiveMonitors == 1 ? "the one monitor that is alive decides" : $"{witnesses} of {a.View.LiveMonitors} monitors have to agree";
    }
}
