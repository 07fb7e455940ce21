using System.Collections.Immutable;

namespace RedisFailover.Client;

/// <summary>A node of the topology that is not connected.</summary>
/// <param name="Node">The node.</param>
/// <param name="Reason">Why, as the end of a sentence: "connection refused", "it refuses the password (WRONGPASS …)".</param>
public sealed record UnreachableNode(NodeAddress Node, string Reason)
{
    /// <summary>One line for people.</summary>
    public override string ToString() => $"{Node}: {Reason}";
}

/// <summary>What a <see cref="FailoverConnection"/> can do at one moment.</summary>
public sealed record FailoverStatus
{
    /// <summary>The topology in force.</summary>
    public required Topology Topology { get; init; }

    /// <summary>Whether a write would be sent at once; otherwise it waits.</summary>
    public required bool TakesWrites { get; init; }

    /// <summary>Whether a read would be sent at once; otherwise it waits.</summary>
    public required bool TakesReads { get; init; }

    /// <summary>Whether writes are held because ZooKeeper was not heard of: <see cref="WhenDisconnected.FenceWrites"/>.</summary>
    public required bool Fenced { get; init; }

    /// <summary>
    /// Why the topology in ZooKeeper is not followed, as the end of a sentence; null where it is. It belongs to another incarnation of the
    /// store, and its master does not answer as master of the data that this client knows. If it may have taken over, writes are held.
    /// </summary>
    public string? NotFollowed { get; init; }

    /// <summary>
    /// How long ago ZooKeeper was last heard of; null for never, after a start from <see cref="FailoverOptions.TopologyCacheFile"/>.
    /// </summary>
    public required TimeSpan? SinceZooKeeperContact { get; init; }

    /// <summary>The timeout of the ZooKeeper session as it was granted.</summary>
    public required TimeSpan SessionTimeout { get; init; }

    /// <summary>The nodes of the topology that are not connected, each with the reason.</summary>
    public ImmutableArray<UnreachableNode> Unreachable { get; init; } = [];

    /// <summary>
    /// Whether ZooKeeper was heard of within <see cref="SessionTimeout"/>: else this client may not learn of a change of master.
    /// </summary>
    public bool FollowsZooKeeper => SinceZooKeeperContact is { } silence && silence <= SessionTimeout;

    /// <summary>One line for people.</summary>
    public override string ToString()
        => $"epoch {Topology.Epoch} {Topology.State}, master {Topology.Master?.ToString() ?? "none"}, replicas "
            + $"[{string.Join(' ', Topology.Replicas)}], "
            + $"takes writes {TakesWrites}, takes reads {TakesReads}, fenced {Fenced}, ZooKeeper heard of "
            + $"{(SinceZooKeeperContact is { } ago ? $"{ago.TotalMilliseconds:0} ms ago" : "never")}"
            + (NotFollowed is null ? "" : $", the topology in ZooKeeper is not followed: {NotFollowed}")
            + (Unreachable.IsEmpty ? "" : $", not connected: {string.Join("; ", Unreachable)}");
}
