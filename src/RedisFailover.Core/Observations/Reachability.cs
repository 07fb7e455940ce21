using System.Collections.Immutable;

namespace RedisFailover;

/// <summary>
/// How many of the cluster's nodes each monitor reaches: those configured here, the master, those that copy it, and those that most
/// monitors are configured with, such as a former master that comes back. Who knows fewer than another cannot do what is to be done.
/// </summary>
internal static class Reachability
{
    /// <summary>Another monitor reaches more nodes than this one: which, and how many each.</summary>
    internal readonly record struct Difference(string Monitor, int Theirs, int Ours);

    /// <summary>The monitor that reaches most, if that is more than this one does; null otherwise.</summary>
    internal static Difference? Better(ClusterView view, FailoverPolicy policy)
    {
        NodeAddress? master = view.Topology?.Master ?? view.Topology?.Intent?.From;
        ImmutableHashSet<NodeAddress> nodes = [.. policy.Nodes, .. WatchedByMost(view, policy)];
        nodes = master is null ? nodes : [.. nodes, master, .. view.Node(master).Info?.Replicas.Select(r => r.Replica) ?? []];
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

    /// <summary>A node that few are configured with may have been taken out of the cluster, and their configuration may be old.</summary>
    private static IEnumerable<NodeAddress> WatchedByMost(ClusterView view, FailoverPolicy policy)
        => view.OtherMonitors.Values.SelectMany(m => m.Available.Keys.Union(m.Unavailable)).Concat(policy.Nodes)
            .GroupBy(n => n).Where(n => 2 * n.Count() > view.OtherMonitors.Count + 1).Select(n => n.Key);
}
