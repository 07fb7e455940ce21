using System.Net.Sockets;

namespace RedisFailover.ZooKeeper;

/// <summary>
/// One connection to one server: frames out, frames in, and the FIFO of requests that await their replies. Writers append under a lock to
/// the buffer that fills while the other one is being sent, so that concurrent requests share a system call. It knows nothing of sessions.
/// </summary>
internal sealed class ServerConnection : IDisposable
{
    /// <summary>What a server accepts by default (jute.maxbuffer, 0xfffff); it closes the connection on more.</summary>
    internal const int MaxRequestBytes = 0xfffff;

    /// <summary>The request number and the operation, which precede every body.</summary>
    internal const int HeaderBytes = 8;

    /// <summary>No reply is larger: 16 MB, room for the children of a very wide znode. A larger length is garbage.</summary>
    internal const int MaxReplyBytes = 16 * 1024 * 1024;

    /// <summary>More requests than this in flight are refused, so that a stalled server cannot eat the memory.</summary>
    internal const int MaxPending = 1 << 20;

    /// <summary>And more bytes than this that the socket has not taken yet, or that wait for a connection.</summary>
    internal const int MaxUnsentBytes = 64 * 1024 * 1024;

    /// <summary>
    /// From so many requests in flight on, it is throughput that counts: the thread pool resumes their callers while the reader goes on
    /// reading. Below, a second thread costs more than it gives.
    /// </summary>
    private const int Many = 8;

    private readonly Lock _gate = new();
    private readonly Stream _stream;
    private readonly FrameReader _reader;
    private readonly TimeProvider _time;
    private readonly string _chroot;
    private readonly Queue<Request> _inFlight = new();
    private readonly Queue<Request> _authentications = new();
    private JuteWriter _filling = new();
    private JuteWriter _sending = new();
    private bool _flushing;
    private bool _closed;
    private int _xid;
    private long _lastSend;
    private ITimer? _timer;
    private TimeSpan _timeout;
    private ReadLoop? _loop;

    internal ServerConnection(Stream stream, string server, string chroot, int lastXid, TimeProvider time)
    {
        _stream = stream;
        _reader = new FrameReader(stream, time);
        _time = time;
        _chroot = chroot;
        _xid = lastXid;
        _lastSend = time.GetTimestamp();
        Handoff = new Handoff(this);
        Server = server;
    }

    /// <summary>What its replies and events have ready for users.</summary>
    internal Handoff Handoff { get; }

    /// <summary>The server's host, port and address, for the log.</summary>
    internal string Server { get; }

    /// <summary>Why it was given up, if it was this side that did.</summary>
    internal string? AbortReason { get; private set; }

    internal int LastXid => _xid;

    /// <summary>Credentials that the server has not judged yet.</summary>
    internal bool Authenticates
    {
        get
        {
            lock (_gate)
            {
                return _authentications.Count > 0;
            }
        }
    }

    /// <summary>Many requests are in flight. Read without the lock: a count that is a little old does no harm.</summary>
    internal bool IsBusy => _inFlight.Count >= Many;

    internal Moment LastReceive => _reader.LastReceive;

    /// <summary>Starts to ping after T/3 of silence towards the server and to give up after 2T/3 of silence from it.</summary>
    internal void KeepAlive(TimeSpan sessionTimeout)
    {
        lock (_gate)
        {
            _timeout = sessionTimeout;
            _timer = _time.CreateTimer(static c => ((ServerConnection)c!).OnTimer(), this, sessionTimeout / 3, Timeout.InfiniteTimeSpan);
        }
    }

