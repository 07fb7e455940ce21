using NUnit.Framework;

namespace RedisFailover.ContainerTests;

/// <summary>A cluster of its own for each further image. Where one cannot be pulled its test is skipped, and counted as such.</summary>
[TestFixture]
[Category("Images")]
public sealed class ImageTests
{
    [TestCaseSource(typeof(Engine), nameof(Engine.RedisImages))]
    public Task A_master_of_this_image_is_replaced(string redis) => FailoverAsync(redis, Engine.ZooKeeperImage);

    [TestCaseSource(typeof(Engine), nameof(Engine.ZooKeeperImages))]
    public Task A_master_is_replaced_beside_this_ZooKeeper(string zooKeeper) => FailoverAsync(Engine.RedisImage, zooKeeper);

    [Test]
    public async Task A_rolling_upgrade_keeps_the_data()
    {
        (string from, string to) = (Engine.Upgrade[0], Engine.Upgrade[1]);
        await Engine.RequireAsync(from, to, Engine.ZooKeeperImage, Engine.MonitorImage);
        await using ContainerCluster cluster = await ContainerCluster.StartAsync(from, Engine.ZooKeeperImage);
        Topology whole = await cluster.WaitUntilWholeAsync();
        await cluster.RedisAsync(whole.Master!.Host, "SET", "k", "kept");
        foreach (NodeAddress replica in whole.Replicas)
        {
            await cluster.UpgradeAsync(replica.Host, to);
            await cluster.WaitUntilWholeAsync();
        }

        Said said = await cluster.ToolAsync("switchover");
        Assert.That(said.ExitCode, Is.Zero, said.ToString());
        await cluster.WaitUntilWholeAsync();
        await cluster.UpgradeAsync(whole.Master.Host, to);
        Topology after = await cluster.WaitUntilWholeAsync();
        Assert.That(after.Master, Is.Not.EqualTo(whole.Master));
        foreach (string node in cluster.Nodes)
        {
            Assert.That(await cluster.RedisAsync(node, "GET", "k"), Is.EqualTo("kept"), node);
        }
    }

    private static async Task FailoverAsync(string redis, string zooKeeper)
    {
        await Engine.RequireAsync(redis, zooKeeper, Engine.MonitorImage);
        await using ContainerCluster cluster = await ContainerCluster.StartAsync(redis, zooKeeper);
        await FailoverTests.FailoverAsync(cluster);
    }
}
