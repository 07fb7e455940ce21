using System.Globalization;
using System.Runtime.InteropServices;
using NUnit.Framework;
using RedisFailover.IntegrationTests.Harness;

namespace RedisFailover.IntegrationTests.Cases;

/// <summary>What is said is true, said once, and in time.</summary>
[TestFixture]
[Parallelizable(ParallelScope.All)]
public sealed class WordsTests
{
    [Test]
    public async Task What_a_node_in_protected_mode_said_is_shown_and_published_and_told_once()
    {
        Needs.Machines();
        await using Lab lab = await Lab.StartAsync();
        Machine watching = await lab.AddAsync("monitors");
        Machine watched = await lab.AddAsync("nodes");
        await using Cluster cluster =
            await Cluster.StartAsync(Told.Calm() with { Monitors = 1, MonitorMachine = watching, RedisMachine = watched });
        await cluster.WaitUntilWholeAsync();
        // Our own connection is the machine's own address, which is refused as well from then on.
        await cluster.Redis[2].CommandAsync("CONFIG", "SET", "protected-mode", "yes");
        await cluster.Monitors[0].RestartAsync();
        Problem told = await cluster.WaitUntilToldAsync("node-not-watched", cluster.Addresses[2]);
        Assert.That(told.Message, Does.Contain("DENIED").Or.Contain("protected mode"));
        int version = await cluster.VersionAsync("/nodes");
        int said = Said(cluster, cluster.Addresses[2]);
        await Told.StaysAsync("Nothing goes to and fro", async ()
            => await cluster.VersionAsync("/nodes") == version, TimeSpan.FromSeconds(4), cluster.Explain);
        Assert.That(Said(cluster, cluster.Addresses[2]) - said, Is.LessThan(3), cluster.Explain());
        Assert.That(cluster.Monitors[0].Process.Log, Has.None.Contains("a reply that nobody asked for"));
    }

    [Test]
    public async Task Redis_own_FAILOVER_is_told_as_a_handover_without_loss()
    {
        Needs.Redis("6.2", "FAILOVER");
        await using Cluster cluster = await Cluster.StartAsync(Told.Calm() with { Monitors = 1 });
        NodeAddress master = (await cluster.WaitUntilWholeAsync()).Master!;
        await cluster.SetDataAsync();
        await cluster.WaitUntilWouldWorkAsync();
        NodeAddress target = cluster.Addresses[1];
        await cluster.Redis[0].CommandAsync("FAILOVER", "TO", target.Host, target.Port.ToString(CultureInfo.InvariantCulture));
        Topology after = await cluster.WaitForOtherMasterAsync(master);
        Assert.That(after.Master, Is.EqualTo(target));
        HistoryEntry entry = await cluster.WaitForHistoryAsync("It is recorded", e => e.To == target && e.Kind != HistoryKind.Adopted);
        Assert.That(entry.BytesBehind ?? 0, Is.Zero);
        CliResult history = await CliProcess.RunAsync(["history", "--zk", cluster.ConnectionString]);
        Assert.That(history.Output, Does.Contain("handed over").And.Not.Contain("may have taken"), history.ToString());
        Assert.That(cluster.Monitors[0].Process.Log, Has.None.Contains("MASTER LOST"));
        await cluster.WaitUntilWholeAsync();
    }

    [Test]
    public async Task Requests_that_are_refused_do_not_push_the_failovers_out_of_the_history()
    {
        await using Cluster cluster = await Cluster.StartAsync(Told.Calm() with { Monitors = 1, Redis = 2 });
        NodeAddress master = (await cluster.WaitUntilWholeAsync()).Master!;
        cluster.Redis[0].Kill();
        await cluster.WaitForOtherMasterAsync(master);
        await cluster.WaitForHistoryAsync("The failover is recorded", e => e.Kind == HistoryKind.Failover);
        await EnsureAsync(cluster, "/requests");
        string last = "";
        for (int i = 0; i < 120; i++)
        {
            last = string.Create(CultureInfo.InvariantCulture, $"request-{i:0000000000}");
            await cluster.CreateAsync($"/requests/{last}", """{"kind":"switchover","target":"127.0.0.1:1"}""");
        }

        await Eventually.HoldsAsync(
            "The last is answered", async ct
                => OperatorRequest.Parse(last, await cluster.ReadAsync($"/requests/{last}", ct), 0), request
                    => request.Answer is not null, explain: cluster.Explain);
        Assert.That((await cluster.HistoryAsync()).Select(e => e.Kind),
            Does.Contain(HistoryKind.Failover).And.Not.Contain(HistoryKind.Refused), cluster.Explain());
    }

