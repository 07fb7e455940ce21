using System.Collections.Immutable;
using NUnit.Framework;

namespace RedisFailover.UnitTests.Core;

[TestFixture]
public sealed class ConfigRequestTests
{
    private static readonly NodeAddress s_a = new("a", 1), s_b = new("b", 1), s_c = new("c", 1), s_d = new("d", 1);
    private static readonly FailoverPolicy s_policy = new() { Nodes = [s_a, s_b, s_c], NeverPromote = [s_c] };
    private static readonly ImmutableSortedDictionary<NodeAddress, NodeTags> s_noTags =
        ImmutableSortedDictionary<NodeAddress, NodeTags>.Empty;

    [Test]
    public void A_pause_is_written_and_answered_in_one_step()
    {
        ClusterView view = Leader().Apply(Asked(new PauseFailover(TimeSpan.FromMinutes(30)) { Note = "switch" }), s_policy);
        PublishConfig publication = Only<PublishConfig>(Decide(view));
        Assert.That(publication.Next.Pause, Is.EqualTo(new FailoverPause { By = "ann", Note = "switch", For = TimeSpan.FromMinutes(30) }));
        Assert.That(publication.Request!.Answer!.Outcome, Is.EqualTo(RequestOutcome.Done));
        Assert.That(publication.Record!.Kind, Is.EqualTo(HistoryKind.Paused));
        Assert.That(Decide(view.Start([publication], Second(2))).Actions, Is.Empty, "nothing else is begun until it is written");
    }

    [Test]
    public void A_lost_master_is_not_replaced_in_a_pause_and_at_once_when_its_time_is_up()
    {
        ClusterView view = WithoutMaster(Paused(Leader(), TimeSpan.FromMinutes(1)));
        Decision held = FailoverDecider.Decide(view, s_policy, Second(5));
        Assert.That(held.Actions.Where(a => a is PublishTopology or Detach or Promote), Is.Empty);
        Assert.That(held.Warning, Does.Contain("failover is paused until 2026-01-01T00:01:00Z, by ann").And.Contain("not done: "));
        Assert.That(held.Problems.Select(p => p.Code), Does.Contain(ProblemCatalogue.Paused));
        Assert.That(held.WakeAt, Is.Not.Null.And.LessThanOrEqualTo(Second(61)));

        PublishConfig end = Only<PublishConfig>(FailoverDecider.Decide(view, s_policy, Second(61)));
        Assert.That((end.Next.Pause, end.Record!.Kind), Is.EqualTo(((FailoverPause?)null, HistoryKind.Resumed)));
        ClusterView resumed = view.Apply(new ActionFinished(Second(62), end, Version: 1) { WrittenConfig = end.Next }, s_policy);
        PublishTopology intent = FailoverDecider.Decide(resumed, s_policy, Second(62)).Actions.OfType<PublishTopology>().Single();
        Assert.That(intent.Next.State, Is.EqualTo(TopologyState.FailingOver));
    }

    [Test]
    public void An_end_of_the_pause_that_cannot_be_written_holds_up_no_failover()
    {
        ClusterView view = WithoutMaster(Paused(Leader(), TimeSpan.FromMinutes(1)));
        PublishConfig end = Only<PublishConfig>(FailoverDecider.Decide(view, s_policy, Second(61)));
        ClusterView failed = view.Apply(new ActionFinished(Second(61), end, "no rights"), s_policy);
        Assert.That(FailoverDecider.Decide(failed, s_policy, Second(61)).Actions, Is.EqualTo(new FailoverAction[] { new ReadTopology() }));
        ClusterView read =
            failed.Apply(new ConfigRead(Second(61), 0, failed.Config, null, Synced: true) { PauseLeft = TimeSpan.Zero }, s_policy)
            .Apply(new TopologyRead(Second(61), 0, failed.Topology, null, 0, Synced: true), s_policy);
        Assert.That(FailoverDecider.Decide(read, s_policy, Second(61)).Actions.OfType<PublishTopology>().Single().Next.State,
            Is.EqualTo(TopologyState.FailingOver));
    }

