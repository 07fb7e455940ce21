using System.Net;
using System.Net.Sockets;
using RedisFailover.ZooKeeper;

namespace RedisFailover.UnitTests.ZooKeeper;

/// <summary>
/// A ZooKeeper server in this process that keeps its word: znodes, versions, ephemerals, one-shot watches, transactions. A test may hold
/// back its replies, cut its connections and end its sessions, and read what was written, in order. It expires nothing by itself.
/// </summary>
internal sealed class ModelServer : IAsyncDisposable
{
    private readonly TcpListener _listener = new(IPAddress.Loopback, 0);
    private readonly Lock _gate = new();
    private readonly Dictionary<string, Node> _nodes = new(StringComparer.Ordinal) { ["/"] = new Node() };
    private readonly List<Connection> _connections = [];
    private readonly List<Write> _writes = [];
    private readonly HashSet<long> _ended = [];
    private readonly TaskCompletionSource _isOver = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private long _zxid = 0x100;
    private long _sessions = 0x10;

    internal ModelServer()
    {
        _listener.Start();
        _ = AcceptAsync();
    }

    /// <summary>The session timeout that it grants.</summary>
    internal int TimeoutMs { get; init; } = 60_000;

    /// <summary>Asked before a request is carried out: what it returns is awaited first, and the requests behind it wait with it.</summary>
    internal Func<ModelRequest, Task>? Before { get; set; }

    /// <summary>
    /// Asked before a reply is sent, with the session: what it returns is awaited first, and the replies behind it wait with it.
    /// </summary>
    internal Func<ModelRequest, Task>? BeforeReply { get; set; }

    /// <summary>Holds nothing up any more: a test that failed while it held something up ends.</summary>
    internal void EndHolding() => _isOver.TrySetResult();

    /// <summary>Awaited before a new connection is greeted.</summary>
    internal Task Greeting { get; set; } = Task.CompletedTask;

    /// <summary>All that was written, in order.</summary>
    internal IReadOnlyList<Write> Writes
    {
        get
        {
            lock (_gate)
            {
                return [.. _writes];
            }
        }
    }

    internal ZooKeeperOptions Options(TimeProvider? time = null) => new()
    {
        Connection = ZooKeeperConnectionString.Parse($"127.0.0.1:{((IPEndPoint)_listener.LocalEndpoint).Port}"),
        TimeProvider = time ?? TimeProvider.System,
        SessionTimeout = TimeSpan.FromMilliseconds(TimeoutMs),
        LoggerFactory = RecordedLog.Instance,
    };

    /// <summary>What stands there, and in which version; null for nothing.</summary>
    internal (string Data, int Version, long Owner)? Get(string path)
    {
        lock (_gate)
        {
            return _nodes.TryGetValue(path, out Node? node)
                ? (System.Text.Encoding.UTF8.GetString(node.Data), node.Version, node.Owner) : null;
        }
    }

    /// <summary>Another client's write.</summary>
    internal void Set(string path, string data)
        => Do(w => Run(OpCode.SetData, path, System.Text.Encoding.UTF8.GetBytes(data), -1, 0, 0, w));

    internal void Create(string path, string data, long owner = 0)
        => Do(w => Run(OpCode.Create, path, System.Text.Encoding.UTF8.GetBytes(data), 0, owner == 0 ? 0 : 1, owner, w));

    internal void Delete(string path) => Do(w => Run(OpCode.Delete, path, [], -1, 0, 0, w));

    internal string[] Children(string path)
    {
        lock (_gate)
        {
            return [.. Names(path)];
        }
    }

    /// <summary>Every connection of this session, or of all, is closed; the sessions live on.</summary>
    internal void Cut(long session = 0)
    {
        Connection[] those;
        lock (_gate)
        {
            those = [.. _connections.Where(c => session == 0 || c.Session == session)];
        }

        foreach (Connection connection in those)
        {
            connection.Client.Dispose();
        }
    }

