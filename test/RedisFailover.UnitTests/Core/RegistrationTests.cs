using System.Collections.Immutable;
using NUnit.Framework;

namespace RedisFailover.UnitTests.Core;

/// <summary>Who counts among the monitors, whose cluster it is, and which life of the store.</summary>
[TestFixture]
public sealed class RegistrationTests
{
    private static readonly NodeAddress A = new("a", 1), B = new("b", 1), X = new("x", 1);
    private static readonly FailoverPolicy Policy = new() { Nodes = [A, B], RegistrationWait = TimeSpan.FromSeconds(8) };
    private static readonly Topology Known =
        new() { Master = A, Replicas = [B], Members = [A, B], State = TopologyState.Ok, Epoch = 4, ChangedBy = "m1", Incarnation = "one" };

    [Test]
    public void Right_after_an_election_one_monitor_is_no_majority_of_three_that_are_registered()
    {
        ClusterView view = Led(new MembersSeen(default, ["m2", "m3"])).Lose(A, at: 2);
        Decision early = FailoverDecider.Decide(view, Policy, Seconds(7));
        Decision late = FailoverDecider.Decide(view.Apply(new Tick(Seconds(9.1)), Policy), Policy, Seconds(9.1));

        Assert.Multiple(() =>
        {
            Assert.That(view.MissingVoters, Is.EqualTo(new[] { "m2", "m3" }));
            Assert.That(early.Actions, Is.Empty);
            Assert.That(early.Problems.Single().Message, Does.Contain("m2 and m3, which are registered, are waited for"));
            Assert.That(late.Actions.OfType<PublishTopology>().Single().Next.State, Is.EqualTo(TopologyState.FailingOver));
        });
    }

    [Test]
    public void Those_that_are_here_are_not_missing_and_one_that_nobody_registered_is_none()
    {
        ClusterView view = Led(new MembersSeen(default, ["m2"])).Apply(new MonitorCame(Seconds(1.5), "m2"), Policy);

        Assert.That((view.Voters, Led().Lose(A, at: 2).Voters), Is.EqualTo((2, 1)));
    }

    [Test]
    public void A_monitor_none_of_whose_nodes_is_a_member_gives_up_the_lead_and_touches_nothing()
    {
        Topology foreign = Known with { Master = X, Replicas = [], Members = [X] };
        ClusterView view = new ClusterView().Apply(new LeadershipGained(Seconds(1), 1), Policy)
            .Apply(new TopologyRead(Seconds(1), 1, foreign, null, 4, true), Policy);
        Decision decision = FailoverDecider.Decide(view, Policy, Seconds(2));

        Assert.Multiple(() =>
        {
            Assert.That(decision.Actions.Single(), Is.TypeOf<Resign>());
            Assert.That(decision.Problems.Single().Code, Is.EqualTo(ProblemCatalogue.NotOurCluster));
            Assert.That(foreign.KnowsAnyOf([A, X]));
            Assert.That(Topology.None.KnowsAnyOf([A]), "a new cluster is anybody's");
        });
    }

    [Test]
    public void A_store_that_lost_the_topology_gets_it_again_as_a_new_incarnation_above()
    {
        ClusterView view = new ClusterView().Apply(new TopologyRead(default, 3, Known, null, 4, false), Policy)
            .Apply(new LeadershipGained(Seconds(1), 1), Policy).Apply(new TopologyRead(Seconds(1), -1, null, null, 0, true), Policy);

        AssertRenewed(view);
    }

    [Test]
    public void A_store_that_was_put_back_gets_the_topology_again_as_a_new_incarnation_above()
    {
        ClusterView view = new ClusterView().Apply(new TopologyRead(default, 3, Known, null, 4, false), Policy)
            .Apply(new LeadershipGained(Seconds(1), 1), Policy)
                .Apply(new TopologyRead(Seconds(1), 2, Known with { Epoch = 3 }, null, 3, true), Policy);

        AssertRenewed(view);
    }

    [Test]
    public void What_a_leader_finds_removed_by_hand_is_written_again_as_it_was()
    {
        ClusterView view = Led().Apply(new TopologyRead(Seconds(2), -1, null, null, 4, true), Policy);
        PublishTopology again = FailoverDecider.Decide(view, Policy, Seconds(3)).Actions.OfType<PublishTopology>().Single();

        Assert.That((again.Next.Epoch, again.Next.Incarnation, again.Record!.Kind), Is.EqualTo((4, "one", HistoryKind.Overwritten)));
    }

