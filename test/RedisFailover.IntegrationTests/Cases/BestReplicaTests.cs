using System.Globalization;
using NUnit.Framework;
using RedisFailover.IntegrationTests.Harness;

namespace RedisFailover.IntegrationTests.Cases;

/// <summary>Somebody has all that was acknowledged and is slow to say so: one with less must not be promoted before, and wipe it.</summary>
[TestFixture]
[Parallelizable(ParallelScope.All)]
public sealed class BestReplicaTests
{
    private const string Last = "last";

    /// <param name="stillMillis">
    /// Shorter and longer than the time in which a node is asked to leave its master: the answer of the one that stands still comes late.
    /// </param>
    [TestCase(700)]
    [TestCase(1600)]
    [TestCase(2000)]
    public async Task A_replica_that_stands_still_while_the_master_dies_and_has_everything_is_promoted(int stillMillis)
    {
        await using Cluster cluster = await Cluster.StartAsync(Told.Calm());
        await LetTheSecondLackSomethingAsync(cluster);
        cluster.Redis[2].Freeze();
        cluster.Redis[0].Kill();
        cluster.Redis[1].Thaw();
        await Task.Delay(stillMillis);
        cluster.Redis[2].Thaw();
        await TheThirdIsPromotedAsync(cluster);
    }

    [Test]
    public async Task A_replica_that_a_script_keeps_busy_while_the_master_dies_and_has_everything_is_promoted()
    {
        await using Cluster cluster = await Cluster.StartAsync(Told.Calm());
        await LetTheSecondLackSomethingAsync(cluster);
        await cluster.Redis[2].CommandAsync("CONFIG", "SET", "lua-time-limit", "100");
        await using RedisWire wire = await cluster.Redis[2].ConnectAsync();
        Task script = wire.CommandAsync(
        [
            "EVAL", "local t = redis.call('TIME'); local ends = t[1] * 1000 + t[2] / 1000 + 1500; "
                + "repeat t = redis.call('TIME') until t[1] * 1000 + t[2] / 1000 > ends return 1", "0",
        ]);
        await Task.Delay(200);
        cluster.Redis[0].Kill();
        cluster.Redis[1].Thaw();
        await TheThirdIsPromotedAsync(cluster);
        await script;
    }

    [Test]
    public async Task A_replica_that_followed_neither_of_the_last_two_masters_is_promoted_when_it_is_the_last()
    {
        await using Cluster cluster = await Cluster.StartAsync(Told.Calm() with { Redis = 4 });
        await cluster.WaitUntilWholeAsync();
        await cluster.SetDataAsync();
        await cluster.WaitUntilWouldWorkAsync();
        cluster.Redis[3].Freeze();
        NodeAddress master = cluster.Redis[0].Address;
        for (int i = 0; i < 3; i++)
        {
            cluster.Node(master).Kill();
            if (i == 2)
            {
                cluster.Redis[3].Thaw();
            }

            Topology after = await cluster.WaitForOtherMasterAsync(master, TimeSpan.FromSeconds(40));
            master = after.Master!;
            Assert.That(await cluster.Node(master).TakesWritesAsync(), Is.True, cluster.Explain());
            // A moment for the other replica to follow: the one that stands still does not.
            await Eventually.HoldsAsync("The replicas that are left follow",
                async _ => await FollowersAsync(cluster, master), n => n >= 1 - i, explain: cluster.Explain);
        }

        Assert.That(master, Is.EqualTo(cluster.Redis[3].Address), cluster.Explain());
    }

    [TestCase(1)]
    [TestCase(2)]
    public async Task An_append_only_file_with_everything_comes_before_the_masters_own_old_snapshot(int starts)
    {
        await using Cluster cluster = await Cluster.StartAsync(Told.Calm());
        await cluster.WaitUntilWholeAsync();
        await PersistAsync(cluster, appending: 1);
        await cluster.Redis[0].CommandAsync("SET", "counter", "1");
        await cluster.Redis[0].CommandAsync("SAVE");
        for (int i = 0; i < 20; i++)
        {
            await cluster.Redis[0].CommandAsync("INCR", "counter");
        }

        await WaitUntilSeenAsync(cluster);
        foreach (RedisServer redis in cluster.Redis)
        {
            redis.Kill();
        }

        await cluster.WaitForAsync("The loss is seen", topology => topology.Master is null);
        for (int i = 1; i < starts; i++)
        {
            await cluster.Redis[1].RestartAsync();
            await Eventually.HoldsAsync("It is detached by a monitor",
                async ct => (await cluster.Redis[1].CommandAsync(["ROLE"], ct))[2].Text, port => port == "1", explain: cluster.Explain);
            cluster.Redis[1].Kill();
        }

        // All at once, a replica may copy the master's snapshot before any monitor has seen either: no monitor can prevent that.
        await Task.WhenAll(cluster.Redis.Skip(1).Select(redis => redis.RestartAsync()));
        await Eventually.HoldsAsync("The replicas are kept from the master",
            async ct => (await cluster.Redis[1].CommandAsync(["ROLE"], ct))[2].Text, port => port == "1", explain: cluster.Explain);
        await cluster.Redis[0].RestartAsync();
        Topology after = await cluster.WaitUntilWholeAsync();
        Assert.That((await cluster.Node(after.Master!).CommandAsync("GET", "counter")).Text, Is.EqualTo("21"), cluster.Explain());
    }

