namespace RedisFailover.ZooKeeper;

/// <summary>
/// A point in time on both clocks. Linux's monotonic clock stands still while the machine is suspended and the wall clock may be set back:
/// the longer of the two says how much time may have passed.
/// </summary>
internal readonly record struct Moment(long Monotonic, long WallTicks)
{
    internal static Moment Now(TimeProvider time) => new(time.GetTimestamp(), time.GetUtcNow().UtcTicks);

    internal TimeSpan Elapsed(TimeProvider time)
    {
        TimeSpan monotonic = time.GetElapsedTime(Monotonic);
        var wall = TimeSpan.FromTicks(time.GetUtcNow().UtcTicks - WallTicks);
        return wall > monotonic ? wall : monotonic;
    }
}
