using System.Collections.Immutable;
using NUnit.Framework;
using static RedisFailover.ProblemCatalogue;

namespace RedisFailover.UnitTests.Core;

/// <summary>What a leader tells of a state of affairs; each case begins with a master and two replicas in good order.</summary>
[TestFixture]
public sealed class ProblemRulesTests
{
    private static readonly NodeAddress R1 = new("r", 1), R2 = new("r", 2), R3 = new("r", 3);
    private static readonly FailoverPolicy Policy = new() { Nodes = [R1, R2, R3] };
    private static readonly TimeSpan Now = TimeSpan.FromMinutes(5);

    [Test]
    public void In_good_order_there_is_none() => Assert.That(Found(Well()), Is.Empty);

    [Test]
    public void A_replica_that_is_gone_is_told_and_two_of_them_are_no_candidate_left() => Assert.Multiple(() =>
    {
        Assert.That(Codes(Well().With(R3, Gone)), Is.EqualTo(new[] { NodeUnavailable }));
        Assert.That(Codes(Well().With(R2, Gone).With(R3, Gone)), Is.EqualTo(new[] { NoCandidate, NodeUnavailable, NodeUnavailable }));
    });

    [Test]
    public void A_master_that_this_monitor_alone_cannot_reach_is_told()
        => Assert.That(Codes(Well().With(R1, Gone)), Does.Contain(MasterUnreachable));

    [Test]
    public void A_replica_without_a_link_is_told_and_one_that_is_copied_to_is_not() => Assert.Multiple(() =>
    {
        Assert.That(Found(Well().With(R2, n => n with { Info = n.Info! with { LinkUp = false } })).Single().Subjects, Is.EqualTo(new[] { "r:2" }));
        Assert.That(Codes(Well().With(R2, n => n with { Info = n.Info! with { LinkUp = false, SyncInProgress = true } })), Does.Not.Contain(ReplicaLinkDown));
    });

    [Test]
    public void A_node_that_refuses_our_password_is_told_as_such()
        => Assert.That(
            Codes(Well().With(R2, n => n with { ProbeFailure = ProbeFailure.AuthRefused, Detail = "WRONGPASS" })), Is.EqualTo(new[] { NodeNotWatched }));

    [Test]
    public void A_master_that_refuses_our_password_is_critical()
    {
        Problem problem = Found(Well().With(R1, n => n with { ProbeFailure = ProbeFailure.AuthRefused, Detail = "WRONGPASS" })).Single();

        Assert.That((problem.Code, problem.Severity), Is.EqualTo((MasterNotWatched, ProblemSeverity.Critical)));
    }

    [Test]
    public void A_master_that_demands_more_replicas_than_it_has_is_told()
        => Assert.That(
            Codes(Well().With(R1, n => n with { Info = n.Info! with { MinReplicas = new MinReplicas(3, 10), Attached = [R2, R3] } })),
            Is.EqualTo(new[] { MinReplicasUnmet }));

    [Test]
    public void That_the_next_master_would_refuse_writes_is_told_before()
    {
        ClusterView view = Well().With(R3, Gone).With(R2, n => n with { Info = n.Info! with { MinReplicas = new MinReplicas(1, 10) } });

        Problem problem = Found(view).First(p => p.Code == MinReplicasUnmet);

        Assert.That(problem.Message, Does.Contain("r:2 would take over and refuse writes"));
    }

    [Test]
    public void Too_few_monitors_are_told_once_and_not_as_a_failover_that_is_held_back()
        => Assert.That(Found(Well(), Policy with { RequiredMonitors = 2 }).Select(p => p.Code), Is.EqualTo(new[] { TooFewMonitors }));

    [Test]
    public void Without_a_master_that_is_the_problem()
        => Assert.That(
            Codes(Well() with { Topology = new Topology { State = TopologyState.NoMaster, Reason = "all nodes are empty" } }),
            Does.Contain(NoMaster).And.Not.Contain(NoCandidate));

