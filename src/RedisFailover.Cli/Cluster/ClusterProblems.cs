using System.Collections.Immutable;

namespace RedisFailover.Cli.Cluster;

/// <summary>
/// All problems of a cluster as the tool sees it: those that the leader keeps, each monitor's own, and what only an onlooker finds.
/// </summary>
internal static class ClusterProblems
{
    /// <summary>The worst first, each once.</summary>
    internal static ImmutableArray<Problem> Of(ClusterState state)
    {
        IEnumerable<Problem> found = state.IsLed ? Led(state) : Unled(state);
        found = found.Concat(state.Monitors.Values.SelectMany(m => m.Problems)).Concat(state.Outsiders)
            .Concat(state.Unreadable.Select(text => new Problem(ProblemCatalogue.ZnodeUnreadable, [], text)));
        List<Problem> once = [];
        foreach (Problem problem in found)
        {
            if (!once.Any(p => p.IsSameAs(problem) && (p.Subjects.Length > 0 || p.Message == problem.Message)))
            {
                once.Add(problem);
            }
        }

        return [.. OpenProblems.InOrder(once)];
    }

    /// <summary>Whether a failover would work now, and why, or why there is no saying.</summary>
    internal static (bool Possible, string Text) Failover(ClusterState state)
        => state.Topology.State == TopologyState.FailingOver
            ? (false, state.IsLed ? "begun and not done yet, writes wait"
            : "begun, and no monitor leads that could finish it: start the monitors")
            : !state.IsLed ? (false, "would NOT work now: no monitor leads; start the monitors")
            : state.Topology.State == TopologyState.NoMaster ? (false, "not possible: there is no master")
            : state.Topology.State == TopologyState.SwitchingOver ? (false, "not asked now: a switchover is under way")
            : state.Leader is null ? (false, "not known: the leading monitor's znode is not readable")
            // What the leader has written of itself may be as old as ZooKeeper is slow.
            : Of(state).FirstOrDefault(p => p.Code == ProblemCatalogue.LeaseNotHeld && p.Subjects.Contains(state.Leader.Id)) is { } lease
                ? (false, $"would NOT work now: {lease.Message}")
            : state.Failover is not { } failover ? (false, $"not known yet: {state.Leader.Id} leads and has not told its view")
            : (failover.Possible, $"{(failover.Possible ? "would work now" : "would NOT work now")}: {failover.Reason}");

    private static IEnumerable<Problem> Led(ClusterState state)
        // A monitor before 0.2 keeps no list: its word on what needs an operator stands in its view.
        => state.Problems
            ?? (state.LeadersView?.Attention is { } attention
                ? [new Problem(ProblemCatalogue.NeedsOperator, [], attention)] : ImmutableArray<Problem>.Empty);

    /// <summary>Without a leader the list in the znode is of the past: what is plain to see is told instead.</summary>
    private static IEnumerable<Problem> Unled(ClusterState state)
    {
        yield return new Problem(
            ProblemCatalogue.NoLeader,
            [],
            state.Monitors.IsEmpty
                ? "no monitor is connected to ZooKeeper: nobody replaces the master"
                : $"no monitor leads, though {Texts.List(state.Monitors.Keys)} {(state.Monitors.Count == 1 ? "is" : "are")} here");
        if (state.Topology.State == TopologyState.FailingOver)
        {
            yield return new Problem(ProblemCatalogue.ChangeStalled, [],
                $"a failover has begun, and nobody finishes it: {state.Topology.Reason}");
        }
        else if (state.Topology.Master is null)
        {
            yield return new Problem(ProblemCatalogue.NoMaster, [], $"there is no master: {state.Topology.Reason}");
        }
    }
}
