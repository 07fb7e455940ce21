using System.Collections.Immutable;
using System.Globalization;
using NUnit.Framework;
using RedisFailover.Client;
using RedisFailover.IntegrationTests.Harness;
using RedisFailover.ZooKeeper;

namespace RedisFailover.IntegrationTests.Operation;

[TestFixture]
[Parallelizable(ParallelScope.All)]
public sealed class SecurityTests
{
    [Test]
    public async Task With_TLS_passwords_and_rights_everywhere_a_failover_works_and_nobody_else_may_write()
    {
        await using SecuredCluster cluster = await SecuredCluster.StartAsync();
        Topology first = await cluster.WaitForAsync("A master", t => t.State == TopologyState.Ok);
        await using FailoverConnection client = await FailoverConnection.ConnectAsync(cluster.ConnectionString, cluster.ClientOptions);
        Assert.That(await client.GetDatabase().StringSetAsync("k", "1"), Is.True);

        // Somebody without credentials reads and does nothing else.
        await using (ZooKeeperSession stranger = await ZooKeeperSession.ConnectAsync(
            new ZooKeeperOptions { Connection = ZooKeeperConnectionString.Parse(cluster.ZooKeeper.ConnectionString) }))
        {
            await Eventually.HoldsAsync("The rights are set", ct
                => RightsAsync(stranger, "/nodes", ct), rights => !rights.Contains("world:Write"), explain: cluster.Explain);
            Assert.That(TopologyJson.Parse((await stranger.GetDataAsync(SecuredCluster.Root + "/nodes")).Data).Master,
                Is.EqualTo(first.Master));
            foreach (string path in new[] { "", "/nodes", "/term", "/monitors", "/history", "/requests" })
            {
                Assert.That(
                    async () => await stranger.SetDataAsync(SecuredCluster.Root + path, ReadOnlyMemory<byte>.Empty),
                    Throws.InstanceOf<ZooKeeperException>().With.Property("Code").EqualTo(ZooKeeperErrorCode.NoAuth), path);
            }

            Assert.That(
                async ()
                    => await stranger.CreateAsync(SecuredCluster.Root
                        + "/requests/request-", "{}"u8.ToArray(), CreateMode.PersistentSequential),
                Throws.InstanceOf<ZooKeeperException>().With.Property("Code").EqualTo(ZooKeeperErrorCode.NoAuth));
            Assert.That(
                async () => await stranger.GetDataAsync(SecuredCluster.Root + "/requests"),
                Throws.InstanceOf<ZooKeeperException>().With.Property("Code").EqualTo(ZooKeeperErrorCode.NoAuth));
        }

        CliResult refused = await cluster.ToolAsync(["switchover"], asOperator: false);
        Assert.That((refused.ExitCode, refused.Errors), Is.EqualTo((3, refused.Errors)), refused.ToString());
        Assert.That(refused.Errors, Does.Contain("no right to make requests").And.Contain("REDIS_FAILOVER_ZK_AUTH_FILE"));
        CliResult status = await cluster.ToolAsync(["status"], asOperator: false);
        Assert.That(status.ExitCode, Is.Zero, status.ToString());
        CliResult switchover = await cluster.ToolAsync(["switchover"]);
        Assert.That(switchover.ExitCode, Is.Zero, $"{switchover}\n{cluster.Explain()}");
        Topology second = await cluster.WaitForAsync("The other is master", t
                => t.State == TopologyState.Ok && t.Master != first.Master && t.Replicas.Length == 1);

        cluster.Redis.Single(r => r.Address == second.Master).Server.Kill();
        await cluster.WaitForAsync("The first is master again", t => t.State == TopologyState.Ok && t.Master == first.Master);
        Assert.That((string?)await client.GetDatabase().StringGetAsync("k"), Is.EqualTo("1"));
        Assert.That(await client.GetDatabase().StringSetAsync("k", "2"), Is.True);
    }

