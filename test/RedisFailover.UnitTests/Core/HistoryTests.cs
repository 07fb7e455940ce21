using System.Collections.Immutable;
using NUnit.Framework;
using RedisFailover.Monitor.ZooKeeper;

namespace RedisFailover.UnitTests.Core;

/// <summary>What the history says of a change of master, of a master that came back, and of one that lost something.</summary>
[TestFixture]
public sealed class HistoryTests
{
    private static readonly NodeAddress A = new("a", 1);
    private static readonly NodeAddress B = new("b", 1);
    private static readonly NodeAddress C = new("c", 1);
    private static readonly FailoverPolicy Policy = new() { Nodes = [A, B, C] };
    private static readonly TimeSpan Ms = TimeSpan.FromMilliseconds(1);
    private static readonly DateTimeOffset Noon = new(2026, 11, 22, 12, 0, 0, TimeSpan.Zero);

    [Test]
    public void A_failover_that_another_monitor_began_took_as_long_as_both_needed()
    {
        HistoryEntry entry = AfterTakeover(age: 2000 * Ms);

        Assert.That(entry.Millis.Select(s => s.Key), Is.EqualTo(["takeover", "promotion", "total"]));
        Assert.That(entry.Millis[0].Value, Is.EqualTo(2000));
        Assert.That(entry.Millis[2].Value, Is.EqualTo(2000 + entry.Millis[1].Value));
        Assert.That(entry.Reason, Is.EqualTo("a:1 is lost; begun by m1, which left it to its successor"));
    }

    [Test]
    public void Where_nobody_knows_when_it_began_there_is_no_total()
        => Assert.That(AfterTakeover(age: null).Millis.Select(s => s.Key), Is.EqualTo(["promotion"]));

    [Test]
    public void A_master_that_hangs_is_gone_since_its_last_answer_and_the_time_before_the_choice_is_a_step_of_its_own()
    {
        ClusterView view = View(Led(1, A), (A, Master("A", "X")), (B, Replica("B", "X", A)));
        for (int i = 1; i <= 3; i++)
        {
            view = view.Apply(new NodeFailed((11 + i) * Ms, C, ProbeFailure.Refused, "refused"), Policy)
                .Apply(new NodeFailed((10 + (i * 1000)) * Ms, A, ProbeFailure.Silent, "silent"), Policy);
        }

        Assert.That((view.Node(A).GoneSince, view.Node(A).FailingSince), Is.EqualTo((10 * Ms, 1010 * Ms)));
        Decision decision = FailoverDecider.Decide(view, Policy, 3011 * Ms);
        PublishTopology intent = decision.Actions.OfType<PublishTopology>().Single();
        Assert.That(intent.FailingSince, Is.EqualTo(10 * Ms));
        NodeInfo detached = Replica("B", "X", NodeInfo.Nowhere) with { LinkUp = false };
        view = view.Start(decision.Actions, 3011 * Ms)
            .Apply(new ActionFinished(3021 * Ms, intent, Version: 4), Policy)
            .Apply(new ActionFinished(3031 * Ms, new Detach(B), Info: detached), Policy);
        decision = FailoverDecider.Decide(view, Policy, 3041 * Ms);
        Assert.That(decision.Actions, Is.EqualTo(new FailoverAction[] { new Promote(B) }));
        NodeInfo promoted = Master("B", "Y") with { PreviousReplicationId = "X", PreviousHistoryEnd = 101 };
        view = view.Start(decision.Actions, 3041 * Ms).Apply(new ActionFinished(3051 * Ms, new Promote(B), Info: promoted), Policy);
        HistoryEntry entry = FailoverDecider.Decide(view, Policy, 3052 * Ms).Actions.OfType<PublishTopology>().Single().Record!;
        Assert.That(
            entry.Millis.Select(s => (s.Key, s.Value)),
            Is.EqualTo([("verdict", 3001.0), ("intent", 10.0), ("wait", 20.0), ("promotion", 10.0), ("total", 3041.0)]));
    }

