using System.Collections.Concurrent;
using System.Threading.Channels;
using NUnit.Framework;
using RedisFailover.Monitor.Hosting;
using RedisFailover.Monitor.Redis;
using RedisFailover.UnitTests.ZooKeeper;

namespace RedisFailover.UnitTests.Monitor;

/// <summary>The commands of one leader to one node are carried out in the order in which they were decided.</summary>
[TestFixture]
[FixtureLifeCycle(LifeCycle.InstancePerTestCase)]
[Parallelizable(ParallelScope.All)]
public sealed class NodeCommandsTests : IDisposable
{
    private readonly ConcurrentQueue<string> _changes = new();
    private readonly TaskCompletionSource _asked = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly ManualResetEventSlim _answers = new();
    private volatile int _named;
    private volatile string? _unpaused;
    private volatile string? _refusal;
    private volatile int _unread;
    private volatile string _role = "role:slave\r\nmaster_host:10.0.0.9\r\nmaster_port:6379\r\n";

    public void Dispose() => _answers.Dispose();

    [Test]
    public async Task A_detach_that_waits_is_not_sent_once_a_promotion_is_decided()
    {
        await using FakeNode node = Node();
        await using NodeProber prober = await WatchAsync(node);
        NodeCommands commands = Commands(prober);

        // Before the first command former leaders are cut off: the node takes its time over that.
        Task<ActionFinished> detach = commands.RunAsync(new Detach(node.Address), 1, () => true, default);
        await _asked.Task.WithinDeadline();
        Task<ActionFinished> promote = commands.RunAsync(new Promote(node.Address), 1, () => true, default);
        _answers.Set();

        Assert.That((await promote.WithinDeadline()).Failure, Is.Null);
        Assert.That((await detach.WithinDeadline()).Failure, Is.EqualTo(NodeCommands.Superseded));
        Assert.That(_changes, Is.EqualTo(new[] { "REPLICAOF NO ONE", "CLIENT UNPAUSE" }));
    }

    [Test]
    public async Task A_replica_that_was_held_up_is_detached_once_it_has_read_what_came_over_its_link()
    {
        _answers.Set();
        _unread = 5;
        _role += "master_link_status:up\r\n";
        await using FakeNode node = Node();
        await using NodeProber prober = await WatchAsync(node);

        ActionFinished detach = await Commands(prober).RunAsync(new Detach(node.Address), 1, () => true, default).WithinDeadline();

        Assert.That(detach.Failure, Is.Null);
        Assert.That(_changes, Is.EqualTo(new[] { "REPLICAOF 127.0.0.1 1" }));
    }

    [Test]
    public async Task What_waits_for_the_same_is_sent_in_the_order_in_which_it_was_decided()
    {
        await using FakeNode node = Node();
        await using NodeProber prober = await WatchAsync(node);
        NodeCommands commands = Commands(prober);
        FailoverAction[] decided =
        [
            new SetMinReplicas(node.Address, new MinReplicas(1, 10)), new Promote(node.Address),
            new PauseWrites(node.Address, TimeSpan.FromSeconds(1)), new ResumeWrites(node.Address),
        ];

        Task<ActionFinished>[] running = [.. decided.Select(action => commands.RunAsync(action, 1, () => true, default))];
        _answers.Set();
        await Task.WhenAll(running).WithinDeadline();
        Assert.That(_changes, Is.EqualTo(new[]
        {
            "CONFIG SET min-slaves-to-write 1", "CONFIG SET min-slaves-max-lag 10", "REPLICAOF NO ONE",
            "CLIENT UNPAUSE", "CLIENT PAUSE 1000 WRITE",
            "CLIENT UNPAUSE",
        }));
    }

    [Test]
    public async Task Clients_are_not_cut_off_by_a_demotion_that_a_promotion_has_followed()
    {
        await using FakeNode node = Node();
        await using NodeProber prober = await WatchAsync(node);
        NodeCommands commands = Commands(prober);
        var master = new NodeAddress("10.0.0.9", 6379);

        _answers.Set();
        await commands.RunAsync(new Inspect(node.Address), 1, () => true, default).WithinDeadline();
        var demotion = new Demote(node.Address, master, CutsClients: true);
        Task<ActionFinished> demote = commands.RunAsync(demotion, 1, () => true, default);
        Task<ActionFinished> promote = commands.RunAsync(new Promote(node.Address), 1, () => true, default);
        await Task.WhenAll(demote, promote).WithinDeadline();
        await commands.RunAsync(new Inspect(node.Address), 1, () => true, default).WithinDeadline();
        Assert.That(_changes, Has.None.Contains("KILL"));
    }

    [Test]
    public async Task Who_waits_for_former_leaders_to_be_cut_off_goes_on_waiting_where_whoever_began_that_is_stopped()
    {
        await using FakeNode node = Node();
        await using NodeProber prober = await WatchAsync(node);
        using var stopped = new CancellationTokenSource();
        Task beginner = prober.EndFormerLeaders(1, stopped.Token)!;
        Task other = prober.EndFormerLeaders(1, default)!;
        await _asked.Task.WithinDeadline();

        await stopped.CancelAsync();
        Assert.That(async () => await beginner.WithinDeadline(), Throws.InstanceOf<OperationCanceledException>());
        _answers.Set();
        await other.WithinDeadline();
        Assert.That(prober.EndFormerLeaders(1, default), Is.Null);
    }

