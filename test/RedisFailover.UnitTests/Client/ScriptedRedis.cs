using System.Collections.Concurrent;
using System.Globalization;
using System.Net;
using System.Net.Sockets;
using System.Text;

namespace RedisFailover.UnitTests.Client;

/// <summary>A master on a loopback port, to which a multiplexer connects, and whose answers the test may replace one by one.</summary>
internal sealed class ScriptedRedis : IAsyncDisposable
{
    /// <summary>The command is taken and never answered.</summary>
    public const string NoAnswer = "";

    /// <summary>An answer that no library understands: it gives up the connection, and the replies of all that were sent on it.</summary>
    public const string Garbage = "garbage\r\n";

    private readonly TcpListener _listener = new(IPAddress.Loopback, 0);
    private readonly CancellationTokenSource _stop = new();
    private readonly Func<string[], Task<string?>> _script;
    private readonly Task _serving;
    private volatile NetworkStream? _subscribed;
    private volatile bool _pushes;

    public ScriptedRedis()
        : this(static _ => Task.FromResult<string?>(null))
    {
    }

    /// <param name="script">The answer to a command, in RESP; null for the usual one.</param>
    public ScriptedRedis(Func<string[], string?> script)
        : this(command => Task.FromResult(script(command)))
    {
    }

    public ScriptedRedis(Func<string[], Task<string?>> script)
    {
        _script = script;
        _listener.Start();
        Address = new NodeAddress("127.0.0.1", ((IPEndPoint)_listener.LocalEndpoint).Port);
        _serving = ServeAsync();
    }

    public NodeAddress Address { get; }

    /// <summary>Between each thousand bytes of an answer, as on a slow network.</summary>
    public TimeSpan Pace { get; init; }

    // What a multiplexer that speaks the later protocol is told without having asked.
    private char Push => _pushes ? '>' : '*';

    /// <summary>The commands that came, by name.</summary>
    public ConcurrentQueue<string> Seen { get; } = [];

    public static string Bulk(string text) => $"${text.Length}\r\n{text}\r\n";

    public async Task PublishAsync(string channel, string message)
        => await _subscribed!.WriteAsync(Encoding.Latin1.GetBytes($"{Push}3\r\n{Bulk("message")}{Bulk(channel)}{Bulk(message)}"));

    /// <summary>Closes the connection on which somebody subscribed last.</summary>
    public void CloseSubscribed() => _subscribed!.Dispose();

    public async ValueTask DisposeAsync()
    {
        await _stop.CancelAsync();
        await _serving;
        _listener.Dispose();
    }

    private async Task ServeAsync()
    {
        List<Task> answering = [];
        try
        {
            while (true)
            {
                answering.Add(AnswerAsync(await _listener.AcceptTcpClientAsync(_stop.Token)));
            }
        }
        catch (OperationCanceledException)
        {
            await Task.WhenAll(answering);
        }
    }

    private async Task AnswerAsync(TcpClient peer)
    {
        using TcpClient owned = peer;
        NetworkStream stream = peer.GetStream();
        using var reader = new StreamReader(stream, Encoding.Latin1);
        try
        {
            while (await reader.ReadLineAsync(_stop.Token) is { } count)
            {
                string[] words = new string[int.Parse(count.AsSpan(1), CultureInfo.InvariantCulture)];
                for (int i = 0; i < words.Length; i++)
                {
                    char[] word = new char[int.Parse((await reader.ReadLineAsync(_stop.Token)).AsSpan(1), CultureInfo.InvariantCulture)];
                    await reader.ReadBlockAsync(word, _stop.Token);
                    await reader.ReadLineAsync(_stop.Token);
                    words[i] = new string(word);
                }

                words[0] = words[0].ToUpperInvariant();
                Seen.Enqueue(words[0]);
                string answer = await _script(words) ?? Usual(words, stream);
                foreach (byte[] part in Encoding.Latin1.GetBytes(answer).Chunk(1000))
                {
                    await stream.WriteAsync(part, _stop.Token);
                    await (part.Length == 1000 ? Task.Delay(Pace, _stop.Token) : Task.CompletedTask);
                }
            }
        }
        catch (Exception end) when (end is IOException or OperationCanceledException or FormatException or ObjectDisposedException)
        {
            // The client has gone or does not speak Redis, or the test is over.
        }
    }

    private string Hello(string protocol)
    {
        _pushes = protocol == "3";
        return $"{(_pushes ? "%6" : "*12")}\r\n+server\r\n+redis\r\n+version\r\n+7.0.0\r\n+proto\r\n:{protocol}\r\n+id\r\n:1\r\n+mode\r\n+standalone\r\n+role\r\n+master\r\n";
    }

    private string Usual(string[] words, NetworkStream stream)
    {
        if (words[0] is "SUBSCRIBE" or "UNSUBSCRIBE" && words.Length > 1)
        {
            _subscribed = stream;
            return $"{Push}3\r\n{Bulk(words[0].ToLowerInvariant())}{Bulk(words[1])}:1\r\n";
        }

        return words[0] switch
        {
            "HELLO" when words.Length > 1 => Hello(words[1]),
            "PING" => "+PONG\r\n",
            "ECHO" => Bulk(words[1]),
            "INFO" => Bulk("# Server\r\nredis_version:7.0.0\r\nredis_mode:standalone\r\n# Replication\r\nrole:master\r\n"),
            "ROLE" => "*3\r\n$6\r\nmaster\r\n:0\r\n*0\r\n",
            "SADD" or "DEL" => ":1\r\n",
            "CLIENT" when words[1].Equals("ID", StringComparison.OrdinalIgnoreCase) => ":1\r\n",
            "CLIENT" or "SELECT" or "MULTI" => "+OK\r\n",
            _ => "-ERR unknown command\r\n",
        };
    }
}