    [Test]
    public async Task Passwords_credentials_and_certificates_are_rotated_without_a_restart_and_without_a_failover()
    {
        await using SecuredCluster cluster = await SecuredCluster.StartAsync();
        Topology first = await cluster.WaitForAsync("A master", t => t.State == TopologyState.Ok && t.Replicas.Length == 1);
        await using FailoverConnection client = await FailoverConnection.ConnectAsync(cluster.ConnectionString, cluster.ClientOptions);

        // Redis' password: both in the file, then in Redis, then the new one alone.
        await File.WriteAllTextAsync(cluster.PasswordFile, "first\nsecond\n");
        foreach ((RedisServer server, _) in cluster.Redis)
        {
            // One connection, which stays logged in; all others are ended.
            await using RedisWire wire = await server.ConnectAsync();
            await wire.CommandAsync(["CONFIG", "SET", "masterauth", "second"], default);
            await wire.CommandAsync(["CONFIG", "SET", "requirepass", "second"], default);
            await wire.CommandAsync(["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"], default);
        }

        await File.WriteAllTextAsync(cluster.PasswordFile, "second\n");

        // The monitors' credentials for ZooKeeper: both, then the new ones alone.
        await File.WriteAllTextAsync(cluster.MonitorsAuth, "monitors:secret\nmonitors2:secret2\n");
        await WaitForRightsAsync(cluster, rights => rights.Contains("monitors2"), [ZooKeeperAuth.Digest("monitors2", "secret2")]);
        await Task.WhenAll(
            cluster.Monitors.Select(m
                => m.Process.WaitForLineAsync(l
                    => l.Contains("using the new ZooKeeper credentials", StringComparison.Ordinal), TimeSpan.FromSeconds(20))));
        await File.WriteAllTextAsync(cluster.MonitorsAuth, "monitors2:secret2\n");
        await WaitForRightsAsync(cluster, rights => !rights.Contains("monitors:"), [ZooKeeperAuth.Digest("monitors2", "secret2")]);

        // The certificates of the nodes and of the monitors, under the names that they had.
        (string certificate, string key) = await cluster.Certificates.IssueAsync("node");
        await cluster.Certificates.IssueAsync("client");
        foreach ((RedisServer server, _) in cluster.Redis)
        {
            await using RedisWire wire = await RedisWire.ConnectAsync("127.0.0.1", server.Port, "second", default);
            await wire.CommandAsync(["CONFIG", "SET", "tls-cert-file", certificate, "tls-key-file", key], default);
            await wire.CommandAsync(["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"], default);
        }

        // All of it holds: the nodes are watched, led, and take over from each other.
        CliResult switchover = await cluster.ToolAsync(["switchover"]);
        Assert.That(switchover.ExitCode, Is.Zero, $"{switchover}\n{cluster.Explain()}");
        Topology last = await cluster.WaitForAsync("The other is master", t
                => t.State == TopologyState.Ok && t.Master != first.Master && t.Replicas.Length == 1);
        Assert.That(last.Epoch, Is.EqualTo(first.Epoch + 1), "one switchover, and no failover");
        Assert.That(await client.GetDatabase().StringSetAsync("k", "2"), Is.True);
        foreach (string secret in new[] { "first", "second", "secret" })
        {
            Assert.That(cluster.Monitors.SelectMany(m => m.Process.Log)
                .Where(l => l.Contains($" {secret}", StringComparison.Ordinal) || l.Contains($":{secret}", StringComparison.Ordinal)),
                    Is.Empty);
        }
    }

    [Test]
    public async Task Monitors_to_which_ZooKeeper_refuses_their_rights_give_up_their_places_and_the_others_decide()
    {
        await using Cluster cluster = await Cluster.StartAsync(new ClusterOptions
        {
            Redis = 2,
            MonitorOptions = new MonitorOptions { SessionTimeout = TimeSpan.FromSeconds(2), ProbeTimeout = TimeSpan.FromMilliseconds(500) },
        });
        NodeAddress master = (await cluster.WaitUntilWholeAsync()).Master!;
        await cluster.WaitForAllViewsAsync();
        string file = Path.GetTempFileName();
        try
        {
            await File.WriteAllTextAsync(file, "monitors:secret\n");
            MonitorProcess without = cluster.Monitors[0];
            MonitorProcess with = await cluster.StartMonitorAsync(
                monitor => monitor with { Id = "m4", More = ["--zk-auth-file", file] });
            // Whoever has the credentials closes the znodes once he leads.
            foreach (MonitorProcess monitor in cluster.Monitors.Where(m => m != with && m != without))
            {
                monitor.Process.Terminate();
                await monitor.Process.WaitForExitAsync();
            }

            without.Process.Freeze();
            await Eventually.HoldsAsync("The one with credentials leads", _ => Task.FromResult(with.Process.Log),
                log => log.Any(line => line.Contains("this monitor leads", StringComparison.Ordinal)), TimeSpan.FromSeconds(20),
                cluster.Explain);
            without.Process.Thaw();
            cluster.Node(master).Freeze();
            await cluster.WaitForAsync("Another master", topology => topology.State == TopologyState.Ok && topology.Master != master);
            await Eventually.HoldsAsync("It is told", _ => Task.FromResult(without.Process.Log),
                log => log.Any(line => line.Contains("zookeeper-rights-missing", StringComparison.Ordinal)), TimeSpan.FromSeconds(20),
                cluster.Explain);
        }
        finally
        {
            cluster.Node(master).Thaw();
            File.Delete(file);
        }
    }