    [Test]
    public void A_wrong_replica_is_not_repointed_in_a_pause_and_the_list_is_kept()
    {
        NodeInfo stray = Replica("b") with { MasterAddress = s_c };
        ClusterView view = Paused(Leader(), TimeSpan.FromMinutes(1))
            .Apply(new NodeAnswered(Second(2), Second(2), s_b, stray, TimeSpan.Zero), s_policy);
        Assert.That(FailoverDecider.Decide(view, s_policy, Second(2)).Actions, Has.None.TypeOf<Follow>());
        Assert.That(FailoverDecider.Decide(view with { Config = null }, s_policy, Second(2)).Actions, Has.Some.TypeOf<Follow>());
        ClusterView gone = Failed(view, s_c, 3, Second(3));
        Assert.That(FailoverDecider.Decide(gone, s_policy, Second(3)).Actions.OfType<PublishTopology>().Single().Next.Unavailable,
            Does.Contain(s_c));
    }

    [Test]
    public void A_wish_is_refused_in_a_pause()
    {
        ClusterView view = Paused(Leader(), null).Apply(new OperatorWished(Second(2), "b:1"), s_policy);
        RefuseWish refusal = Only<RefuseWish>(Decide(view));
        Assert.That(refusal.Record.Reason, Does.Contain("failover is paused until it is resumed, by ann"));
    }

    [Test]
    public void A_pause_waits_for_a_change_of_master_that_is_under_way()
    {
        ClusterView view = Leader().Apply(Asked(new PauseFailover(null)), s_policy);
        view = view with
        {
            Topology =
                view.Topology! with { State = TopologyState.FailingOver, Master = null, Epoch = 2, Intent = new FailoverIntent(s_a, null) },
            Progress = new MasterChangeProgress(Second(1), Second(1), Inherited: false),
        };
        Assert.That(FailoverDecider.Decide(view, s_policy, Second(2)).Actions, Has.None.TypeOf<PublishConfig>());
    }

    [Test]
    public void The_first_change_of_nodes_takes_over_what_the_files_say()
    {
        ClusterView view = Leader().Apply(
            Asked(new ChangeNodes([s_d], [s_b], s_noTags.Add(s_d, new NodeTags { Zone = "z", Priority = 3 }))), s_policy);
        PublishConfig publication = Only<PublishConfig>(Decide(view));
        Assert.That(publication.Next.Nodes, Is.EqualTo(new[]
        {
            new ConfiguredNode(s_a), new ConfiguredNode(s_c) { NeverPromote = true }, new ConfiguredNode(s_d) { Zone = "z", Priority = 3 },
        }));
        FailoverPolicy policy = s_policy.With(publication.Next);
        Assert.That(policy.Nodes, Is.EqualTo(new[] { s_a, s_c, s_d }));
        ClusterView after =
            view.Apply(new ActionFinished(Second(2), publication, Version: 0) { WrittenConfig = publication.Next }, s_policy)
                .WithNodesOf(policy);
        Assert.That(after.Nodes.Keys, Is.EqualTo(new[] { s_a, s_c, s_d }));
        Assert.That(after.Apply(new NodeFailed(Second(3), s_b, ProbeFailure.Closed, "late"), policy).Nodes.Keys, Has.No.Member(s_b),
            "the last words of a node that left");
        PublishTopology topology = FailoverDecider.Decide(after, policy, Second(3)).Actions.OfType<PublishTopology>().Single();
        Assert.That(topology.Next.Members, Has.No.Member(s_b));
        Assert.That((topology.Next.Unavailable.ToArray(), topology.Next.Zones[s_d]), Is.EqualTo((new[] { s_d }, "z")));
    }

    [TestCase("remove a", "a:1 is the master: let another node take over first (redis-failover switchover), then remove it")]
    [TestCase("remove d", "d:1 is not one of the nodes: a:1, b:1, c:1")]
    [TestCase("add b", "b:1 is one of the nodes already")]
    [TestCase("tag d", "d:1 is not one of the nodes: a:1, b:1, c:1")]
    public void A_change_of_nodes_that_makes_no_sense_is_refused(string what, string why)
    {
        NodeAddress node = new(what[^1..], 1);
        ChangeNodes change = what.StartsWith("remove", StringComparison.Ordinal) ? new([], [node], s_noTags)
            : what.StartsWith("add", StringComparison.Ordinal) ? new([node], [], s_noTags)
            : new([], [], s_noTags.Add(node, new NodeTags { NeverRead = true }));
        AnswerRequest answer = Only<AnswerRequest>(Decide(Leader().Apply(Asked(change), s_policy)));
        Assert.That((answer.Step.Answer!.Outcome, answer.Step.Answer.Reason), Is.EqualTo((RequestOutcome.Refused, why)));
    }

