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
        // Why none is elected is told with that none is.
        found = found.Concat(state.Monitors.Values.SelectMany(m => m.Problems).Where(p => p.Code != ProblemCatalogue.NoLeader))
            .Concat(state.Outsiders)
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
            : $"begun, and no monitor leads that could finish it: {Start(state)}")
            : !state.IsLed ? (false, $"would NOT work now: no monitor leads; {Start(state)}")
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

    /// <summary>Monitors that are here need not be started.</summary>
    private static string Start(ClusterState state)
        => state.Config?.IsGivenUp != true && state.Monitors.IsEmpty && state.Outsiders.IsEmpty ? "start the monitors" : "see no-leader";

    /// <summary>That nobody leads, and why, as far as those say who could.</summary>
    private static Problem WithoutLeader(ClusterState state)
    {
        if (state.Config is { IsGivenUp: true } given)
        {
            return new Problem(
                ProblemCatalogue.NoLeader, [], $"the cluster is monitored no longer ({given.Reason}): nobody replaces the master") with
                {
                    Advice = "To have it monitored again: redis-failover clusters add NAME --nodes HOST:PORT,…",
                };
        }

        if (state.Monitors.IsEmpty)
        {
            string outside = Texts.List(state.Outsiders.SelectMany(o => o.Subjects).Distinct().Order());
            return state.Outsiders is [var first, ..]
                ? new Problem(
                    ProblemCatalogue.NoLeader,
                    [],
                    $"no monitor leads: {outside}, connected to ZooKeeper, may not: {first.Message}") with { Advice = first.Advice }
                : new Problem(
                    ProblemCatalogue.NoLeader, [],
                    "no monitor that watches this cluster is connected to ZooKeeper: nobody replaces the master");
        }

        string here = $"no monitor leads, though {Texts.List(state.Monitors.Keys)} {(state.Monitors.Count == 1 ? "is" : "are")} here";
        Problem? refused = state.Monitors.Values.SelectMany(m => m.Problems)
            .FirstOrDefault(p => p.Code == ProblemCatalogue.ZooKeeperRightsMissing || p.Code == ProblemCatalogue.NoLeader);
        return state.InLeadersPlace is { } path
            ? new Problem(
                ProblemCatalogue.NoLeader, [], $"{here}: {path} was put there by somebody and is no leader's: no session holds it"
                    + (refused is null ? "" : $"; {refused.Message}")) with { Advice = $"Delete it: zkCli.sh deleteall {path}" }
            : refused is null ? new Problem(ProblemCatalogue.NoLeader, [], here)
            : new Problem(ProblemCatalogue.NoLeader, [], $"{here}: {refused.Message}") with { Advice = refused.Advice };
    }

    /// <summary>Without a leader the list in the znode is of the past: what is plain to see is told instead.</summary>
    private static IEnumerable<Problem> Unled(ClusterState state)
    {
        yield return WithoutLeader(state);
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
