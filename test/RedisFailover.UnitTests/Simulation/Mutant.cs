using System.Collections.Immutable;

namespace RedisFailover.UnitTests.Simulation;

/// <summary>
/// A way to break the system, to see that the simulation notices. The product's code is not touched: the host is broken, or what the
/// decider is shown or answers is rewritten.
/// </summary>
internal sealed record Mutant(string Name)
{
    internal static Mutant None { get; } = new("none");

    internal static ImmutableArray<Mutant> All { get; } =
    [
        new("commands are sent without a lease") { IgnoresLease = true },
        new("a deposed leader may write") { IgnoresFence = true },
        new("the version of the topology is not compared") { IgnoresVersion = true },
        new("another candidate than the best is promoted") { Answer = AnotherCandidate },
        new("any offset is final") { Question = AnyOffsetIsFinal, Theme = Fault.UnequalReplicas },
        new("one monitor speaks for all") { Question = OneForAll },
        new("the epoch does not grow") { Answer = SameEpoch },
        new("a switchover does not wait for the data") { Question = view => PretendInStep(view) },
        new("a switchover does not hold the writes") { SkipsPause = true, Theme = Fault.LateNews },
        new("the replicas are left to a lost master") { SkipsDetach = true, Theme = Fault.EmptyReturn },
        new("foreign data are taken for the cluster's") { Question = view
            => view.Topology is { } t ? view with { Topology = t with { Members = [.. view.Nodes.Keys] } } : view },
        new("a topology is published again and again") { Answer = Restless },
        new("the restart of a master is not noticed") { Question = IgnoreRestart },
        new("whoever follows the wrong master is left alone") { Answer = WithoutCorrections },
        new("a failover does not wait for those that may hold acknowledged writes") { Question = NoHolders, Theme = Fault.LeastIsLeft },
        new("a holder of writes that was restarted counts") { Question = AnyRun, Theme = Fault.OlderSnapshot },
        new("a node follows before it is known as a holder of writes") { Question = EverybodyHolds },
        new("a node that is configured never to be promoted is promoted") { Policy = p => p with { NeverPromote = [] } },
        new("a node of priority 0 is promoted") { Question = AnyPriority },
        new("a failover begins without ZooKeeper") { Question = view
            => view with { ZooKeeperLostAt = null }, Theme = Fault.WithoutZooKeeper },
        new("a master that refuses writes stays") { Question = NeverRefuses },
        new("a node that refuses our credentials is taken for dead") { Hearing = DeniedIsDead },
        new("what a node said before it refused our credentials counts") { Question = DeniedIsWell, Theme = Fault.Refusals },
        new("offsets of different histories are compared") { Question = OneHistory, Theme = Fault.LeastIsLeft },
        new("who was away counts by what the master said before") { Question = NeverAway, Theme = Fault.LeastIsLeft },
        new("what a node said before it failed is its last word") { Question = LastWord, Theme = Fault.OlderSnapshot },
        new("a heartbeat is the word of a node that has loaded") { Hearing = BackByHeartbeat, Theme = Fault.OlderSnapshot },
        new("a higher K is in force at once") { QuestionByPolicy = HigherQuorum, Theme = Fault.AnotherQuorum },
        new("no append-only file keeps anything") { Question = NoFile, Theme = Fault.Files },
        new("a promotion is not in the history") { Answer = WithoutHistory },
        new("a decision depends on more than the view") { Answer = Moody },
    ];

    internal bool IgnoresLease { get; private init; }

    internal bool IgnoresFence { get; private init; }

    internal bool IgnoresVersion { get; private init; }

    internal bool SkipsDetach { get; private init; }

    internal bool SkipsPause { get; private init; }

    /// <summary>Whether a node that is told so does nothing.</summary>
    internal bool Skips(string[] command)
        => (SkipsPause && command is ["CLIENT", "PAUSE", ..])
            || (SkipsDetach && command is ["REPLICAOF", var host, _] && host == NodeInfo.Nowhere.Host);

    /// <summary>What is staged in every run, so that it is noticed soon.</summary>
    internal int? Theme { get; private init; }

    private Func<FailoverPolicy, FailoverPolicy>? Policy { get; init; }

