using System.Net.Sockets;
using System.Security.Authentication;

namespace RedisFailover.ZooKeeper;

/// <content>The loop that owns the session's life: connect, authenticate, restore the watches, read until the connection is lost, again.</content>
public sealed partial class ZooKeeperSession
{
    /// <summary>Of a setWatches request, so that it stays below what a server accepts (Java's client uses the same).</summary>
    private const int SetWatchesChunkBytes = 128 * 1024;

    private readonly WatchTable _watches = new();
    private readonly List<Watcher> _told = [];
    private byte[] _password = new byte[16];
    private int _xid;
    private int _refusals;
    private readonly HashSet<string> _toldUnreachable = [];

    /// <summary>What proves to a server that a connection belongs to this session. Never logged.</summary>
    internal ReadOnlyMemory<byte> Password => _password;

    internal string ToClientPath(string serverPath) => ZnodePath.Strip(_options.Connection.Chroot, serverPath);

    internal void Register(WatchKind kind, string clientPath, Watcher? watcher)
    {
        if (watcher is not null)
        {
            _watches.Add(kind, ZnodePath.Prefix(_options.Connection.Chroot, clientPath), watcher.Value);
        }
    }

    internal void Forget(string clientPath, Watcher watcher)
        => _watches.Forget(ZnodePath.Prefix(_options.Connection.Chroot, clientPath), watcher);

    private TimeSpan LocalExpiry => SessionTimeout * 4 / 3;

    private async Task RunAsync()
    {
        try
        {
            int failures = 0;
            while (!Volatile.Read(ref _disposed) && _endCode == ZooKeeperErrorCode.Ok && !GivenUp())
            {
                if (SessionId != 0 || failures > 0)
                {
                    await Task.Delay(UntilNextAttempt(failures), _time, _closing.Token).ConfigureAwait(false);
                }

                ServerConnection? connection = await ConnectAsync().ConfigureAwait(false);
                bool answered = connection is not null && await ServeAsync(connection).ConfigureAwait(false);
                failures = answered ? 0 : failures + 1;
            }
        }
        catch (Exception) when (_closing.IsCancellationRequested)
        {
            // Closed while connecting or waiting.
        }
#pragma warning disable CA1031 // A defect must not leave everybody waiting for ever: the session ends, and the log says why.
        catch (Exception e)
#pragma warning restore CA1031
        {
            Log.SessionFailed(_logger, SessionId, e);
            End(ZooKeeperSessionState.Expired, ZooKeeperErrorCode.SystemError);
        }

        if (_endCode == ZooKeeperErrorCode.Ok)
        {
            if (SessionId != 0)
            {
                Log.SessionClosed(_logger, SessionId);
            }

            End(ZooKeeperSessionState.Closed, ZooKeeperErrorCode.Closing);
        }
    }

    private TimeSpan UntilNextAttempt(int failures)
    {
        TimeSpan backoff = Dialer.Backoff(failures, SessionTimeout);
        TimeSpan left = LocalExpiry - _time.GetElapsedTime(_lastContact.Monotonic);
        return SessionId == 0 || backoff < left ? backoff : left > TimeSpan.Zero ? left : TimeSpan.Zero;
    }

    /// <summary>Only a server can say that a session has expired. When none can be asked for 4/3 T it has: nobody will find it alive.</summary>
    private bool GivenUp()
    {
        TimeSpan down = _time.GetElapsedTime(_lastContact.Monotonic);
        if (SessionId == 0 || down < LocalExpiry)
        {
            return false;
        }

        if (_refusals > 0)
        {
            Log.SessionRefused(_logger, SessionId, down.TotalMilliseconds, LastZxid);
        }
        else
        {
            Log.SessionExpiredLocally(_logger, SessionId, down.TotalMilliseconds);
        }

        End(ZooKeeperSessionState.Expired, ZooKeeperErrorCode.SessionExpired);
        return true;
    }

