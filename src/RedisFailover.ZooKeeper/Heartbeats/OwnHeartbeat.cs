namespace RedisFailover.ZooKeeper;

/// <summary>
/// This process' heartbeat: made with each session, and made anew under another name when somebody has deleted it (S7). Lives as long as
/// its client.
/// </summary>
internal sealed class OwnHeartbeat
{
    private static readonly TimeSpan RetryAfterError = TimeSpan.FromSeconds(1);

    private readonly Lock _gate = new();
    private readonly ZooKeeperClient _client;
    private readonly LeaseOptions _options;
    private readonly MeasuredLease _length;
    private readonly Action _replaced;
    private volatile SessionHeartbeat? _current;
    private TaskCompletionSource _changed = new(TaskCreationOptions.RunContinuationsAsynchronously);

    /// <param name="client">Whose sessions to use.</param>
    /// <param name="options">Where it stands, and whose it is.</param>
    /// <param name="length">What it publishes before the first beat.</param>
    /// <param name="replaced">Called when there is another one, or none.</param>
    internal OwnHeartbeat(ZooKeeperClient client, LeaseOptions options, MeasuredLease length, Action replaced)
    {
        (_client, _options, _length, _replaced) = (client, options, length, replaced);
        _ = Task.Run(RunAsync);
    }

    /// <summary>Null while there is none.</summary>
    internal SessionHeartbeat? Current => _current;

    /// <summary>The heartbeat of this session; waits until it is made.</summary>
    /// <exception cref="ZooKeeperException">The session has ended.</exception>
    internal async Task<SessionHeartbeat> OfAsync(ZooKeeperSession session, CancellationToken cancellationToken)
    {
        while (true)
        {
            Task changed;
            lock (_gate)
            {
                if (_current is { } heart && heart.Session == session)
                {
                    return heart;
                }

                changed = _changed.Task;
            }

            if (session.HasEnded)
            {
                throw new ZooKeeperException(ZooKeeperErrorCode.SessionExpired, "campaign", null);
            }

            await changed.WaitAsync(cancellationToken).ConfigureAwait(false);
        }
    }

    private async Task RunAsync()
    {
        bool told = false;
        while (!_client.Disposing.IsCancellationRequested)
        {
            try
            {
                ZooKeeperSession session = await _client.GetSessionAsync(_client.Disposing).ConfigureAwait(false);
                string path = await HeartbeatZnode.CreateAsync(session, _options, _length.Length(session.SessionTimeout), _client.Disposing)
                    .ConfigureAwait(false);
                var heart = new SessionHeartbeat(session, path, _client.Time);
                Replace(heart);
                told = false;
                await Task.WhenAny(heart.Lost.Task, Task.Delay(Timeout.Infinite, session.Ended)).ConfigureAwait(false);
                Replace(null);
            }
            catch (ZooKeeperException e)
            {
                if (!told
                    && e.Code is not (ZooKeeperErrorCode.ConnectionLoss or ZooKeeperErrorCode.SessionExpired or ZooKeeperErrorCode.Closing))
                {
                    told = true;
                    Log.HeartbeatFailed(_client.Logger, _options.HeartbeatsPath, e.Message);
                }

                await Task.Delay(
                    e.Code == ZooKeeperErrorCode.ConnectionLoss ? TimeSpan.Zero : RetryAfterError, _client.Time, _client.Disposing)
                        .ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            }
            catch (Exception e) when (e is OperationCanceledException or ObjectDisposedException
                && _client.Disposing.IsCancellationRequested)
            {
                return;
            }
        }
    }

    private void Replace(SessionHeartbeat? heart)
    {
        TaskCompletionSource waiters;
        lock (_gate)
        {
            _current = heart;
            waiters = _changed;
            _changed = new(TaskCreationOptions.RunContinuationsAsynchronously);
        }

        waiters.TrySetResult();
        _replaced();
    }
}