    [Test]
    public void A_node_that_may_hold_acknowledged_writes_is_not_removed_while_the_failover_waits_for_it()
    {
        ClusterView view = Leader();
        view = view with
        {
            Topology = view.Topology! with
            {
                State = TopologyState.FailingOver, Master = null, Epoch = 2, Intent = new FailoverIntent(s_a, null),
                Waiting = new WaitCause(ProblemCatalogue.WriteQuorumUnmet.Name, [s_b]),
                WriteQuorum = new WriteQuorum(1, [s_b, s_c], 1, MinReplicas.Default),
            },
            Progress = new MasterChangeProgress(Second(1), Second(1), Inherited: false),
        };
        FailoverPolicy policy = s_policy with { WriteSafety = WriteSafetyMode.Replicated };
        AnswerRequest answer = FailoverDecider.Decide(view.Apply(Asked(new ChangeNodes([], [s_b], s_noTags)), policy), policy, Second(2))
            .Actions.OfType<AnswerRequest>().Single();
        Assert.That((answer.Step.Answer!.Outcome, answer.Step.Answer.Reason), Is.EqualTo((RequestOutcome.Refused,
            "b:1 may hold a write that WAIT acknowledged, and the failover waits for it: choose the master first "
                + "(redis-failover failover HOST:PORT --force), then remove it")));
    }

    [Test]
    public void Settings_are_set_and_taken_out_together_and_only_on_what_was_seen()
    {
        ClusterConfig before = new() { Settings = ClusterConfig.NoSettings.Add("max-lag", "1").Add("max-failures", "2") };
        ClusterView view = Leader() with { Config = before, ConfigVersion = 4 };
        var change = new ChangeSettings(ImmutableSortedDictionary<string, string?>.Empty.Add("max-lag", null).Add("max-failures", "5"));
        PublishConfig publication = Only<PublishConfig>(Decide(view.Apply(Asked(change), s_policy)));
        Assert.That(publication.Next.Settings, Is.EqualTo(new[] { KeyValuePair.Create("max-failures", "5") }));
        Assert.That(publication.ExpectedVersion, Is.EqualTo(4));
        AnswerRequest late = Only<AnswerRequest>(Decide(view.Apply(Asked(change with { ExpectedVersion = 3 }), s_policy)));
        Assert.That(late.Step.Answer!.Outcome, Is.EqualTo(RequestOutcome.Refused));
    }

    [Test]
    public void A_configuration_that_is_lost_is_written_again()
    {
        ClusterView view = (Leader() with { Config = new ClusterConfig { Nodes = [new ConfiguredNode(s_a)] }, ConfigVersion = 3 })
            .Apply(new ConfigRead(Second(2), -1, null, null, Synced: false), s_policy);
        PublishConfig publication = Only<PublishConfig>(Decide(view));
        Assert.That((publication.Next, publication.ExpectedVersion), Is.EqualTo((view.Config, -1)));
    }

    [Test]
    public void Znode_and_requests_are_read_as_they_were_written()
    {
        var config = new ClusterConfig
        {
            Nodes =
                [new ConfiguredNode(s_b) { NeverPromote = true, Zone = "z" }, new ConfiguredNode(s_a) { NeverRead = true, Priority = 0 }],
            Settings = ClusterConfig.NoSettings.Add("max-lag", "1"),
            Pause = new FailoverPause { By = "ann", Note = "x", Since = DateTimeOffset.UnixEpoch,
                    Until = DateTimeOffset.UnixEpoch.AddHours(1) },
            Adopted = ImmutableSortedDictionary<NodeAddress, string>.Empty.Add(s_c, "run"),
            ChangedAt = DateTimeOffset.UnixEpoch,
            ChangedBy = "m1",
            Reason = "why",
        };
        Assert.That(ClusterConfigJson.Parse(ClusterConfigJson.Write(config)), Is.EqualTo(config));
        ConfigChange[] changes =
        [
            new PauseFailover(TimeSpan.FromSeconds(90)) { Note = "n" }, new PauseFailover(null), new ResumeFailover(),
            new ChangeNodes([s_d], [s_b], s_noTags.Add(s_a, new NodeTags { NeverPromote = false, Zone = "", Priority = -1 })),
            new AdoptNode(s_b, DiscardsItsData: true), new AdoptNode(s_b, DiscardsItsData: false),
            new ChangeSettings(ImmutableSortedDictionary<string, string?>.Empty.Add("a", "1").Add("b", null)) { ExpectedVersion = 2 },
        ];
        foreach (ConfigChange change in changes)
        {
            var request =
                new OperatorRequest("r") { Change = change, By = "ann", Answer = new RequestAnswer(RequestOutcome.Done, "so", null, 1) };
            OperatorRequest read = OperatorRequest.Parse("r", request.Write(), 7);
            Assert.That((read.Change, read.By, read.Answer!.Reason, read.IsSwitchover, read.Version),
                Is.EqualTo((change, "ann", "so", false, 7)));
        }

        OperatorRequest wrong = OperatorRequest.Parse("r", "{\"kind\":\"pause\",\"forMillis\":5}"u8.ToArray(), 0);
        Assert.That((wrong.IsSwitchover, wrong.Fault),
            Is.EqualTo((false, "The request: \"forMillis\" is 5; allowed: 1000 to 2678400000 (31 days), or left out.")));
    }

