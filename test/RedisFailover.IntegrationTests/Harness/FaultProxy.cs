using System.Collections.Concurrent;
using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using System.Threading.Channels;

namespace RedisFailover.IntegrationTests.Harness;

/// <summary>What a <see cref="FaultProxy"/> does with bytes.</summary>
/// <param name="ToServer">Whether bytes from the client reach the server.</param>
/// <param name="ToClient">Whether bytes from the server reach the client.</param>
/// <param name="Delay">How long each chunk is under way; those that follow are not held up by that.</param>
public sealed record LinkState(bool ToServer, bool ToClient, TimeSpan Delay)
{
    public static readonly LinkState Healthy = new(true, true, TimeSpan.Zero);
    public static readonly LinkState BlackHole = new(false, false, TimeSpan.Zero);

    /// <summary>The server hears everything, its answers get lost.</summary>
    public static readonly LinkState AnswersLost = new(true, false, TimeSpan.Zero);

    /// <summary>What the server says arrives, but it hears nothing.</summary>
    public static readonly LinkState RequestsLost = new(false, true, TimeSpan.Zero);
}

/// <summary>
/// A TCP proxy in front of one server. Bytes that a black hole swallows are held and delivered when the link heals, as TCP's
/// retransmission would.
/// </summary>
public sealed class FaultProxy : IAsyncDisposable
{
    private const int MostChunks = 64;
    private static readonly TimeSpan s_lastBytes = TimeSpan.FromMilliseconds(200);
    private readonly Func<Socket> _newSocket;
    private NodeAddress _target;
    private readonly CancellationTokenSource _stopped = new();
    private readonly ConcurrentDictionary<Link, byte> _links = new();
    private readonly ConcurrentDictionary<int, byte> _cutOff = new();
    private volatile ConcurrentDictionary<int, int> _owners = new();
    private readonly Lock _lock = new();
    private LinkState _state = LinkState.Healthy;
    private TaskCompletionSource _stateChanged = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private Socket? _listener;
    private Task _accepting = Task.CompletedTask;

    private FaultProxy(NodeAddress target, int port, Func<Socket> newSocket)
    {
        _target = target;
        _newSocket = newSocket;
        Port = port;
        Accept();
    }

    public int Port { get; }

    public NodeAddress Address => new("127.0.0.1", Port);

    /// <summary>How many connections pass through now.</summary>
    public int Connections => _links.Count;

    public static FaultProxy Start(string targetHost, int targetPort) => Start(new NodeAddress(targetHost, targetPort));

    public static FaultProxy Start(NodeAddress target)
        => new(target, FreePorts.Next(), () => new Socket(SocketType.Stream, ProtocolType.Tcp));

    /// <summary>Makes a port of a machine's loopback device known by the same number here.</summary>
    public static FaultProxy StartInto(Machine machine, int port) => new(new NodeAddress("127.0.0.1", port), port, machine.NewSocket);

    /// <summary>
    /// Another server is behind it from now on: what an address that changes hands is. What is connected stays connected.
    /// </summary>
    public void Retarget(NodeAddress target) => Volatile.Write(ref _target, target);

    /// <summary>Connections stay open; bytes flow as <paramref name="state"/> says, from now on. New connections are accepted.</summary>
    public void Set(LinkState state)
    {
        TaskCompletionSource changed;
        lock (_lock)
        {
            _state = state;
            changed = _stateChanged;
            _stateChanged = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        }

        changed.SetResult();
    }

    /// <summary>
    /// One process is cut off, as by a partition: its connections stay open and nothing passes; all others go on. What it sends is
    /// delivered when <see cref="Reconnect"/> heals the link.
    /// </summary>
    public void CutOff(int pid)
    {
        _cutOff.TryAdd(pid, 0);
        // Another one, not emptied: whoever looks an owner up now may not have seen this process yet, and would note that.
        _owners = new();
        Set(_state);
    }

    /// <summary>Ends <see cref="CutOff"/>.</summary>
    public void Reconnect(int pid)
    {
        _cutOff.TryRemove(pid, out _);
        _owners = new();
        Set(_state);
    }

    /// <summary>Resets all connections; new ones are accepted.</summary>
    public void Reset()
    {
        foreach (Link link in _links.Keys)
        {
            link.Reset();
        }
    }

    /// <summary>Resets all connections and refuses new ones, until <see cref="Heal"/>.</summary>
    public void Cut()
    {
        lock (_lock)
        {
            _listener?.Dispose();
            _listener = null;
        }

        Reset();
    }

    /// <summary>All as at the start; held bytes are delivered.</summary>
    public void Heal()
    {
        Set(LinkState.Healthy);
        lock (_lock)
        {
            if (_listener is null)
            {
                Accept();
            }
        }
    }

