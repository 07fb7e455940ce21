using System.Collections.Immutable;

namespace RedisFailover;

/// <summary>
/// The nodes beside the current master are put right: who follows nobody, somebody else, or believes to be a master itself.
/// </summary>
internal static class Correcting
{
    /// <summary>Redis tries to reach its master once a second, Sentinel its nodes likewise.</summary>
    private static readonly TimeSpan ForeignJudgementDelay = TimeSpan.FromSeconds(2);

    /// <summary>
    /// A master lets a replica wait for others before it begins the copy (repl-diskless-sync-delay, 5 s by default): until then the replica
    /// shows no sign of it.
    /// </summary>
    private static readonly TimeSpan CopyDelay = TimeSpan.FromSeconds(15);

    /// <summary>What each node other than the master must be told, and what cannot be told without harm.</summary>
    internal static (ImmutableArray<FailoverAction> Actions, ImmutableArray<Problem> Problems, TimeSpan? WakeAt) Of(Assessment a)
    {
        ImmutableArray<NodeAssessment> wrong = [.. a.Configured.Where(n => n.Address != a.Topology.Master
            && n is { IsOnline: true, View.ProbeFailure: null } && n.Has(HeardSince.Term) && !Follows(n, a.Topology.Master!))];
        ImmutableArray<NodeAssessment> foreign = [.. wrong.Where(n => n is { IsInOrder: true, IsLeftAlone: true })];
        // Nobody is told to follow a master that fails, that says that it is none, or that has not said what it has since it failed: it may
        // have lost everything.
        bool waits = !a.Master.IsCurrent && wrong.Any(n => n is { IsInOrder: true, IsLeftAlone: false });
        ImmutableArray<FailoverAction> actions =
        [
            .. wrong.Select(n => Correction(a, n)).OfType<FailoverAction>(),
            .. waits && a.Master.IsAnswering ? new[] { new Inspect(a.Master.Address) } : [],
        ];
        return (
            actions,
            [.. actions.OfType<Demote>().Select(d => SecondMaster(a, d.Node)).OfType<Problem>(), .. LeftAlone(a, foreign)],
            wrong.Select(n => JudgedAt(a, n)).Where(at => at > a.Now).Min());
    }

    /// <summary>
    /// The old master of a switchover, which is not a replica yet: clients keep their connections to it, on which what it has held back is
    /// answered. To a leader who was not there it shows as a master in the list of replicas whose history the new master continues.
    /// </summary>
    internal static bool HandedOver(Assessment a, NodeAssessment node)
        => a.View.HandedOver == node.Address
            || (node.IsMaster && a.Topology.Replicas.Contains(node.Address)
                && a.Topology.Identity is { PreviousReplicationId: { } previous }
                && node.Info!.ReplicationId == previous);

    internal static string? DemotionFailure(Assessment a, NodeAddress node)
        => a.Topology.Master is { } master ? a.FailureOf(new Demote(node, master, CutsClients: false)) : null;

    private static bool Follows(NodeAssessment node, NodeAddress master)
        => node.Info!.Role == NodeRole.Replica && node.Info.MasterAddress == master;

    /// <summary>
    /// When it is known whose a server is that may be another cluster's: its replicas, its master and Sentinels come back a moment after
    /// it. Null where that need not be waited for: it was started from the same file as the one before it.
    /// </summary>
    private static TimeSpan? JudgedAt(Assessment a, NodeAssessment node)
        => MayBeAnothers(a, node) && !(node.View.BeforeRestart?.ConfigFile is { Length: > 0 } file && file == node.Info!.ConfigFile)
            ? (node.View.RunSince ?? a.Now) + (node.IsMaster ? ForeignJudgementDelay : CopyDelay)
            : null;

    /// <summary>
    /// A master with data that are not known, or an empty replica of an unknown master, which may not have reached that yet.
    /// </summary>
    private static bool MayBeAnothers(Assessment a, NodeAssessment node)
        => node.IsMaster ? node.Lineage == Lineage.Diverged : node.Lineage == Lineage.Empty && ForeignSigns.FollowsAnother(a, node);

    private static FailoverAction? Correction(Assessment a, NodeAssessment node)
    {
        // A heartbeat alone brought it back: what it is and how far it came meanwhile it has not said yet.
        if (!node.IsInOrder)
        {
            return new Inspect(node.Address);
        }

        // One that is no plain Redis (cluster mode) follows nobody.
        if (node.IsLeftAlone || a.Master is not { IsMaster: true, IsCurrent: true } || node.Info!.Mode is not ("standalone" or "")
            || CopiesSomebodyUnheard(a, node))
        {
            return null;
        }

        // It has just turned master, and the master may have handed over to it by Redis' own FAILOVER: its word of before tells nothing.
        if (node is { IsMaster: true, View.WasPromoted: true } && a.Master.View.InfoAsked < node.View.RoleSince)
        {
            return new Inspect(a.Master.Address);
        }

        if (JudgedAt(a, node) is { } judged && !node.WasAskedSince(judged))
        {
            return a.Now < judged ? null : new Inspect(node.Address);
        }

        if (node.CannotCopyMaster)
        {
            // As a replica of nobody it keeps what it has, and takes no writes that would be lost.
            return node.IsMaster ? new Detach(node.Address) : null;
        }

        bool handedOver = HandedOver(a, node);
        return node.IsReplica
            ? new Follow(node.Address, a.Master.Address, Overtaken(a, node))
            : new Demote(node.Address, a.Master.Address, CutsClients: !handedOver, handedOver ? null : Returned(a, node))
            {
                MinReplicas = WriteSafety.AfterServing(a, node.Info!), EndsFailover = node.Info!.FailsOver,
            };
    }

