using System.Text.Json.Serialization;
using RedisFailover.Monitor.Options;

namespace RedisFailover.Monitor.Hosting;

/// <summary>The content of <c>R/leader</c>.</summary>
internal sealed record LeaderZnode(string Id, string Host, int Pid, DateTime Since);

/// <summary>The answer of <c>/health</c>: of the cluster, where the process has one; of several the worst, and each of them.</summary>
internal sealed record MonitorHealth(
    string Id, string Version, bool ZooKeeperConnected, bool Leads, int LiveMonitors, long Epoch, string State, string? Master)
{
    /// <summary>Each cluster by its name; left out where the process has one cluster by its command line.</summary>
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public SortedDictionary<string, ClusterHealth>? Clusters { get; init; }

    /// <summary>Why this monitor cannot do its work; null where it can.</summary>
    public string? Reason { get; init; }

    internal static MonitorHealth Of(
        MonitorOptions options, bool connected, ClusterMonitor[] clusters, string? unreachable, string? hindrance)
    {
        var all = new SortedDictionary<string, ClusterHealth>(clusters.ToDictionary(c => c.Name, ClusterHealth.Of),
                StringComparer.Ordinal);
        ClusterHealth worst = all.Values.FirstOrDefault(c => c.State != TopologyJson.Name(TopologyState.Ok))
            ?? all.Values.FirstOrDefault() ?? ClusterHealth.Nothing;
        (string name, ClusterHealth absent) = all.FirstOrDefault(c => c.Value.Reason is not null);
        return new MonitorHealth(
            options.Id,
            MonitorService.Version,
            connected,
            all.Values.Any(c => c.Leads),
            worst.LiveMonitors,
            worst.Epoch,
            worst.State,
            worst.Master)
        {
            Clusters = options.HasMany ? all : null,
            Reason = !connected ? $"ZooKeeper cannot be reached{(unreachable is null ? "" : $": {unreachable}")}"
                : hindrance ?? (absent is null ? null : options.HasMany ? $"{name}: {absent.Reason}" : absent.Reason),
        };
    }
}

/// <summary>One cluster in the answer of <c>/health</c>.</summary>
internal sealed record ClusterHealth(bool Leads, int LiveMonitors, long Epoch, string State, string? Master, string? Reason)
{
    /// <summary>Of no cluster.</summary>
    internal static ClusterHealth Nothing { get; } = Of(null, null);

    internal static ClusterHealth Of(ClusterMonitor cluster) => Of(cluster.View, cluster.Absence);

    private static ClusterHealth Of(ClusterView? view, string? reason) => new(
        view?.Term is not null,
        view?.LiveMonitors ?? 0,
        view?.Topology?.Epoch ?? 0,
        TopologyJson.Name(view?.Topology?.State ?? TopologyState.NoMaster),
        view?.Topology?.Master?.ToString(),
        reason);
}

/// <summary>The JSON that the monitor writes beside the topology.</summary>
[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase, WriteIndented = true)]
[JsonSerializable(typeof(LeaderZnode))]
[JsonSerializable(typeof(RedisFailover.Monitor.ZooKeeper.MemberZnode))]
[JsonSerializable(typeof(MonitorHealth))]
internal sealed partial class MonitorJson : JsonSerializerContext;