    [Test]
    public void A_change_that_the_history_lacks_is_taken_from_the_topology()
    {
        var change =
            new HistoryEntry { Kind = HistoryKind.Failover, Epoch = 2, From = A, To = B, At = Noon, By = "m1", Reason = "a:1 is lost",
                BytesBehind = 7 };
        // How long the publication took nobody knows, so there is no total.
        Topology topology = Led(2, B) with { LastChange =
                change with { Millis = [KeyValuePair.Create("verdict", 2.5), KeyValuePair.Create("total", 2.5)] } };
        change = change with { Millis = [KeyValuePair.Create("verdict", 2.5)] };
        ImmutableArray<HistoryEntry> before =
            [new HistoryEntry { Kind = HistoryKind.Adopted, Epoch = 1, To = A, By = "m1", Reason = "first" }];

        HistoryEntry? missing = TopologyStore.Unrecorded(topology, before);
        Assert.That(missing, Is.EqualTo(change with { Reason = missing!.Reason }));
        Assert.That(missing.Reason, Does.StartWith("a:1 is lost (noted afterwards, as m1 did not get to it"));
        // The writer's own entry is a moment later than what it put into the topology.
        Assert.That(TopologyStore.Unrecorded(topology, before.Add(change with { At = Noon + Ms })), Is.Null);
        Assert.That(TopologyStore.Unrecorded(topology, before.Add(missing)), Is.Null);
        // An earlier one of the same kind and epoch is another.
        Assert.That(TopologyStore.Unrecorded(topology, before.Add(change with { At = Noon - Ms })), Is.Not.Null);
    }

    [Test]
    public void Of_a_switchover_that_was_given_up_the_time_until_then_counts()
    {
        Topology during = Led(2, A) with { State = TopologyState.SwitchingOver, Intent = new FailoverIntent(A, B),
                Identity = new MasterIdentity("A", "X", null, 100, HasData: true) };

        ClusterView view = WithAnEpochOfItsOwn(View(during, (A, Master("A", "X")), (B, Replica("B", "X", A))));
        HistoryEntry entry = FailoverDecider.Decide(view, Policy, 21 * Ms).Actions.OfType<PublishTopology>().Single().Record!;
        Assert.That((entry.Kind, entry.Millis.Select(s => s.Key).LastOrDefault()), Is.EqualTo((HistoryKind.Restored, "wait")));
    }

    [Test]
    public void Of_a_topology_that_tells_no_more_its_master_is_noted_and_what_is_not_known()
    {
        Topology topology = Led(5, B) with { Reason = "somebody wrote it" };
        var earlier = new HistoryEntry { Kind = HistoryKind.Switchover, Epoch = 4, From = C, To = A, Reason = "" };
        var refused = new HistoryEntry { Kind = HistoryKind.Refused, Epoch = 5, From = B, Reason = "" };

        HistoryEntry? missing = TopologyStore.Unrecorded(topology, [earlier, refused]);
        Assert.That((missing!.Kind, missing.Epoch, missing.From, missing.To, missing.BytesBehind),
            Is.EqualTo((HistoryKind.Failover, 5, A, B, (long?)null)));
        Assert.That(missing.Reason, Does.Contain("how long it took and what was lost is not known"));
        Assert.That(TopologyStore.Unrecorded(topology, [earlier with { Epoch = 5 }]), Is.Null);
        Assert.That(TopologyStore.Unrecorded(topology with { State = TopologyState.FailingOver, Master = null }, [earlier]), Is.Null,
            "it is not finished");
    }

