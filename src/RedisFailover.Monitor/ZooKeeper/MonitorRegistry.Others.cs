using System.Collections.Immutable;
using RedisFailover.ZooKeeper;

namespace RedisFailover.Monitor.ZooKeeper;

/// <content>
/// The other monitors: who is here, and what they see. Only a znode counts that is ephemeral, readable and kept up, by a heartbeat or, by
/// monitors of older releases, by writing it again every few seconds.
/// </content>
internal sealed partial class MonitorRegistry
{
    /// <summary>A view without a heartbeat that was not written for so long is nobody's; older releases write theirs every 10 s.</summary>
    private static readonly TimeSpan Abandoned = TimeSpan.FromSeconds(60);

    private static readonly TimeSpan CountInterval = TimeSpan.FromSeconds(20);
    private static readonly TimeSpan SilenceInterval = TimeSpan.FromMilliseconds(100);

    private volatile ImmutableHashSet<string> _strays = ImmutableHashSet.Create<string>(StringComparer.Ordinal);

    /// <summary>The children of <c>R/monitors</c> that count for nothing.</summary>
    internal ImmutableHashSet<string> Strays => _strays;

    /// <summary>Reports which other monitors are here.</summary>
    internal async Task WatchPresenceAsync(CancellationToken cancellationToken)
    {
        HashSet<string> present = [];
        bool listed = false;
        var written = new Dictionary<string, (long Zxid, TimeSpan Since)>(StringComparer.Ordinal);
        await using WatchedChildren monitors = zooKeeper.WatchChildren(paths.Monitors);
        await using IAsyncEnumerator<ImmutableArray<string>?> changes = monitors.ChangesAsync(cancellationToken)
            .GetAsyncEnumerator(cancellationToken);
        Task<bool> next = changes.MoveNextAsync().AsTask();
        while (true)
        {
            Task counted = await Task.WhenAny(next, Task.Delay(CountInterval, clock.Provider, cancellationToken));
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
                bool isListed = monitors.Current?.Contains(id) == true;
                if (listed && !isListed)
                {
                    PublishAgain();
                }

                listed = isListed;
            }

            HashSet<string> others = await CountAsync(Others(monitors.Current), written, cancellationToken);
            foreach (string gone in present.Except(others))
            {
                observations.TryWrite(new MonitorLeft(clock.Now, gone));
            }

            foreach (string came in others.Except(present))
            {
                observations.TryWrite(new MonitorCame(clock.Now, came));
            }

            present = others;
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
            written[name] = last.Zxid == znode.Stat.ModifiedZxid ? last : (znode.Stat.ModifiedZxid, clock.Now);
            bool kept = znode.Stat.EphemeralOwner != 0 && IsReadable(znode)
                && (keeper.PeerOf(znode.Stat.EphemeralOwner) is not null || clock.Now - written[name].Since < Abandoned);
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
            ZooKeeperSession session = await zooKeeper.GetSessionAsync(cancellationToken);
            try
            {
                return await session.GetDataAsync(paths.Monitor(name), null, cancellationToken);
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
                await Task.Delay(SilenceInterval, clock.Provider, cancellationToken);
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

    /// <summary>
    /// Reports what the other monitors see. Only a leader needs to know: when a node is lost all monitors write at once, and each
    /// further reader would slow down the one that counts. A monitor whose heartbeat is silent has no opinion, and keeps its seat.
    /// </summary>
    internal async Task WatchViewsAsync(CancellationToken cancellationToken)
    {
        var watched = new Dictionary<string, View>(StringComparer.Ordinal);
        await using WatchedChildren monitors = zooKeeper.WatchChildren(paths.Monitors);
        await using IAsyncEnumerator<ImmutableArray<string>?> changes = monitors.ChangesAsync(cancellationToken)
            .GetAsyncEnumerator(CancellationToken.None);
        Task<bool> next = changes.MoveNextAsync().AsTask();
        try
        {
            while (true)
            {
                HashSet<string> others = Others(monitors.Current);
                foreach (string gone in watched.Keys.Except(others).ToArray())
                {
                    watched.Remove(gone, out View? left);
                    await left!.DisposeAsync();
                }

                foreach (string name in others.Except(watched.Keys).ToArray())
                {
                    watched[name] = new View(this, name, cancellationToken);
                }

                foreach (View view in watched.Values)
                {
                    view.Listen();
                }

                // Nobody falls silent where nobody else is.
                TimeSpan look = watched.Count > 0 ? SilenceInterval : Timeout.InfiniteTimeSpan;
                if (await Task.WhenAny(next, Task.Delay(look, clock.Provider, cancellationToken)) == next)
                {
                    await next;
                    next = changes.MoveNextAsync().AsTask();
                }

                cancellationToken.ThrowIfCancellationRequested();
            }
        }
        catch (OperationCanceledException) when (cancellationToken.IsCancellationRequested)
        {
            // It no longer leads.
        }
        finally
        {
            // Ended by the same token.
            await ((Task)next).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            foreach (View value in watched.Values)
            {
                await value.DisposeAsync();
            }
        }
    }

    private HashSet<string> Others(ImmutableArray<string>? names) => [.. (names ?? []).Where(n => n != id)];

    /// <summary>One other monitor's view, for as long as this one leads.</summary>
    private sealed class View : IAsyncDisposable
    {
        private readonly Lock _gate = new();
        private readonly MonitorRegistry _registry;
        private readonly string _name;
        private readonly CancellationToken _over;
        private readonly WatchedValue _value;
        private MonitorReport? _report;
        private long _session;
        private bool _isSilent;

        internal View(MonitorRegistry registry, string name, CancellationToken over)
        {
            (_registry, _name, _over) = (registry, name, over);
            _value = registry.Client.Watch(registry.ViewPath(name));
            _value.Changed += Take;
            if (_value.IsRead)
            {
                Take(_value.Current);
            }
        }

        public ValueTask DisposeAsync() => _value.DisposeAsync();

        /// <summary>Looks whether its heartbeat has fallen silent, or is heard again.</summary>
        internal void Listen()
        {
            lock (_gate)
            {
                bool silent = _session != 0 && _registry.IsSilent(_session);
                if (silent != _isSilent)
                {
                    _isSilent = silent;
                    Tell();
                }
            }
        }

        private void Take(Znode? znode)
        {
            if (znode is null || znode.Stat.EphemeralOwner == 0)
            {
                return;
            }

            lock (_gate)
            {
                try
                {
                    (_report, _session) = (MonitorReport.Parse(znode.Data), znode.Stat.EphemeralOwner);
                    _isSilent = _registry.IsSilent(_session);
                    Tell();
                }
                catch (FormatException e)
                {
                    _registry.TellUnreadable(_name, e.Message);
                }
            }
        }

        private void Tell()
        {
            if (_report is not null && !_over.IsCancellationRequested)
            {
                _registry.Tell(_name, _isSilent ? MonitorReport.None : _report);
            }
        }
    }

    private ZooKeeperClient Client => zooKeeper;

    private string ViewPath(string name) => paths.Monitor(name);

    private bool IsSilent(long session) => keeper.PeerOf(session) is { IsSilent: true };

    private void Tell(string name, MonitorReport report)
    {
        if (!_strays.Contains(name))
        {
            observations.TryWrite(new MonitorReported(clock.Now, name, report));
        }
    }

    private void TellUnreadable(string name, string why)
    {
        if (!_strays.Contains(name))
        {
            Log.ViewNotReadable(logger, name, why);
        }
    }
}
