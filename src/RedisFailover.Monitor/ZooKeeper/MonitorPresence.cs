using System.Collections.Immutable;
using RedisFailover.ZooKeeper;

namespace RedisFailover.Monitor.ZooKeeper;

/// <summary>
/// Which other monitors are here. Only a znode counts that is ephemeral, readable and kept up, by a heartbeat or, by monitors of older
/// releases, by writing it again every few seconds.
/// </summary>
/// <param name="znodes">What the parts of the registry share.</param>
/// <param name="missed">Told when our own znode was there and is not any more.</param>
internal sealed class MonitorPresence(RegistryZnodes znodes, Action missed)
{
    /// <summary>A view without a heartbeat that was not written for so long is nobody's; older releases write theirs every 10 s.</summary>
    private static readonly TimeSpan Abandoned = TimeSpan.FromSeconds(60);

    private static readonly TimeSpan CountInterval = TimeSpan.FromSeconds(20);
    private static readonly TimeSpan RetryInterval = TimeSpan.FromMilliseconds(100);

    private volatile ImmutableHashSet<string> _strays = ImmutableHashSet.Create<string>(StringComparer.Ordinal);
    private volatile ImmutableDictionary<string, int> _present = ImmutableDictionary.Create<string, int>(StringComparer.Ordinal);
    private TaskCompletionSource _changed = new(TaskCreationOptions.RunContinuationsAsynchronously);

    /// <summary>The children of <c>R/monitors</c> that count for nothing.</summary>
    internal ImmutableHashSet<string> Strays => _strays;

    /// <summary>The other monitors that were told to be here, each with a number that no two of its comings share.</summary>
    internal ImmutableDictionary<string, int> Present => _present;

    /// <summary>Ends when <see cref="Present"/> is another than it was when this was asked for.</summary>
    internal Task Changed => Volatile.Read(ref _changed).Task;

    /// <summary>Reports which other monitors are here.</summary>
    internal async Task WatchAsync(CancellationToken cancellationToken)
    {
        int comings = 0;
        bool listed = false;
        var written = new Dictionary<string, (long Zxid, TimeSpan Since)>(StringComparer.Ordinal);
        await using WatchedChildren monitors = znodes.ZooKeeper.WatchChildren(znodes.Paths.Monitors);
        await using IAsyncEnumerator<ImmutableArray<string>?> changes = monitors.ChangesAsync(cancellationToken)
            .GetAsyncEnumerator(cancellationToken);
        Task<bool> next = changes.MoveNextAsync().AsTask();
        while (true)
        {
            Task counted = await Task.WhenAny(next, Task.Delay(CountInterval, znodes.Clock.Provider, cancellationToken));
            if (cancellationToken.IsCancellationRequested)
            {
                // Ended by the same token; an enumerator is not disposed while it moves.
                await ((Task)next).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
                cancellationToken.ThrowIfCancellationRequested();
            }

            if (counted == next)
            {
                await next;
                next = changes.MoveNextAsync().AsTask();
                bool isListed = monitors.Current?.Contains(znodes.Id) == true;
                if (listed && !isListed)
                {
                    missed();
                }

                listed = isListed;
            }

            HashSet<string> others = await CountAsync(znodes.Others(monitors.Current), written, cancellationToken);
            ImmutableDictionary<string, int> present = _present;
            foreach (string gone in present.Keys.Except(others))
            {
                znodes.Observations.TryWrite(new MonitorLeft(znodes.Clock.Now, gone));
                present = present.Remove(gone);
            }

            foreach (string came in others.Except(present.Keys))
            {
                znodes.Observations.TryWrite(new MonitorCame(znodes.Clock.Now, came));
                present = present.Add(came, ++comings);
            }

            if (present != _present)
            {
                // After the telling: what one sees is heard only of those that have come.
                _present = present;
                Interlocked.Exchange(ref _changed, new(TaskCreationOptions.RunContinuationsAsynchronously)).SetResult();
            }
        }
    }

    /// <summary>Those of the names that are monitors; the rest is told.</summary>
    private async Task<HashSet<string>> CountAsync(
        HashSet<string> names, Dictionary<string, (long Zxid, TimeSpan Since)> written, CancellationToken cancellationToken)
    {
        HashSet<string> monitors = [];
        ImmutableHashSet<string>.Builder strays = ImmutableHashSet.CreateBuilder<string>(StringComparer.Ordinal);
        foreach (string name in names)
        {
            if (await ReadAsync(name, cancellationToken) is not { } znode)
            {
                continue;
            }

            (long Zxid, TimeSpan Since) last = written.GetValueOrDefault(name);
            written[name] = last.Zxid == znode.Stat.ModifiedZxid ? last : (znode.Stat.ModifiedZxid, znodes.Clock.Now);
            bool kept = znode.Stat.EphemeralOwner != 0 && IsReadable(znode)
                && (znodes.Keeper.PeerOf(znode.Stat.EphemeralOwner) is not null || znodes.Clock.Now - written[name].Since < Abandoned);
            if (kept)
            {
                monitors.Add(name);
            }
            else
            {
                strays.Add(name);
            }
        }

        foreach (string forgotten in written.Keys.Except(names).ToArray())
        {
            written.Remove(forgotten);
        }

        if (!strays.SetEquals(_strays))
        {
            _strays = strays.ToImmutable();
        }

        return monitors;
    }

    /// <summary>Null if it is gone; waits for the connection if that is lost.</summary>
    private async Task<Znode?> ReadAsync(string name, CancellationToken cancellationToken)
    {
        while (true)
        {
            ZooKeeperSession session = await znodes.ZooKeeper.GetSessionAsync(cancellationToken);
            try
            {
                return await session.GetDataAsync(znodes.Paths.Monitor(name), null, cancellationToken);
            }
            catch (ZooKeeperException e) when (e.Code is ZooKeeperErrorCode.NoNode or ZooKeeperErrorCode.NoAuth)
            {
                return null;
            }
            catch (ZooKeeperException e) when (e.Code == ZooKeeperErrorCode.ConnectionLoss)
            {
                // Read again.
            }
            catch (ZooKeeperException)
            {
                await Task.Delay(RetryInterval, znodes.Clock.Provider, cancellationToken);
            }
        }
    }

    private static bool IsReadable(Znode znode)
    {
        try
        {
            _ = MonitorReport.Parse(znode.Data);
            return true;
        }
        catch (FormatException)
        {
            return false;
        }
    }
}
