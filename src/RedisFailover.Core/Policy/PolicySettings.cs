using System.Collections.Immutable;
using System.Globalization;
using RedisFailover.Shared;

namespace RedisFailover;

/// <summary>What a monitor decides by, as it tells the others: whoever leads goes by its own.</summary>
internal static class PolicySettings
{
    /// <summary>Each setting of <see cref="ClusterSettings"/>, and the nodes that are never promoted, in words.</summary>
    internal static ImmutableSortedDictionary<string, string> Of(FailoverPolicy policy) => ImmutableSortedDictionary.CreateRange(
        StringComparer.Ordinal,
        new Dictionary<string, string>
        {
            ["max-failures"] = Number(policy.MaxFailures),
            ["probe-timeout"] = Duration.Text(policy.ProbeTimeout),
            ["node-strategy"] = Name(policy.NodeStrategy),
            ["failover-strategy"] = Name(policy.FailoverStrategy),
            ["required-monitors"] = Number(policy.RequiredMonitors),
            ["registration-wait"] = Duration.Text(policy.RegistrationWait),
            ["monitor-absence"] = Duration.Text(policy.MonitorAbsence),
            ["switchover-timeout"] = Duration.Text(policy.SwitchoverTimeout),
            ["write-safety"] = Name(policy.WriteSafety),
            ["write-quorum"] = Number(policy.WriteQuorum),
            ["write-max-lag"] = Number(policy.WriteMaxLag),
            ["loading-timeout"] = Duration.Text(policy.LoadingTimeout),
            ["misconf-timeout"] = Duration.Text(policy.MisconfTimeout),
            ["busy-timeout"] = Duration.Text(policy.BusyTimeout),
            ["max-replica-staleness"] = Duration.Text(policy.MaxReplicaStaleness),
            ["stable-time"] = Duration.Text(policy.StableTime),
            ["failover-interval"] = Duration.Text(policy.FailoverInterval),
            ["max-lag"] = Number(policy.MaxLag),
            ["never-promote"] = policy.NeverPromote.IsEmpty ? "none" : string.Join(' ', policy.NeverPromote.Order()),
        });

    private static string Number(long number) => number.ToString(CultureInfo.InvariantCulture);

    private static string Name<T>(T value)
        where T : struct, Enum
        => value.ToString().ToLowerInvariant();
}
