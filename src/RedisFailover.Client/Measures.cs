using System.Diagnostics.Metrics;

namespace RedisFailover.Client;

/// <summary>What the client counts, under the meter <see cref="FailoverDiagnostics.MeterName"/>. On slow paths only.</summary>
internal static class Measures
{
    private static readonly Meter s_meter = new(FailoverDiagnostics.MeterName);

    /// <summary>Calls sent again after a failure that is known not to have applied them, or that read.</summary>
    public static readonly Counter<long> Retries =
        s_meter.CreateCounter<long>("redis_failover.client.retries", "{call}", "Calls that were sent again.");

    /// <summary>Calls that ended with <see cref="MayHaveBeenAppliedException"/>.</summary>
    public static readonly Counter<long> Ambiguous =
        s_meter.CreateCounter<long>("redis_failover.client.ambiguous", "{call}", "Calls that may have been applied.");

    /// <summary>Calls that ended with <see cref="NotAppliedException"/>.</summary>
    public static readonly Counter<long> NotApplied =
        s_meter.CreateCounter<long>("redis_failover.client.not_applied", "{call}", "Calls that no node took in time.");

    /// <summary>Topologies that took effect.</summary>
    public static readonly Counter<long> Topologies =
        s_meter.CreateCounter<long>("redis_failover.client.topologies", "{change}", "Topologies that took effect.");

    /// <summary>Times that subscriptions stood still while the master changed.</summary>
    public static readonly Counter<long> SubscriptionGaps = s_meter.CreateCounter<long>(
        "redis_failover.client.subscription_gaps", "{gap}",
            "Times that subscriptions stood still: what was published meanwhile was missed.");

    /// <summary>What a call ends with, counted as what it is: here alone, so that no end is told and not counted. A transaction is one
    /// call, and so is what a batch has left that no master took.</summary>
    public static FailoverException Counted(FailoverException told, FailoverOptions options)
    {
        Count(told is MayHaveBeenAppliedException ? Ambiguous : NotApplied, options);
        return told;
    }

    /// <summary>Counts one, and goes on whatever a listener of the application throws: the failure is the listener's own.</summary>
    public static void Count(Counter<long> counter, FailoverOptions options)
    {
        if (options.IsTold)
        {
            Tolerated.Run(() => counter.Add(1));
        }
    }
}
