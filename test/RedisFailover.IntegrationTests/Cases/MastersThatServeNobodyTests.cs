using System.Diagnostics;
using System.Globalization;
using NUnit.Framework;
using RedisFailover.IntegrationTests.Failover;
using RedisFailover.IntegrationTests.Harness;

namespace RedisFailover.IntegrationTests.Cases;

/// <summary>A master that lives and serves nobody.</summary>
[TestFixture]
[Parallelizable(ParallelScope.All)]
public sealed class MastersThatServeNobodyTests
{
    private static readonly RedisServerOptions QuicklyBusy = new() { ConfLines = ["lua-time-limit 200"] };

    [Test]
    public async Task A_master_whose_script_never_ends_is_told_at_once_and_replaced_when_its_time_is_up()
    {
        await using Cluster cluster =
            await Cluster.StartAsync(Told.Calm("--busy-timeout", "6000") with { Monitors = 1, RedisOptions = QuicklyBusy });
        NodeAddress master = (await cluster.WaitUntilWholeAsync()).Master!;
        await using WritingClient client = await WritingClient.StartAsync(cluster);
        await client.WaitForWritesAsync(20);
        await cluster.WaitUntilWouldWorkAsync();
        await using RedisWire wire = await cluster.Redis[0].ConnectAsync();
        long since = Stopwatch.GetTimestamp();
        Task<RedisReply> endless = wire.CommandAsync(["EVAL", "redis.call('set', 'k', 'v') while true do end", "0"]);

        await cluster.WaitUntilToldAsync("master-busy", master);
        Topology after = await cluster.WaitForOtherMasterAsync(master, TimeSpan.FromSeconds(40));
        Assert.That(Stopwatch.GetElapsedTime(since), Is.GreaterThan(TimeSpan.FromSeconds(5)), "it is given its time");
        await client.WaitForWriteBegunAfterAsync(Stopwatch.GetTimestamp());
        Assert.That(client.Errors.Where(e => e.Message.Contains("BUSY", StringComparison.Ordinal)), Is.Empty);
        HistoryEntry entry = await cluster.WaitForHistoryAsync("It is recorded", e => e.Epoch == after.Epoch);
        Assert.That(entry.Reason, Does.Contain("BUSY").IgnoreCase);
        await cluster.WaitUntilToldAsync("node-unavailable", master);
        cluster.Redis[0].Kill();
        Assert.That(async () => await endless, Throws.Exception);
    }

    [Test]
    public async Task A_script_that_ends_in_time_is_no_reason_for_a_failover()
    {
        await using Cluster cluster = await Cluster.StartAsync(Told.Calm() with { Monitors = 1, RedisOptions = QuicklyBusy });
        Topology before = await cluster.WaitUntilWholeAsync();
        await cluster.WaitUntilWouldWorkAsync();
        await using RedisWire wire = await cluster.Redis[0].ConnectAsync();
        Task<RedisReply> long_ = wire.CommandAsync(["EVAL", "while true do end", "0"]);
        await cluster.WaitUntilToldAsync("master-busy", before.Master);
        await Eventually.HoldsAsync("The script is ended", async ct
            => (await cluster.Redis[0].CommandAsync(["SCRIPT", "KILL"], ct)).Text, text => text == "OK");
        Assert.That(async () => await long_, Throws.InstanceOf<RedisErrorException>());
        await cluster.WaitUntilNotToldAsync("master-busy");
        Topology after = await cluster.WaitUntilWholeAsync();
        Assert.That((after.Master, after.Epoch), Is.EqualTo((before.Master, before.Epoch)), cluster.Explain());
    }

    [Test]
    public async Task A_master_that_shuts_down_and_waits_for_a_replica_that_lags_hands_over_to_the_one_that_has_everything()
    {
        Needs.Redis("7.0", "Waiting for replicas before the end");
        await using Cluster cluster = await Cluster.StartAsync(Told.Calm() with { Monitors = 1 });
        NodeAddress master = (await cluster.WaitUntilWholeAsync()).Master!;
        await using WritingClient client = await WritingClient.StartAsync(cluster);
        await client.WaitForWritesAsync(20);
        await cluster.WaitUntilWouldWorkAsync();
        cluster.Redis[2].Freeze();
        try
        {
            await client.WaitForWritesAsync(20);
            long told = Stopwatch.GetTimestamp();
            cluster.Redis[0].Process.Terminate();
            await client.WaitForWriteBegunAfterAsync(told + Stopwatch.Frequency);
            Assert.That(Stopwatch.GetElapsedTime(told), Is.LessThan(TimeSpan.FromSeconds(8)), "Redis itself waits for ten seconds");
            Topology after = await cluster.WaitForOtherMasterAsync(master);
            Assert.That(after.Master, Is.EqualTo(cluster.Addresses[1]));
        }
        finally
        {
            cluster.Redis[2].Thaw();
        }

        await cluster.Redis[0].Process.WaitForExitAsync();
        Assert.That(await client.StopAndCountLostAsync(), Is.Zero, cluster.Explain());
    }

