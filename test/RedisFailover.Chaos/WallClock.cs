namespace RedisFailover.Chaos;

/// <summary>The one clock that all processes of the machine share, and that the histories are written by.</summary>
internal static class WallClock
{
    internal static DateTime Now => TimeProvider.System.GetUtcNow().UtcDateTime;
}
