using System.Globalization;
using NUnit.Framework;
using RedisFailover.IntegrationTests.Harness;

namespace RedisFailover.IntegrationTests.Failover;

/// <summary>--write-safety replicated on real servers.</summary>
[TestFixture]
[Parallelizable(ParallelScope.All)]
public sealed class WriteSafetyTests
{
    private static readonly TimeSpan Long = TimeSpan.FromSeconds(60);

    [Test]
    public async Task A_master_that_is_cut_off_from_replicas_and_monitors_stops_taking_writes_by_itself()
    {
        await using Cluster cluster = await StartAsync();
        RedisServer master = cluster.Redis[0];
        Assert.That((await master.CommandAsync("SET", "k", "1")).Text, Is.EqualTo("OK"));

        // Its clients still reach it; nobody else does.
        cluster.Redis[1].Freeze();
        cluster.Redis[2].Freeze();
        foreach (MonitorProcess monitor in cluster.Monitors)
        {
            monitor.Freeze();
        }

        try
        {
            string refusal = await Eventually.HoldsAsync("It refuses writes", ct => WriteAsync(master, ct), reply => reply != "OK", Long);
            Assert.That(refusal, Does.StartWith("NOREPLICAS"));
        }
        finally
        {
            foreach (MonitorProcess monitor in cluster.Monitors)
            {
                monitor.Thaw();
            }

            cluster.Redis[1].Thaw();
            cluster.Redis[2].Thaw();
        }

        await Eventually.HoldsAsync(
            "The cluster takes writes again",
            async ct => await WriteAsync(cluster.Node((await cluster.TopologyAsync(ct)).Master!), ct),
            reply => reply == "OK",
            Long,
            cluster.Explain);
    }

    [Test]
    public async Task Losing_replicas_does_not_stop_writes_and_the_setting_follows_them()
    {
        await using Cluster cluster = await StartAsync();
        RedisServer master = cluster.Redis[0];
        await cluster.Redis[1].KillAsync();
        await cluster.WaitForSafetyAsync("The one that is left is the set", safety
            => safety.Replicas is [var only] && only == cluster.Redis[2].Address);
        Assert.That(await WriteAsync(master), Is.EqualTo("OK"));

        await cluster.Redis[2].KillAsync();
        await Eventually.HoldsAsync("Writes go on without any", ct
            => WriteAsync(master, ct), reply => reply == "OK", Long, cluster.Explain);
        WriteQuorum alone = await cluster.WaitForSafetyAsync("The znode says so", safety => safety.MinReplicas == 0);
        Assert.That(alone.Replicas, Is.EqualTo(new[] { cluster.Redis[2].Address }), "the last one stays in the set");

        await cluster.Redis[1].RestartAsync();
        await cluster.Redis[2].RestartAsync();
        await cluster.WaitUntilSafeAsync();
        Assert.That(await MinReplicasAsync(master), Is.EqualTo("1"));

        // After a switchover the new master has it, the old one what it had before.
        CliResult switchover =
            await CliProcess.RunAsync(["switchover", cluster.Redis[1].Address.ToString(), "--zk", cluster.ConnectionString]);
        Assert.That(switchover.ExitCode, Is.Zero, $"{switchover}\n{cluster.Explain()}");
        await Eventually.HoldsAsync("The new master is guarded", ct
            => MinReplicasAsync(cluster.Redis[1], ct), count => count == "1", Long, cluster.Explain);
        await Eventually.HoldsAsync("The old one is not", ct => MinReplicasAsync(master, ct), count => count == "0", Long, cluster.Explain);
    }

    [Test]
    public async Task A_failover_waits_for_the_only_replica_that_may_hold_an_acknowledged_write_and_takes_place_when_it_returns()
    {
        await using Cluster cluster = await StartAsync();
        await CutOffTheOnlyHolderAsync(cluster, "kept");

        CliResult refused = await CliProcess.RunAsync(["switchover", "--zk", cluster.ConnectionString]);
        Assert.That(refused.ExitCode, Is.EqualTo(3), refused.ToString());
        Assert.That(refused.Output, Does.Contain($"{cluster.Redis[1].Address} alone may hold a write"));
        Assert.That(await cluster.Redis[2].RoleAsync(), Is.EqualTo("slave"));
        Assert.That((await cluster.TopologyAsync()).Master, Is.Null);

        cluster.Redis[1].Thaw();
        Topology after = await cluster.WaitForAsync("It is promoted", topology => topology.State == TopologyState.Ok, Long);
        Assert.That(after.Master, Is.EqualTo(cluster.Redis[1].Address));
        Assert.That((await cluster.Redis[1].CommandAsync("GET", "w")).Text, Is.EqualTo("kept"));
    }

    [Test]
    public async Task An_operator_may_force_what_write_safety_waits_for_and_the_history_says_so()
    {
        await using Cluster cluster = await StartAsync();
        await CutOffTheOnlyHolderAsync(cluster, "given up");

        CliResult forced = await CliProcess.RunAsync(["switchover", "--force", "--zk", cluster.ConnectionString]);
        Assert.That(forced.ExitCode, Is.Zero, $"{forced}\n{cluster.Explain()}");
        Topology after = await cluster.WaitForAsync("The other replica is master", topology => topology.State == TopologyState.Ok, Long);
        Assert.That(after.Master, Is.EqualTo(cluster.Redis[2].Address));
        HistoryEntry entry = (await cluster.HistoryAsync()).Last(e => e.Kind == HistoryKind.Failover);
        Assert.That(entry.Reason,
            Does.Contain("by the operator's order").And.Contain($"{cluster.Redis[1].Address} alone may hold a write"));
        cluster.Redis[1].Thaw();
    }

