using System.Collections.Immutable;
using System.Threading.Channels;
using RedisFailover.Monitor.Hosting;
using RedisFailover.ZooKeeper;

namespace RedisFailover.Monitor.ZooKeeper;

/// <summary>
/// Whether the leader may write what a failover needs, <c>R/nodes</c> and, for the next leader, <c>R/term</c>, asked before it does: while
/// all is well neither is written, and an access list that somebody has changed would show only then.
/// </summary>
internal sealed class TopologyRight(
    ZooKeeperClient zooKeeper, ZnodePaths paths, ChannelWriter<Observation> observations, MonotonicClock clock)
{
    private static readonly TimeSpan Interval = TimeSpan.FromSeconds(10);

    /// <summary>While this monitor leads.</summary>
    internal async Task WatchAsync(CancellationToken cancellationToken)
    {
        try
        {
            while (true)
            {
                if (await AskAsync([paths.Nodes, paths.Term], cancellationToken) is { } asked)
                {
                    observations.TryWrite(asked);
                }

                await Task.Delay(Interval, clock.Provider, cancellationToken);
            }
        }
        catch (OperationCanceledException) when (cancellationToken.IsCancellationRequested)
        {
            // Leadership is over.
        }
    }

    /// <summary>Null where nobody can be asked, or there is no such znode yet.</summary>
    private async Task<TopologyRightAsked?> AskAsync(ImmutableArray<string> needed, CancellationToken cancellationToken)
    {
        foreach (string path in needed)
        {
            try
            {
                // No znode has this version: a server that would write says that, and writes nothing.
                ZooKeeperSession session = await zooKeeper.GetSessionAsync(cancellationToken);
                await session.SetDataAsync(path, default, int.MaxValue, cancellationToken);
            }
            catch (ZooKeeperException e) when (e.Code == ZooKeeperErrorCode.NoAuth)
            {
                return new TopologyRightAsked(clock.Now, e.Message);
            }
            catch (ZooKeeperException e) when (e.Code == ZooKeeperErrorCode.BadVersion)
            {
                // As it should be.
            }
            catch (ZooKeeperException)
            {
                return null;
            }
        }

        return new TopologyRightAsked(clock.Now, null);
    }
}
