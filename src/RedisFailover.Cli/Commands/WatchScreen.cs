using System.Collections.Immutable;
using System.Text;
using System.Threading.Channels;
using RedisFailover.Cli.Cluster;
using RedisFailover.ZooKeeper;

namespace RedisFailover.Cli.Commands;

/// <summary>
/// watch on a terminal: what <c>status</c> prints, drawn anew in place at each change, and the changes themselves below it.
/// </summary>
internal sealed class WatchScreen(ZooKeeperConnectionString connection, TimeSpan timeout, TextWriter output)
{
    /// <summary>Figures (lags, latencies, how long ago) change without a change of the topology.</summary>
    private static readonly TimeSpan FiguresAnew = TimeSpan.FromSeconds(2);

    /// <summary>A terminal has no more lines than this.</summary>
    private const int MostChanges = 200;

    private readonly Channel<bool> _redraw = Channel.CreateBounded<bool>(
        new BoundedChannelOptions(1) { FullMode = BoundedChannelFullMode.DropWrite });
    private readonly Lock _gate = new();
    private ImmutableList<string> _changes = [];

    /// <summary>Whether what this process prints goes to somebody's screen.</summary>
    internal static bool IsTerminal(TextWriter output) => ReferenceEquals(output, Console.Out) && !Console.IsOutputRedirected;

    /// <summary>A line that goes below the status.</summary>
    internal void Add(string line)
    {
        lock (_gate)
        {
            _changes = _changes.Count < MostChanges ? _changes.Add(line) : _changes.RemoveAt(0).Add(line);
        }

        Redraw();
    }

    /// <summary>Something has changed.</summary>
    internal void Redraw() => _redraw.Writer.TryWrite(true);

    /// <summary>Draws until it is cancelled.</summary>
    internal async Task RunAsync(CancellationToken ct)
    {
        ClusterReader? reader = null;
        Task? changed = null;
        try
        {
            await output.WriteAsync("\e[2J");
            while (true)
            {
                ImmutableArray<string> status;
                try
                {
                    reader ??= await ClusterReader.ConnectAsync(connection, timeout, TextWriter.Null, ct);
                    status = Status(await reader.ReadAsync(ct));
                }
                catch (Exception e) when (e is CliException or ZooKeeperException)
                {
                    await (reader?.DisposeAsync() ?? ValueTask.CompletedTask);
                    (reader, status) = (null, [e.Message, ""]);
                }

                await output.WriteAsync(Frame(status, _changes, Console.WindowWidth, Console.WindowHeight));
                await output.FlushAsync(ct);
                changed ??= _redraw.Reader.ReadAsync(ct).AsTask();
                await Task.WhenAny(changed, Task.Delay(FiguresAnew, TimeProvider.System, ct));
                ct.ThrowIfCancellationRequested();
                changed = changed.IsCompleted ? null : changed;
            }
        }
        finally
        {
            await output.WriteLineAsync();
            await (reader?.DisposeAsync() ?? ValueTask.CompletedTask);
        }
    }

    /// <summary>One picture: written over the last one line by line, so that nothing flickers, and never longer than the screen.</summary>
    internal static string Frame(ImmutableArray<string> status, ImmutableList<string> changes, int width, int height)
    {
        // The last line is left free: a picture that fills it would scroll.
        int lines = Math.Max(1, height - 1);
        ImmutableArray<string> shown =
        [
            .. status.Take(lines), .. changes.Skip(Math.Max(0, changes.Count - Math.Max(0, lines - status.Length))),
        ];
        var text = new StringBuilder("\e[H");
        foreach (string line in shown.Take(lines))
        {
            text.Append(line.Length > width ? line[..Math.Max(0, width - 1)] + "…" : line).Append("\e[K\n");
        }

        return text.Append("\e[J").ToString();
    }

    private static ImmutableArray<string> Status(ClusterState state)
    {
        using var text = new StringWriter();
        StatusCommand.Print(state, TimeProvider.System.GetUtcNow(), text);
        return [.. text.ToString().Split('\n').Select(line => line.TrimEnd())];
    }
}
