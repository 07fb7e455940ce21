using System.Collections.Immutable;
using System.Text.Json;
using NUnit.Framework;
using RedisFailover.IntegrationTests.Harness;
using RedisFailover.ZooKeeper;

namespace RedisFailover.IntegrationTests.Operation;

/// <summary>
/// What every command prints with <c>--json</c> on a cluster with access rights: to a stranger, who is refused, and to an operator.
/// </summary>
[TestFixture]
[Parallelizable(ParallelScope.All)]
public sealed class JsonTests
{
    private static readonly string[] Change = ["outcome", "reason", "by"];
    private static readonly string[] Switchover = ["outcome", "reason", "from", "master", "epoch", "bytesBehind", "millis"];

    [Test]
    public async Task Every_command_prints_its_document_whether_it_succeeds_or_is_refused()
    {
        await using SecuredCluster cluster = await SecuredCluster.StartAsync();
        string node = cluster.Redis[0].Address.ToString();
        await Eventually.HoldsAsync("the rights are set", async _ => (await cluster.ToolAsync(["requests", "list"], false)).ExitCode,
            code => code == 3, TimeSpan.FromSeconds(40), cluster.Explain);

        // A stranger may read, and nothing else.
        string[] status = ["topology", "leader", "monitors", "members", "config", "manualFailover", "failover", "problems"];
        await PrintsAsync(cluster, "status", false, 0, status);
        await PrintsAsync(cluster, "history", false, 0, ["at", "epoch", "kind", "from", "to", "reason", "millis", "by"]);
        await PrintsAsync(cluster, "nodes list", false, 0,
            ["node", "role", "neverPromoted", "neverRead", "zone", "priority", "link", "lagBytes", "lagSeconds", "since", "notReachedBy",
                "note"]);
        await PrintsAsync(cluster, "monitors list", false, 0, ["id", "registered", "here", "leads", "reaches", "doesNotReach"]);
        await PrintsAsync(cluster, "config show", false, 0, ["version", "config"]);
        await PrintsAsync(cluster, "config get max-lag", false, 1, Change);
        await PrintsAsync(cluster, "config get nosuch", false, 2, Change);
        await PrintsAsync(cluster, "clusters list", false, 0, ["clusters", "notes"]);
        foreach (string change in new[]
        {
            "pause --for 1m", "resume", "config set max-failures=4", "nodes add 127.0.0.1:1", $"nodes remove {node}",
            $"nodes tag {node} zone=a", $"nodes adopt {node} --discard-its-data", "monitors forget m1", "requests list",
            "requests withdraw request-1", "clusters add orders --nodes 127.0.0.1:1", "clusters remove orders",
        })
        {
            await PrintsAsync(cluster, change, false, 3, Change, "refused");
        }

        await PrintsAsync(cluster, "switchover", false, 3, Switchover, "refused");
        await PrintsAsync(cluster, "failover --force", false, 3, Switchover, "refused");

        // An operator may ask, and is answered.
        await PrintsAsync(cluster, "requests list", true, 0, []);
        await PrintsAsync(cluster, "pause --for 1m", true, 0, Change, "done");
        await PrintsAsync(cluster, "switchover", true, 3, Switchover, "refused");
        await PrintsAsync(cluster, "resume", true, 0, Change, "done");
        await PrintsAsync(cluster, "config set max-failures=400", true, 2, Change, "failed");
        await PrintsAsync(cluster, "config set write-safety=replicated write-quorum=9", true, 3, Change, "refused");
        await PrintsAsync(cluster, "config set max-failures=4", true, 0, Change, "done");
        await PrintsAsync(cluster, "config get max-failures", true, 0, ["name", "value"]);
        await PrintsAsync(cluster, $"nodes tag {node} zone=a", true, 0, Change, "done");
        await PrintsAsync(cluster, "monitors forget nosuch", true, 3, Change, "refused");
        await PrintsAsync(cluster, "requests withdraw nosuch", true, 3, Change, "refused");
        await PrintsAsync(cluster, "clusters add orders --nodes 127.0.0.1:1", true, 3, Change, "refused");
        await PrintsAsync(cluster, "switchover", true, 0, Switchover, "done");
    }

