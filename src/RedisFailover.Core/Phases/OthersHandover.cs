namespace RedisFailover;

/// <summary>
/// Somebody else has made another node the master, by Redis' own FAILOVER or by hand, and the old master follows it already. Where that one
/// has all that the old one ever took, nothing is left but to say so: to detach anybody now would only be in the way.
/// </summary>
internal static class OthersHandover
{
    private static readonly TimeSpan Interval = TimeSpan.FromMilliseconds(10);

    /// <summary>The new master in the topology, or the questions before it; null where this is no handover without loss.</summary>
    internal static PlanBuilder? Decide(Assessment a)
    {
        // With write safety the new master has to be made one that takes no write too early: that is a failover's work.
        if (a is not { Verdict.Status: MasterStatus.LostRole, Policy.WriteSafety: WriteSafetyMode.None,
            Master: { Run: RunState.SameRun } from }
            || from.Info!.MasterAddress is not { } address || !a.IsConfigured(address))
        {
            return null;
        }

        NodeAssessment next = a.Node(address);
        return HasAllOf(from.Info, next) ? Install(a, from, next)
            : next.IsAnswering && !from.Info.SyncInProgress && a.Now < from.View.RoleSince + a.Policy.ProbeTimeout ? Ask(a, from, next)
            : null;
    }

    /// <summary>
    /// Both call the same history their own, which for the new master began where the old one had ended or later. A replica that could not
    /// go on from its offset has got a full copy instead, and shows no history before.
    /// </summary>
    private static bool HasAllOf(NodeInfo from, NodeAssessment next)
        => next is { IsMaster: true, IsCurrent: true, Info: { PreviousReplicationId: { } before } info }
            && info.ReplicationId == from.ReplicationId && before == from.PreviousReplicationId
            && info.PreviousHistoryEnd >= from.PreviousHistoryEnd;

    private static PlanBuilder Ask(Assessment a, NodeAssessment from, NodeAssessment next)
    {
        NodeAssessment[] open = [.. new[] { from, next }.Where(n => !(n.IsMaster && n.IsCurrent))];
        return PlanBuilder.Because($"master {from.Address} follows {next.Address} now: both are asked whether that one has everything")
            .Do(open.Where(n => n.View.InfoAsked + Interval <= a.Now).Select(n => new Inspect(n.Address)))
            .WakeBy(a.Now + Interval);
    }

    private static PlanBuilder Install(Assessment a, NodeAssessment from, NodeAssessment next)
    {
        string reason =
            $"master {from.Address} was handed over to {next.Address} by somebody else (Redis' FAILOVER, or by hand), with everything "
                + $"that it had";
        Topology after = NodeLists.WithMaster(a, next, reason) with { Epoch = a.NextEpoch };
        var record = new HistoryEntry
        {
            Kind = HistoryKind.Switchover, Epoch = after.Epoch, From = from.Address, To = next.Address, Reason = reason, BytesBehind = 0,
        };
        return PlanBuilder.Because(reason).Do(new PublishTopology(after, a.View.Version, record));
    }
}
