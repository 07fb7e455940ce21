using Microsoft.Extensions.Logging;
using RedisFailover.ZooKeeper;

namespace RedisFailover.Monitor.ZooKeeper;

/// <summary>What we see of the nodes, written into our seat for the others.</summary>
internal sealed class OwnReport(RegistryZnodes znodes, MonitorSeat seat, Func<bool> isLeading, ILogger logger)
{
    private readonly LatestReport _latest = new(znodes.Clock.Provider, isLeading);

    /// <summary>Whether this monitor belongs to the cluster; null where nobody asks.</summary>
    internal ClusterAdmission? Admission { get; set; }

    /// <summary>ZooKeeper's wall clock, as our writes show it.</summary>
    internal StoreClock StoreClock { get; } = new(znodes.Clock.Provider);

    /// <summary>Told, with each write, how this host's wall clock differs from ZooKeeper's; null where it does not.</summary>
    internal Action<Problem?>? ClockCompared { get; set; }

    /// <summary>Told that ZooKeeper refuses us the rights on our own place, with what it says; null: it does not.</summary>
    internal Action<string?>? RightsRefused { get; set; }

    /// <summary>Tells the others what we see now. Only the latest view matters; older ones that are not out yet are dropped.</summary>
    /// <param name="report">The view.</param>
    /// <param name="urgent">Whether a verdict may depend on it (see <see cref="ClusterView.VotesDecide"/>).</param>
    internal void Publish(MonitorReport report, bool urgent) => _latest.Set(report, urgent);

    /// <summary>Somebody has deleted the znode: it is made again with the latest view, at once.</summary>
    internal void PublishAgain() => _latest.Set(null, urgent: true);

    /// <summary>Keeps our view in the ephemeral znode, which every new session has to make again.</summary>
    internal async Task KeepAsync(CancellationToken cancellationToken)
    {
        ZooKeeperSession? home = null;
        string? told = null;
        while (true)
        {
            ZooKeeperSession session = await znodes.ZooKeeper.GetSessionAsync(cancellationToken);
            CancellationToken admitted = Admission?.WhileAdmitted ?? CancellationToken.None;
            try
            {
                if (home != session)
                {
                    await (Admission?.WaitAsync(cancellationToken) ?? Task.CompletedTask);
                    await seat.EnterAsync(session, _latest.Value, cancellationToken);
                    (home, told) = (session, null);
                    RightsRefused?.Invoke(null);
                }

                using var ended = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken, session.Ended, admitted);
                MonitorReport report = await _latest.NextAsync(ended.Token);
                DateTimeOffset sent = znodes.Clock.Provider.GetUtcNow();
                ZnodeStat written = await session.SetDataAsync(znodes.Path, report.Write(), -1, cancellationToken);
                if (written.EphemeralOwner != session.SessionId)
                {
                    // Another monitor with this id has taken the place while this one was held up.
                    home = null;
                    seat.Left();
                    continue;
                }

                ClockCompared?.Invoke(
                    StoreClock.Compare(znodes.Id, sent, DateTimeOffset.FromUnixTimeMilliseconds(written.ModifiedAt)));
            }
            catch (OperationCanceledException) when (!cancellationToken.IsCancellationRequested)
            {
                // The session ended; the next one makes the znode again. Or this monitor has no place here any more.
                if (admitted.IsCancellationRequested)
                {
                    home = null;
                    await seat.LeaveAsync(session, cancellationToken);
                }
            }
            catch (ZooKeeperException e)
            {
                if (e.Code == ZooKeeperErrorCode.NoAuth)
                {
                    RightsRefused?.Invoke(e.Message);
                    if (home == session)
                    {
                        // What we saw last would be our vote for ever, and it may not be deleted either: it goes with the session.
                        await session.DisposeAsync();
                    }
                }

                // Whatever happened to the write, the znode is made anew with the latest view.
                home = null;
                if (e.Code is not (ZooKeeperErrorCode.ConnectionLoss or ZooKeeperErrorCode.SessionExpired or ZooKeeperErrorCode.NoNode))
                {
                    if (told != e.Message)
                    {
                        told = e.Message;
                        Log.ViewNotPublished(logger, e.Message);
                    }

                    await Task.Delay(TimeSpan.FromSeconds(1), znodes.Clock.Provider, cancellationToken);
                }
            }
        }
    }
}
