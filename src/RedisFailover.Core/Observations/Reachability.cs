namespace RedisFailover;

/// <summary>How many of the configured nodes each monitor reaches.</summary>
internal static class Reachability
{
    /// <summary>Another monitor reaches more nodes than this one: which, and how many each.</summary>
    internal readonly record struct Difference(string Monitor, int Theirs, int Ours);

    /// <summary>The monitor that reaches most, if that is more than this one does; null otherwise.</summary>
    internal static Difference? Better(ClusterView view, FailoverPolicy policy)
    {
        // What this monitor has not tried often enough to judge counts as reached: it may only just have started.
        int ours = policy.Nodes.Count(n
                => view.Node(n) is { Condition: not NodeCondition.Unavailable,
                    ProbeFailure: not (ProbeFailure.AuthRefused or ProbeFailure.NotRedis or ProbeFailure.Local) });
        Difference? better = null;
        foreach ((string monitor, MonitorReport report) in view.OtherMonitors.OrderBy(m => m.Key, StringComparer.Ordinal))
        {
            int theirs = policy.Nodes.Count(report.Available.ContainsKey);
            if (theirs > (better?.Theirs ?? ours))
            {
                better = new Difference(monitor, theirs, ours);
            }
        }

        return better;
    }
}