    /// <summary>The ensemble expires the session.</summary>
    internal void Expire(long session)
    {
        Do(_ => End(session));
        Cut(session);
    }

    public ValueTask DisposeAsync()
    {
        _listener.Stop();
        Cut();
        return ValueTask.CompletedTask;
    }

    private void Do(Action<JuteWriter> what)
    {
        List<(Connection To, byte[] Frame)> events = [];
        lock (_gate)
        {
            _zxid++;
            what(new JuteWriter());
            Collect(events);
        }

        foreach ((Connection to, byte[] frame) in events)
        {
            to.Post(frame);
        }
    }

    private async Task AcceptAsync()
    {
        try
        {
            while (true)
            {
                TcpClient client = await _listener.AcceptTcpClientAsync();
                client.NoDelay = true;
                var connection = new Connection(client);
                lock (_gate)
                {
                    _connections.Add(connection);
                }

                _ = Task.Run(() => ServeAsync(connection));
            }
        }
        catch (Exception e) when (e is InvalidOperationException or SocketException)
        {
            // The end.
        }
    }

    private async Task ServeAsync(Connection connection)
    {
        try
        {
            NetworkStream stream = connection.Client.GetStream();
            byte[] hello = await ReadAsync(stream);
            await Greeting;
            connection.Post(Greet(hello, connection));
            if (connection.Session == 0)
            {
                connection.Client.Dispose();
            }

            while (true)
            {
                byte[] frame = await ReadAsync(stream);
                ModelRequest request = Header(frame, connection.Session);
                if (request.Op != OpCode.Ping && Before is { } before)
                {
                    await HeldAsync(before(request));
                }

                // Together, so that no event of a later write overtakes the reply, nor one of an earlier write falls behind it.
                List<(Connection To, byte[] Frame)> events = [];
                lock (_gate)
                {
                    byte[] reply = Handle(frame, request, connection);
                    Collect(events);
                    events.ForEach(e => e.To.Post(e.Frame));
                    Task? held = request.Op != OpCode.Ping ? BeforeReply?.Invoke(request) : null;
                    connection.Post(reply, held is null ? null : HeldAsync(held));
                }

                if (request.Op == OpCode.CloseSession)
                {
                    await connection.Sent;
                    connection.Client.Dispose();
                }
            }
        }
        catch (Exception e) when (e is IOException or ObjectDisposedException or InvalidOperationException or SocketException)
        {
            lock (_gate)
            {
                _connections.Remove(connection);
            }
        }
    }

    private async Task HeldAsync(Task held) => await await Task.WhenAny(held, _isOver.Task);

    private static async Task<byte[]> ReadAsync(NetworkStream stream)
    {
        byte[] length = new byte[4];
        await stream.ReadExactlyAsync(length);
        byte[] frame = new byte[System.Buffers.Binary.BinaryPrimitives.ReadInt32BigEndian(length)];
        await stream.ReadExactlyAsync(frame);
        return frame;
    }

    private static ModelRequest Header(byte[] frame, long session)
    {
        var reader = new JuteReader(frame);
        int xid = reader.Int32();
        var op = (OpCode)reader.Int32();
        string path = op is OpCode.Ping or OpCode.CloseSession or OpCode.SetWatches or OpCode.Multi ? "" : reader.String();
        return new ModelRequest(session, xid, op, path) { Operations = op == OpCode.Multi ? Operations(frame) : [] };
    }

    private static List<ModelOperation> Operations(byte[] frame)
    {
        List<ModelOperation> operations = [];
        var reader = new JuteReader(frame.AsSpan(8));
        while (true)
        {
            var op = (OpCode)reader.Int32();
            if (reader.Bool())
            {
                return operations;
            }

            _ = reader.Int32();
            string path = reader.String();
            byte[] data = op is OpCode.Create or OpCode.SetData ? reader.Buffer().ToArray() : [];
            int flags = 0;
            if (op == OpCode.Create)
            {
                _ = reader.Acl();
                flags = reader.Int32();
            }

            operations.Add(new ModelOperation(op, path, data, op == OpCode.Create ? 0 : reader.Int32(), flags));
        }
    }

