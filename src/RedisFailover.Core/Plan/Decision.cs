using System.Collections.Immutable;

namespace RedisFailover;

/// <summary>
/// What the decider wants done now. The host starts the actions in the order given, without waiting for one before starting the
/// next, reports the end of each as <see cref="ActionFinished"/>, and asks again after each observation.
/// </summary>
/// <param name="Actions">What to start, in this order; empty: nothing.</param>
/// <param name="WakeAt">When to look again if nothing is observed until then, on the monotonic clock; null: not needed.</param>
/// <param name="Reason">Why, in plain words: for the log and the history.</param>
/// <param name="Warning">What an operator has to look after, in one line; null: nothing.</param>
internal sealed record Decision(ImmutableArray<FailoverAction> Actions, TimeSpan? WakeAt, string Reason, string? Warning = null)
{
    /// <summary>What an operator has to look after, each with its code. Empty: nothing.</summary>
    public ImmutableArray<Problem> Problems { get; init; } = [];
}
