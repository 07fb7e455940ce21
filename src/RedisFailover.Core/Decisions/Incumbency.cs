using System.Collections.Immutable;

namespace RedisFailover;

/// <summary>The master is in office: watch it, hear the operator's wishes, keep the other nodes in line.</summary>
internal static class Incumbency
{
    /// <summary>For how long a replica that still believes in its link is asked again at once while the master fails; and how often later.</summary>
    private static readonly TimeSpan FirstSuspicion = TimeSpan.FromMilliseconds(20), LaterSuspicion = TimeSpan.FromMilliseconds(50);

    /// <summary>In the znode, while a master that is lost is waited for.</summary>
    private const string Waiting = "; the failover is held back";

    internal static Decision Decide(ClusterView view, FailoverPolicy policy, TimeSpan now, Topology topology)
    {
        string? trouble = null;
        TimeSpan? troubleUntil = null;
        if (Verdict.MasterLost(view, policy, now, topology) is { } loss)
        {
            // To announce a failover that only another monitor can carry out would take the master from those who still reach it.
            if (loss.Remedy == Remedy.FailOver && Sight.Deadline(view, policy, masterIsMissing: true) is { } deadline && !view.Nodes.Values.Any(n => n.IsReplica))
            {
                return Sight.Resignation(view, policy, now, masterIsMissing: true)
                    ?? Decision.Nothing($"{loss.Reason}; left to a monitor that reaches more nodes than this one", deadline);
            }

            if (loss.Remedy == Remedy.FailOver && HeldBackUntil(view, policy, now) is { } until)
            {
                return HeldBack(view, policy, now, topology, loss, until);
            }

            if (loss.Remedy is Remedy.FailOver or Remedy.FailOverAtOnce)
            {
                // The history shows how long it took: the verdict was reached long before.
                return BeginFailover(view, policy, topology, topology.Reason.Contains(Waiting, StringComparison.Ordinal) ? $"{loss.Reason}; it was held back until now, by failover-interval" : loss.Reason);
            }

            if (Relief.Decide(view, policy, now, topology, loss, out trouble) is { } relief)
            {
                return relief;
            }
        }
        else if ((Verdict.Awaiting(view, policy, topology.Master!) ?? Verdict.Trouble(view.Node(topology.Master!), policy)) is { } passing)
        {
            (trouble, troubleUntil) = passing;
        }
        else if (Verdict.Outvoted(view, policy, now, topology.Master!) is { } outvoted)
        {
            (trouble, troubleUntil) = outvoted;
        }
        else
        {
            trouble = Verdict.Unwatched(view.Node(topology.Master!));
        }

        if (view.Wish is { } wish)
        {
            return Wishes.Fulfil(wish, view, policy, now, topology);
        }

        (ImmutableArray<FailoverAction> actions, string? warning) = Membership.Corrections(view, policy, topology);
        (ImmutableArray<FailoverAction> questions, TimeSpan? wakeAt) = Suspicion(view, topology, now);
        (WriteQuorum? quorum, ImmutableArray<FailoverAction> safeguards, string? weakness) = WriteSafety.Maintain(view, policy, topology);
        (ImmutableArray<NodeView> awaited, TimeSpan? patience) = MayHaveMore(view, policy, now, topology);
        // Who is not known to all as a possible holder of writes is not let near them yet, and who may have more than the master is not told to copy it.
        actions = [.. actions.Where(a => a is not (Follow or Demote) || (WriteSafety.MayAttach(policy, topology, a.On!) && awaited.All(n => n.Address != a.On))), .. Detachment.WhileLoading(view, policy, topology), .. safeguards];
        warning = weakness is null ? warning : warning is null ? weakness : $"{warning}; {weakness}";
        Topology next = (awaited.IsEmpty ? Refreshed(Membership.WithLists(topology, view, policy), view) : Membership.WithLists(topology, view, policy)) with { WriteQuorum = quorum };
        // What the znode said about a master that was waited for holds no longer.
        bool isBack = topology.Reason.Contains(Waiting, StringComparison.Ordinal);
        string reason = isBack ? $"{topology.Master} answers again" : next != topology ? Difference(topology, next, view, policy)
            : actions.IsEmpty ? "all is well" : $"keeping the nodes in line: {string.Join("; ", actions)}";
        if (isBack || next != topology)
        {
            HistoryEntry? record = next.Identity != topology.Identity && topology.Identity is { } before ? Shortfall.OfMaster(view.Node(topology.Master!), before, topology.Epoch) : null;
            reason = record?.Reason ?? reason;
            actions = actions.Insert(0, new PublishTopology(next with { Reason = reason }, view.Version, record));
        }

        if (!policy.Nodes.Contains(topology.Master!))
        {
            warning = $"the master {topology.Master} is not among the configured nodes; it stays in office until it is lost or replaced by a switchover"
                + (warning is null ? "" : "; " + warning);
        }

        string? disagreement = Sight.Disagreement(view, policy, now, topology);
        warning = disagreement is null ? warning : warning is null ? disagreement : $"{warning}; {disagreement}";
        warning = trouble is null ? warning : warning is null ? trouble : $"{trouble}; {warning}";
        if (!awaited.IsEmpty)
        {
            questions = [.. questions, .. awaited.Where(n => n is { IsAnswering: true }).Select(n => new Inspect(n.Address))];
            wakeAt = wakeAt is null || patience < wakeAt ? patience : wakeAt;
            string less = $"master {topology.Master} was restarted and may have less than before; if {string.Join(" or ", awaited.Select(n => n.Address))} comes within {policy.ReturnPatience.TotalSeconds:0} s and has it, it takes over";
            warning = warning is null ? less : $"{less}; {warning}";
        }

        wakeAt = troubleUntil is { } inTime && (wakeAt is null || inTime < wakeAt) ? inTime : wakeAt;
        return new Decision([.. questions, .. actions], wakeAt, reason, warning);
    }

