using Microsoft.Extensions.Logging.Abstractions;
using NUnit.Framework;
using RedisFailover.Client;
using RedisFailover.UnitTests.ZooKeeper;
using StackExchange.Redis;
using Waiting = RedisFailover.UnitTests.ZooKeeper.Waiting;

namespace RedisFailover.UnitTests.Client;

/// <summary>Which commands Execute takes on a connection that all callers share.</summary>
[TestFixture]
public sealed class SharedConnectionTests
{
    [TestCase("MULTI", "CreateTransaction")]
    [TestCase("exec", "CreateTransaction")]
    [TestCase("DISCARD", "CreateTransaction")]
    [TestCase("WATCH key", "AddCondition")]
    [TestCase("SELECT 1", "GetDatabase")]
    [TestCase("AUTH secret", "FailoverOptions")]
    [TestCase("HELLO 3", "FailoverOptions")]
    [TestCase("client reply OFF", "FireAndForget")]
    [TestCase("SUBSCRIBE c", "GetSubscriber")]
    [TestCase("MONITOR", "a connection of your own")]
    [TestCase("QUIT", "DisposeAsync")]
    [TestCase("REPLICAOF NO ONE", "FailoverAsync")]
    [TestCase("slaveof NO ONE", "FailoverAsync")]
    [TestCase("FAILOVER", "FailoverAsync")]
    public void What_changes_it_is_refused_with_what_to_use_instead(string command, string instead)
    {
        string[] words = command.Split(' ');
        Assert.That(()
            => SharedConnection.Refuse(words[0], words[1..]), Throws.TypeOf<NotSupportedException>().With.Message.Contains(instead));
        Assert.That(()
            => SharedConnection.RefuseChange(words[0], words[1..]),
                Throws.TypeOf<NotSupportedException>().And.Message.Not.Contains("secret"));
    }

    /// <summary>By a server, an administrator's connection too: another master made past the monitors would be a second one.</summary>
    [Test]
    public async Task Nor_does_a_server_take_it()
    {
        await using var redis = new ScriptedRedis();
        await using var nodes =
            new NodeSet(new FailoverOptions { ConfigureNode = node => node.AllowAdmin = true }, NullLogger.Instance);
        nodes.Apply(new Topology { Epoch = 1, Master = redis.Address, State = TopologyState.Ok });
        await Waiting.Until(() => nodes.Current.Master is not null);
        IServer server = new FailoverMultiplexer(nodes).GetServers()[0];
        Assert.Multiple(() =>
        {
            Assert.That(() => server.Execute("REPLICAOF", "NO", "ONE"), Throws.TypeOf<NotSupportedException>());
            Assert.That(() => server.ExecuteAsync("REPLICAOF", "NO", "ONE"), Throws.TypeOf<NotSupportedException>());
            Assert.That(() => server.Execute("SELECT", "1"), Throws.TypeOf<NotSupportedException>());
            Assert.That(() => server.ExecuteAsync(null, "SELECT", ["1"]), Throws.TypeOf<NotSupportedException>());
            Assert.That(() => server.ExecuteAsync("BLPOP", ["list", "1"]), Throws.TypeOf<NotSupportedException>());
            Assert.That(() => server.MakePrimaryAsync(ReplicationChangeOptions.All),
                Throws.TypeOf<NotSupportedException>().With.Message.Contains("FailoverAsync"));
            Assert.That(() => server.ReplicaOfAsync(server.EndPoint), Throws.TypeOf<NotSupportedException>());
        });
        Assert.That(redis.Seen, Has.None.AnyOf("REPLICAOF", "SLAVEOF", "BLPOP"));
        Assert.That((string?)await server.ExecuteAsync("ECHO", "x").WithinDeadline(), Is.EqualTo("x"));
    }

    [TestCase("BLPOP list 1", true)]
    [TestCase("XREAD COUNT 1 BLOCK 0 STREAMS s 0", true)]
    [TestCase("xreadgroup group g c block 0 streams s >", true)]
    [TestCase("XREAD STREAMS block 0", false)]
    [TestCase("XREADGROUP GROUP block block COUNT 1 NOACK STREAMS block >", false)]
    [TestCase("XREADGROUP GROUP streams c BLOCK 0 STREAMS s >", true)]
    [TestCase("CLIENT KILL ID 3", false)]
    [TestCase("CLIENT PAUSE 10", false)]
    [TestCase("GET block", false)]
    public void What_blocks_it_is_refused_outside_a_transaction(string command, bool blocks)
    {
        string[] words = command.Split(' ');
        Assert.That(() => SharedConnection.Refuse(words[0], words[1..]), blocks ? Throws.TypeOf<NotSupportedException>() : Throws.Nothing);
        Assert.That(() => SharedConnection.RefuseChange(words[0], words[1..]), Throws.Nothing);
    }
}