    [Test]
    public async Task A_FAILOVER_that_somebody_sent_and_that_never_ends_is_told_and_ended_by_a_handover()
    {
        Needs.Redis("6.2", "FAILOVER");
        await using Cluster cluster = await Cluster.StartAsync(Told.Calm("--busy-timeout", "12000") with { Monitors = 1 });
        NodeAddress master = (await cluster.WaitUntilWholeAsync()).Master!;
        await using WritingClient client = await WritingClient.StartAsync(cluster);
        await client.WaitForWritesAsync(20);
        await cluster.WaitUntilWouldWorkAsync();
        cluster.Redis[2].Freeze();
        try
        {
            await client.WaitForWritesAsync(20);
            NodeAddress target = cluster.Addresses[2];
            await cluster.Redis[0].CommandAsync(
                "FAILOVER", "TO", target.Host, target.Port.ToString(CultureInfo.InvariantCulture));
            long sent = Stopwatch.GetTimestamp();
            await cluster.WaitUntilToldAsync("master-fails-over", master);
            Topology after = await cluster.WaitForOtherMasterAsync(master, TimeSpan.FromSeconds(40));
            Assert.That(after.Master, Is.EqualTo(cluster.Addresses[1]), cluster.Explain());
            await client.WaitForWriteBegunAfterAsync(sent);
            await cluster.WaitForAsync("The old master follows", topology => topology.Replicas.Contains(master));
        }
        finally
        {
            cluster.Redis[2].Thaw();
        }

        await cluster.WaitUntilWholeAsync();
        Assert.That(await client.StopAndCountLostAsync(), Is.Zero, cluster.Explain());
    }

    [Test]
    public async Task A_CLIENT_PAUSE_of_somebody_is_told_and_ended_by_a_handover_without_loss()
    {
        Needs.Redis("6.2", "CLIENT PAUSE that holds writes alone");
        await using Cluster cluster = await Cluster.StartAsync(Told.Calm("--busy-timeout", "12000") with { Monitors = 1 });
        NodeAddress master = (await cluster.WaitUntilWholeAsync()).Master!;
        await using WritingClient client = await WritingClient.StartAsync(cluster);
        await client.WaitForWritesAsync(20);
        await cluster.WaitUntilWouldWorkAsync();
        await cluster.Redis[0].CommandAsync("CLIENT", "PAUSE", "3600000", "WRITE");
        long sent = Stopwatch.GetTimestamp();
        await cluster.WaitUntilToldAsync("writes-paused", master);
        await cluster.WaitForOtherMasterAsync(master, TimeSpan.FromSeconds(40));
        await client.WaitForWriteBegunAfterAsync(sent);
        await cluster.WaitUntilWholeAsync();
        Assert.That(await client.StopAndCountLostAsync(), Is.Zero, cluster.Explain());
    }

    [Test]
    public async Task A_FAILOVER_by_force_whose_target_died_does_not_keep_the_old_master_from_following_and_from_being_promoted()
    {
        Needs.Redis("6.2", "FAILOVER");
        await using Cluster cluster = await Cluster.StartAsync(Told.Calm() with { Monitors = 1 });
        NodeAddress master = (await cluster.WaitUntilWholeAsync()).Master!;
        await cluster.WaitUntilWouldWorkAsync();
        NodeAddress target = cluster.Addresses[2];
        cluster.Redis[2].Freeze();
        await cluster.Redis[0].CommandAsync(
            "FAILOVER", "TO", target.Host, target.Port.ToString(CultureInfo.InvariantCulture), "FORCE", "TIMEOUT", "500");
        Topology after = await cluster.WaitForOtherMasterAsync(master);
        Assert.That(after.Master, Is.EqualTo(cluster.Addresses[1]), cluster.Explain());
        cluster.Redis[2].Kill();
        await cluster.WaitForAsync("The old master follows", topology => topology.Replicas.Contains(master));
        cluster.Redis[1].Kill();
        Assert.That((await cluster.WaitForOtherMasterAsync(after.Master!)).Master, Is.EqualTo(master), cluster.Explain());
    }

    [Test]
    public async Task A_pause_that_was_left_behind_on_a_replica_does_not_hold_the_writes_of_the_new_master()
    {
        Needs.Redis("6.2", "CLIENT PAUSE for writes alone");
        await using Cluster cluster = await Cluster.StartAsync(Told.Calm() with { Monitors = 1 });
        NodeAddress master = (await cluster.WaitUntilWholeAsync()).Master!;
        await cluster.WaitUntilWouldWorkAsync();
        foreach (RedisServer replica in cluster.Redis.Skip(1))
        {
            await replica.CommandAsync("CLIENT", "PAUSE", "600000", "WRITE");
        }

        cluster.Redis[0].Kill();
        Topology after = await cluster.WaitForOtherMasterAsync(master);
        Assert.That(await cluster.Node(after.Master!).TakesWritesAsync(), Is.True);
    }
}