    private Func<ClusterView, ClusterView>? Question { get; init; }

    private Func<ClusterView, FailoverPolicy, ClusterView>? QuestionByPolicy { get; init; }

    /// <summary>What becomes of what is observed, and of what is known before.</summary>
    private Func<ClusterView, Observation, (ClusterView, Observation)>? Hearing { get; init; }

    private Func<ClusterView, Decision, Decision>? Answer { get; init; }

    [ThreadStatic]
    private static int _moods;

    internal Decision Decide(ClusterView view, FailoverPolicy policy, TimeSpan now)
    {
        policy = Policy is null ? policy : Policy(policy);
        view = view.Term is null ? view : Question?.Invoke(view) ?? QuestionByPolicy?.Invoke(view, policy) ?? view;
        Decision decision = FailoverDecider.Decide(view, policy, now);
        return Answer is null ? decision : Answer(view, decision);
    }

    internal ClusterView Apply(ClusterView view, Observation observation, FailoverPolicy policy)
    {
        (view, observation) = Hearing?.Invoke(view, observation) ?? (view, observation);
        return view.Apply(observation, policy);
    }

    public override string ToString() => Name;

    private static Decision AnotherCandidate(ClusterView view, Decision decision)
        => decision.Actions is [Promote best] && view.Nodes.Values.FirstOrDefault(n => n.Address != best.Node && n.IsReplica) is { } other
            ? decision with { Actions = [new Promote(other.Address)] }
            : decision;

    private static ClusterView AnyOffsetIsFinal(ClusterView view) => view.Progress is not { } progress
        ? view
        : view with { Progress = progress with { StartedAt = progress.StartedAt - TimeSpan.FromSeconds(5) } };

    private static ClusterView OneForAll(ClusterView view) => view with
    {
        OtherMonitors = view.OtherMonitors.ToImmutableDictionary(m => m.Key, _ => view.Report()),
    };

    private static Decision SameEpoch(ClusterView view, Decision decision) => decision with
    {
        Actions = [.. decision.Actions.Select(a
                => a is PublishTopology { Next: { State: TopologyState.FailingOver } next } publication && view.Topology is { } topology
            ? publication with { Next = next with { Epoch = topology.Epoch } }
            : a)],
    };

    private static ClusterView PretendInStep(ClusterView view)
        => view.Topology is { State: TopologyState.SwitchingOver, Intent: { From: { } from, Target: { } target } }
            && view.Node(from).Info is { } source
            && view.Node(target) is { Info: { } info } node
            ? view with { Nodes = view.Nodes.SetItem(target, node with { Info = info with { Offset = source.Offset } }) }
            : view;

    private static ClusterView NoHolders(ClusterView view)
        => view.Topology is { IsChangingMaster: true } topology ? view with { Topology = topology with { WriteQuorum = null } } : view;

    private static ClusterView AnyRun(ClusterView view) => view.Topology is { IsChangingMaster: true, WriteQuorum: { } quorum } topology
        ? view with { Topology = topology with { WriteQuorum = quorum with { Runs = quorum.Runs.Clear() } } }
        : view;

    private static ClusterView EverybodyHolds(ClusterView view)
        => view.Topology is { State: TopologyState.Ok, WriteQuorum: { } quorum } topology
        ? view with { Topology =
            topology with { WriteQuorum = quorum with { Replicas = [.. view.Nodes.Keys.Where(n => n != topology.Master)] } } }
        : view;

    private static ClusterView AnyPriority(ClusterView view) => view with
    {
        Nodes = view.Nodes.SetItems(view.Nodes.Values.Where(n => n.Info is { Priority: 0 })
            .Select(n => KeyValuePair.Create(n.Address, n with { Info = n.Info! with { Priority = 100 } }))),
    };

    private static ClusterView NeverRefuses(ClusterView view) => view with
    {
        Nodes = view.Nodes.SetItems(view.Nodes.Values.Where(n => n.RefusesWritesSince is not null)
            .Select(n => KeyValuePair.Create(n.Address, n with { RefusesWritesSince = null }))),
    };

    private static (ClusterView, Observation) DeniedIsDead(ClusterView view, Observation observation)
        => (view, observation is NodeFailed { ProbeFailure: ProbeFailure.AuthRefused } denied
            ? denied with { ProbeFailure = ProbeFailure.Refused } : observation);

