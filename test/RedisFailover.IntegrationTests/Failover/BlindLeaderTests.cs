using NUnit.Framework;
using RedisFailover.IntegrationTests.Harness;

namespace RedisFailover.IntegrationTests.Failover;

/// <summary>
/// A leader that reaches ZooKeeper and not the nodes: the other monitors do not miss it, and only it can carry out a failover.
/// </summary>
[TestFixture]
[Parallelizable(ParallelScope.All)]
public sealed class BlindLeaderTests
{
    [Test]
    public async Task A_leader_that_is_cut_off_from_all_nodes_while_the_master_dies_leaves_the_failover_to_another()
    {
        await using Cluster cluster = await StartAsync();
        Topology before = await cluster.WaitUntilWholeAsync();
        await cluster.WaitForAllViewsAsync();
        MonitorProcess leader = await cluster.LeaderAsync();
        CutOff(cluster, leader);
        cluster.Redis[0].Kill();
        cluster.Proxies[0].Cut();

        Topology after = await cluster.WaitForAsync(
            "Another leader promotes a replica", topology
                => topology.State == TopologyState.Ok && topology.Master != before.Master, TimeSpan.FromSeconds(60));
        Assert.That(after.ChangedBy, Is.Not.EqualTo(leader.Id), cluster.Explain());
        RedisReply written = await cluster.Node(after.Master!).CommandAsync("SET", "k", "v");
        Assert.That(written.Text, Is.EqualTo("OK"));
        await leader.Process.WaitForLineAsync(line => line.Contains("gave up leadership", StringComparison.Ordinal));
        await leader.Process.WaitForLineAsync(line => line.Contains("does not stand for election", StringComparison.Ordinal));
    }

    [Test]
    public async Task A_leader_that_is_cut_off_in_calm_gives_up_its_lead_and_may_lead_again_when_it_sees_as_well_as_the_others()
    {
        await using Cluster cluster = await StartAsync();
        await cluster.WaitUntilWholeAsync();
        await cluster.WaitForAllViewsAsync();
        MonitorProcess leader = await cluster.LeaderAsync();
        CutOff(cluster, leader);
        await cluster.WaitForOtherLeaderAsync(leader, TimeSpan.FromSeconds(60));
        await leader.Process.WaitForLineAsync(line => line.Contains("gave up leadership", StringComparison.Ordinal));
        await cluster.WaitUntilWholeAsync();

        // It sees as well as the others again, and may lead again: when the others are gone, it does.
        foreach (FaultProxy proxy in cluster.Proxies)
        {
            proxy.Reconnect(leader.Pid);
        }

        foreach (MonitorProcess other in cluster.Monitors.Where(m => m != leader))
        {
            await other.KillAsync();
        }

        await Eventually.HoldsAsync("The former leader leads again", ct
            => cluster.LeaderAsync(ct: ct), m => m == leader, TimeSpan.FromSeconds(60), cluster.Explain);
    }

    [Test]
    public async Task A_switchover_while_the_leader_alone_cannot_reach_the_master_makes_no_failover_of_it()
    {
        await using Cluster cluster = await StartAsync();
        Topology before = await cluster.WaitUntilWholeAsync();
        await cluster.WaitForAllViewsAsync();
        MonitorProcess leader = await cluster.LeaderAsync();
        cluster.Proxies[cluster.Addresses.IndexOf(before.Master!)].CutOff(leader.Pid);
        await leader.Process.WaitForLineAsync(
            line => line.Contains($"cannot reach master {before.Master}", StringComparison.Ordinal));
        CliResult asked = await CliProcess.RunAsync(["switchover", "--zk", cluster.ConnectionString]);

        // Refused by that leader, or by the next where the machine is too slow for an answer; or carried out by it: nothing is lost.
        if (asked.ExitCode == 0)
        {
            Assert.That(asked.Output, Does.Not.Contain("failover"), cluster.Explain());
        }
        else
        {
            Assert.That(asked.Output + asked.Errors,
                Does.Contain("does not answer the leading monitor").Or.Contain("no replica can take over"), cluster.Explain());
            Assert.That((await cluster.TopologyAsync()).Master, Is.EqualTo(before.Master), cluster.Explain());
        }

        Assert.That((await cluster.HistoryAsync()).Where(entry => entry.Kind == HistoryKind.Failover), Is.Empty, cluster.Explain());
    }

    // Long enough for a machine that is busy: only the leader shall miss the nodes.
    private static Task<Cluster> StartAsync() => Cluster.StartAsync(new ClusterOptions
    {
        Proxies = true,
        MonitorOptions = new MonitorOptions { SessionTimeout = TimeSpan.FromSeconds(2), ProbeTimeout = TimeSpan.FromSeconds(1) },
    });

    private static void CutOff(Cluster cluster, MonitorProcess monitor)
    {
        foreach (FaultProxy proxy in cluster.Proxies)
        {
            proxy.CutOff(monitor.Pid);
        }
    }
}