    private static TimeSpan Second(double seconds) => TimeSpan.FromSeconds(seconds);

    private static Decision Decide(ClusterView view) => FailoverDecider.Decide(view, s_policy, Second(2));

    private static T Only<T>(Decision decision)
    {
        Assert.That(decision.Actions, Has.Length.EqualTo(1).And.All.TypeOf<T>(), decision.Reason);
        return (T)(object)decision.Actions[0];
    }

    private static RequestsSeen Asked(ConfigChange change) => new(Second(1), [new OperatorRequest("r1") { Change = change, By = "ann" }]);

    private static ClusterView Paused(ClusterView view, TimeSpan? time)
        => view.Apply(
            new ConfigRead(
                Second(1),
                0,
                new ClusterConfig { Pause =
                    new FailoverPause { By = "ann", Until = new DateTimeOffset(2026, 1, 1, 0, 0, 0, TimeSpan.Zero) + time } },
                null,
                Synced: true) { PauseLeft = time },
            s_policy);

    private static ClusterView WithoutMaster(ClusterView view)
    {
        view = Failed(view, s_a, 3, Second(2));
        foreach (NodeAddress node in new[] { s_b, s_c })
        {
            view = view.Apply(new NodeAnswered(Second(3), Second(3), node, Replica(node.Host) with { LinkUp = false }, TimeSpan.Zero),
                s_policy);
        }

        return view;
    }

    private static ClusterView Failed(ClusterView view, NodeAddress node, int times, TimeSpan at)
        => Enumerable.Range(0, times)
            .Aggregate(view, (v, _) => v.Apply(new NodeFailed(at, node, ProbeFailure.Refused, "connection refused"), s_policy));

    private static NodeInfo Replica(string run) => new()
    {
        Role = NodeRole.Replica, RunId = run, ReplicationId = "h", MasterAddress = s_a, LinkUp = true, Offset = 10, Keys = 1,
            Priority = 100,
    };

    /// <summary>A leader that knows everything, of a whole cluster.</summary>
    private static ClusterView Leader()
    {
        var master = new NodeInfo { Role = NodeRole.Master, RunId = "a", ReplicationId = "h", Offset = 10, Keys = 1, Priority = 100 };
        ClusterView view = new ClusterView { Nodes = s_policy.Nodes.ToImmutableSortedDictionary(n => n, n => new NodeView(n)) }
            .Apply(new LeadershipGained(TimeSpan.Zero, 1), s_policy);
        view = view.Apply(new NodeAnswered(Second(1), Second(1), s_a, master, TimeSpan.Zero), s_policy);
        view = view.Apply(new NodeAnswered(Second(1), Second(1), s_b, Replica("b"), TimeSpan.Zero), s_policy);
        view = view.Apply(new NodeAnswered(Second(1), Second(1), s_c, Replica("c"), TimeSpan.Zero), s_policy);
        return view.Apply(
            new TopologyRead(
                Second(1),
                0,
                new Topology
                {
                    Master = s_a, Replicas = [s_b, s_c], Epoch = 1, State = TopologyState.Ok, Members = [s_a, s_b, s_c],
                        NeverPromoted = [s_c], Identity = master.Identity,
                },
                null,
                1,
                Synced: true),
            s_policy);
    }
}
