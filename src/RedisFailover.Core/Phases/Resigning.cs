namespace RedisFailover;

/// <summary>
/// A leader that reaches fewer nodes than another monitor does, or not the one that has most, cannot do what has to be done: it gives up
/// leadership, so that another takes over.
/// </summary>
internal static class Resigning
{
    /// <summary>
    /// When this monitor has to resign if nothing changes until then; null while nobody reaches more. A crash is noticed by one monitor
    /// earlier than by another, so the difference has to last; where nothing is amiss yet, for longer than a monitor that hangs stays on
    /// the list.
    /// </summary>
    internal static TimeSpan? Deadline(Assessment a)
        => DeadlineWithoutMaster(a) + (a.View.IsBlind ? TimeSpan.Zero : a.Policy.ViewLifetime);

    /// <summary>The same where the master is missing, and every moment counts.</summary>
    internal static TimeSpan? DeadlineWithoutMaster(Assessment a) => a.View.OutseenSince + a.Policy.ReachabilityPatience;

    /// <summary>The resignation, for what another monitor sees.</summary>
    internal static PlanBuilder Now(string reason, NodeAddress about)
        => PlanBuilder.Because(reason).Do(new Resign(reason)).Report(Problem.Of(ProblemCatalogue.MonitorsDisagree, reason, about));

    /// <summary>The resignation, when it is due; null when it is not.</summary>
    internal static PlanBuilder? When(Assessment a, TimeSpan? deadline)
    {
        if (deadline is null || a.Now < deadline || Reachability.Better(a.View, a.Policy) is not { } better)
        {
            return null;
        }

        string reason = $"resigning: {better.Monitor} reaches {better.Theirs} of the cluster's nodes, this monitor {better.Ours}";
        return PlanBuilder.Because(reason).Do(new Resign(reason))
            .Report(Problem.OfMonitors(ProblemCatalogue.MonitorsDisagree, reason, better.Monitor));
    }
}
