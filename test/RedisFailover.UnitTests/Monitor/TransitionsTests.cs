using System.Collections.Immutable;
using Microsoft.Extensions.Logging;
using NUnit.Framework;
using RedisFailover.Monitor.Hosting;
using RedisFailover.Monitor.Options;
using RedisFailover.UnitTests.ZooKeeper;
using Serilog.Events;
using Serilog.Parsing;

namespace RedisFailover.UnitTests.Monitor;

/// <summary>What an operator reads in the log.</summary>
[TestFixture]
public sealed class TransitionsTests
{
    private static readonly NodeAddress A = new("a", 1);
    private static readonly NodeAddress B = new("b", 1);
    private static readonly Topology Ok =
        new() { Master = A, Replicas = [B], State = TopologyState.Ok, Epoch = 4, ChangedBy = "m1", Reason = "as it was" };
    private static readonly ClusterView Follower = new() { Topology = Ok, Version = 7 };
    private static readonly ClusterView Leader = Follower with { Term = 3, TopologyKnown = true };

    [Test]
    public void The_loss_of_the_master_is_a_warning()
    {
        Topology intent = Ok with { Master = null, State = TopologyState.FailingOver, Epoch = 5, Intent = new FailoverIntent(A, null) };
        Assert.That(
            Told(Leader, Leader, new Decision([new PublishTopology(intent, 7)], null, "master a:1 is lost: nothing listens there")),
            Is.EqualTo([(LogLevel.Warning, "MASTER LOST, a failover begins (epoch 5): master a:1 is lost: nothing listens there")]));
    }

    [Test]
    public void What_is_tried_four_times_a_second_and_fails_is_told_every_five_seconds()
    {
        var log = new RecordedLog();
        var transitions = new Transitions(log, "m1");
        Decision attempt = new Decision([new Promote(B)], null, "promoting b:1");
        Decision failed = new Decision([], null, "nobody can be promoted") with { Warning = "nobody can be promoted" };
        for (TimeSpan now = TimeSpan.Zero; now < TimeSpan.FromSeconds(10); now += TimeSpan.FromMilliseconds(250))
        {
            transitions.TellNow(Leader, Leader, attempt, now);
            transitions.TellNow(Leader, Leader, failed, now);
        }

        Assert.That(log.Entries.Select(e => e.Text),
            Is.EqualTo(
                ["decided: promoting b:1", "attention: nobody can be promoted", "decided: promoting b:1", "attention: nobody can be "
                    + "promoted"]));
    }

    [Test]
    public void A_failover_that_was_announced_and_did_not_begin_is_said_not_to_have_begun()
    {
        var policy = new FailoverPolicy { Nodes = [A, B] };
        Topology next = Ok with { Master = null, State = TopologyState.FailingOver, Epoch = 5, Intent = new FailoverIntent(A, null) };
        var intent = new PublishTopology(next, 7);
        Decision decision = new Decision([intent], null, "master a:1 is lost");
        ClusterView announced = Leader.Start(decision.Actions, TimeSpan.Zero);
        ClusterView late = announced.Apply(new ActionFinished(TimeSpan.Zero, intent, "the leader's lease has run out"), policy);
        ClusterView deposed = announced.Apply(new LeadershipLost(TimeSpan.Zero), policy);
        // The watch tells of another monitor's failover, of the same epoch, before the action's end is known.
        ClusterView overtaken =
            deposed.Apply(new TopologyRead(TimeSpan.Zero, 8, next with { ChangedBy = "m2" }, null, 0, Synced: false), policy);
        ClusterView written =
            announced.Apply(new ActionFinished(TimeSpan.Zero, intent, Version: 8) { Written = next with { ChangedBy = "m1" } }, policy);

        Assert.Multiple(() =>
        {
            Assert.That(After(late),
                Is.EqualTo(
                    [(LogLevel.Warning,
                        "FAILOVER NOT STARTED (epoch 5): the leader's lease has run out; whoever leads decides again")]));
            Assert.That(After(deposed), Is.Empty, "its fate is not known yet");
            Assert.That(
                After(overtaken.Apply(new ActionFinished(TimeSpan.Zero, intent, "leadership was lost"), policy), overtaken),
                Is.EqualTo([(LogLevel.Warning, "FAILOVER NOT STARTED (epoch 5): leadership was lost; whoever leads decides again")]));
            Assert.That(After(written).Select(e => e.Text), Has.None.Contains("NOT STARTED"));
        });

        (LogLevel Level, string Text)[] After(ClusterView after, ClusterView? before = null)
        {
            var log = new RecordedLog();
            var transitions = new Transitions(log, "m1");
            transitions.TellNow(Leader, announced, decision, TimeSpan.Zero);
            transitions.TellNow(announced, before ?? announced, new Decision([], null, ""), TimeSpan.Zero);
            int told = log.Entries.Count;
            transitions.TellNow(before ?? announced, after, new Decision([], null, ""), TimeSpan.Zero);
            return [.. log.Entries.Skip(told).Where(e => !e.Text.Contains("no longer leads", StringComparison.Ordinal))];
        }
    }