    /// <summary>Until when the next failover has to wait; null when it need not. An operator's wish ends the waiting.</summary>
    internal static TimeSpan? HeldBackUntil(ClusterView view, FailoverPolicy policy, TimeSpan now)
        => view.FailedOverAt is { } last && last + policy.FailoverInterval is var until && now < until && view.Wish is null ? until : null;

    private static Decision HeldBack(ClusterView view, FailoverPolicy policy, TimeSpan now, Topology topology, Loss loss, TimeSpan until)
    {
        string reason = $"{loss.Reason}{Waiting}, because the last one was less than {policy.FailoverInterval.TotalMilliseconds:0} ms ago; "
            + $"it begins in {(until - now).TotalSeconds:0.0} s unless the master is back, or as soon as an operator asks for it (redis-failover switchover)";
        Topology next = Membership.WithLists(topology with { Reason = reason }, view, policy);
        ImmutableArray<FailoverAction> actions = Detachment.WhileWaiting(view, policy, topology, loss);
        return Words.SameButForNumbers(topology.Reason, reason) && next with { Reason = topology.Reason } == topology
            ? new Decision(actions, until, reason, reason)
            : new Decision([new PublishTopology(next, view.Version), .. actions], until, reason, reason);
    }

    /// <summary>The intent to replace a master that is lost; also when it was just handing over.</summary>
    internal static Decision BeginFailover(ClusterView view, FailoverPolicy policy, Topology topology, string loss)
    {
        NodeAddress from = topology.Master!;
        Topology intent = Membership.WithLists(
            topology with
            {
                Master = null,
                State = TopologyState.FailingOver,
                Epoch = Math.Max(topology.Epoch, view.LastEpoch) + 1,
                Reason = loss,
                Identity = OfTheLastRun(view, topology) ?? LastKnownIdentity(view.Node(from), topology.Identity),
                Intent = new FailoverIntent(from, Target: null) { Request = topology.Intent?.Request },
            },
            view,
            policy);
        return Decision.Do(
            loss,
            [new PublishTopology(intent, view.Version) { FailingSince = view.Node(from).GoneSince }, .. Detachment.AtTheBeginning(view, policy, intent)]);
    }

    /// <summary>While the master fails but is not judged: ask the replicas about their links, so that a verdict needs no further round.</summary>
    private static (ImmutableArray<FailoverAction> Questions, TimeSpan? WakeAt) Suspicion(ClusterView view, Topology topology, TimeSpan now)
    {
        NodeView master = view.Node(topology.Master!);
        if (master.FailingSince is not { } since || master.Evidence is Evidence.Silent or Evidence.Loading)
        {
            return ([], null);
        }

        // The longer it lasts the less a millisecond matters. At first the answers themselves set the pace: no timer is as fine.
        TimeSpan interval = now - since < FirstSuspicion ? TimeSpan.Zero : LaterSuspicion;
        TimeSpan? wakeAt = null;
        ImmutableArray<FailoverAction>.Builder questions = ImmutableArray.CreateBuilder<FailoverAction>();
        foreach (NodeView node in view.Nodes.Values)
        {
            if (node.Address == master.Address || !node.IsReplica || node.Evidence == Evidence.Loading || (node.InfoAsked >= since && !node.Info!.LinkUp))
            {
                continue;
            }

            TimeSpan due = node.InfoAsked < since ? now : node.InfoAsked + interval;
            if (due <= now)
            {
                questions.Add(new Inspect(node.Address));
            }
            else if (wakeAt is null || due < wakeAt)
            {
                wakeAt = due;
            }
        }

        return (questions.ToImmutable(), wakeAt);
    }

