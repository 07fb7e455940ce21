using System.Collections.Immutable;

namespace RedisFailover;

/// <summary>
/// Replicas are kept from a master that is lost: they follow nobody until it is clear whom they shall follow. Otherwise they would go back by
/// themselves to one that returns, and copy what it has then, which may be nothing; and as long as they follow one that only the
/// monitors cannot reach, it goes on acknowledging writes that the next master may not have.
/// </summary>
internal static class Detachment
{
    /// <summary>
    /// With the intent of a failover, at the same time: all replicas that answer, but for those of which it is known already that they have
    /// lost their link to a process that is gone: they need not be asked again before one of them is promoted. The other nodes are
    /// asked what they are.
    /// </summary>
    internal static IEnumerable<FailoverAction> AtTheBeginning(ClusterView view, FailoverPolicy policy, Topology intent)
        => view.Nodes.Values.Where(n => n.IsOnline && n.Address != intent.Intent?.From && !(HasLostItsLink(n, view, intent.Intent!.From!) && view.Node(intent.Intent.From!).Evidence == Evidence.Refused))
            .OrderBy(n => n.Address)
            .Select(n => Question(n, view, policy, intent));

    /// <summary>Whoever has to be detached, or asked, before a candidate is chosen.</summary>
    internal static ImmutableArray<FailoverAction> BeforeTheChoice(ClusterView view, FailoverPolicy policy, Topology topology, MasterChangeProgress progress)
        => Due(view, policy, topology, progress, n => !Candidates.IsFinal(n, view, topology, progress));

    /// <summary>Whoever has to be detached, or asked, when nobody can be chosen yet.</summary>
    internal static ImmutableArray<FailoverAction> WithoutAChoice(ClusterView view, FailoverPolicy policy, Topology topology, MasterChangeProgress progress)
        => Due(view, policy, topology, progress, n => !Candidates.IsFinal(n, view, topology, progress) || !n.Info!.IsDetached);

    /// <summary>
    /// The lost master itself comes last, where it says that it is a replica now: whom it follows tells who was promoted by hand.
    /// </summary>
    private static ImmutableArray<FailoverAction> Due(ClusterView view, FailoverPolicy policy, Topology topology, MasterChangeProgress progress, Func<NodeView, bool> isOpen)
    {
        ImmutableArray<FailoverAction> others = [.. view.Nodes.Values
            .Where(n => n is { IsAnswering: true } && n.Address != topology.Intent?.From && isOpen(n)
                && (IsDue(n, view, policy, topology) || !HasBeenHeard(n, view, topology, progress)))
            .OrderBy(n => n.Address)
            .Select(n => Question(n, view, policy, topology))];
        return others.IsEmpty && topology.Intent?.From is { } from && view.Node(from) is { IsReplica: true, FailingSince: null } old && old.InfoAsked >= progress.StartedAt
            && IsDue(old, view, policy, topology)
                ? [new Detach(from)]
                : others;
    }

    /// <summary>
    /// Whether asking it once more would tell nothing new: what it has is final, or it is a replica that has answered, also since it last
    /// failed, and cannot be detached.
    /// </summary>
    private static bool HasBeenHeard(NodeView node, ClusterView view, Topology topology, MasterChangeProgress progress)
        => Candidates.IsFinal(node, view, topology, progress) || (node is { IsReplica: true, IsInOrder: true } && node.InfoAsked >= progress.StartedAt);

    private static FailoverAction Question(NodeView node, ClusterView view, FailoverPolicy policy, Topology topology)
        => IsDue(node, view, policy, topology) ? new Detach(node.Address) : new Inspect(node.Address);

    /// <summary>
    /// While the master is in office and fails, and no failover may begin yet: those that have lost their link to it by their own
    /// word lose nothing by it. The others are left to a master that only the monitors cannot reach, unless it says
    /// itself that it is not what it was.
    /// </summary>
    internal static ImmutableArray<FailoverAction> WhileWaiting(ClusterView view, FailoverPolicy policy, Topology topology, Loss loss)
        => loss.Remedy == Remedy.FailOverAtOnce ? Detached(Followers(view, policy, topology)) : Detached(LostTheirLink(view, policy, topology));

    /// <summary>A master that loads its data set was restarted, and may have less than before: that is seen when it is done.</summary>
    internal static ImmutableArray<FailoverAction> WhileLoading(ClusterView view, FailoverPolicy policy, Topology topology)
        => view.Node(topology.Master!) is { Evidence: Evidence.Loading }
            ? Detached(LostTheirLink(view, policy, topology))
            : [];

    /// <summary>
    /// While there are too few monitors for any decision: replicas are kept from a master that is lost, and given back to one that is in
    /// office. Neither changes who is what.
    /// </summary>
    internal static ImmutableArray<FailoverAction> WithoutDecision(ClusterView view, FailoverPolicy policy, TimeSpan now)
    {
        if (!view.TopologyKnown || view is not { TopologyFault: null, Topology: { State: TopologyState.Ok, Master: { } master } topology })
        {
            return [];
        }

        return Verdict.MasterLost(view, policy, now, topology) is { } loss
            ? loss.Remedy is Remedy.FailOver or Remedy.FailOverAtOnce ? WhileWaiting(view, policy, topology, loss) : WhileLoading(view, policy, topology)
            : view.Node(master) is { IsMaster: true, IsInOrder: true } own && own.InfoAsked >= view.LeadingSince && Incumbency.MayHaveMore(view, policy, now, topology).Awaited.IsEmpty
                ? [.. policy.Nodes.Select(view.Node).Where(n => n is { IsAnswering: true, Info.IsDetached: true } && n.InfoAsked >= view.LeadingSince
                    && WriteSafety.MayAttach(policy, topology, n.Address)).Select(n => new Follow(n.Address, master))]
                : WhileLoading(view, policy, topology);
    }

    private static ImmutableArray<FailoverAction> Detached(IEnumerable<NodeView> replicas) => [.. replicas.Select(n => new Detach(n.Address))];

    /// <summary>The followers that have lost their link to the master by their own word: to be kept from it costs them nothing.</summary>
    private static IEnumerable<NodeView> LostTheirLink(ClusterView view, FailoverPolicy policy, Topology topology)
        => Followers(view, policy, topology).Where(n => HasLostItsLink(n, view, topology.Master!));

    private static IEnumerable<NodeView> Followers(ClusterView view, FailoverPolicy policy, Topology topology)
        => view.Nodes.Values.Where(n => n.Address != topology.Master && n.Info?.MasterAddress == topology.Master && IsDue(n, view, policy, topology)).OrderBy(n => n.Address);

    private static bool HasLostItsLink(NodeView replica, ClusterView view, NodeAddress master)
        => replica.IsReplica && !replica.Info!.LinkUp && view.Node(master).FailingSince is { } since && replica.InfoAsked >= since;

    /// <summary>A replica that answers, is ours and follows somebody. What it said before this monitor led does not count: it may have been promoted since.</summary>
    private static bool IsDue(NodeView node, ClusterView view, FailoverPolicy policy, Topology topology)
        => node is { IsReplica: true, IsAnswering: true, Info.IsDetached: false } && node.InfoAsked >= view.LeadingSince
            && policy.Nodes.Contains(node.Address) && !Membership.IsForeign(topology, node);
}
