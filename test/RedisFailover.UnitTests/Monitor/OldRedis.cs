using System.Collections.Concurrent;
using System.Globalization;
using System.Net;
using System.Net.Sockets;
using System.Text;

namespace RedisFailover.UnitTests.Monitor;

/// <summary>
/// A master as Redis 5 and 6.0 are, as far as a pause is concerned: CLIENT PAUSE knows no WRITE, stops the reading of commands from every
/// connection, new ones included, and nothing lifts it; a transaction that has begun is carried out whole. Its time is the test's:
/// <see cref="EndPause"/>.
/// </summary>
internal sealed class OldRedis : IDisposable
{
    private readonly TcpListener _listener = new(IPAddress.Loopback, 0);
    private readonly SemaphoreSlim _one = new(1, 1);
    private readonly ConcurrentBag<Socket> _sockets = [];
    private TaskCompletionSource? _paused;

    internal OldRedis()
    {
        _listener.Start();
        _ = AcceptAsync();
    }

    internal NodeAddress Address => new("127.0.0.1", ((IPEndPoint)_listener.LocalEndpoint).Port);

    internal long Offset { get; private set; } = 1000;

    internal int MinReplicas { get; private set; } = 1;

    internal bool IsReplica { get; private set; }

    internal bool IsPaused => _paused is not null;

    /// <summary>The time of the pause is over: what was held is carried out.</summary>
    internal void EndPause() => Interlocked.Exchange(ref _paused, null)?.SetResult();

    public void Dispose()
    {
        EndPause();
        _listener.Dispose();
        foreach (Socket socket in _sockets)
        {
            socket.Dispose();
        }
    }

    private async Task AcceptAsync()
    {
        try
        {
            while (true)
            {
                Socket socket = await _listener.AcceptSocketAsync();
                _sockets.Add(socket);
                _ = ServeAsync(socket);
            }
        }
        catch (Exception e) when (e is SocketException or InvalidOperationException)
        {
            // The test is over.
        }
    }

    private async Task ServeAsync(Socket socket)
    {
        try
        {
            using var reader = new StreamReader(new NetworkStream(socket), Encoding.ASCII);
            List<string[]>? transaction = null;
            while (await ReadAsync(reader) is { } command)
            {
                if (_paused is { } paused)
                {
                    await paused.Task;
                }

                await _one.WaitAsync();
                string reply;
                try
                {
                    reply = Answer(command, ref transaction);
                }
                finally
                {
                    _one.Release();
                }

                await socket.SendAsync(Encoding.ASCII.GetBytes(reply));
            }
        }
        catch (Exception e) when (e is IOException or SocketException or ObjectDisposedException)
        {
            // The client went, or the test is over.
        }
    }

    private string Answer(string[] command, ref List<string[]>? transaction)
    {
        if (command[0] == "MULTI")
        {
            transaction = [];
            return "+OK\r\n";
        }

        if (command[0] == "EXEC" && transaction is { } queued)
        {
            transaction = null;
            return $"*{queued.Count}\r\n{string.Concat(queued.Select(Execute))}";
        }

        if (transaction is not null)
        {
            transaction.Add(command);
            return "+QUEUED\r\n";
        }

        return Execute(command);
    }

    private string Execute(string[] command)
    {
        switch (command)
        {
            // Forms that do nothing, by which rights are asked for.
            case [.., "none"]:
                return "-ERR value is not an integer or out of range\r\n";
            case ["CLIENT", "PAUSE", _]:
                _paused ??= new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
                return "+OK\r\n";
            case ["CLIENT", ..]:
                return $"-ERR Unknown subcommand or wrong number of arguments for '{command[1]}'. Try CLIENT HELP\r\n";
            case ["CONFIG", "SET", "min-slaves-to-write", var count]:
                MinReplicas = int.Parse(count, CultureInfo.InvariantCulture);
                return "+OK\r\n";
            case ["CONFIG", "GET", "min-slaves-*"]:
                return Texts("min-slaves-to-write", MinReplicas.ToString(CultureInfo.InvariantCulture), "min-slaves-max-lag", "10");
            case ["CONFIG", "GET", _]:
                return "*0\r\n";
            case ["REPLICAOF", ..]:
                IsReplica = true;
                return "+OK\r\n";
            case ["SET", ..] when IsReplica:
                return "-READONLY You can't write against a read only replica.\r\n";
            case ["SET", ..] when MinReplicas > 1:
                return "-NOREPLICAS Not enough good replicas to write.\r\n";
            case ["SET", ..]:
                Offset += 30;
                return "+OK\r\n";
            case ["INFO", ..]:
                string info =
                    $"redis_version:5.0.14\r\nrun_id:old\r\nrole:{(IsReplica ? "slave\r\nmaster_host:127.0.0.1\r\nmaster_port:1" : "master")}\r\nmaster_replid:x\r\nmaster_repl_offset:{Offset}\r\n";
                return Text(info);
            default:
                return "+PONG\r\n";
        }
    }

    private static string Text(string text) => $"${text.Length}\r\n{text}\r\n";

    private static string Texts(params string[] texts) => $"*{texts.Length}\r\n{string.Concat(texts.Select(Text))}";

    private static async Task<string[]?> ReadAsync(StreamReader reader)
    {
        if (await reader.ReadLineAsync() is not { } head)
        {
            return null;
        }

        string[] words = new string[int.Parse(head[1..], CultureInfo.InvariantCulture)];
        for (int i = 0; i < words.Length; i++)
        {
            await reader.ReadLineAsync();
            words[i] = (await reader.ReadLineAsync())!;
        }

        return words;
    }
}
