using System.Collections.Immutable;

namespace RedisFailover;

/// <summary>
/// The master is lost, and the znode names none: everybody who may answer is kept from the lost master and says what it has; then the
/// best is promoted. Where nobody is fit, the lost master goes on if it is back, or the failover waits and says for whom.
/// </summary>
internal static class Choosing
{
    internal static PlanBuilder Decide(Assessment a)
    {
        // It came back as it was, and no other master was announced: nothing is lost by letting it go on.
        ImmutableArray<FailoverAction> uncertain = Restoring.UncertainPromotions(a);
        if (uncertain.IsEmpty && a.From is { IsMaster: true, View.FailingSince: null, Run: RunState.SameRun, IsOutvoted: false } from
            && from.Has(HeardSince.Change))
        {
            return Restoring.Decide(a, from, $"master {from.Address} answers again, as it was, before another was announced");
        }

        // Two nodes must not be promoted in one epoch: before the next candidate's turn it has to be clear what became of the last.
        if (!uncertain.IsEmpty)
        {
            return PlanBuilder.Because("asking whether the promotion was done").Do(uncertain).WakeBy(a.Now + a.Policy.ProbeTimeout);
        }

        PlanBuilder plan = NotSeenYet(a) ?? NotHeardYet(a) ?? Choose(a);
        return plan.Actions.Any(x => x is Promote or Resign or PublishTopology { Next.IsChangingMaster: false })
            ? plan : plan.First(Isolating.WithoutAChoice(a));
    }

    /// <summary>
    /// A node that this monitor has never heard of yet is waited for until it is judged: it may be the one that has most.
    /// </summary>
    private static PlanBuilder? NotSeenYet(Assessment a)
    {
        TimeSpan patience = a.Progress.StartedAt + a.Policy.SilenceLimit;
        return a.Now < patience
            && a.Nodes.Any(n => n.Contact == Contact.Unseen && n.Address != a.From?.Address)
            ? PlanBuilder.Because("waiting for all nodes to be seen").WakeBy(patience)
            : null;
    }

    /// <summary>
    /// Everyone who may answer is heard before anyone is chosen: the one that is asked last may be the one that has most, or may have been
    /// promoted already. Null when all have been heard, or have had their time.
    /// </summary>
    private static PlanBuilder? NotHeardYet(Assessment a)
    {
        // Nobody is asked before the intent is published, which a slow ZooKeeper delays; after a switchover that did not get there in time
        // the asking begins only now. Who has only just come back has his own time.
        TimeSpan begun = Times.Later(a.Progress.IntentAt ?? a.Progress.StartedAt,
            a.Progress.StartedAt + (a.Progress.PausedAt is null ? TimeSpan.Zero : a.Policy.SwitchoverTimeout));
        TimeSpan patience = Isolating.BeforeTheChoice(a)
            .Where(q => !(a.WasRefused(q) && a.Node(q.On!).Has(HeardSince.Change)))
            .Select(q => a.Node(q.On!).View)
            .Select(n => Times.Later(begun, Times.Later(n.AnswersSince ?? begun, n.OnlineSince ?? begun)) + a.Policy.ProbeTimeout)
            .DefaultIfEmpty(TimeSpan.MinValue).Max();
        return a.Now < patience ? PlanBuilder.Because("detaching the replicas and asking for their offsets").WakeBy(patience) : null;
    }

    /// <summary>Everybody who answers has been heard: promote the best, or say why nobody is fit.</summary>
    private static PlanBuilder Choose(Assessment a)
    {
        // A node that has become a master's replica itself (somebody sent it REPLICAOF) is a candidate like the others.
        var screening = Screening.Of(a, Purpose.Failover, a.Nodes.Where(n => n.IsConfigured));
        if (screening.Fit is [var best, ..])
        {
            if (WriteHolders.Missing(a, best, Purpose.Failover) is { } missing)
            {
                return Unsafe(a, best, missing);
            }

            if (OrderedInstead(a, screening) is { } ordered)
            {
                string behind = $"{best.Address} comes before it (offset {best.Info!.Offset}, {ordered.Address} {ordered.Info!.Offset})";
                return Promoting.ByOrder(
                    a, ordered, behind, $"promoting {ordered.Address}, as the operator orders, though {behind}");
            }

            // An operator may name by force one that is not fit.
            if (!LostMasterKeepsMore(a, best) && (a.View.Asked is not { Force: true, Target: { } named } || named == best.Address))
            {
                return OneWithMoreIsElsewhere(a, best) ?? OneWithMoreMayCome(a, best) ?? OneByItsFile(a, screening, best)
                    ?? OperatorsChoice(a, best) ?? Promoting.Best(a, screening);
            }
        }

        if (Forced(a) is { } forced)
        {
            return AsOrdered(a, forced);
        }

        return LostMasterGoesOn(a, screening)
            ?? Resigning.When(a, Resigning.DeadlineWithoutMaster(a))
            ?? LastResort.Decide(a, screening)
            ?? NobodyIsFit(a, screening.Objections);
    }

