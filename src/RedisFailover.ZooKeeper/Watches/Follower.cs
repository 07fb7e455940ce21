namespace RedisFailover.ZooKeeper;

/// <summary>
/// Reads something again and again, each time after its watch has fired: one read in flight, a watch set with every read. What changes
/// between the event and the read is in the read; what changes after it fires the new watch. A read that fails is repeated; one that the
/// session cannot send waits there for the connection. The code runs on the session's read loop: no thread hop between event and read.
/// </summary>
internal sealed class Follower : IAsyncDisposable
{
    private static readonly TimeSpan RetryAfterError = TimeSpan.FromSeconds(1);

    private readonly ZooKeeperClient _client;
    private readonly string _path;
    private readonly Func<ZooKeeperSession, Watcher, bool, CancellationToken, Task> _read;
    private readonly TimeSpan _settle;
    private readonly CancellationTokenSource _stop;
    private readonly Task _loop;
    private volatile TaskCompletionSource? _changed;

    /// <summary>Starts.</summary>
    /// <param name="client">Whose sessions to use.</param>
    /// <param name="path">For sync and for the log.</param>
    /// <param name="read">Reads with the watcher and publishes; the flag is true for the first successful read of a session, the token
    /// ends the waiting.</param>
    /// <param name="settle">How long to wait between an event and the read.</param>
    internal Follower(ZooKeeperClient client, string path, Func<ZooKeeperSession, Watcher, bool, CancellationToken, Task> read,
        TimeSpan settle = default)
    {
        (_client, _path, _read, _settle) = (client, path, read, settle);
        _stop = CancellationTokenSource.CreateLinkedTokenSource(client.Disposing);
        _loop = Task.Run(RunAsync);
    }

    public async ValueTask DisposeAsync()
    {
        await _stop.CancelAsync().ConfigureAwait(false);
        _changed?.TrySetResult();
        await _loop.ConfigureAwait(false);
        _stop.Dispose();

        // The loop may have ended on a session's read loop, and whoever disposes goes on after this.
        await Task.CompletedTask.ConfigureAwait(ConfigureAwaitOptions.ForceYielding);
    }

    /// <summary>Reads a znode, or finds it missing; either way the watch tells of the next change.</summary>
    internal static async Task<T?> ReadOrMissingAsync<T>(ZooKeeperSession session, string path, Watcher watcher, Func<ValueTask<T>> read,
        CancellationToken cancellationToken)
        where T : class
    {
        while (true)
        {
            try
            {
                return await read().ConfigureAwait(false);
            }
            catch (ZooKeeperException e) when (e.Code == ZooKeeperErrorCode.NoNode)
            {
                if (await session.ExistsInlineAsync(path, watcher, cancellationToken).ConfigureAwait(false) is null)
                {
                    return null;
                }

                // Created between the two requests: read again.
            }
        }
    }

    private async Task RunAsync()
    {
        try
        {
            while (!_stop.IsCancellationRequested)
            {
                try
                {
                    await FollowAsync(await _client.GetSessionAsync(_stop.Token).ConfigureAwait(false)).ConfigureAwait(false);
                }
                catch (ZooKeeperException)
                {
                    // No session: the client's state and its log say why. It tries again, and so does this.
                }
            }
        }
        catch (Exception e) when (e is OperationCanceledException or ObjectDisposedException && _stop.IsCancellationRequested)
        {
            // Disposed, or the client is.
        }
    }

    private async Task FollowAsync(ZooKeeperSession session)
    {
        bool first = true;
        bool told = false;
        while (!_stop.IsCancellationRequested && !session.HasEnded)
        {
            var changed = new TaskCompletionSource();
            var watcher = new Watcher(_ => changed.TrySetResult(), Inline: true);
            _changed = changed;
            try
            {
                if (first)
                {
                    // The server of a new session may lag behind what the last session had seen.
                    await session.SyncInlineAsync(_path, _stop.Token).ConfigureAwait(false);
                }

                await _read(session, watcher, first, _stop.Token).ConfigureAwait(false);
                (first, told) = (false, false);
            }
            catch (ZooKeeperException e) when (e.Code == ZooKeeperErrorCode.ConnectionLoss || session.HasEnded)
            {
                continue;
            }
            catch (ZooKeeperException e)
            {
                if (!told)
                {
                    told = true;
                    Log.WatchFailed(_client.Logger, _path, e.Message);
                }

                await Task.Delay(RetryAfterError, _client.Time, _stop.Token).ConfigureAwait(false);
                continue;
            }

            if (!_stop.IsCancellationRequested)
            {
                await changed.Task.ConfigureAwait(false);
                if (_settle > TimeSpan.Zero)
                {
                    await Task.Delay(_settle, _client.Time, _stop.Token).ConfigureAwait(false);
                }
            }

            session.Forget(_path, watcher);
        }
    }
}