    [Test]
    public void What_no_rule_names_is_told_by_the_deciders_word_but_not_twice() => Assert.Multiple(() =>
    {
        Problem odd = new(NeedsOperator, [], "the moon is full");
        Assert.That(ProblemRules.OfCluster(Well(), Policy, Now, null, Decided(odd)), Is.EqualTo(new[] { odd }));
        ClusterView waiting = Well() with { Topology = new Topology { State = TopologyState.FailingOver, Reason = "waiting for r:2, for 3 s" } };
        Assert.That(ProblemRules.OfCluster(waiting, Policy, Now, null, Decided(odd)).Select(p => p.Code), Is.EqualTo(new[] { NeedsOperator }));
        Assert.That(Codes(waiting), Is.EqualTo(new[] { ChangeStalled }));
    });

    [Test]
    public void A_registered_monitor_that_is_away_is_told() => Assert.Multiple(() =>
    {
        ClusterView view = Well() with { Registered = ["m2", "m3"], OtherMonitors = ImmutableDictionary<string, MonitorReport>.Empty.Add("m2", MonitorReport.None) };
        Problem problem = Found(view).Single();
        Assert.That((problem.Code, problem.Subjects.Single()), Is.EqualTo((MonitorMissing, "m3")));
    });

    [Test]
    public void A_monitor_that_reaches_no_node_says_so_of_itself()
    {
        ClusterView blind = Well().With(R1, Silent).With(R2, Silent).With(R3, Silent);

        Assert.Multiple(() =>
        {
            Assert.That(ProblemRules.OfMonitor("m1", blind, Policy).Select(p => p.Code), Is.EqualTo(new[] { MonitorsBlind }));
            Assert.That(ProblemRules.OfMonitor("m1", Well().With(R1, Silent).With(R2, Silent).With(R3, Gone), Policy), Is.Empty, "a port that refuses is an answer");
        });
    }

    private static ProblemCode[] Codes(ClusterView view) => [.. OpenProblems.InOrder(Found(view)).Select(p => p.Code)];

    private static ImmutableArray<Problem> Found(ClusterView view, FailoverPolicy? policy = null)
        => ProblemRules.OfCluster(view, policy ?? Policy, Now, ReadinessCheck.Of(view, policy ?? Policy, Now), new Decision([], null, "well"));

    private static Decision Decided(Problem problem) => new Decision([], null, "r") with { Problems = [problem] };

    private static NodeView Silent(NodeView node) => Gone(node) with { ProbeFailure = ProbeFailure.Silent };

    private static NodeView Gone(NodeView node)
        => node with { Condition = NodeCondition.Unavailable, ProbeFailure = ProbeFailure.Refused, Failures = Policy.MaxFailures, Detail = "connection refused", FailingSince = Now, GoneSince = Now };

    private static ClusterView Well()
    {
        var master = new NodeInfo { Role = NodeRole.Master, RunId = "1", ReplicationId = "h", Offset = 100, Keys = 1, Attached = [R2, R3] };
        var replica = new NodeInfo { Role = NodeRole.Replica, RunId = "2", ReplicationId = "h", Offset = 100, Keys = 1, MasterAddress = R1, LinkUp = true };
        return new ClusterView
        {
            Term = 1,
            TopologyKnown = true,
            Topology = new Topology { Master = R1, Replicas = [R2, R3], State = TopologyState.Ok, Epoch = 1, Members = [R1, R2, R3], Identity = master.Identity },
            Nodes = ImmutableSortedDictionary<NodeAddress, NodeView>.Empty
                .Add(R1, Online(R1, master)).Add(R2, Online(R2, replica)).Add(R3, Online(R3, replica with { RunId = "3" })),
        };
    }

    private static NodeView Online(NodeAddress node, NodeInfo info) => new(node)
    {
        Condition = NodeCondition.Online, Info = info, InfoAsked = Now, AnsweredAt = Now, OnlineSince = TimeSpan.FromSeconds(1),
    };
}

/// <summary>Changes to a view, for tests.</summary>
internal static class ViewChanges
{
    internal static ClusterView With(this ClusterView view, NodeAddress node, Func<NodeView, NodeView> change)
        => view with { Nodes = view.Nodes.SetItem(node, change(view.Node(node))) };
}
