using NUnit.Framework;
using RedisFailover.IntegrationTests.Harness;

namespace RedisFailover.IntegrationTests.Cases;

/// <summary>What keeps monitors that are here from leading, or would: it is told before, and by its cause.</summary>
[TestFixture]
[Parallelizable(ParallelScope.All)]
public sealed class ElectionRefusedTests
{
    private static readonly ZnodePaths s_paths = new("");

    [Test]
    public async Task Without_the_right_to_create_a_leaders_znode_that_is_told_before_and_after_the_leader_is_gone()
    {
        await using Cluster cluster = await Cluster.StartAsync(Told.Calm() with { Monitors = 2 });
        await cluster.WaitUntilWholeAsync();
        await cluster.WaitUntilWouldWorkAsync();
        MonitorProcess leader = await cluster.LeaderAsync();
        await cluster.ForbidWritingAsync("/");
        Problem before = await cluster.WaitUntilToldAsync("topology-not-written", leader.Id);
        Assert.That(before.Severity, Is.EqualTo(ProblemSeverity.Critical));
        Assert.That(before.Message, Does.Contain("no other monitor could after it").And.Contain("NoAuth"));
        Assert.That((await cluster.CheckAsync()).WouldWork, Is.True, "as long as this leader lives");

        await leader.KillAsync();
        Word after = await Eventually.HoldsAsync(
            "Why nobody leads is told",
            cluster.CheckAsync,
            word => word.Problems.Any(p => p.Code.Name == "no-leader" && p.Message.Contains("NoAuth", StringComparison.Ordinal)),
            explain: cluster.Explain);
        Problem told = after.Problems.Single(p => p.Code.Name == "no-leader");
        Assert.That(told.Advice, Does.Contain("setAcl").And.Not.Contain("Start the monitors"));
        Assert.That(after.Reason, Does.Not.Contain("start the monitors"));
        await cluster.AllowWritingAsync("/");
        await cluster.WaitForOtherLeaderAsync(leader);
        await cluster.WaitUntilNotToldAsync("zookeeper-rights-missing");
        await cluster.WaitUntilWouldWorkAsync();
    }

    [Test]
    public async Task A_history_that_cannot_be_written_or_read_is_told_and_a_failover_works()
    {
        await using Cluster cluster = await Cluster.StartAsync(Told.Calm() with { Monitors = 1 });
        NodeAddress master = (await cluster.WaitUntilWholeAsync()).Master!;
        await cluster.WaitUntilWouldWorkAsync();
        await cluster.ForbidWritingAsync(s_paths.History);
        Problem told = await cluster.WaitUntilToldAsync("topology-not-written");
        Assert.That(told.Message, Does.Contain(s_paths.History));
        Assert.That(told.Severity, Is.EqualTo(ProblemSeverity.Warning));
        cluster.Node(master).Kill();
        await cluster.WaitForOtherMasterAsync(master);
        await cluster.AllowWritingAsync(s_paths.History);
        await cluster.WaitUntilNotToldAsync("topology-not-written");
    }

    [Test]
    public async Task Monitors_that_know_the_nodes_by_other_names_are_told_so_and_not_to_be_started()
    {
        await using Cluster cluster = await Cluster.StartAsync(Told.Calm() with { Monitors = 1 });
        await cluster.WaitUntilWholeAsync();
        MonitorProcess second = await cluster.StartMonitorAsync(
            o => o with { Nodes = [.. o.Nodes.Select(n => new NodeAddress("localhost", n.Port))] });
        Word word = await Eventually.HoldsAsync(
            "That the names differ is told",
            cluster.CheckAsync,
            w => w.Problems.Any(p => p.Code.Name == "not-our-cluster" && p.Message.Contains("by other names", StringComparison.Ordinal)),
            explain: cluster.Explain);
        Assert.That(word.Problems.Single(p => p.Code.Name == "not-our-cluster").Advice, Does.Contain("same node list"));
        Assert.That(second.Process.Log, Has.None.Contains("password"));

        await cluster.Monitors[0].KillAsync();
        Word after = await Eventually.HoldsAsync(
            "Nobody leads", cluster.CheckAsync, w => w.Tells("no-leader", null), explain: cluster.Explain);
        Problem told = after.Problems.Single(p => p.Code.Name == "no-leader");
        Assert.That(told.Message, Does.Contain(second.Id).And.Contain("by other names"));
        Assert.That(told.Advice, Does.Contain("same node list"));
    }
}
