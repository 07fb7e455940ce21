using System.Collections.Immutable;

namespace RedisFailover;

/// <summary>
/// Replicas are kept from a master that is lost: they follow nobody until it is clear whom they shall follow. Otherwise they would go back
/// by themselves to one that returns, and copy what it has then, which may be nothing. One that only the monitors cannot reach would go on
/// acknowledging writes that the next master may not have.
/// </summary>
internal static class Isolating
{
    /// <summary>
    /// With the intent of a failover, at the same time: all replicas that answer, but for those of which it is known already that they have
    /// lost their link to a process that is gone: they need not be asked again before one of them is promoted. The others are asked.
    /// </summary>
    internal static IEnumerable<FailoverAction> AtTheBeginning(Assessment intent)
        => intent.Nodes.Where(n => n.IsOnline && n.Address != intent.From!.Address
            && !(n.HasLostItsLink && intent.From.View.ProbeFailure == ProbeFailure.Refused))
            .Select(Question);

    /// <summary>Whoever has to be detached, or asked, before a candidate is chosen.</summary>
    internal static ImmutableArray<FailoverAction> BeforeTheChoice(Assessment a) => Due(a, n => !n.OffsetIsFinal);

    /// <summary>Whoever has to be detached, or asked, when nobody can be chosen yet.</summary>
    internal static ImmutableArray<FailoverAction> WithoutAChoice(Assessment a) => Due(a, n => !n.OffsetIsFinal || !n.Info!.IsDetached);

    /// <summary>A master that loads its data set was restarted, and may have less than before: that is seen when it is done.</summary>
    internal static ImmutableArray<FailoverAction> WhileLoading(Assessment a)
        => a.Master.Contact == Contact.Loading ? Detached(Followers(a).Where(n => n.HasLostItsLink)) : [];

    /// <summary>
    /// While the master is lost and no failover may begin yet: those that have lost their link to it by their own word lose nothing by it.
    /// The others are left to a master that only the monitors cannot reach, unless it says itself that it is not what it was.
    /// </summary>
    internal static ImmutableArray<FailoverAction> WhileWaiting(Assessment a)
        => Detached(Followers(a).Where(n => a.Verdict.Remedy == Remedy.FailOverAtOnce || n.HasLostItsLink));

    /// <summary>
    /// While nothing may be decided: replicas are kept from a master that is lost, and given back to one that is in order. Neither
    /// changes who is what.
    /// </summary>
    internal static ImmutableArray<FailoverAction> WithoutDecision(Assessment a)
    {
        if (!a.View.TopologyKnown || a.View.TopologyFault is not null || a.Topology is not { State: TopologyState.Ok, Master: { } master })
        {
            return [];
        }

        if (a.Verdict.IsLost)
        {
            return WhileWaiting(a);
        }

        return a.Verdict.Remedy == Remedy.Watch && a.Master is { IsMaster: true, IsCurrent: true }
            && (a.Master.Run != RunState.Restarted || Latecomers.Beside(a, a.Master) is null)
            ? [.. a.Configured.Where(n => n is { IsAnswering: true, Info.IsDetached: true } && n.Has(HeardSince.Term)
                && WriteSafety.MayAttach(a, n.Address))
                .Select(n => new Follow(n.Address, master))]
            : WhileLoading(a);
    }

    /// <summary>
    /// The lost master itself comes last: where it says that it is a replica now, whom it follows tells who was promoted by hand. Its file
    /// may have kept more than the others have.
    /// </summary>
    private static ImmutableArray<FailoverAction> Due(Assessment a, Func<NodeAssessment, bool> isOpen)
    {
        ImmutableArray<FailoverAction> others = [.. a.Nodes
            .Where(n => n.IsAnswering && n.Address != a.From?.Address && isOpen(n) && (IsDue(n) || !HasBeenHeard(n)))
            .Select(Question)];
        return !others.IsEmpty || a.From is not { IsAnswering: true } old ? others
            : IsDue(old) ? [old.Has(HeardSince.Change) ? new Detach(old.Address) : new Inspect(old.Address)]
            : old.IsInOrder ? [] : [new Inspect(old.Address)];
    }

    /// <summary>
    /// Whether asking it once more would tell nothing new: what it has is final, or it is a replica that has answered, also since it last
    /// failed, and cannot be detached.
    /// </summary>
    private static bool HasBeenHeard(NodeAssessment node)
        => node.OffsetIsFinal || (node is { IsReplica: true, IsInOrder: true } && node.Has(HeardSince.Change));

    private static FailoverAction Question(NodeAssessment node) => IsDue(node) ? new Detach(node.Address) : new Inspect(node.Address);

    private static ImmutableArray<FailoverAction> Detached(IEnumerable<NodeAssessment> replicas)
        => [.. replicas.Select(n => new Detach(n.Address))];

    private static IEnumerable<NodeAssessment> Followers(Assessment a)
        => a.Nodes.Where(n => n.Address != a.Topology.Master && n.Info?.MasterAddress == a.Topology.Master && IsDue(n));

    /// <summary>
    /// A replica that answers, is ours and follows somebody. What it said before this monitor led does not count: it may have been
    /// promoted since. Whom somebody else has made a master keeps its replicas: only an operator knows why.
    /// </summary>
    private static bool IsDue(NodeAssessment node)
        => node is { IsReplica: true, IsAnswering: true, Info.IsDetached: false, IsConfigured: true, IsForeign: false }
            && node.Has(HeardSince.Term)
            && !(OtherMasters.MadeByOthers(node.All) is { } made && OtherMasters.HasLinkTo(node, made));
}
