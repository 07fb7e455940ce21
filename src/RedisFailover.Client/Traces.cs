using System.Diagnostics;

namespace RedisFailover.Client;

/// <summary>What is traced under <see cref="FailoverDiagnostics.ActivitySourceName"/>: nothing of a call that succeeds at once.</summary>
internal static class Traces
{
    private static readonly ActivitySource s_source = new(FailoverDiagnostics.ActivitySourceName);

    /// <summary>A call waits: for a node that can take it, or before it is sent again.</summary>
    public static Activity? Waits(FailoverOptions options, CommandClass kind, LiveNode? failed, Exception? failure)
        => !s_source.HasListeners() || !options.IsTold
            ? null : Tolerated.Run(() => s_source.StartActivity("redis_failover.wait", ActivityKind.Client)?
            .SetTag("redis_failover.class", kind == CommandClass.Write ? "write" : "read")
            .SetTag("server.address", failed?.Address.Host)
            .SetTag("server.port", failed?.Address.Port)
            .SetTag("error.type", failure?.GetType().Name));

    /// <summary>From the moment when the master cannot take writes until one can.</summary>
    public static Activity? WithoutMaster(FailoverOptions options, NodeAddress? former, long epoch)
    {
        if (!s_source.HasListeners() || !options.IsTold)
        {
            return null;
        }

        // Nobody's child: it is told on whichever thread brought the news.
        Activity? around = Activity.Current;
        Activity.Current = null;
        Activity? outage = Tolerated.Run(() => s_source.StartActivity("redis_failover.no_master"));
        Activity.Current = around;
        return outage?.SetTag("redis_failover.former_master", former?.ToString()).SetTag("redis_failover.former_epoch", epoch);
    }

    public static void End(Activity? outage, NodeAddress master, long epoch)
    {
        if (outage is not null)
        {
            Activity? around = Activity.Current;
            Tolerated.Run(() => outage.SetTag("redis_failover.master", master.ToString()).SetTag("redis_failover.epoch", epoch).Dispose());
            Activity.Current = around;
        }
    }
}