    /// <summary>What the lost master held: by its own last word, unless it was restarted since the topology was written.</summary>
    internal static MasterIdentity? LastKnownIdentity(NodeView master, MasterIdentity? published)
        => master.Info is { Role: NodeRole.Master } info && (published is null || published.RunId == info.RunId)
            ? info.Identity
            : published is not null && master.BeforeRestart is { } last && last.RunId == published.RunId && last.Offset > published.Offset
                ? published with { Offset = last.Offset }
                : published;

    /// <summary>
    /// What the master became when it was restarted, where it was in office as that, nobody who is here has more, and somebody has copied it: that one has
    /// all that was taken in office since, which those who know only what was before have not. Null elsewhere.
    /// </summary>
    private static MasterIdentity? OfTheLastRun(ClusterView view, Topology topology)
        => topology.Identity is { RunId.Length: > 0 } before && view.Node(topology.Master!) is { Info: { Role: NodeRole.Master, Keys: > 0 } info } master
            && info.RunId != before.RunId && master.InfoAsked >= view.LeadingSince && Verdict.HasMore(view, before, master) is null
            && view.Nodes.Values.Any(n => n.Address != master.Address && n is { IsReplica: true, Info: { Keys: > 0, SyncInProgress: false } copy } && copy.CommonOffset(info.Identity) is not null)
                ? info.Identity
                : null;

    /// <summary>
    /// Who may have what a master that was restarted no longer has, but has not said yet what it has since, and until when that is waited for: so long
    /// the znode keeps what the master was, by which they are judged when they come. How far it had come when it ended nobody knows: the last
    /// answer is up to a second older.
    /// </summary>
    internal static (ImmutableArray<NodeView> Awaited, TimeSpan? Until) MayHaveMore(ClusterView view, FailoverPolicy policy, TimeSpan now, Topology topology)
    {
        NodeView master = view.Node(topology.Master!);
        if (!master.IsMaster || topology.Identity is not { RunId.Length: > 0, HasData: true } known || master.Info!.RunId == known.RunId
            || (master.OnlineSince ?? now) + policy.ReturnPatience is var until && now >= until)
        {
            return ([], null);
        }

        return ([.. policy.Nodes.Where(n => n != master.Address && topology.Members.Contains(n)).Select(view.Node).Where(n => !n.IsInOrder || n.InfoAsked < view.LeadingSince || n.InfoAsked < master.OnlineSince)], until);
    }

    /// <summary>The identity in the znode is renewed when it became another one, not with every byte of the offset.</summary>
    private static Topology Refreshed(Topology topology, ClusterView view)
    {
        NodeView master = view.Node(topology.Master!);
        return master.IsMaster && master.Info!.Identity is var current
            && (topology.Identity is not { } known || current with { Offset = known.Offset } != known)
                ? topology with { Identity = current }
                : topology;
    }

    private static string Difference(Topology before, Topology after, ClusterView view, FailoverPolicy policy)
    {
        List<string> parts = [];
        foreach (NodeAddress node in after.Unavailable.Except(before.Unavailable))
        {
            parts.Add(view.Node(node) is { IsAnswering: true, Info: { } info } && !Verdict.IsUnavailable(view, policy, node, out _)
                ? $"{node} is not usable as a replica ({(info.Role == NodeRole.Master ? "it says that it is a master" : info.SyncInProgress ? "it is receiving a full copy" : info.LinkUp ? "it follows another" : "its link is down")})"
                : $"{node} is unavailable");
        }

        foreach (NodeAddress node in after.Replicas.Except(before.Replicas))
        {
            parts.Add($"{node} is available as a replica");
        }

        foreach (NodeAddress node in before.Replicas.Concat(before.Unavailable).Except(after.Replicas).Except(after.Unavailable))
        {
            parts.Add($"{node} is no longer configured");
        }

        foreach ((NodeAddress node, string remark) in after.Remarks.Except(before.Remarks))
        {
            parts.Add($"{node}: {remark}");
        }

        foreach (NodeAddress node in before.Remarks.Keys.Except(after.Remarks.Keys).Except(after.Replicas))
        {
            parts.Add($"{node} is no longer left alone");
        }

        if (after.WriteQuorum != before.WriteQuorum)
        {
            parts.Add(after.WriteQuorum is { } safe
                ? $"every write of WAIT {safe.Quorum} is on one at least of any {safe.Needed} of [{string.Join(' ', safe.Replicas)}]{(safe.MinReplicas > 0 ? $"; the master refuses writes with fewer than {safe.MinReplicas} in step" : "")}"
                : "write safety is switched off");
        }

        return parts.Count > 0 ? string.Join("; ", parts) : $"master {after.Master} is known better (run id, replication id, data)";
    }
}
