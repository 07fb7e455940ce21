using System.Threading.Channels;
using Microsoft.Extensions.Logging;
using RedisFailover.Monitor.Hosting;
using RedisFailover.ZooKeeper;

namespace RedisFailover.Monitor.ZooKeeper;

/// <summary>The monitors' views of the nodes, <c>R/monitors/&lt;id&gt;</c>: publishes our own, reports the others'.</summary>
internal sealed partial class MonitorRegistry(
    ZooKeeperClient zooKeeper, LeaseKeeper keeper, ZnodePaths paths, string id, ChannelWriter<Observation> observations,
        MonotonicClock clock, ILogger logger)
{
    /// <summary>
    /// How long a view waits that no verdict depends on. The votes of all monitors on one dead node would meet the leader's own
    /// writes, which the applications are waiting for.
    /// </summary>
    private static readonly TimeSpan PatientDelay = TimeSpan.FromMilliseconds(50);

    /// <summary>How often it is looked whether the place of this id is free.</summary>
    private static readonly TimeSpan RetryInterval = TimeSpan.FromMilliseconds(100);

    private readonly Channel<(MonitorReport Report, bool Urgent)> _reports = Channel.CreateBounded<(MonitorReport, bool)>(
        new BoundedChannelOptions(1) { FullMode = BoundedChannelFullMode.DropOldest, SingleReader = true });

    private readonly Lock _gate = new();
    private MonitorReport _latest = MonitorReport.None;
    private ZooKeeperSession? _entered;
    private TaskCompletionSource _entering = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private volatile bool _isLeading;

    /// <summary>Whether this monitor leads.</summary>
    internal bool IsLeading
    {
        get => _isLeading;
        set => _isLeading = value;
    }

    /// <summary>Whether this monitor belongs to the cluster; null where nobody asks.</summary>
    internal ClusterAdmission? Admission { get; set; }

    /// <summary>Told of the id that another living monitor has; null when it is ours.</summary>
    internal Action<string?>? IdTaken { get; set; }

    /// <summary>Told, with each write, how this host's wall clock differs from ZooKeeper's; null where it does not.</summary>
    internal Action<Problem?>? ClockCompared { get; set; }

    /// <summary>Whether another living monitor has this id: then this one neither votes nor leads.</summary>
    internal bool IsIdTaken { get; private set; }

    /// <summary>Tells the others what we see now. Only the latest view matters; older ones that are not out yet are dropped.</summary>
    /// <param name="report">The view.</param>
    /// <param name="urgent">Whether a verdict may depend on it (see <see cref="ClusterView.VotesDecide"/>).</param>
    internal void Publish(MonitorReport report, bool urgent)
    {
        lock (_gate)
        {
            _latest = report;
            _reports.Writer.TryWrite((report, urgent));
        }
    }

    /// <summary>Somebody has deleted the znode: it is made again with the latest view, at once.</summary>
    private void PublishAgain()
    {
        lock (_gate)
        {
            _reports.Writer.TryWrite((_latest, true));
        }
    }

    /// <summary>Completes when this monitor has its place among the others in that session: before, it stands for no election.</summary>
    internal async Task EnteredAsync(ZooKeeperSession session, CancellationToken cancellationToken)
    {
        while (true)
        {
            Task entering;
            lock (_gate)
            {
                if (_entered == session || session.Ended.IsCancellationRequested)
                {
                    return;
                }

                entering = _entering.Task;
            }

            await Task.WhenAny(entering, Task.Delay(Timeout.Infinite, session.Ended)).WaitAsync(cancellationToken);
        }
    }

    /// <summary>Keeps our view in the ephemeral znode, which every new session has to make again.</summary>
    internal async Task PublishAsync(CancellationToken cancellationToken)
    {
        MonitorReport report = MonitorReport.None;
        ZooKeeperSession? home = null;
        while (true)
        {
            ZooKeeperSession session = await zooKeeper.GetSessionAsync(cancellationToken);
            CancellationToken admitted = Admission?.WhileAdmitted ?? CancellationToken.None;
            try
            {
                if (home != session)
                {
                    await (Admission?.WaitAsync(cancellationToken) ?? Task.CompletedTask);
                    await EnterAsync(session, report, cancellationToken);
                    home = session;
                    Entered(session);
                }

                using var ended = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken, session.Ended, admitted);
                (report, bool urgent) = await _reports.Reader.ReadAsync(ended.Token);
                // Nobody waits for the leader's vote, which it has itself.
                if (IsLeading || !urgent)
                {
                    report = await LatestAfterPauseAsync(report, ended.Token);
                }

                DateTimeOffset sent = clock.Provider.GetUtcNow();
                ZnodeStat written = await session.SetDataAsync(paths.Monitor(id), report.Write(), -1, cancellationToken);
                if (written.EphemeralOwner != session.SessionId)
                {
                    // Another monitor with this id has taken the place while this one was held up.
                    home = null;
                    Left();
                    continue;
                }

                ClockCompared?.Invoke(
                    ClockCheck.Compare(id, sent, clock.Provider.GetUtcNow(), DateTimeOffset.FromUnixTimeMilliseconds(written.ModifiedAt)));
            }
            catch (OperationCanceledException) when (!cancellationToken.IsCancellationRequested)
            {
                // The session ended; the next one makes the znode again. Or this monitor has no place here any more.
                if (admitted.IsCancellationRequested)
                {
                    home = null;
                    await LeaveAsync(session, cancellationToken);
                }
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

    /// <summary>Gives up our place in that session.</summary>
    internal async Task LeaveAsync(ZooKeeperSession session, CancellationToken cancellationToken)
    {
        Left();
        try
        {
            await session.DeleteAsync(paths.Monitor(id), -1, cancellationToken);
        }
        catch (ZooKeeperException)
        {
            // It goes with the session.
        }
    }

    private void Left()
    {
        lock (_gate)
        {
            _entered = null;
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

    /// <summary>Takes our place: at once if it is free, or if the heartbeat of the monitor that has it is silent.</summary>
    private async Task EnterAsync(ZooKeeperSession session, MonitorReport report, CancellationToken cancellationToken)
    {
        bool told = false;
        while (true)
        {
            Znode? present = await GetAsync(session, cancellationToken);
            if (present is { Stat.EphemeralOwner: var owner } && owner == session.SessionId)
            {
                await session.SetDataAsync(paths.Monitor(id), report.Write(), -1, cancellationToken);
                break;
            }

            if (present is null || keeper.PeerOf(present.Stat.EphemeralOwner) is { IsSilent: true })
            {
                if (await TakePlaceAsync(session, report, present, cancellationToken))
                {
                    break;
                }

                continue;
            }

            // Its heartbeat has to be seen for a while before its silence means something.
            if (!told && keeper.PeerOf(present.Stat.EphemeralOwner) is { IsBeating: true })
            {
                told = true;
                Log.IdTaken(logger, id);
                IsIdTaken = true;
                IdTaken?.Invoke(id);
            }

            await Task.Delay(RetryInterval, clock.Provider, cancellationToken);
        }

        if (IsIdTaken)
        {
            IsIdTaken = false;
            IdTaken?.Invoke(null);
        }
    }

    private async Task<bool> TakePlaceAsync(ZooKeeperSession session, MonitorReport report, Znode? present,
        CancellationToken cancellationToken)
    {
        var create = ZnodeOperation.Create(paths.Monitor(id), report.Write(), CreateMode.Ephemeral);
        try
        {
            await session.MultiAsync(
                present is null ? [create] : [ZnodeOperation.Delete(paths.Monitor(id), present.Stat.Version), create], cancellationToken);
            return true;
        }
        catch (ZooKeeperException e) when (e.FailedIndex is not null
            && e.Code is ZooKeeperErrorCode.NodeExists or ZooKeeperErrorCode.NoNode or ZooKeeperErrorCode.BadVersion)
        {
            if (present is null && e.Code == ZooKeeperErrorCode.NoNode)
            {
                await session.EnsurePathAsync(paths.Monitors, cancellationToken);
            }

            // It came, went or was written meanwhile.
            return false;
        }
    }

    private async Task<Znode?> GetAsync(ZooKeeperSession session, CancellationToken cancellationToken)
    {
        try
        {
            return await session.GetDataAsync(paths.Monitor(id), null, cancellationToken);
        }
        catch (ZooKeeperException e) when (e.Code == ZooKeeperErrorCode.NoNode)
        {
            return null;
        }
    }

    private void Entered(ZooKeeperSession session)
    {
        TaskCompletionSource waiters;
        lock (_gate)
        {
            _entered = session;
            waiters = _entering;
            _entering = new(TaskCreationOptions.RunContinuationsAsynchronously);
        }

        waiters.TrySetResult();
    }
}
