using System.Threading.Channels;
using Microsoft.Extensions.Logging;
using RedisFailover.Monitor.Hosting;
using RedisFailover.ZooKeeper;

namespace RedisFailover.Monitor.ZooKeeper;

/// <summary>
/// <c>R/monitors</c>, where each monitor has a seat with what it sees: our own seat and report, who else is here, and what they see.
/// </summary>
internal sealed class MonitorRegistry
{
    private volatile bool _isLeading;

    /// <param name="znodes">What the parts share.</param>
    /// <param name="logger">The log.</param>
    internal MonitorRegistry(RegistryZnodes znodes, ILogger logger)
    {
        Seat = new MonitorSeat(znodes, logger);
        Own = new OwnReport(znodes, Seat, () => IsLeading, logger);
        Presence = new MonitorPresence(znodes, Own.PublishAgain);
        Others = new OtherReports(znodes, Presence, logger);
    }

    /// <summary>Whether this monitor leads.</summary>
    internal bool IsLeading
    {
        get => _isLeading;
        set => _isLeading = value;
    }

    /// <summary>Our place among the others.</summary>
    internal MonitorSeat Seat { get; }

    /// <summary>What we see, for the others.</summary>
    internal OwnReport Own { get; }

    /// <summary>Who else is here.</summary>
    internal MonitorPresence Presence { get; }

    /// <summary>What they see.</summary>
    internal OtherReports Others { get; }
}

/// <summary>What the parts of the <see cref="MonitorRegistry"/> share.</summary>
/// <param name="ZooKeeper">Whose sessions to use.</param>
/// <param name="Keeper">The heartbeats: ours, and the others'.</param>
/// <param name="Paths">Where the cluster's znodes are.</param>
/// <param name="Id">This monitor.</param>
/// <param name="Observations">Where to what is seen is reported.</param>
/// <param name="Clock">The source of time.</param>
internal sealed record RegistryZnodes(
    ZooKeeperClient ZooKeeper, LeaseKeeper Keeper, ZnodePaths Paths, string Id, ChannelWriter<Observation> Observations,
    MonotonicClock Clock)
{
    /// <summary>Our own.</summary>
    internal string Path => Paths.Monitor(Id);

    /// <summary>Whether the monitor of that session has no opinion any more.</summary>
    internal bool IsSilent(long session) => Keeper.PeerOf(session) is { IsSilent: true };

    /// <summary>The names of all but us.</summary>
    internal HashSet<string> Others(System.Collections.Immutable.ImmutableArray<string>? names) => [.. (names ?? []).Where(n => n != Id)];
}
