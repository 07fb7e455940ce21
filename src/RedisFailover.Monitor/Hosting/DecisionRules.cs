namespace RedisFailover.Monitor.Hosting;

/// <summary>The two pure functions by which a coordinator turns. A test that breaks a rule on purpose gives its own.</summary>
/// <param name="Apply">What is known after an observation.</param>
/// <param name="Decide">What is to be done by what is known.</param>
internal sealed record DecisionRules(
    Func<ClusterView, Observation, FailoverPolicy, ClusterView> Apply, Func<ClusterView, FailoverPolicy, TimeSpan, Decision> Decide)
{
    /// <summary>Those of Core.</summary>
    internal static DecisionRules Own { get; }
        = new(static (view, observation, policy) => view.Apply(observation, policy), FailoverDecider.Decide);
}