    [Test]
    public async Task A_monitor_that_ZooKeeper_refuses_its_rights_or_its_place_is_not_healthy_and_lives()
    {
        using var files = new TemporaryDirectory("health");
        string right = files.File("right");
        await File.WriteAllTextAsync(right, "monitors:secret\n");
        await File.WriteAllTextAsync(files.File("wrong"), "monitors:other\n");
        await using Cluster cluster = await Cluster.StartAsync(new ClusterOptions
        {
            Redis = 2,
            Monitors = 1,
            MonitorOptions = new MonitorOptions { More = ["--zk-auth-file", right] },
        });
        await cluster.WaitUntilWholeAsync();
        string taken = cluster.Monitors[0].Id;
        await HealthAsync(cluster, "m2", files.File("wrong"), "ZooKeeper refuses m2 its rights");
        await HealthAsync(cluster, taken, right, $"another living monitor has the id {taken}");
    }

    private static async Task HealthAsync(Cluster cluster, string id, string file, string reason)
    {
        int port = FreePorts.Next();
        MonitorProcess monitor = await cluster.StartMonitorAsync(options => options with
        {
            Id = id,
            More = ["--zk-auth-file", file, "--http", string.Create(CultureInfo.InvariantCulture, $"http://127.0.0.1:{port}")],
        });
        using var http = new HttpClient { BaseAddress = new UriBuilder("http", "127.0.0.1", port).Uri };
        foreach (string path in new[] { "health", "health/ready" })
        {
            await Eventually.HoldsAsync($"{path} of {id}", async ct =>
            {
                try
                {
                    using HttpResponseMessage answer = await http.GetAsync(new Uri(path, UriKind.Relative), ct);
                    return (Code: (int)answer.StatusCode, Text: await answer.Content.ReadAsStringAsync(ct));
                }
                catch (HttpRequestException e)
                {
                    return (Code: 0, Text: e.Message);
                }
            }, answer => answer.Code == 503 && answer.Text.Contains(reason, StringComparison.Ordinal), TimeSpan.FromSeconds(20),
                cluster.Explain);
        }

        Assert.That(await http.GetStringAsync(new Uri("health/live", UriKind.Relative)), Is.EqualTo("ok\n"));
        monitor.Process.Terminate();
        await monitor.Process.WaitForExitAsync();
    }

    private static async Task WaitForRightsAsync(SecuredCluster cluster, Func<string, bool> holds, ImmutableArray<ZooKeeperAuth> shown)
    {
        await using ZooKeeperSession session = await ZooKeeperSession.ConnectAsync(
            new ZooKeeperOptions { Connection = ZooKeeperConnectionString.Parse(cluster.ZooKeeper.ConnectionString), Auth = shown });
        foreach (string path in new[] { "", "/nodes", "/term", "/history" })
        {
            await Eventually.HoldsAsync($"The rights of {path}", ct
                => RightsAsync(session, path, ct), holds, TimeSpan.FromSeconds(20), cluster.Explain);
        }
    }

    private static async Task<string> RightsAsync(ZooKeeperSession session, string path, CancellationToken ct)
        => string.Join(' ',
            (await session.GetAclAsync(SecuredCluster.Root + path, ct)).Acl.Select(a => $"{a.Scheme}:{a.Permissions} {a.Id}"));
}