    private static PlanBuilder AsOrdered(Assessment a, NodeAssessment forced)
    {
        string despite = Screening.WhyNot(a, Purpose.Readiness, forced)
            ?? (forced.Address == a.From?.Address ? "it is the master that was lost" : "another node may have more");
        return Promoting.ByOrder(a, forced, despite,
            $"promoting {forced.Address}, as the operator orders, though {despite}; what it does not hold is lost");
    }

    /// <summary>Whether the lost master is back with more than the best, and may go on.</summary>
    private static bool LostMasterKeepsMore(Assessment a, NodeAssessment best)
        => a.From is { IsMaster: true, IsInOrder: true, IsForeign: false, IsOutvoted: false, Run: RunState.Restarted,
                Info.Keys: > 0 } from
            && from.Has(HeardSince.Change) && a.Topology.Identity is { } lost && Histories.KeepsMoreThan(from, lost, best)
            && WriteHolders.Missing(a, from, Purpose.Failover) is null;

    /// <summary>
    /// Others may have more than the best, and are waited for; null where nobody is, and where it has all that the master was seen to have.
    /// </summary>
    private static PlanBuilder? OneWithMoreMayCome(Assessment a, NodeAssessment best)
        => Latecomers.Beside(a, best) is { } others && a.View.Asked is not { Force: true }
            && !(a.Topology.Identity is { } lost && Histories.HasAllThatWasSeen(a, lost, best.Info!))
            ? PlanBuilder.Because($"waiting for {string.Join(", ", others.Nodes.Select(n => n.Address))}, which may have more than "
                    + best.Address)
                .WakeBy(others.Until)
            : null;

    /// <summary>
    /// Who is better than this node by its file alone: the lost master itself, whose address has moved, or one whose append-only file has
    /// kept what this node is known to lack. Null where there is none.
    /// </summary>
    private static PlanBuilder? OneByItsFile(Assessment a, Screening screening, NodeAssessment other)
    {
        if (a.Policy.WriteSafety != WriteSafetyMode.None || a.View.Asked is { Force: true } || a.Topology.Identity is not { } lost)
        {
            return null;
        }

        NodeAssessment? moved = other.Address == a.From?.Address ? OtherMasters.Moved(a, other) : null;
        return (moved ?? AppendOnlyFiles.KeptByFile(a, lost, other)) is not { OffsetIsFinal: true, LacksRightToPromote: false } kept
            || (a.View.Failed.GetValueOrDefault(new Promote(kept.Address)) is { } failed && failed.RetryAt > a.Now)
            || !screening.Unfit.Any(u => u.Node.Address == kept.Address && u.Code == Unfitness.Diverged) ? null
            : OperatorsChoice(a, kept) ?? Promoting.AsLastResort(a, kept, (moved is null
                ? $"its append-only file has kept {kept.Info!.Keys} keys, and {other.Address} ({other.Info!.Keys} keys) "
                    + (other.Info.CommonOffset(lost) is null ? "does not say what it has kept" : "lacks what was seen of the master")
                : $"it was the master, at {other.Address}, and holds {kept.Info!.Keys} keys") + "; whether anything was lost is not known");
    }

    /// <summary>A monitor that reaches one with more than the best takes the failover over; null where there is none.</summary>
    private static PlanBuilder? OneWithMoreIsElsewhere(Assessment a, NodeAssessment best)
        => a.View.Asked is not { Force: true } && Latecomers.Elsewhere(a, best) is [var first, ..]
            ? Resigning.Now($"resigning: {first.Address} may have more than {best.Address}, and other monitors reach it", first.Address)
            : null;

    /// <summary>
    /// Nobody can take over, and the lost master is back with something: it goes on, or is left to an operator. Null where it is not.
    /// </summary>
    private static PlanBuilder? LostMasterGoesOn(Assessment a, Screening screening)
    {
        if (a.From is not { IsMaster: true, IsInOrder: true, IsForeign: false, Info: { } info } from || !from.Has(HeardSince.Change)
            || (info.Keys == 0 && from.Run != RunState.SameRun && a.Topology.Identity is { HasData: true } had
                && !(Histories.IsOfTheLoss(a, had) && Histories.HasCome(a, from, had))))
        {
            return null;
        }

        return (a.Topology.Identity is { } before && info.RunId != before.RunId ? InPlaceOfWhoHasLess(a, before, from, screening)
                : null)
            ?? Restoring.Decide(a, from, info.RunId == a.Topology.Identity?.RunId
                ? $"master {from.Address} answers, and nobody can take over: {screening.Objections}"
                : $"master {from.Address} was restarted with {info.Keys} keys and nobody who answers has more"
                    + (a.Topology.Identity is { } held && DataLoss.Of(from.View, held) is (string text, _) ? $"; {text}" : ""));
    }

