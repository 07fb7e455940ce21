using System.Collections.Immutable;
using System.Globalization;
using NUnit.Framework;
using RedisFailover.IntegrationTests.Harness;

namespace RedisFailover.IntegrationTests.Failover;

/// <summary>While a failover waits, the replicas are kept from the lost master: it may come back with nothing.</summary>
[TestFixture]
[Parallelizable(ParallelScope.All)]
public sealed class DetachmentTests
{
    private static readonly TimeSpan Long = TimeSpan.FromSeconds(60);

    [Test]
    public async Task A_lost_master_that_returns_empty_does_not_wipe_a_replica_that_may_not_be_promoted()
    {
        await using Cluster cluster =
            await StartAsync(2, (cluster, options) => options with { More = ["--never-promote", cluster.Addresses[1].ToString()] });
        await cluster.SetDataAsync();
        await cluster.Redis[0].KillAsync();
        await cluster.WaitForAsync("The failover waits", topology => topology.State == TopologyState.FailingOver);
        await cluster.WaitUntilDetachedAsync(cluster.Redis[1]);
        await cluster.Redis[0].RestartEmptyAsync();
        await KeepsDataAsync(cluster, cluster.Redis[1]);
        Assert.That((await cluster.TopologyAsync()).Master, Is.Null);

        // The operator takes it all the same.
        CliResult forced =
            await CliProcess.RunAsync(["switchover", cluster.Redis[1].Address.ToString(), "--force", "--zk", cluster.ConnectionString]);
        Assert.That(forced.ExitCode, Is.Zero, $"{forced}\n{cluster.Explain()}");
        await cluster.WaitForDataAsync(cluster.Redis[0]);
    }

    [Test]
    public async Task A_lost_master_that_returns_empty_does_not_wipe_a_replica_while_the_next_failover_has_to_wait_for_its_interval()
    {
        await using Cluster cluster = await StartAsync(3, (_, options) => options with { More = ["--failover-interval", "600000"] });
        await cluster.SetDataAsync();
        await cluster.Redis[0].KillAsync();
        Topology second = await cluster.WaitForAsync("A replica is master", topology
                => topology.State == TopologyState.Ok && topology.Master != cluster.Addresses[0]);
        RedisServer master = cluster.Node(second.Master!);
        RedisServer last = cluster.Redis.Single(redis => redis != master && redis != cluster.Redis[0]);
        await cluster.WaitUntilFollowingAsync(last, master);
        await master.KillAsync();
        await cluster.WaitUntilDetachedAsync(last);
        Assert.That((await cluster.TopologyAsync()).Master, Is.EqualTo(second.Master), "the interval holds the failover back");
        await master.RestartEmptyAsync();
        // A master that has lost its data is replaced at once.
        await cluster.WaitForAsync("The replica is master", topology
            => topology.State == TopologyState.Ok && topology.Master == last.Address, Long);
        await cluster.WaitForDataAsync(master);
        await cluster.WaitForDataAsync(last);
    }

    [Test]
    public async Task A_lost_master_that_returns_empty_does_not_wipe_its_replicas_while_too_few_monitors_are_there()
    {
        await using Cluster cluster = await StartAsync(3, (_, options) => options with { More = ["--required-monitors", "2"] });
        await cluster.SetDataAsync();
        MonitorProcess leader = await cluster.LeaderAsync();
        foreach (MonitorProcess other in cluster.Monitors.Where(monitor => monitor != leader))
        {
            await other.KillAsync();
        }

        await Eventually.HoldsAsync(
            "The others' sessions have expired",
            _ => Task.FromResult(leader.Process.Tail(60).Split(" is gone").Length - 1),
            gone => gone == 2,
            Long,
            cluster.Explain);
        await cluster.Redis[0].KillAsync();
        await cluster.WaitUntilDetachedAsync(cluster.Redis[1]);
        await cluster.WaitUntilDetachedAsync(cluster.Redis[2]);
        await cluster.Redis[0].RestartEmptyAsync();
        await KeepsDataAsync(cluster, cluster.Redis[1]);
        await KeepsDataAsync(cluster, cluster.Redis[2]);

        await cluster.StartMonitorAsync(options => options with { More = ["--required-monitors", "2"] });
        await cluster.WaitForAsync("A replica is master", topology
            => topology.State == TopologyState.Ok && topology.Master != cluster.Addresses[0], Long);
        await cluster.WaitForDataAsync(cluster.Redis[0]);
    }

