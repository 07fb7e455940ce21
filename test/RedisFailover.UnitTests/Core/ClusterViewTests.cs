using NUnit.Framework;

namespace RedisFailover.UnitTests.Core;

[TestFixture]
public sealed class ClusterViewTests
{
    private static readonly NodeAddress A = new("a", 1);
    private static readonly NodeAddress B = new("b", 1);
    private static readonly FailoverPolicy Policy = new() { Nodes = [A, B] };
    private static readonly TimeSpan Ms = TimeSpan.FromMilliseconds(1);

    [Test]
    public void An_answer_that_was_overtaken_by_a_later_one_tells_nothing()
    {
        NodeInfo older = Master("1"), newer = Master("1") with { Role = NodeRole.Replica, MasterAddress = B };

        ClusterView view = new ClusterView()
            .Apply(new NodeAnswered(5 * Ms, 2 * Ms, A, newer, Ms), Policy)
            .Apply(new NodeAnswered(6 * Ms, 1 * Ms, A, older, Ms), Policy);
        Assert.That(view.Node(A).Info, Is.EqualTo(newer));

        // Nor does what a node said after an action, when something later is known already.
        view = view.Apply(new ActionFinished(7 * Ms, new Promote(A), Info: older) { Asked = 1 * Ms }, Policy);
        Assert.That((view.Node(A).Info, view.Node(A).InfoAsked), Is.EqualTo((newer, 2 * Ms)));
    }

    [Test]
    public void The_old_master_of_a_switchover_is_spared_once_and_by_the_leader_that_led_it()
    {
        ClusterView view = AfterSwitchover();
        Assert.That(view.HandedOver, Is.EqualTo(A));
        Assert.That(view.Apply(new ActionFinished(9 * Ms, new Demote(A, B, CutsClients: false)), Policy).HandedOver, Is.Null);
        Assert.That(view.Apply(new LeadershipLost(9 * Ms), Policy).HandedOver, Is.Null);
        Assert.That(view.Apply(new LeadershipGained(9 * Ms, 2), Policy).HandedOver, Is.Null);
        // A demotion that failed is tried again, and still spares the clients.
        Assert.That(view.Apply(new ActionFinished(9 * Ms, new Demote(A, B, CutsClients: false), "no answer"), Policy).HandedOver, Is.EqualTo(A));
    }

    [Test]
    public void A_node_that_loads_is_given_its_time_and_silence_in_between_does_not_extend_it()
    {
        ClusterView view = new ClusterView().Apply(new NodeAnswered(Ms, Ms, A, Master("1"), Ms), Policy);
        for (int second = 1; second <= 5; second++)
        {
            view = view.Apply(new NodeFailed(TimeSpan.FromSeconds(second), A, Evidence.Loading, ""), Policy)
                .Apply(new NodeFailed(TimeSpan.FromSeconds(second + 0.5), A, Evidence.Silent, ""), Policy);
            Assert.That(view.Node(A).Condition, Is.EqualTo(NodeCondition.Online));
        }

        view = view.Apply(new NodeFailed(TimeSpan.FromSeconds(6), A, Evidence.Loading, ""), Policy);
        Assert.That(view.Node(A).Condition, Is.EqualTo(NodeCondition.Unavailable));
        view = view.Apply(new NodeAnswered(TimeSpan.FromSeconds(7), TimeSpan.FromSeconds(7), A, Master("1"), Ms), Policy);
        Assert.That((view.Node(A).Condition, view.Node(A).LoadingSince), Is.EqualTo((NodeCondition.Online, (TimeSpan?)null)));
    }

    [Test]
    public void A_node_that_refuses_our_password_is_not_reported_as_reached()
    {
        ClusterView view = new ClusterView().Apply(new NodeAnswered(Ms, Ms, A, Master("1"), Ms), Policy);
        Assert.That(view.Report().Available.ContainsKey(A));
        view = view.Apply(new NodeFailed(2 * Ms, A, Evidence.Denied, ""), Policy);
        Assert.That((view.Report().Available.IsEmpty, view.Report().Unavailable.IsEmpty), Is.EqualTo((true, true)));
    }

    private static ClusterView AfterSwitchover()
    {
        Topology during = Topology.None with { State = TopologyState.SwitchingOver, Epoch = 2, Intent = new FailoverIntent(A, B) };
        return new ClusterView()
            .Apply(new LeadershipGained(Ms, 1), Policy)
            .Apply(new TopologyRead(2 * Ms, 3, during, null, 2, Synced: true), Policy)
            .Apply(new ActionFinished(8 * Ms, new PublishTopology(during with { Master = B, State = TopologyState.Ok, Intent = null }, 3), Version: 4), Policy);
    }

    private static NodeInfo Master(string run) => new() { Role = NodeRole.Master, RunId = run };
}
