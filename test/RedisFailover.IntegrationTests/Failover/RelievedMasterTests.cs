using NUnit.Framework;
using RedisFailover.IntegrationTests.Harness;

namespace RedisFailover.IntegrationTests.Failover;

/// <summary>Masters that live and cannot go on.</summary>
[TestFixture]
[Parallelizable(ParallelScope.All)]
public sealed class RelievedMasterTests
{
    [Test]
    public async Task A_master_that_most_monitors_cannot_reach_hands_over_without_losing_a_write()
    {
        await using Cluster cluster = await Cluster.StartAsync(new ClusterOptions
        {
            Proxies = true,
            MonitorOptions = new MonitorOptions { SessionTimeout = TimeSpan.FromSeconds(2), ProbeTimeout = TimeSpan.FromSeconds(1) },
        });
        Topology before = await cluster.WaitUntilWholeAsync();
        MonitorProcess leader = await cluster.LeaderAsync();
        await cluster.Redis[0].CommandAsync("SET", "k", "v");
        foreach (MonitorProcess other in cluster.Monitors.Where(m => m != leader))
        {
            cluster.Proxies[0].CutOff(other.Pid);
        }

        Topology after = await cluster.WaitForAsync(
            "The master is replaced", topology
                => topology.State == TopologyState.Ok && topology.Master != before.Master, TimeSpan.FromSeconds(60));
        HistoryEntry entry =
            await cluster.WaitForHistoryAsync("The switchover is recorded", e => e.Epoch == after.Epoch && e.To == after.Master);
        Assert.That((entry.Kind, entry.BytesBehind ?? 0), Is.EqualTo((HistoryKind.Switchover, 0L)), cluster.Explain());
        Assert.That(entry.Millis.Select(step => step.Key), Does.Contain("pause"), cluster.Explain());
        Assert.That((await cluster.Node(after.Master!).CommandAsync("GET", "k")).Text, Is.EqualTo("v"));
        await Eventually.HoldsAsync(
            "The old master follows the new one", cluster.Redis[0].MasterAsync, master => master == after.Master, explain: cluster.Explain);
    }

    [Test]
    public async Task A_master_that_refuses_writes_with_MISCONF_hands_over_when_its_time_is_up()
    {
        await using Cluster cluster = await Cluster.StartAsync(WithTimeout("--misconf-timeout", "1500"));
        Topology before = await cluster.WaitUntilWholeAsync();
        await cluster.Redis[0].CommandAsync("SET", "k", "v");
        await MakeSavingFailAsync(cluster.Redis[0]);
        Topology after = await cluster.WaitForAsync(
            "The master is replaced", topology
                => topology.State == TopologyState.Ok && topology.Master != before.Master, TimeSpan.FromSeconds(60));
        HistoryEntry entry =
            await cluster.WaitForHistoryAsync("The switchover is recorded", e => e.Epoch == after.Epoch && e.To == after.Master);
        Assert.That(entry.Kind, Is.EqualTo(HistoryKind.Switchover));
        Assert.That(entry.Reason, Does.Contain("MISCONF"));
        Assert.That((await cluster.Node(after.Master!).CommandAsync("GET", "k")).Text, Is.EqualTo("v"));
        Assert.That((await cluster.Node(after.Master!).CommandAsync("SET", "k", "w")).Text, Is.EqualTo("OK"));
    }

