using System.Globalization;
using System.Text.Encodings.Web;
using System.Text.Json;

namespace RedisFailover.Cli.Load;

/// <summary>What load prints while it runs: one line per event, for people or (one JSON object per line) for programs.</summary>
internal sealed class LoadLog(TextWriter output, bool json, TimeProvider time)
{
    private static readonly JsonSerializerOptions Readable = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };
    private readonly Lock _lock = new();

    internal void Started(LoadOptions options, Topology topology)
        => Write(
            string.Create(
                CultureInfo.InvariantCulture,
                $"load: {options.Writes:0.###} writes/s and {options.Reads:0.###} reads/s, "
                    + $"{(options.Duration is { } duration ? $"for {duration.TotalSeconds:0.###} s" : "until Ctrl-C")}; master "
                    + $"{topology.Master?.ToString() ?? "none"}, epoch {topology.Epoch}"),
            new { @event = "started", at = Now(), writes = options.Writes, reads = options.Reads, master = topology.Master?.ToString(),
                epoch = topology.Epoch });

    internal void Topology(Topology topology)
        => Write(
            string.Create(CultureInfo.InvariantCulture,
                $"told: epoch {topology.Epoch} {TopologyJson.Name(topology.State)}, master {topology.Master?.ToString() ?? "none"}"),
            new { @event = "topology", at = Now(), epoch = topology.Epoch, state = TopologyJson.Name(topology.State),
                master = topology.Master?.ToString() });

    internal void Gap(Gap gap)
        => Write(
            string.Create(CultureInfo.InvariantCulture,
                $"gap: no write was acknowledged for {gap.Millis:0.0} ms, from {Clock(gap.From)} to {Clock(gap.To)}"),
            new { @event = "gap", from = Iso(gap.From), to = Iso(gap.To), millis = Math.Round(gap.Millis, 3) });

    internal void Error(ErrorKind kind, long count)
        => Write(
            string.Create(CultureInfo.InvariantCulture,
                $"error: {kind.Operation}: {kind.Type}: {kind.Message}{(count > 1 ? $" ({count} times up to now)" : "")}"),
            new { @event = "error", at = Now(), operation = kind.Operation, type = kind.Type, message = kind.Message, count });

    internal void Report(LoadReport report)
    {
        if (json)
        {
            Write("", new { @event = "report", at = Now(), report });
            return;
        }

        lock (_lock)
        {
            output.WriteLine();
            foreach (string line in report.Lines())
            {
                output.WriteLine(line);
            }

            output.Flush();
        }
    }

    internal static string Iso(DateTimeOffset at)
        => at.UtcDateTime.ToString("yyyy-MM-dd'T'HH:mm:ss.ffffff'Z'", CultureInfo.InvariantCulture);

    private static string Clock(DateTimeOffset at) => at.UtcDateTime.ToString("HH:mm:ss.fff", CultureInfo.InvariantCulture);

    private string Now() => Iso(time.GetUtcNow());

    private void Write(string text, object line)
    {
        string written = json ? JsonSerializer.Serialize(line, Readable) : $"{Texts.Utc(time.GetUtcNow())} {text}";
        lock (_lock)
        {
            output.WriteLine(written);
            output.Flush();
        }
    }
}