    private byte[] Greet(byte[] frame, Connection connection)
    {
        var reader = new JuteReader(frame);
        _ = reader.Int32();
        _ = reader.Int64();
        _ = reader.Int32();
        long session = reader.Int64();
        lock (_gate)
        {
            bool expired = _ended.Contains(session);
            connection.Session = expired ? 0 : session == 0 ? _sessions++ : session;
            return Frame(w =>
            {
                w.Int32(0);
                w.Int32(expired ? 0 : TimeoutMs);
                w.Int64(connection.Session);
                w.Buffer(new byte[16]);
                w.Bool(false);
            });
        }
    }

    private byte[] Handle(byte[] frame, ModelRequest request, Connection connection)
    {
        var body = new JuteWriter();
        int error = request.Op switch
        {
            OpCode.Ping => 0,
            OpCode.CloseSession => End(request.Session),
            OpCode.SetWatches => SetWatches(frame, connection),
            OpCode.Multi => Multi(request.Operations, request.Session, body),
            OpCode.Sync => Echo(request.Path, body),
            OpCode.Create or OpCode.Delete or OpCode.SetData => Single(frame, request, body),
            _ => Query(frame, request, connection, body),
        };
        return Frame(w =>
        {
            w.Int32(request.Xid);
            w.Int64(_zxid);
            w.Int32(error);
            if (error == 0 || request.Op == OpCode.Multi)
            {
                w.Raw(body.Written.Span);
            }
        });
    }

    private static int Echo(string path, JuteWriter body)
    {
        body.String(path);
        return 0;
    }

    private int Single(byte[] frame, ModelRequest request, JuteWriter body)
    {
        var reader = new JuteReader(frame.AsSpan(8));
        string path = reader.String();
        byte[] data = request.Op == OpCode.Delete ? [] : reader.Buffer().ToArray();
        int flags = 0;
        int version = -1;
        if (request.Op == OpCode.Create)
        {
            _ = reader.Acl();
            flags = reader.Int32();
        }
        else
        {
            version = reader.Int32();
        }

        _zxid++;
        return Run(request.Op, path, data, version, flags, request.Session, body);
    }

    /// <summary>All or nothing: tried on a copy of what the znodes are.</summary>
    private int Multi(IReadOnlyList<ModelOperation> operations, long session, JuteWriter body)
    {
        _zxid++;
        Dictionary<string, Node> before = _nodes.ToDictionary(n => n.Key, n => n.Value with { }, StringComparer.Ordinal);
        int written = _writes.Count;
        int told = _events.Count;
        var results = new JuteWriter();
        for (int i = 0; i < operations.Count; i++)
        {
            (OpCode op, string path, byte[] data, int version, int flags) = operations[i];
            results.Int32((int)op);
            results.Bool(false);
            results.Int32(0);
            int error = Run(op, path, data, version, flags, session, results);
            if (error == 0)
            {
                continue;
            }

            _nodes.Clear();
            foreach ((string key, Node node) in before)
            {
                _nodes[key] = node;
            }

            _writes.RemoveRange(written, _writes.Count - written);
            _events.RemoveRange(told, _events.Count - told);
            for (int j = 0; j < operations.Count; j++)
            {
                int code = j < i ? 0 : j == i ? error : (int)ZooKeeperErrorCode.RuntimeInconsistency;
                body.Int32(-1);
                body.Bool(false);
                body.Int32(code);
                body.Int32(code);
            }

            End();
            return error;
        }

        body.Raw(results.Written.Span);
        End();
        return 0;

        void End()
        {
            body.Int32(-1);
            body.Bool(true);
            body.Int32(-1);
        }
    }

