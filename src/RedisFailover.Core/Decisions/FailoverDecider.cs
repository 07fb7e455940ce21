using System.Collections.Immutable;

namespace RedisFailover;

/// <summary>
/// The failover logic, all of it: a pure function from what a leader knows to what it should do. No clock, no sockets, no state.
/// Each phase is a file of its own: <see cref="Adoption"/> (no master was ever known), <see cref="Incumbency"/> (the master is in
/// office), <see cref="MasterChange"/> (it is being replaced: <see cref="Failover"/> or <see cref="Switchover"/>), with
/// <see cref="Verdict"/>, <see cref="Candidates"/> and <see cref="Membership"/> for the questions that they share.
/// </summary>
public static class FailoverDecider
{
    /// <summary>What to do now.</summary>
    /// <param name="view">All that the monitor knows.</param>
    /// <param name="policy">What it goes by.</param>
    /// <param name="now">The time on the same monotonic clock as the observations'.</param>
    public static Decision Decide(ClusterView view, FailoverPolicy policy, TimeSpan now)
    {
        ArgumentNullException.ThrowIfNull(view);
        ArgumentNullException.ThrowIfNull(policy);
        if (WithoutZooKeeper(view, policy, now) is { } helpless)
        {
            return WithoutThoseUnderWay(helpless, view, now);
        }

        if (view.Term is null)
        {
            return Decision.Nothing("another monitor leads");
        }

        if (view.Running.Any(a => a is Resign))
        {
            return Decision.Nothing("giving up the lead");
        }

        return WithoutThoseUnderWay(Wanted(view, policy, now), view, now);
    }

    private static Decision Wanted(ClusterView view, FailoverPolicy policy, TimeSpan now)
    {
        if (view.Running.Any(a => a is PublishTopology))
        {
            return Decision.Nothing("waiting for the publication");
        }

        if (!view.TopologyKnown)
        {
            return Decision.Do("the topology has to be read first", new ReadTopology());
        }

        // What a node said before this monitor led may be older than what the leader before did to it.
        TimeSpan patience = view.LeadingSince + policy.ProbeTimeout;
        ImmutableArray<FailoverAction> unheard = [.. view.Nodes.Values
            .Where(n => n.IsAnswering && n.InfoAsked < view.LeadingSince)
            .Select(n => new Inspect(n.Address))];
        if (!unheard.IsEmpty && now < patience)
        {
            return new Decision(unheard, patience, "asking every node anew, as a new leader");
        }

        // A change that is under way is finished or undone all the same: it must not stay half done.
        if (view.LiveMonitors < policy.RequiredMonitors && view.Topology is not { IsChangingMaster: true })
        {
            string few = $"nothing is decided: {Words.Count(view.LiveMonitors, "monitor is", "monitors are")} here, {policy.RequiredMonitors} are required";
            // Who reads that has to know what hangs on it.
            if (view.Topology is { State: TopologyState.Ok, Master: { } served } office)
            {
                string? loss = Verdict.MasterLost(view, policy, now, office) is { Remedy: Remedy.FailOver or Remedy.FailOverAtOnce } verdict ? verdict.Reason
                    : view.Node(served).Condition == NodeCondition.Unavailable ? $"master {served} cannot be reached from here"
                    : null;
                few = loss is null ? few : $"{loss}, and {few}";
            }

            ImmutableArray<FailoverAction> kept = Detachment.WithoutDecision(view, policy, now);
            // Whoever made a request waits for its answer; what stands in manual_failover may wait for the monitors.
            Decision waiting = view is { TopologyKnown: true, Topology: { } known, Request: not null } ? Requests.Refuse(view, known, few) : Decision.Nothing(few) with { Warning = few };
            return waiting with { Actions = [.. kept, .. waiting.Actions] };
        }

        if (view is { TopologyFault: { } fault, Topology: { } memory })
        {
            string reason = $"the topology is written again as the leading monitor knows it: {fault}";
            return Decision.Do(reason, new PublishTopology(memory with { Epoch = Math.Max(memory.Epoch, view.LastEpoch), Reason = reason }, view.Version))
                with { Warning = reason };
        }

        // Written by somebody else while no monitor was here that knew better, or put back from a backup: clients that know the later
        // epochs would not follow it.
        if (view.Topology is { } old && old.Epoch < view.LastEpoch)
        {
            string back = $"the topology is of epoch {old.Epoch}, though the history knows epoch {view.LastEpoch}: it was written by somebody else "
                + $"(it names {(old.ChangedBy.Length > 0 ? $"'{old.ChangedBy}'" : "no writer")}), and is checked and goes on as epoch {view.LastEpoch + 1}";
            return Decision.Do(back, new PublishTopology(old with { Epoch = view.LastEpoch + 1, Reason = back }, view.Version)) with { Warning = back };
        }

        // A change of master that is under way is left only where this monitor cannot finish it, which it finds out itself.
        Topology topology = view.Topology ?? Topology.None;
        return topology.State switch
        {
            TopologyState.Ok => AsTheOneThatSeesMost(view, policy, now) ?? Misnamed.Decide(view, policy, topology)
                ?? Resumed(Woken(Incumbency.Decide(view, policy, now, topology), view, policy), view, topology),
            TopologyState.NoMaster => AsTheOneThatSeesMost(view, policy, now) ?? Woken(Adoption.Decide(view, policy, now, topology), view, policy),
            _ => MasterChange.Decide(view, policy, now, topology),
        };
    }

