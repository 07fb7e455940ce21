using Microsoft.Extensions.Logging;
using RedisFailover.Monitor.Redis;
using RedisFailover.ZooKeeper;

namespace RedisFailover.Monitor.Hosting;

/// <summary>
/// All that the loop of a cluster (<see cref="ClusterLoop"/>) needs of what is around it: a monitor's process, with sockets and the
/// machine's clock, or a simulated one in virtual time. What is observed comes in by <see cref="ClusterLoop.Observe"/>.
/// </summary>
internal interface IClusterHost
{
    /// <summary>The only source of time and of timers.</summary>
    MonotonicClock Clock { get; }

    /// <summary>The wall clock that all monitors of the cluster share, ZooKeeper's; null while it is not known.</summary>
    DateTimeOffset? StoreTime { get; }

    /// <summary>Where people are told.</summary>
    ILogger Logger { get; }

    /// <summary>The session with ZooKeeper, as soon as there is one.</summary>
    ValueTask<IZnodes> GetSessionAsync(CancellationToken cancellationToken);

    /// <summary>A node that is watched; null where it is not.</summary>
    ICommandedNode? Node(NodeAddress node);

    /// <summary>Which nodes to watch from now on, and by which policy; told before anything is decided by it.</summary>
    void Change(FailoverPolicy policy, IReadOnlyCollection<NodeAddress> watched);

    /// <summary>Connects anew to a node whose name leads to another one's server: it is looked up again.</summary>
    void Reconnect(NodeAddress node);

    /// <summary>What this monitor goes by under a configuration of the cluster.</summary>
    FailoverPolicy PolicyUnder(ClusterConfig config);

    /// <summary>Why settings cannot hold for this monitor, in one line; null where they can.</summary>
    string? FaultOf(ClusterConfig config);

    /// <summary>A topology that this monitor has read or written, before it can act by it.</summary>
    void Learn(Topology topology);

    /// <summary>Leadership begins: names the connections to the nodes after it, which ends former leaders'.</summary>
    void Rename();

    /// <summary>Tells the other monitors what this one sees.</summary>
    /// <param name="report">The view.</param>
    /// <param name="urgent">Whether a verdict may depend on it.</param>
    void Publish(MonitorReport report, bool urgent);

    /// <summary>An action is at one of the places that <see cref="FaultPoint"/> names.</summary>
    void Reached(string moment, FailoverAction action);
}
