using System.Collections.Immutable;
using NUnit.Framework;
using RedisFailover.IntegrationTests.Harness;

namespace RedisFailover.IntegrationTests.Failover;

[TestFixture]
[Parallelizable(ParallelScope.All)]
public sealed class PauseTests
{
    [Test]
    public async Task Nothing_is_promoted_while_failover_is_paused_and_everything_once_it_is_resumed()
    {
        await using Cluster cluster = await Cluster.StartAsync();
        Topology first = await cluster.WaitUntilWholeAsync();
        await cluster.WaitForAllViewsAsync();
        ImmutableArray<string> zk = ["--zk", cluster.ConnectionString];

        CliResult pause = await CliProcess.RunAsync(["pause", "--for", "30m", "--note", "a switch is replaced", .. zk]);
        Assert.That((pause.ExitCode, pause.Output), Is.EqualTo((0, pause.Output)), pause.ToString());
        Assert.That(pause.Output, Does.StartWith("done: failover is paused for 30 min, as ").And.EndWith(": a switch is replaced"));
        await WaitUntilAllSayAsync(cluster, "PAUSED, failover is paused until ");

        // The leader dies too: whoever leads next holds to the pause.
        MonitorProcess leader = await cluster.LeaderAsync();
        leader.Kill();
        cluster.Node(first.Master!).Kill();
        MonitorProcess next = await cluster.WaitForOtherLeaderAsync(leader);
        await next.Process.WaitForLineAsync(line => line.Contains("not done: ", StringComparison.Ordinal), TimeSpan.FromSeconds(20));
        Topology held = await cluster.TopologyAsync();
        Assert.That((held.Master, held.Epoch, held.State), Is.EqualTo((first.Master, first.Epoch, TopologyState.Ok)));
        foreach (NodeAddress replica in first.Replicas)
        {
            Assert.That(await cluster.Node(replica).MasterAsync(), Is.EqualTo(first.Master));
        }

        CliResult status = await CliProcess.RunAsync(["status", .. zk]);
        Assert.That(status.Output, Does.Contain("paused   failover is paused until ").And.Contain("a switch is replaced"));
        CliResult refused = await CliProcess.RunAsync(["switchover", .. zk]);
        Assert.That((refused.ExitCode, refused.Output), Is.EqualTo((3, refused.Output)), refused.ToString());
        Assert.That(refused.Output, Does.Contain("failover is paused until "));

        CliResult resume = await CliProcess.RunAsync(["resume", .. zk]);
        Assert.That(resume.ExitCode, Is.Zero, resume.ToString());
        await cluster.WaitForAsync("A replica is master", t => t.State == TopologyState.Ok && t.Master != first.Master);
        await cluster.WaitForHistoryAsync("The pause is noted", e => e.Kind == HistoryKind.Paused);
        await cluster.WaitForHistoryAsync("Its end is noted", e => e.Kind == HistoryKind.Resumed);
        CliResult again = await CliProcess.RunAsync(["resume", .. zk]);
        Assert.That((again.ExitCode, again.Output), Is.EqualTo((0, "done: failover is not paused: nothing to do")));
    }

    [Test]
    public async Task A_pause_ends_by_itself_and_what_was_held_back_is_done()
    {
        await using Cluster cluster = await Cluster.StartAsync();
        Topology first = await cluster.WaitUntilWholeAsync();
        Assert.That((await CliProcess.RunAsync(["pause", "--for", "4s", "--zk", cluster.ConnectionString])).ExitCode, Is.Zero);
        cluster.Node(first.Master!).Kill();
        await cluster.WaitForAsync("A replica is master", t
            => t.State == TopologyState.Ok && t.Master != first.Master, TimeSpan.FromSeconds(20));
        ImmutableArray<HistoryEntry> history = await cluster.HistoryAsync();
        HistoryEntry paused = history.Single(e => e.Kind == HistoryKind.Paused);
        HistoryEntry resumed = await cluster.WaitForHistoryAsync("The end of the pause", e => e.Kind == HistoryKind.Resumed);
        Assert.That(resumed.At - paused.At, Is.GreaterThan(TimeSpan.FromSeconds(3.9)));
        HistoryEntry failover = await cluster.WaitForHistoryAsync("The failover", e => e.Kind == HistoryKind.Failover);
        Assert.That(failover.At, Is.GreaterThan(resumed.At - TimeSpan.FromMilliseconds(50)));
        Assert.That(ClusterConfigJson.Parse(await cluster.ReadAsync("/config")).Pause, Is.Null);
    }

    private static async Task WaitUntilAllSayAsync(Cluster cluster, string words)
    {
        foreach (MonitorProcess monitor in cluster.Monitors)
        {
            await monitor.Process.WaitForLineAsync(line => line.Contains(words, StringComparison.Ordinal), TimeSpan.FromSeconds(10));
        }
    }
}
