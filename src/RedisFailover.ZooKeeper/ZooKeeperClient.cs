using System.Collections.Immutable;
using System.Net;
using System.Net.Sockets;
using RedisFailover.Shared;

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

    /// <summary>A server refused the credentials. The client tries again once a second: somebody may mend that there.</summary>
    AuthFailed,
}

/// <summary>
/// Keeps one ZooKeeper session alive and makes the next one when it has ended, saying so in the log and through <see cref="StateChanged"/>.
/// Connecting starts with the construction, in the background; an unreachable ensemble is not an error here.
/// </summary>
/// <remarks>All members are safe for concurrent use.</remarks>
public sealed class ZooKeeperClient : IAsyncDisposable
{
    private static readonly TimeSpan RetryAfterRefusal = TimeSpan.FromSeconds(1);
    private static readonly TimeSpan ShortLife = TimeSpan.FromSeconds(1);

    private readonly Lock _gate = new();
    private readonly ZooKeeperOptions _options;
    private readonly HostAddresses _names;
    private readonly CancellationTokenSource _disposing = new();
    private readonly CallbackQueue _callbacks;
    private readonly Task _loop;
    private TaskCompletionSource _replaced = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private ZooKeeperSession? _session;
    private ZooKeeperClientState _state;
    private volatile string? _unreachable;
    private bool _refused;
    private Moment? _lastContact;

    /// <summary>Starts connecting.</summary>
    /// <param name="options">How to reach the ensemble.</param>
    /// <exception cref="ArgumentOutOfRangeException">The session timeout is out of range.</exception>
    /// <exception cref="ArgumentException">The connection, the source of time or one of the credentials is null.</exception>
    public ZooKeeperClient(ZooKeeperOptions options)
    {
        _options = ZooKeeperOptions.Validate(options);
        _names = new HostAddresses(options.TimeProvider, options.Resolve);
        _options = _options with { Resolve = ResolveAsync, CannotReach = why => _unreachable = why };
        Logger = LogQueue.For(options);
        _callbacks = new CallbackQueue(Logger);
        _loop = Task.Run(RunAsync);
    }

    /// <summary>
    /// A name server that is silent or does not know a host any more keeps nobody from servers that were known before, over all sessions.
    /// </summary>
    private async Task<IPAddress[]> ResolveAsync(string host, CancellationToken cancellationToken)
    {
        (ImmutableArray<IPAddress> addresses, SocketError error) = await _names.FindAsync(host, cancellationToken).ConfigureAwait(false);
        return addresses.IsEmpty ? throw new SocketException((int)error) : [.. addresses];
    }

    /// <summary>
    /// Ends the present connection, not the session: the next one is made at once and shows the credentials and certificates that
    /// hold then. What is on its way fails with ConnectionLoss.
    /// </summary>
    /// <param name="why">For the log.</param>
    public void Reconnect(string why) => Session?.MoveOn(why);

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

    /// <summary>Why the server that was tried cannot be reached; null while there is a session, or where it is not known.</summary>
    internal string? Unreachable => Session is null ? _unreachable : null;

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

    internal LogQueue Logger { get; }

    internal TimeProvider Time => _options.TimeProvider;

    /// <summary>What is asked of the servers.</summary>
    internal TimeSpan SessionTimeout => _options.SessionTimeout;

    internal CancellationToken Disposing => _disposing.Token;

    /// <summary>Told of every change of state, in order, on the thread pool.</summary>
    public event Action<ZooKeeperClientState>? StateChanged;

    /// <summary>The current session; waits while there is none.</summary>
    /// <param name="cancellationToken">Stops the waiting.</param>
    /// <exception cref="ZooKeeperException">
    /// A server refused the credentials (<see cref="ZooKeeperErrorCode.AuthFailed"/>) while this waited, or something failed that is no
    /// matter of servers and network (<see cref="ZooKeeperErrorCode.SystemError"/>, the message says what). The client goes on trying, once
    /// a second; the next call waits for the next attempt.
    /// </exception>
    /// <exception cref="ObjectDisposedException">The client is disposed.</exception>
    /// <exception cref="OperationCanceledException">Cancelled while waiting.</exception>
    public async ValueTask<ZooKeeperSession> GetSessionAsync(CancellationToken cancellationToken = default)
    {
        while (true)
        {
            Task replaced;
            lock (_gate)
            {
                ObjectDisposedException.ThrowIf(_disposing.IsCancellationRequested, this);
                if (_session is { HasEnded: false } session)
                {
                    return session;
                }

                replaced = _replaced.Task;
            }

            await replaced.WaitAsync(cancellationToken).ConfigureAwait(false);
        }
    }

