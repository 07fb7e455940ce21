using System.Net;
using System.Net.Sockets;
using System.Threading.Channels;
using NUnit.Framework;
using RedisFailover.ZooKeeper;

namespace RedisFailover.UnitTests.ZooKeeper;

/// <summary>A ZooKeeper server that does what a test's script says, on a real socket in this process.</summary>
internal sealed class FakeServer : IAsyncDisposable
{
    private readonly TcpListener _listener = new(IPAddress.Loopback, 0);
    private readonly List<FakeConnection> _connections = [];

    internal FakeServer() => _listener.Start();

    internal int Port => ((IPEndPoint)_listener.LocalEndpoint).Port;

    internal ZooKeeperOptions Options(TimeProvider? time = null, string chroot = "") => new()
    {
        Connection = ZooKeeperConnectionString.Parse($"127.0.0.1:{Port}{chroot}"),
        TimeProvider = time ?? TimeProvider.System,
        LoggerFactory = RecordedLog.Instance,
        ShortestAttempt = TimeSpan.FromMilliseconds(time is null ? 60_000 : 150),
    };

    /// <summary>The next connection, nothing said yet.</summary>
    internal async Task<FakeConnection> AcceptAsync()
    {
        TcpClient client = await _listener.AcceptTcpClientAsync().WithinDeadline();
        client.NoDelay = true;
        var connection = new FakeConnection(client);
        _connections.Add(connection);
        return connection;
    }

    /// <summary>The next connection and what its client says first; not one that it has given up since, while the test was busy.</summary>
    internal async Task<(FakeConnection Connection, FakeConnectRequest Hello)> AcceptHelloAsync()
    {
        while (true)
        {
            FakeConnection connection = await AcceptAsync();
            try
            {
                return (connection, await connection.ReadConnectAsync());
            }
            catch (ChannelClosedException)
            {
                // On a busy machine the client's time passes faster than its bytes.
            }
        }
    }

    /// <summary>
    /// Serves one connection after the other until that says that it is done; one that the client has given up meanwhile counts for
    /// nothing: on a busy machine its time passes faster than its bytes.
    /// </summary>
    internal async Task ServeAsync(Func<FakeConnection, FakeConnectRequest, Task<bool>> isDone)
    {
        while (true)
        {
            (FakeConnection connection, FakeConnectRequest hello) = await AcceptHelloAsync();
            try
            {
                if (await isDone(connection, hello))
                {
                    return;
                }
            }
            catch (IOException)
            {
                connection.Close();
            }
        }
    }

    /// <summary>The next connection, with a session granted; not one that the client has given up since, while the test was busy.</summary>
    internal async Task<FakeConnection> AcceptSessionAsync(long sessionId = 0x10, int timeoutMs = 4000)
    {
        while (true)
        {
            (FakeConnection connection, _) = await AcceptHelloAsync();
            try
            {
                await connection.GrantAsync(sessionId, timeoutMs);
                return connection;
            }
            catch (IOException)
            {
                connection.Close();
            }
        }
    }

    /// <summary>A session over a connection to this server.</summary>
    internal async Task<(ZooKeeperSession Session, FakeConnection Connection)> EstablishAsync(
        ZooKeeperOptions? options = null, long sessionId = 0x10, int timeoutMs = 4000)
    {
        Task<ZooKeeperSession> connecting = ZooKeeperSession.ConnectAsync(options ?? Options());
        FakeConnection connection = await AcceptSessionAsync(sessionId, timeoutMs);
        return (await connecting.WithinDeadline(), connection);
    }

    public ValueTask DisposeAsync()
    {
        _listener.Stop();
        foreach (FakeConnection connection in _connections)
        {
            connection.Close();
        }

        return ValueTask.CompletedTask;
    }
}

/// <summary>A request as the server sees it: header and body.</summary>
internal sealed record FakeRequest(int Xid, OpCode Op, byte[] Body)
{
    /// <summary>The path that nearly all bodies begin with.</summary>
    internal string Path => new JuteReader(Body).String();

    internal bool WantsWatch => Body[^1] != 0;
}

/// <summary>What a client says first.</summary>
internal sealed record FakeConnectRequest(long LastZxid, int TimeoutMs, long SessionId, byte[] Password);

/// <summary>
/// One connection as the server has it. Pings and goodbyes are answered by themselves; everything else waits for the script.
/// </summary>
internal sealed class FakeConnection : IDisposable
{
    private readonly TcpClient _client;
    private readonly NetworkStream _stream;
    private readonly Channel<byte[]> _frames = Channel.CreateUnbounded<byte[]>();
#pragma warning disable CA2213 // Its wait handle is never made.
    private readonly SemaphoreSlim _writing = new(1);
#pragma warning restore CA2213
    private long _zxid = 0x100;

    internal FakeConnection(TcpClient client)
    {
        (_client, _stream) = (client, client.GetStream());
        _ = ReceiveAsync();
    }

    internal static byte[] Password { get; } = [.. Enumerable.Range(1, 16).Select(i => (byte)i)];

    internal bool AnswersPings { get; set; } = true;

    internal bool AnswersGoodbyes { get; set; } = true;

    internal int Pings { get; private set; }

    internal int Goodbyes { get; private set; }

    /// <summary>Of the last reply.</summary>
    internal long Zxid { get => _zxid; set => _zxid = value; }

    internal async Task<FakeConnectRequest> ReadConnectAsync()
    {
        byte[] frame = await _frames.Reader.ReadAsync().AsTask().WithinDeadline();
        return Read(frame);

        static FakeConnectRequest Read(byte[] frame)
        {
            var reader = new JuteReader(frame);
            _ = reader.Int32();
            return new FakeConnectRequest(reader.Int64(), reader.Int32(), reader.Int64(), reader.Buffer().ToArray());
        }
    }

