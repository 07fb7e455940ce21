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
    /// Nodes with more than this one that another monitor reaches and this one does not: the failover is left to that monitor. Each
    /// takeover is an epoch more than that in which the change began, so it is not handed to and fro for ever.
    /// </summary>
    internal static ImmutableArray<NodeAssessment> Elsewhere(Assessment a, NodeAssessment node)
        => a.Topology.Identity is not { } lost ? []
            : Elsewhere(a, a.Configured.Where(n => n.Address != a.From?.Address && HadMore(a, lost, node, n)));

    /// <summary>Those of these nodes.</summary>
    internal static ImmutableArray<NodeAssessment> Elsewhere(Assessment a, IEnumerable<NodeAssessment> nodes)
        => a.Topology.Intent is not { BegunIn: > 0 and var begun } || a.Topology.Epoch - begun >= 2 * a.View.OtherMonitors.Count ? []
            : [.. nodes.Where(n => IsElsewhere(a, n) && !(a.Now < JudgedBy(a, n)))];

    /// <summary>
    /// One that had more when it last spoke has the time in which it is judged. Where this node was started from a file, and was never seen
    /// with a link to its master, each other that has not spoken since has time: the master's last answer is up to a second old, so what
    /// it took at its end only another node can show.
    /// </summary>
    private static TimeSpan UntilOf(Assessment a, MasterIdentity lost, NodeAssessment node, NodeAssessment other)
        => Times.Later(
            a.From is { } from && from.Address != other.Address && HadMore(a, lost, node, other) ? JudgedBy(a, other) : TimeSpan.MinValue,
            node.View.HasFollowed || HasSpoken(other) ? TimeSpan.MinValue
                : Times.Later((node.View.OnlineSince ?? a.Now) + a.Policy.ReturnPatience, LoadedBy(a, other)));

    /// <summary>
    /// Of one that may be promoted: whether it had more when it last spoke, one PING is nothing; or has never spoken here, where this node
    /// lacks something.
    /// </summary>
    private static bool HadMore(Assessment a, MasterIdentity lost, NodeAssessment node, NodeAssessment other)
        => !CandidateRules.IsNeverPromoted(a, other)
            && (other.Info is null
                ? a.Topology.Members.Contains(other.Address) && !(Histories.IsOfTheLoss(a, lost) && Histories.HasCome(a, node, lost))
                : other.Info.CommonOffset(lost) is { } had
                    && (node.Info!.CommonOffset(lost) is not { } has || DataLoss.Writes(had - has) > 0));

    /// <summary>
    /// Until when one may speak that does not now. One that hangs may be dead; one that is busy or loads lives. One that others reach is
    /// left to them once they have had the time to see it fail as well.
    /// </summary>
    private static TimeSpan JudgedBy(Assessment a, NodeAssessment other) => other.Contact switch
    {
        Contact.Failing => Times.Earlier((other.View.FailingSince ?? a.Progress.LostAt) + a.Policy.SilenceLimit, LastWait(a)),
        // It answers again, and hangs once more before it has left its master.
        Contact.Answering when !other.OffsetIsFinal && !a.WasRefused(new Detach(other.Address))
            => Times.Earlier((other.View.AnswersSince ?? a.Progress.LostAt) + a.Policy.SilenceLimit, LastWait(a)),
        Contact.Busy => a.Progress.LostAt + a.Policy.BusyTimeout,
        Contact.Loading => (other.View.LoadingSince ?? a.Progress.LostAt) + a.Policy.LoadingTimeout,
        _ when IsElsewhere(a, other) && other.View.FailingSince is { } since => since + a.Policy.SilenceLimit + a.Policy.ProbeTimeout,
        _ => TimeSpan.MinValue,
    };

    /// <summary>One that answers and hangs in turns is not waited for for ever.</summary>
    private static TimeSpan LastWait(Assessment a) => a.Progress.LostAt + a.Policy.SilenceLimit + a.Policy.BusyTimeout;

    /// <summary>A port that refuses proves that nothing is there, whoever has seen it a moment ago.</summary>
    private static bool IsElsewhere(Assessment a, NodeAssessment other)
        => (other.Contact is Contact.LocalFault or Contact.AuthRefused or Contact.NotRedis
                || (other.Contact == Contact.Unreachable && other.View.IsOutOfSight))
            && a.View.OtherMonitors.Values.Any(m => !m.IsBlind && m.Available.ContainsKey(other.Address));

    /// <summary>One that loads its data has them. While a master serves there is no hurry; while there is none it has its time.</summary>
    private static TimeSpan LoadedBy(Assessment a, NodeAssessment other)
        => other is not { Contact: Contact.Loading, View.LoadingSince: { } since } ? TimeSpan.MinValue
            : a.Topology.State == TopologyState.Ok ? a.Now + a.Policy.ProbeTimeout
            : since + a.Policy.LoadingTimeout;

    private static bool HasSpoken(NodeAssessment node)
        => node.IsCurrent && (node.Has(HeardSince.Change) || node.Has(HeardSince.MasterReturn));
}
