namespace RedisFailover;

/// <summary>Points in time on the monotonic clock.</summary>
internal static class Times
{
    /// <summary>The later of the two.</summary>
    internal static TimeSpan Later(TimeSpan one, TimeSpan other) => one > other ? one : other;

    /// <summary>The earlier of the two.</summary>
    internal static TimeSpan Earlier(TimeSpan one, TimeSpan other) => one < other ? one : other;
}
