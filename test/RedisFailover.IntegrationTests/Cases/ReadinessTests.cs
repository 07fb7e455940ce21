using System.Collections.Immutable;
using NUnit.Framework;
using RedisFailover.IntegrationTests.Harness;

namespace RedisFailover.IntegrationTests.Cases;

/// <summary>What check says before is what happens then.</summary>
[TestFixture]
[Parallelizable(ParallelScope.All)]
public sealed class ReadinessTests
{
    /// <summary>What a monitor's user may do; the tests take something away.</summary>
    private static readonly ImmutableArray<string> AllRights = ["reset", "on", ">secret", "~*", "&*", "+@all"];

    [Test]
    public async Task Replicas_that_lack_more_than_is_allowed_are_told_before_and_none_takes_over_then()
    {
        await using Cluster cluster = await Cluster.StartAsync(Told.Calm("--max-lag", "1000000") with { Monitors = 1 });
        await cluster.WaitUntilWholeAsync();
        await cluster.SetDataAsync();
        await cluster.WaitUntilWouldWorkAsync();
        await BreakReplicationAsync(cluster);
        await WriteMegabytesAsync(cluster.Redis[0], 4);

        Word before = await Eventually.HoldsAsync("It says that nobody could", cluster.CheckAsync, word
                => !word.WouldWork, TimeSpan.FromSeconds(15), cluster.Explain);
        Assert.That(before.Reason, Does.Contain("bytes, more than max-lag"), before.Text);
        await cluster.WaitUntilToldAsync("no-candidate");
        cluster.Redis[0].Kill();
        await cluster.WaitUntilToldAsync("no-candidate");
        await Told.StaysAsync(
            "Nobody takes over",
            async () => await cluster.Redis[1].RoleAsync() == "slave" && await cluster.Redis[2].RoleAsync() == "slave",
            TimeSpan.FromSeconds(3),
            cluster.Explain);
    }

    [Test]
    public async Task Replicas_that_have_all_though_their_link_is_down_are_said_to_be_fit_and_one_takes_over()
    {
        await using Cluster cluster = await Cluster.StartAsync(Told.Calm() with { Monitors = 1 });
        NodeAddress master = (await cluster.WaitUntilWholeAsync()).Master!;
        await cluster.SetDataAsync();
        await cluster.WaitUntilWouldWorkAsync();
        await BreakReplicationAsync(cluster);
        await cluster.WaitUntilToldAsync("replication-refused", cluster.Addresses[1]);
        Word before = await cluster.CheckAsync();
        Assert.That(before.WouldWork, Is.True, before.Text);
        cluster.Redis[0].Kill();
        await cluster.WaitForOtherMasterAsync(master);
    }

    [TestCase("-replicaof")]
    [TestCase("-slaveof")]
    public async Task One_of_the_two_names_of_REPLICAOF_is_enough(string denied)
    {
        await using Cluster cluster = await StartWithRightsAsync(denied);
        NodeAddress master = (await cluster.WaitUntilWholeAsync()).Master!;
        await cluster.WaitUntilWouldWorkAsync();
        cluster.Redis[0].Kill();
        await cluster.WaitForOtherMasterAsync(master);
    }

    [TestCase("-replicaof -slaveof", "replicaof", false)]
    [TestCase("-client|pause", "client|pause", true)]
    public async Task Without_a_right_that_it_needs_that_is_told_before_and_a_switchover_is_refused_before_anything_is_announced(
        string denied, string named, bool failoverWorks)
    {
        await using Cluster cluster = await StartWithRightsAsync(denied);
        Problem told = await cluster.WaitUntilToldAsync("rights-missing", cluster.Addresses[1]);
        Assert.That(told.Message, Does.Contain(named));
        Word word = await cluster.CheckAsync();
        Assert.That(word.WouldWork, Is.EqualTo(failoverWorks), word.Text);
        Topology before = await cluster.TopologyAsync();
        CliResult refused = await CliProcess.RunAsync(["switchover", "--zk", cluster.ConnectionString, "--wait", "5"]);
        Assert.That(refused.ExitCode, Is.EqualTo(3), refused.ToString());
        Assert.That(refused.Output + refused.Errors, Does.Contain(named));
        Topology after = await cluster.TopologyAsync();
        Assert.That((after.Master, after.Epoch), Is.EqualTo((before.Master, before.Epoch)), cluster.Explain());
        Assert.That(cluster.Monitors[0].Process.Log.Count(line => line.Contains(" ERR ", StringComparison.Ordinal)), Is.LessThan(5),
            cluster.Explain());
    }

