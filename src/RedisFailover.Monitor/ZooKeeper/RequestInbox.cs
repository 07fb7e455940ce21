using System.Collections.Immutable;
using System.Threading.Channels;
using RedisFailover.Monitor.Hosting;
using RedisFailover.ZooKeeper;

namespace RedisFailover.Monitor.ZooKeeper;

/// <summary>
/// The operators' requests, <c>R/requests/…</c>: reports those that wait for an answer, and clears old answered ones away.
/// </summary>
/// <param name="sessions">The session that there is, as soon as there is one.</param>
/// <param name="paths">The cluster's znodes.</param>
/// <param name="observations">Where they are reported.</param>
/// <param name="clock">The clock.</param>
internal sealed class RequestInbox(
    Func<CancellationToken, ValueTask<IZnodes>> sessions, ZnodePaths paths, ChannelWriter<Observation> observations, MonotonicClock clock)
{
    /// <summary>How many answered requests are kept for people to look at.</summary>
    private const int Kept = 20;

    private static readonly TimeSpan Again = TimeSpan.FromMilliseconds(200);

    private readonly OneAtATime _one = new();
    private readonly HashSet<string> _answered = new(StringComparer.Ordinal);
    private bool _anyPending;

    /// <summary>Reports the pending requests whenever one comes.</summary>
    internal async Task RunAsync(ZooKeeperClient zooKeeper, CancellationToken cancellationToken)
    {
        await using WatchedChildren requests = zooKeeper.WatchChildren(paths.Requests);
        await foreach (ImmutableArray<string>? names in requests.ChangesAsync(cancellationToken))
        {
            await SeeAsync(cancellationToken);
        }
    }

    /// <summary>Reports the pending requests, once they can be read: the list has changed.</summary>
    internal async Task SeeAsync(CancellationToken cancellationToken)
    {
        while (!await IsReadAsync(cancellationToken))
        {
            // After a loss of connection the list is as it was, and no change would be told.
            await Task.Delay(Again, clock.Provider, cancellationToken);
        }
    }

    private async Task<bool> IsReadAsync(CancellationToken cancellationToken)
    {
        try
        {
            await RefreshAsync(cancellationToken);
            return true;
        }
        catch (ZooKeeperException)
        {
            return false;
        }
    }

    /// <summary>Reports the requests that are pending now. What was once seen to be answered is not read again.</summary>
    /// <exception cref="ZooKeeperException">They could not be read.</exception>
    internal async Task RefreshAsync(CancellationToken cancellationToken)
    {
        await _one.EnterAsync(cancellationToken);
        try
        {
            IZnodes session = await sessions(cancellationToken);
            ImmutableArray<string> names = await NamesAsync(session, cancellationToken);
            _answered.IntersectWith(names);
            ImmutableArray<OperatorRequest>.Builder pending = ImmutableArray.CreateBuilder<OperatorRequest>();
            foreach (string name in names.Where(n => !_answered.Contains(n)))
            {
                if (await ReadAsync(session, name, cancellationToken) is not { } request)
                {
                    continue;
                }

                if (request.Answer is null)
                {
                    pending.Add(request);
                }
                else
                {
                    _answered.Add(name);
                }
            }

            if (pending.Count > 0 || _anyPending)
            {
                observations.TryWrite(new RequestsSeen(clock.Now, pending.ToImmutable()));
            }

            _anyPending = pending.Count > 0;
        }
        finally
        {
            _one.Leave();
        }
    }

    /// <summary>Removes all but the latest of those that are answered. Best effort: the next answer does it again.</summary>
    internal async Task ClearAwayAsync(ILeadership lead, CancellationToken cancellationToken)
    {
        try
        {
            await RefreshAsync(cancellationToken);
            ImmutableArray<string> old;
            await _one.EnterAsync(cancellationToken);
            try
            {
                old = [.. _answered.Order(StringComparer.Ordinal).Take(Math.Max(0, _answered.Count - Kept))];
            }
            finally
            {
                _one.Leave();
            }

            foreach (string name in old)
            {
                await lead.CommitAsync([ZnodeOperation.Delete(paths.Request(name))], cancellationToken);
            }
        }
        catch (Exception e) when (e is ZooKeeperException or OperationCanceledException)
        {
            // As said.
        }
    }

    private async Task<ImmutableArray<string>> NamesAsync(IZnodes session, CancellationToken cancellationToken)
    {
        try
        {
            return (await session.GetChildrenAsync(paths.Requests, cancellationToken: cancellationToken))
                .Names.Sort(StringComparer.Ordinal);
        }
        catch (ZooKeeperException e) when (e.Code == ZooKeeperErrorCode.NoNode)
        {
            return [];
        }
    }

    private async Task<OperatorRequest?> ReadAsync(IZnodes session, string name, CancellationToken cancellationToken)
    {
        try
        {
            Znode znode = await session.GetDataAsync(paths.Request(name), cancellationToken: cancellationToken);
            return OperatorRequest.Parse(name, znode.Data, znode.Stat.Version);
        }
        catch (ZooKeeperException e) when (e.Code is ZooKeeperErrorCode.NoNode or ZooKeeperErrorCode.NoAuth)
        {
            // Taken back between the two questions; or made when the monitors had other credentials, which keeps no leader from leading.
            return null;
        }
    }
}
