namespace RedisFailover;

/// <summary>The old master lives and hands over: it holds its writes first; at the deadline all is undone.</summary>
internal static class HoldingWrites
{
    /// <summary>How long a Redis before 6.2 is paused at most: reads wait as well, and nothing can lift it.</summary>
    private static readonly TimeSpan PauseOfOldVersions = TimeSpan.FromMilliseconds(250);

    /// <summary>
    /// The next step; null where it fails and cannot be undone, because the old master was voted out: then it is replaced as one that
    /// is lost.
    /// </summary>
    internal static PlanBuilder? Decide(Assessment a, NodeAssessment from)
    {
        TimeSpan deadline = a.Progress.StartedAt + Timeout(a);
        TimeSpan look = a.Now < deadline ? deadline : deadline + a.Policy.ProbeTimeout;
        NodeAssessment target = a.Node(a.Topology.Intent!.Target ?? from.Address);
        // What it lacks. An operator who forces takes it nevertheless, once it has had its chance to get more.
        string? lacks = Screening.WhyNot(a, Purpose.CatchingUp, target)
            ?? (a.Now < deadline ? null
                : $"{target.Address} had not caught up after {Timeout(a).TotalMilliseconds:0} ms (offset {target.Info?.Offset} of "
                    + $"{from.Info!.Offset})");
        if (WhyGiveUp(a, from, target, lacks) is { } why)
        {
            return from.IsVotedOut ? null : Restoring.GiveUp(a, from, target, why);
        }

        // It misses a beat: no verdict yet, and nothing to do without its answers. At the deadline all is undone.
        if (from.View.FailingSince is not null)
        {
            return Serving.AskingForLinks(a, from, PlanBuilder.Because($"{from.Address} does not answer at the moment").WakeBy(look));
        }

        return a.Progress.PausedAt is null ? Hold(a, from, target).WakeBy(look) : CatchingUp.Decide(a, from, target, lacks, look);
    }

    /// <summary>
    /// It does not answer this monitor, and is not lost by the word of enough others: they are heard, and at the deadline all is undone.
    /// </summary>
    internal static PlanBuilder WithoutAnswer(Assessment a, NodeAssessment from)
    {
        TimeSpan deadline = a.Progress.StartedAt + Timeout(a) + a.Policy.ProbeTimeout;
        NodeAssessment target = a.Node(a.Topology.Intent!.Target ?? from.Address);
        string why = from.IsAnswering ? $"{from.Votes} ({from.Address}), though it answers this one"
            : $"{from.Address} does not answer this monitor ({from.View.Detail}), and {from.Votes}";
        return a.Now < deadline
            ? Serving.AskingForLinks(a, from, PlanBuilder.Because(why).WakeBy(deadline)) : Restoring.GiveUp(a, from, target, why);
    }

    private static TimeSpan Timeout(Assessment a) => a.Topology.Intent!.Timeout ?? a.Policy.SwitchoverTimeout;

    private static string? WhyGiveUp(Assessment a, NodeAssessment from, NodeAssessment target, string? lacks)
        => a.FailureOf(new PauseWrites(from.Address, a.Policy.PauseLimit)) is { } failure
            ? $"{from.Address} could not be made to hold its writes: {failure}"
            : from.Run == RunState.Restarted ? $"{from.Address} was restarted"
            : a.Progress.Inherited && !from.IsVotedOut ? "the monitor that led it is gone"
            : a.Topology.Intent!.Forced && target.CanBePromoted && a.FailureOf(new Promote(target.Address)) is null ? IsOverdue(a)
            : lacks;

    /// <summary>What the target lacks was forgiven when the operator forced it: only time ends that.</summary>
    private static string? IsOverdue(Assessment a)
        => a.Progress.StartedAt + Timeout(a) + a.Policy.ProbeTimeout is var limit && a.Now < limit ? null
            : $"it was not done within {(limit - a.Progress.StartedAt).TotalMilliseconds:0} ms";

    private static PlanBuilder Hold(Assessment a, NodeAssessment from, NodeAssessment target)
    {
        PlanBuilder plan = PlanBuilder.Because($"{from.Address} is asked to hold its writes");
        if (a.View.Running.Any(x => x is PauseWrites))
        {
            return plan;
        }

        // Where only everything can be held, and nobody can lift it, monitors must not take the silence for a failure.
        bool holdsAll = !from.Info!.PausesWritesAlone;
        TimeSpan longest = a.Policy.PauseLimit - a.Policy.SwitchoverTimeout + Timeout(a);
        TimeSpan shortest = a.Policy.SilenceLimit / 3;
        TimeSpan pauseFor = !holdsAll ? longest : shortest < PauseOfOldVersions ? shortest : PauseOfOldVersions;
        return plan.Do(new PauseWrites(from.Address, pauseFor, holdsAll), new Inspect(target.Address));
    }
}
