namespace RedisFailover.ZooKeeper;

/// <summary>The states of a session.</summary>
public enum ZooKeeperSessionState
{
    /// <summary>Not established yet.</summary>
    Connecting,

    /// <summary>Connected to a server.</summary>
    Connected,

    /// <summary>Without a connection; the server still keeps the session for a while. New requests wait.</summary>
    Disconnected,

    /// <summary>
    /// Over: expired by the server, or without a connection for 4/3 of its timeout; or given up because of a defect, which exceptions with
    /// <see cref="ZooKeeperErrorCode.SystemError"/> name.
    /// </summary>
    Expired,

    /// <summary>Over: closed by this client.</summary>
    Closed,

    /// <summary>Over: a server refused its credentials. Operations fail with <see cref="ZooKeeperErrorCode.AuthFailed"/>.</summary>
    AuthFailed,
}

/// <summary>
/// Exactly one ZooKeeper session, from its creation to its end, over as many connections as it takes. It is never replaced by another one
/// silently: when it ends, <see cref="Ended"/> is cancelled and every operation fails. <see cref="ZooKeeperClient"/> makes the next.
/// </summary>
/// <remarks>
/// All members are safe for concurrent use. Requests are pipelined and answered in the order in which they were made. A request made while
/// there is no connection waits for one, until the session ends; beyond 2^20 of them, or 64 MB to write, they fail with
/// <see cref="ZooKeeperErrorCode.Throttled"/>. When a connection is lost, what was sent and not answered fails with
/// <see cref="ZooKeeperErrorCode.ConnectionLoss"/>; nothing is sent twice. Cancelling a request stops the waiting, not the request: a write
/// that was sent may be applied. Watch callbacks run one at a time and in order; one that blocks delays those after it. They and awaiting
/// code run on the thread that has just read for them, or on the thread pool. One of them that blocks holds up neither replies nor pings:
/// from a thread that has not come back for 2 to 4 ms the reading is taken away. Each connection has one such thread. Pings, time limits
/// and reconnects run on the thread pool, though: so many that block at once as to starve it delay them, and the session may be lost.
/// </remarks>
public sealed partial class ZooKeeperSession : IZnodes, IAsyncDisposable
{
    private readonly Lock _gate = new();
    private readonly ZooKeeperOptions _options;
    private readonly TimeProvider _time;
    private readonly LogQueue _logger;
    private readonly bool _ownsLog;
    private readonly Dialer _dialer;
    private readonly CallbackQueue _callbacks;
    private readonly CancellationTokenSource _ended = new();
    private readonly CancellationTokenSource _closing = new();
    private readonly TaskCompletionSource _established = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly Queue<Request> _waiting = new();
    private int _waitingBytes;
    private JuteWriter? _scratch;
    private Task _loop = Task.CompletedTask;
    private ServerConnection? _live;
    private ZooKeeperSessionState _state;
    private ZooKeeperErrorCode _endCode;
    private string? _endReason;
    private Moment _lastContact;
    private long _connectedAt;
    private readonly TaskCompletionSource _disposal = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private bool _disposed;

    private ZooKeeperSession(ZooKeeperOptions options, LogQueue? log)
    {
        _options = options;
        _time = options.TimeProvider;
        (_logger, _ownsLog) = (log ?? LogQueue.For(options), log is null);
        _dialer = new Dialer(options);
        _callbacks = new CallbackQueue(_logger);
        _lastContact = Moment.Now(_time);
        _auth = options.Auth.IsDefault ? [] : options.Auth;
        _xid = options.LastXid;
        SessionTimeout = options.SessionTimeout;
        Ended = _ended.Token;
    }

    /// <summary>The id that the server gave the session.</summary>
    public long SessionId { get; private set; }

    /// <summary>The timeout T that the server granted; it may change with a reconnect to a server that is configured otherwise.</summary>
    public TimeSpan SessionTimeout { get; private set; }

    /// <summary>The state at this moment.</summary>
    public ZooKeeperSessionState State
    {
        get
        {
            lock (_gate)
            {
                return _state;
            }
        }
    }

    /// <summary>
    /// Cancelled once, when the session has expired, was closed, or had its credentials refused. Callbacks registered on it run on the
    /// thread pool, before or after
    /// <see cref="StateChanged"/>, which waits for its turn.
    /// </summary>
    public CancellationToken Ended { get; }

