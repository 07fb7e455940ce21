using System.Diagnostics;
using NUnit.Framework;
using RedisFailover.IntegrationTests.Harness;

namespace RedisFailover.IntegrationTests.Failover;

[TestFixture]
[Parallelizable(ParallelScope.All)]
public sealed class LeadershipTests
{
    [Test]
    public async Task When_the_leader_is_killed_another_leads_and_the_topology_is_untouched()
    {
        await using Cluster cluster = await Cluster.StartAsync();
        Topology before = await cluster.WaitUntilWholeAsync();
        MonitorProcess leader = await cluster.LeaderAsync();

        long killed = Stopwatch.GetTimestamp();
        await leader.KillAsync();
        MonitorProcess next = await cluster.WaitForOtherLeaderAsync(leader);
        // Far from tight, for a busy machine: it is about a successor that waits for more than the session.
        Assert.That(Stopwatch.GetElapsedTime(killed),
            Is.LessThan(cluster.Options.MonitorOptions.SessionTimeout!.Value + TimeSpan.FromSeconds(8)));
        // It has to do its work, too, and not only hold the title.
        await cluster.Redis[2].KillAsync();
        Topology after = await cluster.WaitForAsync(
            "The new leader takes note of a dead replica", topology => topology.Unavailable.Contains(cluster.Redis[2].Address));
        Assert.That(after.ChangedBy, Is.EqualTo(next.Id));
        Assert.That(after.Master, Is.EqualTo(before.Master));
        Assert.That(after.Epoch, Is.EqualTo(before.Epoch));
    }

    [Test]
    public async Task When_the_leader_is_killed_the_topology_znode_is_not_written()
    {
        await using Cluster cluster = await Cluster.StartAsync();
        await cluster.WaitUntilWholeAsync();
        int before = await cluster.VersionAsync("/nodes");
        MonitorProcess leader = await cluster.LeaderAsync();
        await leader.KillAsync();
        await cluster.WaitForOtherLeaderAsync(leader);
        Assert.That(await cluster.VersionAsync("/nodes"), Is.EqualTo(before), cluster.Explain());
    }

    [Test]
    [Category("Quick")]
    public async Task When_leader_and_master_are_killed_together_both_are_replaced()
    {
        await using Cluster cluster = await Cluster.StartAsync();
        Topology before = await cluster.WaitUntilWholeAsync();
        MonitorProcess leader = await cluster.LeaderAsync();

        leader.Kill();
        cluster.Redis[0].Kill();
        await cluster.WaitForOtherLeaderAsync(leader);
        Topology after = await cluster.WaitForAsync("A replica is master", topology
                => topology.State == TopologyState.Ok && topology.Master != before.Master);
        Assert.That(after.Epoch, Is.GreaterThan(before.Epoch));
        Assert.That(await cluster.Node(after.Master!).RoleAsync(), Is.EqualTo("master"));

        await leader.RestartAsync();
        await cluster.Redis[0].RestartAsync();
        Topology whole = await cluster.WaitUntilWholeAsync();
        Assert.That(whole.Master, Is.EqualTo(after.Master));
    }

    [Test]
    public async Task A_leader_that_is_told_to_stop_ends_with_0_and_another_leads_without_waiting_for_its_session()
    {
        // A session so long that only giving up leadership explains a quick successor.
        await using Cluster cluster = await Cluster.StartAsync(
            new ClusterOptions { MonitorOptions = new MonitorOptions { SessionTimeout = TimeSpan.FromSeconds(10) } });
        await cluster.WaitUntilWholeAsync();
        MonitorProcess leader = await cluster.LeaderAsync();

        long told = Stopwatch.GetTimestamp();
        int exitCode = await leader.TerminateAsync();
        Assert.That(exitCode, Is.Zero, leader.Process.Tail());
        await cluster.WaitForOtherLeaderAsync(leader);
        Assert.That(Stopwatch.GetElapsedTime(told), Is.LessThan(TimeSpan.FromSeconds(8)), cluster.Explain());
    }

    [Test]
    public async Task A_leader_that_is_frozen_past_its_session_does_nothing_any_more_when_it_wakes()
    {
        await using Cluster cluster = await Cluster.StartAsync();
        Topology before = await cluster.WaitUntilWholeAsync();
        MonitorProcess leader = await cluster.LeaderAsync();

        leader.Freeze();
        MonitorProcess next = await cluster.WaitForOtherLeaderAsync(leader);
        await cluster.Redis[0].KillAsync();
        Topology after = await cluster.WaitForAsync("A replica is master", topology
                => topology.State == TopologyState.Ok && topology.Master != before.Master);
        leader.Thaw();
        await leader.Process.WaitForLineAsync(line => line.Contains("no longer leads", StringComparison.Ordinal));
        await cluster.Redis[0].RestartAsync();
        Topology whole = await cluster.WaitUntilWholeAsync();
        Assert.That(whole.Master, Is.EqualTo(after.Master));
        Assert.That(whole.Epoch, Is.EqualTo(after.Epoch));
        Assert.That((await cluster.LeaderAsync()).Id, Is.EqualTo(next.Id));
        // It saw the master gone before it knew that it leads no more; whoever reads its log is not left with a failover that never came.
        Assert.That(leader.Process.Output.Count(line => line.Contains("FAILOVER NOT STARTED", StringComparison.Ordinal)),
            Is.EqualTo(leader.Process.Output.Count(line => line.Contains("MASTER LOST", StringComparison.Ordinal))));
    }

    /// <summary>
    /// A monitor whose report is gone counts as gone: with the others' deleted, one alone would decide. Nobody but the leader writes who
    /// leads, and the tool reads it there.
    /// </summary>
    [Test]
    public async Task What_somebody_deletes_or_overwrites_below_the_root_the_monitors_write_again()
    {
        await using Cluster cluster = await Cluster.StartAsync();
        Topology before = await cluster.WaitUntilWholeAsync();
        await cluster.WaitForAllViewsAsync();
        MonitorProcess leader = await cluster.LeaderAsync();
        int term = await cluster.VersionAsync("/term");

        foreach (MonitorProcess monitor in cluster.Monitors)
        {
            await cluster.DeleteAsync($"/monitors/{monitor.Id}");
        }

        await cluster.WriteAsync("/leader", "nonsense");
        // Long before the time at which they would tell their views again of themselves.
        await Eventually.HoldsAsync(
            "All views are there again", ct => cluster.ChildrenAsync("/monitors", ct), names => names.Length == 3,
            TimeSpan.FromSeconds(30), cluster.Explain);
        await cluster.WaitForAllViewsAsync();
        Assert.That((await cluster.LeaderAsync(TimeSpan.FromSeconds(30))).Id, Is.EqualTo(leader.Id));
        Assert.That(await cluster.VersionAsync("/term"), Is.EqualTo(term), cluster.Explain());
        Topology after = await cluster.TopologyAsync();
        Assert.That((after.Master, after.Epoch), Is.EqualTo((before.Master, before.Epoch)));
    }
}
