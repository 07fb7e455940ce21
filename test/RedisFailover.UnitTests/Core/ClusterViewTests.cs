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
        Assert.That(view.Apply(new ActionFinished(9 * Ms, new Demote(A, B, CutsClients: false), "no answer"), Policy).HandedOver,
            Is.EqualTo(A));
    }

    [Test]
    public void A_node_that_loads_is_given_its_time_and_silence_in_between_does_not_extend_it()
    {
        ClusterView view = new ClusterView().Apply(new NodeAnswered(Ms, Ms, A, Master("1"), Ms), Policy);
        for (int second = 1; second <= 5; second++)
        {
            view = view.Apply(new NodeFailed(TimeSpan.FromSeconds(second), A, ProbeFailure.Loading, ""), Policy)
                .Apply(new NodeFailed(TimeSpan.FromSeconds(second + 0.5), A, ProbeFailure.Silent, ""), Policy);
            Assert.That(view.Node(A).Condition, Is.EqualTo(NodeCondition.Online));
        }

        view = view.Apply(new NodeFailed(TimeSpan.FromSeconds(6), A, ProbeFailure.Loading, ""), Policy);
        Assert.That(view.Node(A).Condition, Is.EqualTo(NodeCondition.Unavailable));
        view = view.Apply(new NodeAnswered(TimeSpan.FromSeconds(7), TimeSpan.FromSeconds(7), A, Master("1"), Ms), Policy);
        Assert.That((view.Node(A).Condition, view.Node(A).LoadingSince), Is.EqualTo((NodeCondition.Online, (TimeSpan?)null)));
    }

    [Test]
    public void A_node_takes_no_connection_since_it_was_first_found_so_and_anew_after_a_login_that_it_refused()
    {
        ClusterView view = new ClusterView().Apply(new NodeAnswered(Ms, Ms, A, Master("1"), Ms), Policy);
        Assert.That(Shut(2, ProbeFailure.Silent), Is.EqualTo((true, 2)));
        Assert.That(Shut(3, ProbeFailure.Refused), Is.EqualTo((true, 2)));
        Assert.That(view.Report().Shut, Is.EqualTo(new[] { A }));

        // Meanwhile it took connections: who gets as far as the login is connected.
        Assert.That(Shut(4, ProbeFailure.AuthRefused), Is.EqualTo((false, 4)));
        Assert.That(Shut(5, ProbeFailure.AuthRefused), Is.EqualTo((false, 4)));
        Assert.That(view.Report().Shut, Is.Empty);
        Assert.That(Shut(6, ProbeFailure.Silent), Is.EqualTo((true, 6)));
        Assert.That(Shut(7, null), Is.EqualTo((false, -1)));
        Assert.That(Shut(8, ProbeFailure.Silent), Is.EqualTo((true, 8)));

        (bool TakesNone, double SinceMillis) Shut(int at, ProbeFailure? failure)
        {
            view = view.Apply(new NewConnectionTried(at * Ms, A, failure, ""), Policy);
            return (view.Node(A).TakesNoConnections, view.Node(A).RefusesConnections?.Since.TotalMilliseconds ?? -1);
        }
    }

    [Test]
    public void A_name_that_leads_to_another_nodes_server_says_nothing_of_the_node_that_is_meant()
    {
        ClusterView view = Known().Apply(new NodeFailed(3 * Ms, A, ProbeFailure.Closed, ""), Policy);
        view = Answers(view, 4, A, "2");
        Assert.That((view.Node(A).SameServerAs, view.Node(A).LeadsAstray, view.Node(A).ProbeFailure),
            Is.EqualTo((B, true, ProbeFailure.NotRedis)));
        Assert.That(view.Node(B).IsAnswering, Is.True);

        // The other node fails, and is restarted: what is heard and not heard under the wrong name is that node's.
        view = view.Apply(new NodeFailed(5 * Ms, A, ProbeFailure.Refused, ""), Policy);
        view = view.Apply(new NodeFailed(5 * Ms, B, ProbeFailure.Refused, ""), Policy);
        Assert.That((view.Node(A).Failures, view.Node(B).Failures), Is.EqualTo((0, 1)));
        view = Answers(view, 6, A, "3");
        Assert.That(view.Node(A).LeadsAstray, Is.True);
        view = Answers(view, 7, B, "3");
        view = Answers(view, 8, A, "3");
        Assert.That((view.Node(A).LeadsAstray, view.Node(B).IsAnswering), Is.EqualTo((true, true)));

        view = Answers(view, 9, A, "1");
        Assert.That((view.Node(A).LeadsAstray, view.Node(A).SameServerAs, view.Node(A).IsAnswering),
            Is.EqualTo((false, (NodeAddress?)null, true)), "the name is right again");
    }

    [Test]
    public void The_process_that_the_topology_knows_as_the_master_is_believed_under_a_name_that_was_wrong()
    {
        ClusterView view = Answers(Known(), 4, A, "2");
        view = view.Apply(new NodeFailed(5 * Ms, B, ProbeFailure.Refused, ""), Policy);
        var topology = new Topology
        {
            Master = A, Replicas = [B], Epoch = 1, State = TopologyState.Ok,
            Identity = new MasterIdentity("1", "x", null, 0, HasData: false),
        };
        view = view.Apply(new TopologyRead(5 * Ms, 0, topology, null, 0, Synced: false), Policy);

        Assert.That(Answers(view, 6, A, "3").Node(A).LeadsAstray, Is.True);
        Assert.That(Answers(view, 6, A, "1").Node(A).LeadsAstray, Is.False);
    }

    [Test]
    public void Two_names_of_one_server_from_the_beginning_lead_nobody_astray_and_the_first_is_kept()
    {
        ClusterView view = Answers(Answers(new ClusterView(), 1, B, "1"), 2, A, "1");
        Assert.That((view.Node(A).IsAnswering, view.Node(B).SameServerAs, view.Node(B).LeadsAstray), Is.EqualTo((true, A, false)));
    }

    [Test]
    public void A_node_that_refuses_our_password_is_not_reported_as_reached()
    {
        ClusterView view = new ClusterView().Apply(new NodeAnswered(Ms, Ms, A, Master("1"), Ms), Policy);
        Assert.That(view.Report().Available.ContainsKey(A));
        view = view.Apply(new NodeFailed(2 * Ms, A, ProbeFailure.AuthRefused, ""), Policy);
        Assert.That((view.Report().Available.IsEmpty, view.Report().Unavailable.IsEmpty), Is.EqualTo((true, true)));
    }

    [Test]
    public void A_node_that_refuses_our_password_lives_and_nothing_is_counted_against_it()
    {
        ClusterView view = new ClusterView().Apply(new NodeAnswered(Ms, Ms, A, Master("1"), Ms), Policy)
            .Apply(new NodeFailed(2 * Ms, A, ProbeFailure.Closed, ""), Policy)
            .Apply(new NodeFailed(3 * Ms, A, ProbeFailure.AuthRefused, ""), Policy);
        Assert.That((view.Node(A).Failures, view.Node(A).FailingSince, view.Node(A).GoneSince, view.Node(A).Condition),
            Is.EqualTo((0, (TimeSpan?)null, (TimeSpan?)null, NodeCondition.Online)));

        for (int i = 0; i < Policy.MaxFailures; i++)
        {
            view = view.Apply(new NodeFailed((9000 + i) * Ms, A, ProbeFailure.Refused, ""), Policy);
        }

        Assert.That((view.Node(A).Condition, view.Node(A).GoneSince), Is.EqualTo((NodeCondition.Unavailable, (TimeSpan?)(9000 * Ms))),
            "gone since it refuses, not since it was closed");
        view = view.Apply(new NodeFailed(9010 * Ms, A, ProbeFailure.AuthRefused, ""), Policy);
        Assert.That((view.Node(A).Condition, view.Report().Unavailable.IsEmpty), Is.EqualTo((NodeCondition.Unknown, true)),
            "no vote against it");
    }

    [TestCase(3, true, Description = "what was there before")]
    [TestCase(4, true, Description = "the publication itself")]
    [TestCase(5, false, Description = "somebody else's write upon it")]
    [TestCase(-1, false, Description = "it was deleted since")]
    public void What_the_watch_tells_before_a_publication_is_acknowledged_is_read_again_where_it_is_news(int heard, bool known)
    {
        Topology topology = Topology.None with { State = TopologyState.Ok, Epoch = 1, Master = A };
        var publication = new PublishTopology(topology with { Replicas = [B] }, 3);
        ClusterView view = new ClusterView()
            .Apply(new LeadershipGained(Ms, 1), Policy)
            .Apply(new TopologyRead(2 * Ms, 3, topology, null, 1, Synced: true), Policy)
            .Start([publication], 3 * Ms)
            .Apply(new TopologyRead(4 * Ms, heard, null, "mangled", 1, Synced: false), Policy)
            .Apply(new ActionFinished(5 * Ms, publication, Version: 4), Policy);
        Assert.That((view.TopologyKnown, view.Version), Is.EqualTo((known, 4)));
    }

    [Test]
    public void The_next_wish_is_not_taken_away_with_the_one_that_is_fulfilled()
    {
        var publication = new PublishTopology(Topology.None with { State = TopologyState.Ok, Epoch = 1, Master = A }, 3, ClearsWish: true);
        ClusterView asked = new ClusterView()
            .Apply(new LeadershipGained(Ms, 1), Policy)
            .Apply(new OperatorWished(2 * Ms, "a:1"), Policy)
            .Start([publication], 3 * Ms);
        var done = new ActionFinished(6 * Ms, publication, Version: 4);
        Assert.That(asked.Apply(done, Policy).ManualFailover, Is.Null);
        ClusterView next = asked.Apply(new OperatorWished(4 * Ms, null), Policy).Apply(new OperatorWished(5 * Ms, "b:1"), Policy);
        Assert.That(next.Apply(done, Policy).ManualFailover, Is.EqualTo("b:1"));

        var refusal = new RefuseWish("a:1", new HistoryEntry { Kind = HistoryKind.Refused, Reason = "" });
        ClusterView refused = asked.Start([refusal], 3 * Ms);
        Assert.That(refused.Apply(new ActionFinished(6 * Ms, refusal), Policy).ManualFailover, Is.Null);
        Assert.That(refused.Apply(new OperatorWished(5 * Ms, "a:1"), Policy).Apply(new ActionFinished(6 * Ms, refusal), Policy)
            .ManualFailover, Is.EqualTo("a:1"));
    }

    /// <summary>Two nodes, two servers, after two milliseconds.</summary>
    private static ClusterView Known() => Answers(Answers(new ClusterView(), 1, B, "2"), 2, A, "1");

    private static ClusterView Answers(ClusterView view, int at, NodeAddress node, string run)
        => view.Apply(new NodeAnswered(at * Ms, at * Ms, node, Master(run), Ms), Policy);

    private static ClusterView AfterSwitchover()
    {
        Topology during = Topology.None with { State = TopologyState.SwitchingOver, Epoch = 2, Intent = new FailoverIntent(A, B) };
        return new ClusterView()
            .Apply(new LeadershipGained(Ms, 1), Policy)
            .Apply(new TopologyRead(2 * Ms, 3, during, null, 2, Synced: true), Policy)
            .Apply(
                new ActionFinished(8 * Ms, new PublishTopology(during with { Master = B, State = TopologyState.Ok, Intent = null }, 3),
                    Version: 4), Policy);
    }

    private static NodeInfo Master(string run) => new() { Role = NodeRole.Master, RunId = run };
}
