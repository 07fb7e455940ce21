using System.Collections.Immutable;

namespace RedisFailover;

/// <summary>
/// The master is being replaced: the intent stands in the znode, clients hold their writes. Every step looks at what is, not at
/// what this monitor remembers to have done, so that another leader can go on from any of them.
/// </summary>
internal static class MasterChange
{
    /// <summary>For how long a switchover asks for offsets as fast as the answers come; and how often later.</summary>
    private static readonly TimeSpan FirstHaste = TimeSpan.FromMilliseconds(50), LaterHaste = TimeSpan.FromMilliseconds(5);

    /// <summary>Between the reason of a change and why it does not get on, in the znode.</summary>
    private const string WaitingFor = "; waiting, because ";

    internal static Decision Decide(ClusterView view, FailoverPolicy policy, TimeSpan now, Topology topology)
    {
        MasterChangeProgress progress = view.Progress ?? new MasterChangeProgress(now, now, Inherited: true);
        if (view.Running.Any(a => a is Promote))
        {
            return Decision.Nothing("waiting for the promotion");
        }

        if (AlreadyPromoted(view, topology, progress) is { } promoted)
        {
            return Install(view, policy, topology, progress, promoted);
        }

        NodeView? from = topology.Intent?.From is { } address ? view.Node(address) : null;
        if (topology.State == TopologyState.SwitchingOver && from is { IsMaster: true })
        {
            // Voted out, but answering this monitor: it hands over all the same. Once it fails, or does not get there, it is lost.
            bool isVotedOut = Verdict.IsUnavailable(view, policy, from.Address, out _);
            if ((!isVotedOut || from is { FailingSince: null, Evidence: null }) && HandOver(view, policy, now, topology, progress, from, isVotedOut) is { } step)
            {
                return step;
            }
        }

        return Replace(view, policy, now, topology, progress, from);
    }

    /// <summary>
    /// A node that was promoted already and says so itself now: by us, or by a leader before us. The latter shows in the history
    /// that it continues, the lost master's own; an earlier master that happens to come back at this moment does not.
    /// </summary>
    private static NodeView? AlreadyPromoted(ClusterView view, Topology topology, MasterChangeProgress progress)
        => view.Nodes.Values
            .Where(n => n.IsMaster && n.InfoAsked >= progress.StartedAt
                && (n.Address == progress.Promoted
                    || (n.Address != topology.Intent?.From && (progress.Inherited || view.Failed.ContainsKey(new Promote(n.Address)) || IsFollowed(view, n, topology))
                        && topology.Identity is { } lost && n.Info!.PreviousReplicationId == lost.ReplicationId)))
            .OrderByDescending(n => n.Info!.Offset)
            .ThenBy(n => n.Address)
            .FirstOrDefault();

    /// <summary>The old master says itself that it follows this node: somebody promoted it by hand.</summary>
    private static bool IsFollowed(ClusterView view, NodeView node, Topology topology)
        => topology.Intent?.From is { } from && view.Node(from) is { IsReplica: true } old && old.Info!.MasterAddress == node.Address;