    /// <summary>One attempt with the next host. Null if it failed, or if the server said that the session is over.</summary>
    private async Task<ServerConnection?> ConnectAsync()
    {
        ZooKeeperHost host = _dialer.NextHost();
        TimeSpan within = SessionTimeout / _dialer.HostCount;
        if (SessionId != 0)
        {
            // An attempt must not outlast the local expiry.
            TimeSpan left = LocalExpiry - _time.GetElapsedTime(_lastContact.Monotonic);
            within = left < within ? left : within;
            within = within < TimeSpan.FromMilliseconds(20) ? TimeSpan.FromMilliseconds(20) : within;
        }

        ServerConnection? connection = null;
        using var deadline = new CancellationTokenSource(within, _time);
        using var either = CancellationTokenSource.CreateLinkedTokenSource(deadline.Token, _closing.Token);
        try
        {
            (Stream stream, string server) = await _dialer.OpenAsync(host, within, either.Token).ConfigureAwait(false);
            connection = new ServerConnection(stream, server, _options.Connection.Chroot, _xid, _time);
            if (await HandshakeAsync(connection, either.Token).ConfigureAwait(false))
            {
                return connection;
            }

            connection.FailAll(ZooKeeperErrorCode.ConnectionLoss, null);
            return null;
        }
        catch (Exception e) when (!_closing.IsCancellationRequested
            && e is SocketException or IOException or TimeoutException or OperationCanceledException or InvalidDataException or AuthenticationException)
        {
            connection?.FailAll(ZooKeeperErrorCode.ConnectionLoss, e);
            _refusals += connection is not null && e is EndOfStreamException ? 1 : 0;
            string why = e is OperationCanceledException ? $"{host}: no answer within {within.TotalMilliseconds:0} ms" : $"{host}: {e.GetBaseException().Message}";
            if (SessionId == 0 && _toldUnreachable.Add(why))
            {
                // Each reason once, however often it comes back.
                Log.Unreachable(_logger, why);
            }

            return null;
        }
        catch
        {
            connection?.FailAll(ZooKeeperErrorCode.ConnectionLoss, null);
            throw;
        }
    }

    private async Task<bool> HandshakeAsync(ServerConnection connection, CancellationToken cancellationToken)
    {
        connection.SendRaw(writer =>
        {
            writer.Int32(0);
            writer.Int64(LastZxid);
            writer.Int32((int)_options.SessionTimeout.TotalMilliseconds);
            writer.Int64(SessionId);
            writer.Buffer(_password);
            writer.Bool(false);
        });
        ReadOnlyMemory<byte> frame = await connection.ReadFrameAsync(cancellationToken).ConfigureAwait(false);
        ConnectResponse response = ConnectResponse.Read(frame.Span);
        if (response.TimeoutMs <= 0 || (SessionId != 0 && response.SessionId != SessionId))
        {
            if (SessionId == 0)
            {
                throw new InvalidDataException("the server refused to create a session");
            }

            Log.SessionExpired(_logger, SessionId, connection.Server);
            End(ZooKeeperSessionState.Expired, ZooKeeperErrorCode.SessionExpired);
            return false;
        }

        if (response.ReadOnly)
        {
            // It has lost its quorum: as good as not connected.
            throw new InvalidDataException("the server is read-only");
        }

        bool isNew = SessionId == 0;
        double downMs = _lastContact.Elapsed(_time).TotalMilliseconds;
        SessionId = response.SessionId;
        SessionTimeout = TimeSpan.FromMilliseconds(response.TimeoutMs);
        _password = response.Password;
        if (isNew)
        {
            Log.SessionEstablished(_logger, SessionId, connection.Server, SessionTimeout.TotalMilliseconds);
        }
        else
        {
            Log.SessionReconnected(_logger, SessionId, connection.Server, downMs);
        }

        return true;
    }

