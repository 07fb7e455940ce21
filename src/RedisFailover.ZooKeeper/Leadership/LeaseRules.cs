namespace RedisFailover.ZooKeeper;

/// <summary>The figures of the lease, in one place. L is its length, T the session timeout that the server granted.</summary>
/// <remarks>
/// A leader may act until L after it sent the last beat that a quorum took. A follower takes over no sooner than 1.25 L after it received
/// a reply that carried that beat, which is later than the sending. With each clock within 10 % of true time the follower's 1.25 L last at
/// least 1.25 / 1.1 = 1.136 L, the leader's L at most 1 / 0.9 = 1.111 L: nobody begins before the other has ended (S8). S1 to S9, here and
/// in the tests, are the holes that docs/decisions/007-leadership-in-lease-time.md names.
/// </remarks>
internal static class LeaseRules
{
    /// <summary>The shortest lease.</summary>
    internal static readonly TimeSpan Shortest = TimeSpan.FromMilliseconds(100);

    /// <summary>For how long a write that took long lengthens the lease.</summary>
    internal static readonly TimeSpan Recent = TimeSpan.FromSeconds(5);

    /// <summary>For how long a leader that was deposed alive goes by twice the length.</summary>
    internal static readonly TimeSpan Doubled = TimeSpan.FromMinutes(10);

    /// <summary>The session, and with it the leader's ephemeral znodes, outlives every lease (S6).</summary>
    internal static TimeSpan Longest(TimeSpan sessionTimeout) => sessionTimeout / 2;

    /// <summary>How often a beat is sent.</summary>
    internal static TimeSpan BeatEvery(TimeSpan length) => length / 3;

    /// <summary>For how long a heartbeat has to be seen unchanged until its owner's lease is over for certain.</summary>
    internal static TimeSpan SilentAfter(TimeSpan length) => length * 1.25;

    /// <summary>The longest pause between two attempts to reconnect.</summary>
    internal static TimeSpan ReconnectWithin(TimeSpan length) => length / 4;
}
