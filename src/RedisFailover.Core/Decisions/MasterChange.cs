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

    /// <summary>How long a Redis before 6.2 is paused at most: reads wait as well, and nothing can lift it.</summary>
    private static readonly TimeSpan PauseOfOldVersions = TimeSpan.FromMilliseconds(250);

    /// <summary>Between the reason of a change and why it does not get on, in the znode.</summary>
    private const string WaitingFor = "; waiting, because ";

    internal static Decision Decide(ClusterView view, FailoverPolicy policy, TimeSpan now, Topology topology)
    {
        Decision decision = Next(view, policy, now, topology);
        return decision with { Actions = [.. decision.Actions, .. Requests.RefuseOthers(view, topology)] };
    }

    private static Decision Next(ClusterView view, FailoverPolicy policy, TimeSpan now, Topology topology)
    {
        MasterChangeProgress progress = view.Progress ?? new MasterChangeProgress(now, now, Inherited: true);
        if (view.Running.Any(a => a is Promote))
        {
            return Decision.Nothing("waiting for the promotion");
        }

        // What another leader did is not known here: with write safety it stands only where this one could do it. Nobody writes to it yet.
        if (AlreadyPromoted(view, policy, topology, progress) is { } promoted
            && (promoted.Address == progress.Promoted || !progress.Inherited || WriteSafety.Missing(view, policy, topology, progress, promoted) is null))
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

        // Lost while it was handing over. Clients are told, as at the beginning of any failover, before anyone is promoted.
        return topology.Master is null
            ? Replace(view, policy, now, topology, progress, from)
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
            return Restore(view, policy, now, topology, progress, from, $"master {from.Address} answers again, as it was, before another was promoted");
        }

        // Two nodes must not be promoted in one epoch: before the next candidate's turn it has to be clear what became of the last.
        if (!uncertain.IsEmpty)
        {
            return new Decision(uncertain, now + policy.ProbeTimeout, "asking whether the promotion was done");
        }

        // Everyone who may answer is heard before anyone is chosen: the one that is asked last may be the one that has most, or may
        // have been promoted already. A node that this monitor has never heard of yet is waited for until it is judged.
        TimeSpan patience = progress.StartedAt + policy.SilenceLimit;
        ImmutableArray<FailoverAction> questions = Detachment.BeforeTheChoice(view, policy, topology, progress);
        if (now < patience && view.Nodes.Values.Any(n => n.Condition == NodeCondition.Unknown && n.Evidence is not (Evidence.Denied or Evidence.Nonsense)
            && n.Address != from?.Address))
        {
            return new Decision(Detachment.WithoutAChoice(view, policy, topology, progress), patience, "waiting for all nodes to be seen");
        }

        // After a switchover that did not get there in time the asking begins only now. Who has only just come back has his own time.
        TimeSpan begun = progress.StartedAt + (progress.PausedAt is null ? TimeSpan.Zero : policy.SwitchoverTimeout);
        patience = questions.Where(q => !(view.Failed.ContainsKey(q) && view.Node(q.On!).InfoAsked >= progress.StartedAt))
            .Select(q => view.Node(q.On!)).Select(n => Later(begun, Later(n.LastFailedAt, n.OnlineSince ?? begun)))
            .DefaultIfEmpty(TimeSpan.MinValue + policy.ProbeTimeout).Max() + policy.ProbeTimeout;
        if (now < patience)
        {
            return new Decision(Detachment.WithoutAChoice(view, policy, topology, progress), patience, "detaching the replicas and asking for their offsets");
        }

        Decision choice = Choose(view, policy, now, topology, progress, from);
        return choice.Actions.Any(a => a is Promote or Resign or PublishTopology { Next.IsChangingMaster: false }) ? choice : choice with { Actions = [.. Detachment.WithoutAChoice(view, policy, topology, progress), .. choice.Actions] };
    }

    /// <summary>Everybody who answers has been heard: promote the best, or say why nobody is fit.</summary>
    private static Decision Choose(
        ClusterView view, FailoverPolicy policy, TimeSpan now, Topology topology, MasterChangeProgress progress, NodeView? from)
    {
        // A node that has become a master's replica itself (somebody sent it REPLICAOF) is a candidate like the others.
        List<string> unfit = [];
        List<NodeView> fit = [];
        foreach (NodeView node in view.Nodes.Values.Where(n => policy.Nodes.Contains(n.Address)).OrderBy(n => n.Address))
        {
            string? why = Candidates.IsFinal(node, view, topology, progress) || !node.IsOnline
                ? Candidates.Unfit(node, topology.Identity, view, policy, now) ?? Candidates.TooFarBehind(node, topology.Identity, policy)
                : view.Failed.TryGetValue(new Detach(node.Address), out (TimeSpan RetryAt, string Failure) detachment) ? $"it could not be detached from its master: {detachment.Failure}"
                : node.FailingSince is not null ? $"it does not answer at present ({node.Detail})"
                : "it has not said yet what it holds since the master was lost";
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
            if (WriteSafety.Missing(view, policy, topology, progress, best) is { } missing)
            {
                return Unsafe(view, policy, now, topology, progress, best, missing);
            }

            return Decision.Do(
                $"promoting {best.Address}: offset {best.Info!.Offset}, the master was last seen at {topology.Identity?.Offset.ToString(System.Globalization.CultureInfo.InvariantCulture) ?? "an unknown one"}"
                    + $"; the best of {fit.Count}{(unfit.Count > 0 ? $" ({string.Join("; ", unfit)})" : "")}",
                new Promote(best.Address) { MinReplicas = WriteSafety.AtPromotion(policy, best) });
        }

        if (Forced(view, policy) is { } forced)
        {
            string despite = Candidates.Unfit(forced, topology.Identity, view, policy, now)
                ?? Candidates.TooFarBehind(forced, topology.Identity, policy) ?? "it is the master that was lost";
            string order = $"promoting {forced.Address}, as the operator orders, though {despite}; what it does not hold is lost";
            return Decision.Do(order, new Promote(forced.Address, despite) { MinReplicas = WriteSafety.AtPromotion(policy, forced) }) with { Warning = order };
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

            if (topology.Identity is { } before && from.Info.RunId != before.RunId && Verdict.HasMore(view, before, from) is { } keeper)
            {
                string kept = $"master {from.Address} was restarted with {from.Info.Keys} keys, and {keeper.Address} has more, which following {from.Address} would wipe: an operator has to choose ({string.Join("; ", unfit)})";
                return view.Request is not null ? Requests.Refuse(view, topology, kept) : Wait(view, policy, now, topology, progress, kept, now + policy.RetryDelay);
            }

            string back = from.Info.RunId == topology.Identity?.RunId
                ? $"master {from.Address} answers, and nobody can take over: {string.Join("; ", unfit)}"
                : $"master {from.Address} was restarted with {from.Info.Keys} keys and nobody has more"
                    + (topology.Identity is { } held && Shortfall.Of(from, held) is (string text, _) ? $"; {text}" : "");
            return Restore(view, policy, now, topology, progress, from, back);
        }

        if (Sight.Resignation(view, policy, now, masterIsMissing: true) is { } resignation)
        {
            return resignation;
        }

        TimeSpan retry = view.Failed.Values.Select(f => f.RetryAt).Where(at => at > now).DefaultIfEmpty(now + policy.RetryDelay).Min();
        string nobody = $"nobody can be promoted: {string.Join("; ", unfit)}{WayOut(view, policy, topology, progress)}";
        return view.Request is not null
            ? Requests.Refuse(view, topology, nobody) with { WakeAt = retry }
            : Wait(view, policy, now, topology, progress, nobody, retry);
    }

    /// <summary>What an operator can do where waiting alone will not help: all nodes are here, and the data are not.</summary>
    private static string WayOut(ClusterView view, FailoverPolicy policy, Topology topology, MasterChangeProgress progress)
        => topology.Identity is { HasData: true }
            && policy.Nodes.Select(view.Node).All(n => n is { IsOnline: true, FailingSince: null, Evidence: null, Info.Keys: 0 } && n.InfoAsked >= progress.StartedAt)
                ? ". All nodes are here and all are empty: the data are gone from every one of them. Either stop a node, put its RDB or AOF files back and start it; "
                    + $"or go on with nothing, by redis-failover switchover {policy.Nodes[0]} --force"
                : "";

    /// <summary>Nothing can be done yet. The znode says so when it lasts: a moment later it may be otherwise, and would have to wait for the publication.</summary>
    private static Decision Wait(
        ClusterView view, FailoverPolicy policy, TimeSpan now, Topology topology, MasterChangeProgress progress, string why, TimeSpan retry)
    {
        string reason = $"{Occasion(topology)}{WaitingFor}{why}";
        return Words.SameButForNumbers(topology.Reason, reason) || now < progress.StartedAt + policy.ProbeTimeout
            ? Decision.Nothing(why, retry) with { Warning = why }
            : new Decision([new PublishTopology(Membership.WithLists(topology with { Reason = reason }, view, policy), view.Version)], retry, why, why);
    }

    private static TimeSpan Later(TimeSpan one, TimeSpan other) => one > other ? one : other;

    /// <summary>Why the change was begun, without what was added to the reason since.</summary>
    private static string Occasion(Topology topology) => topology.Reason.Split(WaitingFor)[0];

    /// <summary>Write safety: the best that answers may lack what was acknowledged. It is waited for, unless an operator forces it.</summary>
    private static Decision Unsafe(
        ClusterView view, FailoverPolicy policy, TimeSpan now, Topology topology, MasterChangeProgress progress, NodeView best, string missing)
    {
        NodeView? forced = Forced(view, policy) ?? (view.Request is { Force: true, Target: null } ? best : null);
        if (forced is not null)
        {
            string order = $"promoting {forced.Address}, as the operator orders, though this is not safe: {missing}";
            return Decision.Do(order, new Promote(forced.Address, missing) { MinReplicas = WriteSafety.AtPromotion(policy, forced) }) with { Warning = order };
        }

        TimeSpan retry = now + policy.RetryDelay;
        return view.Request is not null
            ? Requests.Refuse(view, topology, $"no failover yet: {missing}") with { WakeAt = retry }
            : Wait(view, policy, now, topology, progress, missing, retry) with { Reason = $"no failover yet: {missing}", Warning = $"no failover yet: {missing}; redis-failover switchover HOST:PORT --force takes a node as it is" };
    }

    /// <summary>
    /// An operator who names a node while nobody is fit takes it as it is: in manual_failover, or with a request that says so.
    /// </summary>
    private static NodeView? Forced(ClusterView view, FailoverPolicy policy)
        => view.Request is null or { Force: true }
            && view.Wish is { } wish && NodeAddress.TryParse(wish, out NodeAddress? named) && policy.Nodes.Contains(named)
            && Candidates.CanBePromoted(view.Node(named))
            ? view.Node(named)
            : null;

    /// <summary>
    /// A switchover: the old master holds its writes, the target catches up, takes over; or all is undone at the deadline. Null where
    /// it cannot be undone, because the old master was voted out: then it is replaced as one that is lost.
    /// </summary>
    private static Decision? HandOver(
        ClusterView view, FailoverPolicy policy, TimeSpan now, Topology topology, MasterChangeProgress progress, NodeView from, bool isVotedOut)
    {
        FailoverIntent intent = topology.Intent!;
        TimeSpan timeout = intent.Timeout ?? policy.SwitchoverTimeout;
        TimeSpan deadline = progress.StartedAt + timeout;
        TimeSpan look = now < deadline ? deadline : deadline + policy.ProbeTimeout;
        NodeView target = view.Node(intent.Target ?? from.Address);
        // What it lacks. An operator who forces takes it nevertheless, once it has had its chance to get more.
        string? lacks = Candidates.Unfit(target, topology.Identity, view, policy, now)
            ?? (now >= deadline
                ? $"{target.Address} had not caught up after {timeout.TotalMilliseconds:0} ms (offset {target.Info?.Offset} of {from.Info!.Offset})"
                : null);
        string? why = view.Failed.TryGetValue(new PauseWrites(from.Address, policy.PauseLimit), out (TimeSpan RetryAt, string Failure) pause) ? pause.Failure
            : progress.Inherited && !isVotedOut ? "the monitor that led it is gone"
            : intent.Forced && Candidates.CanBePromoted(target) && !view.Failed.ContainsKey(new Promote(target.Address)) && now < deadline + policy.ProbeTimeout ? null
            : lacks;
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

            // Another monitor led it, and may have got as far as the promotion: nothing is undone on an answer from before, however
            // long a new one takes, while the target may still give it.
            TimeSpan hearing = progress.StartedAt + policy.SilenceLimit + policy.ProbeTimeout;
            if (progress.Inherited && target.Address != from.Address && target.InfoAsked < progress.StartedAt && now < hearing
                && !Verdict.IsUnavailable(view, policy, target.Address, out _))
            {
                return new Decision([new Inspect(target.Address)], hearing, $"asking {target.Address} whether it was promoted");
            }

            return Restore(view, policy, now, topology, progress, from, $"the switchover to {target.Address} was given up and nothing changed: {why}");
        }

        // It misses a beat: no verdict yet, and nothing to do without its answers. At the deadline all is undone.
        if (from.FailingSince is not null)
        {
            return Decision.Nothing($"{from.Address} does not answer at the moment", look);
        }

        if (progress.PausedAt is not { } paused)
        {
            string asked = $"{from.Address} is asked to hold its writes";
            if (view.Running.Any(a => a is PauseWrites))
            {
                return Decision.Nothing(asked, look);
            }

            // Where only everything can be held, and nobody can lift it, monitors must not take the silence for a failure.
            bool holdsAll = !from.Info!.PausesWritesAlone;
            TimeSpan longest = policy.PauseLimit - policy.SwitchoverTimeout + timeout;
            TimeSpan shortest = policy.SilenceLimit / 3;
            TimeSpan pauseFor = !holdsAll ? longest : shortest < PauseOfOldVersions ? shortest : PauseOfOldVersions;
            return new Decision(
                [new PauseWrites(from.Address, pauseFor, holdsAll), new Inspect(target.Address)], look, asked);
        }

        bool sourceFinal = from.InfoAsked >= paused;
        if (sourceFinal && lacks is null && target.InfoAsked >= progress.StartedAt && target.Info!.Offset >= from.Info!.Offset)
        {
            return Decision.Do($"promoting {target.Address}: it has all of {from.Address} (offset {target.Info.Offset})", new Promote(target.Address) { MinReplicas = WriteSafety.AtPromotion(policy, target) });
        }

        if (sourceFinal && intent.Forced && target.InfoAsked >= paused && (lacks is not null || target.Info is not { LinkUp: true }))
        {
            lacks ??= $"{target.Address} has no link to its master (offset {target.Info?.Offset} of {from.Info!.Offset})";
            return Decision.Do($"promoting {target.Address} by force: {lacks}", new Promote(target.Address, lacks) { MinReplicas = WriteSafety.AtPromotion(policy, target) });
        }

        ImmutableArray<FailoverAction> offsets = sourceFinal
            ? [new Inspect(target.Address)]
            : [new Inspect(from.Address), new Inspect(target.Address)];
        string waiting = $"waiting for {target.Address} to catch up with {from.Address}";
        TimeSpan due = now - paused < FirstHaste ? now : target.InfoAsked + LaterHaste;
        return due > now ? Decision.Nothing(waiting, due < look ? due : look) : new Decision(offsets, look, waiting);
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
        string occasion = Occasion(topology) + (progress.BegunBy is { } former ? $"; begun by {former}, which left it to its successor" : "")
            + (progress.PromotedDespite is { } despite ? $"; {promoted.Address} was promoted by the operator's order though {despite}: what it did not hold is lost" : "");
        string reason = $"{promoted.Address} replaces {from?.ToString() ?? "no master"}: {occasion}";
        // A switchover leaves the epoch to the old master until here.
        Topology next = InOffice(view, policy, topology, promoted, reason) with
        {
            Epoch = topology.Master is null ? topology.Epoch : Math.Max(topology.Epoch, view.LastEpoch) + 1,
            WriteQuorum = WriteSafety.UnderNewMaster(policy, topology, promoted.Address),
        };
        if (planned && from is not null && from != promoted.Address && view.Node(from).IsOnline && !next.Replicas.Contains(from)
            && !Verdict.IsUnavailable(view, policy, from, out _))
        {
            // It has all the data and is a replica in a moment: clients keep their connections to it, on which their held-back
            // writes are about to be answered with READONLY.
            next = next with { Replicas = [.. policy.Nodes.Where(n => n == from || next.Replicas.Contains(n))], Unavailable = next.Unavailable.Remove(from) };
        }

        var record = new HistoryEntry
        {
            Kind = planned && (behind is not > 0 || topology.Intent is { Forced: true }) ? HistoryKind.Switchover : HistoryKind.Failover,
            Epoch = next.Epoch,
            From = from,
            To = promoted.Address,
            Reason = occasion,
            BytesBehind = behind,
            Millis = Steps(progress),
        };
        var publication = new PublishTopology(next, view.Version, record, ClearsWish: view.ManualFailover is not null)
        {
            Request = Requests.Answer(view, topology, next, RequestOutcome.Done, record.Reason, record.Millis),
        };
        // What the old master of a switchover holds back need not wait for the publication, the new one is in office already; and it
        // must not wait for a successor if this monitor dies in between.
        Decision decision = planned && from is not null && view.Node(from) is { IsMaster: true, FailingSince: null }
            ? Decision.Do(
                reason,
                new Demote(from, promoted.Address, CutsClients: false) { MinReplicas = WriteSafety.AfterOffice(policy, topology, view.Node(from).Info!) },
                publication)
            : Decision.Do(reason, publication);
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
        ClusterView view, FailoverPolicy policy, TimeSpan now, Topology topology, MasterChangeProgress progress, NodeView from, string reason)
    {
        var record = new HistoryEntry
        {
            Kind = HistoryKind.Restored,
            Epoch = topology.Epoch,
            From = from.Address,
            To = from.Address,
            Reason = reason,
            BytesBehind = topology.Identity is { } held && Shortfall.Of(from, held) is (_, var bytes) ? bytes : null,
            Millis = Steps(progress, givenUpAt: now),
        };
        // Where a node may have been promoted after all, the epoch is used up.
        Topology next = InOffice(view, policy, topology, from, reason);
        if (topology.Master is not null && (progress.Inherited || view.Failed.Keys.Any(a => a is Promote)))
        {
            next = next with { Epoch = Math.Max(topology.Epoch, view.LastEpoch) + 1 };
        }

        var publication = new PublishTopology(next, view.Version, record with { Epoch = next.Epoch }, ClearsWish: view.ManualFailover is not null)
        {
            Request = Requests.Answer(view, topology, next, RequestOutcome.Undone, reason, record.Millis),
        };
        return topology.State == TopologyState.SwitchingOver || progress.HoldsWrites
            ? Decision.Do(
                reason,
                publication,
                new ResumeWrites(from.Address, from.Info!.PausesWritesAlone ? null : WriteSafety.AfterOffice(policy, topology, from.Info)))
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

    /// <summary>
    /// How long each step took, from the first failure on; what happens after the promotion is measured by the writer. What another
    /// monitor did of it is one step, and where nobody knows how long that took there is no total. Of a change that was given up, the
    /// last step is the wait until then.
    /// </summary>
    private static ImmutableArray<KeyValuePair<string, double>> Steps(MasterChangeProgress progress, TimeSpan? givenUpAt = null)
    {
        ImmutableArray<KeyValuePair<string, double>>.Builder steps = ImmutableArray.CreateBuilder<KeyValuePair<string, double>>();
        TimeSpan last = progress.LostAt;
        if (progress.Before == TimeSpan.Zero)
        {
            Add("verdict", progress.StartedAt);
            Add("intent", progress.IntentAt);
        }
        else if (progress.Before is { } before)
        {
            steps.Add(KeyValuePair.Create("takeover", before.TotalMilliseconds));
        }

        Add("pause", progress.PausedAt);
        Add("promotion", progress.PromotedAt);
        Add("wait", givenUpAt);
        if (progress.Before is { } age)
        {
            steps.Add(KeyValuePair.Create("total", (age + last - progress.LostAt).TotalMilliseconds));
        }

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