    /// <summary>Takes the request over: false if the connection is closed and the request is still the caller's.</summary>
    internal bool TrySend(Request request)
    {
        ZooKeeperErrorCode refused;
        string? why;
        Exception? cause;
        bool flush;
        lock (_gate)
        {
            if (_closed)
            {
                return false;
            }

            refused = Append(request, out why, out cause);

            // Whoever flushes now takes this frame along; a runner that is due begins with it, the loop ends its round with it.
            flush = refused == ZooKeeperErrorCode.Ok && !_flushing && !Handoff.RunnerIsDue && _loop?.SendsSoon != true;
            if (flush)
            {
                StartFlush();
            }
        }

        if (flush)
        {
            _ = FlushAsync();
        }
        else if (refused != ZooKeeperErrorCode.Ok)
        {
            request.Fail(refused, sent: false, cause, why);
        }

        return true;
    }

    /// <summary>Writes a frame that has no place in the FIFO: the connect request.</summary>
    internal void SendRaw(Action<JuteWriter> write)
    {
        lock (_gate)
        {
            int start = _filling.BeginFrame();
            write(_filling);
            _filling.EndFrame(start);
        }

        Flush();
    }

    /// <summary>Sends what is left to send.</summary>
    internal void Flush()
    {
        lock (_gate)
        {
            if (_flushing || _closed || _filling.Length == 0)
            {
                return;
            }

            StartFlush();
        }

        _ = FlushAsync();
    }

    /// <summary>Reads until the connection is lost, and then throws why.</summary>
    /// <param name="handle">Given every frame, in order; its memory is good for that long.</param>
    internal Task ReadAsync(Action<ReadOnlyMemory<byte>> handle)
    {
        _loop = new ReadLoop(this, _time, handle);
        return _loop.RunAsync();
    }

    /// <summary>The next frame; the thread waits for it until the connection is closed from either side.</summary>
    /// <exception cref="IOException">It was given up; the message says why.</exception>
    internal ReadOnlyMemory<byte> Receive()
    {
        try
        {
            return _reader.Receive();
        }
        catch (ObjectDisposedException e) when (AbortReason is { } why)
        {
            // A server that closes a connection which it has only just accepted fails the sending first, and that closes this side.
            throw new IOException(why, e);
        }
    }

    internal bool TryReadBufferedFrame(out ReadOnlyMemory<byte> frame) => _reader.TryReadBuffered(out frame);

    /// <summary>The request that the reply belongs to.</summary>
    /// <exception cref="InvalidDataException">The reply is not the one that is due: the stream cannot be trusted any more.</exception>
    internal Request TakeFor(int xid)
    {
        lock (_gate)
        {
            Queue<Request> queue = xid == Xid.Auth ? _authentications : _inFlight;
            if (!queue.TryPeek(out Request? request) || request.Xid != xid)
            {
                string expected = request is null ? "none is due" : $"{request.Xid} ({request.Name}) is due";
                throw new InvalidDataException($"A reply with xid {xid} came while {expected}.");
            }

            return queue.Dequeue();
        }
    }

    /// <summary>Gives the connection up; the read loop then ends with an exception.</summary>
    internal void Abort(string why)
    {
        lock (_gate)
        {
            if (_closed)
            {
                return;
            }

            AbortReason ??= why;
        }

        Dispose();
    }

    /// <summary>Closes; requests are refused from here on. Those in flight stay until <see cref="FailAll"/>.</summary>
    public void Dispose()
    {
        ITimer? timer;
        lock (_gate)
        {
            _closed = true;
            (timer, _timer) = (_timer, null);
        }

        timer?.Dispose();
        _stream.Dispose();
    }

    /// <summary>Fails everything that was sent and not answered. To be called once, when nothing reads any more.</summary>
    internal void FailAll(ZooKeeperErrorCode code, Exception? cause)
    {
        Dispose();
        _reader.Dispose();
        while (true)
        {
            Request? request;
            lock (_gate)
            {
                if (!_inFlight.TryDequeue(out request) && !_authentications.TryDequeue(out request))
                {
                    return;
                }
            }

            request.Fail(code, sent: true, cause);
        }
    }

    /// <summary>Why a request of so many bytes, its header counted, is refused.</summary>
    internal static string TooLarge(int bytes)
        => $"not sent: the request has {bytes} bytes, and servers accept {MaxRequestBytes} unless their jute.maxbuffer, which a client "
            + $"cannot see, says otherwise";

