namespace RedisFailover.ZooKeeper;

/// <summary>How a process shows that it is alive, and for how long it may act when it leads.</summary>
public sealed record LeaseOptions
{
    /// <summary>The parent of all heartbeats. Created when missing.</summary>
    public required string HeartbeatsPath { get; init; }

    /// <summary>This process' name in its heartbeat, for people; part of the path, so without a slash.</summary>
    public required string Owner { get; init; }

    /// <summary>
    /// The shortest lease L, from 100 ms; default 500 ms. It is three times the longest recent write where that is more, and never more
    /// than half the session timeout. A beat is sent every L/3; another takes over when it has seen none for 1.25 L.
    /// </summary>
    public TimeSpan Length { get; init; } = TimeSpan.FromMilliseconds(500);

    /// <summary>
    /// Asked before each beat, on the beats' own thread: false when the rest of the process has stopped to work. Default: it works.
    /// </summary>
    public Func<bool>? IsAlive { get; init; }

    internal static LeaseOptions Validate(LeaseOptions options)
    {
        ArgumentNullException.ThrowIfNull(options);
        ZnodePath.Validate(options.HeartbeatsPath);
        ArgumentException.ThrowIfNullOrEmpty(options.Owner);
        ArgumentOutOfRangeException.ThrowIfLessThan(options.Length, LeaseRules.Shortest);
        return options.Owner.Contains('/', StringComparison.Ordinal)
            ? throw new ArgumentException("The owner's name is part of a path: no slash.", nameof(options))
            : options;
    }
}

/// <summary>What the leases of a process are like at this moment.</summary>
/// <param name="Asked">The length that was asked for.</param>
/// <param name="Length">The length now.</param>
/// <param name="Wanted">What it would have to be for writes that take so long; more than <paramref name="Length"/> where the session
/// timeout is too short.</param>
/// <param name="Write">The longest recent write.</param>
/// <param name="SessionTimeout">The session timeout that the server granted.</param>
/// <param name="NotHeldFor">For how long this process leads without a lease; null while it does not lead, or holds all its leases.</param>
public sealed record LeaseStatus(TimeSpan Asked, TimeSpan Length, TimeSpan Wanted, TimeSpan Write, TimeSpan SessionTimeout,
    TimeSpan? NotHeldFor);

/// <summary>What is known of another process by its heartbeat.</summary>
/// <param name="Owner">Its name.</param>
/// <param name="Session">Its session, which <see cref="ZnodeStat.EphemeralOwner"/> of its other znodes tells as well.</param>
/// <param name="IsSilent">Whether its heartbeat has not changed for 1.25 of its lease: it may not act as a leader, and what it says is
/// old.</param>
/// <param name="IsBeating">Whether its heartbeat was seen to change, and is not silent.</param>
/// <param name="Lease">The length of its leases.</param>
/// <param name="Write">The longest of its recent writes.</param>
public sealed record Peer(string Owner, long Session, bool IsSilent, bool IsBeating, TimeSpan Lease, TimeSpan Write);
