using System.Collections.Concurrent;
using System.Threading.Channels;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;
using NUnit.Framework;
using RedisFailover.Monitor.Hosting;
using RedisFailover.Monitor.Redis;
using RedisFailover.UnitTests.ZooKeeper;
using RedisFailover.ZooKeeper;

namespace RedisFailover.UnitTests.Monitor;

[TestFixture]
public sealed class CoordinatorTests
{
    [Test]
    public async Task An_alarm_that_goes_off_early_is_set_again()
    {
        var time = new HastyTime();
        var clock = new MonotonicClock(time);
        var observations = Channel.CreateUnbounded<Observation>();
        var policy = new FailoverPolicy { Nodes = [new NodeAddress("a", 1), new NodeAddress("b", 1)] };
        ActionExecutor executor = Executor(policy, observations, clock);
        var coordinator = new Coordinator(policy, executor, observations, clock, new Transitions(NullLogger.Instance, "m1"));
        using var stop = new CancellationTokenSource();
        Task running = coordinator.RunAsync(stop.Token);

        // A first start: one node answers, the other is given its time.
        observations.Writer.TryWrite(new LeadershipGained(TimeSpan.Zero, 1));
        observations.Writer.TryWrite(new TopologyRead(TimeSpan.Zero, -1, null, null, 0, Synced: true));
        observations.Writer.TryWrite(new NodeAnswered(
            TimeSpan.Zero, TimeSpan.Zero, policy.Nodes[0], new NodeInfo { Role = NodeRole.Master, RunId = "x" }, TimeSpan.Zero));
        await Waiting.Until(() => !time.Alarms.IsEmpty);
        int before = time.Alarms.Count;
        time.Alarms.Last().Fire();
        await Waiting.Until(() => time.Alarms.Count > before);

        await stop.CancelAsync();
        await running.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
    }

    [Test]
    public void A_rule_that_throws_ends_no_monitor_is_told_once_and_is_tried_again()
    {
        var time = new ManualTime();
        var clock = new MonotonicClock(time);
        var log = new RecordedLog();
        var observations = Channel.CreateUnbounded<Observation>();
        var policy = new FailoverPolicy { Nodes = [new NodeAddress("a", 1), new NodeAddress("b", 1)] };
        bool isBroken = true;
        List<FailoverAction> wanted = [];
        var coordinator = new Coordinator(
            policy, Executor(policy, observations, clock), observations, clock, new Transitions(log, "m1"))
        {
            Rules = DecisionRules.Own with
            {
                Decide = (view, by, now)
                    => isBroken ? throw new InvalidOperationException($"no master, {now.Ticks}") : FailoverDecider.Decide(view, by, now),
            },
            Turned = (_, after) => wanted.AddRange(after.Running),
        };

        observations.Writer.TryWrite(new LeadershipGained(clock.Now, 1));
        foreach (NodeAddress node in policy.Nodes)
        {
            observations.Writer.TryWrite(new NodeFailed(clock.Now, node, ProbeFailure.Refused, "connection refused"));
            coordinator.Turn();
        }

        Assert.That(coordinator.View.Nodes.Values.Select(n => n.Detail), Is.All.EqualTo("connection refused"));
        for (int i = 0; i < 40; i++)
        {
            // Its own alarm brings the next attempt.
            time.Advance(policy.RetryDelay + TimeSpan.FromMilliseconds(1));
            Assert.That(observations.Reader.TryPeek(out _), Is.True);
            coordinator.Turn();
        }

        Assert.That(log.Entries.Count(e => e.Text.Contains("a defect", StringComparison.Ordinal)), Is.EqualTo(1));
        Assert.That(wanted.OfType<Resign>(), Is.Not.Empty);
        isBroken = false;
        time.Advance(policy.RetryDelay + TimeSpan.FromMilliseconds(1));
        Assert.That(coordinator.Turn, Throws.Nothing);
    }

