using System.Threading.Channels;
using RedisFailover.Monitor.Hosting;
using RedisFailover.ZooKeeper;

namespace RedisFailover.Monitor.ZooKeeper;

/// <summary>
/// Whether the leader may write <c>R/nodes</c>, asked before a failover needs it: while all is well nothing is published, and an access
/// list that somebody has changed would show only then.
/// </summary>
internal sealed class TopologyRight(
    ZooKeeperClient zooKeeper, ZnodePaths paths, ChannelWriter<Observation> observations, MonotonicClock clock)
{
    private static readonly TimeSpan Interval = TimeSpan.FromSeconds(5);

    /// <summary>While this monitor leads.</summary>
    internal async Task WatchAsync(CancellationToken cancellationToken)
    {
        try
        {
            while (true)
            {
                try
                {
                    // No znode has this version: a server that would write says that, and writes nothing.
                    ZooKeeperSession session = await zooKeeper.GetSessionAsync(cancellationToken);
                    await session.SetDataAsync(paths.Nodes, default, int.MaxValue, cancellationToken);
                }
                catch (ZooKeeperException e) when (e.Code is ZooKeeperErrorCode.NoAuth or ZooKeeperErrorCode.BadVersion)
                {
                    observations.TryWrite(new TopologyRightAsked(clock.Now, e.Code == ZooKeeperErrorCode.NoAuth ? e.Message : null));
                }
                catch (ZooKeeperException)
                {
                    // There is none yet, or nobody to ask.
                }

                await Task.Delay(Interval, clock.Provider, cancellationToken);
            }
        }
        catch (OperationCanceledException) when (cancellationToken.IsCancellationRequested)
        {
            // Leadership is over.
        }
    }
}