    [TestCase(0, 0, "it held data before and is empty now (it was at offset 100 at least): all that it held is gone", null)]
    [TestCase(4, 60, "it goes on from offset 60, and was at 100 at least: 40 bytes of its stream are lost", 40L)]
    [TestCase(4, 0, "whether it lacks anything cannot be told", null)]
    public void A_master_that_was_restarted_with_less_is_accepted_and_noted(int keys, int snapshotAt, string words, long? bytes)
    {
        NodeInfo back = Master("A2", "Y") with { Keys = keys, Offset = snapshotAt, PreviousReplicationId = snapshotAt > 0
                ? "X" : null, PreviousHistoryEnd = snapshotAt + 1 };

        // Its replicas have copied what it has: nobody has more.
        PublishTopology publication = Decide(Led(1, A), (A, back), (B, Replica("B", "Y", A)), (C, Replica("C", "Y", A)))
            .OfType<PublishTopology>().Single();
        Assert.That(publication.Record, Is.Not.Null);
        Assert.That((publication.Record!.Kind, publication.Record.To, publication.Record.BytesBehind),
            Is.EqualTo((HistoryKind.Restarted, A, bytes)));
        Assert.That(publication.Record.Reason, Does.StartWith("master a:1 was restarted and stays the master: ").And.Contain(words));
        Assert.That(publication.Next.Reason, Is.EqualTo(publication.Record.Reason), "zkCli.sh shows it");
    }

    [Test]
    public void One_that_was_restarted_with_everything_is_nothing_to_note()
    {
        NodeInfo back = Master("A2", "Y") with { PreviousReplicationId = "X", PreviousHistoryEnd = 101 };
        Assert.That(Decide(Led(1, A), (A, back), (B, Replica("B", "Y", A)), (C, Replica("C", "Y", A))).OfType<PublishTopology>().Single()
            .Record, Is.Null);
        // Nor one that its own application emptied.
        Assert.That(Decide(Led(1, A), (A, Master("A", "X") with { Keys = 0, Offset = 130 })).OfType<PublishTopology>()
            .Select(p => p.Record), Is.All.Null);
    }

    [Test]
    public void What_the_monitor_saw_before_the_restart_counts_as_well_as_the_znode()
    {
        NodeInfo before = Master("A", "X") with { Offset = 500 };
        NodeInfo back = Master("A2", "Y") with { Offset = 450, PreviousReplicationId = "X", PreviousHistoryEnd = 451 };
        ClusterView view = View(Led(1, A), (A, before), (B, Replica("B", "Y", A)), (C, Replica("C", "Y", A)))
            .Apply(new NodeAnswered(20 * Ms, 20 * Ms, A, back, Ms), Policy);
        view = view.Apply(new NodeAnswered(21 * Ms, 20 * Ms, B, Replica("B", "Y", A), Ms), Policy)
            .Apply(new NodeAnswered(21 * Ms, 20 * Ms, C, Replica("C", "Y", A), Ms), Policy);

        Assert.That(FailoverDecider.Decide(view, Policy, 21 * Ms).Actions.OfType<PublishTopology>().Single().Record!.BytesBehind,
            Is.EqualTo(50));
    }

    [Test]
    public void A_replica_that_somebody_promoted_is_not_called_restarted()
    {
        NodeInfo replica = Replica("B", "X", A);
        NodeInfo byHand = Master("B", "Z") with { Offset = 130, PreviousReplicationId = "X", PreviousHistoryEnd = 101 };
        ClusterView view = View(Led(1, A), (A, Master("A", "X")), (B, replica))
            .Apply(new NodeAnswered(20 * Ms, 20 * Ms, B, byHand, Ms), Policy);
        Assert.That(FailoverDecider.Decide(view, Policy, 21 * Ms).Actions.OfType<Demote>(), Is.Empty,
            "the master may have handed over to it");
        view = view.Apply(new NodeAnswered(21 * Ms, 21 * Ms, A, Master("A", "X"), Ms), Policy);

        HistoryEntry entry = FailoverDecider.Decide(view, Policy, 21 * Ms).Actions.OfType<Demote>().Single().Record!;
        Assert.That(entry.Reason,
            Does.StartWith("b:1 was made a master by somebody (REPLICAOF NO ONE) and is made a replica again; 30 bytes"));
        Assert.That(entry.BytesBehind, Is.EqualTo(30));
    }