    [Test]
    public async Task A_master_back_from_its_append_only_file_goes_on_beside_an_older_snapshot_with_more_keys()
    {
        await using Cluster cluster = await Cluster.StartAsync(Told.Calm() with { Redis = 2 });
        await cluster.WaitUntilWholeAsync();
        await PersistAsync(cluster, appending: 0);
        for (int i = 0; i < 50; i++)
        {
            await cluster.Redis[0].CommandAsync("SET", string.Create(CultureInfo.InvariantCulture, $"done {i}"), "1");
        }

        await WaitUntilSeenAsync(cluster, replicas: 1);
        await cluster.Redis[1].CommandAsync("SAVE");
        await cluster.Redis[0].CommandAsync("FLUSHALL");
        await cluster.Redis[0].CommandAsync("SET", "last", "1");
        await WaitUntilSeenAsync(cluster, replicas: 1);
        cluster.Redis[1].Kill();
        cluster.Redis[0].Kill();
        await cluster.WaitForAsync("The loss is seen", topology => topology.Master is null);
        await cluster.Redis[1].RestartAsync();
        await cluster.Redis[0].RestartAsync();
        Topology after = await cluster.WaitUntilWholeAsync();
        Assert.That(after.Master, Is.EqualTo(cluster.Redis[0].Address), cluster.Explain());
        Assert.That((await cluster.Node(after.Master!).CommandAsync("GET", "last")).Text, Is.EqualTo("1"), cluster.Explain());
    }

    /// <summary>One node appends each write to a file, and no other saves anything by itself.</summary>
    private static async Task PersistAsync(Cluster cluster, int appending)
    {
        foreach (RedisServer redis in cluster.Redis)
        {
            await redis.CommandAsync("CONFIG", "SET", "save", "3600 1000000");
        }

        await cluster.Redis[appending].CommandAsync("CONFIG", "SET", "appendonly", "yes");
        await cluster.Redis[appending].CommandAsync("CONFIG", "SET", "appendfsync", "always");
        foreach (RedisServer redis in cluster.Redis)
        {
            await redis.CommandAsync("CONFIG", "REWRITE");
        }

        await Eventually.HoldsAsync("The append-only file is there",
            async _ => (await cluster.Redis[appending].CommandAsync(["INFO", "persistence"], CancellationToken.None)).Text!,
            text => text.Contains("aof_rewrite_in_progress:0", StringComparison.Ordinal)
                && text.Contains("aof_rewrite_scheduled:0", StringComparison.Ordinal), explain: cluster.Explain);
    }

    /// <summary>Every replica has everything, and each monitor has asked each node since, which it does once a second.</summary>
    private static async Task WaitUntilSeenAsync(Cluster cluster, int replicas = 2)
    {
        string count = replicas.ToString(CultureInfo.InvariantCulture);
        Assert.That((await cluster.Redis[0].CommandAsync("WAIT", count, "5000")).Text, Is.EqualTo(count));
        await Task.Delay(1500);
    }

    /// <summary>The second node stands still while the master takes what the third has.</summary>
    private static async Task LetTheSecondLackSomethingAsync(Cluster cluster)
    {
        await cluster.WaitUntilWholeAsync();
        await cluster.WaitUntilWouldWorkAsync();
        cluster.Redis[1].Freeze();
        await using RedisWire wire = await cluster.Redis[0].ConnectAsync();
        // More than the sockets between the two hold: that it would read when it goes on.
        for (int i = 0; i < 24; i++)
        {
            await wire.CommandAsync(["SET", string.Create(CultureInfo.InvariantCulture, $"much {i}"), new string('x', 1_000_000)]);
        }

        await wire.CommandAsync(["SET", Last, "1"]);
        Assert.That((await wire.CommandAsync(["WAIT", "1", "5000"])).Text, Is.EqualTo("1"));
        // The monitors ask each node once a second how far it has come.
        await Task.Delay(1200);
    }

    private static async Task TheThirdIsPromotedAsync(Cluster cluster)
    {
        Topology after = await cluster.WaitForOtherMasterAsync(cluster.Redis[0].Address);
        Assert.That(after.Master, Is.EqualTo(cluster.Redis[2].Address), cluster.Explain());
        Assert.That((await cluster.Redis[2].CommandAsync("EXISTS", Last)).Text, Is.EqualTo("1"));
    }

    private static async Task<int> FollowersAsync(Cluster cluster, NodeAddress master)
    {
        RedisReply role = await cluster.Node(master).CommandAsync("ROLE");
        return role[2].Items.Length;
    }
}