    [TestCase("-client|pause")]
    [TestCase("-config|set")]
    [TestCase("-config|rewrite")]
    [TestCase("-client|kill")]
    public async Task A_right_that_only_something_lesser_needs_is_told_and_a_failover_works(string denied)
    {
        await using Cluster cluster = await StartWithRightsAsync(denied);
        NodeAddress master = (await cluster.WaitUntilWholeAsync()).Master!;
        Problem told = await cluster.WaitUntilToldAsync("rights-missing");
        Assert.That($"{told.Message} {told.Advice}".ToLowerInvariant(),
            Does.Contain(denied[1..].Replace('|', ' ')).Or.Contain(denied[1..]));
        Assert.That((await cluster.CheckAsync()).WouldWork, Is.True);
        cluster.Redis[0].Kill();
        await cluster.WaitForOtherMasterAsync(master);
    }

    [TestCase("-ping")]
    [TestCase("-role")]
    public async Task What_a_failover_can_do_without_is_not_asked_for(string denied)
    {
        await using Cluster cluster = await StartWithRightsAsync(denied);
        NodeAddress master = (await cluster.WaitUntilWholeAsync()).Master!;
        Word word = await cluster.WaitUntilWouldWorkAsync();
        Assert.That(word.Tells("rights-missing", null), Is.False, word.Text);
        cluster.Redis[0].Kill();
        await cluster.WaitForOtherMasterAsync(master);
    }

    [Test]
    public async Task A_node_that_may_no_longer_be_asked_is_told_and_is_no_candidate()
    {
        await using Cluster cluster = await StartWithRightsAsync("-xadd");
        await cluster.WaitUntilWholeAsync();
        await cluster.WaitUntilWouldWorkAsync();
        foreach (RedisServer redis in cluster.Redis.Skip(1))
        {
            await redis.CommandAsync("ACL", "SETUSER", "monitor", "-info");
        }

        Problem told = await cluster.WaitUntilToldAsync("node-not-watched", cluster.Addresses[1]);
        Assert.That(told.Message, Does.Contain("NOPERM"));
        Assert.That((await cluster.CheckAsync()).WouldWork, Is.False);
    }

    [Test]
    public async Task That_the_promoted_node_would_refuse_writes_is_told_before_and_while_it_lasts()
    {
        await using Cluster cluster = await Cluster.StartAsync(
            Told.Calm() with { Monitors = 1, Redis = 2,
                RedisOptions = new RedisServerOptions { ConfLines = ["min-replicas-to-write 1"] } });
        NodeAddress master = (await cluster.WaitUntilWholeAsync()).Master!;
        await cluster.WaitUntilToldAsync("min-replicas-unmet");
        Word before = await cluster.CheckAsync();
        Assert.That(before.Text, Does.Contain("refuse writes").Or.Contain("refuses writes"), before.Text);

        cluster.Redis[0].Kill();
        Topology after = await cluster.WaitForOtherMasterAsync(master);
        Assert.That(await cluster.Node(after.Master!).TakesWritesAsync(), Is.False);
        await cluster.WaitUntilToldAsync("min-replicas-unmet", after.Master);
        await cluster.Redis[0].RestartAsync();
        await cluster.WaitUntilWholeAsync();
        await Eventually.HoldsAsync("It takes writes", _
            => cluster.Node(after.Master!).TakesWritesAsync(), taken => taken, explain: cluster.Explain);
    }

