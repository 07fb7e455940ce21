namespace RedisFailover.Client;

/// <summary>What the databases of a <see cref="FailoverConnection"/> can beyond StackExchange.Redis' interface.</summary>
public static class FailoverDatabaseExtensions
{
    /// <summary>
    /// The same database for calls that may be applied twice (SET, SADD, DEL, EXPIRE …, not INCR or LPUSH): those whose connection
    /// broke before the reply are sent again instead of ending with <see cref="MayHaveBeenAppliedException"/>, as
    /// <see cref="FailoverOptions.RetryAmbiguous"/> does it for all. Batches and transactions made from it are not repeated.
    /// Costs one small object; keep it or make it for each call.
    /// </summary>
    /// <param name="database">From <see cref="FailoverConnection.GetDatabase"/>.</param>
    /// <exception cref="ArgumentException">The database is of another origin.</exception>
    public static IDatabase AsIdempotent(this IDatabase database)
        => database is FailoverDatabase failover
            ? failover.Idempotent()
            : throw new ArgumentException("Only a database of a FailoverConnection can repeat calls.", nameof(database));
}