    [Test]
    public void A_failover_that_ZooKeeper_refuses_to_begin_is_told_once_and_again_when_the_master_is_lost_anew()
    {
        var policy = new FailoverPolicy { Nodes = [A, B] };
        var log = new RecordedLog();
        var transitions = new Transitions(log, "m1");
        var intent = new PublishTopology(
            Ok with { Master = null, State = TopologyState.FailingOver, Epoch = 5, Intent = new FailoverIntent(A, null) }, 7);
        for (int loss = 0; loss < 2; loss++)
        {
            for (int attempt = 0; attempt < 3; attempt++)
            {
                ClusterView tried = Leader.Start([intent], TimeSpan.Zero);
                ClusterView refused = tried.Apply(new ActionFinished(TimeSpan.Zero, intent, "NoAuth"), policy);
                transitions.TellNow(Leader, tried, new Decision([intent], null, "master a:1 is lost"), TimeSpan.Zero);
                transitions.TellNow(tried, refused, new Decision([new ReadTopology()], null, "it has to be read first"), TimeSpan.Zero);
            }

            var info = new NodeInfo { Role = NodeRole.Master, RunId = "a" };
            ClusterView back = Leader.Apply(new NodeAnswered(TimeSpan.Zero, TimeSpan.Zero, A, info, TimeSpan.Zero), policy);
            transitions.TellNow(Leader, back, new Decision([], null, "all is well"), TimeSpan.Zero);
        }

        string[] story = ["MASTER LOST, a failover begins (epoch 5): master a:1 is lost",
            "FAILOVER NOT STARTED (epoch 5): NoAuth; whoever leads decides again"];
        Assert.That(
            log.Entries.Select(e => e.Text).Where(t => t.Contains('(', StringComparison.Ordinal)), Is.EqualTo([.. story, .. story]));
    }

    [Test]
    public void A_monitor_that_does_not_lead_warns_when_the_master_changes_and_not_of_a_replica()
    {
        ClusterView lost = Follower with { Topology = Ok with { Master = null, State = TopologyState.FailingOver, Epoch = 5 } };
        Assert.That(Told(Follower, lost).Single().Level, Is.EqualTo(LogLevel.Warning));
        Assert.That(Told(lost, Follower with { Topology = Ok with { Master = B, Epoch = 5 } }).Single().Level,
            Is.EqualTo(LogLevel.Warning));
        Assert.That(Told(Follower, Follower with { Topology = Ok with { Replicas = [], Unavailable = [B] } }).Single().Level,
            Is.EqualTo(LogLevel.Information));
        Assert.That(Told(new ClusterView(), Follower).Single().Level, Is.EqualTo(LogLevel.Information), "a first sight is no change");
    }

    [Test]
    public void What_somebody_else_writes_while_this_monitor_leads_is_said_and_not_taken_for_its_own()
    {
        var log = new RecordedLog();
        var transitions = new Transitions(log, "m1");
        transitions.TellNow(Follower, Leader, new Decision([], null, ""), TimeSpan.Zero);
        ClusterView written = Leader with { Version = 8, Topology = Ok with { Replicas = [], Reason = "by hand", ChangedBy = "" } };
        transitions.TellNow(Leader, written, new Decision([], null, ""), TimeSpan.Zero);

        Assert.That(log.Entries, Has.Member((
            LogLevel.Warning,
            "somebody else has written the topology while this monitor leads: version 8, epoch 4, master a:1, by an unknown writer; this "
                + "monitor goes by it as it stands")));
        Assert.That(log.Entries.Select(e => e.Text), Has.Some.Contains("by an unknown writer: by hand"));
    }