    /// <summary>Reads until the connection is lost. True if the server answered anything after the handshake.</summary>
    private async Task<bool> ServeAsync(ServerConnection connection)
    {
        long frames = 0;
        Exception? cause = null;
        connection.KeepAlive(SessionTimeout);
        Announce(connection);
        using CancellationTokenRegistration closing = _closing.Token.UnsafeRegister(static c => ((ServerConnection)c!).Dispose(), connection);
        try
        {
            while (true)
            {
                ReadOnlyMemory<byte> frame = await Handoff.Around(connection.ReadFrameAsync(CancellationToken.None));
                do
                {
                    frames++;
                    Handle(frame.Span, connection);
                }
                while (connection.TryReadBufferedFrame(out frame));
            }
        }
        catch (Exception e) when (e is SocketException or IOException or ObjectDisposedException or InvalidDataException)
        {
            cause = e;
        }

        Handoff.Flush();
        _lastContact = connection.LastReceive;
        _xid = connection.LastXid;
        _refusals = 0;
        lock (_gate)
        {
            _live = null;
        }

        if (_closing.IsCancellationRequested)
        {
            connection.FailAll(ZooKeeperErrorCode.Closing, null);
            return true;
        }

        if (_endCode == ZooKeeperErrorCode.Ok && !Volatile.Read(ref _disposed))
        {
            Log.ConnectionLost(_logger, SessionId, connection.Server, connection.AbortReason ?? cause.Message);
            SetState(ZooKeeperSessionState.Disconnected);
        }

        connection.FailAll(_endCode == ZooKeeperErrorCode.Ok ? ZooKeeperErrorCode.ConnectionLoss : _endCode, cause);
        return frames > 0;
    }

    /// <summary>The order matters: credentials, watches, then what users have asked for meanwhile.</summary>
    private void Announce(ServerConnection connection)
    {
        foreach (ZooKeeperAuth auth in _auth)
        {
            connection.TrySend(new AuthRequest(auth));
        }

        foreach (SetWatchesRequest request in SetWatchesRequest.For(_watches, LastZxid, SetWatchesChunkBytes))
        {
            connection.TrySend(request);
        }

        lock (_gate)
        {
            while (_waiting.TryPeek(out Request? request))
            {
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
            }

            Volatile.Write(ref _live, connection);
        }

        SetState(ZooKeeperSessionState.Connected);
        _established.TrySetResult();
    }

    private void Handle(ReadOnlySpan<byte> frame, ServerConnection connection)
    {
        var reader = new JuteReader(frame);
        var header = new ReplyHeader(reader.Int32(), reader.Int64(), (ZooKeeperErrorCode)reader.Int32());
        if (header.Zxid > 0)
        {
            LastZxid = header.Zxid;
        }

        switch (header.Xid)
        {
            case Xid.Notification:
                OnEvent(ref reader);
                return;
            case Xid.Ping:
                return;
            default:
                Request request = connection.TakeFor(header.Xid);
                try
                {
                    request.Reply(header, ref reader, this);
                }
                catch (InvalidDataException e)
                {
                    request.Fail(ZooKeeperErrorCode.ConnectionLoss, sent: true, e);
                    throw;
                }

                if (header.Error == ZooKeeperErrorCode.AuthFailed && request is AuthRequest auth)
                {
                    Log.AuthFailed(_logger, auth.Scheme);
                    End(ZooKeeperSessionState.Closed, ZooKeeperErrorCode.AuthFailed);
                    connection.Abort("the credentials were refused");
                }

                return;
        }
    }

    private void OnEvent(ref JuteReader reader)
    {
        var type = (WatchedEventType)reader.Int32();
        _ = reader.Int32();
        string path = reader.String();
        _watches.Take(type, path, _told);
        if (_told.Count > 0)
        {
            var told = new WatchedEvent(type, ToClientPath(path));
            foreach (Watcher watcher in _told)
            {
                Tell(watcher, told);
            }

            _told.Clear();
        }
    }

    private void Tell(Watcher watcher, WatchedEvent what)
    {
        if (watcher.Inline)
        {
            watcher.Callback(what);
        }
        else
        {
            _callbacks.Post(_ => watcher.Callback(what), null, Handoff);
        }
    }
}