    [TestCase(false)]
    [TestCase(true)]
    public async Task A_master_that_refuses_to_become_a_replica_goes_on_holding_and_refusing_writes(bool endsFailover)
    {
        _answers.Set();
        _role = "role:master\r\n";
        _refusal = "-NOPERM this user has no permissions\r\n";
        await using FakeNode node = Node();
        await using NodeProber prober = await WatchAsync(node);
        var demotion = new Demote(node.Address, new NodeAddress("10.0.0.9", 6379), CutsClients: true)
        {
            MinReplicas = 0, EndsFailover = endsFailover,
        };

        ActionFinished refused = await Commands(prober).RunAsync(demotion, 1, () => true, default).WithinDeadline();
        Assert.That((refused.Failure, refused.Refused), Is.EqualTo(("NOPERM this user has no permissions", true)));
        Assert.That(_changes, Is.EqualTo(endsFailover ? new[] { "FAILOVER ABORT" } : []));

        _refusal = null;
        ActionFinished done = await Commands(prober).RunAsync(demotion, 1, () => true, default).WithinDeadline();
        Assert.That((done.Failure, done.Info?.MinReplicas?.Count), Is.EqualTo(((string?)null, 0)));
        Assert.That(string.Join("; ", _changes),
            Does.Contain("REPLICAOF 10.0.0.9 6379; CLIENT UNPAUSE; CONFIG SET min-slaves-to-write 0"));
    }

    [TestCase("-NOPERM this user has no permissions\r\n", "NOPERM this user has no permissions")]
    [TestCase("-ERR Unknown subcommand or wrong number of arguments for 'UNPAUSE'.\r\n", null)]
    public async Task Writes_go_on_unless_the_node_refuses_and_before_Redis_6_2_by_themselves(string answer, string? failure)
    {
        _unpaused = answer;
        _answers.Set();
        await using FakeNode node = Node();
        await using NodeProber prober = await WatchAsync(node);

        ActionFinished finished = await Commands(prober).RunAsync(new ResumeWrites(node.Address), 1, () => true, default).WithinDeadline();
        Assert.That(finished.Failure, Is.EqualTo(failure));
    }

    [Test]
    public async Task A_command_whose_connection_ended_after_the_lease_was_looked_at_is_not_sent_on_the_next_one()
    {
        _answers.Set();
        await using FakeNode node = Node();
        await using NodeProber prober = await WatchAsync(node);
        int looks = 0;

        Assert.That(
            async () => await Commands(prober).RunAsync(new Promote(node.Address), 1, MayAct, default).WithinDeadline(),
            Throws.InstanceOf<IOException>());
        Assert.That(looks, Is.EqualTo(3));
        Assert.That(_changes, Is.Empty);

        // As a leader that freezes just after its last look: its successor ends the connection, and as it wakes there is a new one.
        bool MayAct()
        {
            if (++looks == 3)
            {
                int named = _named;
                node.CloseConnections();
                Assert.That(SpinWait.SpinUntil(() => _named > named, TimeSpan.FromSeconds(30)));
            }

            return true;
        }
    }

    private static NodeCommands Commands(NodeProber prober) => new(_ => prober, new MonotonicClock(TimeProvider.System));

    private static async Task<NodeProber> WatchAsync(FakeNode node)
    {
        var observations = Channel.CreateUnbounded<Observation>();
        var policy = new FailoverPolicy { Nodes = [node.Address], ProbeTimeout = TimeSpan.FromSeconds(60) };
        var clock = new MonotonicClock(TimeProvider.System);
        var prober = new NodeProber(
            node.Address, new RedisCredentials(null, null), policy, new NodeNames(policy.Nodes, clock.Provider), observations.Writer,
                clock);
        await observations.Reader.WaitToReadAsync().AsTask().WithinDeadline();
        return prober;
    }

    private FakeNode Node() => new(command =>
    {
        switch (command)
        {
            case [.., "none"] or [.., "redis-failover-none", _]:
                return "-ERR that does nothing\r\n";
            case ["CLIENT", "SETNAME", var name] when name.StartsWith("redis-failover-leader:", StringComparison.Ordinal):
                _asked.TrySetResult();
                _answers.Wait(TimeSpan.FromSeconds(30));
                return "+OK\r\n";
            case ["CLIENT", "LIST"]:
                return FakeNode.Bulk("id=1 name=somebody\n");
            case ["INFO", ..]:
                // With each turn of its loop it reads a part.
                _unread = Math.Max(0, _unread - 1);
                return FakeNode.Bulk(
                    $"run_id:x\r\nconnected_clients:1\r\nredis_version:7.0.15\r\n{_role}slave_repl_offset:{100 - _unread}\r\n");
            case ["REPLICAOF", .., var role] when _unread > 0:
                _changes.Enqueue($"what it has not read is lost by REPLICAOF {role}");
                return "+OK\r\n";
            case ["REPLICAOF", ..] when _refusal is { } refusal:
                return refusal;
            case ["REPLICAOF", var host, var port]:
                _role = port == "ONE" ? "role:master\r\n" : $"role:slave\r\nmaster_host:{host}\r\nmaster_port:{port}\r\n";
                break;
            case ["CONFIG", "GET", ..]:
                return "*0\r\n";
            case ["CLIENT", "SETNAME", ..]:
                _named++;
                return "+OK\r\n";
            case ["PING"] or ["CONFIG", "REWRITE"]:
                return "+OK\r\n";
            case ["DISCARD"]:
                return "-NOPERM not allowed\r\n";
            case ["CLIENT", "UNPAUSE"] when _unpaused is { } answer:
                return answer;
        }

        _changes.Enqueue(string.Join(' ', command));
        return "+OK\r\n";
    });
}
