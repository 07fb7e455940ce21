using System.Collections.Immutable;
using NUnit.Framework;

namespace RedisFailover.ContainerTests;

/// <summary>One cluster for all of them: each begins with whoever is master, and leaves the cluster whole.</summary>
[TestFixture]
public sealed class FailoverTests
{
    private ContainerCluster _cluster = null!;

    [OneTimeSetUp]
    public async Task StartAsync()
    {
        await Engine.RequireAsync(Engine.RedisImage, Engine.ZooKeeperImage, Engine.MonitorImage);
        _cluster = await ContainerCluster.StartAsync(Engine.RedisImage, Engine.ZooKeeperImage);
        await _cluster.WaitUntilWholeAsync();
    }

    [OneTimeTearDown]
    public async Task StopAsync()
    {
        if (_cluster is not null)
        {
            await _cluster.DisposeAsync();
        }
    }

    [Test]
    public async Task Monitors_that_are_process_1_each_have_ids_of_their_own()
    {
        ImmutableArray<string> ids = await IntegrationTests.Harness.Eventually.HoldsAsync(
            "Three monitors are here", _cluster.MonitorsAsync, ids => ids.Length == 3);
        Assert.That(ids, Is.Unique);
    }

    [Test]
    public async Task A_master_that_is_killed_is_replaced_and_comes_back_as_a_replica() => await FailoverAsync(_cluster);

    [Test]
    public async Task A_switchover_hands_over()
    {
        Topology before = await _cluster.WaitUntilWholeAsync();
        Said said = await _cluster.ToolAsync("switchover", before.Replicas[0].ToString());
        Assert.That(said.ExitCode, Is.Zero, said.ToString());
        Topology after = await _cluster.WaitUntilWholeAsync();
        Assert.That(after.Master, Is.EqualTo(before.Replicas[0]));
        Assert.That(await _cluster.RedisAsync(after.Master!.Host, "ROLE"), Does.StartWith("master"));
    }

    [Test]
    public async Task A_master_whose_host_is_lost_is_replaced_and_is_no_second_master_when_it_is_back()
    {
        Topology before = await _cluster.WaitUntilWholeAsync();
        string lost = before.Master!.Host;
        await _cluster.RedisAsync(lost, "SET", "k", "before");
        await _cluster.RedisAsync(lost, "WAIT", "2", "5000");
        await _cluster.DisconnectAsync(lost);
        Topology after = await _cluster.WaitForOtherMasterAsync(before.Master);
        Assert.That(await _cluster.RedisAsync(after.Master!.Host, "GET", "k"), Is.EqualTo("before"));
        await _cluster.ConnectAsync(lost);
        await _cluster.WaitUntilWholeAsync();
        Assert.That(await _cluster.RedisAsync(lost, "ROLE"), Does.StartWith("slave"));
    }

    /// <summary>The master is killed, and comes back as a replica.</summary>
    internal static async Task FailoverAsync(ContainerCluster cluster)
    {
        Topology before = await cluster.WaitUntilWholeAsync();
        string killed = before.Master!.Host;
        await cluster.RedisAsync(killed, "SET", "k", "v");
        Assert.That(await cluster.RedisAsync(killed, "WAIT", "2", "5000"), Is.EqualTo("2"));
        await cluster.KillAsync(killed);
        Topology after = await cluster.WaitForOtherMasterAsync(before.Master);
        Assert.That(await cluster.RedisAsync(after.Master!.Host, "GET", "k"), Is.EqualTo("v"));
        Assert.That(await cluster.RedisAsync(after.Master.Host, "SET", "k", "w"), Is.EqualTo("OK"));
        await cluster.StartNodeAsync(killed);
        await cluster.WaitUntilWholeAsync();
        Assert.That(await cluster.RedisAsync(killed, "ROLE"), Does.StartWith("slave"));
    }
}