    /// <summary>A lost master: promote the best of those that answer.</summary>
    private static Decision Replace(
        ClusterView view, FailoverPolicy policy, TimeSpan now, Topology topology, MasterChangeProgress progress, NodeView? from)
    {
        // It came back as it was, and nobody was promoted: nothing is lost by letting it go on.
        ImmutableArray<FailoverAction> uncertain = Uncertain(view, policy);
        if (uncertain.IsEmpty && from is { IsMaster: true, FailingSince: null } && from.InfoAsked >= progress.StartedAt
            && topology.Identity is { RunId.Length: > 0 } identity && from.Info!.RunId == identity.RunId
            && !Verdict.IsUnavailable(view, policy, from.Address, out _))
        {
            return Restore(view, policy, topology, progress, from, $"master {from.Address} answers again, as it was, before another was promoted");
        }

        // Two nodes must not be promoted in one epoch: before the next candidate's turn it has to be clear what became of the last.
        if (!uncertain.IsEmpty)
        {
            return new Decision(uncertain, now + policy.ProbeTimeout, "asking whether the promotion was done");
        }

        // Everyone who may answer is heard before anyone is chosen: the one that is asked last may be the one that has most, or may
        // have been promoted already. A node that this monitor has never heard of yet is waited for until it is judged.
        TimeSpan patience = progress.StartedAt + policy.SilenceLimit;
        if (now < patience && view.Nodes.Values.Any(n => n.Condition == NodeCondition.Unknown && n.Evidence is not (Evidence.Denied or Evidence.Nonsense)
            && n.Address != from?.Address))
        {
            return Decision.Nothing("waiting for all nodes to be seen", patience);
        }

        // After a switchover that did not get there in time the asking begins only now.
        patience = progress.StartedAt + policy.ProbeTimeout + (progress.PausedAt is null ? TimeSpan.Zero : policy.SwitchoverTimeout);
        ImmutableArray<FailoverAction> questions = [.. view.Nodes.Values
            .Where(n => n.IsOnline && n.Address != from?.Address && n.FailingSince is null && !Candidates.IsFinal(n, progress))
            .OrderBy(n => n.Address).Select(n => new Inspect(n.Address))];
        if (!questions.IsEmpty && now < patience)
        {
            return new Decision(questions, patience, "asking the replicas for their offsets");
        }

        // A node that has become a master's replica itself (somebody sent it REPLICAOF) is a candidate like the others.
        List<string> unfit = [];
        List<NodeView> fit = [];
        foreach (NodeView node in view.Nodes.Values.Where(n => policy.Nodes.Contains(n.Address)).OrderBy(n => n.Address))
        {
            string? why = Candidates.IsFinal(node, progress) || !node.IsOnline
                ? Candidates.Unfit(node, topology.Identity, view, policy, now) ?? Candidates.TooFarBehind(node, topology.Identity, policy)
                : "it does not answer any more";
            why ??= node.Address == from?.Address && node.IsMaster ? "it is the master that is replaced" : null;
            if (why is null)
            {
                fit.Add(node);
            }
            else
            {
                unfit.Add($"{node.Address}: {why}");
            }
        }

        if (fit.Count > 0)
        {
            NodeView best = Candidates.Ranked(fit, topology.Identity, view, policy, now)[0];
            return Decision.Do(
                $"promoting {best.Address}: offset {best.Info!.Offset}, the master was last seen at {topology.Identity?.Offset.ToString(System.Globalization.CultureInfo.InvariantCulture) ?? "an unknown one"}"
                    + $"; the best of {fit.Count}{(unfit.Count > 0 ? $" ({string.Join("; ", unfit)})" : "")}",
                new Promote(best.Address));
        }

        if (Forced(view, policy) is { } forced)
        {
            string despite = Candidates.Unfit(forced, topology.Identity, view, policy, now)
                ?? Candidates.TooFarBehind(forced, topology.Identity, policy) ?? "it is the master that was lost";
            string order = $"promoting {forced.Address}, as the operator orders, though {despite}; what it does not hold is lost";
            return Decision.Do(order, new Promote(forced.Address, despite)) with { Warning = order };
        }

        if (from is { IsMaster: true, FailingSince: null, Evidence: null } && from.InfoAsked >= progress.StartedAt
            && (from.Info!.Keys > 0 || topology.Identity is not { HasData: true }))
        {
            // From an older snapshot it may have less than a replica that is itself only just coming back.
            TimeSpan patient = (from.OnlineSince ?? now) + policy.SilenceLimit;
            if (from.Info.RunId != topology.Identity?.RunId && from.Info.Offset < topology.Identity?.Offset && now < patient
                && policy.Nodes.Any(n => !view.Node(n).IsOnline))
            {
                return Decision.Nothing($"master {from.Address} was restarted and has less than before; the others are waited for", patient);
            }

            string back = from.Info.RunId == topology.Identity?.RunId
                ? $"master {from.Address} answers, and nobody can take over: {string.Join("; ", unfit)}"
                : $"master {from.Address} was restarted with {from.Info.Keys} keys and nobody has more";
            return Restore(view, policy, topology, progress, from, back);
        }

        if (Sight.Resignation(view, policy, now, masterIsMissing: true) is { } resignation)
        {
            return resignation;
        }

        TimeSpan retry = view.Failed.Values.Select(f => f.RetryAt).Where(at => at > now).DefaultIfEmpty(now + policy.RetryDelay).Min();
        string nobody = $"nobody can be promoted: {string.Join("; ", unfit)}";
        string reason = $"{Occasion(topology)}{WaitingFor}{nobody}";
        // The znode says so when it lasts: a moment later somebody may be fit, and would have to wait for the publication.
        return Words.SameButForNumbers(topology.Reason, reason) || now < progress.StartedAt + policy.ProbeTimeout
            ? Decision.Nothing(nobody, retry) with { Warning = nobody }
            : new Decision(
                [new PublishTopology(Membership.WithLists(topology with { Reason = reason }, view, policy), view.Version)], retry, nobody, nobody);
    }

