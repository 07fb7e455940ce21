using System.Collections.Immutable;
using System.Globalization;

namespace RedisFailover;

/// <summary>
/// The master is lost, and the znode names none: everybody who may answer is kept from the lost master and says what it has; then the
/// best is promoted. Where nobody is fit, the lost master goes on if it is back, or the failover waits and says for whom.
/// </summary>
internal static class Failover
{
    /// <summary>Between the reason of a change and why it does not get on, in the znode.</summary>
    private const string WaitingFor = "; waiting, because ";

    /// <summary>What an operator can do who would rather lose something than wait.</summary>
    private const string Force = "; redis-failover switchover HOST:PORT --force takes a node as it is";

    internal static Decision Decide(
        ClusterView view, FailoverPolicy policy, TimeSpan now, Topology topology, MasterChangeProgress progress, NodeView? from)
    {
        // It came back as it was, and nobody was promoted: nothing is lost by letting it go on.
        ImmutableArray<FailoverAction> uncertain = Completion.UncertainPromotions(view, policy);
        if (uncertain.IsEmpty && from is { IsMaster: true, FailingSince: null } && from.InfoAsked >= progress.StartedAt
            && topology.Identity is { RunId.Length: > 0 } identity && from.Info!.RunId == identity.RunId
            && !Verdict.IsUnavailable(view, policy, from.Address, out _))
        {
            return Completion.Restore(view, policy, now, topology, progress, from, $"master {from.Address} answers again, as it was, before another was promoted");
        }

        // Two nodes must not be promoted in one epoch: before the next candidate's turn it has to be clear what became of the last.
        if (!uncertain.IsEmpty)
        {
            return new Decision(uncertain, now + policy.ProbeTimeout, "asking whether the promotion was done");
        }

        if (Hearing(view, policy, now, topology, progress, from) is { } hearing)
        {
            return hearing;
        }

        Decision choice = Choose(view, policy, now, topology, progress, from);
        return choice.Actions.Any(a => a is Promote or Resign or PublishTopology { Next.IsChangingMaster: false })
            ? choice
            : choice with { Actions = [.. Detachment.WithoutAChoice(view, policy, topology, progress), .. choice.Actions] };
    }

    /// <summary>The reason of the change, without what it waits for.</summary>
    internal static string Occasion(Topology topology) => topology.Reason.Split(WaitingFor)[0];

    /// <summary>
    /// Everyone who may answer is heard before anyone is chosen: the one that is asked last may be the one that has most, or may have been
    /// promoted already. Null when all have been heard, or have had their time.
    /// </summary>
    private static Decision? Hearing(
        ClusterView view, FailoverPolicy policy, TimeSpan now, Topology topology, MasterChangeProgress progress, NodeView? from)
    {
        // A node that this monitor has never heard of yet is waited for until it is judged.
        TimeSpan patience = progress.StartedAt + policy.SilenceLimit;
        if (now < patience && view.Nodes.Values.Any(n => n.Condition == NodeCondition.Unknown && n.Evidence is not (Evidence.Denied or Evidence.Nonsense)
            && n.Address != from?.Address))
        {
            return new Decision(Detachment.WithoutAChoice(view, policy, topology, progress), patience, "waiting for all nodes to be seen");
        }

        // After a switchover that did not get there in time the asking begins only now. Who has only just come back has his own time.
        TimeSpan begun = progress.StartedAt + (progress.PausedAt is null ? TimeSpan.Zero : policy.SwitchoverTimeout);
        patience = Detachment.BeforeTheChoice(view, policy, topology, progress)
            .Where(q => !(view.Failed.ContainsKey(q) && view.Node(q.On!).InfoAsked >= progress.StartedAt))
            .Select(q => view.Node(q.On!)).Select(n => Later(begun, Later(n.LastFailedAt, n.OnlineSince ?? begun)))
            .DefaultIfEmpty(TimeSpan.MinValue + policy.ProbeTimeout).Max() + policy.ProbeTimeout;
        return now < patience
            ? new Decision(Detachment.WithoutAChoice(view, policy, topology, progress), patience, "detaching the replicas and asking for their offsets")
            : null;
    }

    private static TimeSpan Later(TimeSpan one, TimeSpan other) => one > other ? one : other;

