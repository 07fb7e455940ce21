namespace RedisFailover;

/// <summary>
/// The master is being replaced: the intent stands in the znode. By a <see cref="Failover"/>, where it is lost and clients hold their
/// writes, or by a <see cref="Switchover"/>, where it lives and holds them itself; one that dies while it hands over is failed over. Both end
/// with a <see cref="Completion"/>. Every step looks at what is, not at what this monitor remembers to have done, so that another
/// leader can go on from any of them.
/// </summary>
internal static class MasterChange
{
    internal static Decision Decide(ClusterView view, FailoverPolicy policy, TimeSpan now, Topology topology)
    {
        Decision decision = Next(view, policy, now, topology);
        return decision with { Actions = [.. decision.Actions, .. Requests.RefuseOthers(view, topology)] };
    }

    private static Decision Next(ClusterView view, FailoverPolicy policy, TimeSpan now, Topology topology)
    {
        MasterChangeProgress progress = view.Progress ?? new MasterChangeProgress(now, now, Inherited: true) { InheritedEpoch = topology.Epoch };
        if (view.Running.Any(a => a is Promote))
        {
            return Decision.Nothing("waiting for the promotion");
        }

        // What another leader or a hand did is not known here: with write safety it stands only where this one could do it. Nobody writes to it yet.
        if (AlreadyPromoted(view, policy, topology, progress) is { } promoted
            && (promoted.Address == progress.Promoted || view.Failed.ContainsKey(new Promote(promoted.Address)) || WriteSafety.Missing(view, policy, topology, progress, promoted) is null))
        {
            return Completion.Install(view, policy, topology, progress, promoted);
        }

        NodeView? from = topology.Intent?.From is { } address ? view.Node(address) : null;
        if (topology.State == TopologyState.SwitchingOver && from is { IsMaster: true })
        {
            // Voted out, but answering this monitor: it hands over all the same. Once it fails, or does not get there, it is lost.
            bool isVotedOut = Verdict.IsUnavailable(view, policy, from.Address, out _);
            if ((!isVotedOut || from is { FailingSince: null, Evidence: null }) && Switchover.Decide(view, policy, now, topology, progress, from, isVotedOut) is { } step)
            {
                return step;
            }
        }

        // Lost while it was handing over. Clients are told, as at the beginning of any failover, before anyone is promoted.
        return topology.Master is null
            ? Failover.Decide(view, policy, now, topology, progress, from)
            : Incumbency.BeginFailover(view, policy, topology, $"master {topology.Master} was lost while it was handing over to {topology.Intent?.Target}");
    }

    /// <summary>
    /// A node that was promoted already and says so itself now: by us, or by a leader before us. The latter shows in the history
    /// that it continues, the lost master's own; an earlier master that happens to come back at this moment does not.
    /// </summary>
    private static NodeView? AlreadyPromoted(ClusterView view, FailoverPolicy policy, Topology topology, MasterChangeProgress progress)
        => view.Nodes.Values
            .Where(n => n.IsMaster && n.InfoAsked >= progress.StartedAt
                && (n.Address == progress.Promoted
                    || (n.Address != topology.Intent?.From && ((progress.Inherited && CouldBePromoted(n, policy)) || view.Failed.ContainsKey(new Promote(n.Address)) || IsFollowed(view, n, topology))
                        && topology.Identity is { } lost && n.Info!.PreviousReplicationId == lost.ReplicationId)))
            .OrderByDescending(n => n.Info!.Offset)
            .ThenBy(n => n.Address)
            .FirstOrDefault();

    /// <summary>Not one that may never be, nor a replica that was restarted and came back as a master by its own configuration: it shows the same history.</summary>
    private static bool CouldBePromoted(NodeView node, FailoverPolicy policy)
        => !policy.NeverPromote.Contains(node.Address) && node.Info!.Priority > 0
            && (node.BeforeRestart is not { Role: NodeRole.Replica } || node.WasPromoted);

    /// <summary>
    /// The old master says itself that it follows this node: somebody promoted it by hand. Not after a restart, when it follows whom its
    /// configuration names, and that one may have been restarted too, with less.
    /// </summary>
    private static bool IsFollowed(ClusterView view, NodeView node, Topology topology)
        => topology.Intent?.From is { } from && view.Node(from) is { IsReplica: true } old && old.Info!.MasterAddress == node.Address
            && old.Info.RunId == topology.Identity?.RunId;
}
