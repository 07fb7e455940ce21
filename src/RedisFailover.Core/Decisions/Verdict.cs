namespace RedisFailover;

/// <summary>What has to be done about a master that cannot go on.</summary>
internal enum Remedy
{
    /// <summary>It is gone: a replica is promoted.</summary>
    FailOver,

    /// <summary>It is there without its data or without its office: a replica is promoted before the replicas copy what it has now.</summary>
    FailOverAtOnce,

    /// <summary>It lives and serves nobody: a replica is promoted if one is fit; otherwise it is waited for.</summary>
    FailOverIfSomebodyIsFit,

    /// <summary>It lives and answers this monitor: it hands over without loss if a replica is fit; otherwise it stays.</summary>
    HandOver,
}

/// <summary>Why the master cannot go on.</summary>
internal sealed record Loss(string Reason, Remedy Remedy);

/// <summary>Whether a node is lost, by the word of more than one witness.</summary>
internal static class Verdict
{
    /// <summary>How the monitors vote on a node.</summary>
    internal static bool IsUnavailable(ClusterView view, FailoverPolicy policy, NodeAddress node, out string votes)
    {
        int against = Against(view, node);
        votes = $"{against} of {view.Voters} monitors cannot reach it";
        return Suffices(policy, against, view.Voters);
    }

    /// <summary>
    /// Why no verdict on the master is reached yet, where those that are here would reach one: others that were here under the lead before
    /// are waited for. Null where that makes no difference.
    /// </summary>
    internal static (string Warning, TimeSpan Until)? Awaiting(ClusterView view, FailoverPolicy policy, NodeAddress master)
    {
        int against = Against(view, master);
        return Suffices(policy, against, view.Voters) || !Suffices(policy, against, view.LiveMonitors) ? null
            : ($"master {master} cannot be reached by {against} of {view.Voters} monitors; {string.Join(" and ", view.Awaited.Keys.Order(StringComparer.Ordinal))}, which were here under the "
                + $"lead before, are waited for, up to {policy.ViewLifetime.TotalMilliseconds:0} ms from the election", view.LeadingSince + policy.ViewLifetime);
    }

    private static int Against(ClusterView view, NodeAddress node)
        => view.OtherMonitors.Values.Count(m => m.Unavailable.Contains(node)) + (view.Node(node).Condition == NodeCondition.Unavailable ? 1 : 0);

    /// <summary>A monitor without an opinion counts as one that sees it: a tie, and any doubt, mean available.</summary>
    private static bool Suffices(FailoverPolicy policy, int against, int voters) => policy.NodeStrategy switch
    {
        NodeStrategy.Consensus => against == voters,
        NodeStrategy.Single => against > 0,
        _ => against * 2 > voters,
    };

    /// <summary>Why the master cannot go on, or null when it can.</summary>
    internal static Loss? MasterLost(ClusterView view, FailoverPolicy policy, TimeSpan now, Topology topology)
    {
        NodeAddress master = topology.Master!;
        NodeView own = view.Node(master);
        // Its own word comes before the votes, which may be from before it was restarted.
        if (own.IsInOrder && OutOfOffice(view, topology, own) is { } gone)
        {
            return gone;
        }

        if (IsUnavailable(view, policy, master, out string votes))
        {
            if (own is { IsMaster: true, IsAnswering: true } && own.InfoAsked >= view.LeadingSince)
            {
                // It has only just come, and the others may be slower to see it: a first start, or the end of a disturbance.
                if (now < own.OnlineSince + policy.SightPatience)
                {
                    return null;
                }

                return new Loss($"master {master} has to go: {votes}, though it answers this one", Remedy.HandOver);
            }

            return own is { Evidence: Evidence.Loading, LoadingSince: { } loading }
                ? new Loss($"master {master} has been loading its data set for {(now - loading).TotalSeconds:0} s: {votes}", Remedy.FailOverIfSomebodyIsFit)
                : own.Evidence is { } evidence && own.Condition == NodeCondition.Unavailable
                    ? new Loss($"master {master} is lost: {votes} ({evidence.ToString().ToLowerInvariant()}: {own.Detail})", Remedy.FailOver)
                    : new Loss($"master {master} is lost: {votes}", Remedy.FailOver);
        }

        if (ReplicasConfirm(view, policy, master, own))
        {
            return new Loss($"master {master} is lost: nothing listens there, and every replica that answers has lost its link to it", Remedy.FailOver);
        }

        // Nothing follows from what it said before this monitor led, nor from what it said before it began to load.
        if (own.InfoAsked < view.LeadingSince || own.Evidence == Evidence.Loading)
        {
            return null;
        }

        return OutOfOffice(view, topology, own) ?? (own is { IsMaster: true, IsAnswering: true, RefusesWritesSince: { } since } && now - since >= policy.MisconfTimeout
            ? new Loss($"master {master} has refused writes for {(now - since).TotalSeconds:0} s, because {Cannot(own.Info!)} (MISCONF)", Remedy.HandOver)
            : null);
    }

    /// <summary>It says itself that it has no longer what made it the master: its office, or its data.</summary>
    private static Loss? OutOfOffice(ClusterView view, Topology topology, NodeView own)
        => own.InfoAsked < view.LeadingSince ? null
            : own.IsReplica ? new Loss($"master {own.Address} says that it is a replica of {own.Info!.MasterAddress}", Remedy.FailOverAtOnce)
            : Restarted(view, topology, own) is { } restarted ? new Loss(restarted, Remedy.FailOverAtOnce)
            : null;

