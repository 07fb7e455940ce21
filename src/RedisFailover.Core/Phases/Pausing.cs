namespace RedisFailover;

/// <summary>
/// The guard of a pause: nothing is promoted, demoted or repointed while it lasts. What is seen is still told to clients, and a change
/// of master that was under way before is finished.
/// </summary>
internal static class Pausing
{
    /// <summary>A wish for another master is refused; null where there is none, or no pause.</summary>
    internal static PlanBuilder? Refusal(Assessment a)
        => a.View.IsPaused(a.Now) && a is { View.Wish: not null, Topology.IsChangingMaster: false }
            ? SwitchoverRequests.Refuse(a, $"{a.View.Config!.Pause}; redis-failover resume switches it on")
            : null;

    /// <summary>The plan without what a pause forbids.</summary>
    internal static PlanBuilder Hold(Assessment a, PlanBuilder plan)
    {
        if (a.View.Term is null || !a.View.IsPaused(a.Now) || a.Topology.IsChangingMaster)
        {
            return plan;
        }

        plan.WakeBy(a.View.PauseEndsAt);
        int wanted = plan.Actions.Count;
        plan.Only(action => !IsForbidden(action, a.Topology));
        string paused = $"{a.View.Config!.Pause}: nothing is promoted, demoted or repointed";
        if (plan.Actions.Count == wanted)
        {
            return plan.Report(Problem.Of(ProblemCatalogue.Paused, paused));
        }

        // What is asked for what is not done would be asked again and again.
        return plan.Only(action => action is not Inspect).With($"{a.View.Config!.Pause}; not done: {plan.Reason}")
            .ReportReason(ProblemCatalogue.Paused);
    }

    private static bool IsForbidden(FailoverAction action, Topology topology)
        => action is Promote or Demote or Follow or Detach or PauseWrites
            || (action is PublishTopology { Next: { } next } && (next.Master != topology.Master || next.State != topology.State));
}