    [Test]
    public async Task Somebody_elses_write_of_the_topology_stands_in_the_history_as_what_it_is_with_its_real_time()
    {
        await using Cluster cluster = await Cluster.StartAsync(Told.Calm() with { Monitors = 1 });
        Topology before = await cluster.WaitUntilWholeAsync();
        DateTimeOffset began = TimeProvider.System.GetUtcNow().AddMinutes(-1);
        await cluster.WriteAsync("/nodes",
            System.Text.Encoding.UTF8.GetString(
                TopologyJson.Write(before with { Master = before.Replicas[0], Replicas = [before.Master!, before.Replicas[1]] })));
        HistoryEntry entry =
            await cluster.WaitForHistoryAsync("It is recorded", e => e.Kind != HistoryKind.Adopted, TimeSpan.FromSeconds(20));
        Assert.That(entry.Kind, Is.Not.EqualTo(HistoryKind.Failover));
        Assert.That(entry.At, Is.GreaterThan(began));
        Assert.That(entry.From, Is.Not.EqualTo(entry.To).Or.Null);
    }

    [Test]
    public async Task SIGHUP_does_not_end_the_leading_monitor()
    {
        await using Cluster cluster = await Cluster.StartAsync(Told.Calm() with { Monitors = 1, Redis = 2 });
        await cluster.WaitUntilWholeAsync();
        MonitorProcess monitor = cluster.Monitors[0];
        int lines = monitor.Process.Log.Length;
        Assert.That(kill(monitor.Pid, 1), Is.Zero);
        await Eventually.HoldsAsync("It says what it did", ()
            => monitor.Process.Log.Length > lines, TimeSpan.FromSeconds(10), cluster.Explain);
        await Told.StaysAsync(
            "It leads on", async ()
                => monitor.Process.IsRunning && await cluster.ExistsAsync("/leader"), TimeSpan.FromSeconds(1), cluster.Explain);
    }

    [Test]
    public async Task Every_line_of_the_log_has_its_time_in_UTC_with_a_Z()
    {
        await using Cluster cluster = await Cluster.StartAsync(Told.Calm() with { Monitors = 1, Redis = 1 });
        await cluster.WaitUntilWholeAsync();
        Assert.That(cluster.Monitors[0].Process.Output, Has.All.Match(@"^\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d\.\d+Z "));
    }

    [Test]
    public async Task Without_a_master_status_ends_with_1_and_all_replicas_gone_is_a_problem()
    {
        await using Cluster cluster = await Cluster.StartAsync(Told.Calm() with { Monitors = 1, Redis = 2 });
        await cluster.WaitUntilWholeAsync();
        cluster.Redis[1].Kill();
        await cluster.WaitUntilToldAsync("no-candidate");
        await cluster.WaitUntilToldAsync("node-unavailable", cluster.Addresses[1]);
        CliResult degraded = await StatusAsync(cluster);
        Assert.That(degraded.ExitCode, Is.Zero, degraded.ToString());
        Assert.That(degraded.Output.TrimStart(), Does.StartWith("CRITICAL"), "problems come first");
        cluster.Redis[0].Kill();
        await cluster.WaitForAsync("It is known", topology => topology.Master is null);
        await cluster.WaitUntilCriticalAsync();
        CliResult none = await StatusAsync(cluster);
        Assert.That(none.ExitCode, Is.EqualTo(1), none.ToString());
    }

