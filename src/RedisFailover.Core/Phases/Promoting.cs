using System.Globalization;

namespace RedisFailover;

/// <summary>A node is chosen: it is promoted.</summary>
internal static class Promoting
{
    internal static PlanBuilder Best(Assessment a, Screening screening)
    {
        NodeAssessment best = screening.Fit[0];
        string others = screening.Unfit.IsEmpty ? "" : $" ({screening.Objections})";
        return PlanBuilder.Because(
                $"promoting {best.Address}: offset {best.Info!.Offset}, the master was last seen at "
                    + $"{a.Topology.Identity?.Offset.ToString(CultureInfo.InvariantCulture) ?? "an unknown one"}; the best of "
                    + $"{screening.Fit.Length}{others}")
            .Do(new Promote(best.Address) { MinReplicas = WriteSafety.AtPromotion(a, best) });
    }

    /// <summary>Because an operator orders it, though the node is not fit.</summary>
    internal static PlanBuilder ByOrder(Assessment a, NodeAssessment node, string despite, string order)
        => Unfit(a, node, Ordered(despite), order);

    /// <summary>How a promotion that an operator ordered is told, with what speaks against it.</summary>
    internal static string Ordered(string despite) => $"by the operator's order though {despite}: what it did not hold is lost";

    /// <summary>Because nobody better can come.</summary>
    internal static PlanBuilder AsLastResort(Assessment a, NodeAssessment node, string why)
        => Unfit(a, node, $"as the last resort: {why}", $"promoting {node.Address} as the last resort: {why}");

    private static PlanBuilder Unfit(Assessment a, NodeAssessment node, string despite, string reason)
        => PlanBuilder.Because(reason)
            .Do(new Promote(node.Address, despite) { MinReplicas = WriteSafety.AtPromotion(a, node) })
            .ReportReason(ProblemCatalogue.NeedsOperator, node.Address);
}
