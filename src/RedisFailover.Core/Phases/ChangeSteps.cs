using System.Collections.Immutable;

namespace RedisFailover;

/// <summary>How long each step of a change of master took.</summary>
internal static class ChangeSteps
{
    /// <summary>
    /// From the first failure on, or from the last answer of a master that hangs; what happens after the promotion is measured by the
    /// writer. What another monitor did of it is one step, and where nobody knows how long that took there is no total. The wait is the
    /// time until a replica was chosen, or, of a change that was given up, until then.
    /// </summary>
    internal static ImmutableArray<KeyValuePair<string, double>> Of(MasterChangeProgress progress, TimeSpan? givenUpAt = null)
    {
        ImmutableArray<KeyValuePair<string, double>>.Builder steps = ImmutableArray.CreateBuilder<KeyValuePair<string, double>>();
        TimeSpan last = progress.CountedFrom;
        if (progress.Before == TimeSpan.Zero)
        {
            Add("verdict", progress.StartedAt);
            Add("intent", progress.IntentAt);
        }
        else if (progress.Before is { } before)
        {
            steps.Add(KeyValuePair.Create("takeover", before.TotalMilliseconds));
        }

        Add("pause", progress.PausedAt);
        // Mostly nothing has to be waited for.
        Add("wait", givenUpAt ?? (progress.ChosenAt is { } chosen && chosen - last >= TimeSpan.FromMilliseconds(1) ? chosen : null));
        Add("promotion", progress.PromotedAt);
        if (progress.Before is { } age)
        {
            steps.Add(KeyValuePair.Create("total", (age + last - progress.CountedFrom).TotalMilliseconds));
        }

        return steps.ToImmutable();

        void Add(string step, TimeSpan? at)
        {
            if (at is { } time)
            {
                steps.Add(KeyValuePair.Create(step, (time - last).TotalMilliseconds));
                last = time;
            }
        }
    }
}
