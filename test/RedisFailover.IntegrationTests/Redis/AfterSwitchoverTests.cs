using System.Globalization;
using NUnit.Framework;
using RedisFailover.IntegrationTests.Harness;

namespace RedisFailover.IntegrationTests.Redis;

/// <summary>What clients that know nothing of the topology are told of a change of master.</summary>
[TestFixture]
[Parallelizable(ParallelScope.All)]
public sealed class AfterSwitchoverTests
{
    [Test]
    public async Task A_connection_that_only_publishes_is_ended_and_the_new_master_announces_itself()
    {
        await using Cluster cluster = await Cluster.StartAsync();
        Topology before = await cluster.WaitUntilWholeAsync();
        await cluster.WaitForAllViewsAsync();
        RedisServer old = cluster.Node(before.Master!), next = cluster.Node(before.Replicas[0]);
        await using RedisWire publisher = await old.ConnectAsync();
        await publisher.CommandAsync(["PUBLISH", "news", "1"]);
        await using RedisWire ours = await old.ConnectAsync();
        await ours.CommandAsync(["CLIENT", "SETNAME", "redis-failover"]);
        await using RedisWire subscriber = await next.ConnectAsync();
        await subscriber.CommandAsync(["SUBSCRIBE", NodeRight.MasterChangedChannel]);

        CliResult moved = await CliProcess.RunAsync(["switchover", next.Address.ToString(), "--zk", cluster.ConnectionString]);
        Assert.That(moved.ExitCode, Is.Zero, $"{moved}\n{cluster.Explain()}");
        using var deadline = new CancellationTokenSource(Eventually.DefaultDeadline);
        foreach (string when in (string[])["at once", "again, for clients that were busy with the old master"])
        {
            RedisReply announced = await subscriber.ReadAsync(deadline.Token);
            Assert.That(announced.ToString(), Is.EqualTo($"[message, {NodeRight.MasterChangedChannel}, *]"), when);
        }

        Assert.That(async () => await publisher.ReadAsync(deadline.Token), Throws.InstanceOf<IOException>(), "it is ended");
        Assert.That((await ours.CommandAsync(["PING"])).Text, Is.EqualTo("PONG"), "our client follows by itself");
        await cluster.WaitUntilFollowingAsync(old, next);
        string port = old.Port.ToString(CultureInfo.InvariantCulture);
        Assert.That(cluster.Monitors.SelectMany(m => m.Process.Log), Has.None.Contains($":{port} fails"),
            "monitors keep their connections");
    }

    [Test]
    public async Task A_hangup_does_not_end_a_monitor_and_changes_its_log_level()
    {
        await using Cluster cluster = await Cluster.StartAsync(new ClusterOptions { Monitors = 1, Redis = 1 });
        string file = Path.GetTempFileName();
        await File.WriteAllTextAsync(file, """{ "log-level": "information" }""");
        try
        {
            MonitorProcess monitor = await cluster.StartMonitorAsync(o => o with { More = ["--config", file] });
            await monitor.Process.WaitForLineAsync(line => line.Contains("starts", StringComparison.Ordinal), Eventually.DefaultDeadline);
            await File.WriteAllTextAsync(file, """{ "log-level": "warning" }""");
            monitor.Process.HangUp();
            await monitor.Process.WaitForLineAsync(line
                => line.Contains("SIGHUP: the log level is warning", StringComparison.Ordinal), Eventually.DefaultDeadline);
            await File.WriteAllTextAsync(file, """{ "log-level": "loud" }""");
            monitor.Process.HangUp();
            await monitor.Process.WaitForLineAsync(line
                => line.Contains("SIGHUP: the settings are wrong", StringComparison.Ordinal), Eventually.DefaultDeadline);
            Assert.That(monitor.Process.IsRunning);
            Assert.That(await monitor.TerminateAsync(), Is.Zero);
        }
        finally
        {
            File.Delete(file);
        }
    }
}