    internal Task GrantAsync(long sessionId, int timeoutMs, bool? readOnly = false) => SendFrameAsync(w =>
    {
        w.Int32(0);
        w.Int32(timeoutMs);
        w.Int64(sessionId);
        w.Buffer(Password);
        if (readOnly is { } said)
        {
            w.Bool(said);
        }
    });

    /// <summary>The next request of that kind; those before it are left without an answer.</summary>
    internal async Task<FakeRequest> ReadNextAsync(OpCode wanted)
    {
        FakeRequest request;
        do
        {
            request = Read(await _frames.Reader.ReadAsync().AsTask().WithinDeadline());
        }
        while (request.Op != wanted);
        return request;

        static FakeRequest Read(byte[] frame)
        {
            var reader = new JuteReader(frame);
            return new FakeRequest(reader.Int32(), (OpCode)reader.Int32(), frame[8..]);
        }
    }

    internal async Task<FakeRequest> ReadAsync(OpCode? expected = null)
    {
        byte[] frame = await _frames.Reader.ReadAsync().AsTask().WithinDeadline();
        FakeRequest request = Read(frame);
        Assert.That(request.Op, Is.EqualTo(expected ?? request.Op));
        return request;

        static FakeRequest Read(byte[] frame)
        {
            var reader = new JuteReader(frame);
            return new FakeRequest(reader.Int32(), (OpCode)reader.Int32(), frame[8..]);
        }
    }

    /// <summary>Completed when the client has closed the connection.</summary>
    internal Task WaitForEndAsync() => _frames.Reader.Completion.WithinDeadline();

    internal Task ReplyAsync(FakeRequest request, Action<JuteWriter>? body = null, ZooKeeperErrorCode error = ZooKeeperErrorCode.Ok)
        => ReplyAsync(request.Xid, ++_zxid, body, error);

    internal Task ReplyAsync(int xid, long zxid, Action<JuteWriter>? body, ZooKeeperErrorCode error) => SendFrameAsync(w =>
    {
        w.Int32(xid);
        w.Int64(zxid);
        w.Int32((int)error);
        body?.Invoke(w);
    });

    internal Task ReplyDataAsync(FakeRequest request, string data, long modifiedZxid = 1) => ReplyAsync(request, w =>
    {
        w.Buffer(System.Text.Encoding.UTF8.GetBytes(data));
        WriteStat(w, modifiedZxid);
    });

    /// <param name="type">What happened.</param>
    /// <param name="path">Where.</param>
    /// <param name="zxid">-1, or from servers of 3.9 on the zxid of the transaction.</param>
    internal Task SendEventAsync(WatchedEventType type, string path, long zxid = -1) => SendFrameAsync(w =>
    {
        w.Int32(Xid.Notification);
        w.Int64(zxid);
        w.Int32(0);
        w.Int32((int)type);
        w.Int32(3);
        w.String(path);
    });

    internal async Task SendFrameAsync(Action<JuteWriter> write)
    {
        var writer = new JuteWriter();
        int start = writer.BeginFrame();
        write(writer);
        writer.EndFrame(start);
        await SendBytesAsync(writer.Written);
    }

    internal async Task SendBytesAsync(ReadOnlyMemory<byte> bytes)
    {
        await _writing.WaitAsync();
        try
        {
            await _stream.WriteAsync(bytes);
        }
        finally
        {
            _writing.Release();
        }
    }

    internal static void WriteStat(JuteWriter w, long modifiedZxid, long owner = 0, int version = 0)
    {
        w.Int64(1);
        w.Int64(modifiedZxid);
        w.Int64(0);
        w.Int64(0);
        w.Int32(version);
        w.Int32(0);
        w.Int32(0);
        w.Int64(owner);
        w.Int32(0);
        w.Int32(0);
        w.Int64(modifiedZxid);
    }

    internal void Close() => _client.Dispose();

    public void Dispose() => Close();

    private async Task ReceiveAsync()
    {
        try
        {
            byte[] length = new byte[4];
            while (true)
            {
                await _stream.ReadExactlyAsync(length);
                byte[] frame = new byte[System.Buffers.Binary.BinaryPrimitives.ReadInt32BigEndian(length)];
                await _stream.ReadExactlyAsync(frame);
                if (frame.Length == 8 && frame[3] == 0xfe && frame[7] == (int)OpCode.Ping)
                {
                    Pings++;
                    if (AnswersPings)
                    {
                        await ReplyAsync(Xid.Ping, _zxid, null, ZooKeeperErrorCode.Ok);
                    }
                }
                else if (frame.Length == 8 && new JuteReaderPair(frame).Op == OpCode.CloseSession)
                {
                    if (AnswersGoodbyes)
                    {
                        await ReplyAsync(new JuteReaderPair(frame).Xid, ++_zxid, null, ZooKeeperErrorCode.Ok);
                    }

                    Goodbyes++;
                }
                else
                {
                    _frames.Writer.TryWrite(frame);
                }
            }
        }
        catch (Exception e) when (e is IOException or ObjectDisposedException or SocketException)
        {
            _frames.Writer.TryComplete();
        }
    }

    private readonly record struct JuteReaderPair(int Xid, OpCode Op)
    {
        internal JuteReaderPair(byte[] frame)
            : this(
                System.Buffers.Binary.BinaryPrimitives.ReadInt32BigEndian(frame),
                (OpCode)System.Buffers.Binary.BinaryPrimitives.ReadInt32BigEndian(frame.AsSpan(4)))
        {
        }
    }
}
