using System.Collections.Immutable;
using NUnit.Framework;
using RedisFailover.IntegrationTests.Harness;

namespace RedisFailover.IntegrationTests.Failover;

[TestFixture]
[Parallelizable(ParallelScope.All)]
public sealed class NodesTests
{
    [Test]
    public async Task A_node_is_added_tagged_and_removed_while_everything_runs_and_all_monitors_take_it_over()
    {
        await using Cluster cluster = await Cluster.StartAsync(new ClusterOptions { Redis = 2 });
        Topology first = await cluster.WaitUntilWholeAsync();
        ImmutableArray<string> zk = ["--zk", cluster.ConnectionString];
        await using RedisServer third = await RedisServer.StartAsync();
        string added = third.Address.ToString();

        CliResult add = await CliProcess.RunAsync(["nodes", "add", added, "--tag", "never-promote", "--tag", "zone=b", .. zk]);
        Assert.That(add.ExitCode, Is.Zero, add.ToString());
        Assert.That(add.Output, Does.Contain($"added {added} (never-promote zone=b)"));
        Topology second = await cluster.WaitForAsync("It is a replica", t => t.Replicas.Contains(third.Address));
        Assert.That((second.Master, second.Epoch), Is.EqualTo((first.Master, first.Epoch)), "a node that is added is no failover");
        Assert.That((second.NeverPromoted.ToArray(), second.Zones[third.Address]), Is.EqualTo((new[] { third.Address }, "b")));
        foreach (MonitorProcess monitor in cluster.Monitors)
        {
            await Eventually.HoldsAsync(
                $"{monitor.Id} watches it",
                async ct => MonitorReport.Parse(await cluster.ReadAsync($"/monitors/{monitor.Id}", ct)),
                report => report.Available.ContainsKey(third.Address) && report.ConfigVersion >= 0,
                explain: cluster.Explain);
        }

        CliResult tag = await CliProcess.RunAsync(["nodes", "tag", added, "never-promote=false", "never-read", "priority=5", .. zk]);
        Assert.That(tag.ExitCode, Is.Zero, tag.ToString());
        await cluster.WaitForAsync("The topology has the tags", t => t.NeverPromoted.IsEmpty && t.NeverRead.Contains(third.Address));
        CliResult list = await CliProcess.RunAsync(["nodes", "list", .. zk]);
        Assert.That(list.Output, Does.Contain("never-read zone=b priority=5"));

        // A monitor whose file does not name it goes by the cluster's own list, also when it has only just started.
        MonitorProcess restarted = cluster.Monitors[0];
        await restarted.TerminateAsync();
        await restarted.RestartAsync();
        await Eventually.HoldsAsync(
            "It watches the node after its restart",
            async ct => MonitorReport.Parse(await cluster.ReadAsync($"/monitors/{restarted.Id}", ct)),
            report => report.Available.ContainsKey(third.Address),
            explain: cluster.Explain);

        CliResult master = await CliProcess.RunAsync(["nodes", "remove", first.Master!.ToString(), .. zk]);
        Assert.That((master.ExitCode, master.Output), Is.EqualTo((3, master.Output)), master.ToString());
        Assert.That(master.Output,
            Does.Contain($"{first.Master} is the master: let another node take over first (redis-failover switchover)"));

        CliResult remove = await CliProcess.RunAsync(["nodes", "remove", added, .. zk]);
        Assert.That(remove.ExitCode, Is.Zero, remove.ToString());
        Assert.That(remove.Output, Does.Contain($"removed {added}").And.Contain("goes on copying"));
        await cluster.WaitForAsync(
            "It is in no list", t
                => !t.Replicas.Contains(third.Address) && !t.Unavailable.Contains(third.Address) && !t.Members.Contains(third.Address));
        await Eventually.HoldsAsync(
            "Nobody watches it",
            async ct
                => (await third.CommandAsync(["CLIENT", "LIST", "TYPE", "NORMAL"], ct)).Text!.Split('\n').Count(line => line.Length > 0),
            clients => clients == 1,
            explain: cluster.Explain);
        Assert.That((await cluster.TopologyAsync()).Epoch, Is.EqualTo(first.Epoch));
        Assert.That((await cluster.HistoryAsync()).Count(e => e.Kind == HistoryKind.Nodes), Is.EqualTo(3));
    }

    [Test]
    public async Task A_tag_decides_who_is_promoted()
    {
        await using Cluster cluster = await Cluster.StartAsync();
        Topology first = await cluster.WaitUntilWholeAsync();
        NodeAddress spared = first.Replicas[0];
        Assert.That((await CliProcess.RunAsync(["nodes", "tag", spared.ToString(), "never-promote", "--zk", cluster.ConnectionString]))
            .ExitCode, Is.Zero);
        await cluster.WaitForAsync("It is never promoted", t => t.NeverPromoted.Contains(spared));
        cluster.Node(first.Master!).Kill();
        Topology next = await cluster.WaitForAsync("The other one is master", t => t.State == TopologyState.Ok && t.Master != first.Master);
        Assert.That(next.Master, Is.EqualTo(first.Replicas[1]));
    }

    [TestCase("nodes", "add", "nonsense", "'nonsense' is not a node address; allowed: ")]
    [TestCase("nodes", "adopt", "127.0.0.1:1", "nodes adopt throws away what the node holds; say --discard-its-data if it may be")]
    [TestCase("nodes", "tag", "127.0.0.1:1 zone=a/b", "the tag 'zone=a/b' is not allowed; allowed: never-promote")]
    public async Task What_is_wrong_is_said_before_anybody_is_asked(string command, string verb, string arguments, string words)
    {
        CliResult wrong = await CliProcess.RunAsync([command, verb, .. arguments.Split(' '), "--zk", "127.0.0.1:1"]);
        Assert.That((wrong.ExitCode, wrong.Errors), Is.EqualTo((2, wrong.Errors)), wrong.ToString());
        Assert.That(wrong.Errors, Does.Contain(words));
    }
}
