namespace RedisFailover;

/// <summary>
/// The failover logic, all of it: a pure function from what a monitor knows to what it should do. No clock, no sockets, no state.
/// What is known is assessed once (<c>Assessment/</c>); <c>Guards</c> say what comes first; the phase that follows from the
/// topology (<c>Phases/</c>) makes the plan.
/// </summary>
internal static class FailoverDecider
{
    /// <summary>What to do now.</summary>
    /// <param name="view">All that the monitor knows.</param>
    /// <param name="policy">What it goes by.</param>
    /// <param name="now">The time on the same monotonic clock as the observations'.</param>
    public static Decision Decide(ClusterView view, FailoverPolicy policy, TimeSpan now)
    {
        ArgumentNullException.ThrowIfNull(view);
        ArgumentNullException.ThrowIfNull(policy);
        var assessment = Assessment.Of(view, policy, now);
        return OnlyWhatIsDue(assessment, Pausing.Hold(assessment, Guards.Objection(assessment) ?? Phase(assessment))).Build();
    }

    private static PlanBuilder Phase(Assessment a) => a.Topology.State switch
    {
        TopologyState.Ok => Serving.Decide(a).First(Resumption(a)).WakeBy(Resigning.Deadline(a)),
        TopologyState.NoMaster => FirstMaster.Decide(a).WakeBy(Resigning.Deadline(a)),
        _ => ChangingMaster.Decide(a),
    };

    /// <summary>What the old master of a switchover that was given up still has to be told.</summary>
    private static IEnumerable<FailoverAction> Resumption(Assessment a)
        => a.View.Resumption is { } resumption && a.Topology.Master == resumption.Node ? [resumption] : [];

    /// <summary>An action is started once; one that failed waits for its time.</summary>
    private static PlanBuilder OnlyWhatIsDue(Assessment a, PlanBuilder plan)
    {
        foreach (FailoverAction action in plan.Actions)
        {
            plan.WakeBy(a.RetryOf(action));
        }

        return plan.Only(action => a.RetryOf(action) is null && !a.View.Running.Contains(action));
    }
}