    /// <summary>Everybody who answers has been heard: promote the best, or say why nobody is fit.</summary>
    private static Decision Choose(
        ClusterView view, FailoverPolicy policy, TimeSpan now, Topology topology, MasterChangeProgress progress, NodeView? from)
    {
        // A node that has become a master's replica itself (somebody sent it REPLICAOF) is a candidate like the others.
        List<string> unfit = [];
        List<NodeView> fit = [];
        foreach (NodeView node in view.Nodes.Values.Where(n => policy.Nodes.Contains(n.Address)).OrderBy(n => n.Address))
        {
            if (Unfit(node, view, policy, now, topology, progress, from) is { } why)
            {
                unfit.Add($"{node.Address}: {why}");
            }
            else
            {
                fit.Add(node);
            }
        }

        string others = string.Join("; ", unfit);
        if (fit.Count > 0)
        {
            NodeView best = Candidates.Ranked(fit, topology.Identity, view, policy, now)[0];
            return WriteSafety.Missing(view, policy, topology, progress, best) is { } missing
                ? Unsafe(view, policy, now, topology, progress, best, missing)
                : InAnEpochOfItsOwn(view, topology, progress, best) ?? Decision.Do(
                    $"promoting {best.Address}: offset {best.Info!.Offset}, the master was last seen at {topology.Identity?.Offset.ToString(CultureInfo.InvariantCulture) ?? "an unknown one"}"
                        + $"; the best of {fit.Count}{(unfit.Count > 0 ? $" ({others})" : "")}",
                    new Promote(best.Address) { MinReplicas = WriteSafety.AtPromotion(policy, best) });
        }

        if (Forced(view, policy) is { } forced)
        {
            string despite = Candidates.Unfit(forced, topology.Identity, view, policy, now)
                ?? Candidates.TooFarBehind(forced, topology.Identity, policy) ?? "it is the master that was lost";
            return InAnEpochOfItsOwn(view, topology, progress, forced)
                ?? ByOrder(policy, forced, despite, $"promoting {forced.Address}, as the operator orders, though {despite}; what it does not hold is lost");
        }

        return (from is null ? null : LostMasterGoesOn(view, policy, now, topology, progress, from, others))
            ?? Sight.Resignation(view, policy, now, masterIsMissing: true)
            ?? NobodyIsFit(view, policy, now, topology, progress, others);
    }

    /// <summary>
    /// Whoever led before may have promoted a node that does not answer now, or that does not show it: the epoch is used up, and the next promotion
    /// has one of its own. Null where all others say that they are replicas.
    /// </summary>
    private static Decision? InAnEpochOfItsOwn(ClusterView view, Topology topology, MasterChangeProgress progress, NodeView chosen)
    {
        ImmutableArray<NodeAddress> uncertain = progress.InheritedEpoch != topology.Epoch ? []
            : [.. view.Nodes.Values.Where(n => n.Address != chosen.Address && n.Address != topology.Intent?.From && !(n is { IsReplica: true, IsInOrder: true } && n.InfoAsked >= progress.StartedAt))
                .Select(n => n.Address).Order()];
        if (uncertain.IsEmpty)
        {
            return null;
        }

        long next = Math.Max(topology.Epoch, view.LastEpoch) + 1;
        return Decision.Do(
            $"the failover goes on as epoch {next}: {string.Join(" or ", uncertain)} may have been promoted in epoch {topology.Epoch}",
            new PublishTopology(topology with { Epoch = next }, view.Version));
    }

    private static string? Unfit(
        NodeView node, ClusterView view, FailoverPolicy policy, TimeSpan now, Topology topology, MasterChangeProgress progress, NodeView? from)
    {
        string? why = Candidates.IsFinal(node, view, topology, progress) || !node.IsOnline
            ? Candidates.Unfit(node, topology.Identity, view, policy, now) ?? Candidates.TooFarBehind(node, topology.Identity, policy)
            : view.Failed.TryGetValue(new Detach(node.Address), out (TimeSpan RetryAt, string Failure) detachment) ? $"it could not be detached from its master: {detachment.Failure}"
            : node.Evidence is Evidence.Denied or Evidence.Nonsense ? node.Detail
            : node.FailingSince is not null ? $"it does not answer at present ({node.Detail})"
            : "it has not said yet what it holds since the master was lost";
        return why ?? (node.Address == from?.Address && node.IsMaster ? "it is the master that is replaced" : null);
    }

    /// <summary>Nobody can take over, and the lost master is back with something: it goes on, or is left to an operator. Null where it is not.</summary>
    private static Decision? LostMasterGoesOn(
        ClusterView view, FailoverPolicy policy, TimeSpan now, Topology topology, MasterChangeProgress progress, NodeView from, string unfit)
    {
        if (from is not { IsMaster: true, IsAnswering: true } || from.InfoAsked < progress.StartedAt
            || (from.Info!.Keys == 0 && topology.Identity is { HasData: true }))
        {
            return null;
        }

        // From an older snapshot it may have less than a replica that is itself only just coming back.
        TimeSpan patient = (from.OnlineSince ?? now) + policy.ReturnPatience;
        if (topology.Identity is { } known && from.Info.RunId != known.RunId && now < patient && policy.Nodes.Any(n => n != from.Address && !view.Node(n).IsInOrder))
        {
            return Decision.Nothing($"master {from.Address} was restarted and may have less than before; the others are waited for", patient);
        }

        if (topology.Identity is { } before && from.Info.RunId != before.RunId && Verdict.HasMore(view, before, from) is { } keeper)
        {
            string kept = $"master {from.Address} was restarted with {from.Info.Keys} keys, and {keeper.Address} has more, which following {from.Address} would wipe: an operator has to choose ({unfit})";
            return view.Request is not null ? Requests.Refuse(view, topology, kept) : Wait(view, policy, now, topology, progress, kept + ByForce(view, policy), now + policy.RetryDelay);
        }

        string back = from.Info.RunId == topology.Identity?.RunId
            ? $"master {from.Address} answers, and nobody can take over: {unfit}"
            : $"master {from.Address} was restarted with {from.Info.Keys} keys and nobody who answers has more"
                + (topology.Identity is { } held && Shortfall.Of(from, held) is (string text, _) ? $"; {text}" : "");
        return Completion.Restore(view, policy, now, topology, progress, from, back);
    }

