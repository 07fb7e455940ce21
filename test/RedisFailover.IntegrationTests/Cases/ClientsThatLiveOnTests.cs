using System.Net.Sockets;
using NUnit.Framework;
using RedisFailover.IntegrationTests.Failover;
using RedisFailover.IntegrationTests.Harness;

namespace RedisFailover.IntegrationTests.Cases;

/// <summary>Clients are not restarted with the rest.</summary>
[TestFixture]
[Parallelizable(ParallelScope.All)]
public sealed class ClientsThatLiveOnTests
{
    [Test]
    public async Task When_ZooKeepers_data_are_lost_and_the_monitors_restarted_a_client_follows_the_new_incarnation()
    {
        await using Cluster cluster = await Cluster.StartAsync(Told.Calm() with { Monitors = 2, OwnZooKeeper = true });
        await cluster.WaitUntilWholeAsync();
        // Its epochs are higher than those of the next store.
        foreach (int target in (int[])[1, 0, 1])
        {
            await SwitchOverAsync(cluster, target);
        }

        await using WritingClient client = await WritingClient.StartAsync(cluster);
        await client.WaitForWritesAsync(20);
        foreach (MonitorProcess monitor in cluster.Monitors)
        {
            await monitor.KillAsync();
        }

        await cluster.ZooKeeper.Servers[0].KillAndWipeAsync();
        await cluster.ZooKeeper.Servers[0].StartAsync();
        foreach (MonitorProcess monitor in cluster.Monitors)
        {
            await monitor.RestartAsync();
        }

        Topology after = await cluster.WaitUntilWholeAsync(TimeSpan.FromSeconds(40));
        Assert.That(after.Master, Is.EqualTo(cluster.Addresses[1]), cluster.Explain());
        await client.WaitForWritesAsync(20);
        // It follows what happens in the new store, and writes to nobody else.
        await SwitchOverAsync(cluster, 0);
        await client.WaitForWriteBegunAfterAsync(System.Diagnostics.Stopwatch.GetTimestamp());
        Assert.That(await client.StopAndCountLostAsync(), Is.Zero, cluster.Explain());
    }

    [Test]
    public async Task When_ZooKeepers_data_are_lost_under_living_monitors_a_client_goes_on_through_the_next_failover()
    {
        await using Cluster cluster = await Cluster.StartAsync(Told.Calm() with { Monitors = 2, OwnZooKeeper = true });
        Topology before = await cluster.WaitUntilWholeAsync();
        foreach (MonitorProcess monitor in cluster.Monitors)
        {
            // Who has not read it yet knows of no store before the new one.
            await monitor.Process.WaitForLineAsync(
                line => line.Contains($"topology of epoch {before.Epoch}: ok", StringComparison.Ordinal), TimeSpan.FromSeconds(20));
        }

        await using WritingClient client = await WritingClient.StartAsync(cluster);
        await client.WaitForWritesAsync(20);
        await cluster.ZooKeeper.Servers[0].KillAndWipeAsync();
        await cluster.ZooKeeper.Servers[0].StartAsync();
        Topology renewed = await cluster.WaitUntilWholeAsync(TimeSpan.FromSeconds(60));
        Assert.Multiple(() =>
        {
            Assert.That(renewed.Epoch, Is.GreaterThan(before.Epoch));
            Assert.That(renewed.Incarnation, Is.Not.EqualTo(before.Incarnation));
            Assert.That(renewed.FormerIncarnations, Is.EqualTo(new[] { before.Incarnation }));
        });
        RedisServer lost = cluster.Node(renewed.Master!);
        await lost.KillAsync();
        Topology after = await cluster.WaitForOtherMasterAsync(renewed.Master!, TimeSpan.FromSeconds(60));
        await client.WaitForWriteBegunAfterAsync(System.Diagnostics.Stopwatch.GetTimestamp());
        Assert.That(client.Topology, Has.Property("Incarnation").EqualTo(after.Incarnation).And.Property("Master").EqualTo(after.Master));
    }

    [Test]
    public async Task A_connection_that_only_publishes_is_cut_by_a_switchover_instead_of_talking_to_nobody()
    {
        await using Cluster cluster = await Cluster.StartAsync(Told.Calm() with { Monitors = 1 });
        await cluster.WaitUntilWholeAsync();
        await using RedisWire publisher = await cluster.Redis[0].ConnectAsync();
        await using RedisWire subscriber = await cluster.Redis[0].ConnectAsync();
        await publisher.CommandAsync(["PUBLISH", "channel", "before"]);
        await subscriber.CommandAsync(["SUBSCRIBE", "channel"]);
        await SwitchOverAsync(cluster, 1);
        Assert.That(async () => await PublishUntilCutAsync(publisher), Throws.InstanceOf<IOException>().Or.InstanceOf<SocketException>());
        using CancellationTokenSource deadline = new(TimeSpan.FromSeconds(10));
        Assert.That(
            async ()
                => await ReadUntilCutAsync(subscriber, deadline.Token), Throws.InstanceOf<IOException>().Or.InstanceOf<SocketException>());
    }

    private static async Task ReadUntilCutAsync(RedisWire wire, CancellationToken ct)
    {
        while (true)
        {
            await wire.ReadAsync(ct);
        }
    }

    private static async Task PublishUntilCutAsync(RedisWire wire)
    {
        for (int i = 0; i < 200; i++)
        {
            await wire.CommandAsync(["PUBLISH", "channel", "after"]);
            await Task.Delay(20);
        }
    }

    private static async Task SwitchOverAsync(Cluster cluster, int target)
    {
        CliResult result =
            await CliProcess.RunAsync(["switchover", cluster.Addresses[target].ToString(), "--zk", cluster.ConnectionString]);
        Assert.That(result.ExitCode, Is.Zero, $"{result}\n{cluster.Explain()}");
        await cluster.WaitUntilWholeAsync();
    }
}
