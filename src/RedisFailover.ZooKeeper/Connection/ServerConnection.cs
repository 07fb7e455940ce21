namespace RedisFailover.ZooKeeper;

/// <summary>
/// One connection to one server: requests out, frames in, until either side closes it. It knows nothing of sessions.
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
    private readonly TimeProvider _time;
    private readonly FrameReader _reader;
    private readonly FrameSender _sender;
    private readonly RequestFifo _fifo;
    private KeepAlive? _keepAlive;
    private ReadLoop? _loop;
    private bool _closed;

    internal ServerConnection(Stream stream, string server, string chroot, int lastXid, TimeProvider time)
    {
        (_stream, _time, Server) = (stream, time, server);
        _reader = new FrameReader(stream, time);
        _sender = new FrameSender(stream, _gate, time, Abort);
        _fifo = new RequestFifo(chroot, lastXid);
        Handoff = new Handoff(this);
    }

    /// <summary>What its replies and events have ready for users.</summary>
    internal Handoff Handoff { get; }

    /// <summary>The server's host, port and address, for the log.</summary>
    internal string Server { get; }

    /// <summary>Why it was given up, if it was this side that did.</summary>
    internal string? AbortReason { get; private set; }

    internal int LastXid => _fifo.LastXid;

    /// <summary>Credentials that the server has not judged yet.</summary>
    internal bool Authenticates
    {
        get
        {
            lock (_gate)
            {
                return _fifo.Authenticates;
            }
        }
    }

    /// <summary>Many requests are in flight.</summary>
    internal bool IsBusy => _fifo.Count >= Many;

    internal Moment LastReceive => _reader.LastReceive;

    /// <summary>Starts to ping after T/3 of silence towards the server and to give up after 2T/3 of silence from it.</summary>
    internal void KeepAlive(TimeSpan sessionTimeout)
    {
        var keepAlive = new KeepAlive(this, sessionTimeout, _time);
        lock (_gate)
        {
            if (!_closed)
            {
                _keepAlive = keepAlive;
                return;
            }
        }

        keepAlive.Dispose();
    }

    /// <summary>Takes the request over: false if the connection is closed and the request is still the caller's.</summary>
    internal bool TrySend(Request request)
    {
        Refusal? refused;
        bool send;
        lock (_gate)
        {
            if (_closed)
            {
                return false;
            }

            refused = _fifo.Append(request, _sender.Filling);

            // Whoever sends now takes this frame along; a runner that is due begins with it, the loop ends its round with it.
            send = refused is null && !_sender.IsSending && !Handoff.RunnerIsDue && _loop?.SendsSoon != true && _sender.TryBegin();
        }

        if (send)
        {
            _ = _sender.SendAsync();
        }
        else if (refused is { } because)
        {
            request.Fail(because.Code, sent: false, because.Cause, because.Why);
        }

        return true;
    }

    /// <summary>Writes a frame that has no place in the FIFO: the connect request.</summary>
    internal void SendRaw(Action<JuteWriter> write)
    {
        lock (_gate)
        {
            int start = _sender.Filling.BeginFrame();
            write(_sender.Filling);
            _sender.Filling.EndFrame(start);
        }

        Flush();
    }

    /// <summary>Sends what is left to send.</summary>
    internal void Flush()
    {
        lock (_gate)
        {
            if (!_sender.TryBegin())
            {
                return;
            }
        }

        _ = _sender.SendAsync();
    }

    /// <summary>Sends a ping if nothing was sent for so long.</summary>
    /// <returns>For how long nothing was sent; null once the connection is closed.</returns>
    internal TimeSpan? PingAfter(TimeSpan silence)
    {
        lock (_gate)
        {
            if (_closed)
            {
                return null;
            }

            // While a write is stuck in the socket a ping would be stuck behind it.
            TimeSpan idle = _sender.IsSending ? TimeSpan.Zero : _time.GetElapsedTime(_sender.LastSend);
            if (idle < silence)
            {
                return idle;
            }

            int start = _sender.Filling.BeginFrame();
            _sender.Filling.Int32(Xid.Ping);
            _sender.Filling.Int32((int)OpCode.Ping);
            _sender.Filling.EndFrame(start);
            _sender.TryBegin();
        }

        _ = _sender.SendAsync();
        return TimeSpan.Zero;
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

    /// <inheritdoc cref="RequestFifo.TakeFor"/>
    internal Request TakeFor(int xid)
    {
        lock (_gate)
        {
            return _fifo.TakeFor(xid);
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
        KeepAlive? keepAlive;
        lock (_gate)
        {
            _closed = true;
            _sender.Close();
            (keepAlive, _keepAlive) = (_keepAlive, null);
        }

        keepAlive?.Dispose();
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
                request = _fifo.TakeAny();
            }

            if (request is null)
            {
                return;
            }

            request.Fail(code, sent: true, cause);
        }
    }

    /// <summary>Why a request of so many bytes, its header counted, is refused.</summary>
    internal static string TooLarge(int bytes)
        => $"not sent: the request has {bytes} bytes, and servers accept {MaxRequestBytes} unless their jute.maxbuffer, which a client "
            + $"cannot see, says otherwise";
}