    /// <summary>
    /// How long ago the server last answered, anything. Pings count: this says nothing about the quorum (see <see cref="Lease"/>).
    /// </summary>
    public TimeSpan SinceLastContact => LastContact.Elapsed(_time);

    internal Moment LastContact => Volatile.Read(ref _live)?.LastReceive ?? _lastContact;

    internal bool HasEnded => State is ZooKeeperSessionState.Expired or ZooKeeperSessionState.Closed or ZooKeeperSessionState.AuthFailed;

    internal TimeProvider Time => _time;

    /// <summary>How many servers it may be connected to.</summary>
    internal int HostCount => _dialer.HostCount;

    /// <summary>When its connection was made, by the monotonic clock.</summary>
    internal long ConnectedAt => Volatile.Read(ref _connectedAt);

    internal CallbackQueue Callbacks => _callbacks;

    /// <summary>The last transaction that this session has seen.</summary>
    internal long LastZxid { get; private set; }

    /// <summary>Told of every change of <see cref="State"/>, in order, on the thread pool.</summary>
    public event Action<ZooKeeperSessionState>? StateChanged;

    /// <summary>Creates a session; keeps trying all hosts until one accepts it.</summary>
    /// <param name="options">How to reach the ensemble.</param>
    /// <param name="cancellationToken">Ends the trying.</param>
    /// <exception cref="ArgumentOutOfRangeException">The session timeout is out of range.</exception>
    /// <exception cref="ArgumentException">The connection, the source of time or one of the credentials is null.</exception>
    /// <exception cref="ZooKeeperException">
    /// The server refused the credentials (<see cref="ZooKeeperErrorCode.AuthFailed"/>); or something failed that is no matter of servers
    /// and network (<see cref="ZooKeeperErrorCode.SystemError"/>, the message says what).
    /// </exception>
    /// <exception cref="OperationCanceledException">Cancelled before a server accepted the session.</exception>
    public static async Task<ZooKeeperSession> ConnectAsync(ZooKeeperOptions options, CancellationToken cancellationToken = default)
    {
        ZooKeeperSession session = Start(ZooKeeperOptions.Validate(options), null, null);
        await session.EstablishAsync(cancellationToken).ConfigureAwait(false);
        return session;
    }

    /// <summary>Begins to connect.</summary>
    /// <param name="options">How to reach the ensemble.</param>
    /// <param name="log">Where its owner logs, so that the lines of both keep their order; null for one of its own.</param>
    /// <param name="former">The session that this one replaces, to be closed first; null for none.</param>
    internal static ZooKeeperSession Start(ZooKeeperOptions options, LogQueue? log, FormerSession? former)
    {
        var session = new ZooKeeperSession(options, log) { _former = former, _toldRefused = former?.RefusedScheme };
        session._loop = Task.Run(session.RunAsync, CancellationToken.None);
        return session;
    }

    /// <summary>Waits until a server has accepted the session and its credentials; disposes it if that fails.</summary>
    internal async Task EstablishAsync(CancellationToken cancellationToken)
    {
        try
        {
            await _established.Task.WaitAsync(cancellationToken).ConfigureAwait(false);
        }
        catch
        {
            await DisposeAsync().ConfigureAwait(false);
            throw;
        }
    }

    /// <summary>
    /// Closes the session: the server deletes its ephemeral znodes at once. Waits for the server's confirmation at most a third of the
    /// session timeout; without a connection it does not wait, and the server lets the session expire. Then it waits, at most as long
    /// again, until the logger has all that was logged. Later calls wait for the first.
    /// </summary>
    public async ValueTask DisposeAsync()
    {
        bool first;
        lock (_gate)
        {
            first = !_disposed;
            _disposed = true;
        }

        if (!first)
        {
            await _disposal.Task.ConfigureAwait(false);
            return;
        }

        try
        {
            await CloseAsync().ConfigureAwait(false);
        }
        finally
        {
            _disposal.TrySetResult();
        }
    }