    [Test]
    public async Task Clusters_are_listed_where_there_are_none_and_one_is_removed_twice()
    {
        await using ZooKeeperServer zooKeeper = await ZooKeeperServer.StartAsync();
        Assert.That(await RunAsync("clusters list"), Is.EqualTo((0,
            "there are no clusters below /redis_failover/clusters: redis-failover clusters add NAME --nodes h:p,h:p", "")));
        CliResult none = await CliProcess.RunAsync(["clusters", "list", "--json", "--zk", zooKeeper.ConnectionString]);
        using JsonDocument empty = JsonDocument.Parse(none.Output);
        Assert.That((none.ExitCode, empty.RootElement.GetProperty("clusters").EnumerateObject().Count()), Is.EqualTo((0, 0)));

        Assert.That((await RunAsync("clusters add orders --nodes 127.0.0.1:1")).ExitCode, Is.Zero);
        (int listed, string list, _) = await RunAsync("clusters list");
        Assert.That((listed, list.Split('\n')[1]), Is.EqualTo((0, "orders   no monitor has written a topology yet")));
        using JsonDocument noted = JsonDocument.Parse((await RunAsync("clusters list --json")).Output);
        Assert.That(noted.RootElement.GetProperty("clusters").GetProperty("orders").ValueKind, Is.EqualTo(JsonValueKind.Null));
        Assert.That(noted.RootElement.GetProperty("notes").GetProperty("orders").GetString(),
            Is.EqualTo("no monitor has written a topology yet"));
        Assert.That((await RunAsync("status")).ExitCode, Is.EqualTo(1), "it has no master");
        Assert.That((await RunAsync("clusters remove orders")).Output, Does.StartWith("done: cluster orders is monitored no longer"));
        Assert.That(await RunAsync("clusters remove orders"), Is.EqualTo((0, "done: cluster orders is not monitored: nothing to do", "")));
        Assert.That(await RunAsync("clusters remove nosuch"),
            Is.EqualTo((3, "", "redis-failover: there is no cluster nosuch; there are orders.")));

        async Task<(int ExitCode, string Output, string Errors)> RunAsync(string command)
        {
            CliResult result = await CliProcess.RunAsync([.. command.Split(' '), "--zk", zooKeeper.ConnectionString]);
            // A server that has just been started may take its time, and that is said.
            return (result.ExitCode, result.Output, string.Join('\n', result.Errors.Split('\n')
                .Where(line => !line.StartsWith("redis-failover: waiting for ZooKeeper", StringComparison.Ordinal))));
        }
    }

    [Test]
    public async Task Whoever_may_not_read_a_cluster_is_refused_and_told_what_to_give()
    {
        await using ZooKeeperServer zooKeeper = await ZooKeeperServer.StartAsync();
        await using ZooKeeperSession owner = await ZooKeeperSession.ConnectAsync(new ZooKeeperOptions
        {
            Connection = ZooKeeperConnectionString.Parse(zooKeeper.ConnectionString), Auth = [ZooKeeperAuth.Digest("monitors", "secret")],
        });
        foreach (string path in new[] { "/closed", "/closed/nodes", "/closed/history", "/closed/clusters" })
        {
            await owner.CreateAsync(path, "{}"u8.ToArray(), CreateMode.Persistent, ZnodeAcl.CreatorAll);
        }

        foreach (string command in new[] { "status", "check", "history", "config show", "clusters list", "switchover" })
        {
            CliResult result = await CliProcess.RunAsync([.. command.Split(' '), "--json", "--zk", zooKeeper.ConnectionString + "/closed"]);
            Assert.That(result.ExitCode, Is.EqualTo(3), $"{command}: {result}");
            using JsonDocument document = JsonDocument.Parse(result.Output);
            Assert.That(document.RootElement.GetProperty("reason").GetString(),
                Does.StartWith("ZooKeeper refuses the right to it (").And.Contain("REDIS_FAILOVER_ZK_AUTH_FILE"), command);
        }
    }