    private int Run(OpCode op, string path, byte[] data, int version, int flags, long session, JuteWriter body)
    {
        bool exists = _nodes.TryGetValue(path, out Node? node);
        if (op == OpCode.Create)
        {
            if (exists)
            {
                return (int)ZooKeeperErrorCode.NodeExists;
            }

            if (!_nodes.ContainsKey(Parent(path)))
            {
                return (int)ZooKeeperErrorCode.NoNode;
            }

            _nodes[path] = node = new Node { Data = data, Owner = (flags & 1) != 0 ? session : 0, Created = _zxid, Modified = _zxid };
            _nodes[Parent(path)].Children = _zxid;
            Note(path, node, session, WatchedEventType.Created);
            body.String(path);
            return 0;
        }

        if (!exists)
        {
            return (int)ZooKeeperErrorCode.NoNode;
        }

        if (version >= 0 && version != node!.Version)
        {
            return (int)ZooKeeperErrorCode.BadVersion;
        }

        switch (op)
        {
            case OpCode.SetData:
                _nodes[path] = node = node! with { Data = data, Version = node.Version + 1, Modified = _zxid };
                Note(path, node, session, WatchedEventType.DataChanged);
                node.Stat(body);
                break;
            case OpCode.Delete:
                _nodes.Remove(path);
                _nodes[Parent(path)].Children = _zxid;
                Note(path, node!, session, WatchedEventType.Deleted);
                break;
        }

        return 0;
    }

    private int Query(byte[] frame, ModelRequest request, Connection connection, JuteWriter body)
    {
        bool exists = _nodes.TryGetValue(request.Path, out Node? node);
        if (frame[^1] != 0 && (exists || request.Op == OpCode.Exists))
        {
            connection.Watches.Add((request.Path, request.Op == OpCode.GetChildren2));
        }

        if (!exists)
        {
            return (int)ZooKeeperErrorCode.NoNode;
        }

        if (request.Op == OpCode.GetData)
        {
            body.Buffer(node!.Data);
        }
        else if (request.Op == OpCode.GetChildren2)
        {
            string[] names = [.. Names(request.Path)];
            body.Int32(names.Length);
            foreach (string name in names)
            {
                body.String(name);
            }
        }

        node!.Stat(body);
        return 0;
    }

    /// <summary>What has changed since is told at once.</summary>
    private int SetWatches(byte[] frame, Connection connection)
    {
        var reader = new JuteReader(frame.AsSpan(8));
        long since = reader.Int64();
        foreach (int kind in (int[])[0, 1, 2])
        {
            foreach (string path in reader.Strings())
            {
                bool exists = _nodes.TryGetValue(path, out Node? node);
                WatchedEventType? missed = kind switch
                {
                    1 => exists ? WatchedEventType.Created : null,
                    _ when !exists => WatchedEventType.Deleted,
                    0 => node!.Modified > since ? WatchedEventType.DataChanged : null,
                    _ => node!.Children > since ? WatchedEventType.ChildrenChanged : null,
                };
                if (missed is { } type)
                {
                    connection.Post(Event(type, path));
                }
                else
                {
                    connection.Watches.Add((path, kind == 2));
                }
            }
        }

        return 0;
    }

    private int End(long session)
    {
        _ended.Add(session);
        foreach (string path in _nodes.Where(n => n.Value.Owner == session && session != 0).Select(n => n.Key).ToArray())
        {
            Run(OpCode.Delete, path, [], -1, 0, session, new JuteWriter());
        }

        return 0;
    }

    private readonly List<(string Path, WatchedEventType Type)> _events = [];

    private void Note(string path, Node node, long session, WatchedEventType type)
    {
        _writes.Add(new Write(_zxid, session, type, path, node.Version, System.Text.Encoding.UTF8.GetString(node.Data)));
        _events.Add((path, type));
        if (type != WatchedEventType.DataChanged)
        {
            _events.Add((Parent(path), WatchedEventType.ChildrenChanged));
        }
    }

