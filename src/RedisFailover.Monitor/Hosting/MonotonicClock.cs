namespace RedisFailover.Monitor.Hosting;

/// <summary>The monitor's time: what observations and decisions are stamped with. Never goes back, begins at 0.</summary>
internal sealed class MonotonicClock(TimeProvider time)
{
    private readonly long _start = time.GetTimestamp();

    internal TimeProvider Provider => time;

    internal TimeSpan Now => time.GetElapsedTime(_start);

    internal TimeSpan At(long timestamp) => time.GetElapsedTime(_start, timestamp);
}