    [Test]
    public async Task Writes_that_WAIT_1_acknowledged_survive_the_loss_of_master_and_of_either_replica()
    {
        await using Cluster cluster = await StartAsync();
        for (int round = 0; round < 3; round++)
        {
            Topology before = await cluster.WaitUntilWholeAsync(Long);
            await cluster.WaitUntilSafeAsync();
            RedisServer master = cluster.Node(before.Master!);
            RedisServer replica = cluster.Node(before.Replicas[round % 2]);
            List<string> acknowledged = [];
            Task writing = WriteUntilLostAsync(master, $"round{round}", acknowledged);
            await Eventually.HoldsAsync("Writes are acknowledged", () => Count(acknowledged) > 100, Long, cluster.Explain);
            // One replica hangs, then the master dies; the replica returns.
            replica.Freeze();
            int soFar = Count(acknowledged);
            await Eventually.HoldsAsync("Writes go on with one replica", () => Count(acknowledged) > soFar + 20, Long, cluster.Explain);
            await master.KillAsync();
            await writing;
            replica.Thaw();

            Topology after = await cluster.WaitForAsync(
                "There is another master", topology => topology.State == TopologyState.Ok && topology.Master != before.Master, Long);
            HashSet<string?> kept =
                [.. (await cluster.Node(after.Master!).CommandAsync("SMEMBERS", $"round{round}")).Items.Select(item => item.Text)];
            Assert.That(acknowledged.Where(number => !kept.Contains(number)), Is.Empty, cluster.Explain());
            await master.RestartAsync();
        }
    }

    private static async Task<Cluster> StartAsync()
    {
        Cluster cluster = await Cluster.StartAsync(new ClusterOptions
        {
            MonitorOptions = new MonitorOptions
            {
                SessionTimeout = TimeSpan.FromSeconds(2),
                ProbeTimeout = TimeSpan.FromMilliseconds(300),
                More = ["--write-safety", "replicated", "--write-max-lag", "2"],
            },
        });
        try
        {
            await cluster.WaitUntilWholeAsync();
            await cluster.WaitUntilSafeAsync();
            return cluster;
        }
        catch
        {
            await cluster.DisposeAsync();
            throw;
        }
    }

    /// <summary>
    /// A write that WAIT 1 acknowledged is on redis 1 alone, which hangs; the master is dead, and redis 2 is there without it.
    /// </summary>
    private static async Task CutOffTheOnlyHolderAsync(Cluster cluster, string value)
    {
        RedisServer master = cluster.Redis[0];
        foreach (MonitorProcess monitor in cluster.Monitors)
        {
            // In one blow, as far as the monitors can see.
            monitor.Freeze();
        }

        cluster.Redis[2].Freeze();
        await LeaveAttachedAsync(master, cluster.Redis[1].Port);
        await using (RedisWire wire = await master.ConnectAsync())
        {
            await wire.CommandAsync(["SET", "w", value]);
            Assert.That((await wire.CommandAsync(["WAIT", "1", "5000"])).Text, Is.EqualTo("1"));
        }

        cluster.Redis[1].Freeze();
        await master.KillAsync();
        cluster.Redis[2].Thaw();
        foreach (MonitorProcess monitor in cluster.Monitors)
        {
            monitor.Thaw();
        }

        await Eventually.HoldsAsync(
            "A monitor says for which node it waits",
            () => cluster.Monitors.Any(m
                => m.Process.Output.Any(line => line.Contains($"no failover yet: {cluster.Redis[1].Address}", StringComparison.Ordinal))),
            Long,
            cluster.Explain);
    }

    /// <summary>
    /// Closes the master's links to its replicas, until one alone is attached: the one that listens there, while others are frozen.
    /// </summary>
    private static async Task LeaveAttachedAsync(RedisServer master, int port)
    {
        await master.CommandAsync("CLIENT", "KILL", "TYPE", "replica");
        await Eventually.HoldsAsync(
            "the replica is back", ct => master.CommandAsync(["INFO", "replication"], ct),
            reply => reply.Text!.Contains("connected_slaves:1\r\n", StringComparison.Ordinal)
                && reply.Text.Contains(string.Create(CultureInfo.InvariantCulture, $"port={port},state=online"), StringComparison.Ordinal));
    }

    private static async Task WriteUntilLostAsync(RedisServer master, string key, List<string> acknowledged)
    {
        try
        {
            await using RedisWire wire = await master.ConnectAsync();
            for (int i = 0; ; i++)
            {
                string number = i.ToString(CultureInfo.InvariantCulture);
                await wire.CommandAsync(["SADD", key, number]);
                if ((await wire.CommandAsync(["WAIT", "1", "1000"])).Text != "0")
                {
                    lock (acknowledged)
                    {
                        acknowledged.Add(number);
                    }
                }
            }
        }
        catch (Exception e) when (e is IOException or System.Net.Sockets.SocketException or RedisErrorException)
        {
            // The master is gone.
        }
    }

    private static int Count(List<string> acknowledged)
    {
        lock (acknowledged)
        {
            return acknowledged.Count;
        }
    }

    private static async Task<string> WriteAsync(RedisServer node, CancellationToken ct = default)
    {
        try
        {
            return (await node.CommandAsync(["SET", "probe", "x"], ct)).Text!;
        }
        catch (RedisErrorException e)
        {
            return e.Message;
        }
    }

    private static async Task<string> MinReplicasAsync(RedisServer node, CancellationToken ct = default)
        => (await node.CommandAsync(["CONFIG", "GET", "min-replicas-to-write"], ct))[1].Text!;
}