    [Test]
    public async Task A_new_leader_among_too_few_monitors_does_not_give_the_replicas_back_to_a_master_that_came_back_empty()
    {
        await using Cluster cluster = await StartAsync(3, (_, options) => options with { More = ["--required-monitors", "3"] });
        await cluster.SetDataAsync();
        MonitorProcess leader = await cluster.LeaderAsync();
        MonitorProcess gone = cluster.Monitors.First(monitor => monitor != leader);
        await gone.KillAsync();
        await Eventually.HoldsAsync(
            "Its session has expired", _
                => Task.FromResult(leader.Process.Tail(60)), log
                    => log.Contains($"{gone.Id} is gone", StringComparison.Ordinal), Long, cluster.Explain);
        await cluster.Redis[0].KillAsync();
        await cluster.WaitUntilDetachedAsync(cluster.Redis[1]);
        await cluster.WaitUntilDetachedAsync(cluster.Redis[2]);
        await cluster.Redis[0].RestartEmptyAsync();
        await KeepsDataAsync(cluster, cluster.Redis[1]);
        leader.Process.Terminate();
        MonitorProcess next = await cluster.WaitForOtherLeaderAsync(leader, Long);
        await Eventually.HoldsAsync(
            "The new leader leads", _
                => Task.FromResult(next.Process.Tail(60)), log
                    => log.Contains("this monitor leads", StringComparison.Ordinal), Long, cluster.Explain);

        await cluster.StartMonitorAsync(options => options with { More = ["--required-monitors", "3"] });
        await cluster.StartMonitorAsync(options => options with { More = ["--required-monitors", "3"] });
        Topology after = await cluster.WaitForAsync("A replica is master", topology
                => topology.State == TopologyState.Ok && topology.Master != cluster.Addresses[0], Long);
        await cluster.WaitForDataAsync(cluster.Node(after.Master!));
        await cluster.WaitForDataAsync(cluster.Redis[0]);
    }

    [Test]
    public async Task A_replica_that_may_not_be_promoted_and_turns_up_as_a_master_is_not_taken_for_one_that_the_former_leader_promoted()
    {
        await using Cluster cluster = await StartAsync(
            3, (cluster, options) => options with { More = ["--never-promote", $"{cluster.Addresses[1]},{cluster.Addresses[2]}"] });
        await cluster.SetDataAsync();
        await cluster.Redis[0].KillAsync();
        await cluster.WaitUntilDetachedAsync(cluster.Redis[1]);
        await cluster.WaitUntilDetachedAsync(cluster.Redis[2]);
        RedisReply promoted = await cluster.Redis[1].CommandAsync("REPLICAOF", "NO", "ONE");
        Assert.That(promoted.Text, Is.EqualTo("OK"));
        MonitorProcess leader = await cluster.LeaderAsync();
        await leader.KillAsync();
        MonitorProcess next = await cluster.WaitForOtherLeaderAsync(leader, Long);
        await Eventually.HoldsAsync(
            "The new leader says why nobody is fit", _
                => Task.FromResult(next.Process.Tail(60)), log
                    => log.Contains("nobody can be promoted", StringComparison.Ordinal), Long, cluster.Explain);
        Assert.That((await cluster.TopologyAsync()).Master, Is.Null, cluster.Explain());
    }

    [Test]
    public async Task A_lost_master_that_returns_empty_does_not_wipe_a_replica_while_write_safety_waits_for_another()
    {
        await using Cluster cluster = await StartAsync(3, (_, options) => options with { More = ["--write-safety", "replicated"] });
        await cluster.SetDataAsync();
        await cluster.WaitUntilSafeAsync();
        cluster.Redis[1].Kill();
        cluster.Redis[0].Kill();
        await cluster.WaitUntilDetachedAsync(cluster.Redis[2]);
        Assert.That((await cluster.TopologyAsync()).Master, Is.Null);
        await cluster.Redis[0].RestartEmptyAsync();
        await KeepsDataAsync(cluster, cluster.Redis[2]);
        Assert.That(await cluster.Redis[2].RoleAsync(), Is.EqualTo("slave"));
    }

    [Test]
    public async Task A_master_that_goes_on_as_it_was_gets_its_replicas_back_without_a_full_copy()
    {
        await using Cluster cluster =
            await StartAsync(2, (cluster, options) => options with { More = ["--never-promote", cluster.Addresses[1].ToString()] });
        await cluster.SetDataAsync();
        string copies = (await cluster.Redis[0].InfoAsync("stats"))["sync_full"];
        cluster.Redis[0].Freeze();
        try
        {
            await cluster.WaitForAsync("The failover waits", topology => topology.State == TopologyState.FailingOver, Long);
            await cluster.WaitUntilDetachedAsync(cluster.Redis[1]);
        }
        finally
        {
            cluster.Redis[0].Thaw();
        }

        await cluster.WaitUntilWholeAsync(Long);
        await cluster.WaitUntilFollowingAsync(cluster.Redis[1], cluster.Redis[0]);
        Assert.That((await cluster.Redis[0].InfoAsync("stats"))["sync_full"], Is.EqualTo(copies));
    }