    [Test]
    public void What_the_leader_before_wrote_is_not_somebody_elses_nor_is_what_this_monitor_writes()
    {
        var log = new RecordedLog();
        var transitions = new Transitions(log, "m2");
        ClusterView unread = Follower with { Term = 4 };
        ClusterView read = unread with { TopologyKnown = true, Version = 8, Topology = Ok with { Reason = "its last" } };
        transitions.TellNow(Follower, unread, new Decision([], null, ""), TimeSpan.Zero);
        transitions.TellNow(unread, read, new Decision([], null, ""), TimeSpan.Zero);
        transitions.TellNow(read, read with { Version = 9, Topology = Ok with { Reason = "my own", ChangedBy = "m2" } },
            new Decision([], null, ""), TimeSpan.Zero);

        Assert.That(log.Entries.Select(e => e.Text),
            Has.None.Contains("somebody else").And.Some.Contains("by m1: its last").And.Some.Contains("by m2: my own"));
    }

    [Test]
    public void What_needs_attention_is_said_once_though_it_is_published_meanwhile()
    {
        var log = new RecordedLog();
        var transitions = new Transitions(log, "m1");
        ClusterView writing = Leader with { Running = [new PublishTopology(Ok, 7)] };
        Decision nobody = new Decision([], null, "nobody is fit") with { Warning = "nobody is fit" };
        transitions.TellNow(Leader, writing, nobody, TimeSpan.Zero);
        transitions.TellNow(writing, writing, new Decision([], null, "waiting for the publication"), TimeSpan.Zero);
        transitions.TellNow(writing, Leader, nobody, TimeSpan.Zero);
        Assert.That(log.Entries.Select(e => e.Text), Is.EqualTo(["attention: nobody is fit"]));

        transitions.TellNow(Leader, Leader, new Decision([], null, "all is well"), TimeSpan.Zero);
        transitions.TellNow(Leader, Leader, nobody, TimeSpan.FromSeconds(5));
        Assert.That(log.Entries, Has.Count.EqualTo(2), "it was gone in between");
    }

    [Test]
    public void One_monitor_is_not_several()
    {
        ClusterView two = Follower with { OtherMonitors = ImmutableDictionary<string, MonitorReport>.Empty.Add("m2", MonitorReport.None) };
        Assert.That(Told(two, Follower).Single().Text, Is.EqualTo("monitor m2 is gone; 1 monitor is alive"));
        Assert.That(Told(Follower, two).Single().Text, Is.EqualTo("monitor m2 is here; 2 monitors are alive"));
    }

    [Test]
    public void What_an_operator_asks_for_is_said_when_it_comes_and_not_again_when_another_wish_is_gone()
    {
        OperatorRequest request = new("request-1") { Target = B };
        ClusterView asked = Follower with { Requests = [request] };
        ClusterView both = asked with { ManualFailover = "c:1" };
        Assert.Multiple(() =>
        {
            Assert.That(Told(Follower, asked).Single().Text, Is.EqualTo("an operator asks for a switchover to b:1"));
            Assert.That(Told(asked, both).Single().Text, Is.EqualTo("an operator asks for a switchover to c:1"));
            Assert.That(Told(both, asked), Is.Empty, "who does not lead does not know whether it was answered");
            Assert.That(Told(Leader with { Requests = [request], ManualFailover = "c:1" }, Leader with { Requests = [request] }).Single()
                .Text, Is.EqualTo("an operator asks for a switchover to b:1"));
            Assert.That(Told(Leader, Leader with { Requests = [new OperatorRequest("request-2") { Fault = "it is no JSON" }] }), Is.Empty,
                "it asks for nothing that anybody knows");
        });
    }

    [Test]
    public void Lines_are_in_UTC_with_a_Z_and_no_longer_than_a_terminal_bears()
    {
        using var output = new StringWriter();
        var at = new DateTimeOffset(2026, 11, 29, 5, 4, 3, 21, TimeSpan.FromHours(2));
        LogEvent text = new(at, LogEventLevel.Warning, null, new MessageTemplateParser().Parse(new string('x', 300)),
                [new LogEventProperty("MonitorId", new ScalarValue("m1"))]);
        LogSetup.Formatter(
            new MonitorOptions { Nodes = [A], ZooKeeper = RedisFailover.ZooKeeper.ZooKeeperConnectionString.Parse("h:1"), Id = "m1" })
                .Format(text, output);

        Assert.That(output.ToString(),
            Does.StartWith("2026-11-29T03:04:03.021Z WRN [m1] xxx").And.EndWith("x…\n").And.Length.EqualTo(UtcFormatter.LongestLine + 1));
    }

