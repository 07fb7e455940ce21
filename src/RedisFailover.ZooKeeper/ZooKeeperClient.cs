using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;

namespace RedisFailover.ZooKeeper;

/// <summary>What a <see cref="ZooKeeperClient"/> is at.</summary>
public enum ZooKeeperClientState
{
    /// <summary>No session yet, or the last one ended and the next is being made.</summary>
    Connecting,

    /// <summary>There is a session and it is connected.</summary>
    Connected,

    /// <summary>There is a session without a connection; it may come back.</summary>
    Disconnected,

    /// <summary>Disposed.</summary>
    Closed,
}

/// <summary>
/// Keeps one ZooKeeper session alive and makes the next one when it has ended, saying so in the log and through <see cref="StateChanged"/>.
/// Connecting starts with the construction, in the background; an unreachable ensemble is not an error here.
/// </summary>
/// <remarks>All members are safe for concurrent use.</remarks>
public sealed class ZooKeeperClient : IAsyncDisposable
{
    private static readonly TimeSpan RetryAfterRefusal = TimeSpan.FromSeconds(1);

    private readonly Lock _gate = new();
    private readonly ZooKeeperOptions _options;
    private readonly CancellationTokenSource _disposing = new();
    private readonly CallbackQueue _callbacks;
    private readonly Task _loop;
    private TaskCompletionSource<ZooKeeperSession> _next = NewSource();
    private ZooKeeperSession? _session;
    private ZooKeeperClientState _state;
    private Moment? _lastContact;

    /// <summary>Starts connecting.</summary>
    /// <param name="options">How to reach the ensemble.</param>
    /// <exception cref="ArgumentOutOfRangeException">The session timeout is out of range.</exception>
    public ZooKeeperClient(ZooKeeperOptions options)
    {
        ArgumentNullException.ThrowIfNull(options);
        ArgumentOutOfRangeException.ThrowIfLessThan(options.SessionTimeout, TimeSpan.FromMilliseconds(100));
        ArgumentOutOfRangeException.ThrowIfGreaterThan(options.SessionTimeout, TimeSpan.FromHours(1));
        _options = options;
        Logger = options.LoggerFactory?.CreateLogger(Log.Category) ?? NullLogger.Instance;
        _callbacks = new CallbackQueue(Logger);
        _loop = Task.Run(RunAsync);
    }

    /// <summary>The current session, which may be without a connection for the moment; null while there is none.</summary>
    public ZooKeeperSession? Session
    {
        get
        {
            lock (_gate)
            {
                return _session is { HasEnded: false } ? _session : null;
            }
        }
    }

    /// <summary>True while the current session has a connection.</summary>
    public bool IsConnected => Session is { State: ZooKeeperSessionState.Connected };

    /// <summary>How long ago a server last answered, pings included; null if none ever did.</summary>
    public TimeSpan? SinceLastContact
    {
        get
        {
            lock (_gate)
            {
                return _session?.SinceLastContact ?? _lastContact?.Elapsed(_options.TimeProvider);
            }
        }
    }

    internal ILogger Logger { get; }

    internal TimeProvider Time => _options.TimeProvider;

    internal CancellationToken Disposing => _disposing.Token;

    /// <summary>Told of every change of state, in order, on the thread pool.</summary>
    public event Action<ZooKeeperClientState>? StateChanged;

    /// <summary>The current session; waits while there is none.</summary>
    /// <param name="cancellationToken">Stops the waiting.</param>
    /// <exception cref="ObjectDisposedException">The client is disposed.</exception>
    /// <exception cref="OperationCanceledException">Cancelled while waiting.</exception>
    public async ValueTask<ZooKeeperSession> GetSessionAsync(CancellationToken cancellationToken = default)
    {
        while (true)
        {
            Task<ZooKeeperSession> next;
            lock (_gate)
            {
                ObjectDisposedException.ThrowIf(_disposing.IsCancellationRequested, this);
                if (_session is { HasEnded: false } session)
                {
                    return session;
                }

                next = _next.Task;
            }

            ZooKeeperSession found = await next.WaitAsync(cancellationToken).ConfigureAwait(false);
            if (!found.HasEnded)
            {
                return found;
            }

            // The session that just ended is still the current one until the loop has put it away.
            await Task.Yield();
        }
    }