    /// <summary>What is done where the lost master is back, restarted, and somebody else may have more; null where it goes on.</summary>
    private static PlanBuilder? InPlaceOfWhoHasLess(Assessment a, MasterIdentity before, NodeAssessment from, Screening screening)
    {
        if (WriteHolders.Missing(a, from, Purpose.Failover) is { } missing)
        {
            return Unsafe(a, from, missing);
        }

        if (OneWithMoreIsElsewhere(a, from) is { } resignation)
        {
            return resignation;
        }

        if (Latecomers.Beside(a, from) is { } others)
        {
            return PlanBuilder.Because($"master {from.Address} was restarted and may have less than before; the others are waited for")
                .WakeBy(others.Until);
        }

        if (OneByItsFile(a, screening, from) is { } kept)
        {
            return kept;
        }

        if (Histories.NodeWithMore(a, before, from) is { } keeper)
        {
            string more = keeper.Address == OtherMasters.MadeByOthers(a)?.Address
                ? $"{keeper.Address}, which somebody made a master and replicas follow, has {keeper.Info!.Keys}"
                : $"{keeper.Address} {(keeper.IsOfLineage ? "has" : "may have")} more";
            string held = $"master {from.Address} was restarted with {from.Info!.Keys} keys, and {more}, "
                + $"which following {from.Address} would wipe: an operator has to choose ({screening.Objections})";
            return LeftToOperator(a, held, from, keeper);
        }

        return AskedAbout(a, from) is not { } away ? null
            : LeftToOperator(a, $"{away.Address} had more than master {from.Address}, which was restarted with {from.Info!.Keys} keys, and "
                + "is away: start it, or an operator has to choose", from, away);
    }

    /// <summary>
    /// Whom only an operator may put before others: another's file may have kept what it is known to lack, or that was asked before, and
    /// the other is away. Null where nothing stands against it.
    /// </summary>
    internal static PlanBuilder? OperatorsChoice(Assessment a, NodeAssessment node)
        => a.Policy.WriteSafety != WriteSafetyMode.None || a.View.Asked is { Force: true } || a.Topology.Identity is not { } lost
            || (AppendOnlyFiles.MayHaveMore(a, lost, node)
                ?? (Histories.HasCome(a, node, lost) ? null : AskedAbout(a, node))) is not { } other ? null
            : Forced(a) is { } forced ? AsOrdered(a, forced)
            : LeftToOperator(a, $"{node.Address} lacks what was seen of the master, and the append-only file of {other.Address} may have "
                + $"kept it{(other.IsInOrder ? "" : ", which is away")}: an operator has to choose", node, other);

    private static PlanBuilder LeftToOperator(Assessment a, string why, NodeAssessment from, NodeAssessment other)
        => a.View.Request is not null ? SwitchoverRequests.Refuse(a, why)
            : Wait(a, ProblemCatalogue.NeedsOperator, [from.Address, other.Address], why + ByForce(a)).WakeBy(a.Now + a.Policy.RetryDelay);

    /// <summary>
    /// One that is away, between which and this node an operator was asked to choose: that it went away answers nothing.
    /// </summary>
    private static NodeAssessment? AskedAbout(Assessment a, NodeAssessment node)
        => OpenQuestion(a) is { Nodes: var nodes } && nodes.Contains(node.Address)
            ? nodes.Where(n => n != node.Address).Select(a.Node).FirstOrDefault(n => !n.IsInOrder) : null;

    /// <summary>What an operator was asked, as long as one of those that it is about is away; null for nothing.</summary>
    private static WaitCause? OpenQuestion(Assessment a)
        => a.Topology.Waiting is { } asked && asked.Code == ProblemCatalogue.NeedsOperator.Name
            && asked.Nodes.Any(n => !a.Node(n).IsInOrder) ? asked : null;

    /// <summary>Who is fit and was named by force is taken as it is, also before one that has more.</summary>
    private static NodeAssessment? OrderedInstead(Assessment a, Screening screening)
        => a.View.Asked is { Force: true, Target: { } named } && screening.Fit[0].Address != named
            ? screening.Fit.FirstOrDefault(n => n.Address == named) : null;

