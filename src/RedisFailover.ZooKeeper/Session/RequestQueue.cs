namespace RedisFailover.ZooKeeper;

/// <summary>
/// Where a session's requests go: to the connection that there is, or into the queue for the next one. Once the session is over, or is
/// being closed, they fail.
/// </summary>
internal sealed class RequestQueue(string chroot)
{
    private readonly Lock _gate = new();
    private readonly Queue<Request> _waiting = new();
    private int _waitingBytes;
    private JuteWriter? _scratch;
    private ServerConnection? _live;
    private ZooKeeperErrorCode _overCode;
    private string? _overWhy;
    private bool _closing;

    /// <summary>The connection that requests go to; null while there is none.</summary>
    internal ServerConnection? Live => Volatile.Read(ref _live);

    /// <summary>The session is being closed by this side.</summary>
    internal bool IsClosing => Volatile.Read(ref _closing);

    private string? NotSentBecause => _overWhy is null ? null : $"not sent: {_overWhy}";

    /// <summary>Takes no more. True for the first who calls.</summary>
    internal bool BeginClosing()
    {
        lock (_gate)
        {
            return !_closing && (_closing = true);
        }
    }

    /// <summary>Sends the request, or lets it wait for the next connection.</summary>
    internal void Submit(Request request)
    {
        if (!Volatile.Read(ref _closing) && Volatile.Read(ref _live)?.TrySend(request) == true)
        {
            return;
        }

        ZooKeeperErrorCode refused;
        string? why = null;
        lock (_gate)
        {
            refused = _overCode != ZooKeeperErrorCode.Ok ? _overCode
                : _closing ? ZooKeeperErrorCode.Closing
                : _waiting.Count >= ServerConnection.MaxPending || _waitingBytes >= ServerConnection.MaxUnsentBytes
                    ? ZooKeeperErrorCode.Throttled
                : ZooKeeperErrorCode.Ok;
            if (refused == ZooKeeperErrorCode.Ok)
            {
                if (_live?.TrySend(request) == true)
                {
                    return;
                }

                if (TryKeep(request, out why))
                {
                    return;
                }

                refused = ZooKeeperErrorCode.MarshallingError;
            }
        }

        request.Fail(refused, sent: false, null, why ?? NotSentBecause);
    }

    /// <summary>What waits goes to the new connection first, and then all that comes.</summary>
    internal void Attach(ServerConnection connection)
    {
        lock (_gate)
        {
            while (_waiting.TryPeek(out Request? request))
            {
                int bytes = request.KeptBytes;
                if (request.IsAbandoned)
                {
                    // Cancelled before it was ever sent.
                    request.Fail(ZooKeeperErrorCode.ConnectionLoss, sent: false, null);
                }
                else if (!connection.TrySend(request))
                {
                    break;
                }

                _waiting.Dequeue();
                _waitingBytes -= bytes;
            }

            Volatile.Write(ref _live, connection);
        }
    }

    /// <summary>The connection is lost.</summary>
    internal void Detach()
    {
        lock (_gate)
        {
            _live = null;
        }
    }

    /// <summary>The session is over: what waits fails, and all that comes.</summary>
    /// <param name="code">With what.</param>
    /// <param name="why">What the exceptions say beyond the code, if anything.</param>
    internal void FailAll(ZooKeeperErrorCode code, string? why)
    {
        Request[] waiting;
        lock (_gate)
        {
            (_overWhy, _overCode) = (why, code);
            waiting = [.. _waiting];
            _waiting.Clear();
            _waitingBytes = 0;
        }

        foreach (Request request in waiting)
        {
            request.Fail(code, sent: false, null, NotSentBecause);
        }
    }

    private bool TryKeep(Request request, out string? why)
    {
        why = null;
        if (request.IsWrite)
        {
            request.KeepBody(_scratch ??= new JuteWriter(), chroot);
        }

        int bytes = request.KeptBytes + ServerConnection.HeaderBytes;
        if (bytes > ServerConnection.MaxRequestBytes)
        {
            // Nothing to wait for, and its bytes would have the others refused.
            _scratch = null;
            why = ServerConnection.TooLarge(bytes);
            return false;
        }

        _waitingBytes += request.KeptBytes;
        _waiting.Enqueue(request);
        return true;
    }
}
