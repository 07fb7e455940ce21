namespace RedisFailover.ZooKeeper;

/// <summary>
/// From the first connection to the end: in which state the session is, how it ended, and who is told. Changed by the session's loop alone,
/// read by anybody.
/// </summary>
/// <param name="parts">What ends with it.</param>
/// <param name="ended">Cancelled once, at the end.</param>
/// <param name="toldRefused">The scheme whose refusal the log tells of already; null for none.</param>
internal sealed class SessionLifetime(SessionParts parts, CancellationTokenSource ended, string? toldRefused)
{
    private readonly Lock _gate = new();
    private readonly TaskCompletionSource _established = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private ZooKeeperSessionState _state;

    /// <summary>The state at this moment.</summary>
    internal ZooKeeperSessionState State
    {
        get
        {
            lock (_gate)
            {
                return _state;
            }
        }
    }

    internal bool HasEnded => State is ZooKeeperSessionState.Expired or ZooKeeperSessionState.Closed or ZooKeeperSessionState.AuthFailed;

    /// <summary>With what operations fail since the end; <see cref="ZooKeeperErrorCode.Ok"/> before it.</summary>
    internal ZooKeeperErrorCode EndCode { get; private set; }

    /// <summary>Completes when a server has accepted the session and its credentials; fails if the session ends before that.</summary>
    internal Task Established => _established.Task;

    /// <summary>Told of every change of the state, in order, on the thread pool.</summary>
    internal event Action<ZooKeeperSessionState>? StateChanged;

    /// <summary>A state that is not the end.</summary>
    internal void Become(ZooKeeperSessionState state)
    {
        lock (_gate)
        {
            _state = state;
        }

        parts.Callbacks.Raise(() => StateChanged, state);
    }

    /// <summary>Once: a server has accepted the session, and the credentials if there are any.</summary>
    internal void Establish(string server)
    {
        if (!_established.Task.IsCompleted)
        {
            Log.SessionEstablished(parts.Logger, parts.Identity.Id, server, parts.Identity.Timeout.TotalMilliseconds);
            _established.TrySetResult();
        }
    }

    /// <summary>The end, because of refused credentials.</summary>
    internal void RefuseCredentials(AuthRequest refused)
    {
        if (_established.Task.IsCompleted || toldRefused != refused.Scheme)
        {
            Log.AuthFailed(parts.Logger, refused.Scheme);
        }

        parts.Identity.LeaveBehind(refused.Scheme);
        End(ZooKeeperSessionState.AuthFailed, ZooKeeperErrorCode.AuthFailed, refused.Refusal);
    }

    /// <summary>The end, once: everything that waits fails, everyone who watches is told.</summary>
    /// <param name="state">As what it ends.</param>
    /// <param name="code">What operations fail with from here on.</param>
    /// <param name="why">What their exceptions say beyond the code, if anything.</param>
    internal void End(ZooKeeperSessionState state, ZooKeeperErrorCode code, string? why = null)
    {
        lock (_gate)
        {
            if (EndCode != ZooKeeperErrorCode.Ok)
            {
                return;
            }

            (EndCode, _state) = (code, state);
        }

        parts.Callbacks.Raise(() => StateChanged, state);
        parts.Requests.FailAll(code, why);
        parts.Watches.TellEnded();

        // Not behind the users' callbacks, one of which may block.
        _ = CallbackQueue.CancelAsync(ended, parts.Logger);
        if (_established.TrySetException(new ZooKeeperException(code, "connect", null, detail: why)))
        {
            // Nobody may be waiting any more: the exception is not to be reported as unobserved.
            _ = _established.Task.Exception;
        }
    }
}

/// <summary>What the parts of one session share.</summary>
/// <param name="Options">How to reach the ensemble.</param>
/// <param name="Logger">The log.</param>
/// <param name="Callbacks">Runs users' callbacks, in order.</param>
/// <param name="Identity">What it shows to each server.</param>
/// <param name="Requests">Where its requests go.</param>
/// <param name="Watches">What it is told of.</param>
internal sealed record SessionParts(
    ZooKeeperOptions Options, LogQueue Logger, CallbackQueue Callbacks, SessionIdentity Identity, RequestQueue Requests,
    WatchRegistry Watches)
{
    internal static SessionParts For(ZooKeeperOptions options, LogQueue logger)
    {
        string chroot = options.Connection.Chroot;
        var callbacks = new CallbackQueue(logger);
        return new SessionParts(
            options, logger, callbacks,
            new SessionIdentity(options.SessionTimeout, options.LastXid, Moment.Now(options.TimeProvider)),
            new RequestQueue(chroot),
            new WatchRegistry(chroot, callbacks));
    }
}
