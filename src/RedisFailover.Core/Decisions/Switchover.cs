using System.Collections.Immutable;

namespace RedisFailover;

/// <summary>
/// The old master lives and hands over: it holds its writes, the target catches up to its last byte and takes over; or all is undone at
/// the deadline.
/// </summary>
internal static class Switchover
{
    /// <summary>For how long offsets are asked for as fast as the answers come; and how often later.</summary>
    private static readonly TimeSpan FirstHaste = TimeSpan.FromMilliseconds(50), LaterHaste = TimeSpan.FromMilliseconds(5);

    /// <summary>How long a Redis before 6.2 is paused at most: reads wait as well, and nothing can lift it.</summary>
    private static readonly TimeSpan PauseOfOldVersions = TimeSpan.FromMilliseconds(250);

    /// <summary>
    /// The next step; null where it fails and cannot be undone, because the old master was voted out: then it is replaced as one that is lost.
    /// </summary>
    internal static Decision? Decide(
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
        string? why = view.Failed.TryGetValue(new PauseWrites(from.Address, policy.PauseLimit), out (TimeSpan RetryAt, string Failure) pause) ? $"{from.Address} could not be made to hold its writes: {pause.Failure}"
            : progress.Inherited && !isVotedOut ? "the monitor that led it is gone"
            : intent.Forced && Candidates.CanBePromoted(target) && !view.Failed.ContainsKey(new Promote(target.Address)) && now < deadline + policy.ProbeTimeout ? null
            : lacks;
        if (why is not null)
        {
            return isVotedOut ? null : GiveUp(view, policy, now, topology, progress, from, target, why);
        }

        // It misses a beat: no verdict yet, and nothing to do without its answers. At the deadline all is undone.
        if (from.FailingSince is not null)
        {
            return Decision.Nothing($"{from.Address} does not answer at the moment", look);
        }

        return progress.PausedAt is { } paused
            ? CatchUp(view, policy, now, topology, progress, from, target, paused, lacks, look)
            : HoldWrites(view, policy, from, target, timeout, look);
    }

    private static Decision GiveUp(
        ClusterView view, FailoverPolicy policy, TimeSpan now, Topology topology, MasterChangeProgress progress, NodeView from, NodeView target, string why)
    {
        if (Completion.UncertainPromotions(view, policy) is { IsEmpty: false } questions)
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

        return Completion.Restore(view, policy, now, topology, progress, from, $"the switchover to {target.Address} was given up and nothing changed: {why}");
    }

    private static Decision HoldWrites(ClusterView view, FailoverPolicy policy, NodeView from, NodeView target, TimeSpan timeout, TimeSpan look)
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
        return new Decision([new PauseWrites(from.Address, pauseFor, holdsAll), new Inspect(target.Address)], look, asked);
    }

    /// <summary>The target is promoted when it has all that the old master had when it held its writes already.</summary>
    private static Decision CatchUp(
        ClusterView view, FailoverPolicy policy, TimeSpan now, Topology topology, MasterChangeProgress progress, NodeView from, NodeView target,
        TimeSpan paused, string? lacks, TimeSpan look)
    {
        bool sourceFinal = from.InfoAsked >= paused;
        if (sourceFinal && lacks is null && target.InfoAsked >= progress.StartedAt && target.Info!.Offset >= from.Info!.Offset)
        {
            return Decision.Do(
                $"promoting {target.Address}: it has all of {from.Address} (offset {target.Info.Offset})",
                new Promote(target.Address) { MinReplicas = WriteSafety.AtPromotion(policy, target) });
        }

        if (sourceFinal && topology.Intent!.Forced && target.InfoAsked >= paused && (lacks is not null || target.Info is not { LinkUp: true }))
        {
            lacks ??= $"{target.Address} has no link to its master (offset {target.Info?.Offset} of {from.Info!.Offset})";
            return Decision.Do(
                $"promoting {target.Address} by force: {lacks}",
                new Promote(target.Address, lacks) { MinReplicas = WriteSafety.AtPromotion(policy, target) });
        }

        ImmutableArray<FailoverAction> offsets = sourceFinal
            ? [new Inspect(target.Address)]
            : [new Inspect(from.Address), new Inspect(target.Address)];
        string waiting = $"waiting for {target.Address} to catch up with {from.Address}";
        TimeSpan due = now - paused < FirstHaste ? now : target.InfoAsked + LaterHaste;
        return due > now ? Decision.Nothing(waiting, due < look ? due : look) : new Decision(offsets, look, waiting);
    }
}
