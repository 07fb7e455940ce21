namespace RedisFailover;

/// <summary>The old master holds its writes: the target catches up to its last byte and is promoted.</summary>
internal static class CatchingUp
{
    /// <summary>For how long offsets are asked for as fast as the answers come; and how often later.</summary>
    private static readonly TimeSpan FirstHaste = TimeSpan.FromMilliseconds(50), LaterHaste = TimeSpan.FromMilliseconds(5);

    /// <summary>
    /// The target is promoted when it has all that the old master had when it held its writes already: of the same history, since a master
    /// that was restarted from an older file counts its own from there.
    /// </summary>
    internal static PlanBuilder Decide(Assessment a, NodeAssessment from, NodeAssessment target, string? lacks, TimeSpan look)
    {
        bool sourceIsFinal = from.Has(HeardSince.WritesHeld);
        if (sourceIsFinal && lacks is null && target.Has(HeardSince.Change)
            && target.Info!.CommonOffset(from.Info!.Identity) >= from.Info.Offset)
        {
            return PlanBuilder.Because($"promoting {target.Address}: it has all of {from.Address} (offset {target.Info.Offset})")
                .Do(new Promote(target.Address) { MinReplicas = WriteSafety.AtPromotion(a, target) });
        }

        if (sourceIsFinal && a.Topology.Intent!.Forced && target.Has(HeardSince.WritesHeld)
            && (lacks is not null || target.Info is not { LinkUp: true }))
        {
            lacks ??= $"{target.Address} has no link to its master (offset {target.Info?.Offset} of {from.Info!.Offset})";
            return PlanBuilder.Because($"promoting {target.Address} by force: {lacks}")
                .Do(new Promote(target.Address, Promoting.Ordered(lacks)) { MinReplicas = WriteSafety.AtPromotion(a, target) });
        }

        PlanBuilder plan = PlanBuilder.Because($"waiting for {target.Address} to catch up with {from.Address}").WakeBy(look);
        TimeSpan due = a.Now - a.Progress.PausedAt < FirstHaste ? a.Now : target.View.InfoAsked + LaterHaste;
        return due > a.Now
            ? plan.WakeBy(due) : plan.Do((sourceIsFinal ? [target] : new[] { from, target }).Select(n => new Inspect(n.Address)));
    }
}
