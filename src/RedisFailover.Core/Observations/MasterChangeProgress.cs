namespace RedisFailover;

/// <summary>A change of master that this monitor is carrying out, on its monotonic clock.</summary>
/// <param name="StartedAt">When this monitor decided on it, or read that another had.</param>
/// <param name="LostAt">When the old master's failures began, or <paramref name="StartedAt"/> where there were none.</param>
/// <param name="Inherited">Whether another leader began it.</param>
internal sealed record MasterChangeProgress(TimeSpan StartedAt, TimeSpan LostAt, bool Inherited)
{
    /// <summary>
    /// How long the change had been under way, by the wall clocks, when this monitor took it over from another; null where that is not
    /// known. Zero for one that it began itself.
    /// </summary>
    public TimeSpan? Before { get; init; } = TimeSpan.Zero;

    /// <summary>The monitor that it was taken over from; null where there is none, or its name is not known.</summary>
    public string? BegunBy { get; init; }

    /// <summary>
    /// The epoch in which it was taken over from another, who may have promoted a node in it; null for one that this monitor
    /// began itself.
    /// </summary>
    public long? InheritedEpoch { get; init; }

    /// <summary>
    /// From when on its steps are counted: the first failure of the old master, or, where it hangs, its last answer. <see cref="LostAt"/>
    /// unless told.
    /// </summary>
    public TimeSpan CountedFrom { get; init; } = LostAt;

    /// <summary>When the intent was acknowledged by the ZooKeeper quorum, or found there.</summary>
    public TimeSpan? IntentAt { get; init; }

    /// <summary>Of a switchover: when the old master confirmed that it holds writes.</summary>
    public TimeSpan? PausedAt { get; init; }

    /// <summary>Whether the old master may still hold its writes, for the pause that it was told.</summary>
    public bool HoldsWrites { get; init; }

    /// <summary>
    /// When the last promotion began: till then the replicas were detached and heard, nodes that hang waited for, and offsets
    /// caught up.
    /// </summary>
    public TimeSpan? ChosenAt { get; init; }

    /// <summary>The node that this monitor promoted; null before.</summary>
    public NodeAddress? Promoted { get; init; }

    /// <summary>Why the promoted node was not fit, where an operator asked for it all the same; null where it was.</summary>
    public string? PromotedDespite { get; init; }

    /// <summary>When the new master confirmed that it is one.</summary>
    public TimeSpan? PromotedAt { get; init; }
}
