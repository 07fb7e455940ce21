using System.Globalization;

namespace RedisFailover.Cli;

/// <summary>How this tool writes times: always UTC, always to the millisecond, so that lines of several machines can be compared.</summary>
internal static class Texts
{
    internal static string Utc(DateTimeOffset at) => at.UtcDateTime.ToString("yyyy-MM-dd'T'HH:mm:ss.fff'Z'", CultureInfo.InvariantCulture);

    internal static string Nodes(IEnumerable<NodeAddress> nodes)
    {
        string text = string.Join(' ', nodes);
        return text.Length == 0 ? "none" : text;
    }

    /// <summary>One line: when, what, from and to, how long, what may be lost, why.</summary>
    internal static string Change(HistoryEntry change)
    {
        string loss = change.BytesBehind switch
        {
            null => "",
            0 => ", no loss seen",
            { } bytes => string.Create(CultureInfo.InvariantCulture, $", possible loss {bytes} bytes"),
        };
        string took = change.Millis is [.., { Key: "total" } total]
            ? string.Create(CultureInfo.InvariantCulture, $" in {total.Value:0.0} ms") : "";
        // A pause, other nodes or settings concern no master; where it stays one is named.
        string masters = change is { From: null, To: null } ? ""
            : change.From == change.To || change is { From: null, Kind: HistoryKind.Overwritten or HistoryKind.Renewed } ? $" {change.To}"
            : $" {change.From?.ToString() ?? "none"} -> {change.To?.ToString() ?? "none"}";
        return $"{Utc(change.At)} {HistoryJson.Name(change.Kind)}{masters}{took}{loss}: {change.Reason}";
    }

    /// <summary>"verdict 3.1 ms, intent 4.0 ms, ...".</summary>
    internal static string Steps(IEnumerable<KeyValuePair<string, double>> steps)
        => string.Join(", ", steps.Select(step => string.Create(CultureInfo.InvariantCulture, $"{step.Key} {step.Value:0.0} ms")));

    internal static string List(IEnumerable<string> names) => string.Join(", ", names);

    /// <summary>How long ago, as people say it: 12 s, 3 min, 5 h, 2 days.</summary>
    internal static string Ago(TimeSpan time)
        => time < TimeSpan.FromMinutes(2) ? Number(time.TotalSeconds, "s")
            : time < TimeSpan.FromHours(2) ? Number(time.TotalMinutes, "min")
            : time < TimeSpan.FromDays(2) ? Number(time.TotalHours, "h")
            : Number(time.TotalDays, "days");

    private static string Number(double number, string unit)
        => string.Create(CultureInfo.InvariantCulture, $"{Math.Max(0, Math.Floor(number)):0} {unit}");

    /// <summary>One line: time, epoch, state, master, replicas, reason.</summary>
    internal static string Line(DateTimeOffset seen, Topology topology)
        => string.Create(
            CultureInfo.InvariantCulture,
            $"{Utc(seen)} epoch {topology.Epoch} {TopologyJson.Name(topology.State)}: master {topology.Master?.ToString() ?? "none"}, "
                + $"replicas {Nodes(topology.Replicas)}, unavailable {Nodes(topology.Unavailable)}: {topology.Reason}");
}