    [Test]
    public async Task A_master_that_is_stuck_in_LOADING_is_replaced_when_its_time_is_up()
    {
        // On a busy machine it is silent for a while before it says that it loads: that is not to be judged.
        ClusterOptions options = WithTimeout("--loading-timeout", "1000");
        await using Cluster cluster =
            await Cluster.StartAsync(options with { MonitorOptions = options.MonitorOptions with { MaxFailures = 60 } });
        Topology before = await cluster.WaitUntilWholeAsync();
        // 2000 keys that take 20 ms each to load; after a few of them Redis answers LOADING to whoever asks.
        await cluster.Redis[0].CommandAsync("EVAL", "for i = 1, 2000 do redis.call('SET', 'key:' .. i, string.rep('x', 100)) end", "0");
        foreach (RedisServer replica in cluster.Redis.Skip(1))
        {
            await Eventually.HoldsAsync("The replica has the data", ct
                => replica.CommandAsync(["DBSIZE"], ct), reply => reply.Text == "2000");
        }

        await cluster.Redis[0].CommandAsync("CONFIG", "SET", "key-load-delay", "20000");
        await cluster.Redis[0].CommandAsync("CONFIG", "SET", "loading-process-events-interval-bytes", "1024");
        await using RedisWire wire = await cluster.Redis[0].ConnectAsync();
        using CancellationTokenSource enough = new();
        Task<RedisReply> reload = wire.CommandAsync(["DEBUG", "RELOAD"], enough.Token);

        Topology after = await cluster.WaitForAsync(
            "The master is replaced", topology
                => topology.State == TopologyState.Ok && topology.Master != before.Master, TimeSpan.FromSeconds(60));
        Assert.That((await cluster.WaitForHistoryAsync("The failover is recorded", e => e.To == after.Master)).Reason,
            Does.Contain("loading"), cluster.Explain());
        Assert.That((await cluster.Node(after.Master!).CommandAsync("SET", "k", "w")).Text, Is.EqualTo("OK"));
        await enough.CancelAsync();
        await ((Task)reload).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
    }

    [Test]
    public async Task A_node_that_is_never_to_be_promoted_is_not_and_the_znode_and_the_tool_say_so()
    {
        await using Cluster cluster = await Cluster.StartAsync(new ClusterOptions { Monitors = 0, Redis = 2 });
        await cluster.StartMonitorAsync(options => options with { More = ["--never-promote", cluster.Addresses[1].ToString()] });
        Topology before = await cluster.WaitForAsync("It is listed", topology
                => topology.State == TopologyState.Ok && topology.NeverPromoted.Contains(cluster.Addresses[1]));
        await cluster.WaitUntilWholeAsync();
        await Eventually.HoldsAsync(
            "The tool says so", ct => CliProcess.RunAsync(["status", "--zk", cluster.ConnectionString], ct: ct),
            status => status.Output.Contains("never-promote", StringComparison.Ordinal)
                && status.Output.Contains("never to be promoted", StringComparison.Ordinal),
            explain: cluster.Explain);
        await cluster.Redis[0].KillAsync();
        Topology waiting = await cluster.WaitForAsync(
            "The znode says why nobody is promoted", topology
                => topology.State == TopologyState.FailingOver
                    && topology.Reason.Contains("never to be promoted", StringComparison.Ordinal));
        Assert.That(waiting.Master, Is.Null);

        // An operator may order it all the same.
        await cluster.CreateAsync("/manual_failover", cluster.Addresses[1].ToString());
        Topology after = await cluster.WaitForAsync("It is master by order", topology => topology.Master == cluster.Addresses[1]);
        HistoryEntry entry =
            await cluster.WaitForHistoryAsync("The order is recorded", e => e.Epoch == after.Epoch && e.To == after.Master);
        Assert.That(entry.Reason, Does.Contain("by the operator's order though it is configured never to be promoted"));
        Assert.That(after.Epoch, Is.EqualTo(before.Epoch + 1));
    }

    /// <summary>Save points are set, and the dump cannot be put in its place.</summary>
    private static async Task MakeSavingFailAsync(RedisServer redis)
    {
        await redis.CommandAsync("CONFIG", "SET", "save", "3600 1");
        redis.PutDirectoryInPlaceOfDump();
        await redis.CommandAsync("BGSAVE");
    }

    private static ClusterOptions WithTimeout(string option, string millis) => new()
    {
        MonitorOptions = new ClusterOptions()
            .MonitorOptions with { ProbeTimeout = TimeSpan.FromMilliseconds(500), More = [option, millis] },
        // DEBUG and its settings are for local connections only, by Redis' default not at all.
        RedisOptions = new RedisServerOptions { ConfLines = ["enable-debug-command yes"] },
    };
}
