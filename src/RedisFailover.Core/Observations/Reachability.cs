using System.Collections.Immutable;

namespace RedisFailover;

/// <summary>
/// How many of the cluster's nodes each monitor reaches: those configured here, the master, and those that others are configured with and
/// that copy it. Who knows fewer than another cannot do what has to be done either.
/// </summary>
internal static class Reachability
{
    /// <summary>Another monitor reaches more nodes than this one: which, and how many each.</summary>
    internal readonly record struct Difference(string Monitor, int Theirs, int Ours);

    /// <summary>The monitor that reaches most, if that is more than this one does; null otherwise.</summary>
    internal static Difference? Better(ClusterView view, FailoverPolicy policy)
    {
        NodeAddress? master = view.Topology?.Master ?? view.Topology?.Intent?.From;
        ImmutableHashSet<NodeAddress> nodes = master is null ? [.. policy.Nodes]
            : [.. policy.Nodes, master, .. view.Node(master).Info?.Replicas.Select(r => r.Replica) ?? []];
        // What this monitor has not tried often enough to judge counts as reached: it may only just have started.
        int ours = policy.Nodes.Concat(view.Outside(policy)).Where(nodes.Contains).Count(n
                => view.Node(n) is { Condition: not NodeCondition.Unavailable,
                    ProbeFailure: not (ProbeFailure.AuthRefused or ProbeFailure.NotRedis or ProbeFailure.Local) });
        Difference? better = null;
        foreach ((string monitor, MonitorReport report) in view.OtherMonitors.OrderBy(m => m.Key, StringComparer.Ordinal))
        {
            int theirs = report.Available.Keys.Count(nodes.Contains);
            if (theirs > (better?.Theirs ?? ours))
            {
                better = new Difference(monitor, theirs, ours);
            }
        }

        return better;
    }
}