    /// <summary>
    /// The master is lost and ZooKeeper cannot be reached, so that nothing can begin: that is said instead. A leader that has its lease still
    /// keeps the replicas from the master, which may come back with nothing.
    /// </summary>
    private static Decision? WithoutZooKeeper(ClusterView view, FailoverPolicy policy, TimeSpan now)
    {
        if (view.ZooKeeperLostAt is not { } since || view.Topology is not { State: TopologyState.Ok, Master: { } master } topology)
        {
            return null;
        }

        string? loss = view.Node(master).Condition == NodeCondition.Unavailable ? $"master {master} is lost"
            : view.Term is not null && Verdict.MasterLost(view, policy, now, topology) is { Remedy: Remedy.FailOver or Remedy.FailOverAtOnce } verdict ? verdict.Reason
            : null;
        if (loss is null)
        {
            return null;
        }

        ImmutableArray<FailoverAction> kept = view.Term is null ? [] : Detachment.WithoutDecision(view, policy, now);
        // A connection that is lost is mostly back in a moment; and one who was frozen finds both lost when he wakes, long after others have acted.
        TimeSpan patience = since + policy.ProbeTimeout;
        if (now < patience)
        {
            return new Decision(kept, patience, $"{loss}; ZooKeeper, which cannot be reached from here, is waited for");
        }

        string reason = $"{loss}, and no failover can take place: ZooKeeper cannot be reached from here, for {(now - since).TotalSeconds:0.0} s now";
        return Decision.Nothing(reason) with { Actions = kept, Warning = reason };
    }

    private static Decision? AsTheOneThatSeesMost(ClusterView view, FailoverPolicy policy, TimeSpan now)
        => Sight.Resignation(view, policy, now, masterIsMissing: false);

    private static Decision Resumed(Decision decision, ClusterView view, Topology topology)
        => view.Resumption is { } resumption && topology.Master == resumption.Node ? decision with { Actions = decision.Actions.Insert(0, resumption) } : decision;

    private static Decision Woken(Decision decision, ClusterView view, FailoverPolicy policy)
        => Sight.Deadline(view, policy, masterIsMissing: false) is { } deadline && (decision.WakeAt is not { } at || deadline < at)
            ? decision with { WakeAt = deadline }
            : decision;

    /// <summary>An action is started once; one that failed waits for its time.</summary>
    private static Decision WithoutThoseUnderWay(Decision decision, ClusterView view, TimeSpan now)
    {
        if (decision.Actions.IsEmpty)
        {
            return decision;
        }

        ImmutableArray<FailoverAction>.Builder due = ImmutableArray.CreateBuilder<FailoverAction>(decision.Actions.Length);
        TimeSpan? wakeAt = decision.WakeAt;
        foreach (FailoverAction action in decision.Actions)
        {
            if (view.Failed.TryGetValue(action, out (TimeSpan RetryAt, string Failure) failed) && failed.RetryAt > now)
            {
                wakeAt = wakeAt is { } at && at < failed.RetryAt ? at : failed.RetryAt;
            }
            else if (!view.Running.Contains(action))
            {
                due.Add(action);
            }
        }

        return decision with { Actions = due.ToImmutable(), WakeAt = wakeAt };
    }
}