    private static Decision NobodyIsFit(
        ClusterView view, FailoverPolicy policy, TimeSpan now, Topology topology, MasterChangeProgress progress, string unfit)
    {
        TimeSpan retry = view.Failed.Values.Select(f => f.RetryAt).Where(at => at > now).DefaultIfEmpty(now + policy.RetryDelay).Min();
        string wayOut = WayOut(view, policy, topology, progress);
        string nobody = $"nobody can be promoted: {unfit}{wayOut}";
        return view.Request is not null
            ? Requests.Refuse(view, topology, nobody) with { WakeAt = retry }
            : Wait(view, policy, now, topology, progress, wayOut.Length > 0 ? nobody : nobody + ByForce(view, policy), retry);
    }

    private static string ByForce(ClusterView view, FailoverPolicy policy) => policy.Nodes.Any(n => Candidates.CanBePromoted(view.Node(n))) ? Force : "";

    /// <summary>What an operator can do where waiting alone will not help: all nodes are here, and the data are not.</summary>
    private static string WayOut(ClusterView view, FailoverPolicy policy, Topology topology, MasterChangeProgress progress)
        => topology.Identity is { HasData: true }
            && policy.Nodes.Select(view.Node).All(n => n is { IsAnswering: true, Info.Keys: 0 } && n.InfoAsked >= progress.StartedAt)
                ? ". All nodes are here and all are empty: the data are gone from every one of them. Either stop a node, put its RDB or AOF files back and start it; "
                    + $"or go on with nothing, by redis-failover switchover {policy.Nodes[0]} --force"
                : "";

    /// <summary>Write safety: the best that answers may lack what was acknowledged. It is waited for, unless an operator forces it.</summary>
    private static Decision Unsafe(
        ClusterView view, FailoverPolicy policy, TimeSpan now, Topology topology, MasterChangeProgress progress, NodeView best, string missing)
    {
        if ((Forced(view, policy) ?? (view.Request is { Force: true, Target: null } ? best : null)) is { } forced)
        {
            return InAnEpochOfItsOwn(view, topology, progress, forced)
                ?? ByOrder(policy, forced, missing, $"promoting {forced.Address}, as the operator orders, though this is not safe: {missing}");
        }

        TimeSpan retry = now + policy.RetryDelay;
        // Restarted, it may lack what it acknowledged last, and what a replica has that it lacks cannot be told: nobody but an operator can choose.
        if (topology.Intent?.From is { } lost && view.Node(lost) is { IsMaster: true, IsInOrder: true } back)
        {
            missing += $"; {lost} itself is back, restarted, with {back.Info!.Keys} keys";
        }

        string notYet = $"no failover yet: {missing}";
        return view.Request is not null
            ? Requests.Refuse(view, topology, notYet) with { WakeAt = retry }
            : Wait(view, policy, now, topology, progress, missing + Force, retry) with { Reason = notYet + Force, Warning = notYet + Force };
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

    private static Decision ByOrder(FailoverPolicy policy, NodeView node, string despite, string order)
        => Decision.Do(order, new Promote(node.Address, despite) { MinReplicas = WriteSafety.AtPromotion(policy, node) }) with { Warning = order };

    /// <summary>Nothing can be done yet. The znode says so when it lasts: a moment later it may be otherwise, and would have to wait for the publication.</summary>
    private static Decision Wait(
        ClusterView view, FailoverPolicy policy, TimeSpan now, Topology topology, MasterChangeProgress progress, string why, TimeSpan retry)
    {
        string reason = $"{Occasion(topology)}{WaitingFor}{why}";
        return Words.SameButForNumbers(topology.Reason, reason) || now < progress.StartedAt + policy.ProbeTimeout
            ? Decision.Nothing(why, retry) with { Warning = why }
            : new Decision([new PublishTopology(Membership.WithLists(topology with { Reason = reason }, view, policy), view.Version)], retry, why, why);
    }
}