    [Test]
    public async Task A_ZooKeeper_that_takes_seconds_for_a_write_either_allows_a_failover_or_is_told()
    {
        await using ZooKeeperServer server = await ZooKeeperServer.StartAsync();
        await using FaultProxy slow = FaultProxy.Start("127.0.0.1", server.Port);
        await using Cluster cluster = await Cluster.StartAsync(Told.Calm() with { Monitors = 0 });
        string servers = $"127.0.0.1:{slow.Port}";
        for (int i = 0; i < 3; i++)
        {
            await cluster.StartMonitorAsync(options => options with { ZooKeepers = servers });
        }

        string connection = server.ConnectionString + cluster.ZnodePath;
        await Eventually.HoldsAsync("It would work", ct
            => CheckAsync(connection, ct), word => word.WouldWork, TimeSpan.FromSeconds(90), cluster.Explain);
        slow.Set(new LinkState(true, true, TimeSpan.FromMilliseconds(1100)));
        await Task.Delay(TimeSpan.FromSeconds(8));
        Word word = await CheckAsync(connection, default);
        bool told = word.Tells("zookeeper-slow", null) || word.Tells("lease-not-held", null);
        Assert.That(word.WouldWork || told, word.Text);

        cluster.Redis[0].Kill();
        try
        {
            await Eventually.HoldsAsync("A replica is promoted", ct
                => AnyMasterAsync(cluster, ct), promoted => promoted, TimeSpan.FromSeconds(30), cluster.Explain);
        }
        catch (TimeoutException) when (!word.WouldWork)
        {
            // It was told before.
        }
    }

    private static async Task<bool> AnyMasterAsync(Cluster cluster, CancellationToken ct)
        => await cluster.Redis[1].RoleAsync(ct) == "master" || await cluster.Redis[2].RoleAsync(ct) == "master";

    private static async Task<Word> CheckAsync(string connection, CancellationToken ct)
        => Word.Parse(await CliProcess.RunAsync(["check", "--json", "--zk", connection], ct: ct));

    /// <summary>The master refuses its replicas' user from now on.</summary>
    private static async Task BreakReplicationAsync(Cluster cluster)
    {
        await cluster.Redis[0].CommandAsync("ACL", "SETUSER", "replication", "on", ">secret", "+psync", "+replconf", "+ping");
        foreach (RedisServer replica in cluster.Redis.Skip(1))
        {
            await replica.CommandAsync("CONFIG", "SET", "masteruser", "replication", "masterauth", "secret");
        }

        await cluster.Redis[0].CommandAsync("ACL", "SETUSER", "replication", "off");
        await cluster.Redis[0].CommandAsync("CLIENT", "KILL", "TYPE", "replica");
        foreach (RedisServer replica in cluster.Redis.Skip(1))
        {
            await Eventually.HoldsAsync("Its link is down", ct
                => replica.InfoAsync("replication", ct), info => info["master_link_status"] == "down");
        }
    }

    private static async Task WriteMegabytesAsync(RedisServer node, int count)
    {
        await using RedisWire wire = await node.ConnectAsync();
        string megabyte = new('x', 1_000_000);
        for (int i = 0; i < count; i++)
        {
            await wire.CommandAsync(["SET", "big", megabyte]);
        }
    }

    /// <summary>One monitor whose user lacks these on every node.</summary>
    private static async Task<Cluster> StartWithRightsAsync(string denied)
    {
        Needs.Redis("7.0", "ACL rules for subcommands that are taken away");
        Cluster cluster = await Cluster.StartAsync(Told.Calm("--username", "monitor") with { Monitors = 0 });
        foreach (RedisServer redis in cluster.Redis)
        {
            await redis.CommandAsync(["ACL", "SETUSER", "monitor", .. AllRights, .. denied.Split(' ')]);
        }

        await cluster.StartMonitorAsync(options => options with { Password = "secret" });
        return cluster;
    }
}
