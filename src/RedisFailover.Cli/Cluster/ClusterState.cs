using System.Collections.Immutable;

namespace RedisFailover.Cli.Cluster;

/// <summary>Who leads, as the znode <c>R/leader</c> says.</summary>
internal sealed record LeaderInfo(string Id, string Host, long Pid, string Since);

/// <summary>
/// All that ZooKeeper holds about a cluster at one moment. The raw JSON is kept for <c>--json</c>: fields unknown here included.
/// </summary>
internal sealed record ClusterState
{
    internal required Topology Topology { get; init; }

    internal required ReadOnlyMemory<byte> TopologyJson { get; init; }

    internal LeaderInfo? Leader { get; init; }

    internal ReadOnlyMemory<byte>? LeaderJson { get; init; }

    /// <summary>The path of a znode in the leader's place that no session holds; null where there is none.</summary>
    internal string? InLeadersPlace { get; init; }

    /// <summary>Whether a monitor leads, also where it cannot be read which.</summary>
    internal bool IsLed => LeaderJson is not null;

    internal ImmutableSortedDictionary<string, MonitorReport> Monitors { get; init; } =
        ImmutableSortedDictionary<string, MonitorReport>.Empty;

    internal ImmutableSortedDictionary<string, ReadOnlyMemory<byte>> MonitorsJson { get; init; } =
        ImmutableSortedDictionary<string, ReadOnlyMemory<byte>>.Empty;

    /// <summary>What the leading monitor keeps in <c>R/problems</c>; null where there is no such list.</summary>
    internal ImmutableArray<Problem>? Problems { get; init; }

    /// <summary>
    /// What monitors tell of themselves that are not taken for this cluster's: another has their id, or their nodes are others.
    /// </summary>
    internal ImmutableArray<Problem> Outsiders { get; init; } = [];

    /// <summary>The registered monitors, <c>R/members</c>: those of which a majority is counted.</summary>
    internal ImmutableArray<string> Members { get; init; } = [];

    /// <summary>Which znodes hold what nobody can read, and why, one sentence each.</summary>
    internal ImmutableArray<string> Unreadable { get; init; } = [];

    /// <summary>Whether a failover would work now, by the leading monitor's word; null when there is none.</summary>
    internal Readiness? Failover => LeadersView?.Failover;

    /// <summary>The leading monitor's view; null when there is none.</summary>
    internal MonitorReport? LeadersView => Leader is { } leader ? Monitors.GetValueOrDefault(leader.Id) : null;

    /// <summary>What holds for all monitors (<c>R/config</c>); null where it is not there or not readable.</summary>
    internal ClusterConfig? Config { get; init; }

    internal ReadOnlyMemory<byte>? ConfigJson { get; init; }

    /// <summary>The version of <c>R/config</c>; -1 where it is not there.</summary>
    internal int ConfigVersion { get; init; } = -1;

    /// <summary>The newest entry of <c>R/history</c>; null where there is none that can be read.</summary>
    internal HistoryEntry? LastInHistory { get; init; }

    /// <summary>
    /// The last change of the topology, by its entry in the history where that is written: it holds the time that the publication took too.
    /// </summary>
    internal HistoryEntry? LastChange
        => Topology.LastChange is { } change && LastInHistory is { } last
            && (last.Kind, last.Epoch, last.From, last.To, last.By) == (change.Kind, change.Epoch, change.From, change.To, change.By)
            ? last : Topology.LastChange;

    /// <summary>An operator's wish that the monitors have neither fulfilled nor refused yet.</summary>
    internal string? Wish { get; init; }
}
