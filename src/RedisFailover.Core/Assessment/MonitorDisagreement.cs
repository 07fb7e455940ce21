using System.Collections.Immutable;

namespace RedisFailover;

/// <summary>
/// Which monitors are configured with other nodes or settings than this one, as far as their views tell: whoever leads goes by its own.
/// </summary>
internal static class MonitorDisagreement
{
    internal static Problem? Of(Assessment a)
    {
        List<string> parts = [];
        List<string> monitors = [];
        foreach ((string monitor, MonitorReport report) in a.View.OtherMonitors.OrderBy(m => m.Key, StringComparer.Ordinal))
        {
            ImmutableSortedSet<NodeAddress> theirs = [.. report.Available.Keys.Concat(report.Unavailable)];
            ImmutableArray<NodeAddress> more = [.. theirs.Except(a.Policy.Nodes).Except(a.View.Outside(a.Policy))];
            ImmutableArray<NodeAddress> fewer = NotWatchedBy(a, theirs);
            ImmutableArray<string> others = OtherSettings(a, report);
            if (!more.IsEmpty || !fewer.IsEmpty || !others.IsEmpty)
            {
                monitors.Add(monitor);
                parts.Add($"{monitor} " + string.Join(" and ", new[]
                {
                    more.IsEmpty ? null : $"watches {string.Join(", ", more)} as well",
                    fewer.IsEmpty ? null : $"does not watch {string.Join(", ", fewer.Select(n => Described(n, report)))}",
                    others.IsEmpty ? null : $"has {string.Join(", ", others)}",
                }.OfType<string>()));
            }
        }

        return parts.Count == 0 ? null : Problem.OfMonitors(
            ProblemCatalogue.MonitorsDisagree,
            $"the monitors differ: {string.Join("; ", parts)}; whoever leads goes by its own",
            monitors);
    }

    /// <summary>A monitor before 0.2 does not say why.</summary>
    private static string Described(NodeAddress node, MonitorReport report)
        => report.Unwatched.TryGetValue(node, out string? why) ? $"{node} ({why})"
            : report.Settings.IsEmpty ? $"{node} (or is refused there)" : $"{node}";

    /// <summary>Its settings where they differ, by the same <c>R/config</c>, with the leader's own in brackets.</summary>
    private static ImmutableArray<string> OtherSettings(Assessment a, MonitorReport report)
        => report.Settings.IsEmpty || report.ConfigVersion != (a.View.Config is null ? -1 : a.View.ConfigVersion) ? []
            : [.. PolicySettings.Of(a.Policy).Where(own => report.Settings.TryGetValue(own.Key, out string? theirs) && theirs != own.Value)
                .Select(own => $"{own.Key} {report.Settings[own.Key]} (not {own.Value})")];

    /// <summary>A node that answers here and that a monitor with a view has no opinion on for long is one that it does not know.</summary>
    private static ImmutableArray<NodeAddress> NotWatchedBy(Assessment a, ImmutableSortedSet<NodeAddress> theirs)
        => theirs.IsEmpty || a.Now < a.View.LeadingSince + a.Policy.ViewLifetime ? []
            : [.. a.Policy.Nodes.Except(theirs)
                .Where(n => a.Node(n).IsAnswering && a.Node(n).View.OnlineSince + a.Policy.ViewLifetime <= a.Now).Order()];
}