    [Test]
    public void A_former_master_that_comes_back_empty_is_not_said_to_have_lost_nothing()
    {
        Topology topology = Led(2, B) with
        {
            Identity = new MasterIdentity("B", "Y", "X", 100, HasData: true),
            LastChange = new HistoryEntry { Kind = HistoryKind.Failover, Epoch = 2, From = A, To = B, Reason = "" },
        };
        NodeInfo promoted = Master("B", "Y") with { PreviousReplicationId = "X", PreviousHistoryEnd = 101 };

        HistoryEntry wiped = Decide(topology, (A, Master("A2", "W") with { Keys = 0, Offset = 0 }), (B, promoted)).OfType<Demote>().Single()
            .Record!;
        Assert.That(wiped.Reason, Does.Contain("it was restarted and is empty").And.Contain("(amount unknown)"));
        Assert.That(wiped.BytesBehind, Is.Null);
        // It had been a replica itself, and was promoted by the monitors: nobody did that by hand.
        ClusterView view = View(topology, (A, Replica("A", "X", B)), (B, promoted))
            .Apply(new NodeAnswered(12 * Ms, 12 * Ms, A, Master("A", "X"), Ms), Policy)
            .Apply(new NodeAnswered(13 * Ms, 13 * Ms, B, promoted, Ms), Policy);
        HistoryEntry intact = FailoverDecider.Decide(view, Policy, 21 * Ms).Actions.OfType<Demote>().Single().Record!;
        Assert.That(intact.Reason, Does.StartWith("a:1 came back as a master and is made a replica"));
        Assert.That((intact.BytesBehind, intact.Reason.Contains("b:1 had got all that it took", StringComparison.Ordinal)),
            Is.EqualTo((0L, true)));
    }

    [Test]
    public void A_node_of_another_cluster_is_explained_in_the_znode_until_it_is_emptied()
    {
        ClusterView view = View(Led(1, A), (A, Master("A", "X")), (C, Master("C", "Q") with { Keys = 900 }));
        Topology published = FailoverDecider.Decide(view, Policy, 21 * Ms).Actions.OfType<PublishTopology>().Single().Next;
        Assert.That(published.Remarks[C],
            Is.EqualTo(
                "left alone, because it is somebody else's: no member of this cluster is known at this address (a master, 900 keys, "
                    + "offset 100)"));

        // Its figures are no news.
        view = View(published, (A, Master("A", "X")), (C, Master("C", "Q") with { Keys = 901 }));
        Assert.That(FailoverDecider.Decide(view, Policy, 21 * Ms).Actions.OfType<PublishTopology>(), Is.Empty);
        view = View(published, (A, Master("A", "X")), (C, Master("C", "Q") with { Keys = 0 }));
        Assert.That(FailoverDecider.Decide(view, Policy, 21 * Ms).Actions.OfType<PublishTopology>().Single().Next.Remarks, Is.Empty);
    }

    [Test]
    public void A_monitor_that_joins_is_news_to_whoever_asks_whether_a_failover_would_work()
    {
        ClusterView alone = View(Led(1, A), (A, Master("A", "X")), (B, Replica("B", "X", A)));
        ClusterView two = alone.Apply(new MonitorCame(20 * Ms, "m2"), Policy);
        MonitorReport before = alone.Report() with { Failover = ReadinessCheck.Of(alone, Policy, 21 * Ms) };
        MonitorReport after = two.Report() with { Failover = ReadinessCheck.Of(two, Policy, 21 * Ms) };

        Assert.That(before.Failover!.Reason, Does.Contain("the one monitor that is alive decides"));
        Assert.That(after.Failover!.Reason, Does.Contain("2 of 2 monitors have to agree"));
        Assert.That(after.SaysTheSameAs(before), Is.False);
        ClusterView three = two.Apply(new MonitorCame(21 * Ms, "m3"), Policy);
        MonitorReport last = three.Report() with { Failover = ReadinessCheck.Of(three, Policy, 22 * Ms) };
        Assert.That(last.Failover!.Reason, Does.Contain("2 of 3 monitors have to agree"));
        Assert.That(last.SaysTheSameAs(after), Is.False, "only a figure differs");
    }

