namespace RedisFailover.Shared;

/// <summary>
/// The one way in which this project waits before it tries again: twice as long each time, up to a limit. Compiled into the projects that
/// try again, like HostPort.
/// </summary>
/// <param name="First">Before the first further attempt.</param>
/// <param name="Longest">The limit.</param>
internal readonly record struct Backoff(TimeSpan First, TimeSpan Longest)
{
    /// <summary>How long to wait after so many attempts that failed in a row, the first not counted: 0 gives <see cref="First"/>.</summary>
    internal TimeSpan After(int failures)
    {
        // 2^30 milliseconds are days: nothing waits for longer, and nothing overflows.
        double grown = First.TotalMilliseconds * (1L << Math.Clamp(failures, 0, 30));
        return grown < Longest.TotalMilliseconds ? TimeSpan.FromMilliseconds(grown) : Longest;
    }

    /// <summary>The same, shortened by up to a half at random, so that those who failed together do not come back together.</summary>
    internal TimeSpan Spread(int failures) => After(failures) * (0.5 + (Random() / 2));

    /// <summary>The same, shortened at random by up to all of it.</summary>
    internal TimeSpan SpreadFromZero(int failures) => After(failures) * Random();

#pragma warning disable CA5394 // Spreads load; protects nothing.
    private static double Random() => System.Random.Shared.NextDouble();
#pragma warning restore CA5394
}
