using System.Diagnostics;
using Microsoft.Extensions.Logging.Abstractions;
using NUnit.Framework;
using RedisFailover.Client;
using StackExchange.Redis;

namespace RedisFailover.UnitTests.Client;

/// <summary>A node's link outlives what nobody foresaw.</summary>
[TestFixture]
public sealed class NodeLinkTests
{
    private static readonly TimeSpan s_limit = TimeSpan.FromSeconds(30);

    [TestCase("ConfigureNode")]
    [TestCase("PreferNode")]
    [TestCase("nothing")]
    public async Task A_disposed_multiplexer_a_logger_that_throws_and_a_callback_that_throws_once_do_not_end_it(string throws)
    {
        await using var master = new WarmupNode(isMaster: true);
        int configured = 0;
        int preferred = 0;
        var options = new FailoverOptions
        {
            ConfigureNode = _ => Throw(throws == "ConfigureNode" && ++configured == 2),
            PreferNode = _ => Throw(throws == "PreferNode" && ++preferred == 2),
        };
        await using var nodes = new NodeSet(options, new ToleratedLogger(new ThrowingLoggers()));
        nodes.Apply(new Topology { Epoch = 1, Master = master.Address, State = TopologyState.Ok });
        await nodes.FirstAttempts().WaitAsync(s_limit);
        LiveNode first = await MasterAsync(nodes, null);
        first.Multiplexer.Dispose();
        LiveNode second = await MasterAsync(nodes, first);
        Assert.That(second.Address, Is.EqualTo(master.Address));
        Assert.That(configured + preferred, throws == "nothing" ? Is.Zero : Is.GreaterThanOrEqualTo(3));
    }

    [Test]
    public async Task Whoever_connects_is_told_what_the_first_attempt_threw()
    {
        await using var master = new WarmupNode(isMaster: true);
        await using var nodes = new NodeSet(new FailoverOptions { ConfigureNode = _ => Throw(true) }, NullLogger.Instance);
        nodes.Apply(new Topology { Epoch = 1, Master = master.Address, State = TopologyState.Ok });
        Assert.That(async () => await nodes.FirstAttempts().WaitAsync(s_limit), Throws.InvalidOperationException);
        Assert.That(nodes.States()[0].Failure, Is.EqualTo("mistake"));
    }

    [Test]
    public async Task A_replica_that_is_named_twice_is_asked_once_how_far_it_is_behind()
    {
        await using var master = new WarmupNode(isMaster: true);
        await using var replica = new WarmupNode(isMaster: false);
        var nodes = new NodeSet(new FailoverOptions { MaxReplicaLag = TimeSpan.FromMilliseconds(40) }, NullLogger.Instance);
        nodes.Apply(
            new Topology { Epoch = 1, Master = master.Address, Replicas = [replica.Address, replica.Address], State = TopologyState.Ok });
        await nodes.FirstAttempts().WaitAsync(s_limit);
        Assert.That(nodes.Current.Replicas, Has.Length.EqualTo(1));
        await Task.Delay(100);
        await nodes.DisposeAsync();
    }

    [TestCase(false)]
    [TestCase(true)]
    public async Task A_node_that_sends_is_not_silent_however_long_its_reply(bool checksums)
    {
        string value = new('x', 40_000);
        await using var redis = new ScriptedRedis(command => command[0] == "GET" ? ScriptedRedis.Bulk(value) : null)
        {
            Pace = TimeSpan.FromMilliseconds(50),
        };
        var options = new FailoverOptions
        {
            OperationTimeout = TimeSpan.FromSeconds(1), ConfigureNode = node => node.HighIntegrity = checksums,
        };
        await using var nodes = new NodeSet(options, NullLogger.Instance);
        nodes.Apply(new Topology { Epoch = 1, Master = redis.Address, State = TopologyState.Ok });
        LiveNode master = await MasterAsync(nodes, null);
        IDatabase database = new FailoverDatabase(nodes, -1, null);
        Assert.That((string?)await database.StringGetAsync("key").WaitAsync(s_limit), Is.EqualTo(value));
        Assert.That(nodes.Current.Master, Is.SameAs(master));
        Assert.That(redis.Seen.Count(command => command == "GET"), Is.EqualTo(1), "it was not asked again");
    }

    [Test]
    public async Task A_node_that_answers_is_not_silent_however_many_calls_wait()
    {
        await using var redis = new ScriptedRedis(async command =>
        {
            if (command[0] == "SADD")
            {
                await Task.Delay(25);
            }

            return null;
        });
        await using var nodes = new NodeSet(new FailoverOptions { OperationTimeout = TimeSpan.FromMilliseconds(400) }, NullLogger.Instance);
        nodes.Apply(new Topology { Epoch = 1, Master = redis.Address, State = TopologyState.Ok });
        LiveNode master = await MasterAsync(nodes, null);
        IDatabase database = new FailoverDatabase(nodes, -1, null);
        Task<bool>[] calls = [.. Enumerable.Range(0, 60).Select(number => database.SetAddAsync("set", number))];
        Assert.That(await Task.WhenAll(calls).WaitAsync(s_limit), Has.All.True);
        Assert.That(nodes.Current.Master, Is.SameAs(master));
    }

    [Test]
    public async Task A_node_that_answers_nothing_any_more_is_given_up_calls_or_none()
    {
        bool silent = false;
        await using var redis = new ScriptedRedis(_ => silent ? ScriptedRedis.NoAnswer : null);
        await using var nodes =
            new NodeSet(new FailoverOptions { OperationTimeout = TimeSpan.FromSeconds(1), WriteWait = TimeSpan.Zero }, NullLogger.Instance);
        nodes.Apply(new Topology { Epoch = 1, Master = redis.Address, State = TopologyState.Ok });
        await MasterAsync(nodes, null);
        silent = true;
        long start = Stopwatch.GetTimestamp();
        Task<bool> call = ((IDatabase)new FailoverDatabase(nodes, -1, null)).SetAddAsync("set", 1);
        Assert.That(async () => await call.WaitAsync(s_limit), Throws.TypeOf<MayHaveBeenAppliedException>());
        TestContext.Out.WriteLine($"given up after {Stopwatch.GetElapsedTime(start).TotalMilliseconds:0} ms");
        Assert.That(Stopwatch.GetElapsedTime(start), Is.GreaterThan(TimeSpan.FromMilliseconds(850)));
    }

    private static async Task<LiveNode> MasterAsync(NodeSet nodes, LiveNode? former)
    {
        using var limit = new CancellationTokenSource(s_limit);
        while (true)
        {
            Snapshot current = nodes.Current;
            if (current.Master is { } master && master != former)
            {
                return master;
            }

            await current.Superseded.WaitAsync(limit.Token);
        }
    }

    private static bool Throw(bool mistaken) => mistaken ? throw new InvalidOperationException("mistake") : true;
}
