using System.Collections.Immutable;
using System.Text.Json;
using NUnit.Framework;
using RedisFailover.IntegrationTests.Harness;

namespace RedisFailover.IntegrationTests.Failover;

[TestFixture]
[Parallelizable(ParallelScope.All)]
public sealed class OperatorTests
{
    [Test]
    public async Task ZkCli_shows_the_topology_and_asks_for_a_failover_to_any_replica_and_to_a_named_one()
    {
        await using Cluster cluster = await Cluster.StartAsync();
        Topology first = await cluster.WaitUntilWholeAsync();
        ZooKeeperServer zooKeeper = cluster.ZooKeeper.Servers[0];
        string shown = await zooKeeper.CliAsync(["get", cluster.ZnodePath + "/nodes"]);
        Assert.That(shown, Does.Contain($"\n{{\n  \"master\": \"{first.Master}\",\n  \"slaves\": [\n    \""));

        await zooKeeper.CliAsync(["create", cluster.ZnodePath + "/manual_failover", "ANY_SLAVE"]);
        Topology second = await cluster.WaitForAsync("Any replica is master", topology
                => topology.State == TopologyState.Ok && topology.Master != first.Master);
        Assert.That(first.Replicas, Does.Contain(second.Master));
        await cluster.WaitUntilWholeAsync();

        NodeAddress target = second.Replicas.Single(node => node != first.Master);
        await zooKeeper.CliAsync(["create", cluster.ZnodePath + "/manual_failover", target.ToString()]);
        await cluster.WaitForAsync("The named replica is master", topology
            => topology.State == TopologyState.Ok && topology.Master == target);
        await cluster.WaitUntilWholeAsync();
        Assert.That(await cluster.Node(target).RoleAsync(), Is.EqualTo("master"));
        Assert.That(await cluster.ExistsAsync("/manual_failover"), Is.False);
    }

    [Test]
    [Category("Quick")]
    public async Task A_planned_failover_loses_no_write()
    {
        await using Cluster cluster = await Cluster.StartAsync();
        Topology before = await cluster.WaitUntilWholeAsync();
        await using WritingClient client = await WritingClient.StartAsync(cluster);
        await client.WaitForWritesAsync(100);

        CliResult failover = await CliProcess.RunAsync(["failover", "--zk", cluster.ConnectionString]);
        Assert.That(failover.ExitCode, Is.Zero, $"{failover}\n{cluster.Explain()}");
        Topology after = await cluster.WaitUntilWholeAsync();
        Assert.That(after.Master, Is.Not.EqualTo(before.Master));
        Assert.That(failover.Output, Does.Contain($"master: {before.Master} -> {after.Master}"));
        await client.WaitForWritesAsync(100);
        Assert.That(await client.StopAndCountLostAsync(), Is.Zero);
        Assert.That(client.Errors, Is.Empty);
    }

    [Test]
    public async Task The_tool_shows_the_cluster_and_refuses_what_makes_no_sense()
    {
        await using Cluster cluster = await Cluster.StartAsync();
        Topology topology = await cluster.WaitUntilWholeAsync();
        MonitorProcess leader = await cluster.LeaderAsync();
        await cluster.WaitForAllViewsAsync();
        ImmutableArray<string> zk = ["--zk", cluster.ConnectionString];

        CliResult table = await CliProcess.RunAsync(["status", .. zk]);
        Assert.That(table.ExitCode, Is.Zero, table.ToString());
        Assert.That(table.Output,
            Does.Contain($"master   {topology.Master}").And.Contain($"leader   {leader.Id}").And.Contain("seen by m3"));

        using JsonDocument status = JsonDocument.Parse((await CliProcess.RunAsync(["status", "--json", .. zk])).Output);
        Assert.That(status.RootElement.GetProperty("topology").GetProperty("master").GetString(), Is.EqualTo(topology.Master!.ToString()));
        Assert.That(status.RootElement.GetProperty("leader").GetProperty("id").GetString(), Is.EqualTo(leader.Id));
        Assert.That(status.RootElement.GetProperty("monitors").GetPropertyCount(), Is.EqualTo(3));

        CliResult same = await CliProcess.RunAsync(["failover", topology.Master!.ToString(), .. zk]);
        Assert.That((same.ExitCode, same.Output), Is.EqualTo((0, $"done: {topology.Master} is the master already: nothing to do")));
        foreach (string name in new[] { "failover", "switchover" })
        {
            CliResult stranger = await CliProcess.RunAsync([name, "127.0.0.1:1", .. zk]);
            Assert.That(stranger.ExitCode, Is.EqualTo(3), stranger.ToString());
            Assert.That(stranger.Output, Does.Contain("refused: ").And.Contain("127.0.0.1:1 is not among the configured nodes"));
        }

        CliResult unreachable = await CliProcess.RunAsync(["status", "--zk", "127.0.0.1:1", "--timeout", "0.5"]);
        Assert.That((unreachable.ExitCode, unreachable.Errors),
            Is.EqualTo((1, "redis-failover: ZooKeeper cannot be reached: 127.0.0.1:1: connection refused")));
    }

    [Test]
    public async Task Watch_tells_each_change_and_load_tells_the_gap_and_what_was_lost()
    {
        await using Cluster cluster = await Cluster.StartAsync();
        Topology before = await cluster.WaitUntilWholeAsync();
        await using ChildProcess watch = await CliProcess.StartAsync(["watch", "--zk", cluster.ConnectionString]);
        await watch.WaitForLineAsync(line => line.Contains($" ok: master {before.Master}", StringComparison.Ordinal));
        await using ChildProcess load =
            await CliProcess.StartAsync(["load", "--zk", cluster.ConnectionString, "--rate", "200", "--gap", "1ms", "--json"]);
        // Two writes at least have been acknowledged: there is something to measure between.
        await load.WaitForLineAsync(line => line.Contains("\"gap\"", StringComparison.Ordinal));

        cluster.Redis[0].Kill();
        Topology after = await cluster.WaitForAsync("A replica is master", topology
                => topology.State == TopologyState.Ok && topology.Master != before.Master);
        await watch.WaitForLineAsync(line => line.Contains($" ok: master {after.Master}", StringComparison.Ordinal));
        await load.WaitForLineAsync(
            line => line.Contains("\"topology\"", StringComparison.Ordinal)
                && line.Contains($"\"{after.Master}\"", StringComparison.Ordinal));
        load.Interrupt();
        Assert.That(await load.WaitForExitAsync(), Is.Zero, load.Tail());
        using JsonDocument line = JsonDocument.Parse(load.Output[^1]);
        JsonElement report = line.RootElement.GetProperty("report");
        Assert.That(report.GetProperty("lostAcknowledgedWrites").GetInt64(), Is.Zero, load.Tail());
        Assert.That(report.GetProperty("longestGapMillis").GetDouble(), Is.GreaterThan(0));
        watch.Terminate();
        Assert.That(await watch.WaitForExitAsync(), Is.Zero);
    }
}
