using System.Globalization;

namespace RedisFailover.Monitor.ZooKeeper;

/// <summary>
/// The wall clock of ZooKeeper's leader, which stamps every write: the one that all monitors share, whatever their hosts' clocks say or
/// are set to. It runs on from the last write that was seen.
/// </summary>
internal sealed class StoreClock(TimeProvider time)
{
    private static readonly TimeSpan Allowed = TimeSpan.FromSeconds(2);

    private sealed record Reading(DateTimeOffset Stamped, long At);

    private volatile Reading? _last;

    /// <summary>What it shows now; null before the first write.</summary>
    internal DateTimeOffset? Now => _last is { } last ? last.Stamped + time.GetElapsedTime(last.At) : null;

    /// <summary>Told when it is known for the first time.</summary>
    internal Action? Known { get; set; }

    /// <summary>
    /// Takes the time that a write got, and compares it with this host's wall clock. The write was sent before and is answered now, so only
    /// what is outside of that is a difference, however long it took.
    /// </summary>
    /// <param name="id">This monitor.</param>
    /// <param name="sent">When the write was sent, by this host's clock.</param>
    /// <param name="stamped">The time that the znode got.</param>
    /// <returns>The problem; null where both may be right.</returns>
    internal Problem? Compare(string id, DateTimeOffset sent, DateTimeOffset stamped)
    {
        bool isFirst = _last is null;
        _last = new Reading(stamped, time.GetTimestamp());
        if (isFirst)
        {
            Known?.Invoke();
        }

        (TimeSpan difference, string side) = sent > stamped ? (sent - stamped, "ahead of") : (stamped - time.GetUtcNow(), "behind");
        return difference <= Allowed ? null : Problem.OfMonitors(
            ProblemCatalogue.ClockDiffers,
            string.Create(CultureInfo.InvariantCulture,
                $"the clock of {id}'s host ({Environment.MachineName}) is {difference.TotalSeconds:0} s {side} that of ZooKeeper's leader"),
            id);
    }
}
