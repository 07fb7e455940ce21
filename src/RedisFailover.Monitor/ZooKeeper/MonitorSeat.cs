using Microsoft.Extensions.Logging;
using RedisFailover.ZooKeeper;

namespace RedisFailover.Monitor.ZooKeeper;

/// <summary>
/// Our place among the monitors, the ephemeral znode <c>R/monitors/&lt;id&gt;</c>: an id that another living monitor has is waited for.
/// </summary>
internal sealed class MonitorSeat(RegistryZnodes znodes, ILogger logger)
{
    /// <summary>How often it is looked whether the place of this id is free.</summary>
    private static readonly TimeSpan RetryInterval = TimeSpan.FromMilliseconds(100);

    private readonly Lock _gate = new();
    private ZooKeeperSession? _entered;
    private TaskCompletionSource _entering = new(TaskCreationOptions.RunContinuationsAsynchronously);

    /// <summary>Told of the id that another living monitor has; null when it is ours.</summary>
    internal Action<string?>? IdTaken { get; set; }

    /// <summary>Whether another living monitor has this id: then this one neither votes nor leads.</summary>
    internal bool IsIdTaken { get; private set; }

    /// <summary>Whether this monitor has its place among the others: else it neither votes nor leads.</summary>
    internal bool IsEntered
    {
        get
        {
            lock (_gate)
            {
                return _entered is { Ended.IsCancellationRequested: false };
            }
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

    /// <summary>Takes our place: at once if it is free, or if the heartbeat of the monitor that has it is silent.</summary>
    internal async Task EnterAsync(ZooKeeperSession session, MonitorReport report, CancellationToken cancellationToken)
    {
        bool told = false;
        while (true)
        {
            Znode? present = await GetAsync(session, cancellationToken);
            if (present is { Stat.EphemeralOwner: var owner } && owner == session.SessionId)
            {
                await session.SetDataAsync(znodes.Path, report.Write(), -1, cancellationToken);
                break;
            }

            if (present is null || znodes.Keeper.PeerOf(present.Stat.EphemeralOwner) is { IsSilent: true })
            {
                if (await TakePlaceAsync(session, report, present, cancellationToken))
                {
                    break;
                }

                continue;
            }

            // Its heartbeat has to be seen for a while before its silence means something.
            if (!told && znodes.Keeper.PeerOf(present.Stat.EphemeralOwner) is { IsBeating: true })
            {
                told = true;
                Log.IdTaken(logger, znodes.Id);
                IsIdTaken = true;
                IdTaken?.Invoke(znodes.Id);
            }

            await Task.Delay(RetryInterval, znodes.Clock.Provider, cancellationToken);
        }

        if (IsIdTaken)
        {
            IsIdTaken = false;
            IdTaken?.Invoke(null);
        }

        Entered(session);
    }

    private async Task<bool> TakePlaceAsync(ZooKeeperSession session, MonitorReport report, Znode? present,
        CancellationToken cancellationToken)
    {
        var create = ZnodeOperation.Create(znodes.Path, report.Write(), CreateMode.Ephemeral);
        try
        {
            await session.MultiAsync(
                present is null ? [create] : [ZnodeOperation.Delete(znodes.Path, present.Stat.Version), create], cancellationToken);
            return true;
        }
        catch (ZooKeeperException e) when (e.FailedIndex is not null
            && e.Code is ZooKeeperErrorCode.NodeExists or ZooKeeperErrorCode.NoNode or ZooKeeperErrorCode.BadVersion)
        {
            if (present is null && e.Code == ZooKeeperErrorCode.NoNode)
            {
                await session.EnsurePathAsync(znodes.Paths.Monitors, cancellationToken);
            }

            // It came, went or was written meanwhile.
            return false;
        }
    }

    private async Task<Znode?> GetAsync(ZooKeeperSession session, CancellationToken cancellationToken)
    {
        try
        {
            return await session.GetDataAsync(znodes.Path, null, cancellationToken);
        }
        catch (ZooKeeperException e) when (e.Code == ZooKeeperErrorCode.NoNode)
        {
            return null;
        }
    }

    /// <summary>Gives up our place in that session. Another monitor's with this id is left to it.</summary>
    internal async Task LeaveAsync(ZooKeeperSession session, CancellationToken cancellationToken)
    {
        Left();
        try
        {
            if (await GetAsync(session, cancellationToken) is { } place && place.Stat.EphemeralOwner == session.SessionId)
            {
                await session.DeleteAsync(znodes.Path, place.Stat.Version, cancellationToken);
            }
        }
        catch (ZooKeeperException)
        {
            // It goes with the session.
        }
    }

    /// <summary>The place is lost, or given up.</summary>
    internal void Left()
    {
        lock (_gate)
        {
            _entered = null;
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
