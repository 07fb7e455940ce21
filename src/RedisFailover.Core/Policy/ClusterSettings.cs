using System.Collections.Frozen;
using System.Collections.Immutable;

namespace RedisFailover;

/// <summary>The settings that can be changed for all monitors while they run (<c>R/config</c>), and what each may be.</summary>
internal static class ClusterSettings
{
    private static readonly TimeValues UpToAnHour = new("0s", "1h");

    private static readonly ImmutableArray<(string Name, SettingValues Values)> All =
    [
        ("max-failures", new WholeValues(1, 100)),
        ("probe-timeout", new TimeValues("10ms", "60s")),
        ("node-strategy", new NamedValues<NodeStrategy>()),
        ("failover-strategy", new NamedValues<FailoverStrategy>()),
        ("required-monitors", new WholeValues(1, 100)),
        ("registration-wait", UpToAnHour),
        ("monitor-absence", new TimeValues("1m", "8760h")),
        ("switchover-timeout", new TimeValues("100ms", "60s")),
        ("write-safety", new NamedValues<WriteSafetyMode>()),
        ("write-quorum", new WholeValues(1, 100)),
        ("write-max-lag", new WholeValues(1, 600, " s")),
        ("loading-timeout", UpToAnHour),
        ("misconf-timeout", UpToAnHour),
        ("busy-timeout", UpToAnHour),
        ("max-replica-staleness", UpToAnHour),
        ("stable-time", UpToAnHour),
        ("failover-interval", UpToAnHour),
        ("max-lag", new WholeValues(0, 1L << 40, " bytes")),
    ];

    private static readonly FrozenDictionary<string, SettingValues> ByName =
        All.ToFrozenDictionary(s => s.Name, s => s.Values, StringComparer.Ordinal);

    /// <summary>In the order in which the monitors list them.</summary>
    public static ImmutableArray<string> Names { get; } = [.. All.Select(s => s.Name)];

    /// <summary>What the setting of that name may be; null where there is none.</summary>
    public static SettingValues? Find(string name) => ByName.GetValueOrDefault(name);
}