    /// <summary>Why the change was begun, without what was added to the reason since.</summary>
    private static string Occasion(Topology topology) => topology.Reason.Split(WaitingFor)[0];

    /// <summary>An operator who names a node while nobody is fit takes it as it is.</summary>
    private static NodeView? Forced(ClusterView view, FailoverPolicy policy)
        => view.Wish is { } wish && NodeAddress.TryParse(wish, out NodeAddress? named) && policy.Nodes.Contains(named)
            && view.Node(named) is { IsOnline: true, Info.Loading: false, FailingSince: null } node
            ? node
            : null;

    /// <summary>
    /// A switchover: the old master holds its writes, the target catches up, takes over; or all is undone at the deadline. Null where
    /// it cannot be undone, because the old master was voted out: then it is replaced as one that is lost.
    /// </summary>
    private static Decision? HandOver(
        ClusterView view, FailoverPolicy policy, TimeSpan now, Topology topology, MasterChangeProgress progress, NodeView from, bool isVotedOut)
    {
        TimeSpan deadline = progress.StartedAt + policy.SwitchoverTimeout;
        NodeView target = view.Node(topology.Intent!.Target ?? from.Address);
        string? why = view.Failed.TryGetValue(new PauseWrites(from.Address, policy.PauseLimit), out (TimeSpan RetryAt, string Failure) pause) ? pause.Failure
            : progress.Inherited && !isVotedOut ? "the monitor that led it is gone"
            : now >= deadline ? $"{target.Address} had not caught up after {policy.SwitchoverTimeout.TotalMilliseconds:0} ms "
                + $"(offset {target.Info?.Offset} of {from.Info!.Offset})"
            : Candidates.Unfit(target, topology.Identity, view, policy, now);
        if (why is not null)
        {
            if (isVotedOut)
            {
                return null;
            }

            if (Uncertain(view, policy) is { IsEmpty: false } questions)
            {
                return new Decision(questions, now + policy.ProbeTimeout, "asking whether the promotion was done");
            }

            return Restore(view, policy, topology, progress, from, $"the switchover to {target.Address} was given up and nothing changed: {why}");
        }

        // It misses a beat: no verdict yet, and nothing to do without its answers. At the deadline all is undone.
        if (from.FailingSince is not null)
        {
            return Decision.Nothing($"{from.Address} does not answer at the moment", deadline);
        }

        if (progress.PausedAt is not { } paused)
        {
            return new Decision([new PauseWrites(from.Address, policy.PauseLimit)], deadline, $"{from.Address} is asked to hold its writes");
        }

        bool sourceFinal = from.InfoAsked >= paused;
        if (sourceFinal && target.InfoAsked >= paused && target.Info!.Offset >= from.Info!.Offset)
        {
            return Decision.Do($"promoting {target.Address}: it has all of {from.Address} (offset {target.Info.Offset})", new Promote(target.Address));
        }

        ImmutableArray<FailoverAction> offsets = sourceFinal
            ? [new Inspect(target.Address)]
            : [new Inspect(from.Address), new Inspect(target.Address)];
        string waiting = $"waiting for {target.Address} to catch up with {from.Address}";
        TimeSpan due = now - paused < FirstHaste ? now : target.InfoAsked + LaterHaste;
        return due > now ? Decision.Nothing(waiting, due < deadline ? due : deadline) : new Decision(offsets, deadline, waiting);
    }

