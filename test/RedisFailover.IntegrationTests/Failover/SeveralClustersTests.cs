using System.Collections;
using System.Collections.Immutable;
using System.Net;
using System.Text;
using System.Text.Json;
using Microsoft.Extensions.Hosting.Internal;
using Microsoft.Extensions.Logging.Abstractions;
using NUnit.Framework;
using RedisFailover.IntegrationTests.Harness;
using RedisFailover.Monitor.Hosting;
using RedisFailover.Monitor.Options;
using RedisFailover.ZooKeeper;

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
        MonitorProcess monitor =
            await clusters.StartMonitorAsync("--config", clusters.Write("orders", "sessions"), "--http", $"http://127.0.0.1:{port}");
        await clusters.StartMonitorAsync();
        Topology orders = await clusters.WaitUntilWholeAsync("orders");
        Topology sessions = await clusters.WaitUntilWholeAsync("sessions");
        string leader = await clusters.LeaderAsync("sessions");

        await clusters.Node("orders", orders.Master!).KillAsync();
        Topology after = await clusters.WaitForAsync("orders", "the replica is master", t
                => t.State == TopologyState.Ok && t.Master == orders.Replicas[0]);

        Assert.That(after.Epoch, Is.EqualTo(orders.Epoch + 1), clusters.Explain());
        Topology untouched = await clusters.TopologyAsync("sessions");
        Assert.That((untouched.Master, untouched.Epoch, untouched.ChangedAt),
            Is.EqualTo((sessions.Master, sessions.Epoch, sessions.ChangedAt)));
        Assert.That(await clusters.LeaderAsync("sessions"), Is.EqualTo(leader));
        await Eventually.HoldsAsync("the log names the cluster",
            () => monitor.Process.Output.Any(line => line.Contains("[m1 orders]", StringComparison.Ordinal)), explain: clusters.Explain);

        using HttpClient http = new() { BaseAddress = new Uri($"http://127.0.0.1:{port}/") };
        await AnswersAsync(http, "clusters", text
            => JsonSerializer.Deserialize<string[]>(text) is ["orders", "sessions"], clusters);
        await AnswersAsync(http, $"clusters/orders/nodes/{after.Master}/master", text
            => text.Contains("epoch", StringComparison.Ordinal), clusters);
        await AnswersAsync(http, $"clusters/sessions/nodes/{sessions.Master}/master", text
            => text.Contains("epoch", StringComparison.Ordinal), clusters);
        await AnswersAsync(http, "clusters/orders/history", text => text.Contains("\"failover\"", StringComparison.Ordinal), clusters);
        await AnswersAsync(http, "problems", text => text.Contains("\"cluster\": \"orders\"", StringComparison.Ordinal), clusters);
        await AnswersAsync(http, "health", text => text.Contains("\"sessions\"", StringComparison.Ordinal), clusters);
        await AnswersAsync(http, "metrics", text
            => text.Contains($"cluster=\"orders\",node=\"{after.Master}\",role=\"master\"}} 1", StringComparison.Ordinal), clusters);
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
            async ct
                => await (await clusters.SessionAsync(ct)).ExistsAsync(clusters.Paths("sessions").Leader, cancellationToken: ct) is null
                && (await (await clusters.SessionAsync(ct)).GetChildrenAsync(clusters.Paths("sessions").Monitors, cancellationToken: ct))
                    .Names.IsEmpty,
            gone => gone, explain: clusters.Explain);

        Assert.That(await TermAsync(clusters, "orders"), Is.EqualTo(term), clusters.Explain());
    }

    [Test]
    public async Task A_cluster_whose_entry_changes_is_begun_anew_without_an_unanswered_check_of_a_node()
    {
        await using SeveralClusters clusters = await SeveralClusters.StartAsync("orders");
        int port = FreePorts.Next();
        MonitorProcess monitor =
            await clusters.StartMonitorAsync("--config", clusters.Write("orders"), "--http", $"http://127.0.0.1:{port}");
        Topology orders = await clusters.WaitUntilWholeAsync("orders");
        using HttpClient http = new() { BaseAddress = new Uri($"http://127.0.0.1:{port}/clusters/orders/nodes/") };
        string[] checks = [$"{orders.Master}/master", $"{orders.Replicas[0]}/replica?max-lag=1mb"];
        foreach (string check in checks)
        {
            await AnswersAsync(http, check, _ => true, clusters);
        }

        using CancellationTokenSource enough = new();
        Task<List<string>> asking = Task.Run(async () =>
        {
            List<string> refused = [];
            while (!enough.IsCancellationRequested)
            {
                foreach (string check in checks)
                {
                    using HttpResponseMessage answer = await http.GetAsync(check);
                    if (!answer.IsSuccessStatusCode)
                    {
                        refused.Add($"{check}: {answer.StatusCode}: {await answer.Content.ReadAsStringAsync()}");
                    }
                }
            }

            return refused;
        });
        await clusters.AddNodeAsync("orders");
        clusters.Write("orders");
        monitor.Process.HangUp();
        await clusters.WaitForAsync("orders", "the new node is in use", t => t.Replicas.Length == 2);
        await enough.CancelAsync();

        Assert.That(await asking, Is.Empty, clusters.Explain());
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

        await (await clusters.SessionAsync()).SetDataAsync(clusters.Paths("sessions").Config, ClusterConfigJson.Write(ClusterConfig.Empty));
        await Eventually.HoldsAsync("nobody leads sessions",
            async ct
                => await (await clusters.SessionAsync(ct)).ExistsAsync(clusters.Paths("sessions").Leader, cancellationToken: ct) is null,
            gone => gone, explain: clusters.Explain);
        await clusters.Node("orders", orders.Master!).KillAsync();

        await clusters.WaitForAsync("orders", "the replica is master", t => t.State == TopologyState.Ok && t.Master == orders.Replicas[0]);
    }

    [Test]
    public async Task A_monitor_of_one_cluster_and_one_of_several_hear_each_other_and_take_over_from_each_other()
    {
        await using SeveralClusters clusters = await SeveralClusters.StartAsync("orders", "sessions");
        clusters.Write("orders", "sessions");
        MonitorProcess several = await clusters.StartMonitorAsync();
        Topology orders = await clusters.WaitUntilWholeAsync("orders");
        await using MonitorProcess one = await clusters.StartMonitorOfOneAsync("orders", "one");
        await HeartbeatsAsync(clusters, "orders", 2);
        Assert.That(await clusters.LeaderAsync("orders"), Is.EqualTo("m1"));

        await several.KillAsync();
        await Eventually.HoldsAsync("the other one leads", ct
            => clusters.LeaderAsync("orders", ct), id => id == "one", explain: clusters.Explain);
        await clusters.Node("orders", orders.Master!).KillAsync();
        await clusters.WaitForAsync("orders", "the replica is master", t => t.State == TopologyState.Ok && t.Master == orders.Replicas[0]);

        await several.RestartAsync();
        await HeartbeatsAsync(clusters, "orders", 2);
        await one.KillAsync();
        await Eventually.HoldsAsync("the first one leads again", ct
            => clusters.LeaderAsync("orders", ct), id => id == "m1", explain: clusters.Explain);
        await HeartbeatsAsync(clusters, "orders", 0);
    }

    [Test]
    public async Task The_tool_adds_lists_and_removes_clusters_and_shows_one_by_its_name()
    {
        await using SeveralClusters clusters = await SeveralClusters.StartAsync("orders", "sessions");
        await clusters.StartMonitorAsync("--clusters", "all");
        foreach (string name in new[] { "orders", "sessions" })
        {
            CliResult added = await CliAsync(clusters, "clusters", "add", name, "--nodes", string.Join(',', clusters.Addresses(name)));
            Assert.That(added.ExitCode, Is.Zero, added.ToString());
            await clusters.WaitUntilWholeAsync(name);
        }

        CliResult all = await CliAsync(clusters, "status");
        CliResult one = await CliAsync(clusters, "status", "--cluster", "orders");
        CliResult twice = await CliAsync(clusters, "clusters", "add", "third", "--nodes", clusters.Addresses("orders")[0].ToString());
        CliResult wrong = await CliAsync(clusters, "status", "--cluster", "a/b");
        CliResult removed = await CliAsync(clusters, "clusters", "remove", "sessions");
        await Eventually.HoldsAsync("nobody leads sessions",
            async ct
                => await (await clusters.SessionAsync(ct)).ExistsAsync(clusters.Paths("sessions").Leader, cancellationToken: ct) is null,
            gone => gone, explain: clusters.Explain);

        CliResult left = await CliAsync(clusters, "check", "--cluster", "sessions");

        Assert.Multiple(() =>
        {
            Assert.That(left.Output, Does.Contain("the cluster is monitored no longer").And.Contain("clusters add"));
            Assert.That(all.ExitCode, Is.Zero, all.ToString());
            Assert.That(all.Output, Does.Match("(?m)^orders +ok +1 ").And.Match("(?m)^sessions +ok +1 "));
            Assert.That(one.Output, Does.Contain("state    ok, epoch 1"), one.ToString());
            // A ZooKeeper that takes long is told before it.
            Assert.That((twice.ExitCode, twice.Errors.Split('\n')[^1]),
                Is.EqualTo(
                    (3, $"redis-failover: {clusters.Addresses("orders")[0]} is a node of cluster orders: a node is in one cluster only. "
                        + $"If that cluster is gone, remove its znodes: zkCli.sh deleteall {clusters.Paths("orders").Root}")));
            Assert.That((wrong.ExitCode, wrong.Errors.Contains("allowed: 1 to 100 letters", StringComparison.Ordinal)),
                Is.EqualTo((2, true)), wrong.ToString());
            Assert.That(removed.ExitCode, Is.Zero, removed.ToString());
        });
    }

    [Test]
    public async Task A_cluster_whose_configuration_cannot_be_used_is_told_of_until_it_is_removed_and_touches_no_other()
    {
        await using SeveralClusters clusters = await SeveralClusters.StartAsync("orders");
        int port = FreePorts.Next();
        MonitorProcess monitor = await clusters.StartMonitorAsync("--clusters", "all", "--http", $"http://127.0.0.1:{port}");
        ZooKeeperSession session = await clusters.SessionAsync();
        foreach (string name in (string[])["broken", "mangled"])
        {
            await session.EnsurePathAsync(clusters.Paths(name).Root);
            await session.CreateAsync(clusters.Paths(name).Config, Encoding.UTF8.GetBytes("{ not json"));
        }

        await AddAsync(clusters, "orders");

        await clusters.WaitUntilWholeAsync("orders");

        await Eventually.HoldsAsync("it is told",
            () => monitor.Process.Output.Any(line => line.Contains("cluster broken cannot be monitored: ", StringComparison.Ordinal)),
                explain: clusters.Explain);
        using HttpClient http = new() { BaseAddress = new Uri($"http://127.0.0.1:{port}/") };
        await StatusAsync(HttpStatusCode.ServiceUnavailable);

        await session.DeleteAsync(clusters.Paths("broken").Config);
        await session.DeleteAsync(clusters.Paths("broken").Root);
        await session.SetDataAsync(clusters.Paths("mangled").Config, ClusterConfigJson.Write(ClusterConfig.Empty));
        await StatusAsync(HttpStatusCode.OK);

        Task StatusAsync(HttpStatusCode expected) => Eventually.HoldsAsync(
            $"health is {expected}",
            async ct =>
            {
                using HttpResponseMessage health = await http.GetAsync(new Uri("health", UriKind.Relative), ct);
                return health.StatusCode;
            },
            status => status == expected, explain: clusters.Explain);
    }

    [Test]
    public async Task A_cluster_that_fails_by_a_defect_has_no_vote_until_it_is_begun_anew()
    {
        await using SeveralClusters clusters = await SeveralClusters.StartAsync("orders", "sessions");
        string[] arguments = ["--config", clusters.Write("orders", "sessions"), "--id", "m1"];
        bool isBroken = false;
        var lifetime = new ApplicationLifetime(NullLogger<ApplicationLifetime>.Instance);
        using var service = new MonitorService(
            OptionSources.Read(arguments, new Hashtable(), out _)!, NullLoggerFactory.Instance, TimeProvider.System, lifetime)
        {
            Turned = (name, _, _) =>
            {
                if (name == "orders" && Volatile.Read(ref isBroken))
                {
                    throw new InvalidOperationException("a defect");
                }
            },
        };
        await service.StartAsync(default);
        await clusters.WaitUntilWholeAsync("orders");
        await clusters.WaitUntilWholeAsync("sessions");
        await HasSeatAsync("orders", true);

        Volatile.Write(ref isBroken, true);
        await HasSeatAsync("orders", false);
        await HasSeatAsync("sessions", true);
        Volatile.Write(ref isBroken, false);
        await HasSeatAsync("orders", true);
        await service.StopAsync(default);

        Task HasSeatAsync(string name, bool expected) => Eventually.HoldsAsync(
            $"m1 votes in {name}: {expected}",
            async ct => await (await clusters.SessionAsync(ct)).ExistsAsync(clusters.Paths(name).Monitor("m1"), cancellationToken: ct),
            seat => seat is not null == expected, TimeSpan.FromSeconds(90), clusters.Explain);
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

    private static Task<CliResult> CliAsync(SeveralClusters clusters, params string[] words)
        => CliProcess.RunAsync([.. words, "--zk", clusters.ConnectionString]);

    private static Task<int> HeartbeatsAsync(SeveralClusters clusters, string name, int number)
        => Eventually.HoldsAsync(
            $"{number} heartbeats at {name}",
            async ct
                => (await (await clusters.SessionAsync(ct)).GetChildrenAsync(clusters.Paths(name).Heartbeats, cancellationToken: ct))
                    .Names.Length,
            found => found == number, explain: clusters.Explain);

    [Test]
    public async Task What_the_tool_creates_lets_in_whom_the_znode_above_lets_in()
    {
        await using SeveralClusters clusters = await SeveralClusters.StartAsync("orders");
        ImmutableArray<ZnodeAcl> rights = [ZnodeAcl.Digest("monitors", "secret"), .. ZnodeAcl.ReadOnly];
        var root = new ZnodePaths(clusters.Root);
        ZooKeeperSession session = await clusters.SessionAsync();
        await session.EnsurePathAsync(clusters.Root);
        await session.CreateAsync(root.Clusters, default, CreateMode.Persistent, rights);
        using TemporaryDirectory folder = new("rights");
        string auth = folder.File("monitors");
        await File.WriteAllTextAsync(auth, "monitors:secret\n");

        CliResult added = await CliProcess.RunAsync(
            ["clusters", "add", "orders", "--nodes", string.Join(',', clusters.Addresses("orders")), "--zk", clusters.ConnectionString],
            environment: ImmutableDictionary<string, string?>.Empty.Add("REDIS_FAILOVER_ZK_AUTH_FILE", auth));

        Assert.That(added.ExitCode, Is.Zero, added.ToString());
        // As a stranger sees them: whose they are, without the digests.
        ImmutableArray<ZnodeAcl> above = (await session.GetAclAsync(root.Clusters)).Acl;
        Assert.That(above, Has.Length.EqualTo(rights.Length));
        foreach (string path in new[] { clusters.Paths("orders").Root, clusters.Paths("orders").Config })
        {
            Assert.That((await session.GetAclAsync(path)).Acl, Is.EquivalentTo(above), path);
        }
    }

    private static async Task AddAsync(SeveralClusters clusters, string name)
    {
        ZooKeeperSession session = await clusters.SessionAsync();
        await session.EnsurePathAsync(clusters.Paths(name).Root);
        await session.CreateAsync(clusters.Paths(name).Config, ClusterConfigJson.Write(
            new ClusterConfig { Nodes = [.. clusters.Addresses(name).Select(a => new ConfiguredNode(a))] }));
    }

    private static Task<string> AnswersAsync(HttpClient http, string path, Func<string, bool> holds, SeveralClusters clusters)
        => Eventually.HoldsAsync(path, ct => http.GetStringAsync(new Uri(path, UriKind.Relative), ct), holds, explain: clusters.Explain);
}
