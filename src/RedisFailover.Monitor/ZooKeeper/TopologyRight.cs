using System.Collections.Immutable;
using System.Threading.Channels;
using RedisFailover.Monitor.Hosting;
using RedisFailover.ZooKeeper;

namespace RedisFailover.Monitor.ZooKeeper;

/// <summary>
/// Whether ZooKeeper would take what will have to be written, asked before it is: what a failover needs, what the election of the next
/// leader needs, and what the leader keeps beside. While all is well none of it is written, and an access list that somebody has changed
/// would show only then.
/// </summary>
/// <param name="zooKeeper">Whose sessions to use.</param>
/// <param name="paths">The cluster's znodes.</param>
/// <param name="heartbeats">Where the monitors' heartbeats stand.</param>
/// <param name="observations">Where the decider is told.</param>
/// <param name="clock">The source of time.</param>
internal sealed class TopologyRight(
    ZooKeeperClient zooKeeper, ZnodePaths paths, string heartbeats, ChannelWriter<Observation> observations, MonotonicClock clock)
{
    private static readonly TimeSpan Interval = TimeSpan.FromSeconds(10);

    /// <summary>No znode has this version: a server that would write says that, and writes nothing.</summary>
    private const int NoVersion = int.MaxValue;

    /// <summary>Told what is refused of what the next leader needs, and of what is kept beside; null: nothing is.</summary>
    internal Action<string?, string?>? Asked { get; init; }

    /// <summary>While this monitor leads.</summary>
    internal async Task WatchAsync(CancellationToken cancellationToken)
    {
        try
        {
            while (true)
            {
                try
                {
                    ZooKeeperSession session = await zooKeeper.GetSessionAsync(cancellationToken);
                    Func<string, Task> write = path => session.SetDataAsync(path, default, NoVersion, cancellationToken).AsTask();
                    string? failover = await FirstRefusalAsync([paths.Nodes, paths.Term], write);
                    observations.TryWrite(new TopologyRightAsked(clock.Now, failover));
                    Asked?.Invoke(
                        await SuccessorsAsync(session, cancellationToken),
                        await FirstRefusalAsync([paths.History, paths.Problems, paths.Config], write));
                }
                catch (ZooKeeperException)
                {
                    // Nobody can be asked now: what was heard last stands.
                }

                await Task.Delay(Interval, clock.Provider, cancellationToken);
            }
        }
        catch (OperationCanceledException) when (cancellationToken.IsCancellationRequested)
        {
            // Leadership is over.
        }
    }

    /// <summary>What the election of the next leader would be refused, and what a monitor would that begins a session.</summary>
    private async Task<string?> SuccessorsAsync(ZooKeeperSession session, CancellationToken cancellationToken)
        => await RefusalAsync(() => session.MultiAsync(
            [
                ZnodeOperation.Delete(paths.Leader),
                ZnodeOperation.Create(paths.Leader, default, CreateMode.Ephemeral),
                ZnodeOperation.Check(paths.Term, NoVersion),
            ], cancellationToken))
            ?? await FirstRefusalAsync([paths.Leader, paths.Term], path => session.GetDataAsync(path, null, cancellationToken).AsTask())
            ?? await FirstRefusalAsync([paths.Monitors, heartbeats, paths.Members], path => session.MultiAsync(
                [
                    ZnodeOperation.Create($"{path}/right-asked", default, CreateMode.Ephemeral),
                    ZnodeOperation.Check(paths.Term, NoVersion),
                ], cancellationToken));

    private static async Task<string?> FirstRefusalAsync(ImmutableArray<string> asked, Func<string, Task> ask)
    {
        foreach (string path in asked)
        {
            if (await RefusalAsync(() => ask(path)) is { } refusal)
            {
                return refusal;
            }
        }

        return null;
    }

    /// <summary>What ZooKeeper says where it refuses that; null where it does not.</summary>
    /// <exception cref="ZooKeeperException">It cannot be asked.</exception>
    private static async Task<string?> RefusalAsync(Func<Task> ask)
    {
        try
        {
            await ask();
            return null;
        }
        catch (ZooKeeperException e) when (e.Code == ZooKeeperErrorCode.NoAuth)
        {
            return e.Message;
        }
        catch (ZooKeeperException e) when (e.Code is ZooKeeperErrorCode.BadVersion or ZooKeeperErrorCode.NoNode)
        {
            // As it should be, or there is no such znode yet.
            return null;
        }
    }
}
