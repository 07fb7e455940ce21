using System.Net.Sockets;
using System.Text;

namespace RedisFailover.Client;

/// <summary>
/// A node of the <see cref="Warmup"/>: as much of a Redis server, on a port of the loopback device, as a multiplexer needs to connect.
/// </summary>
internal sealed class WarmupNode : IAsyncDisposable
{
    private readonly TcpListener _listener = new(IPAddress.Loopback, 0);
    private readonly CancellationTokenSource _dying = new();
    private readonly Task _serving;
    private volatile bool _isMaster;
    private readonly TaskCompletionSource _ignored = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private volatile bool _isSilent;
    private int _toIgnore;
    private int _toRefuse;

    public WarmupNode(bool isMaster)
    {
        _isMaster = isMaster;
        _listener.Start();
        Address = new NodeAddress("127.0.0.1", ((IPEndPoint)_listener.LocalEndpoint).Port);
        _serving = ServeAsync();
    }

    public NodeAddress Address { get; }

    public void Promote() => _isMaster = true;

    /// <summary>Refuses so many commands that read or write, as a node does that is starting: they are sent again after a pause.</summary>
    public void Refuse(int commands) => _toRefuse = commands;

    /// <summary>Takes every command and answers none any more.</summary>
    /// <param name="commands">How many that read or write completes the task that is returned.</param>
    public Task FallSilent(int commands)
    {
        _toIgnore = commands;
        _isSilent = true;
        return _ignored.Task;
    }

    /// <summary>As after kill -9: its connections are closed and its port refuses.</summary>
    public async ValueTask DisposeAsync()
    {
        await _dying.CancelAsync().ConfigureAwait(false);
        await _serving.ConfigureAwait(false);
    }

    private async Task ServeAsync()
    {
        List<Task> answering = [];
        try
        {
            while (true)
            {
                answering.Add(AnswerAsync(await _listener.AcceptSocketAsync(_dying.Token).ConfigureAwait(false)));
            }
        }
        catch (Exception end) when (end is OperationCanceledException or SocketException)
        {
            // It dies, or this process may open no more sockets: the play ends early then.
        }

        _listener.Dispose();
        await Task.WhenAll(answering).ConfigureAwait(false);
    }

    private async Task AnswerAsync(Socket peer)
    {
        using Socket closing = peer;
        byte[] buffer = new byte[16 * 1024];
        int filled = 0;
        try
        {
            int read;
            while ((read = await peer.ReceiveAsync(buffer.AsMemory(filled), _dying.Token).ConfigureAwait(false)) > 0)
            {
                filled += read;
                using var answers = new MemoryStream();
                int used = Answer(buffer.AsSpan(0, filled), answers);
                buffer.AsSpan(used, filled - used).CopyTo(buffer);
                filled -= used;
                await peer.SendAsync(answers.ToArray(), _dying.Token).ConfigureAwait(false);
            }
        }
        catch (Exception end) when (end is OperationCanceledException or SocketException)
        {
            // It dies, or its peer has left.
        }
    }

    /// <summary>Answers the commands that have come whole; returns how many bytes they took.</summary>
    private int Answer(ReadOnlySpan<byte> received, MemoryStream answers)
    {
        int used = 0;
        List<byte[]> words = [];
        for (ReadOnlySpan<byte> rest = received; Number(ref rest, out int count);)
        {
            words.Clear();
            while (words.Count < count && Number(ref rest, out int length) && rest.Length >= length + 2)
            {
                words.Add(rest[..length].ToArray());
                rest = rest[(length + 2)..];
            }

            if (words.Count < count)
            {
                break;
            }

            used = received.Length - rest.Length;
            if (!_isSilent)
            {
                bool refused = IsData(words) && Interlocked.Decrement(ref _toRefuse) >= 0;
                answers.Write(refused ? "-LOADING rehearsal\r\n"u8 : Answer(words));
            }
            else if (IsData(words) && Interlocked.Decrement(ref _toIgnore) == 0)
            {
                _ignored.TrySetResult();
            }
        }

        return used;
    }

    /// <summary>The number in a line like "*3" or "$5".</summary>
    private static bool Number(ref ReadOnlySpan<byte> rest, out int number)
    {
        int end = rest.IndexOf("\r\n"u8);
        number = end > 0 ? int.Parse(rest[1..end], System.Globalization.CultureInfo.InvariantCulture) : 0;
        rest = end > 0 ? rest[(end + 2)..] : rest;
        return end > 0;
    }

    private static bool IsData(List<byte[]> words) => words.Count > 1 && words[1].AsSpan().SequenceEqual("rehearsal"u8);

    private byte[] Answer(List<byte[]> words) => Encoding.ASCII.GetString(words[0]).ToUpperInvariant() switch
    {
        "HELLO" when words.Count > 1 => Hello(Encoding.ASCII.GetString(words[1])),
        "PING" => "+PONG\r\n"u8.ToArray(),
        "ECHO" => Bulk(words[1]),
        "INFO"
            => Bulk(
                Encoding.ASCII.GetBytes(
                    $"# Server\r\nredis_version:7.0.0\r\nredis_mode:standalone\r\n# "
                        + $"Replication\r\nrole:{(_isMaster ? "master" : "slave")}\r\n")),
        "SADD" or "INCRBY" or "INCR" or "EXISTS" => ":1\r\n"u8.ToArray(),
        "GET" or "HINCRBYFLOAT" or "INCRBYFLOAT" => "$1\r\n1\r\n"u8.ToArray(),
        "MGET" => "*1\r\n$1\r\n1\r\n"u8.ToArray(),
        "CLIENT" when words[1].AsSpan().SequenceEqual("ID"u8) => ":1\r\n"u8.ToArray(),
        "CLIENT" or "SELECT" => "+OK\r\n"u8.ToArray(),
        _ => "-ERR unknown command\r\n"u8.ToArray(),
    };

    /// <summary>A refusal would do for the protocol; the later multiplexers do not connect after one.</summary>
    private byte[] Hello(string protocol) => Encoding.ASCII.GetBytes(
        (protocol == "3" ? "%6\r\n" : "*12\r\n")
            + $"+server\r\n+redis\r\n+version\r\n+7.0.0\r\n+proto\r\n:{protocol}\r\n+id\r\n:1\r\n+mode\r\n+standalone\r\n"
            + $"+role\r\n+{(_isMaster ? "master" : "replica")}\r\n");

    private static byte[] Bulk(byte[] content) => [.. Encoding.ASCII.GetBytes($"${content.Length}\r\n"), .. content, .. "\r\n"u8];
}
