using RedisFailover.Monitor.ZooKeeper;
using RedisFailover.ZooKeeper;

namespace RedisFailover.Monitor.Hosting;

/// <summary>What all clusters of a monitor have in common: one session with ZooKeeper, one heartbeat, one clock.</summary>
/// <param name="ZooKeeper">The client.</param>
/// <param name="Keeper">The heartbeat, and with it the leases of all leads.</param>
/// <param name="Rights">Who may do what with the znodes.</param>
/// <param name="Clock">The clock.</param>
internal sealed record SharedParts(ZooKeeperClient ZooKeeper, LeaseKeeper Keeper, ZnodeRights Rights, MonotonicClock Clock)
{
    /// <summary>A coordinator that has not turned for so long leads nobody; if it is the only one, the beats stop.</summary>
    internal static readonly TimeSpan Stuck = TimeSpan.FromSeconds(2);

    /// <summary>How long the farewell to ZooKeeper may take; without it the session's expiry does the same, later.</summary>
    internal static readonly TimeSpan Farewell = TimeSpan.FromSeconds(1);

    /// <summary>For tests alone: where this process kills or freezes itself; null in production.</summary>
    internal FaultPoint? FaultPoint { get; init; }

    /// <summary>Whether the process may have several clusters: a fault of one ends no other, and leadership is spread.</summary>
    internal bool HasMany { get; init; }

    /// <summary>Told of each turn of a coordinator: the cluster's name, what was known before, and after.</summary>
    internal Action<string, ClusterView, ClusterView>? Turned { get; init; }
}
