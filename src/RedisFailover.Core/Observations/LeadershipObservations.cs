using System.Collections.Immutable;

namespace RedisFailover;

/// <summary>What this monitor forgets when it begins to lead, and when it no longer does.</summary>
internal static class LeadershipObservations
{
    /// <summary>A leader trusts nothing that it heard before its election: it reads the topology first.</summary>
    internal static ClusterView Elected(this ClusterView view, LeadershipGained gained, FailoverPolicy policy) => view.Forgotten() with
    {
        Term = gained.Term,
        LeadingSince = gained.At,
        Awaited = view.AwaitedAt(gained.At, policy),
        WaitsForRegistered = true,
        OutseenSince = null,
        GaveUpAt = null,
        Unpublished = null,
        TopologyRefused = null,
        // What the replicas said was asked for other purposes: a request is heard once they have answered the new leader.
        WishedAt = gained.At,
        // Whoever is elected reaches it, whatever was told of an outage.
        ZooKeeperLostAt = null,
    };

    /// <summary>Nor does one that leads no longer follow what the others see.</summary>
    internal static ClusterView Deposed(this ClusterView view) => view.Forgotten() with
    {
        Term = null,
        WaitsForRegistered = false,
        Running = view.Running.Remove(new Resign("")),
        OtherMonitors = view.OtherMonitors.ToImmutableDictionary(m => m.Key, _ => MonitorReport.None),
    };

    /// <summary>The topology, and what was under way by it, are one term's: the next one reads them anew.</summary>
    private static ClusterView Forgotten(this ClusterView view) => view with
    {
        TopologyKnown = false,
        TopologyIsOurs = false,
        Progress = null,
        HandedOver = null,
        Resumption = null,
        ResumptionEndsAt = null,
        Failed = view.Failed.Clear(),
    };
}