    /// <summary>Follows one znode: its latest value, over reconnects and sessions. Starts at once.</summary>
    /// <param name="path">The znode; it need not exist.</param>
    /// <param name="settle">
    /// How long to wait between the event of a change and the read, for those who are in no hurry: changes that follow each other closely
    /// are then read once. Default 0: at once.
    /// </param>
    /// <exception cref="ArgumentException">The path is malformed.</exception>
    /// <exception cref="ArgumentOutOfRangeException"><paramref name="settle"/> is negative.</exception>
    public WatchedValue Watch(string path, TimeSpan settle = default)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(settle, TimeSpan.Zero);
        return new(this, ZnodePath.Validate(path), settle);
    }

    /// <summary>Follows the names of one znode's children, over reconnects and sessions. Starts at once.</summary>
    /// <param name="path">The parent; it need not exist.</param>
    /// <exception cref="ArgumentException">The path is malformed.</exception>
    public WatchedChildren WatchChildren(string path) => new(this, ZnodePath.Validate(path));

    /// <summary>
    /// Closes the session, as <see cref="ZooKeeperSession.DisposeAsync"/> does. Then it waits, at most a third of the session timeout,
    /// until the logger has all that was logged.
    /// </summary>
    public async ValueTask DisposeAsync()
    {
        await _disposing.CancelAsync().ConfigureAwait(false);
        await _loop.ConfigureAwait(false);
        await Logger.WrittenAsync(_options.SessionTimeout / 3, Time).ConfigureAwait(false);
    }

    private async Task RunAsync()
    {
        int shortLives = 0;
        FormerSession? former = null;
        try
        {
            while (true)
            {
                ZooKeeperSession session = ZooKeeperSession.Start(_options, Logger, former);
                var begin = Moment.Now(Time);
                try
                {
                    await session.EstablishAsync(_disposing.Token).ConfigureAwait(false);
                    begin = Moment.Now(Time);
                    await using (session.ConfigureAwait(false))
                    {
                        await ServeAsync(session).ConfigureAwait(false);
                        former = session.LeftBehind;
                    }
                }
                catch (ZooKeeperException e)
                {
                    former = session.LeftBehind ?? former;
                    await FailedAsync(e).ConfigureAwait(false);
                }

                shortLives = begin.Elapsed(Time) < ShortLife ? shortLives + 1 : 0;
                if (shortLives > 0)
                {
                    // Something ends sessions as soon as they are made: no race with it.
                    await Task.Delay(Dialer.Backoff(shortLives - 1, _options.SessionTimeout), Time, _disposing.Token).ConfigureAwait(false);
                }
            }
        }
        catch (OperationCanceledException) when (_disposing.IsCancellationRequested)
        {
            Replace(null);
        }
    }

    /// <summary>A session was never established. One that expired before its credentials were judged is a matter of the network.</summary>
    private async Task FailedAsync(ZooKeeperException why)
    {
        if (why.Code is ZooKeeperErrorCode.AuthFailed or ZooKeeperErrorCode.SystemError)
        {
            Refuse(why);
            await Task.Delay(RetryAfterRefusal, Time, _disposing.Token).ConfigureAwait(false);
        }
    }

    private async Task ServeAsync(ZooKeeperSession session)
    {
        var over = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        using CancellationTokenRegistration ended =
            session.Ended.UnsafeRegister(static o => ((TaskCompletionSource)o!).TrySetResult(), over);
        session.StateChanged += _ => Refresh();
        Replace(session);
        await over.Task.WaitAsync(_disposing.Token).ConfigureAwait(false);
        Replace(null);
        Log.SessionReplaced(Logger, session.State.ToString());
    }

    private void Replace(ZooKeeperSession? session)
    {
        TaskCompletionSource waiters;
        lock (_gate)
        {
            _lastContact = _session?.LastContact ?? _lastContact;
            (_session, _refused) = (session, false);
            waiters = _replaced;
            _replaced = new(TaskCreationOptions.RunContinuationsAsynchronously);
        }

        Refresh();
        waiters.TrySetResult();
    }

    /// <summary>No session, for a reason that trying again may not mend: whoever waits for one is told.</summary>
    private void Refuse(ZooKeeperException why)
    {
        TaskCompletionSource waiters;
        lock (_gate)
        {
            _refused = why.Code == ZooKeeperErrorCode.AuthFailed;
            waiters = _replaced;
            _replaced = new(TaskCreationOptions.RunContinuationsAsynchronously);
        }

        Refresh();
        waiters.TrySetException(why);

        // Nobody may be waiting: the exception is not to be reported as unobserved.
        _ = waiters.Task.Exception;
    }

    /// <summary>Reads the session's state instead of being told it: news that cross each other cannot leave an old one behind.</summary>
    private void Refresh()
    {
        ZooKeeperClientState state;
        lock (_gate)
        {
            state = _session?.State switch
            {
                ZooKeeperSessionState.Connected => ZooKeeperClientState.Connected,
                ZooKeeperSessionState.Disconnected => ZooKeeperClientState.Disconnected,
                _ => _disposing.IsCancellationRequested ? ZooKeeperClientState.Closed
                    : _refused ? ZooKeeperClientState.AuthFailed
                    : ZooKeeperClientState.Connecting,
            };
            if (_state == state)
            {
                return;
            }

            _state = state;
        }

        _callbacks.Raise(() => StateChanged, state);
    }
}