    [Test]
    public void The_last_words_of_a_monitor_that_has_left_make_it_count_no_more()
    {
        ClusterView view = View(Led(1, A), (A, Master("A", "X")), (B, Replica("B", "X", A)))
            .Apply(new MonitorCame(20 * Ms, "m2"), Policy)
            .Apply(new MonitorReported(21 * Ms, "m2", MonitorReport.None), Policy)
            .Apply(new MonitorLeft(22 * Ms, "m2"), Policy)
            .Apply(new MonitorReported(23 * Ms, "m2", MonitorReport.None), Policy);

        Assert.That((view.LiveMonitors, view.OtherMonitors), Is.EqualTo((1, ImmutableDictionary<string, MonitorReport>.Empty)));
    }

    [Test]
    public void Where_most_monitors_have_no_word_on_the_master_no_failover_is_promised()
    {
        ClusterView view = View(Led(1, A), (A, Master("A", "X")), (B, Replica("B", "X", A)), (C, Replica("C", "X", A)));
        foreach (string monitor in (string[])["m2", "m3"])
        {
            view = view.Apply(new MonitorCame(20 * Ms, monitor), Policy)
                .Apply(new MonitorReported(20 * Ms, monitor, MonitorReport.None with { Unavailable = [A, B, C], IsBlind = true }), Policy);
        }

        Readiness readiness = ReadinessCheck.Of(view, Policy, 22 * Ms)!;
        Assert.That((readiness.Possible, readiness.Reason),
            Is.EqualTo((false, "m2 and m3 cannot judge master a:1: if it hangs it is not replaced")));
        view = view.Apply(new MonitorReported(23 * Ms, "m3", MonitorReport.None with
        {
            Available = MonitorReport.None.Available.Add(A, 0.001),
        }), Policy);
        Assert.That(ReadinessCheck.Of(view, Policy, 24 * Ms)!.Possible, "two of three see it");
    }

    [Test]
    public void Who_has_only_just_come_back_is_said_where_another_has_been_there_for_stable_time()
    {
        ClusterView view = View(Led(1, A), (A, Master("A", "X")), (B, Replica("B", "X", A)), (C, Replica("C", "X", A)));
        FailoverPolicy policy = Policy with { StableTime = TimeSpan.FromSeconds(30) };
        Assert.That(ReadinessCheck.Of(view, policy, 22 * Ms)!.Reason, Does.StartWith("b:1, c:1 could take over; "),
            "all have been here for equally long");

        for (int missed = 0; missed < policy.MaxFailures; missed++)
        {
            view = view.Apply(new NodeFailed(TimeSpan.FromSeconds(60), C, ProbeFailure.Silent, ""), policy);
        }

        view = view.Apply(new NodeAnswered(TimeSpan.FromSeconds(61), TimeSpan.FromSeconds(61), C, Replica("C", "X", A), 1 * Ms), policy);
        const string JustBack =
            "b:1, c:1 could take over (c:1: after others with as much, as it is back for less than stable-time (30 s)); ";
        Assert.That(ReadinessCheck.Of(view, policy, TimeSpan.FromSeconds(62))!.Reason, Does.StartWith(JustBack));
        Assert.That(ReadinessCheck.Of(view, policy, TimeSpan.FromSeconds(91))!.Reason, Does.StartWith("b:1, c:1 could take over; "));
    }

    [Test]
    public void What_would_be_lost_with_a_replica_that_has_no_link_is_said()
    {
        NodeInfo behind = Replica("B", "X", A) with { LinkUp = false, Offset = 60 };
        ClusterView view = View(Led(1, A), (A, Master("A", "X") with { Offset = 100 }), (B, behind));
        Assert.That(ReadinessCheck.Of(view, Policy, 22 * Ms)!.Reason,
            Does.StartWith("b:1 could take over (c:1: not seen yet; b:1: has no link, and lacks 40 bytes that the master has); "));
    }

