using System.Globalization;

namespace RedisFailover.Monitor.ZooKeeper;

/// <summary>
/// Compares this host's wall clock with that of ZooKeeper's leader, which stamps every write: ours was sent before that and answered after
/// it, so how long it took makes no difference.
/// </summary>
internal static class ClockCheck
{
    private static readonly TimeSpan Allowed = TimeSpan.FromSeconds(2);

    /// <summary>The problem; null where both may be right.</summary>
    /// <param name="id">This monitor.</param>
    /// <param name="sent">When the write was sent, by this host's clock.</param>
    /// <param name="answered">When it was answered, by this host's clock.</param>
    /// <param name="stamped">The time that the znode got.</param>
    internal static Problem? Compare(string id, DateTimeOffset sent, DateTimeOffset answered, DateTimeOffset stamped)
    {
        (TimeSpan difference, string side) = sent > stamped ? (sent - stamped, "ahead of") : (stamped - answered, "behind");
        return difference <= Allowed ? null : Problem.OfMonitors(
            ProblemCatalogue.ClockDiffers,
            string.Create(CultureInfo.InvariantCulture,
                $"the clock of {id}'s host ({Environment.MachineName}) is {difference.TotalSeconds:0} s {side} that of ZooKeeper's leader"),
            id);
    }
}
