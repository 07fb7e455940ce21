using System.Text.Json.Serialization;

namespace RedisFailover.Monitor.Hosting;

/// <summary>The content of <c>R/leader</c>.</summary>
internal sealed record LeaderZnode(string Id, string Host, int Pid, DateTime Since);

/// <summary>The answer of <c>/health</c>.</summary>
internal sealed record MonitorHealth(
    string Id, string Version, bool ZooKeeperConnected, bool Leads, int LiveMonitors, long Epoch, string State, string? Master);

/// <summary>The JSON that the monitor writes beside the topology.</summary>
[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase, WriteIndented = true)]
[JsonSerializable(typeof(LeaderZnode))]
[JsonSerializable(typeof(RedisFailover.Monitor.ZooKeeper.MemberZnode))]
[JsonSerializable(typeof(MonitorHealth))]
internal sealed partial class MonitorJson : JsonSerializerContext;