    private static PlanBuilder NobodyIsFit(Assessment a, string unfit)
    {
        TimeSpan retry = a.View.Failed.Values.Select(f => f.RetryAt).Where(at => at > a.Now).DefaultIfEmpty(a.Now + a.Policy.RetryDelay)
            .Min();
        string wayOut = WayOut(a);
        string nobody = $"nobody can be promoted: {unfit}{wayOut}";
        return a.View.Request is not null
            ? SwitchoverRequests.Refuse(a, nobody).WakeBy(retry)
            : Wait(a, ProblemCatalogue.NoCandidate, a.Policy.Nodes, wayOut.Length > 0 ? nobody : nobody + ByForce(a)).WakeBy(retry);
    }

    /// <summary>What an operator can do who would rather lose something than wait.</summary>
    private static string ByForce(Assessment a)
        => a.Configured.Where(n => n is { CanBePromoted: true, IsForeign: false }).Select(n => n.Address).ToArray() is [_, ..] nodes
            ? $"; to promote {string.Join(" or ", nodes.AsEnumerable())} as it is: redis-failover failover HOST:PORT --force" : "";

    /// <summary>What an operator can do where waiting alone will not help: all nodes are here, and the data are not.</summary>
    private static string WayOut(Assessment a)
        => a.Topology.Identity is { HasData: true }
            && a.Configured.All(n => n is { IsAnswering: true, Info.Keys: 0 } && n.Has(HeardSince.Change))
            ? ". All nodes are here and all are empty: the data are gone from every one of them. Either stop a node, put its RDB or AOF "
                + $"files back and start it; or go on with nothing, by redis-failover failover {a.Policy.Nodes[0]} --force"
            : "";

    /// <summary>
    /// Write safety: the best that answers may lack what was acknowledged. It is waited for, unless an operator forces it.
    /// </summary>
    private static PlanBuilder Unsafe(Assessment a, NodeAssessment best, string missing)
    {
        if ((Forced(a) ?? (a.View.Asked is { Force: true, Target: null } ? best : null)) is { } forced)
        {
            return Promoting.ByOrder(a, forced, missing,
                $"promoting {forced.Address}, as the operator orders, though this is not safe: {missing}");
        }

        if (Latecomers.Elsewhere(a, WriteHolders.Away(a, best).Select(a.Node)) is [var first, ..])
        {
            return Resigning.Now($"resigning: {first.Address} may hold acknowledged writes, and other monitors reach it", first.Address);
        }

        TimeSpan retry = a.Now + a.Policy.RetryDelay;
        // Restarted, it may lack what it acknowledged last, and what a replica has that it lacks cannot be told: nobody but an operator
        // can choose.
        if (a.From is { IsMaster: true, IsInOrder: true } back && back.Address != best.Address)
        {
            missing += $"; {back.Address} itself is back, restarted, with {back.Info!.Keys} keys";
        }

        return a.View.Request is not null
            ? SwitchoverRequests.Refuse(a, $"no failover yet: {missing}").WakeBy(retry)
            : Wait(a, ProblemCatalogue.WriteQuorumUnmet, WriteHolders.Away(a, best),
                missing + ByForce(a), "no failover yet: ").WakeBy(retry);
    }

    /// <summary>
    /// An operator who names a node while nobody is fit takes it as it is: with a request that says so, or in manual_failover, which was
    /// emptied when the failover began.
    /// </summary>
    private static NodeAssessment? Forced(Assessment a)
        => a.View.Asked is { Target: { } named } asked
            && (asked.Force || asked.IsManual)
            && a.Node(named) is { IsConfigured: true, CanBePromoted: true, IsLeftAlone: false } node ? node : null;

    /// <summary>
    /// Nothing can be done yet. The znode says so when it lasts: a moment later it may be otherwise, and would have to wait for the
    /// publication.
    /// </summary>
    private static PlanBuilder Wait(Assessment a, ProblemCode code, IEnumerable<NodeAddress> nodes, string why, string heading = "")
    {
        string reason = $"{a.Topology.Intent?.Occasion}; waiting, because {why}";
        ImmutableArray<NodeAddress> named = [.. nodes.Order()];
        WaitCause cause = OpenQuestion(a) ?? new WaitCause(code.Name, named);
        PlanBuilder plan = PlanBuilder.Because(heading + why).Report(Problem.Of(code, heading + why, named));
        return (a.Topology.Waiting == cause && Words.SameButForNumbers(a.Topology.Reason, reason))
            || a.Now < a.Progress.StartedAt + a.Policy.ProbeTimeout
            ? plan
            : plan.Do(new PublishTopology(NodeLists.Of(a, a.Topology with { Reason = reason, Waiting = cause }), a.View.Version));
    }
}
