using System.Text.Json;
using NUnit.Framework;
using RedisFailover.IntegrationTests.Harness;

namespace RedisFailover.IntegrationTests.Operation;

/// <summary>What the tool's smaller commands say, and what it makes of znodes that somebody has mangled.</summary>
[TestFixture]
[Parallelizable(ParallelScope.All)]
public sealed class ToolTests
{
    [Test]
    public async Task A_monitor_that_is_gone_for_good_is_listed_and_forgotten()
    {
        await using Cluster cluster = await Cluster.StartAsync(new ClusterOptions { Monitors = 2 });
        await cluster.WaitUntilWholeAsync();
        await cluster.WaitForAllViewsAsync();
        MonitorProcess leader = await cluster.LeaderAsync();
        MonitorProcess other = cluster.Monitors.Single(m => m != leader);
        CliResult here = await RunAsync(cluster, "monitors", "forget", other.Id);
        Assert.That(here.ExitCode, Is.EqualTo(3), here.ToString());
        Assert.That(here.Errors, Does.Contain($"monitor {other.Id} is here: stop it first (SIGTERM takes it off by itself)."));
        await other.Process.KillAsync();
        await Eventually.HoldsAsync("it is away", _ => RunAsync(cluster, "monitors", "list"),
            list => list.Output.Split('\n').Any(l => l.StartsWith(other.Id + " ", StringComparison.Ordinal)
                && l.Contains(" away", StringComparison.Ordinal)));
        using JsonDocument forgotten = JsonDocument.Parse((await RunAsync(cluster, "monitors", "forget", other.Id, "--json")).Output);
        Assert.That(forgotten.RootElement.GetProperty("outcome").GetString(), Is.EqualTo("done"));
        using JsonDocument left = JsonDocument.Parse((await RunAsync(cluster, "monitors", "list", "--json")).Output);
        Assert.That(left.RootElement.EnumerateArray().Select(m => m.GetProperty("id").GetString()), Is.EqualTo(new[] { leader.Id }));
    }

    [Test]
    public async Task A_request_that_nobody_answers_is_listed_and_withdrawn()
    {
        await using Cluster cluster = await Cluster.StartAsync(new ClusterOptions { Monitors = 1 });
        await cluster.WaitUntilWholeAsync();
        cluster.Monitors[0].Process.Freeze();
        await using ChildProcess asking =
            await CliProcess.StartAsync(["pause", "--for", "30m", "--wait", "1m", "--zk", cluster.ConnectionString]);
        string id = "";
        await Eventually.HoldsAsync("it is listed", async _ =>
        {
            CliResult list = await RunAsync(cluster, "requests", "list");
            id = list.Output.Split(' ')[0];
            return list.Output;
        }, text => text.Contains("pause failover", StringComparison.Ordinal));
        CliResult withdrawn = await RunAsync(cluster, "requests", "withdraw", id);
        Assert.That((withdrawn.ExitCode, withdrawn.Output), Is.EqualTo((0, withdrawn.Output)));
        Assert.That(withdrawn.Output, Does.StartWith($"done: {id} (pause failover, by ").And.EndsWith("): the request is withdrawn."));
        Assert.That(await asking.WaitForExitAsync(), Is.EqualTo(1));
        Assert.That((await RunAsync(cluster, "requests", "list")).Output, Is.EqualTo("no request waits"));
        Assert.That((await RunAsync(cluster, "requests", "withdraw", id)).ExitCode, Is.EqualTo(3));
    }

    [TestCase(2, TestName = "A_request_is_withdrawn_at_Ctrl_C")]
    [TestCase(1, TestName = "A_request_is_withdrawn_when_its_terminal_goes_away")]
    public async Task A_request_is_withdrawn_when_nobody_waits_for_it(int signal)
    {
        await using Cluster cluster = await Cluster.StartAsync(new ClusterOptions { Monitors = 1 });
        await cluster.WaitUntilWholeAsync();
        cluster.Monitors[0].Process.Freeze();
        await using ChildProcess asking =
            await CliProcess.StartAsync(["config", "set", "max-failures=5", "--wait", "1m", "--zk", cluster.ConnectionString]);
        await Eventually.HoldsAsync("it is made", ct => cluster.ChildrenAsync("/requests", ct), names => names.Length == 1);
        asking.Signal(signal);
        Assert.That(await asking.WaitForExitAsync(), Is.EqualTo(1));
        Assert.That(string.Join('\n', asking.Errors), Does.Contain("interrupted; the request is withdrawn."));
        Assert.That(await cluster.ChildrenAsync("/requests"), Is.Empty);
    }

    [Test]
    public async Task A_request_that_is_answered_before_Ctrl_C_takes_it_back_is_told_as_what_it_is()
    {
        await using Cluster cluster = await Cluster.StartAsync(new ClusterOptions { Monitors = 1 });
        await cluster.WaitUntilWholeAsync();
        cluster.Monitors[0].Process.Freeze();
        await using ChildProcess asking =
            await CliProcess.StartAsync(["config", "set", "max-failures=5", "--wait", "1m", "--zk", cluster.ConnectionString]);
        string[] names = [];
        await Eventually.HoldsAsync(
            "it is made", async ct => names = [.. await cluster.ChildrenAsync("/requests", ct)], static n => n.Length == 1);
        asking.Freeze();
        cluster.Monitors[0].Process.Thaw();
        await Eventually.HoldsAsync(
            "it is answered",
            async ct => OperatorRequest.Parse(names[0], await cluster.ReadAsync($"/requests/{names[0]}", ct), 0),
            request => request.Answer is not null);
        asking.Signal(2);
        asking.Thaw();
        Assert.That(await asking.WaitForExitAsync(), Is.Zero, asking.Tail());
    }

