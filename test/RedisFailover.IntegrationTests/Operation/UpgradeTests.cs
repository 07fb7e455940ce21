using NUnit.Framework;
using RedisFailover.IntegrationTests.Failover;
using RedisFailover.IntegrationTests.Harness;

namespace RedisFailover.IntegrationTests.Operation;

/// <summary>Monitors of two builds side by side, as during an upgrade.</summary>
[TestFixture]
public sealed class UpgradeTests
{
    [Test]
    public async Task Monitors_of_an_earlier_build_and_of_this_one_fail_over_together_until_all_are_new()
    {
        if (Programs.OldMonitor is not { } old)
        {
            Assert.Ignore("OLD_MONITOR names no monitor of an earlier build; scripts/test-upgrade.sh makes one");
            return;
        }

        var options = new ClusterOptions();
        await using Cluster cluster = await Cluster.StartAsync(
            options with { MonitorOptions = options.MonitorOptions with { Program = old } });
        await cluster.WaitUntilWholeAsync();
        await using WritingClient client = await WritingClient.StartAsync(cluster);
        await client.WaitForWritesAsync(20);
        List<string> kept = [await LoseMasterAsync(cluster, client)];
        // The leader last, as the documents say: the second failover is an old leader's among new monitors, the last one a new one's.
        MonitorProcess leader = await cluster.LeaderAsync();
        foreach (MonitorProcess monitor in cluster.Monitors.Where(m => m != leader).Append(leader).ToArray())
        {
            Assert.That(await monitor.TerminateAsync(), Is.Zero, cluster.Explain());
            await cluster.StartMonitorAsync(o => o with { Program = null, Id = monitor.Id });
            await cluster.WaitForAllViewsAsync();
            kept.Add(await LoseMasterAsync(cluster, client));
        }

        RedisServer last = cluster.Node((await cluster.WaitUntilWholeAsync()).Master!);
        foreach (string key in kept)
        {
            Assert.That((await last.CommandAsync("EXISTS", key)).Text, Is.EqualTo("1"), () => $"{key}\n{cluster.Explain()}");
        }
    }

    /// <summary>
    /// Kills the master, waits for another and for writes to it, and starts the old one again. Returns a key that both replicas had.
    /// </summary>
    private static async Task<string> LoseMasterAsync(Cluster cluster, WritingClient client)
    {
        RedisServer master = cluster.Node((await cluster.WaitUntilWholeAsync()).Master!);
        string key = $"kept by {master.Address}";
        await master.CommandAsync("SET", key, "1");
        Assert.That((await master.CommandAsync("WAIT", "2", "10000")).Text, Is.EqualTo("2"), cluster.Explain());
        await master.KillAsync();
        await cluster.WaitForAsync("Another node is master", t => t.State == TopologyState.Ok && t.Master != master.Address);
        await client.WaitForWritesAsync(20);
        await master.RestartAsync();
        await cluster.WaitUntilWholeAsync();
        return key;
    }
}
