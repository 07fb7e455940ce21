namespace RedisFailover;

/// <summary>
/// The master is being replaced: the intent stands in the znode. Where it is lost a replica is chosen (<see cref="Choosing"/>), where it
/// lives it hands over (<see cref="HoldingWrites"/>, <see cref="CatchingUp"/>). Both end with <see cref="Installing"/> or <see
/// cref="Restoring"/>. Every step looks at what is, not at what this monitor remembers to have done, so that another leader can go on from
/// any of them.
/// </summary>
internal static class ChangingMaster
{
    internal static PlanBuilder Decide(Assessment a) => (InheritedChange.Decide(a) ?? Next(a)).Do(SwitchoverRequests.RefuseOthers(a));

    private static PlanBuilder Next(Assessment a)
    {
        if (a.View.Running.Any(x => x is Promote))
        {
            return PlanBuilder.Because("waiting for the promotion");
        }

        // With write safety a promotion by another leader, or by hand, stands only where this leader could promote that node itself. No
        // client writes to it yet.
        if (AlreadyPromoted(a) is { } promoted
            && (promoted.Address == a.Progress.Promoted || a.FailureOf(new Promote(promoted.Address)) is not null
            || WriteHolders.Missing(a, promoted, Purpose.Failover) is null))
        {
            return Unheard(a) ?? (OldMasterThatWentOn(a, promoted) is { } old
                ? Restoring.Decide(
                    a, old, $"{old.Address} went on after {promoted.Address} had been promoted, and no client was sent to that one")
                : Installing.Decide(a, promoted));
        }

        // A master that is voted out but answers here hands over all the same; once it fails, it is lost. By force nobody waits for one
        // that serves nobody, or that cannot be tried from here to hold its writes.
        if (a.Topology.State == TopologyState.SwitchingOver && a.From is { IsMaster: true } from
            && !(a.Topology.Intent is { Forced: true } && (from.Contact is Contact.Busy or Contact.Loading
                || (from.Contact == Contact.LocalFault && a.Progress.PausedAt is null)))
            && (!from.IsVotedOut || from.View is { FailingSince: null, ProbeFailure: null })
            && !(from.Run == RunState.Restarted && (a.Topology.Master is null || a.Verdict.IsLost))
            && HoldingWrites.Decide(a, from) is { } step)
        {
            return step;
        }

        // The master is out of the topology: clients know. One that is not lost is waited for. Any other is taken out first: it is replaced
        // by force, or was lost while it handed over.
        return a.Topology.Master is null ? Choosing.Decide(a)
            : a.Verdict.Remedy == Remedy.Watch && a.Topology.Intent is not { Forced: true } ? HoldingWrites.WithoutAnswer(a, a.Master)
            : Beginning.Failover(a, a.Verdict.Remedy == Remedy.Watch
                ? $"master {a.Topology.Master} is replaced by an operator's order ({a.Master.Votes}); what it takes meanwhile is lost"
                : a.Verdict.Status == MasterStatus.RestartedWithLess ? a.Verdict.Reason
                : $"master {a.Topology.Master} was lost while it was handing over to {a.Topology.Intent?.Target}");
    }

    /// <summary>
    /// A node that was promoted already and says so itself now: by us, as the target of a leader before us, or by hand. The latter show in
    /// the history that they continue, the lost master's own. One that a leader before us chose in a failover is a candidate like the
    /// others: nobody writes to it yet, and it is not known what that leader knew.
    /// </summary>
    private static NodeAssessment? AlreadyPromoted(Assessment a)
        => a.Nodes.Where(n => n.IsMaster && n.Has(HeardSince.Change) && (n.Address == a.Progress.Promoted || WasPromotedUnseen(a, n)))
            .OrderByDescending(n => n.Info!.Offset)
            .ThenBy(n => n.Address)
            .FirstOrDefault();

    /// <summary>What the old master of a switchover that its leader left has done since is asked before anything is installed.</summary>
    private static PlanBuilder? Unheard(Assessment a)
    {
        TimeSpan patience = a.Progress.StartedAt + a.Policy.ProbeTimeout;
        return a.Progress.Inherited && a.Topology.Master is not null && a.Now < patience
            && a.From is { IsMaster: true, IsAnswering: true } old && !old.Has(HeardSince.Change)
                ? PlanBuilder.Because($"asking {old.Address} whether it went on").Do(new Inspect(old.Address)).WakeBy(patience) : null;
    }

    /// <summary>
    /// The old master of a switchover that its leader left after the promotion: its pause is over, clients still know it as the master, and
    /// what it took since is not on the promoted node. Null where it took nothing.
    /// </summary>
    private static NodeAssessment? OldMasterThatWentOn(Assessment a, NodeAssessment promoted)
        => a.Progress.Inherited && a.Topology.Master is not null && promoted.Info!.PreviousHistoryEnd > 0
            && a.From is { IsMaster: true, IsCurrent: true, Run: RunState.SameRun, Info: { } info } from && from.Has(HeardSince.Change)
            && info.ReplicationId == promoted.Info.PreviousReplicationId
            && DataLoss.Writes(info.Offset - (promoted.Info.PreviousHistoryEnd - 1)) > 0
                ? from : null;

    private static bool WasPromotedUnseen(Assessment a, NodeAssessment node)
        => node.Address != a.From?.Address && !CameBackAsMaster(node)
            && (a.FailureOf(new Promote(node.Address)) is not null || IsFollowed(a, node)
                || (a.Progress.Inherited && node.Address == a.Topology.Intent?.Target))
            && a.Topology.Identity is { } lost && node.Info!.PreviousReplicationId == lost.ReplicationId;

    /// <summary>A replica that was restarted and came back as a master by its own configuration: it shows the same history.</summary>
    private static bool CameBackAsMaster(NodeAssessment node) => node.View is { BeforeRestart.Role: NodeRole.Replica, WasPromoted: false };

    /// <summary>
    /// The old master says itself that it follows this node: somebody promoted it by hand. Not after a restart, when it follows whom its
    /// configuration names, and that one may have been restarted too, with less.
    /// </summary>
    private static bool IsFollowed(Assessment a, NodeAssessment node)
        => a.From is { IsReplica: true } old && old.Info!.MasterAddress == node.Address && old.Info.RunId == a.Topology.Identity?.RunId;
}