    [Test]
    public void A_master_that_is_not_configured_is_watched_until_it_is_replaced_by_those_who_do_not_lead_too()
    {
        var clock = new MonotonicClock(new ManualTime());
        var observations = Channel.CreateUnbounded<Observation>();
        (NodeAddress a, NodeAddress b, NodeAddress c) = (new("a", 1), new("b", 1), new("c", 1));
        var policy = new FailoverPolicy { Nodes = [b, c] };
        IReadOnlyCollection<NodeAddress> watched = policy.Nodes;
        var coordinator = new Coordinator(
            policy, Executor(policy, observations, clock), observations, clock, new Transitions(NullLogger.Instance, "m2"))
        {
            PolicyChanged = (_, nodes) => watched = nodes,
        };

        var outside = new Topology { Master = a, Replicas = [b, c], Epoch = 1, State = TopologyState.Ok, Members = [a, b, c] };
        Read(outside);
        Assert.That(watched, Is.EquivalentTo(new[] { a, b, c }));

        Read(outside with
        {
            Master = null, Unavailable = [a], Epoch = 2, State = TopologyState.FailingOver, Intent = new FailoverIntent(a, null),
        });
        Assert.That(watched, Is.EquivalentTo(new[] { a, b, c }), "it may be back before anybody is promoted");

        Read(outside with { Master = b, Replicas = [c], Epoch = 2 });
        Assert.That(watched, Is.EquivalentTo(new[] { b, c }));
        Assert.That(coordinator.View.Nodes.Keys, Is.EquivalentTo(new[] { b, c }));

        void Read(Topology topology)
        {
            observations.Writer.TryWrite(new TopologyRead(clock.Now, (int)topology.Epoch, topology, null, topology.Epoch, Synced: false));
            observations.Writer.TryWrite(new NodeFailed(clock.Now, a, ProbeFailure.Refused, "connection refused"));
            coordinator.Turn();
        }
    }

    [Test]
    public void A_name_that_leads_to_another_nodes_server_is_looked_up_again_every_five_seconds_until_it_is_right()
    {
        var time = new ManualTime();
        var clock = new MonotonicClock(time);
        var observations = Channel.CreateUnbounded<Observation>();
        (NodeAddress a, NodeAddress b) = (new("a", 1), new("b", 1));
        var policy = new FailoverPolicy { Nodes = [a, b] };
        List<NodeAddress> doubted = [];
        var coordinator = new Coordinator(
            policy, Executor(policy, observations, clock), observations, clock, new Transitions(NullLogger.Instance, "m1"))
        {
            Doubted = doubted.Add,
        };
        Answers(b, "2");
        Answers(a, "1");
        Assert.That(doubted, Is.Empty);

        Answers(a, "2");
        Answers(b, "2");
        Assert.That(doubted, Is.EqualTo(new[] { a }));
        time.Advance(TimeSpan.FromSeconds(5));
        Answers(a, "2");
        Assert.That(doubted, Is.EqualTo(new[] { a, a }));

        Answers(a, "1");
        time.Advance(TimeSpan.FromSeconds(5));
        Answers(b, "2");
        Assert.That(doubted, Has.Count.EqualTo(2));

        void Answers(NodeAddress node, string run)
        {
            time.Advance(TimeSpan.FromMilliseconds(1));
            var info = new NodeInfo { Role = NodeRole.Master, RunId = run };
            observations.Writer.TryWrite(new NodeAnswered(clock.Now, clock.Now, node, info, TimeSpan.Zero));
            coordinator.Turn();
        }
    }

    [Test]
    public async Task What_was_decided_in_one_term_is_not_done_in_the_next()
    {
        await using var zooKeeper =
            new ZooKeeperClient(new ZooKeeperOptions { Connection = ZooKeeperConnectionString.Parse("127.0.0.1:1") });
        var next = new Leadership(zooKeeper, null!,
                new LeaderElectionOptions { LeaderPath = "/l", TermPath = "/t", CandidateId = "c", LeaderData = () => default }, term: 2);
        var clock = new MonotonicClock(TimeProvider.System);
        var observations = Channel.CreateUnbounded<Observation>();
        var policy = new FailoverPolicy { Nodes = [new NodeAddress("a", 1)] };
        ActionExecutor executor = Executor(policy, observations, clock);
        var coordinator =
            new Coordinator(policy, executor, observations, clock, new Transitions(NullLogger.Instance, "m1")) { Leadership = next };
        using var stop = new CancellationTokenSource();
        Task running = coordinator.RunAsync(stop.Token);

        // Leadership was lost and won again, and only the first is known to the view.
        observations.Writer.TryWrite(new LeadershipGained(clock.Now, 1));
        await Waiting.Until(() => coordinator.View.Failed.ContainsKey(new ReadTopology()));
        Assert.That(coordinator.View.Failed[new ReadTopology()].Why, Is.EqualTo("leadership was lost"));

        await stop.CancelAsync();
        await running.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
    }

