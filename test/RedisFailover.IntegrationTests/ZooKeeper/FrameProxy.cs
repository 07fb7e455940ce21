using System.Buffers.Binary;
using System.Collections.Concurrent;
using System.Net;
using System.Net.Sockets;
using RedisFailover.IntegrationTests.Harness;
using RedisFailover.ZooKeeper;

namespace RedisFailover.IntegrationTests.ZooKeeper;

/// <summary>
/// A proxy that knows ZooKeeper's frames: it can lose the reply to a certain request, cut frames to pieces, delay, reset, swallow
/// everything.
/// </summary>
internal sealed class FrameProxy : IAsyncDisposable
{
    private readonly int _targetPort;
    private readonly TcpListener _listener;
    private readonly CancellationTokenSource _stopped = new();
    private readonly ConcurrentDictionary<Link, byte> _links = new();
    private readonly Task _accepting;
    private volatile Trap? _trap;
    private volatile TaskCompletionSource _open = Completed();

    internal FrameProxy(int targetPort)
    {
        _targetPort = targetPort;
        Port = FreePorts.Next();
        _listener = new TcpListener(IPAddress.Loopback, Port);
        _listener.Start();
        _accepting = AcceptAsync();
    }

    internal int Port { get; }

    internal string ConnectionString => $"127.0.0.1:{Port}";

    /// <summary>The kinds of requests that have passed.</summary>
    internal ConcurrentDictionary<OpCode, byte> Seen { get; } = new();

    /// <summary>Frames towards the client go out byte by byte.</summary>
    internal bool Split { get; set; }

    /// <summary>How long each frame towards the client is held back.</summary>
    internal TimeSpan Delay { get; set; }

    /// <summary>
    /// The next request of this kind reaches the server; its reply does not reach the client, whose connection is reset instead.
    /// </summary>
    /// <param name="op">The kind.</param>
    /// <param name="naming">What its bytes have to contain; null for any.</param>
    /// <returns>Completed when that has happened.</returns>
    internal Task LoseReplyTo(OpCode op, string? naming = null)
    {
        var trap = new Trap(op, naming, new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously));
        _trap = trap;
        return trap.Sprung.Task;
    }

    /// <summary>Connections stay open and nothing passes, until <see cref="Heal"/>.</summary>
    internal void BlackHole() => _open = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);

    internal void Heal()
    {
        TaskCompletionSource open = _open;
        open.TrySetResult();
        (Split, Delay, _trap) = (false, TimeSpan.Zero, null);
    }

    internal void Reset()
    {
        foreach (Link link in _links.Keys)
        {
            link.Reset();
        }
    }

    public async ValueTask DisposeAsync()
    {
        await _stopped.CancelAsync();
        _listener.Stop();
        Heal();
        Reset();
        await _accepting;
        _stopped.Dispose();
    }

    private static TaskCompletionSource Completed()
    {
        var completed = new TaskCompletionSource();
        completed.SetResult();
        return completed;
    }

    private async Task AcceptAsync()
    {
        try
        {
            while (true)
            {
                Socket client = await _listener.AcceptSocketAsync(_stopped.Token);
                _ = ServeAsync(client);
            }
        }
        catch (Exception e) when (e is OperationCanceledException or SocketException or ObjectDisposedException)
        {
            // Disposed.
        }
    }

    private async Task ServeAsync(Socket client)
    {
        var server = new Socket(SocketType.Stream, ProtocolType.Tcp);
        using var link = new Link(client, server);
        _links.TryAdd(link, 0);
        try
        {
            await server.ConnectAsync(IPAddress.Loopback, _targetPort, _stopped.Token);
            client.NoDelay = server.NoDelay = true;
            await await Task.WhenAny(ToServerAsync(link), ToClientAsync(link));
        }
        catch (Exception e) when (e is IOException or SocketException or ObjectDisposedException or OperationCanceledException)
        {
            // Either side's end ends the link.
        }
        finally
        {
            _links.TryRemove(link, out _);
        }
    }

    private async Task ToServerAsync(Link link)
    {
        using var from = new NetworkStream(link.Client);
        using var to = new NetworkStream(link.Server);
        for (bool first = true; ; first = false)
        {
            byte[] frame = await ReadFrameAsync(from);
            if (!first)
            {
                int xid = BinaryPrimitives.ReadInt32BigEndian(frame.AsSpan(4));
                var op = (OpCode)BinaryPrimitives.ReadInt32BigEndian(frame.AsSpan(8));
                Seen.TryAdd(op, 0);
                if (_trap is { } trap && trap.Op == op
                    && (trap.Naming is null || frame.AsSpan().IndexOf(System.Text.Encoding.UTF8.GetBytes(trap.Naming)) >= 0))
                {
                    link.Loses = xid;
                }
            }

            await _open.Task;
            await to.WriteAsync(frame, _stopped.Token);
        }
    }

    private async Task ToClientAsync(Link link)
    {
        using var from = new NetworkStream(link.Server);
        using var to = new NetworkStream(link.Client);
        for (bool first = true; ; first = false)
        {
            byte[] frame = await ReadFrameAsync(from);
            if (!first && link.Loses is { } xid && BinaryPrimitives.ReadInt32BigEndian(frame.AsSpan(4)) == xid)
            {
                Trap? trap = Interlocked.Exchange(ref _trap, null);
                link.Reset();
                trap?.Sprung.TrySetResult();
                return;
            }

            await _open.Task;
            if (Delay > TimeSpan.Zero)
            {
                await Task.Delay(Delay, _stopped.Token);
            }

            for (int sent = 0; sent < frame.Length;)
            {
                int chunk = Split ? 1 : frame.Length - sent;
                await to.WriteAsync(frame.AsMemory(sent, chunk), _stopped.Token);
                sent += chunk;
            }
        }
    }

    /// <summary>A frame with its length.</summary>
    private async Task<byte[]> ReadFrameAsync(NetworkStream from)
    {
        byte[] length = new byte[4];
        await from.ReadExactlyAsync(length, _stopped.Token);
        byte[] frame = new byte[4 + BinaryPrimitives.ReadInt32BigEndian(length)];
        length.CopyTo(frame, 0);
        await from.ReadExactlyAsync(frame.AsMemory(4), _stopped.Token);
        return frame;
    }

    private sealed record Trap(OpCode Op, string? Naming, TaskCompletionSource Sprung);

    private sealed class Link(Socket client, Socket server) : IDisposable
    {
        internal Socket Client { get; } = client;

        internal Socket Server { get; } = server;

        internal int? Loses { get; set; }

        internal void Reset()
        {
            foreach (Socket socket in (ReadOnlySpan<Socket>)[Client, Server])
            {
                try
                {
                    socket.LingerState = new LingerOption(true, 0);
                }
                catch (Exception e) when (e is SocketException or ObjectDisposedException)
                {
                    // Closed already.
                }

                socket.Dispose();
            }
        }

        public void Dispose()
        {
            Client.Dispose();
            Server.Dispose();
        }
    }
}