    public async ValueTask DisposeAsync()
    {
        await _stopped.CancelAsync();
        Cut();
        await _accepting;
        _stopped.Dispose();
    }

    private void Accept()
    {
        Socket listener = new(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        listener.SetSocketOption(SocketOptionLevel.Socket, SocketOptionName.ReuseAddress, true);
        listener.Bind(new IPEndPoint(IPAddress.Loopback, Port));
        listener.Listen();
        _listener = listener;
        _accepting = AcceptAsync(listener);
    }

    private async Task AcceptAsync(Socket listener)
    {
        while (true)
        {
            try
            {
                Socket client = await listener.AcceptAsync(_stopped.Token);
                _ = ServeAsync(client);
            }
            catch (Exception e) when (e is OperationCanceledException or ObjectDisposedException or SocketException)
            {
                return;
            }
        }
    }

    private async Task ServeAsync(Socket client)
    {
        Socket server = _newSocket();
        using Link link = new(client, server);
        int port = ((IPEndPoint)client.RemoteEndPoint!).Port;
        _links.TryAdd(link, 0);
        try
        {
            NodeAddress target = Volatile.Read(ref _target);
            await server.ConnectAsync(target.Host, target.Port, _stopped.Token);
            client.NoDelay = server.NoDelay = true;
            // Either side's end ends both: half-closed connections are not something Redis or ZooKeeper use. The other side gets a moment
            // to read the last bytes, since disposing of a socket that is being read resets it.
            Task[] pumps =
                [PumpAsync(client, server, port, state => state.ToServer), PumpAsync(server, client, port, state => state.ToClient)];
            await await Task.WhenAny(pumps);
            await Task.WhenAny(Task.WhenAll(pumps), Task.Delay(s_lastBytes, _stopped.Token));
        }
        catch (Exception e) when (e is OperationCanceledException or ObjectDisposedException or SocketException)
        {
            // The link is over, whoever ended it.
        }
        finally
        {
            _links.TryRemove(link, out _);
            _owners.TryRemove(port, out _);
        }
    }

    private async Task PumpAsync(Socket from, Socket to, int clientPort, Func<LinkState, bool> passes)
    {
        var underWay = Channel.CreateBounded<(long ReadAt, byte[] Bytes)>(MostChunks);
        Task delivered = DeliverAsync(underWay.Reader, to, clientPort, passes);
        try
        {
            byte[] buffer = new byte[16 * 1024];
            while (await from.ReceiveAsync(buffer, SocketFlags.None, _stopped.Token) is var count and > 0)
            {
                await underWay.Writer.WriteAsync((Stopwatch.GetTimestamp(), buffer[..count]), _stopped.Token);
            }
        }
        finally
        {
            underWay.Writer.Complete();
        }

        await delivered;
        to.Shutdown(SocketShutdown.Send);
    }

    private async Task DeliverAsync(
        ChannelReader<(long ReadAt, byte[] Bytes)> chunks, Socket to, int clientPort, Func<LinkState, bool> passes)
    {
        await foreach ((long readAt, byte[] bytes) in chunks.ReadAllAsync(_stopped.Token))
        {
            await HoldAsync(clientPort, passes, readAt);
            for (int sent = 0; sent < bytes.Length;)
            {
                sent += await to.SendAsync(bytes.AsMemory(sent), SocketFlags.None, _stopped.Token);
            }
        }
    }

    private bool IsCutOff(int clientPort)
        => !_cutOff.IsEmpty && _owners.GetOrAdd(clientPort, port => _cutOff.Keys.FirstOrDefault(pid => SocketOwner.Holds(pid, port))) != 0;

    private async Task HoldAsync(int clientPort, Func<LinkState, bool> passes, long readAt)
    {
        while (true)
        {
            LinkState state;
            Task changed;
            lock (_lock)
            {
                state = _state;
                changed = _stateChanged.Task;
            }

            if (passes(state) && !IsCutOff(clientPort))
            {
                if (state.Delay - Stopwatch.GetElapsedTime(readAt) is { Ticks: > 0 } left)
                {
                    await Task.Delay(left, _stopped.Token);
                }

                return;
            }

            await changed.WaitAsync(_stopped.Token);
        }
    }

    private sealed class Link(Socket client, Socket server) : IDisposable
    {
        internal void Reset()
        {
            // Linger 0 makes close send RST: what a peer sees of a host whose process was killed with unread bytes.
            foreach (Socket socket in (Socket[])[client, server])
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
            client.Dispose();
            server.Dispose();
        }
    }
}
