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

    /// <summary>One line: time, epoch, state, master, replicas, reason.</summary>
    internal static string Line(DateTimeOffset seen, Topology topology)
        => string.Create(
            CultureInfo.InvariantCulture,
            $"{Utc(seen)} epoch {topology.Epoch} {TopologyJson.Name(topology.State)}: master {topology.Master?.ToString() ?? "none"}, replicas {Nodes(topology.Replicas)}, unavailable {Nodes(topology.Unavailable)}: {topology.Reason}");
}
