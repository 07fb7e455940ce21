using System.Globalization;
using System.Threading.Channels;

namespace RedisFailover.Chaos.Load;

/// <summary>
/// One acknowledged write: its number, the port of the node that acknowledged it, when it was begun and when acknowledged (UTC).
/// </summary>
internal readonly record struct Acknowledged(int Client, long Number, int Node, DateTime Begun, DateTime At)
{
    internal string Key => KeyOf(Client, Number);

    /// <summary>A thousand numbers share a set, so that looking them up is one command and not a thousand.</summary>
    internal static string KeyOf(int client, long number) => string.Create(CultureInfo.InvariantCulture, $"chaos:{client}:{number / 1000}");
}

/// <summary>What a client notes of its writes, a line each; written by the client's process, read by the referee's.</summary>
internal sealed class Journal : IAsyncDisposable
{
    private readonly Channel<string> _lines = Channel.CreateUnbounded<string>(new UnboundedChannelOptions { SingleReader = true });
    private readonly Task _writing;

    internal Journal(string file) => _writing = WriteAsync(file);

    internal void Acknowledged(long number, int node, DateTime begun, DateTime at)
        => _lines.Writer.TryWrite(string.Create(CultureInfo.InvariantCulture, $"{number} {node} {begun.Ticks} {at.Ticks}"));

    internal void Failed(DateTime begun, DateTime at, Exception failure)
        => _lines.Writer.TryWrite(
            $"! {begun:HH:mm:ss.fff} {at:HH:mm:ss.fff} {failure.GetType().Name}: {failure.Message.ReplaceLineEndings(" ")}");

    public async ValueTask DisposeAsync()
    {
        _lines.Writer.Complete();
        await _writing;
    }

    private async Task WriteAsync(string file)
    {
        await using StreamWriter writer = new(file, append: true);
        while (await _lines.Reader.WaitToReadAsync())
        {
            while (_lines.Reader.TryRead(out string? line))
            {
                await writer.WriteLineAsync(line);
            }

            await writer.FlushAsync();
        }
    }
}

/// <summary>Reads on where it stopped, whole lines only.</summary>
internal sealed class JournalReader(int client, string file)
{
    private long _position;
    private int _failures;

    internal int Failures => _failures;

    internal IReadOnlyList<Acknowledged> Read()
    {
        if (!File.Exists(file))
        {
            return [];
        }

        using FileStream stream = new(file, FileMode.Open, FileAccess.Read, FileShare.ReadWrite);
        stream.Position = _position;
        byte[] bytes = new byte[stream.Length - _position];
        stream.ReadExactly(bytes);
        int end = Array.LastIndexOf(bytes, (byte)'\n') + 1;
        _position += end;
        List<Acknowledged> writes = [];
        foreach (string line in System.Text.Encoding.UTF8.GetString(bytes, 0, end).Split('\n', StringSplitOptions.RemoveEmptyEntries))
        {
            if (line[0] == '!')
            {
                _failures++;
                continue;
            }

            long[] fields = [.. line.Split(' ').Select(field => long.Parse(field, CultureInfo.InvariantCulture))];
            writes.Add(new Acknowledged(
                client, fields[0], (int)fields[1], new DateTime(fields[2], DateTimeKind.Utc), new DateTime(fields[3], DateTimeKind.Utc)));
        }

        return writes;
    }
}
