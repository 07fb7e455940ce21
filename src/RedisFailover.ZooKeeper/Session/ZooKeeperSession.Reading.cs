using System.Net.Sockets;

namespace RedisFailover.ZooKeeper;

/// <content>One connection's life: credentials, watches, waiting requests; then replies and events until it is lost.</content>
public sealed partial class ZooKeeperSession
{
    /// <summary>Of a setWatches request, so that it stays below what a server accepts (Java's client uses the same).</summary>
    private const int SetWatchesChunkBytes = 128 * 1024;

    private readonly WatchTable _watches = new();
    private readonly List<Watcher> _told = [];
    private int _watchesToSet;
    private Handoff? _handoff;

    internal string ToClientPath(string serverPath) => ZnodePath.Strip(_options.Connection.Chroot, serverPath);

    internal void Register(WatchKind kind, string clientPath, Watcher? watcher)
    {
        if (watcher is not null)
        {
            _watches.Add(kind, ZnodePath.Prefix(_options.Connection.Chroot, clientPath), watcher.Value);
        }
    }

    /// <summary>The server has removed its watches on the path: whoever waited for them is told so.</summary>
    internal void TellRemoved(string clientPath)
    {
        _watches.TakeRemoved(ZnodePath.Prefix(_options.Connection.Chroot, clientPath), WatchKind.Data, _told);
        _watches.TakeRemoved(ZnodePath.Prefix(_options.Connection.Chroot, clientPath), WatchKind.Existence, _told);
        TellAll(new WatchedEvent(WatchedEventType.DataWatchRemoved, clientPath));
        _watches.TakeRemoved(ZnodePath.Prefix(_options.Connection.Chroot, clientPath), WatchKind.Children, _told);
        TellAll(new WatchedEvent(WatchedEventType.ChildWatchRemoved, clientPath));
    }

    internal void Forget(string clientPath, Watcher watcher)
        => _watches.Forget(ZnodePath.Prefix(_options.Connection.Chroot, clientPath), watcher);

    /// <summary>Reads until the connection is lost. True if the server answered anything after the handshake.</summary>
    private async Task<bool> ServeAsync(ServerConnection connection)
    {
        long frames = 0;
        Exception? cause = null;
        _handoff = connection.Handoff;
        connection.KeepAlive(SessionTimeout);
        Volatile.Write(ref _connectedAt, _time.GetTimestamp());
        Announce(connection);
        using CancellationTokenRegistration closing =
            _closing.Token.UnsafeRegister(static c => ((ServerConnection)c!).Dispose(), connection);
        try
        {
            await connection.ReadAsync(frame =>
            {
                frames++;
                Handle(frame.Span, connection);
            }).ConfigureAwait(false);
        }
        catch (Exception e) when (e is SocketException or IOException or ObjectDisposedException or InvalidDataException)
        {
            cause = e;
        }
        catch (Exception e)
        {
            // A defect, or a user's code that throws where nobody catches: the session ends, and nothing of it may live on.
            lock (_gate)
            {
                _live = null;
            }

            connection.FailAll(ZooKeeperErrorCode.SystemError, e);
            throw;
        }

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
            Log.ConnectionLost(_logger, SessionId, connection.Server, connection.AbortReason ?? cause?.Message ?? "");
            SetState(ZooKeeperSessionState.Disconnected);
        }

        connection.FailAll(_endCode == ZooKeeperErrorCode.Ok ? ZooKeeperErrorCode.ConnectionLoss : _endCode, cause);
        return frames > 0;
    }

    /// <summary>The order matters: credentials, watches, then what users have asked for meanwhile.</summary>
    private void Announce(ServerConnection connection)
    {
        if (_options.AuthSource is { } source)
        {
            lock (_gate)
            {
                _auth = source();
            }
        }

        foreach (ZooKeeperAuth auth in _auth)
        {
            connection.TrySend(new AuthRequest(auth));
        }

        List<SetWatchesRequest> watches = SetWatchesRequest.For(_watches, LastZxid, SetWatchesChunkBytes);
        _watchesToSet = watches.Count;
        foreach (SetWatchesRequest request in watches)
        {
            connection.TrySend(request);
        }

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

        SetState(ZooKeeperSessionState.Connected);
        if (_auth.IsEmpty)
        {
            Establish(connection);
        }
    }

    private void Handle(ReadOnlySpan<byte> frame, ServerConnection connection)
    {
        var reader = new JuteReader(frame);
        var header = new ReplyHeader(reader.Int32(), reader.Int64(), (ZooKeeperErrorCode)reader.Int32());
        switch (header.Xid)
        {
            case Xid.Notification:
                OnEvent(ref reader);
                return;
            case Xid.Ping:
                return;
            default:
                Request request = connection.TakeFor(header.Xid);
                Seen(request, header.Zxid);
                try
                {
                    request.Reply(header, ref reader, this, connection.Handoff);
                }
                catch (InvalidDataException e)
                {
                    request.Fail(ZooKeeperErrorCode.ConnectionLoss, sent: true, e);
                    throw;
                }

                if (request is AuthRequest auth)
                {
                    OnAuthenticated(auth, header.Error, connection);
                }

                return;
        }
    }

    /// <summary>
    /// How far this session has seen the servers' history, which is where the next server begins to look for missed events. An event does
    /// not count, though servers of 3.9 say its zxid: others of the same transaction may follow it. Nor does a part of the watches that are
    /// being set anew: what the later parts have missed since the last connection would be taken for seen.
    /// </summary>
    private void Seen(Request request, long zxid)
    {
        _watchesToSet -= request is SetWatchesRequest ? 1 : 0;
        if (zxid > 0 && _watchesToSet == 0)
        {
            LastZxid = zxid;
        }
    }

    private void OnAuthenticated(AuthRequest request, ZooKeeperErrorCode outcome, ServerConnection connection)
    {
        if (outcome == ZooKeeperErrorCode.AuthFailed)
        {
            if (_established.Task.IsCompleted || _toldRefused != request.Scheme)
            {
                Log.AuthFailed(_logger, request.Scheme);
            }

            LeftBehind = new FormerSession(SessionId, _password, request.Scheme);
            End(ZooKeeperSessionState.AuthFailed, ZooKeeperErrorCode.AuthFailed, request.Refusal);

            // Nothing behind it is handled any more: a watch of an ended session would tell nobody of its end.
            throw new IOException(request.Refusal);
        }
        else if (!connection.Authenticates)
        {
            Establish(connection);
        }
    }

    /// <summary>Once: a server has accepted the session, and the credentials if there are any.</summary>
    private void Establish(ServerConnection connection)
    {
        if (!_established.Task.IsCompleted)
        {
            Log.SessionEstablished(_logger, SessionId, connection.Server, SessionTimeout.TotalMilliseconds);
            _established.TrySetResult();
        }
    }

    private void OnEvent(ref JuteReader reader)
    {
        var type = (WatchedEventType)reader.Int32();
        _ = reader.Int32();
        string path = reader.String();
        _watches.Take(type, path, _told);
        TellAll(new WatchedEvent(type, ToClientPath(path)));
    }

    private void TellAll(WatchedEvent what)
    {
        foreach (Watcher watcher in _told)
        {
            Tell(watcher, what);
        }

        _told.Clear();
    }

    private void Tell(Watcher watcher, WatchedEvent what)
    {
        if (watcher.Inline)
        {
            watcher.Callback(what);
        }
        else
        {
            _callbacks.Post(_ => watcher.Callback(what), null, _handoff);
        }
    }
}
