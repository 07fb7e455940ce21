using System.Collections.Immutable;
using System.Globalization;
using System.Net.Sockets;
using System.Text;

namespace RedisFailover.IntegrationTests.Harness;

/// <summary>One raw connection to Redis, so that tests look at a server with nothing of ours in between.</summary>
public sealed class RedisWire : IAsyncDisposable
{
    private readonly Socket _socket;
    private readonly byte[] _buffer = new byte[16 * 1024];
    private int _start;
    private int _end;

    private RedisWire(Socket socket) => _socket = socket;

    public static Task<RedisWire> ConnectAsync(string host, int port, string? password = null, CancellationToken ct = default)
        => ConnectAsync(new Socket(SocketType.Stream, ProtocolType.Tcp) { NoDelay = true }, host, port, password, ct);

    /// <summary>With a socket of another machine.</summary>
    public static async Task<RedisWire> ConnectAsync(Socket socket, string host, int port, string? password, CancellationToken ct)
    {
        RedisWire wire = new(socket);
        try
        {
            await socket.ConnectAsync(host, port, ct);
            if (password is not null)
            {
                await wire.CommandAsync(["AUTH", password], ct);
            }

            return wire;
        }
        catch
        {
            await wire.DisposeAsync();
            throw;
        }
    }

    public async Task<RedisReply> CommandAsync(ImmutableArray<string> command, CancellationToken ct = default)
    {
        StringBuilder request = new();
        request.Append(CultureInfo.InvariantCulture, $"*{command.Length}\r\n");
        foreach (string word in command)
        {
            request.Append(CultureInfo.InvariantCulture, $"${Encoding.UTF8.GetByteCount(word)}\r\n{word}\r\n");
        }

        ReadOnlyMemory<byte> bytes = Encoding.UTF8.GetBytes(request.ToString());
        while (bytes.Length > 0)
        {
            bytes = bytes[await _socket.SendAsync(bytes, SocketFlags.None, ct)..];
        }

        return await ReadAsync(ct);
    }

    /// <summary>The next reply, also one that was not asked for: a message to a subscriber.</summary>
    public async Task<RedisReply> ReadAsync(CancellationToken ct = default)
    {
        string line = await ReadLineAsync(ct);
        string rest = line[1..];
        switch (line[0])
        {
            case '+' or ':':
                return new RedisReply(rest, default);
            case '-':
                throw new RedisErrorException(rest);
            case '$':
                int length = int.Parse(rest, CultureInfo.InvariantCulture);
                return new RedisReply(length < 0 ? null : await ReadTextAsync(length, ct), default);
            case '*':
                int count = int.Parse(rest, CultureInfo.InvariantCulture);
                ImmutableArray<RedisReply>.Builder items = ImmutableArray.CreateBuilder<RedisReply>();
                for (int i = 0; i < count; i++)
                {
                    items.Add(await ReadAsync(ct));
                }

                return count < 0 ? new RedisReply(null, default) : new RedisReply(null, items.ToImmutable());
            default:
                throw new InvalidDataException($"Not a reply of Redis: {line}");
        }
    }

    public ValueTask DisposeAsync()
    {
        _socket.Dispose();
        return ValueTask.CompletedTask;
    }

    private async Task<string> ReadLineAsync(CancellationToken ct)
    {
        List<byte> line = [];
        while (true)
        {
            byte next = await ReadByteAsync(ct);
            if (next == '\n')
            {
                return Encoding.UTF8.GetString([.. line]).TrimEnd('\r');
            }

            line.Add(next);
        }
    }

    private async Task<string> ReadTextAsync(int length, CancellationToken ct)
    {
        byte[] text = new byte[length + 2];
        for (int i = 0; i < text.Length; i++)
        {
            text[i] = await ReadByteAsync(ct);
        }

        return Encoding.UTF8.GetString(text, 0, length);
    }

    private async ValueTask<byte> ReadByteAsync(CancellationToken ct)
    {
        if (_start == _end)
        {
            _end = await _socket.ReceiveAsync(_buffer, SocketFlags.None, ct);
            _start = 0;
            if (_end == 0)
            {
                throw new EndOfStreamException("Redis closed the connection.");
            }
        }

        return _buffer[_start++];
    }
}
