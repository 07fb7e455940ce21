namespace RedisFailover.Client;

/// <summary>The names under which the client can be observed.</summary>
public static class FailoverDiagnostics
{
    /// <summary>
    /// The meter. Counters: redis_failover.client.retries, .ambiguous, .not_applied (calls),
    /// .topologies (changes) and .subscription_gaps (messages published meanwhile were missed).
    /// </summary>
    public const string MeterName = "RedisFailover.Client";

    /// <summary>
    /// The source of activities: redis_failover.wait, a child of the caller's activity, while a call waits for a node or before it
    /// is sent again; and redis_failover.no_master, from the moment when no master takes writes until one does.
    /// </summary>
    public const string ActivitySourceName = "RedisFailover.Client";

    /// <summary>The category of everything logged.</summary>
    public const string LogCategory = "RedisFailover.Client";
}