    [Test]
    public void That_a_failover_would_be_held_back_is_said()
    {
        FailoverPolicy policy = Policy with { FailoverInterval = TimeSpan.FromSeconds(10) };
        ClusterView view = View(Led(1, A), (A, Master("A", "X")), (B, Replica("B", "X", A))) with { FailedOverAt = 20 * Ms };
        Readiness held = ReadinessCheck.Of(view, policy, 30 * Ms)!;
        Assert.That((held.Possible, held.Reason),
            Is.EqualTo((false, "the last one was less than failover-interval (10000 ms) ago (c:1: not seen yet)")));
        Assert.That(ReadinessCheck.Of(view, policy, TimeSpan.FromSeconds(11))!.Possible);
    }

    [Test]
    public void That_the_master_refuses_the_monitors_password_is_said_where_an_operator_looks_and_is_no_reason_to_fail_over()
    {
        ClusterView view = View(Led(1, A), (A, Master("A", "X")), (B, Replica("B", "X", A)))
            .Apply(new NodeFailed(20 * Ms, A, ProbeFailure.Closed, ""), Policy)
            .Apply(new NodeFailed(21 * Ms, A, ProbeFailure.AuthRefused, "it refuses our credentials (WRONGPASS)"), Policy);
        const string Unwatched =
            "the monitors cannot ask master a:1: it refuses our credentials (WRONGPASS); no switchover works, and a failover only once "
            + "it stops answering altogether";
        Readiness readiness = ReadinessCheck.Of(view, Policy, 22 * Ms)!;
        Assert.That((readiness.Possible, readiness.Reason), Is.EqualTo((false, Unwatched)));

        foreach (TimeSpan later in new[] { 22 * Ms, TimeSpan.FromHours(1) })
        {
            Decision decision = FailoverDecider.Decide(view, Policy, later);
            Assert.That((decision.Warning, decision.WakeAt), Is.EqualTo((Unwatched, (TimeSpan?)null)));
            Assert.That(decision.Actions.Where(a => a is not PublishTopology), Is.Empty, "nobody is asked about it again and again");
        }

        Decision wish = FailoverDecider.Decide(view.Apply(new OperatorWished(23 * Ms, B.ToString()), Policy), Policy, 24 * Ms);
        Assert.That(wish.Actions.OfType<RefuseWish>().Single().Record.Reason, Is.EqualTo(Unwatched));
    }

    [Test]
    public void A_wish_is_quoted_on_one_line_and_not_at_any_length()
    {
        string wish = "a\nb" + new string('x', 5000);
        ClusterView view = View(Led(1, A), (A, Master("A", "X")), (B, Replica("B", "X", A)))
            .Apply(new OperatorWished(20 * Ms, wish), Policy);
        Decision decision = FailoverDecider.Decide(view, Policy, 21 * Ms);
        RefuseWish refusal = decision.Actions.OfType<RefuseWish>().Single();
        Assert.That(refusal.Wish, Is.EqualTo(wish), "it is compared as a whole");
        Assert.That(refusal.Record.Reason, Is.EqualTo($"'a b{new string('x', 97)}…' is neither host:port nor ANY_SLAVE"));
        Assert.That(refusal.ToString(), Has.Length.LessThan(130));
    }

    [Test]
    public void A_topology_older_than_the_history_goes_on_under_an_epoch_that_clients_follow()
    {
        var view = new ClusterView { Nodes = Policy.Nodes.ToImmutableSortedDictionary(n => n, n => new NodeView(n)) };
        view = view.Apply(new LeadershipGained(Ms, 1), Policy)
            .Apply(new TopologyRead(2 * Ms, 9, Led(3, A) with { ChangedBy = "somebody" }, null, LastEpoch: 7, Synced: true), Policy);

        Decision decision = FailoverDecider.Decide(view, Policy, 3 * Ms);
        PublishTopology publication = decision.Actions.OfType<PublishTopology>().Single();
        Assert.That((publication.Next.Epoch, publication.Next.Master), Is.EqualTo((8, A)));
        Assert.That(decision.Warning, Does.Contain("epoch 3").And.Contain("7 in the history").And.Contain("'somebody'"));
    }