    [TestCase("127.0.0.1:{free}", "refused")]
    [TestCase("no-such-host.invalid:2181", "no-such-host.invalid")]
    [TestCase("127.0.0.1:{redis}", "ZooKeeper")]
    public async Task The_tool_says_at_once_what_is_wrong_with_the_address_of_ZooKeeper(string address, string named)
    {
        await using RedisServer redis = await RedisServer.StartAsync();
        string zk = address.Replace("{free}", FreePorts.Next().ToString(CultureInfo.InvariantCulture), StringComparison.Ordinal)
            .Replace("{redis}", redis.Port.ToString(CultureInfo.InvariantCulture), StringComparison.Ordinal);
        long start = System.Diagnostics.Stopwatch.GetTimestamp();
        CliResult result = await CliProcess.RunAsync(["status", "--zk", zk]);
        Assert.That(System.Diagnostics.Stopwatch.GetElapsedTime(start), Is.LessThan(TimeSpan.FromSeconds(8)), result.ToString());
        Assert.That(result.ExitCode, Is.EqualTo(1), result.ToString());
        Assert.That(result.Errors, Does.Contain(named).And.Not.Contain("did not answer within"), result.ToString());
    }

    [Test]
    public async Task A_name_of_an_address_is_refused_with_the_nodes_that_there_are()
    {
        await using Cluster cluster = await Cluster.StartAsync(Told.Calm() with { Monitors = 1, Redis = 2 });
        await cluster.WaitUntilWholeAsync();
        CliResult refused = await CliProcess.RunAsync(
            ["switchover", string.Create(CultureInfo.InvariantCulture, $"localhost:{cluster.Redis[1].Port}"), "--zk", cluster.ConnectionString]);
        Assert.That(refused.ExitCode, Is.EqualTo(3), refused.ToString());
        Assert.That(refused.Output
            + refused.Errors, Does.Contain(cluster.Addresses[0].ToString()).And.Contain(cluster.Addresses[1].ToString()));
    }

    [Test]
    public async Task A_key_that_stands_twice_in_the_configuration_is_refused()
    {
        using TemporaryDirectory folder = new("twice");
        await File.WriteAllTextAsync(folder.File("monitor.json"), """{"nodes": "127.0.0.1:1", "nodes": "127.0.0.1:2", "zkservers": "127.0.0.1:3"}""");
        await using MonitorProcess monitor =
            await MonitorProcess.StartAsync(new MonitorOptions { More = ["--config", folder.File("monitor.json")] });
        Assert.That(await monitor.Process.WaitForExitAsync(), Is.EqualTo(2), monitor.Process.Tail());
        Assert.That(monitor.Process.Errors, Has.Length.EqualTo(1).And.Some.Contains("nodes"), monitor.Process.Tail());
    }

    [Test]
    public async Task A_new_cluster_with_a_node_that_is_down_is_not_said_to_be_all_empty()
    {
        await using Cluster cluster = await Cluster.StartAsync(Told.Calm() with { Monitors = 0, Redis = 2 });
        await cluster.Redis[1].KillAsync();
        await cluster.StartMonitorAsync();
        Topology topology = await cluster.WaitForAsync("There is a topology", _ => true);
        Assert.That(topology.Reason, Does.Not.Contain("all nodes are empty"));
    }

    [Test]
    public async Task A_taken_port_for_HTTP_is_one_line_and_the_monitor_works_on()
    {
        await using Cluster cluster = await Cluster.StartAsync(Told.Calm() with { Monitors = 0, Redis = 2 });
        MonitorProcess monitor = await cluster.StartMonitorAsync(
            options
                => options with { More =
                    ["--http", string.Create(CultureInfo.InvariantCulture, $"http://127.0.0.1:{cluster.Redis[0].Port}")] });
        await cluster.WaitUntilWholeAsync();
        await cluster.WaitUntilToldAsync("http-unavailable");
        Assert.That(monitor.Process.Log, Has.None.Contains("   at "), monitor.Process.Tail());
    }

    private static Task<CliResult> StatusAsync(Cluster cluster) => CliProcess.RunAsync(["status", "--zk", cluster.ConnectionString]);

    private static int Said(Cluster cluster, NodeAddress node)
        => cluster.Monitors[0].Process.Log.Count(line => line.Contains(node.ToString(), StringComparison.Ordinal));

    private static async Task EnsureAsync(Cluster cluster, string path)
    {
        if (!await cluster.ExistsAsync(path))
        {
            await cluster.CreateAsync(path, "");
        }
    }

    [DllImport("libc", SetLastError = true)]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    private static extern int kill(int pid, int signal);
}