    /// <summary>
    /// Whether it copies one of ours that has not been heard, or cannot be: that may be a master whom somebody else has made.
    /// </summary>
    private static bool CopiesSomebodyUnheard(Assessment a, NodeAssessment node)
        => node is { IsReplica: true, Info: { LinkUp: true, MasterAddress: { } followed } }
            && a.IsConfigured(followed) && a.Node(followed) is { Contact: Contact.Unseen } or { CannotBeWatched: true };

    private static Problem? SecondMaster(Assessment a, NodeAddress node)
        => DemotionFailure(a, node) is { } failure
            ? Problem.Of(ProblemCatalogue.SecondMaster,
                $"two masters: {node} still takes writes, which will be lost, and cannot be made a replica ({failure})", node)
            : null;

    /// <summary>Whose data are somebody else's, and what an operator can do.</summary>
    internal static IEnumerable<Problem> LeftAlone(Assessment a, IEnumerable<NodeAssessment> foreign) => foreign.Select(n => Problem.Of(
        ProblemCatalogue.ForeignData,
        n.Info!.Keys == 0
            ? $"{n.Address} is somebody else's and is left alone: {n.ForeignSign} ({n.Described})"
            : $"{n.Address} holds somebody else's data and is left alone: {n.ForeignSign} ({n.Described}); following "
                + $"{a.Topology.Master?.ToString() ?? "our master"} would wipe them",
        n.Address) with
    {
        Advice = $"If its data may be thrown away: redis-failover nodes adopt {n.Address} --discard-its-data. Else correct the address, or "
                + $"take it out of the nodes.",
    });

    /// <summary>What to note of a replica that had more of the former master's stream than the master got; null where it had not.</summary>
    private static HistoryEntry? Overtaken(Assessment a, NodeAssessment replica)
        => replica.Info is { Keys: 0 } or { SyncInProgress: true } or { CopyBrokeOff: true }
            || a.Topology.LastChange is { Kind: HistoryKind.Switchover }
            || DataLoss.ByReturning(a.Master.View, replica.View) is not (> 0 and var bytes) ? null : new HistoryEntry
        {
            Kind = HistoryKind.Demoted,
            Epoch = a.Topology.Epoch,
            From = replica.Address,
            To = a.Master.Address,
            Reason = $"{replica.Address} had {bytes} bytes that {a.Master.Address} never got, and follows it now: they are lost",
            BytesBehind = bytes,
        };

    /// <summary>
    /// What to note of it: how much is lost, or that nobody can tell. An empty node that was not the master before has nothing to lose.
    /// </summary>
    private static HistoryEntry? Returned(Assessment a, NodeAssessment returning)
    {
        NodeInfo info = returning.Info!;
        // What an operator has given up was never this cluster's, and the history has the order.
        if (returning.IsForeign || (info.Keys == 0 && a.Topology.LastChange?.From != returning.Address))
        {
            return null;
        }

        NodeAddress master = a.Master.Address;
        long? bytes = DataLoss.ByReturning(a.Master.View, returning.View);
        string how = DataLoss.LeftByHand(a.Master.View, returning.View)
            ? "was made a master by somebody (REPLICAOF NO ONE) and is made a replica again"
            : "came back as a master and is made a replica";
        string lost = bytes switch
        {
            null when info.Keys == 0 => $"it was restarted and is empty; it may have taken writes that {master} never got (amount unknown)",
            null when returning.View.BeforeRestart is null
                => $"it has {info.Keys} keys and may have taken writes that {master} never got (amount unknown)",
            null => $"it was restarted meanwhile ({info.Keys} keys) and may have taken writes that {master} never got (amount unknown)",
            0 => $"{master} had got all that it took",
            { } some => $"{some} bytes of its replication stream never reached {master} and are lost"
                + (DataLoss.MayBePings(some) ? "; they may be its pings alone" : ""),
        };
        return new HistoryEntry
        {
            Kind = HistoryKind.Demoted,
            Epoch = a.Topology.Epoch,
            From = returning.Address,
            To = master,
            Reason = $"{returning.Address} {how}; {lost}",
            BytesBehind = bytes,
        };
    }
}
