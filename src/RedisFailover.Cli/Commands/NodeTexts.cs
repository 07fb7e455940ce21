using System.Globalization;
using RedisFailover.Cli.Cluster;

namespace RedisFailover.Cli.Commands;

/// <summary>How a node stands, in a word each: link, lag, since when, tags. "-" where the leading monitor does not say.</summary>
internal static class NodeTexts
{
    private const string Nothing = "-";

    /// <summary>"up", "down", "copying", "detached"; with whom, where that is not the master.</summary>
    internal static string Link(NodeReport? node, Topology topology)
        => node is not { Link.Length: > 0 } ? Nothing
            : node.Master is { } master && master != topology.Master ? $"{node.Link}, to {master}"
            : node.Link;

    /// <summary>What a replica lacks: "0 bytes, 1 s". Without a link its seconds are those since it lost it.</summary>
    internal static string Lag(NodeReport? node, DateTimeOffset now)
    {
        if (node is not { Link.Length: > 0 })
        {
            return Nothing;
        }

        string? bytes = node.LagBytes is { } behind ? Bytes(behind) : null;
        string? time = node.LagSeconds is { } seconds ? string.Create(CultureInfo.InvariantCulture, $"{seconds} s")
            : node is { Link: "down" or "copying", Since: { } since } ? Texts.Ago(now - since)
            : null;
        return bytes is null && time is null ? Nothing : string.Join(", ", new[] { bytes, time }.OfType<string>());
    }

    internal static string Since(NodeReport? node, DateTimeOffset now) => node?.Since is { } since ? Texts.Ago(now - since) : Nothing;

    /// <summary>What operators have said of it, and that it is never promoted by its own replica-priority.</summary>
    internal static string Tags(ClusterState state, NodeAddress node)
    {
        ConfiguredNode? configured = state.Config?.Node(node);
        string tags = configured?.Tags ?? "";
        bool isSaid = configured is { NeverPromote: true };
        return string.Join(' ',
            new[] { state.Topology.NeverPromoted.Contains(node) && !isSaid ? "never-promote" : "", tags }.Where(t => t.Length > 0));
    }

    /// <summary>"0 bytes", "12.3 kB", "4.0 MB".</summary>
    private static string Bytes(long bytes)
        => bytes < 1000 ? string.Create(CultureInfo.InvariantCulture, $"{bytes} bytes")
            : bytes < 1_000_000 ? string.Create(CultureInfo.InvariantCulture, $"{bytes / 1e3:0.0} kB")
            : bytes < 1_000_000_000 ? string.Create(CultureInfo.InvariantCulture, $"{bytes / 1e6:0.0} MB")
            : string.Create(CultureInfo.InvariantCulture, $"{bytes / 1e9:0.0} GB");
}