    [Test]
    public void A_replica_that_loses_its_link_to_a_living_master_is_told_and_not_where_the_master_is_dead()
    {
        NodeInfo linked = new() { Role = NodeRole.Replica, RunId = "2", MasterAddress = A, LinkUp = true };
        ClusterView well = Leader with { Topology = Ok };
        foreach (
            (NodeCondition master, LogLevel level) in new[] { (NodeCondition.Online, LogLevel.Information),
                (NodeCondition.Unavailable, LogLevel.Debug) })
        {
            ClusterView before = well with { Nodes = well.Nodes.SetItem(A, Node(A, master, linked with { Role = NodeRole.Master }))
                    .SetItem(B, Node(B, NodeCondition.Online, linked)) };
            ClusterView after =
                before with { Nodes = before.Nodes.SetItem(B, Node(B, NodeCondition.Online, linked with { LinkUp = false })) };
            Assert.That(Told(before, after), Is.EqualTo([(level, "b:1 lost its link to a:1")]));
            Assert.That(Told(after, before), Is.EqualTo([(level, "b:1 has its link to a:1 again")]));
        }

        static NodeView Node(NodeAddress address, NodeCondition condition, NodeInfo info)
            => new(address) { Condition = condition, Info = info };
    }

    [TestCase(0L, LogLevel.Warning, "; no loss seen")]
    [TestCase(1234L, LogLevel.Warning, "; possible loss 1234 bytes")]
    [TestCase(null, LogLevel.Warning, "; a:1 may have taken writes that b:1 never got (amount unknown)")]
    public void A_failover_that_is_done_is_one_line_with_all_that_counts(long? behind, LogLevel level, string loss)
        => Assert.That(
            Recorded(HistoryKind.Failover, behind),
            Is.EqualTo((level, $"FAILOVER DONE (epoch 5): a:1 -> b:1 in 12.5 ms{loss}")));

    [TestCase(nameof(HistoryKind.Switchover), 0L, LogLevel.Information)]
    [TestCase(nameof(HistoryKind.Switchover), 9L, LogLevel.Warning)]
    [TestCase(nameof(HistoryKind.Demoted), 0L, LogLevel.Information)]
    [TestCase(nameof(HistoryKind.Demoted), 9L, LogLevel.Warning)]
    [TestCase(nameof(HistoryKind.Demoted), null, LogLevel.Warning)]
    [TestCase(nameof(HistoryKind.Restarted), null, LogLevel.Warning)]
    [TestCase(nameof(HistoryKind.Restored), null, LogLevel.Warning)]
    [TestCase(nameof(HistoryKind.Adopted), null, LogLevel.Information)]
    public void What_may_have_lost_something_is_a_warning(string kind, long? behind, LogLevel level)
        => Assert.That(Recorded(Enum.Parse<HistoryKind>(kind), behind).Level, Is.EqualTo(level));

    [Test]
    public async Task A_monitor_that_was_frozen_says_so_and_for_how_long()
    {
        var time = new ManualTime();
        var log = new RecordedLog();
        using var stop = new CancellationTokenSource();
        Task watching = StallDetector.WatchAsync(new MonotonicClock(time), log, stop.Token);
        await Waiting.Until(() => time.PendingTimers == 1);
        time.Jump(TimeSpan.FromSeconds(6.25));
        await Waiting.Until(() => !log.Entries.IsEmpty && time.PendingTimers == 1);
        time.Suspend(TimeSpan.FromMinutes(5));
        time.Advance(TimeSpan.FromMilliseconds(250));
        await Waiting.Until(() => log.Entries.Count == 2 && time.PendingTimers == 1);
        // In time, and the wall clock set back: nothing.
        time.Suspend(-TimeSpan.FromMinutes(5));
        time.Advance(TimeSpan.FromMilliseconds(250));
        await Waiting.Until(() => time.PendingTimers == 1);
        await stop.CancelAsync();
        await watching.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);

        Assert.That(log.Entries.Select(e => e.Text), Is.EqualTo([
            "this monitor was held up for 6.0 s (frozen, starved, or its machine slept): what it saw before is out of date",
            "the wall clock went forward by 300.0 s more than the time that has passed: it was set, or the machine slept"]));
    }

    private static (LogLevel Level, string Text)[] Told(ClusterView before, ClusterView after, Decision? decision = null)
    {
        var log = new RecordedLog();
        new Transitions(log, "m1").TellNow(before, after, decision ?? new Decision([], null, ""), TimeSpan.Zero);
        return [.. log.Entries];
    }

    private static (LogLevel Level, string Text) Recorded(HistoryKind kind, long? behind)
    {
        var log = new RecordedLog();
        Log.Recorded(log, new HistoryEntry
        {
            Kind = kind,
            Epoch = 5,
            From = A,
            To = B,
            Reason = "a:1 is lost",
            BytesBehind = behind,
            Millis = [KeyValuePair.Create("verdict", 2.5), KeyValuePair.Create("total", 12.5)],
        });
        return log.Entries.Single();
    }
}
