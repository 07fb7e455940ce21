using System.Collections.Immutable;
using System.Threading.Channels;
using Microsoft.Extensions.Logging;
using RedisFailover.Monitor.Hosting;
using RedisFailover.ZooKeeper;

namespace RedisFailover.Monitor.ZooKeeper;

/// <summary>The monitors' views of the nodes, <c>R/monitors/&lt;id&gt;</c>: publishes our own, reports the others'.</summary>
internal sealed class MonitorRegistry(
    ZooKeeperClient zooKeeper, ZnodePaths paths, string id, ChannelWriter<Observation> observations, MonotonicClock clock, ILogger logger)
{
    /// <summary>
    /// How long a view waits that no verdict depends on. The votes of all monitors on one dead node would meet the leader's own
    /// writes, which the applications are waiting for.
    /// </summary>
    private static readonly TimeSpan PatientDelay = TimeSpan.FromMilliseconds(50);

    private readonly Channel<(MonitorReport Report, bool Urgent)> _reports = Channel.CreateBounded<(MonitorReport, bool)>(
        new BoundedChannelOptions(1) { FullMode = BoundedChannelFullMode.DropOldest, SingleReader = true });

    private volatile bool _isLeading;

    /// <summary>Whether this monitor leads.</summary>
    internal bool IsLeading
    {
        get => _isLeading;
        set => _isLeading = value;
    }

    /// <summary>Tells the others what we see now. Only the latest view matters; older ones that are not out yet are dropped.</summary>
    /// <param name="report">The view.</param>
    /// <param name="urgent">Whether a verdict may depend on it (see <see cref="ClusterView.VotesDecide"/>).</param>
    internal void Publish(MonitorReport report, bool urgent) => _reports.Writer.TryWrite((report, urgent));

    /// <summary>Keeps our view in the ephemeral znode, which every new session has to make again.</summary>
    internal async Task PublishAsync(CancellationToken cancellationToken)
    {
        MonitorReport? report = null;
        ZooKeeperSession? home = null;
        while (true)
        {
            ZooKeeperSession session = await zooKeeper.GetSessionAsync(cancellationToken);
            try
            {
                if (home != session && report is not null)
                {
                    await EnterAsync(session, report, cancellationToken);
                    home = session;
                }

                using var ended = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken, session.Ended);
                (report, bool urgent) = await _reports.Reader.ReadAsync(ended.Token);
                // Nobody waits for the leader's vote, which it has itself.
                if (home == session && (IsLeading || !urgent))
                {
                    report = await LatestAfterPauseAsync(report, ended.Token);
                }

                if (home == session)
                {
                    await session.SetDataAsync(paths.Monitor(id), report.Write(), -1, cancellationToken);
                }
            }
            catch (OperationCanceledException) when (!cancellationToken.IsCancellationRequested)
            {
                // The session ended; the next one makes the znode again.
            }
            catch (ZooKeeperException e)
            {
                // Whatever happened to the write, the znode is made anew with the latest view.
                home = null;
                if (e.Code is not (ZooKeeperErrorCode.ConnectionLoss or ZooKeeperErrorCode.SessionExpired or ZooKeeperErrorCode.NoNode))
                {
                    Log.ViewNotPublished(logger, e.Message);
                    await Task.Delay(TimeSpan.FromSeconds(1), clock.Provider, cancellationToken);
                }
            }
        }
    }

    /// <summary>Waits, unless something urgent comes meanwhile; the latest view is what goes out.</summary>
    private async Task<MonitorReport> LatestAfterPauseAsync(MonitorReport report, CancellationToken cancellationToken)
    {
        Task pause = Task.Delay(PatientDelay, clock.Provider, cancellationToken);
        while (await Task.WhenAny(pause, _reports.Reader.WaitToReadAsync(cancellationToken).AsTask()) != pause)
        {
            cancellationToken.ThrowIfCancellationRequested();
            (report, bool urgent) = await _reports.Reader.ReadAsync(cancellationToken);
            if (urgent && !IsLeading)
            {
                return report;
            }
        }

        await pause;
        return report;
    }

    /// <summary>Reports which other monitors are here.</summary>
    internal async Task WatchPresenceAsync(CancellationToken cancellationToken)
    {
        HashSet<string> present = [];
        await using WatchedChildren monitors = zooKeeper.WatchChildren(paths.Monitors);
        await foreach (ImmutableArray<string>? names in monitors.ChangesAsync(cancellationToken))
        {
            HashSet<string> others = Others(names);
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

    /// <summary>
    /// Reports what the other monitors see. Only a leader needs to know: when a node is lost all monitors write at once, and each
    /// further reader would slow down the one that counts.
    /// </summary>
    internal async Task WatchViewsAsync(CancellationToken cancellationToken)
    {
        var watched = new Dictionary<string, WatchedValue>(StringComparer.Ordinal);
        await using WatchedChildren monitors = zooKeeper.WatchChildren(paths.Monitors);
        try
        {
            await foreach (ImmutableArray<string>? names in monitors.ChangesAsync(cancellationToken))
            {
                HashSet<string> others = Others(names);
                foreach (string gone in watched.Keys.Except(others).ToArray())
                {
                    watched.Remove(gone, out WatchedValue? left);
                    await left!.DisposeAsync();
                }

                foreach (string name in others.Except(watched.Keys).ToArray())
                {
                    watched[name] = Follow(name, cancellationToken);
                }
            }
        }
        catch (OperationCanceledException) when (cancellationToken.IsCancellationRequested)
        {
            // It no longer leads.
        }
        finally
        {
            foreach (WatchedValue value in watched.Values)
            {
                await value.DisposeAsync();
            }
        }
    }

    private HashSet<string> Others(ImmutableArray<string>? names) => [.. (names ?? []).Where(n => n != id)];

    private WatchedValue Follow(string name, CancellationToken cancellationToken)
    {
        WatchedValue value = zooKeeper.Watch(paths.Monitor(name));
        value.Changed += Report;
        if (value.IsRead)
        {
            Report(value.Current);
        }

        return value;

        void Report(Znode? znode)
        {
            if (znode is null || cancellationToken.IsCancellationRequested)
            {
                return;
            }

            try
            {
                observations.TryWrite(new MonitorReported(clock.Now, name, MonitorReport.Parse(znode.Data)));
            }
            catch (FormatException e)
            {
                Log.ViewNotReadable(logger, name, e.Message);
            }
        }
    }

    private async Task EnterAsync(ZooKeeperSession session, MonitorReport report, CancellationToken cancellationToken)
    {
        await session.EnsurePathAsync(paths.Monitors, cancellationToken);
        bool told = false;
        while (true)
        {
            try
            {
                await session.CreateAsync(paths.Monitor(id), report.Write(), CreateMode.Ephemeral, default, cancellationToken);
                return;
            }
            catch (ZooKeeperException e) when (e.Code == ZooKeeperErrorCode.NodeExists)
            {
                ZnodeStat? present = await session.ExistsAsync(paths.Monitor(id), null, cancellationToken);
                if (present is { } stat && stat.EphemeralOwner == session.SessionId)
                {
                    await session.SetDataAsync(paths.Monitor(id), report.Write(), -1, cancellationToken);
                    return;
                }

                // A monitor of the same id: our own former life, whose session is about to expire, or somebody else's mistake.
                if (present is not null && !told)
                {
                    told = true;
                    Log.IdTaken(logger, id);
                }

                await Task.Delay(TimeSpan.FromMilliseconds(200), clock.Provider, cancellationToken);
            }
        }
    }
}
