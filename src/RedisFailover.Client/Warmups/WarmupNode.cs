using System.Globalization;
using System.Net.Sockets;
using System.Text;

namespace RedisFailover.Client;

/// <summary>A node of the <see cref="Warmup"/>: as much of a Redis server as a multiplexer needs to connect.</summary>
internal sealed class WarmupNode : IAsyncDisposable
{
    /// <summary>The commands that name it read or write data; the others are the multiplexer's own.</summary>
    public const string Key = "warm-up";

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
            // It dies, or this process may open no more sockets: the warm-up ends early then.
        }

        _listener.Dispose();
        await Task.WhenAll(answering).ConfigureAwait(false);
    }

    private async Task AnswerAsync(Socket peer)
    {
        using var stream = new NetworkStream(peer, ownsSocket: true);
        using var reader = new StreamReader(stream, Encoding.Latin1);
        try
        {
            while (await reader.ReadLineAsync(_dying.Token).ConfigureAwait(false) is { } count)
            {
                string[] words = new string[Number(count)];
                for (int i = 0; i < words.Length; i++)
                {
                    char[] word = new char[Number(await reader.ReadLineAsync(_dying.Token).ConfigureAwait(false))];
                    await reader.ReadBlockAsync(word, _dying.Token).ConfigureAwait(false);
                    await reader.ReadLineAsync(_dying.Token).ConfigureAwait(false);
                    words[i] = new string(word);
                }

                await stream.WriteAsync(Encoding.Latin1.GetBytes(Answer(words)), _dying.Token).ConfigureAwait(false);
            }
        }
        catch (Exception end) when (end is OperationCanceledException or IOException)
        {
            // It dies, or its peer has left.
        }
    }

    /// <summary>Of a line like "*3" or "$5".</summary>
    private static int Number(string? line) => int.Parse(line.AsSpan(1), CultureInfo.InvariantCulture);

    private string Answer(string[] words)
    {
        bool isData = words.Length > 1 && words[1] == Key;
        if (_isSilent)
        {
            if (isData && Interlocked.Decrement(ref _toIgnore) == 0)
            {
                _ignored.TrySetResult();
            }

            return "";
        }

        return isData && Interlocked.Decrement(ref _toRefuse) >= 0 ? "-LOADING warm-up\r\n" : words[0].ToUpperInvariant() switch
        {
            "HELLO" when words.Length > 1 => Hello(words[1]),
            "PING" => "+PONG\r\n",
            "ECHO" => Bulk(words[1]),
            "INFO" => Bulk("# Server\r\nredis_version:7.0.0\r\nredis_mode:standalone\r\n"
                + $"# Replication\r\nrole:{(_isMaster ? "master" : "slave")}\r\n"),
            "SADD" or "INCRBY" or "INCR" or "EXISTS" => ":1\r\n",
            "GET" or "HINCRBYFLOAT" or "INCRBYFLOAT" => Bulk("1"),
            "MGET" => "*1\r\n" + Bulk("1"),
            "CLIENT" when words[1] == "ID" => ":1\r\n",
            "CLIENT" or "SELECT" => "+OK\r\n",
            _ => "-ERR unknown command\r\n",
        };
    }

    /// <summary>A refusal would do for the protocol; the later multiplexers do not connect after one.</summary>
    private string Hello(string protocol)
        => $"{(protocol == "3" ? "%6" : "*12")}\r\n+server\r\n+redis\r\n+version\r\n+7.0.0\r\n+proto\r\n:{protocol}\r\n+id\r\n:1\r\n"
            + $"+mode\r\n+standalone\r\n+role\r\n+{(_isMaster ? "master" : "replica")}\r\n";

    private static string Bulk(string text) => $"${text.Length}\r\n{text}\r\n";
}