    [Test]
    public async Task A_variable_that_names_a_file_that_is_of_no_use_is_told_with_exit_code_2()
    {
        using var files = new TemporaryDirectory("variables");
        await File.WriteAllTextAsync(files.File("empty"), "\n");
        await File.WriteAllTextAsync(files.File("text"), "text\n");
        string empty = files.File("empty");
        foreach ((string variable, string command) in new[]
        {
            ("REDIS_FAILOVER_ZK_AUTH_FILE", "status"), ("REDIS_FAILOVER_ZK_TLS_CA_FILE", "status"),
            ("REDIS_FAILOVER_ZK_TLS_CERT_FILE", "status"), ("REDIS_FAILOVER_ZK_TLS_KEY_FILE", "status"),
            ("REDIS_FAILOVER_ZK_AUTH_FILE", "load"), ("REDIS_FAILOVER_PASSWORD_FILE", "load"), ("REDIS_FAILOVER_TLS_CA_FILE", "load"),
            ("REDIS_FAILOVER_TLS_CERT_FILE", "load"), ("REDIS_FAILOVER_TLS_KEY_FILE", "load"),
        })
        {
            const string allowed = "; allowed: a file that can be read and is not empty.";
            await SaysAsync($"{variable}: the file '{empty}' is empty{allowed}", command, (variable, empty));
            await SaysAsync($"{variable}: the file '/no/such' does not exist{allowed}", command, (variable, "/no/such"));
            await SaysAsync($"{variable}: the file '/' is a directory{allowed}", command, (variable, "/"));
        }

        string text = files.File("text");
        await SaysAsync($"REDIS_FAILOVER_ZK_AUTH_FILE: a line of {text} is not user:password.", "status",
            ("REDIS_FAILOVER_ZK_AUTH_FILE", text));
        await SaysAsync($"REDIS_FAILOVER_ZK_TLS_CA_FILE: {text} holds no certificate in PEM.", "status",
            ("REDIS_FAILOVER_ZK_TLS_CA_FILE", text));
        await SaysAsync("REDIS_FAILOVER_TLS_KEY_FILE is set without REDIS_FAILOVER_TLS_CERT_FILE.", "load",
            ("REDIS_FAILOVER_TLS_KEY_FILE", text));
        await SaysAsync("REDIS_FAILOVER_ZK_TLS_NAME is * without REDIS_FAILOVER_ZK_TLS_CA_FILE.", "status",
            ("REDIS_FAILOVER_ZK_TLS_NAME", "*"));
        await SaysAsync("REDIS_FAILOVER_PASSWORD and REDIS_FAILOVER_PASSWORD_FILE are both set; allowed: one of them.", "load",
            ("REDIS_FAILOVER_PASSWORD", "x"), ("REDIS_FAILOVER_PASSWORD_FILE", text));
    }

    private static async Task SaysAsync(string expected, string command, params (string Variable, string Value)[] given)
    {
        CliResult result = await CliProcess.RunAsync([command, "--zk", "127.0.0.1:1"],
            environment: given.ToImmutableDictionary(g => g.Variable, g => (string?)g.Value));
        Assert.That((result.ExitCode, result.Errors), Is.EqualTo((2, $"redis-failover: {expected}")));
    }

    private static async Task PrintsAsync(
        SecuredCluster cluster, string command, bool asOperator, int exitCode, string[] names, string? outcome = null)
    {
        CliResult result = await cluster.ToolAsync([.. command.Split(' '), "--json"], asOperator);
        Assert.That(result.ExitCode, Is.EqualTo(exitCode), $"{command}: {result}");
        using JsonDocument document = JsonDocument.Parse(result.Output);
        JsonElement one = document.RootElement;
        if (one.ValueKind == JsonValueKind.Array)
        {
            Assert.That(one.GetArrayLength(), names.Length == 0 ? Is.Zero : Is.Positive, command);
            one = names.Length == 0 ? JsonDocument.Parse("{}").RootElement : one[0];
        }

        Assert.That(one.EnumerateObject().Select(p => p.Name), Is.EqualTo(names), command);
        Assert.That(outcome is null || one.GetProperty("outcome").GetString() == outcome, result.ToString());
    }
}