    /// <summary>The new master is confirmed: publish it.</summary>
    private static Decision Install(
        ClusterView view, FailoverPolicy policy, Topology topology, MasterChangeProgress progress, NodeView promoted)
    {
        NodeAddress? from = topology.Intent?.From;
        bool planned = topology.State == TopologyState.SwitchingOver
            && (progress.PausedAt is not null || (from is not null && !Verdict.IsUnavailable(view, policy, from, out _)));
        long? behind = topology.Identity is { } lost && promoted.Info!.PreviousHistoryEnd > 0 && promoted.Info.PreviousReplicationId == lost.ReplicationId
            ? Math.Max(0, LastOffset(view, from, lost, progress) - (promoted.Info.PreviousHistoryEnd - 1))
            : null;
        // "adopted" is the word for a cluster whose first master is made of a replica: there was nothing to fail over from.
        string occasion = Occasion(topology)
            + (progress.PromotedDespite is { } despite ? $"; {promoted.Address} was promoted by the operator's order though {despite}: what it did not hold is lost" : "");
        string reason = $"{promoted.Address} replaces {from?.ToString() ?? "no master"}: {occasion}";
        Topology next = InOffice(view, policy, topology, promoted, reason);
        if (planned && from is not null && from != promoted.Address && view.Node(from).IsOnline && !next.Replicas.Contains(from)
            && !Verdict.IsUnavailable(view, policy, from, out _))
        {
            // It has all the data and is a replica in a moment: clients keep their connections to it, on which their held-back
            // writes are about to be answered with READONLY.
            next = next with { Replicas = [.. policy.Nodes.Where(n => n == from || next.Replicas.Contains(n))], Unavailable = next.Unavailable.Remove(from) };
        }

        var record = new HistoryEntry
        {
            Kind = planned && behind is not > 0 ? HistoryKind.Switchover : HistoryKind.Failover,
            Epoch = topology.Epoch,
            From = from,
            To = promoted.Address,
            Reason = occasion,
            BytesBehind = behind,
            Millis = Steps(progress),
        };
        Decision decision = Decision.Do(reason, new PublishTopology(next, view.Version, record, ClearsWish: view.Wish is not null));
        return behind > 0
            ? decision with { Warning = $"{promoted.Address} lacks the last {behind} bytes that {from} was seen to have" }
            : decision;
    }

    /// <summary>How far the old master had come: by its own word while it held its writes, where there is one.</summary>
    private static long LastOffset(ClusterView view, NodeAddress? from, MasterIdentity lost, MasterChangeProgress progress)
        => from is not null && view.Node(from) is { IsMaster: true } old && old.InfoAsked >= progress.PausedAt && old.Info!.ReplicationId == lost.ReplicationId
            ? Math.Max(old.Info.Offset, lost.Offset)
            : lost.Offset;

    /// <summary>A promotion whose answer was lost may have been done: the node is asked before the old master goes on.</summary>
    private static ImmutableArray<FailoverAction> Uncertain(ClusterView view, FailoverPolicy policy)
        => [.. view.Failed.Where(f => f.Key is Promote promote && view.Node(promote.Node) is { IsOnline: true, FailingSince: null } node
                && node.InfoAsked < f.Value.RetryAt - policy.RetryDelay)
            .Select(f => f.Key.On!).Order().Select(n => new Inspect(n))];

    /// <summary>The old master goes on.</summary>
    private static Decision Restore(
        ClusterView view, FailoverPolicy policy, Topology topology, MasterChangeProgress progress, NodeView from, string reason)
    {
        var record = new HistoryEntry
        {
            Kind = HistoryKind.Restored,
            Epoch = topology.Epoch,
            From = from.Address,
            To = from.Address,
            Reason = reason,
            Millis = Steps(progress),
        };
        var publication = new PublishTopology(InOffice(view, policy, topology, from, reason), view.Version, record, ClearsWish: view.Wish is not null);
        return topology.State == TopologyState.SwitchingOver
            ? Decision.Do(reason, publication, new ResumeWrites(from.Address))
            : Decision.Do(reason, publication);
    }

    private static Topology InOffice(ClusterView view, FailoverPolicy policy, Topology topology, NodeView master, string reason)
        => Membership.WithLists(
            topology with
            {
                Master = master.Address,
                State = TopologyState.Ok,
                Reason = reason,
                Identity = master.Info!.Identity,
                Intent = null,
            },
            view,
            policy);

    /// <summary>How long each step took, from the first failure on; what happens after the promotion is measured by the writer.</summary>
    private static ImmutableArray<KeyValuePair<string, double>> Steps(MasterChangeProgress progress)
    {
        ImmutableArray<KeyValuePair<string, double>>.Builder steps = ImmutableArray.CreateBuilder<KeyValuePair<string, double>>();
        TimeSpan last = progress.LostAt;
        Add("verdict", progress.StartedAt);
        Add("intent", progress.IntentAt);
        Add("pause", progress.PausedAt);
        Add("promotion", progress.PromotedAt);
        steps.Add(KeyValuePair.Create("total", (last - progress.LostAt).TotalMilliseconds));
        return steps.ToImmutable();

        void Add(string step, TimeSpan? at)
        {
            if (at is { } time)
            {
                steps.Add(KeyValuePair.Create(step, (time - last).TotalMilliseconds));
                last = time;
            }
        }
    }
}