    private void Collect(List<(Connection To, byte[] Frame)> events)
    {
        foreach ((string path, WatchedEventType type) in _events)
        {
            bool children = type == WatchedEventType.ChildrenChanged;
            foreach (Connection connection in _connections)
            {
                if (connection.Watches.Remove((path, children)) | (type == WatchedEventType.Deleted
                    && connection.Watches.Remove((path, true))))
                {
                    events.Add((connection, Event(type, path)));
                }
            }
        }

        _events.Clear();
    }

    private IEnumerable<string> Names(string path)
    {
        string prefix = path == "/" ? "/" : path + "/";
        return _nodes.Keys.Where(k
            => k.Length > prefix.Length && k.StartsWith(prefix, StringComparison.Ordinal) && k.IndexOf('/', prefix.Length) < 0)
            .Select(k => k[prefix.Length..]);
    }

    private static string Parent(string path) => path.LastIndexOf('/') is > 0 and var slash ? path[..slash] : "/";

    private static byte[] Event(WatchedEventType type, string path) => Frame(w =>
    {
        w.Int32(Xid.Notification);
        w.Int64(-1);
        w.Int32(0);
        w.Int32((int)type);
        w.Int32(3);
        w.String(path);
    });

    private static byte[] Frame(Action<JuteWriter> write)
    {
        var writer = new JuteWriter();
        int start = writer.BeginFrame();
        write(writer);
        writer.EndFrame(start);
        return writer.Written.ToArray();
    }

    private sealed record Node
    {
        internal byte[] Data { get; init; } = [];

        internal int Version { get; init; }

        internal long Owner { get; init; }

        internal long Created { get; init; }

        internal long Modified { get; init; }

        internal long Children { get; set; }

        internal void Stat(JuteWriter w)
        {
            w.Int64(Created);
            w.Int64(Modified);
            w.Int64(0);
            w.Int64(0);
            w.Int32(Version);
            w.Int32(0);
            w.Int32(0);
            w.Int64(Owner);
            w.Int32(Data.Length);
            w.Int32(0);
            w.Int64(Children);
        }
    }

    /// <summary>One client's connection: frames go out in order, one behind the other.</summary>
    private sealed class Connection(TcpClient client)
    {
        private readonly Lock _sending = new();
        private Task _sent = Task.CompletedTask;

        internal TcpClient Client => client;

        internal long Session { get; set; }

        internal HashSet<(string Path, bool Children)> Watches { get; } = [];

        internal Task Sent => _sent;

        internal void Post(byte[] frame, Task? after = null)
        {
            lock (_sending)
            {
                _sent = SendAsync(_sent, after, frame);
            }
        }

        private async Task SendAsync(Task before, Task? after, byte[] frame)
        {
            await before.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing | ConfigureAwaitOptions.ForceYielding);
            if (after is not null)
            {
                await after;
            }

            await client.GetStream().WriteAsync(frame);
        }
    }
}

/// <summary>A request as the model server sees it; the path is empty where it has none, or several.</summary>
internal sealed record ModelRequest(long Session, int Xid, OpCode Op, string Path)
{
    /// <summary>Of a multi.</summary>
    internal IReadOnlyList<ModelOperation> Operations { get; init; } = [];

    /// <summary>Whether it writes that znode, or one below it.</summary>
    internal bool Writes(string path)
        => Operations.Any(o => o.Op is OpCode.SetData or OpCode.Create
            && (o.Path == path || o.Path.StartsWith(path + "/", StringComparison.Ordinal)));
}

/// <summary>One operation of a multi.</summary>
internal sealed record ModelOperation(OpCode Op, string Path, byte[] Data, int Version, int Flags);

/// <summary>A znode that was created, written or deleted, and by which transaction.</summary>
internal sealed record Write(long Zxid, long Session, WatchedEventType Type, string Path, int Version, string Data);
