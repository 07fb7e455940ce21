using System.Collections.Concurrent;
using System.Net;
using System.Net.Sockets;
using System.Text;

namespace RedisFailover.UnitTests.Monitor;

/// <summary>Speaks RESP on a loopback port and answers what the test says; null closes the connection.</summary>
internal sealed class FakeNode : IAsyncDisposable
{
    private readonly TcpListener _listener = new(IPAddress.Loopback, 0);
    private readonly CancellationTokenSource _stop = new();
    private readonly Func<string[], string?> _answer;
    private readonly Task _accepting;
    private readonly ConcurrentBag<Socket> _peers = [];
    private int _connections;

    internal FakeNode(Func<string[], string?> answer)
    {
        _answer = answer;
        _listener.Start();
        Address = new NodeAddress("127.0.0.1", ((IPEndPoint)_listener.LocalEndpoint).Port);
        _accepting = AcceptAsync();
    }

    internal NodeAddress Address { get; }

    /// <summary>Whether connections are closed as soon as they are made.</summary>
    internal bool ClosesAtOnce { get; init; }

    /// <summary>How many connections were accepted so far.</summary>
    internal int Connections => Volatile.Read(ref _connections);

    /// <summary>From now on new connections are refused; those that there are go on.</summary>
    internal void Refuse() => _listener.Stop();

    /// <summary>Closes all connections; new ones are accepted.</summary>
    internal void CloseConnections()
    {
        foreach (Socket peer in _peers)
        {
            peer.Dispose();
        }
    }

    internal static string Bulk(string text) => $"${Encoding.UTF8.GetByteCount(text)}\r\n{text}\r\n";

    public async ValueTask DisposeAsync()
    {
        await _stop.CancelAsync();
        _listener.Stop();
        await _accepting;
        _stop.Dispose();
    }

    private async Task AcceptAsync()
    {
        List<Task> serving = [];
        try
        {
            while (true)
            {
                Socket peer = await _listener.AcceptSocketAsync(_stop.Token);
                _peers.Add(peer);
                Interlocked.Increment(ref _connections);
                serving.Add(ServeAsync(peer));
            }
        }
        catch (Exception e) when (e is OperationCanceledException or SocketException or InvalidOperationException)
        {
            await Task.WhenAll(serving);
        }
    }

    private async Task ServeAsync(Socket peer)
    {
        using Socket connection = peer;
        if (ClosesAtOnce)
        {
            return;
        }

        try
        {
            using var reader = new StreamReader(new NetworkStream(connection), Encoding.UTF8);
            while (await reader.ReadLineAsync(_stop.Token) is { } head)
            {
                string[] command = new string[int.Parse(head.AsSpan(1), System.Globalization.CultureInfo.InvariantCulture)];
                for (int i = 0; i < command.Length; i++)
                {
                    await reader.ReadLineAsync(_stop.Token);
                    command[i] = await reader.ReadLineAsync(_stop.Token) ?? "";
                }

                if (_answer(command) is not { } answer)
                {
                    return;
                }

                await connection.SendAsync(Encoding.UTF8.GetBytes(answer), _stop.Token);
            }
        }
        catch (Exception e) when (e is OperationCanceledException or IOException or SocketException or ObjectDisposedException)
        {
            // The prober has gone, or the test is over.
        }
    }
}
