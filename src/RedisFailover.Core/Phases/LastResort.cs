using System.Collections.Immutable;

namespace RedisFailover;

/// <summary>
/// Every configured node is here and has said what it holds, and none has the lost master's history: waiting teaches nothing more.
/// Append-only files forget the history, so the data may be all there. Somebody goes on, and it is recorded that nobody knows what was
/// lost. A lost master that held nothing need not be here.
/// </summary>
internal static class LastResort
{
    /// <summary>What more waiting does not change. An objection of any other kind may pass.</summary>
    private static readonly ImmutableArray<Unfitness> Lasting =
        [Unfitness.Diverged, Unfitness.Empty, Unfitness.NeverPromoted, Unfitness.LostMaster];

    /// <summary>A node is asked once a second what it holds.</summary>
    private static readonly TimeSpan LastSight = TimeSpan.FromSeconds(2);

    /// <summary>The promotion; null where somebody may still come or say more, or where write safety leaves it to an operator.</summary>
    internal static PlanBuilder? Decide(Assessment a, Screening screening)
    {
        bool isGone = IsGoneWithNothing(a);
        Rejection[] here = [.. screening.Unfit.Where(u => !(isGone && u.Node.Address == a.From!.Address))];
        if (a.Policy.WriteSafety == WriteSafetyMode.Replicated || OtherMasters.MadeByOthers(a) is not null
            || !here.All(u => Lasting.Contains(u.Code) && HasSaidAll(u.Node)))
        {
            return null;
        }

        NodeAssessment[] allowed = [.. here.Where(u => u.Code != Unfitness.NeverPromoted && !u.Node.IsForeign).Select(u => u.Node)];
        return (WithData(a, allowed) ?? OfNothing(a, allowed, isGone)) is not (NodeAssessment chosen, string why) ? null
            : Choosing.OperatorsChoice(a, chosen) ?? Promoting.AsLastResort(a, chosen, why);
    }

    /// <summary>
    /// The master of a new cluster is lost before anybody has copied it: this monitor saw just before that it held nothing, nor does
    /// anybody else, and it has had its time to come back.
    /// </summary>
    private static bool IsGoneWithNothing(Assessment a)
        => a.From is { Contact: Contact.Unreachable, Info: { Keys: 0 } last } from && a.Topology.Identity is { HasData: false } lost
            && last.RunId == lost.RunId && from.View.InfoAsked >= from.View.GoneSince - LastSight
            && a.Configured.All(n => n.Address == from.Address || n.Info is { Keys: 0 })
            && a.Now >= a.Progress.StartedAt + a.Policy.ReturnPatience;

    private static bool HasSaidAll(NodeAssessment node)
        => node is { IsInOrder: true, OffsetIsFinal: true, Info: { Loading: false, SyncInProgress: false } } && node.Has(HeardSince.Change);

    /// <summary>
    /// The node that was the master comes first, unless its file is gone or it has copied another since; then who was seen furthest and has
    /// kept its append-only file; then who has most keys. What Redis says of its last save is, after a restart, when it was started.
    /// </summary>
    private static (NodeAssessment Node, string Why)? WithData(Assessment a, NodeAssessment[] allowed)
    {
        NodeAddress? master = a.From is { } from && (OtherMasters.Moved(a, from) ?? from) is { View.HasFollowed: false } was
            && !(was is { Info: not null, View.BeforeRestart: { } before } && AppendOnlyFiles.IsFileLost(was.View, before))
            ? was.Address : null;
        NodeAssessment? best = allowed.Where(n => n.Info!.Keys > 0)
            .OrderByDescending(n => n.Address == master)
            .ThenByDescending(n => Kept(a, n) ?? -1)
            .ThenByDescending(n => n.Info!.Keys)
            .ThenBy(n => n.Address)
            .FirstOrDefault();
        return best is null ? null
            : Further(allowed, best) is { } further
                ? (further, $"it holds {further.Info!.Keys} keys and is further in the history of {best.Address} (offset "
                    + $"{further.Info.Offset}, not {best.Info!.Offset}); whether anything was lost is not known")
            : best.Address == master
                ? (best, $"it was the master{(master == a.From!.Address ? "" : $", at {a.From.Address},")} and holds {best.Info!.Keys} "
                    + "keys; whether anything was lost is not known")
                : (best, $"it holds {best.Info!.Keys} keys, "
                    + (Kept(a, best) is { } offset ? $"and was seen at offset {offset}, the furthest of those that kept their files"
                        : "the most of this cluster's nodes") + "; whether anything was lost is not known");
    }

    private static long? Kept(Assessment a, NodeAssessment node)
        => a.Topology.Identity is { } lost ? AppendOnlyFiles.KeptUntil(node, lost) : null;

    /// <summary>One that has all that this node has, and more of the same history; null where there is none.</summary>
    private static NodeAssessment? Further(NodeAssessment[] allowed, NodeAssessment node)
        => allowed.Where(n => n.Info!.Keys > 0 && n.Info.ReplicationId == node.Info!.ReplicationId && n.Info.Offset > node.Info.Offset)
            .MaxBy(n => n.Info!.Offset);

    /// <summary>
    /// All are empty. Where no node keeps anything on a disk nothing can come back, and where the master held nothing to the last next to
    /// nothing: the first one goes on.
    /// </summary>
    private static (NodeAssessment Node, string Why)? OfNothing(Assessment a, NodeAssessment[] allowed, bool isGone)
        => (allowed.FirstOrDefault(n => n.Address == a.From?.Address) ?? allowed.FirstOrDefault()) is not { } first ? null
            : isGone ? (first, "it is empty, as the master was when it was last seen; what that took since is lost")
            : a.Configured.All(n => n.IsLeftAlone || n.Info is { Keys: 0, Persists: false })
                ? (first, "no node keeps its data on disk, so nothing can come back: what the master held is lost")
                : null;
}