    [Test]
    public async Task A_leader_whose_lease_has_run_out_begins_nothing_and_says_nothing_of_it()
    {
        var time = new ManualTime();
        await using var zooKeeper =
            new ZooKeeperClient(new ZooKeeperOptions { Connection = ZooKeeperConnectionString.Parse("127.0.0.1:1") });
        var lead = new Leadership(zooKeeper, null!,
                new LeaderElectionOptions { LeaderPath = "/l", TermPath = "/t", CandidateId = "c", LeaderData = () => default }, term: 1);
        var clock = new MonotonicClock(time);
        var log = new RecordedLog();
        var transitions = new Transitions(log, "m1");
        var observations = Channel.CreateUnbounded<Observation>();
        NodeAddress a = new("a", 1), b = new("b", 1);
        var policy = new FailoverPolicy { Nodes = [a, b] };
        ActionExecutor executor = Executor(policy, observations, clock, log);
        var coordinator = new Coordinator(policy, executor, observations, clock, transitions) { Leadership = lead };
        using var stop = new CancellationTokenSource();
        Task running = Task.WhenAll(coordinator.RunAsync(stop.Token), transitions.RunAsync(stop.Token));

        // It was frozen, and finds that nothing listens any more where the master was.
        observations.Writer.TryWrite(new LeadershipGained(clock.Now, 1));
        var known = new Topology { Master = a, Replicas = [b], State = TopologyState.Ok, Epoch = 4, ChangedBy = "m1" };
        observations.Writer.TryWrite(new TopologyRead(clock.Now, 7, known, null, 0, Synced: true));
        for (int i = 0; i < 3; i++)
        {
            observations.Writer.TryWrite(new NodeFailed(clock.Now, a, ProbeFailure.Refused, "connection refused"));
        }

        await Waiting.Until(()
            => coordinator.View.Node(a).Condition == NodeCondition.Unavailable
                && log.Entries.Any(e => e.Text.Contains("is unavailable", StringComparison.Ordinal)));
        await Waiting.Until(() => time.PendingTimers == 1);
        Assert.That(coordinator.View.Running, Is.Empty);
        Assert.That(log.Entries.Select(e => e.Text),
            Has.None.Contains("MASTER LOST").And.None.Contains("decided").And.None.Contains("failed"));

        await stop.CancelAsync();
        await running.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
    }

    [Test]
    public async Task At_rest_figures_alone_are_looked_at_every_other_second_and_all_else_at_once()
    {
        var time = new ManualTime();
        var clock = new MonotonicClock(time);
        var observations = Channel.CreateUnbounded<Observation>();
        NodeAddress a = new("a", 1);
        var policy = new FailoverPolicy { Nodes = [a] };
        ActionExecutor executor = Executor(policy, observations, clock);
        var coordinator = new Coordinator(policy, executor, observations, clock, new Transitions(NullLogger.Instance, "m1"));
        using var stop = new CancellationTokenSource();
        Task running = coordinator.RunAsync(stop.Token);
        var known = new Topology { Master = a, State = TopologyState.Ok, Epoch = 4, ChangedBy = "m2" };
        observations.Writer.TryWrite(new TopologyRead(clock.Now, 7, known, null, 0, Synced: false));
        await Waiting.Until(() => coordinator.Turns == 1);
        long turns = 0;

        await SaysAsync(new NodeInfo { Role = NodeRole.Master, RunId = "x", Offset = 1, Keys = 1 }, isLookedAt: true);
        await SaysAsync(new NodeInfo { Role = NodeRole.Master, RunId = "x", Offset = 2, Keys = 2 }, isLookedAt: false);
        await SaysAsync(new NodeInfo { Role = NodeRole.Master, RunId = "x", Offset = 3, Keys = 0 }, isLookedAt: true);
        await SaysAsync(new NodeInfo { Role = NodeRole.Master, RunId = "x", Offset = 4, SaveFailed = true }, isLookedAt: true);
        await SaysAsync(new NodeInfo { Role = NodeRole.Master, RunId = "x", Offset = 5, SaveFailed = true }, isLookedAt: false);
        time.Advance(TimeSpan.FromSeconds(2));
        await SaysAsync(new NodeInfo { Role = NodeRole.Master, RunId = "x", Offset = 6, SaveFailed = true }, isLookedAt: true);

        await stop.CancelAsync();
        await running.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);

