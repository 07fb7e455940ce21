using System.Collections.Concurrent;
using NUnit.Framework;
using RedisFailover.Monitor.Hosting;
using RedisFailover.Monitor.Redis;
using RedisFailover.Shared;
using RedisFailover.UnitTests.ZooKeeper;

namespace RedisFailover.UnitTests.Monitor;

/// <summary>What INFO leaves out, as it is known of a node.</summary>
[TestFixture]
[FixtureLifeCycle(LifeCycle.InstancePerTestCase)]
public sealed class NodeInfoReaderTests
{
    private const string Log = "*1\r\n*8\r\n$6\r\nreason\r\n$4\r\nauth\r\n$8\r\nusername\r\n$4\r\nrepl\r\n$11\r\nage-seconds\r\n$1\r\n1\r\n"
        + "$11\r\nclient-info\r\n$20\r\nid=7 addr=10.0.0.5:1\r\n";

    private readonly ConcurrentQueue<string> _asked = new();
    private volatile string? _refusal;

    [Test]
    public async Task What_a_busy_node_cannot_tell_stays_as_it_was_known_and_is_asked_for_again()
    {
        await using FakeNode node = Node();
        NodeInfoReader reader = Reader(node);
        await using RedisConnection connection = await ConnectAsync(node);
        await SaysAsync(reader);
        await reader.LearnSettingsAsync(connection).WithinDeadline();

        _refusal = "-BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.\r\n";
        await reader.LearnSettingsAsync(connection).WithinDeadline();
        await reader.LearnBesideInfoAsync(connection).WithinDeadline();
        NodeInfo busy = await SaysAsync(reader);
        Assert.That((busy.SavePoints, busy.StopsWritesOnSaveError, busy.Databases, busy.SnapshotFile, busy.MinReplicas),
            Is.EqualTo(("3600 1", true, (int?)16, "/data/dump.rdb", new MinReplicas(1, 10))));

        _refusal = null;
        await reader.LearnBesideInfoAsync(connection).WithinDeadline();
        Assert.That((await SaysAsync(reader)).Refusals, Is.EqualTo(new[] { new AccessRefusal("repl", null, "10.0.0.5") }));
    }

    [Test]
    public async Task What_may_not_be_asked_is_not_asked_again()
    {
        await using FakeNode node = Node();
        NodeInfoReader reader = Reader(node);
        await using RedisConnection connection = await ConnectAsync(node);
        await SaysAsync(reader);

        _refusal = "-NOPERM this user has no permissions\r\n";
        await reader.LearnBesideInfoAsync(connection).WithinDeadline();
        await reader.LearnBesideInfoAsync(connection).WithinDeadline();
        Assert.That(_asked.Count(c => c == "ACL LOG 20"), Is.EqualTo(1));
    }

    [Test]
    public async Task A_file_is_written_again_by_the_process_that_could_not_and_by_no_other_at_its_address()
    {
        await using FakeNode node = Node();
        NodeInfoReader reader = Reader(node);
        await using RedisConnection connection = await ConnectAsync(node);
        await SaysAsync(reader);
        reader.LearnedRewrite(RespValue.Error("ERR Rewriting config file: Read-only file system"));
        Assert.That((await SaysAsync(reader)).RoleNotKept, Is.Not.Null);

        Assert.That((await SaysAsync(reader, "y")).RoleNotKept, Is.Null);
        await reader.RewriteAgainAsync(connection).WithinDeadline();
        Assert.That(_asked, Has.None.EqualTo("CONFIG REWRITE"));

        reader.LearnedRewrite(RespValue.Error("ERR Rewriting config file: Read-only file system"));
        await reader.RewriteAgainAsync(connection).WithinDeadline();
        Assert.That(_asked, Has.One.EqualTo("CONFIG REWRITE"));
    }

    private static NodeInfoReader Reader(FakeNode node)
    {
        var policy = new FailoverPolicy { Nodes = [node.Address, new NodeAddress("10.0.0.5", 6379)] };
        var clock = new MonotonicClock(TimeProvider.System);
        return new NodeInfoReader(policy, new NodeNames(policy.Nodes, clock.Provider), new ClientNames("/r", "m1", "c"),
            new ClientList(TimeSpan.FromSeconds(30), clock));
    }

    private static async Task<NodeInfo> SaysAsync(NodeInfoReader reader, string run = "x")
        => await reader.ReadAsync(RespValue.String($"run_id:{run}\r\nrole:master\r\nredis_version:7.0.15\r\n"), default);

    private static async Task<RedisConnection> ConnectAsync(FakeNode node)
    {
        TimeProvider time = TimeProvider.System;
        return (await RedisConnection.ConnectAsync(
            node.Address, new TcpDialer(new HostAddresses(time), time), time, TimeSpan.FromSeconds(30), default)).Connection!;
    }

    private FakeNode Node() => new(command =>
    {
        _asked.Enqueue(string.Join(' ', command));
        return _refusal ?? command switch
        {
            ["ACL", "LOG", ..] => Log,
            ["CONFIG", "GET", "min-slaves-*"]
                => "*4\r\n$19\r\nmin-slaves-to-write\r\n$1\r\n1\r\n$18\r\nmin-slaves-max-lag\r\n$2\r\n10\r\n",
            ["CONFIG", "GET", var name] => $"*2\r\n{FakeNode.Bulk(name)}{FakeNode.Bulk(Value(name))}",
            _ => "+OK\r\n",
        };
    });

    private static string Value(string setting) => setting switch
    {
        "save" => "3600 1",
        "databases" => "16",
        "dir" => "/data",
        "dbfilename" => "dump.rdb",
        _ => "yes",
    };
}