    private ZooKeeperErrorCode Append(Request request, out string? why, out Exception? cause)
    {
        (why, cause) = (null, null);
        if (_inFlight.Count >= MaxPending || _filling.Length >= MaxUnsentBytes)
        {
            why = $"not sent: {_inFlight.Count} requests await their replies, {_filling.Length} bytes the socket";
            return ZooKeeperErrorCode.Throttled;
        }

        int start = _filling.BeginFrame();
        request.Xid = request.Op switch
        {
            OpCode.Auth => Xid.Auth,
            OpCode.SetWatches => Xid.SetWatches,
            _ => _xid = Xid.Next(_xid),
        };
        _filling.Int32(request.Xid);
        _filling.Int32((int)request.Op);
        try
        {
            request.Write(_filling, _chroot);
        }
#pragma warning disable CA1031 // Half a frame would be taken for the beginning of the next one: this request fails, and it alone.
        catch (Exception failure)
#pragma warning restore CA1031
        {
            _filling.Truncate(start);
            (why, cause) = ($"not sent: the request cannot be written: {failure.Message}", failure);
            return ZooKeeperErrorCode.MarshallingError;
        }

        int bytes = _filling.EndFrame(start);
        if (bytes > MaxRequestBytes)
        {
            _filling.Truncate(start);
            why = TooLarge(bytes);
            return ZooKeeperErrorCode.MarshallingError;
        }

        (request.Op == OpCode.Auth ? _authentications : _inFlight).Enqueue(request);
        return ZooKeeperErrorCode.Ok;
    }

    private void StartFlush()
    {
        _flushing = true;
        (_filling, _sending) = (_sending, _filling);
        _lastSend = _time.GetTimestamp();
    }

    private async Task FlushAsync()
    {
        try
        {
            // The first write happens on the caller's thread and normally completes there. What others append meanwhile is sent from
            // the thread pool: nobody is kept busy with the requests of others.
            await _stream.WriteAsync(_sending.Written).ConfigureAwait(false);
            while (Continue())
            {
                await Task.CompletedTask.ConfigureAwait(ConfigureAwaitOptions.ForceYielding);
                await _stream.WriteAsync(_sending.Written).ConfigureAwait(false);
            }
        }
        catch (Exception e) when (e is IOException or SocketException or ObjectDisposedException or InvalidOperationException)
        {
            Abort(e.Message);
        }
    }

    private bool Continue()
    {
        lock (_gate)
        {
            _sending.Clear();
            if (_filling.Length == 0 || _closed)
            {
                _flushing = false;
                return false;
            }

            StartFlush();
            return true;
        }
    }

    private void OnTimer()
    {
        TimeSpan silence = LastReceive.Elapsed(_time);
        if (silence >= _timeout * 2 / 3)
        {
            Abort($"no answer for {silence.TotalMilliseconds:0} ms");
            return;
        }

        TimeSpan idle;
        bool flush = false;
        lock (_gate)
        {
            if (_closed)
            {
                return;
            }

            // While a write is stuck in the socket a ping would be stuck behind it.
            idle = _flushing ? TimeSpan.Zero : _time.GetElapsedTime(_lastSend);
            if (idle >= _timeout / 3)
            {
                int start = _filling.BeginFrame();
                _filling.Int32(Xid.Ping);
                _filling.Int32((int)OpCode.Ping);
                _filling.EndFrame(start);
                StartFlush();
                (flush, idle) = (true, TimeSpan.Zero);
            }

            TimeSpan untilPing = (_timeout / 3) - idle;
            TimeSpan untilGivenUp = (_timeout * 2 / 3) - silence;
            TimeSpan due = untilPing < untilGivenUp ? untilPing : untilGivenUp;
            _timer?.Change(due < TimeSpan.FromMilliseconds(1) ? TimeSpan.FromMilliseconds(1) : due, Timeout.InfiniteTimeSpan);
        }

        if (flush)
        {
            _ = FlushAsync();
        }
    }
}