        async Task SaysAsync(NodeInfo info, bool isLookedAt)
        {
            turns = coordinator.Turns;
            observations.Writer.TryWrite(new NodeAnswered(clock.Now, clock.Now, a, info, TimeSpan.Zero));
            await Waiting.Until(() => coordinator.View.Node(a).Info?.Offset == info.Offset
                && (!isLookedAt || coordinator.Turns > turns), () => $"{coordinator.Turns} turns, {turns} before");
            Assert.That(coordinator.Turns - turns, Is.EqualTo(isLookedAt ? 1 : 0), $"offset {info.Offset}");
        }
    }

    [Test]
    public async Task What_needs_an_operator_is_told_to_the_others_once_it_lasts()
    {
        var time = new ManualTime();
        var clock = new MonotonicClock(time);
        var observations = Channel.CreateUnbounded<Observation>();
        NodeAddress a = new("a", 1), b = new("b", 1);
        var policy = new FailoverPolicy { Nodes = [a, b], RequiredMonitors = 2 };
        ActionExecutor executor = Executor(policy, observations, clock);
        var coordinator = new Coordinator(policy, executor, observations, clock, new Transitions(NullLogger.Instance, "m1"));
        var reports = new ConcurrentQueue<MonitorReport>();
        coordinator.ReportChanged += (report, _) => reports.Enqueue(report);
        using var stop = new CancellationTokenSource();

        var known = new Topology { Master = a, Replicas = [b], State = TopologyState.Ok, Epoch = 4, ChangedBy = "m1" };
        observations.Writer.TryWrite(new LeadershipGained(clock.Now, 1));
        observations.Writer.TryWrite(new TopologyRead(clock.Now, 7, known, null, 0, Synced: true));
        Task running = coordinator.RunAsync(stop.Token);
        await Waiting.Until(() => coordinator.View.TopologyKnown);
        time.Advance(TimeSpan.FromMilliseconds(600));
        observations.Writer.TryWrite(new NodeFailed(clock.Now, b, ProbeFailure.Refused, "connection refused"));
        await Waiting.Until(() => coordinator.View.Node(b).Failures == 1);
        Assert.That(reports.Select(r => r.Attention), Is.All.Null);
        time.Advance(TimeSpan.FromMilliseconds(600));
        observations.Writer.TryWrite(new NodeFailed(clock.Now, b, ProbeFailure.Refused, "connection refused"));
        await Waiting.Until(() => reports.Any(r => r.Attention is not null));
        Assert.That(MonitorReport.Parse(reports.Last().Write()).Attention, Does.Contain("1 monitor is here, 2 are required"));

        await stop.CancelAsync();
        await running.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
    }

    private static ActionExecutor Executor(
        FailoverPolicy policy, Channel<Observation> observations, MonotonicClock clock, ILogger? log = null)
    {
        log ??= NullLogger.Instance;
        return new ActionExecutor(
            new NodeCommands(_ => null, clock), null!, null!, new ElectionBackoff(policy, clock, log), observations.Writer, clock, log);
    }

    /// <summary>Stands still; an alarm goes off when the test says so, as a real one may a moment before its time.</summary>
    private sealed class HastyTime : TimeProvider
    {
        internal ConcurrentQueue<Alarm> Alarms { get; } = new();

        public override long GetTimestamp() => 0;

        public override ITimer CreateTimer(TimerCallback callback, object? state, TimeSpan dueTime, TimeSpan period)
        {
            var alarm = new Alarm(callback, state);
            Alarms.Enqueue(alarm);
            return alarm;
        }

        internal sealed class Alarm(TimerCallback callback, object? state) : ITimer
        {
            internal void Fire() => callback(state);

            public bool Change(TimeSpan dueTime, TimeSpan period) => true;

            public void Dispose()
            {
                // Nothing is under way.
            }

            public ValueTask DisposeAsync() => ValueTask.CompletedTask;
        }
    }
}