    [Test]
    public void The_incarnation_is_read_as_written_and_kept_where_an_older_monitor_leaves_it_out()
    {
        Topology written = TopologyJson.Parse(TopologyJson.Write(Known with { FormerIncarnations = ["zero"] }));
        Assert.That((written.Incarnation, written.FormerIncarnations.Single()), Is.EqualTo(("one", "zero")));
        ClusterView view = new ClusterView().Apply(new TopologyRead(default, 3, Known, null, 4, false), Policy)
            .Apply(new TopologyRead(default, 4, Known with { Epoch = 5, Incarnation = null }, null, 5, false), Policy);
        Assert.That((view.Topology!.Epoch, view.Topology.Incarnation), Is.EqualTo((5, "one")));
    }

    [Test]
    public void Older_releases_read_the_new_kinds_of_history_as_one_that_they_know()
    {
        ImmutableArray<HistoryEntry> entries = [new HistoryEntry { Kind = HistoryKind.Renewed, Reason = "r" },
                new HistoryEntry { Kind = HistoryKind.Overwritten, Reason = "r" }];
        byte[] written = HistoryJson.Write(entries);

        Assert.That(HistoryJson.Parse(written), Is.EqualTo(entries));
        Assert.That(System.Text.Encoding.UTF8.GetString(written), Does.Contain("\"kind\":\"restored\",\"cause\":\"renewed\""));
    }

    [Test]
    public void A_thousand_refusals_do_not_push_out_what_happened()
    {
        HistoryEntry failover = new() { Kind = HistoryKind.Failover, Epoch = 7, Reason = "last night" };
        ImmutableArray<HistoryEntry> entries =
            [failover, .. Enumerable.Range(0, 1000).Select(i => new HistoryEntry { Kind = HistoryKind.Refused, Epoch = i, Reason = "no" })];
        ImmutableArray<HistoryEntry> kept = HistoryJson.Parse(HistoryJson.Write(entries));

        Assert.That((kept[0], kept.Length, kept[^1].Epoch), Is.EqualTo((failover, 1 + HistoryJson.RefusalLimit, 999)));
    }

    private static void AssertRenewed(ClusterView view)
    {
        Decision decision = FailoverDecider.Decide(view, Policy, Seconds(2));
        PublishTopology again = decision.Actions.OfType<PublishTopology>().Single();

        Assert.That((again.Next.Epoch, again.Next.Incarnation, again.Next.Master), Is.EqualTo((5, (string?)null, A)));
        Assert.That(again.Record!.Kind, Is.EqualTo(HistoryKind.Renewed));
        Assert.That(again.Next.FormerIncarnations, Is.EqualTo(new[] { "one" }));
    }

    /// <summary>Led by this monitor since the first second, in good order.</summary>
    private static ClusterView Led(params Observation[] before)
    {
        ClusterView view = before.Aggregate(new ClusterView(), (v, o) => v.Apply(o, Policy))
            .Apply(new LeadershipGained(Seconds(1), 1), Policy).Apply(new TopologyRead(Seconds(1), 3, Known, null, 4, true), Policy);
        NodeInfo master = new() { Role = NodeRole.Master, RunId = "1", ReplicationId = "h", Offset = 10, Keys = 1, Attached = [B] };
        NodeInfo replica = master with { Role = NodeRole.Replica, RunId = "2", MasterAddress = A, LinkUp = true };
        return view.Apply(new NodeAnswered(Seconds(1.1), Seconds(1.05), A, master, default), Policy)
            .Apply(new NodeAnswered(Seconds(1.1), Seconds(1.05), B, replica, default), Policy);
    }

    private static TimeSpan Seconds(double seconds) => TimeSpan.FromSeconds(seconds);
}

/// <summary>What befalls a view, for tests.</summary>
internal static class Befalling
{
    /// <summary>The node falls silent for good.</summary>
    internal static ClusterView Lose(this ClusterView view, NodeAddress node, double at)
    {
        FailoverPolicy policy = new() { Nodes = [.. view.Nodes.Keys] };
        return Enumerable.Range(0, policy.MaxFailures).Aggregate(
            view, (v, i) => v.Apply(new NodeFailed(TimeSpan.FromSeconds(at + i), node, ProbeFailure.Silent, "no answer"), policy));
    }
}
