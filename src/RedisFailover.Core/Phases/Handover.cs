using System.Collections.Immutable;

namespace RedisFailover;

/// <summary>
/// The master lives and yet cannot go on: the other monitors cannot reach it, it refuses writes, or it loads without end. A replica that is
/// better in this takes over; where there is none it stays: a master that serves some of it is better than none.
/// </summary>
internal static class Handover
{
    /// <summary>
    /// The handover, or what has to be known before; null when the master stays, and then <paramref name="trouble"/> says why.
    /// </summary>
    internal static PlanBuilder? Decide(Assessment a, out string trouble)
    {
        string reason = a.Verdict.Reason;
        trouble = reason;
        if (a.View.GaveUpAt is { } gaveUp && a.Now < gaveUp + a.Policy.HandoverInterval)
        {
            trouble = $"{reason}; to replace it has failed, and is tried again {a.Policy.HandoverInterval.TotalSeconds:0} s later";
            return null;
        }

        bool handsOver = a.Verdict.Remedy == Remedy.HandOver;
        if (handsOver && MasterRules.WhyNoHandover(a.Master) is { } forbidden)
        {
            trouble = $"{reason}; it stays, because {forbidden}";
            return null;
        }

        TimeSpan since = WantedSince(a);
        if (handsOver && Questions(a, since) is { } questions)
        {
            return questions;
        }

        var screening = Screening.Of(a, handsOver
                ? Purpose.Handover : Purpose.Replacement, a.Configured.Where(n => n.Address != a.Master.Address), since);
        if (screening.Fit.IsEmpty)
        {
            trouble = $"{reason}; it stays, because nobody can take over: "
                    + $"{(screening.Unfit.IsEmpty ? "there is no other node" : screening.Objections)}";
            return null;
        }

        return handsOver ? Begin(a, screening) : Beginning.Failover(a, reason);
    }

    private static PlanBuilder? Questions(Assessment a, TimeSpan since)
    {
        ImmutableArray<FailoverAction> questions = Unheard(a, a.Configured.Where(n => n.IsReplica), since);
        // The others may have seen its end a moment earlier than this monitor: it is asked after their word was heard.
        return !a.Master.Has(HeardSince.Votes)
            ? PlanBuilder.Because($"{a.Verdict.Reason}; it is asked once more")
                .Do(new Inspect(a.Master.Address)).Do(questions).WakeBy(a.Now + a.Policy.InspectRetryDelay)
            : questions.IsEmpty ? null
            : PlanBuilder.Because($"{a.Verdict.Reason}; the replicas are asked before it holds its writes").Do(questions)
                .WakeBy(since + a.Policy.ProbeTimeout);
    }

    /// <summary>
    /// Before a living master holds its writes for a replica, the replicas are asked once more: one that hangs would let it hold them until
    /// the deadline, for nothing. Who answers is asked; each has the time of a probe.
    /// </summary>
    internal static ImmutableArray<FailoverAction> Unheard(Assessment a, IEnumerable<NodeAssessment> nodes, TimeSpan since)
        => a.Now < since + a.Policy.ProbeTimeout
            ? [.. nodes.Where(n => !n.WasAskedSince(since) && n.IsAnswering).Select(n => new Inspect(n.Address))] : [];

    private static PlanBuilder Begin(Assessment a, Screening screening)
    {
        Topology intent = a.Topology with
        {
            Master = null,
            State = TopologyState.SwitchingOver,
            Epoch = a.NextEpoch,
            Reason = a.Verdict.Reason,
            Identity = screening.Lost,
            Waiting = null,
            Intent = new FailoverIntent(a.Master.Address, screening.Fit[0].Address)
            {
                Occasion = a.Verdict.Reason,
                BegunIn = a.NextEpoch,
                MasterWasHeard = Histories.HasHeard(a.Master, screening.Lost),
                MinReplicas = WriteSafety.ToPutBack(a.Master.Info),
            },
        };
        // Nobody asked for it, and what is wrong with the master is still to be mended.
        return PlanBuilder.Because(a.Verdict.Reason).Do(new PublishTopology(intent, a.View.Version))
            .Report(Serving.Trouble(a, a.Verdict.Reason));
    }

    /// <summary>
    /// The moment from which the master is to be replaced: the last vote, or the end of the time that it was given to save, or to wait
    /// after a handover that failed. Of these, the last that has passed.
    /// </summary>
    private static TimeSpan WantedSince(Assessment a)
        => new[] { a.View.VotesHeardAt, a.Master.View.ShutsDownSince, a.Master.View.RefusesWritesSince
            + a.Policy.MisconfTimeout, a.Master.View.FailsOverSince + a.Policy.BusyTimeout,
            a.Master.View.WritesPausedSince + a.Policy.BusyTimeout,
            a.Master.View.RefusesConnections?.Since + a.Policy.BusyTimeout, a.View.GaveUpAt + a.Policy.HandoverInterval }
            .Max(at => at is { } time && time <= a.Now ? time : TimeSpan.Zero);
}