    private async Task CloseAsync()
    {
        if (State == ZooKeeperSessionState.Connected)
        {
            await SayGoodbyeAsync().ConfigureAwait(false);
        }

        await _closing.CancelAsync().ConfigureAwait(false);
        await _loop.ConfigureAwait(false);
        if (_ownsLog)
        {
            await _logger.WrittenAsync(SessionTimeout / 3, _time).ConfigureAwait(false);
        }
    }

    private async Task SayGoodbyeAsync()
    {
        try
        {
            var request = new PlainRequest<bool>(OpCode.CloseSession, null, static (_, _) => { }, static (ref _, _) => true);
            if (Volatile.Read(ref _live)?.TrySend(request) == true)
            {
                await request.AsValueTask().AsTask().MayFailUnseen().WaitAsync(SessionTimeout / 3, _time).ConfigureAwait(false);
            }
        }
        catch (Exception e) when (e is ZooKeeperException or TimeoutException)
        {
            // Unconfirmed: the server lets the session expire.
        }
    }

    /// <summary>Gives the connection up and goes on with the next server.</summary>
    internal void MoveOn(string why) => Volatile.Read(ref _live)?.Abort(why);

    /// <summary>Sends the request, or lets it wait for the next connection.</summary>
    private void Submit(Request request)
    {
        if (!Volatile.Read(ref _disposed) && Volatile.Read(ref _live)?.TrySend(request) == true)
        {
            return;
        }

        ZooKeeperErrorCode refused;
        string? why = null;
        lock (_gate)
        {
            refused = _endCode != ZooKeeperErrorCode.Ok ? _endCode
                : _disposed ? ZooKeeperErrorCode.Closing
                : _waiting.Count >= ServerConnection.MaxPending || _waitingBytes >= ServerConnection.MaxUnsentBytes
                    ? ZooKeeperErrorCode.Throttled
                : ZooKeeperErrorCode.Ok;
            if (refused == ZooKeeperErrorCode.Ok)
            {
                if (_live?.TrySend(request) == true)
                {
                    return;
                }

                if (request.IsWrite)
                {
                    request.KeepBody(_scratch ??= new JuteWriter(), _options.Connection.Chroot);
                }

                int bytes = request.KeptBytes + ServerConnection.HeaderBytes;
                if (bytes <= ServerConnection.MaxRequestBytes)
                {
                    _waitingBytes += request.KeptBytes;
                    _waiting.Enqueue(request);
                    return;
                }

                // Nothing to wait for, and its bytes would have the others refused.
                _scratch = null;
                (refused, why) = (ZooKeeperErrorCode.MarshallingError, ServerConnection.TooLarge(bytes));
            }
        }

        request.Fail(refused, sent: false, null, why ?? NotSentBecause);
    }

    private string? NotSentBecause => _endReason is null ? null : $"not sent: {_endReason}";

    private void SetState(ZooKeeperSessionState state)
    {
        lock (_gate)
        {
            _state = state;
        }

        _callbacks.Raise(() => StateChanged, state);
    }

    /// <summary>The end, once: everything that waits fails, everyone who watches is told.</summary>
    /// <param name="state">As what it ends.</param>
    /// <param name="code">What operations fail with from here on.</param>
    /// <param name="why">What their exceptions say beyond the code, if anything.</param>
    private void End(ZooKeeperSessionState state, ZooKeeperErrorCode code, string? why = null)
    {
        List<Request> waiting;
        lock (_gate)
        {
            if (_endCode != ZooKeeperErrorCode.Ok)
            {
                return;
            }

            (_endReason, _endCode, _state) = (why, code, state);
            waiting = [.. _waiting];
            _waiting.Clear();
            _waitingBytes = 0;
        }

        _callbacks.Raise(() => StateChanged, state);
        foreach (Request request in waiting)
        {
            request.Fail(code, sent: false, null, NotSentBecause);
        }

        foreach ((string path, Watcher watcher) in _watches.TakeAll())
        {
            Tell(watcher, new WatchedEvent(WatchedEventType.SessionEnded, ToClientPath(path)));
        }

        _handoff?.Flush();

        // Not behind the users' callbacks, one of which may block.
        _ = CallbackQueue.CancelAsync(_ended, _logger);
        if (_established.TrySetException(new ZooKeeperException(code, "connect", null, detail: why)))
        {
            // Nobody may be waiting any more: the exception is not to be reported as unobserved.
            _ = _established.Task.Exception;
        }
    }
}