    private static (ClusterView, Observation) BackByHeartbeat(ClusterView view, Observation observation)
        => (observation is NodeBeat beat
            && view.Node(beat.Node) is { Info: not null,
                ProbeFailure: ProbeFailure.Loading or ProbeFailure.Closed or ProbeFailure.Refused } node
                    ? With(view, node with { ProbeFailure = ProbeFailure.Silent }) : view, observation);

    private static ClusterView DeniedIsWell(ClusterView view)
        => With(view,
            [.. view.Nodes.Values.Where(n => n is { ProbeFailure: ProbeFailure.AuthRefused, Info: not null })
                .Select(n
                    => n with { Condition = NodeCondition.Online, ProbeFailure = null, InfoAsked = view.LeadingSince
                        + TimeSpan.FromDays(1) })]);

    private static ClusterView OneHistory(ClusterView view) => view.Topology is { IsChangingMaster: true, Identity: { } lost }
        ? With(view,
            [.. view.Nodes.Values.Where(n => n.Info is { } info && info.SharesHistoryWith(lost))
                .Select(n => n with { Info = n.Info! with { ReplicationId = lost.ReplicationId } })])
        : view;

    private static ClusterView NeverAway(ClusterView view) => view.Topology is { State: TopologyState.Ok, Master: { } master }
        ? With(view,
            [.. view.Nodes.Values.Where(n => n.Address != master)
                .Select(n => n with { LastFailedAt = TimeSpan.MinValue, OnlineSince = n.OnlineSince is null ? null : TimeSpan.Zero })])
        : view;

    private static ClusterView LastWord(ClusterView view) => view.Topology is { IsChangingMaster: true }
        ? With(view, [.. view.Nodes.Values.Select(n => n with { LastFailedAt = TimeSpan.MinValue })])
        : view;

    private static ClusterView HigherQuorum(ClusterView view, FailoverPolicy policy)
        => view.Topology is { WriteQuorum: { } quorum } topology && quorum.Quorum < policy.WriteQuorum
        ? view with { Topology = topology with { WriteQuorum = quorum with { Quorum = policy.WriteQuorum } } }
        : view;

    private static ClusterView NoFile(ClusterView view)
    {
        return With(view,
            [.. view.Nodes.Values.Where(n => n.Info is { AppendsOnly: true })
                .Select(n => n with { Info = Without(n.Info!), FormerRuns = [.. n.FormerRuns.Select(Without)] })]);

        static NodeInfo Without(NodeInfo word) => word with { AppendsOnly = false, AppendsAll = false };
    }

    private static Decision WithoutHistory(ClusterView view, Decision decision) => decision with
    {
        Actions = [.. decision.Actions.Select(a
                => a is PublishTopology { Record.Kind: HistoryKind.Failover } publication ? publication with { Record = null } : a)],
    };

    private static ClusterView With(ClusterView view, params ReadOnlySpan<NodeView> nodes)
    {
        foreach (NodeView node in nodes)
        {
            view = view with { Nodes = view.Nodes.SetItem(node.Address, node) };
        }

        return view;
    }

    private static Decision Restless(ClusterView view, Decision decision)
        => view.Term is not null && view.TopologyKnown && view.Topology is { State: TopologyState.Ok } topology && decision.Actions.IsEmpty
            && !view.Running.Any(a => a is PublishTopology)
            ? decision with { Actions = [new PublishTopology(topology, view.Version)] }
            : decision;

    private static ClusterView IgnoreRestart(ClusterView view)
        => view.Topology is { Identity: { } identity, Master: { } master } topology
            && view.Node(master).Info is { Role: NodeRole.Master } info
            ? view with { Topology = topology with { Identity = identity with { RunId = info.RunId } } }
            : view;

    private static Decision WithoutCorrections(ClusterView view, Decision decision)
        => decision with { Actions = decision.Actions.RemoveAll(a => a is Follow or Demote) };

    private static Decision Moody(ClusterView view, Decision decision)
        => ++_moods % 7 == 0 ? decision with { Reason = decision.Reason + "!" } : decision;
}
