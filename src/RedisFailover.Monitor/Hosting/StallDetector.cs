using Microsoft.Extensions.Logging;

namespace RedisFailover.Monitor.Hosting;

/// <summary>
/// Tells when this process did not run for a while, and for how long: the explanation of much that its log says next. Nothing is
/// decided by it; the lease and the probes find out for themselves.
/// </summary>
internal static class StallDetector
{
    private static readonly TimeSpan Interval = TimeSpan.FromMilliseconds(250);

    /// <summary>A shorter pause is a busy machine's, and changes nothing.</summary>
    private static readonly TimeSpan WorthTelling = TimeSpan.FromSeconds(1);

    internal static async Task WatchAsync(MonotonicClock clock, ILogger logger, CancellationToken cancellationToken)
    {
        while (true)
        {
            TimeSpan before = clock.Now;
            DateTimeOffset wallClock = clock.Provider.GetUtcNow();
            await Task.Delay(Interval, clock.Provider, cancellationToken);
            // A machine that sleeps may stop the one clock and not the other; a wall clock that is set does not stop the first.
            TimeSpan late = clock.Now - before - Interval;
            TimeSpan asleep = clock.Provider.GetUtcNow() - wallClock - Interval;
            if (late >= WorthTelling)
            {
                Log.HeldUp(logger, late.TotalSeconds);
            }
            else if (asleep >= WorthTelling)
            {
                Log.ClockJumped(logger, asleep.TotalSeconds);
            }
        }
    }
}
