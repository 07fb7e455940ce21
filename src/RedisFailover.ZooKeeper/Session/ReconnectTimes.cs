namespace RedisFailover.ZooKeeper;

/// <summary>How long a session waits between attempts, how long an attempt may take, and when the session is given up.</summary>
internal sealed class ReconnectTimes(SessionIdentity identity, ZooKeeperOptions options, int hosts)
{
    private static readonly TimeSpan Shortest = TimeSpan.FromMilliseconds(20);

    /// <summary>How long it was since a server last answered; by the clock that does not jump.</summary>
    internal TimeSpan Down => options.TimeProvider.GetElapsedTime(identity.LastContact.Monotonic);

    /// <summary>How long the last attempt took that led to a connection.</summary>
    internal TimeSpan AttemptTook { get; set; }

    /// <summary>How many attempts in a row have ended because no server answered in time.</summary>
    internal int Silences { get; set; }

    /// <summary>
    /// Only a server can say that a session has expired. When none can be asked for 4/3 T it has: nobody will find it alive.
    /// </summary>
    internal bool IsGivenUp => identity.Id != 0 && Down >= LocalExpiry;

    /// <summary>
    /// The longest that an attempt may take, the resolving of a name included: T/hosts, and no longer than until the local expiry. Where
    /// the network is slow that is too short for any server: up to T then, for a new session once a whole round was not answered, for a
    /// session by what its last connection took.
    /// </summary>
    internal TimeSpan LongestAttempt
    {
        get
        {
            TimeSpan longest = identity.Timeout / hosts;
            TimeSpan slow = identity.Id == 0 ? longest * (1 << Math.Min(Silences / hosts, 4)) : 1.5 * AttemptTook;
            slow = slow < identity.Timeout ? slow : identity.Timeout;
            longest = longest > slow ? longest : slow;
            if (identity.Id == 0)
            {
                return longest;
            }

            TimeSpan left = LocalExpiry - Down;
            longest = left < longest ? left : longest;
            return longest < Shortest ? Shortest : longest;
        }
    }

    private TimeSpan LocalExpiry => options.GivesUpAfter ?? identity.Timeout * 4 / 3;

    internal TimeSpan UntilNextAttempt(int failures)
    {
        TimeSpan backoff = Dialer.Backoff(failures, identity.Timeout, options.ReconnectWithin);
        TimeSpan left = LocalExpiry - Down;
        return identity.Id == 0 || backoff < left ? backoff : left > TimeSpan.Zero ? left : TimeSpan.Zero;
    }

    /// <summary>
    /// How long a server may take to accept, and then to answer. One that accepts and does not answer, as one of a dead host, must not
    /// hold up the others: at first three times as long as the last connection took, twice as long after each round of failures, T/hosts at
    /// most.
    /// </summary>
    internal TimeSpan AttemptWithin(int failures, TimeSpan longest)
    {
        if (identity.Id == 0)
        {
            return longest;
        }

        TimeSpan within = 3 * AttemptTook > options.ShortestAttempt ? 3 * AttemptTook : options.ShortestAttempt;
        for (int round = failures / hosts; round > 0 && within < longest; round--)
        {
            within *= 2;
        }

        return within < longest ? within : longest;
    }
}
