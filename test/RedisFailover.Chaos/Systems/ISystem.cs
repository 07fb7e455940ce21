namespace RedisFailover.Chaos.Systems;

/// <summary>A failover system with its machines: what is struck, and what is asked whether all is well again.</summary>
internal interface ISystem : IAsyncDisposable
{
    string Name { get; }

    Network Network { get; }

    IReadOnlyList<RedisNode> Nodes { get; }

    /// <summary>Monitors, or sentinels.</summary>
    IReadOnlyList<Machine> Monitors { get; }

    /// <summary>ZooKeeper servers; none for Sentinel.</summary>
    IReadOnlyList<Machine> ZooKeepers { get; }

    IReadOnlyList<Machine> Clients { get; }

    /// <summary>The monitor that leads; any sentinel.</summary>
    Task<Machine> LeaderAsync(CancellationToken ct);

    /// <summary>The ZooKeeper server that leads its quorum.</summary>
    Task<Machine> ZooKeeperLeaderAsync(CancellationToken ct);

    /// <summary>Why the system itself does not say that all is well with this master and two replicas; null when it does.</summary>
    Task<string?> ComplaintAsync(RedisNode master, CancellationToken ct);

    /// <summary>Asks for a planned change of master.</summary>
    Task SwitchOverAsync(CancellationToken ct);

    /// <summary>Does what the system says that only an operator can do, and tells what; null where it says nothing of the kind.</summary>
    Task<string?> HelpAsync(CancellationToken ct);

    /// <summary>What it noted since then of writes that a new master lacks; null: it keeps no such record.</summary>
    Task<IReadOnlyList<string>?> NotedLossesAsync(DateTime since, CancellationToken ct);

    /// <summary>Puts what it recorded into a file beside the logs, if it records anything.</summary>
    Task SaveRecordsAsync(string directory, CancellationToken ct);
}