    /// <summary>Follows one znode: its latest value, over reconnects and sessions. Starts at once.</summary>
    /// <param name="path">The znode; it need not exist.</param>
    /// <exception cref="ArgumentException">The path is malformed.</exception>
    public WatchedValue Watch(string path) => new(this, ZnodePath.Validate(path));

    /// <summary>Follows the names of one znode's children, over reconnects and sessions. Starts at once.</summary>
    /// <param name="path">The parent; it need not exist.</param>
    /// <exception cref="ArgumentException">The path is malformed.</exception>
    public WatchedChildren WatchChildren(string path) => new(this, ZnodePath.Validate(path));

    /// <summary>Closes the session, as <see cref="ZooKeeperSession.DisposeAsync"/> does.</summary>
    public async ValueTask DisposeAsync()
    {
        await _disposing.CancelAsync().ConfigureAwait(false);
        await _loop.ConfigureAwait(false);
    }

    private static TaskCompletionSource<ZooKeeperSession> NewSource() => new(TaskCreationOptions.RunContinuationsAsynchronously);

    private async Task RunAsync()
    {
        try
        {
            while (true)
            {
                ZooKeeperSession session;
                try
                {
                    session = await ZooKeeperSession.ConnectAsync(_options, _disposing.Token).ConfigureAwait(false);
                }
                catch (ZooKeeperException)
                {
                    // The credentials were refused, and the log says so. Somebody may mend that on the server.
                    await Task.Delay(RetryAfterRefusal, _options.TimeProvider, _disposing.Token).ConfigureAwait(false);
                    continue;
                }

                await using (session.ConfigureAwait(false))
                {
                    await ServeAsync(session).ConfigureAwait(false);
                }
            }
        }
        catch (OperationCanceledException) when (_disposing.IsCancellationRequested)
        {
            lock (_gate)
            {
                _session = null;
                _next.TrySetException(new ObjectDisposedException(nameof(ZooKeeperClient)));

                // Nobody may be waiting: the exception is not to be reported as unobserved.
                _ = _next.Task.Exception;
            }

            SetState(ZooKeeperClientState.Closed);
        }
    }

    private async Task ServeAsync(ZooKeeperSession session)
    {
        var over = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        using CancellationTokenRegistration ended = session.Ended.UnsafeRegister(static o => ((TaskCompletionSource)o!).TrySetResult(), over);
        session.StateChanged += OnSessionState;
        TaskCompletionSource<ZooKeeperSession> waiters;
        lock (_gate)
        {
            _session = session;
            waiters = _next;
        }

        OnSessionState(session.State);
        waiters.TrySetResult(session);
        await over.Task.WaitAsync(_disposing.Token).ConfigureAwait(false);
        lock (_gate)
        {
            _session = null;
            _lastContact = session.LastContact;
            _next = NewSource();
        }

        SetState(ZooKeeperClientState.Connecting);
        Log.SessionReplaced(Logger, session.State.ToString());
    }

    private void OnSessionState(ZooKeeperSessionState state) => SetState(state switch
    {
        ZooKeeperSessionState.Connected => ZooKeeperClientState.Connected,
        ZooKeeperSessionState.Disconnected => ZooKeeperClientState.Disconnected,
        _ => ZooKeeperClientState.Connecting,
    });

    private void SetState(ZooKeeperClientState state)
    {
        lock (_gate)
        {
            if (_state == state)
            {
                return;
            }

            _state = state;
        }

        _callbacks.Post(_ => StateChanged?.Invoke(state), null);
    }
}
