using System.Collections.Immutable;
using System.Text;
using System.Text.Json;
using NUnit.Framework;
using RedisFailover.IntegrationTests.Harness;

namespace RedisFailover.IntegrationTests.Failover;

/// <summary>Monitors that watch several clusters each, on real servers.</summary>
[TestFixture]
[Parallelizable(ParallelScope.All)]
public sealed class SeveralClustersTests
{
    [Test]
    public async Task A_failover_in_one_cluster_touches_no_other_and_HTTP_tells_of_each()
    {
        await using SeveralClusters clusters = await SeveralClusters.StartAsync("orders", "sessions");
        clusters.Write("orders", "sessions");
        int port = FreePorts.Next();
        MonitorProcess monitor = await clusters.StartMonitorAsync("--config", clusters.Write("orders", "sessions"), "--http", $"http://127.0.0.1:{port}");
        await clusters.StartMonitorAsync();
        Topology orders = await clusters.WaitUntilWholeAsync("orders");
        Topology sessions = await clusters.WaitUntilWholeAsync("sessions");
        string leader = await clusters.LeaderAsync("sessions");

        await clusters.Node("orders", orders.Master!).KillAsync();
        Topology after = await clusters.WaitForAsync("orders", "the replica is master", t => t.State == TopologyState.Ok && t.Master == orders.Replicas[0]);

        Assert.That(after.Epoch, Is.EqualTo(orders.Epoch + 1), clusters.Explain());
        Topology untouched = await clusters.TopologyAsync("sessions");
        Assert.That((untouched.Master, untouched.Epoch, untouched.ChangedAt), Is.EqualTo((sessions.Master, sessions.Epoch, sessions.ChangedAt)));
        Assert.That(await clusters.LeaderAsync("sessions"), Is.EqualTo(leader));
        Assert.That(monitor.Process.Output.Any(line => line.Contains("[m1 orders]", StringComparison.Ordinal)), clusters.Explain());

        using HttpClient http = new() { BaseAddress = new Uri($"http://127.0.0.1:{port}/") };
        Assert.That(JsonSerializer.Deserialize<string[]>(await http.GetStringAsync("clusters")), Is.EqualTo(new[] { "orders", "sessions" }));
        await AnswersAsync(http, $"clusters/orders/nodes/{after.Master}/master", text => text.Contains("epoch", StringComparison.Ordinal), clusters);
        await AnswersAsync(http, $"clusters/sessions/nodes/{sessions.Master}/master", text => text.Contains("epoch", StringComparison.Ordinal), clusters);
        await AnswersAsync(http, "clusters/orders/history", text => text.Contains("\"failover\"", StringComparison.Ordinal), clusters);
        await AnswersAsync(http, "problems", text => text.Contains("\"cluster\": \"orders\"", StringComparison.Ordinal), clusters);
        await AnswersAsync(http, "health", text => text.Contains("\"sessions\"", StringComparison.Ordinal), clusters);
        await AnswersAsync(http, "metrics", text => text.Contains($"cluster=\"orders\",node=\"{after.Master}\",role=\"master\"}} 1", StringComparison.Ordinal), clusters);
    }

    [Test]
    public async Task Clusters_are_added_and_removed_by_the_file_while_the_others_go_on()
    {
        await using SeveralClusters clusters = await SeveralClusters.StartAsync("orders", "sessions");
        clusters.Write("orders");
        MonitorProcess monitor = await clusters.StartMonitorAsync();
        await clusters.WaitUntilWholeAsync("orders");
        int term = await TermAsync(clusters, "orders");

        clusters.Write("orders", "sessions");
        monitor.Process.HangUp();
        await clusters.WaitUntilWholeAsync("sessions");
        clusters.Write("orders");
        monitor.Process.HangUp();
        await Eventually.HoldsAsync("nobody leads sessions",
            async ct => await (await clusters.SessionAsync(ct)).ExistsAsync(clusters.Paths("sessions").Leader, cancellationToken: ct) is null
                && (await (await clusters.SessionAsync(ct)).GetChildrenAsync(clusters.Paths("sessions").Monitors, cancellationToken: ct)).Names.IsEmpty,
            gone => gone, explain: clusters.Explain);

        Assert.That(await TermAsync(clusters, "orders"), Is.EqualTo(term), clusters.Explain());
    }

    [Test]
    public async Task Clusters_below_a_root_come_with_their_configuration_and_go_with_it()
    {
        await using SeveralClusters clusters = await SeveralClusters.StartAsync("orders", "sessions");
        await clusters.StartMonitorAsync("--clusters", "all");
        await AddAsync(clusters, "orders");
        Topology orders = await clusters.WaitUntilWholeAsync("orders");
        await AddAsync(clusters, "sessions");
        await clusters.WaitUntilWholeAsync("sessions");

        await (await clusters.SessionAsync()).DeleteAsync(clusters.Paths("sessions").Config);
        await Eventually.HoldsAsync("nobody leads sessions",
            async ct => await (await clusters.SessionAsync(ct)).ExistsAsync(clusters.Paths("sessions").Leader, cancellationToken: ct) is null,
            gone => gone, explain: clusters.Explain);
        await clusters.Node("orders", orders.Master!).KillAsync();

        await clusters.WaitForAsync("orders", "the replica is master", t => t.State == TopologyState.Ok && t.Master == orders.Replicas[0]);
    }

    [Test]
    public async Task The_leads_spread_over_the_monitors()
    {
        string[] names = ["alpha", "beta", "gamma", "delta", "epsilon", "zeta"];
        await using SeveralClusters clusters = await SeveralClusters.StartAsync(names);
        clusters.Write(names);
        await clusters.StartMonitorAsync();
        foreach (string name in names)
        {
            await clusters.WaitUntilWholeAsync(name);
        }

        await clusters.StartMonitorAsync();

        await Eventually.HoldsAsync(
            "Both monitors lead some of the clusters",
            async ct => (await Task.WhenAll(names.Select(name => clusters.LeaderAsync(name, ct)))).Distinct().Count(),
            leaders => leaders == 2, TimeSpan.FromMinutes(3), clusters.Explain);
    }

    private static async Task<int> TermAsync(SeveralClusters clusters, string name)
        => (await (await clusters.SessionAsync()).GetDataAsync(clusters.Paths(name).Term)).Stat.Version;

    private static async Task AddAsync(SeveralClusters clusters, string name)
    {
        var session = await clusters.SessionAsync();
        await session.EnsurePathAsync(clusters.Paths(name).Root);
        await session.CreateAsync(clusters.Paths(name).Config, ClusterConfigJson.Write(
            new ClusterConfig { Nodes = [.. clusters.Addresses(name).Select(a => new ConfiguredNode(a))] }));
    }

    private static Task<string> AnswersAsync(HttpClient http, string path, Func<string, bool> holds, SeveralClusters clusters)
        => Eventually.HoldsAsync(path, ct => http.GetStringAsync(new Uri(path, UriKind.Relative), ct), holds, explain: clusters.Explain);
}
