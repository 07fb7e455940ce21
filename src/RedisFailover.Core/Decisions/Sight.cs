using System.Collections.Immutable;

namespace RedisFailover;

/// <summary>
/// How many of the configured nodes a monitor reaches. A leader that reaches fewer than another monitor does cannot do what has to
/// be done and gives up its lead, so that another takes over.
/// </summary>
internal static class Sight
{
    /// <summary>Another monitor reaches more nodes than this one: which, and how many each.</summary>
    internal readonly record struct Difference(string Monitor, int Theirs, int Ours);

    /// <summary>The monitor that reaches most, if that is more than this one does; null otherwise.</summary>
    internal static Difference? Better(ClusterView view, FailoverPolicy policy)
    {
        // What this monitor has not tried often enough to judge counts as reached: it may only just have started.
        int ours = policy.Nodes.Count(n => view.Node(n) is { Condition: not NodeCondition.Unavailable, Evidence: not (Evidence.Denied or Evidence.Nonsense) });
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

    /// <summary>
    /// When the lead has to be given up if nothing changes until then; null while nobody reaches more. A crash is noticed by one
    /// monitor earlier than by another, so the difference has to last; and where nothing is amiss yet, for longer than a monitor
    /// that hangs, with a view that is out of date, stays on the list.
    /// </summary>
    internal static TimeSpan? Deadline(ClusterView view, FailoverPolicy policy, bool masterIsMissing)
        => view.OutseenSince is { } since
            ? since + policy.SightPatience + (masterIsMissing ? TimeSpan.Zero : policy.ViewLifetime)
            : null;

    /// <summary>Giving up the lead, when it is due; null when it is not.</summary>
    internal static Decision? Resignation(ClusterView view, FailoverPolicy policy, TimeSpan now, bool masterIsMissing)
    {
        if (Deadline(view, policy, masterIsMissing) is not { } deadline || now < deadline || Better(view, policy) is not { } better)
        {
            return null;
        }

        string reason = $"giving up the lead: {better.Monitor} reaches {better.Theirs} of {policy.Nodes.Length} nodes, this monitor {better.Ours}";
        return Decision.Do(reason, new Resign(reason)) with { Warning = reason };
    }

    /// <summary>
    /// Which monitors are configured with other nodes than this one, as far as their views tell, or null: whoever leads makes the topology of
    /// its own list. A node that answers here and that a monitor with a view has no opinion on for long is one that it does not know.
    /// </summary>
    internal static string? Disagreement(ClusterView view, FailoverPolicy policy, TimeSpan now, Topology topology)
    {
        List<string> parts = [];
        foreach ((string monitor, MonitorReport report) in view.OtherMonitors.OrderBy(m => m.Key, StringComparer.Ordinal))
        {
            ImmutableSortedSet<NodeAddress> theirs = [.. report.Available.Keys.Concat(report.Unavailable)];
            ImmutableArray<NodeAddress> more = [.. theirs.Except(policy.Nodes).Where(n => n != topology.Master)];
            ImmutableArray<NodeAddress> fewer = theirs.IsEmpty || now < view.LeadingSince + policy.ViewLifetime ? []
                : [.. policy.Nodes.Except(theirs).Where(n => view.Node(n).IsAnswering && view.Node(n).OnlineSince + policy.ViewLifetime <= now).Order()];
            if (!more.IsEmpty || !fewer.IsEmpty)
            {
                parts.Add($"{monitor} {(more.IsEmpty ? "" : $"watches {string.Join(", ", more)} as well")}{(more.IsEmpty || fewer.IsEmpty ? "" : " and ")}"
                    + (fewer.IsEmpty ? "" : $"does not watch {string.Join(", ", fewer)}, or is refused there"));
            }
        }

        return parts.Count == 0 ? null : $"the monitors are not configured with the same nodes: {string.Join("; ", parts)}; whoever leads goes by its own";
    }
}
