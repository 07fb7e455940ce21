using System.Collections.Immutable;
using System.Globalization;

namespace RedisFailover;

/// <summary>A node is chosen: it is promoted, in an epoch in which nobody else can have been.</summary>
internal static class Promoting
{
    internal static PlanBuilder Best(Assessment a, Screening screening)
    {
        NodeAssessment best = screening.Fit[0];
        string others = screening.Unfit.IsEmpty ? "" : $" ({screening.Objections})";
        return InAnEpochOfItsOwn(a, best) ?? PlanBuilder.Because(
                $"promoting {best.Address}: offset {best.Info!.Offset}, the master was last seen at "
                    + $"{a.Topology.Identity?.Offset.ToString(CultureInfo.InvariantCulture) ?? "an unknown one"}; the best of {screening.Fit.Length}{others}")
            .Do(new Promote(best.Address) { MinReplicas = WriteSafety.AtPromotion(a, best) });
    }

    /// <summary>Because an operator orders it, though the node is not fit.</summary>
    internal static PlanBuilder ByOrder(Assessment a, NodeAssessment node, string despite, string order)
        => Unfit(a, node, Ordered(despite), order);

    /// <summary>How a promotion that an operator ordered is told, with what speaks against it.</summary>
    internal static string Ordered(string despite) => $"by the operator's order though {despite}: what it did not hold is lost";

    /// <summary>Because nobody better can come.</summary>
    internal static PlanBuilder AsLastResort(Assessment a, NodeAssessment node, string why)
        => Unfit(a, node, $"as the last resort: {why}", $"promoting {node.Address} as the last resort, all nodes being here: {why}");

    private static PlanBuilder Unfit(Assessment a, NodeAssessment node, string despite, string reason)
        => InAnEpochOfItsOwn(a, node) ?? PlanBuilder.Because(reason)
            .Do(new Promote(node.Address, despite) { MinReplicas = WriteSafety.AtPromotion(a, node) })
            .ReportReason(ProblemCatalogue.NeedsOperator, node.Address);

    /// <summary>
    /// Whoever led before may have promoted a node that does not answer now, or that does not show it: the epoch is used up, and the next promotion
    /// has one of its own. Null where all others say that they are replicas.
    /// </summary>
    private static PlanBuilder? InAnEpochOfItsOwn(Assessment a, NodeAssessment chosen)
    {
        ImmutableArray<NodeAddress> uncertain = a.Progress.InheritedEpoch != a.Topology.Epoch ? []
            : [.. a.Nodes.Where(n => n.Address != chosen.Address && n.Address != a.From?.Address && !(n is { IsReplica: true, IsInOrder: true } && n.Has(HeardSince.Change)))
                .Select(n => n.Address)];
        return uncertain.IsEmpty ? null
            : PlanBuilder.Because(
                    $"the failover goes on as epoch {a.NextEpoch}: {string.Join(" or ", uncertain)} may have been promoted in epoch {a.Topology.Epoch}")
                .Do(new PublishTopology(a.Topology with { Epoch = a.NextEpoch, Waiting = null }, a.View.Version));
    }
}