    [Test]
    public async Task What_somebody_mangled_is_said_and_ends_no_command()
    {
        await using Cluster cluster = await Cluster.StartAsync(new ClusterOptions
        {
            Monitors = 1,
            MonitorOptions = new() { SessionTimeout = TimeSpan.FromSeconds(30), ProbeTimeout = TimeSpan.FromMilliseconds(300) },
        });
        await cluster.WaitUntilWholeAsync();
        // Whoever leads would write it again at once.
        cluster.Monitors[0].Process.Freeze();
        await cluster.WriteAsync("/leader", "[]");
        Assert.That((await RunAsync(cluster, "status")).Output, Does.Contain("/leader is not readable"));
        const string halfAPair = "[{\"code\":\"\\ud800\"}]";
        await (await cluster.ExistsAsync("/problems")
            ? cluster.WriteAsync("/problems", halfAPair) : cluster.CreateAsync("/problems", halfAPair));
        foreach (string[] command in (string[][])[["status"], ["status", "--json"], ["check"], ["check", "--nagios"], ["monitors", "list"]])
        {
            CliResult result = await RunAsync(cluster, command);
            Assert.That(result.Output + result.Errors, Does.Not.Contain("   at "), string.Join(' ', command));
            Assert.That(result.ExitCode, Is.LessThan(4), result.ToString());
        }

        await cluster.WriteAsync("/nodes", "[\"mangled\"]");
        await using ChildProcess watch = await CliProcess.StartAsync(["watch", "--json", "--zk", cluster.ConnectionString]);
        await watch.WaitForLineAsync(line => line.Contains("\"topology\":[\"mangled\"]", StringComparison.Ordinal));
        await cluster.WriteAsync("/nodes", "no JSON");
        await watch.WaitForLineAsync(line => line.Contains("\"topology\":\"no JSON\"", StringComparison.Ordinal));
    }

    [Test]
    public async Task History_shows_what_happened_of_late_and_says_where_there_is_no_cluster()
    {
        await using Cluster cluster = await Cluster.StartAsync(new ClusterOptions { Monitors = 1 });
        await cluster.WaitUntilWholeAsync();
        await cluster.WaitForHistoryAsync("The beginning is noted", e => e.Kind == HistoryKind.Adopted);
        Assert.That((await RunAsync(cluster, "history", "--since", "1h")).Output, Does.Contain("adopted"));
        using JsonDocument all = JsonDocument.Parse((await RunAsync(cluster, "history", "--since", "1h", "--json")).Output);
        Assert.That(all.RootElement.GetArrayLength(), Is.EqualTo(1));
        await Eventually.HoldsAsync("it is older than a second",
            _ => RunAsync(cluster, "history", "--since", "1s"), result => result.Output == "no change is recorded");
        CliResult nowhere = await CliProcess.RunAsync(["history", "--zk", cluster.ZooKeeper.Servers[0].ConnectionString + "/nowhere"]);
        Assert.That((nowhere.ExitCode, nowhere.Errors), Is.EqualTo((1, nowhere.Errors)));
        Assert.That(nowhere.Errors, Does.Contain("there is no topology at /nowhere/nodes"));
    }

    [Test]
    public async Task What_was_never_changed_cannot_be_given_back_and_settings_are_shown_as_JSON()
    {
        await using Cluster cluster = await Cluster.StartAsync(new ClusterOptions { Monitors = 1 });
        await cluster.WaitUntilWholeAsync();
        CliResult misspelt = await RunAsync(cluster, "config", "set", "max-failure=");
        Assert.That((misspelt.ExitCode, misspelt.Output), Is.EqualTo((2, "")), misspelt.ToString());
        Assert.That(misspelt.Errors, Does.StartWith("redis-failover: 'max-failure' is no setting that can be changed for all monitors;"));
        CliResult unchanged = await RunAsync(cluster, "config", "set", "max-failures=");
        Assert.That((unchanged.ExitCode, unchanged.Output), Is.EqualTo((3, unchanged.Output)), unchanged.ToString());
        Assert.That(unchanged.Output, Does.StartWith("refused: max-failures is not among the settings that were changed"));
        Assert.That((await RunAsync(cluster, "config", "set", "max-failures=5")).ExitCode, Is.Zero);
        using JsonDocument one = JsonDocument.Parse((await RunAsync(cluster, "config", "get", "max-failures", "--json")).Output);
        Assert.That(one.RootElement.GetProperty("value").GetString(), Is.EqualTo("5"));
        using JsonDocument shown = JsonDocument.Parse((await RunAsync(cluster, "config", "show", "--json")).Output);
        JsonElement settings = shown.RootElement.GetProperty("config").GetProperty("settings");
        Assert.That(settings.GetProperty("max-failures").GetString(), Is.EqualTo("5"));
    }

    [Test]
    public async Task Zsh_is_told_how_to_complete()
    {
        CliResult zsh = await CliProcess.RunAsync(["completion", "zsh"]);
        Assert.That((zsh.ExitCode, zsh.Output), Is.EqualTo((0, zsh.Output)));
        Assert.That(zsh.Output, Does.StartWith("#compdef redis-failover").And.Contain("compadd"));
    }

    private static Task<CliResult> RunAsync(Cluster cluster, params string[] arguments)
        => CliProcess.RunAsync([.. arguments, "--zk", cluster.ConnectionString]);
}