    /// <summary>
    /// Why the monitors learn nothing of the master, or null. It lives, so nothing follows from that, and an operator has to be told: a death is
    /// still seen, by the port; that it has lost its office, its data or the will to write is not.
    /// </summary>
    internal static string? Unwatched(NodeView master)
        => master.Evidence is Evidence.Denied or Evidence.Nonsense
            ? $"the monitors cannot watch master {master.Address}: {master.Detail}; no switchover can take place, and no failover unless it stops answering altogether"
            : null;

    /// <summary>
    /// That this monitor does not reach the master and too few others say so too, and who does not: told once it has lasted for longer than the others need
    /// to find the same, so with the time from which on. Null where this monitor reaches it.
    /// </summary>
    internal static (string? Trouble, TimeSpan? From)? Outvoted(ClusterView view, FailoverPolicy policy, TimeSpan now, NodeAddress master)
    {
        if (view.Node(master) is not { Condition: NodeCondition.Unavailable, FailingSince: { } since } own)
        {
            return null;
        }

        TimeSpan lasting = since + policy.SilenceLimit + policy.ProbeTimeout;
        string others = string.Join(" and ", view.OtherMonitors.Where(m => !m.Value.Unavailable.Contains(master)).Select(m => m.Key).Order(StringComparer.Ordinal));
        return now < lasting || others.Length == 0 ? (null, now < lasting ? lasting : null)
            : ($"no failover: this monitor cannot reach master {master} ({own.Detail}), which {others} did not find unavailable", null);
    }

    /// <summary>What is wrong with a master that is given time, and until when; null where nothing is.</summary>
    internal static (string Trouble, TimeSpan Until)? Trouble(NodeView master, FailoverPolicy policy)
        => master is { LoadingSince: { } loading, Condition: not NodeCondition.Unavailable }
            ? ($"master {master.Address} is loading its data set; it is replaced if that takes longer than {policy.LoadingTimeout.TotalMilliseconds:0} ms",
                loading + policy.LoadingTimeout)
            : master is { IsMaster: true, Evidence: null, RefusesWritesSince: { } since }
                ? ($"master {master.Address} refuses writes, because {Cannot(master.Info!)} (MISCONF); "
                    + $"it is replaced if that takes longer than {policy.MisconfTimeout.TotalMilliseconds:0} ms",
                    since + policy.MisconfTimeout)
                : null;

    private static string Cannot(NodeInfo info) => info.AppendFailed ? "it cannot write its append-only file" : "its last save failed";

    /// <summary>
    /// The fast path: the leader's own finding that the port refuses (never silence, which a partition shows too), confirmed by
    /// every replica that answers, one at least, asked after the failure began. Saves the round trip of the votes.
    /// </summary>
    private static bool ReplicasConfirm(ClusterView view, FailoverPolicy policy, NodeAddress master, NodeView own)
    {
        if (policy.NodeStrategy == NodeStrategy.Consensus || own.Condition != NodeCondition.Unavailable || own.Evidence != Evidence.Refused)
        {
            return false;
        }

        bool any = false;
        foreach (NodeView node in view.Nodes.Values)
        {
            // Who refuses our credentials says nothing of its link.
            if (node.Address == master || !node.IsReplica || node.Evidence is Evidence.Denied or Evidence.Nonsense)
            {
                continue;
            }

            if (node.Info!.LinkUp || node.InfoAsked < own.FailingSince)
            {
                return false;
            }

            any = true;
        }

        return any;
    }

    /// <summary>
    /// The same address with another run id: the process was restarted faster than the probes could tell. Its replicas are about
    /// to copy what it has now; where it came back without its history, one of them, which has it, takes its place.
    /// </summary>
    private static string? Restarted(ClusterView view, Topology topology, NodeView own)
    {
        if (!own.IsMaster || topology.Identity is not { RunId.Length: > 0 } known || own.Info!.RunId == known.RunId)
        {
            return null;
        }

        return HasMore(view, known, own) is null ? null : $"master {own.Address} was restarted and came back with another history ({own.Info!.Keys} keys)";
    }

    /// <summary>
    /// A node (a replica, or one that was restarted as a master) with data of the master as it was that the restarted one does not have. From a snapshot it continues the history from where
    /// the snapshot was taken (second_repl_offset); a replica that is beyond that would be wiped down to it. An append-only file tells nothing of that: then
    /// one that lacks itself what the master was known to have, and shows no more keys, is not taken to have more.
    /// </summary>
    internal static NodeView? HasMore(ClusterView view, MasterIdentity known, NodeView restarted)
    {
        NodeInfo back = restarted.Info!;
        long? held = back.CommonOffset(known);
        long last = Incumbency.LastKnownIdentity(restarted, known)!.Offset;
        return view.Nodes.Values.FirstOrDefault(n => n.Address != restarted.Address && n.IsOnline && n.Info!.Keys > 0 && n.Info.SharesHistoryWith(known)
            && (n.Info.CommonOffset(known) is { } common ? common > (held ?? -1) && (held is not null || common >= last || n.Info.Keys > back.Keys)
                : !n.Info.SharesHistoryWith(back.Identity)));
    }
}