    [Test]
    public async Task A_master_that_only_the_monitors_cannot_reach_has_no_replica_any_more_that_acknowledges_its_writes()
    {
        await using Cluster cluster = await Cluster.StartAsync(new ClusterOptions
        {
            Proxies = true,
            MonitorOptions = new MonitorOptions
            {
                SessionTimeout = TimeSpan.FromSeconds(2), ProbeTimeout = TimeSpan.FromMilliseconds(300),
                    More = ["--write-safety", "replicated", "--write-max-lag", "60"],
            },
        });
        // On a machine that stands still for a second at the start it need not be the first one.
        NodeAddress old = (await cluster.WaitUntilWholeAsync()).Master!;
        int place = cluster.Addresses.ToList().IndexOf(old);
        await cluster.WaitForSafetyAsync("Both replicas may hold writes", safety => safety.Replicas.Length == 2);
        foreach (MonitorProcess monitor in cluster.Monitors)
        {
            cluster.Proxies[place].CutOff(monitor.Process.Pid);
        }

        // A client on the old master's side of the cut goes on until long after the new one serves.
        List<int> acknowledged = [];
        await using RedisWire client = await cluster.Redis[place].ConnectAsync();
        Topology? after = null;
        for (int i = 0, since = 0; since < 20; i++)
        {
            try
            {
                await client.CommandAsync(["SET", string.Create(CultureInfo.InvariantCulture, $"w{i}"), "v"]);
                if ((await client.CommandAsync(["WAIT", "1", "50"])).Text is "1" or "2")
                {
                    acknowledged.Add(i);
                }
            }
            catch (RedisErrorException e) when (e.Message.StartsWith("NOREPLICAS", StringComparison.Ordinal))
            {
                // It has no replica any more and refuses writes, which is as good.
            }

            Topology now = await cluster.TopologyAsync();
            after = now is { State: TopologyState.Ok, Master: { } master } && master != old ? now : after;
            since += after is null ? 0 : 1;
        }

        Assert.That(acknowledged, Is.Not.Empty, cluster.Explain());
        foreach (int i in acknowledged)
        {
            RedisReply found = await cluster.Node(after!.Master!).CommandAsync("GET", string.Create(CultureInfo.InvariantCulture, $"w{i}"));
            Assert.That(found.Text, Is.EqualTo("v"),
                $"write {i} of {acknowledged.Count} was on a replica, and is lost\n{cluster.Explain()}");
        }
    }

    [Test]
    public async Task What_a_replica_that_was_held_up_has_not_read_yet_when_the_master_dies_is_not_lost()
    {
        await using Cluster cluster = await Cluster.StartAsync(new ClusterOptions
        {
            Redis = 2,
            MonitorOptions = new MonitorOptions { SessionTimeout = TimeSpan.FromSeconds(2), ProbeTimeout = TimeSpan.FromSeconds(10) },
        });
        await cluster.WaitUntilWholeAsync();
        await cluster.WaitForAllViewsAsync();
        // Less than a new connection's window, and more than Redis reads in one go: it waits at the replica's host.
        cluster.Redis[1].Freeze();
        await cluster.Redis[0].CommandAsync("EVAL", "for i = 1, 40 do redis.call('SET', 'k' .. i, string.rep('v', 1000)) end", "0");
        string sent = (await cluster.Redis[0].InfoAsync("replication"))["master_repl_offset"];
        await cluster.Redis[0].KillAsync();
        await cluster.WaitForAsync("The failover waits for the replica", topology => topology.State == TopologyState.FailingOver);
        cluster.Redis[1].Thaw();
        await cluster.WaitForAsync("The replica is master", topology
            => topology.State == TopologyState.Ok && topology.Master == cluster.Redis[1].Address);
        Assert.That((await cluster.Redis[1].CommandAsync("DBSIZE")).Text, Is.EqualTo("40"), $"{sent} bytes\n{cluster.Explain()}");
    }

    /// <summary>Without any delay before a full copy: a replica that goes back to an empty master is wiped as fast as can be.</summary>
    private static async Task<Cluster> StartAsync(int nodes, Func<Cluster, MonitorOptions, MonitorOptions> change)
    {
        Cluster cluster = await Cluster.StartAsync(new ClusterOptions
        {
            Redis = nodes, Monitors = 0, RedisOptions = new RedisServerOptions { ConfLines = ["repl-diskless-sync-delay 0"] },
        });
        for (int i = 0; i < 3; i++)
        {
            await cluster.StartMonitorAsync(options => change(cluster, options));
        }

        await cluster.WaitUntilWholeAsync();
        await cluster.WaitForAllViewsAsync();
        return cluster;
    }

    /// <summary>
    /// It has had the time for several attempts, which Redis makes each second, to go back to the master that was restarted, and has its
    /// data.
    /// </summary>
    private static async Task KeepsDataAsync(Cluster cluster, RedisServer redis)
    {
        await Eventually.HoldsAsync(
            "The master has been back for some seconds",
            async ct => int.Parse((await cluster.Redis[0].InfoAsync("server", ct))["uptime_in_seconds"], CultureInfo.InvariantCulture),
            seconds => seconds >= 4,
            Long,
            cluster.Explain);
        Assert.That(await Cluster.HasDataAsync(redis), Is.True, cluster.Explain());
        ImmutableDictionary<string, string> info = await cluster.Redis[0].InfoAsync("stats");
        Assert.That(info["sync_full"], Is.EqualTo("0"), "nobody copied from it");
    }
}
