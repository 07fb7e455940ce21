using System.Collections.Immutable;

namespace RedisFailover;

/// <summary>Who may have what a node lacks, and until when they are waited for.</summary>
/// <param name="Nodes">Those who are waited for, one at least.</param>
/// <param name="Until">When that is over for the first of them.</param>
internal sealed record Latecomers(ImmutableArray<NodeAssessment> Nodes, TimeSpan Until)
{
    /// <summary>Those who may have more than this node; null where nobody is waited for, as beside the master as it was.</summary>
    internal static Latecomers? Beside(Assessment a, NodeAssessment node)
    {
        // Also of a master that was last seen empty: what it took since is known to nobody yet.
        if (a.Topology.Identity is not { } lost || node.Info is not { } info || info.RunId == lost.RunId)
        {
            return null;
        }

        (NodeAssessment Node, TimeSpan Until)[] awaited =
        [
            .. a.Configured.Where(n => n.Address != node.Address
                    && (n.Address == a.From?.Address || a.Topology.Members.Contains(n.Address)))
                .Select(n => (n, UntilOf(a, lost, node, n))).Where(n => n.Item2 > a.Now),
        ];
        return awaited.Length == 0 ? null : new Latecomers([.. awaited.Select(n => n.Node)], awaited.Min(n => n.Until));
    }

    /// <summary>
    /// Nodes with more than this one that another monitor reaches and this one does not. Whoever began the failover leaves it to that
    /// monitor; who inherits it does not, or they could hand it to and fro.
    /// </summary>
    internal static ImmutableArray<NodeAssessment> Elsewhere(Assessment a, NodeAssessment node)
        => a.Topology.Identity is not { } lost || a.Progress.Inherited ? []
            : [.. a.Configured.Where(n => n.Address != a.From?.Address && HadMore(lost, node, n) && IsElsewhere(a, n))];

    /// <summary>
    /// One that had more when it last spoke has the time in which it is judged. Beside a process that was started from a file, and was not
    /// seen with a link to its master, everybody counts who has not spoken since: how far the master had come at its end nobody knows, as
    /// its last answer is up to a second older.
    /// </summary>
    private static TimeSpan UntilOf(Assessment a, MasterIdentity lost, NodeAssessment node, NodeAssessment other)
        => Times.Later(
            a.From is { } from && from.Address != other.Address && HadMore(lost, node, other) ? JudgedBy(a, other) : TimeSpan.MinValue,
            node.View.HasFollowed || HasSpoken(other) ? TimeSpan.MinValue
                : Times.Later((node.View.OnlineSince ?? a.Now) + a.Policy.ReturnPatience, LoadedBy(a, other)));

    private static bool HadMore(MasterIdentity lost, NodeAssessment node, NodeAssessment other)
        => other.Info is { } had && had.CommonOffset(lost) - node.Info!.CommonOffset(lost) is { } more && DataLoss.Writes(more) > 0;

    /// <summary>Of one that does not speak now, until when it may: one that hangs, is busy or loads, or that others alone reach.</summary>
    private static TimeSpan JudgedBy(Assessment a, NodeAssessment other) => other.Contact switch
    {
        Contact.Failing or Contact.Busy => Since(a, other) + a.Policy.SilenceLimit,
        Contact.Loading => (other.View.LoadingSince ?? a.Now) + a.Policy.LoadingTimeout,
        _ when IsElsewhere(a, other) => Since(a, other) + a.Policy.SilenceLimit + a.Policy.ReachabilityPatience,
        _ => TimeSpan.MinValue,
    };

    private static TimeSpan Since(Assessment a, NodeAssessment other) => other.View.FailingSince ?? other.View.BusySince ?? a.Now;

    private static bool IsElsewhere(Assessment a, NodeAssessment other)
        => other.Contact == Contact.Unreachable
            && a.View.OtherMonitors.Values.Any(m => !m.IsBlind && m.Available.ContainsKey(other.Address));

    /// <summary>One that loads its data has them. While a master serves there is no hurry; while there is none it has its time.</summary>
    private static TimeSpan LoadedBy(Assessment a, NodeAssessment other)
        => other is not { Contact: Contact.Loading, View.LoadingSince: { } since } ? TimeSpan.MinValue
            : a.Topology.State == TopologyState.Ok ? a.Now + a.Policy.ProbeTimeout
            : since + a.Policy.LoadingTimeout;

    private static bool HasSpoken(NodeAssessment node)
        => node.IsCurrent && (node.Has(HeardSince.Change) || node.Has(HeardSince.MasterReturn));
}