    [Test]
    public void A_watch_that_is_late_is_no_epoch_that_goes_back()
    {
        ClusterView view = View(Led(5, A)).Apply(new LeadershipLost(20 * Ms), Policy)
            .Apply(new TopologyRead(21 * Ms, 1, Led(4, B), null, 0, Synced: false), Policy);
        Assert.That((view.TopologyFault, view.Topology!.Epoch), Is.EqualTo(((string?)null, 5)));
    }

    /// <summary>m1 died after it had promoted b; this monitor finds that out.</summary>
    private static HistoryEntry AfterTakeover(TimeSpan? age)
    {
        Topology intent = new()
        {
            State = TopologyState.FailingOver,
            Epoch = 2,
            Reason = "a:1 is lost",
            ChangedBy = "m1",
            Replicas = [B, C],
            Members = [A, B, C],
            Identity = new MasterIdentity("A", "X", null, 100, HasData: true),
            Intent = new FailoverIntent(A, null) { Occasion = "a:1 is lost" },
        };
        ClusterView view = new ClusterView { Nodes = Policy.Nodes.ToImmutableSortedDictionary(n => n, n => new NodeView(n)) }
            .Apply(new LeadershipGained(Ms, 2), Policy)
            .Apply(new TopologyRead(2 * Ms, 3, intent, null, 1, Synced: true) { ChangeAge = age }, Policy);
        view = WithAnEpochOfItsOwn(view)
            .Apply(
                new ActionFinished(10 * Ms, new Promote(B),
                    Info: Master("B", "Y") with { PreviousReplicationId = "X", PreviousHistoryEnd = 101 }), Policy);
        return FailoverDecider.Decide(view, Policy, 11 * Ms).Actions.OfType<PublishTopology>().Single().Record!;
    }

    /// <summary>Whoever takes a change over writes it down under an epoch of its own before it goes on.</summary>
    private static ClusterView WithAnEpochOfItsOwn(ClusterView view)
    {
        ImmutableArray<FailoverAction> actions = FailoverDecider.Decide(view, Policy, 3 * Ms).Actions;
        return view.Start(actions, 3 * Ms)
            .Apply(new ActionFinished(4 * Ms, actions.OfType<PublishTopology>().Single(), Version: 4), Policy);
    }

    private static ImmutableArray<FailoverAction> Decide(Topology topology, params (NodeAddress Node, NodeInfo Says)[] nodes)
        => FailoverDecider.Decide(View(topology, nodes), Policy, 21 * Ms).Actions;

    private static ClusterView View(Topology topology, params (NodeAddress Node, NodeInfo Says)[] nodes)
    {
        ClusterView view = new ClusterView { Nodes = Policy.Nodes.ToImmutableSortedDictionary(n => n, n => new NodeView(n)) }
            .Apply(new LeadershipGained(Ms, 1), Policy)
            .Apply(new TopologyRead(2 * Ms, 3, topology, null, topology.Epoch, Synced: true), Policy);
        return nodes.Aggregate(view, (v, n) => v.Apply(new NodeAnswered(10 * Ms, 10 * Ms, n.Node, n.Says, Ms), Policy));
    }

    private static Topology Led(long epoch, NodeAddress master) => new()
    {
        Master = master,
        State = TopologyState.Ok,
        Epoch = epoch,
        Replicas = [],
        Unavailable = [.. Policy.Nodes.Where(n => n != master)],
        Members = [A, B],
        Identity = new MasterIdentity("A", "X", null, 100, HasData: true),
    };

    private static NodeInfo Master(string run, string id)
        => new() { Role = NodeRole.Master, RunId = run, ReplicationId = id, Offset = 100, Keys = 5 };

    private static NodeInfo Replica(string run, string id, NodeAddress master)
        => new() { Role = NodeRole.Replica, RunId = run, ReplicationId = id, Offset = 100, Keys = 5, MasterAddress = master,
            LinkUp = true };
}
