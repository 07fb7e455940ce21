using System.Globalization;
using System.Text.Json;
using System.Text.RegularExpressions;
using NUnit.Framework;
using RedisFailover.IntegrationTests.Harness;

namespace RedisFailover.IntegrationTests.Failover;

/// <summary>redis-failover switchover: requests below R/requests, answered in place.</summary>
[TestFixture]
[Parallelizable(ParallelScope.All)]
public sealed class SwitchoverTests
{
    [Test]
    public async Task Under_load_it_loses_nothing_and_no_call_fails_there_and_back()
    {
        // On a busy machine a replica may take longer than usual to answer, which a request would be refused for.
        await using Cluster cluster =
            await Cluster.StartAsync(new ClusterOptions { MonitorOptions = new MonitorOptions { ProbeTimeout = TimeSpan.FromSeconds(2) } });
        Topology before = await cluster.WaitUntilWholeAsync();
        await using WritingClient client = await WritingClient.StartAsync(cluster);
        await client.WaitForWritesAsync(100);

        NodeAddress target = before.Replicas[1];
        CliResult there = await SwitchoverAsync(cluster, target.ToString(), "--json");
        Assert.That(there.ExitCode, Is.Zero, $"{there}\n{cluster.Explain()}");
        using JsonDocument answer = JsonDocument.Parse(there.Output);
        Assert.That(answer.RootElement.GetProperty("outcome").GetString(), Is.EqualTo("done"));
        Assert.That(answer.RootElement.GetProperty("master").GetString(), Is.EqualTo(target.ToString()));
        Assert.That(answer.RootElement.GetProperty("epoch").GetInt64(), Is.EqualTo(before.Epoch + 1));
        Assert.That(answer.RootElement.GetProperty("millis").EnumerateObject().Select(step => step.Name),
            Does.Contain("pause").And.Contain("publication"));
        await cluster.WaitUntilWholeAsync();
        await client.WaitForWritesAsync(100);

        CliResult back = await SwitchoverAsync(cluster, before.Master!.ToString());
        Assert.That(back.ExitCode, Is.Zero, $"{back}\n{cluster.Explain()}");
        Assert.That(back.Output, Does.Contain($"master: {target} -> {before.Master}"));
        Topology after = await cluster.WaitUntilWholeAsync();
        Assert.That((after.Master, after.Epoch), Is.EqualTo((before.Master, before.Epoch + 2)));
        await client.WaitForWritesAsync(100);
        Assert.That(await client.StopAndCountLostAsync(), Is.Zero);
        Assert.That(client.Errors, Is.Empty, cluster.Explain());
    }

    [Test]
    public async Task A_replica_that_does_not_catch_up_undoes_it_and_nothing_changes()
    {
        await using Cluster cluster = await WithPatientMonitorsAsync();
        Topology before = await cluster.WaitUntilWholeAsync();
        await using WritingClient client = await WritingClient.StartAsync(cluster);
        await client.WaitForWritesAsync(50);

        // It answers the monitor, and nothing of the master's reaches it.
        cluster.Proxies[0].CutOff(cluster.Redis[1].Process.Pid);
        await client.WaitForWritesAsync(1);
        CliResult undone;
        try
        {
            undone = await SwitchoverAsync(cluster, "--timeout", "1s");
        }
        finally
        {
            cluster.Proxies[0].Reconnect(cluster.Redis[1].Process.Pid);
        }

        Assert.That(undone.ExitCode, Is.EqualTo(4), $"{undone}\n{cluster.Explain()}");
        Assert.That(undone.Output,
            Does.Contain("undone: the switchover to").And.Contain("nothing changed").And.Contain("had not caught up after 1000 ms"));
        Topology after = await cluster.TopologyAsync();
        Assert.That((after.Master, after.Epoch, after.State), Is.EqualTo((before.Master, before.Epoch, TopologyState.Ok)));
        await client.WaitForWritesAsync(50);
        Assert.That(await client.StopAndCountLostAsync(), Is.Zero);
        Assert.That(client.Errors, Is.Empty, cluster.Explain());
    }

    [Test]
    public async Task A_target_that_hangs_is_refused_and_no_write_is_held()
    {
        await using Cluster cluster = await WithPatientMonitorsAsync();
        Topology before = await cluster.WaitUntilWholeAsync();
        cluster.Redis[1].Freeze();
        CliResult refused;
        try
        {
            refused = await SwitchoverAsync(cluster, before.Replicas[0].ToString(), "--wait", "60");
        }
        finally
        {
            cluster.Redis[1].Thaw();
        }

        Assert.That(refused.ExitCode, Is.EqualTo(3), $"{refused}\n{cluster.Explain()}");
        // In its time, or, where a probe has failed by then, at once.
        Assert.That(refused.Output,
            Does.Contain($"{before.Replicas[0]}: it has not answered within")
                .Or.Contain($"{before.Replicas[0]}: it does not answer at present"));
        // The monitors ask whether they may, by a form of the command that fails.
        string pauses = (await cluster.Redis[0].InfoAsync("commandstats"))
            .GetValueOrDefault("cmdstat_client|pause", "calls=0,failed_calls=0");
        Assert.That(Regex.IsMatch(pauses, @"^calls=(\d+),.*failed_calls=\1$"), Is.True, pauses);
        Assert.That((await cluster.TopologyAsync()).Epoch, Is.EqualTo(before.Epoch));
    }

    [Test]
    public async Task What_has_begun_is_not_taken_back()
    {
        await using Cluster cluster = await WithPatientMonitorsAsync();
        Topology before = await cluster.WaitUntilWholeAsync();
        cluster.Proxies[0].CutOff(cluster.Redis[1].Process.Pid);
        await cluster.Redis[0].CommandAsync("SET", "k", "what the replica lacks");
        await using ChildProcess asking = await CliProcess.StartAsync(["switchover", "--zk", cluster.ConnectionString, "--timeout", "60s"]);
        string id;
        try
        {
            await cluster.WaitForAsync("The switchover begins", topology => topology.State == TopologyState.SwitchingOver);
            id = (await cluster.ChildrenAsync("/requests"))[0];
            CliResult withdrawing = await CliProcess.RunAsync(["requests", "withdraw", id, "--zk", cluster.ConnectionString]);
            Assert.That(withdrawing.ExitCode, Is.EqualTo(3), withdrawing.ToString());
            Assert.That(withdrawing.Errors, Does.Contain("it has begun, and goes on: switchover from"));
            asking.Signal(2);
            Assert.That(await asking.WaitForExitAsync(), Is.EqualTo(1), asking.Tail());
            Assert.That(string.Join('\n', asking.Errors), Does.Contain("interrupted; it has begun, and goes on: switchover from"));
        }
        finally
        {
            cluster.Proxies[0].Reconnect(cluster.Redis[1].Process.Pid);
        }

        Assert.That((await AnsweredAsync(cluster, id, "")).Answer!.Outcome, Is.EqualTo(RequestOutcome.Done));
        Assert.That((await cluster.TopologyAsync()).Master, Is.EqualTo(before.Replicas[0]));
    }

    [Test]
    public async Task While_one_is_under_way_a_second_request_is_told_so()
    {
        await using Cluster cluster = await WithPatientMonitorsAsync();
        Topology before = await cluster.WaitUntilWholeAsync();
        cluster.Proxies[0].CutOff(cluster.Redis[1].Process.Pid);
        await cluster.Redis[0].CommandAsync("SET", "k", "what the replica lacks");
        await using ChildProcess first = await CliProcess.StartAsync(["switchover", "--zk", cluster.ConnectionString, "--timeout", "60s"]);
        try
        {
            await cluster.WaitForAsync("The switchover begins", topology => topology.State == TopologyState.SwitchingOver);
            CliResult second = await SwitchoverAsync(cluster);
            Assert.That(second.ExitCode, Is.EqualTo(3), second.ToString());
            Assert.That(second.Errors, Does.Contain("under way already"));
            // And one that did not look first.
            await cluster.CreateAsync("/requests/request-9", """{"kind":"switchover"}""");
            await AnsweredAsync(cluster, "request-9", "is under way already");
        }
        finally
        {
            cluster.Proxies[0].Reconnect(cluster.Redis[1].Process.Pid);
        }

        Assert.That(await first.WaitForExitAsync(), Is.Zero, first.Tail());
        Topology after = await cluster.WaitUntilWholeAsync();
        Assert.That((after.Master, after.Epoch), Is.EqualTo((before.Replicas[0], before.Epoch + 1)));
    }

    [Test]
    public async Task Without_a_fit_replica_it_is_refused_with_the_reason_and_force_takes_the_node_that_is_named()
    {
        await using Cluster cluster = await Cluster.StartAsync(new ClusterOptions { Redis = 2 });
        Topology before = await cluster.WaitUntilWholeAsync();
        RedisServer replica = cluster.Redis[1];
        await replica.CommandAsync("CONFIG", "SET", "replica-priority", "0");

        CliResult refused = await SwitchoverAsync(cluster, replica.Address.ToString());
        Assert.That(refused.ExitCode, Is.EqualTo(3), $"{refused}\n{cluster.Explain()}");
        Assert.That(refused.Output, Does.Contain($"refused: ").And.Contain($"{replica.Address}: its replica-priority is 0"));
        Assert.That((await cluster.TopologyAsync()).Master, Is.EqualTo(before.Master));

        CliResult forced = await SwitchoverAsync(cluster, replica.Address.ToString(), "--force", "--timeout", "1s");
        Assert.That(forced.ExitCode, Is.Zero, $"{forced}\n{cluster.Explain()}");
        Assert.That(forced.Output, Does.Contain("data may be lost"));
        Topology after = await cluster.WaitUntilWholeAsync();
        Assert.That(after.Master, Is.EqualTo(replica.Address));
        HistoryEntry entry = (await cluster.HistoryAsync()).Last(e => e.Kind == HistoryKind.Switchover);
        Assert.That(entry.Reason, Does.Contain("forced").And.Contain("replica-priority is 0"));
    }

    [Test]
    public async Task A_request_that_cannot_be_read_is_refused_and_old_answers_are_cleared_away()
    {
        await using Cluster cluster = await Cluster.StartAsync(new ClusterOptions { Redis = 1, Monitors = 1 });
        await cluster.WaitUntilWholeAsync();
        await cluster.CreateAsync("/requests", "");
        await cluster.CreateAsync("/requests/request-0000000000", "nonsense");
        await AnsweredAsync(cluster, "request-0000000000", "is not JSON");
        for (int i = 1; i <= 23; i++)
        {
            string id = string.Create(CultureInfo.InvariantCulture, $"request-{i:0000000000}");
            await cluster.CreateAsync($"/requests/{id}", """{"kind":"switchover"}""");
            await AnsweredAsync(cluster, id, "no replica can take over: there is none");
        }

        await Eventually.HoldsAsync(
            "The oldest are gone",
            ct => cluster.ChildrenAsync("/requests", ct),
            listed => !listed.Contains("request-0000000000") && listed.Contains("request-0000000023"),
            explain: cluster.Explain);
    }

    [Test]
    public async Task A_master_that_took_writes_while_it_was_cut_off_and_froze_leaves_their_number_of_bytes_in_the_history()
    {
        await using Cluster cluster = await Cluster.StartAsync();
        Topology before = await cluster.WaitUntilWholeAsync();
        RedisServer master = cluster.Redis[0];
        await master.CommandAsync("SET", "k", "everywhere");
        foreach (RedisServer replica in cluster.Redis.Skip(1))
        {
            await Eventually.HoldsAsync("The replica has it", ct
                => replica.CommandAsync(["GET", "k"], ct), reply => reply.Text == "everywhere");
        }

        // Its replicas hang and their links are gone: what it takes now, nobody else has.
        cluster.Redis[1].Freeze();
        cluster.Redis[2].Freeze();
        await master.CommandAsync("CLIENT", "KILL", "TYPE", "replica");
        string alone = new('x', 1000);
        await master.CommandAsync("SET", "k", alone);
        master.Freeze();
        cluster.Redis[1].Thaw();
        cluster.Redis[2].Thaw();

        Topology after = await cluster.WaitForAsync(
            "A replica is master", topology
                => topology.State == TopologyState.Ok && topology.Master != before.Master, TimeSpan.FromSeconds(60));
        master.Thaw();
        Topology whole = await cluster.WaitUntilWholeAsync(TimeSpan.FromSeconds(60));
        Assert.That(whole.Master, Is.EqualTo(after.Master));
        HistoryEntry returned = (await Eventually.HoldsAsync(
            "The return is in the history",
            cluster.HistoryAsync,
            history => history.Any(e => e.Kind == HistoryKind.Demoted),
            explain: cluster.Explain)).Last(e => e.Kind == HistoryKind.Demoted);
        Assert.That((returned.From, returned.To), Is.EqualTo((before.Master, after.Master)));
        Assert.That(returned.BytesBehind, Is.GreaterThan(alone.Length).And.LessThan(alone.Length + 1000), returned.Reason);
        await Eventually.HoldsAsync("It has the new master's data", ct
            => master.CommandAsync(["GET", "k"], ct), reply => reply.Text == "everywhere");
    }

    private static Task<CliResult> SwitchoverAsync(Cluster cluster, params string[] more)
        => CliProcess.RunAsync(["switchover", "--zk", cluster.ConnectionString, .. more]);

    private static Task<OperatorRequest> AnsweredAsync(Cluster cluster, string id, string reason) => Eventually.HoldsAsync(
        $"{id} is answered",
        async ct => OperatorRequest.Parse(id, await cluster.ReadAsync($"/requests/{id}", ct), 0),
        request => request.Answer?.Reason.Contains(reason, StringComparison.Ordinal) == true,
        explain: cluster.Explain);

    /// <summary>Monitors that do not judge a node that hangs for a minute; the first answer of each node shows data.</summary>
    private static async Task<Cluster> WithPatientMonitorsAsync()
    {
        Cluster cluster = await Cluster.StartAsync(new ClusterOptions
        {
            Redis = 2,
            Monitors = 0,
            Proxies = true,
            MonitorOptions =
                new MonitorOptions { SessionTimeout = TimeSpan.FromSeconds(2), ProbeTimeout = TimeSpan.FromSeconds(1), MaxFailures = 60 },
        });
        try
        {
            await cluster.Redis[0].CommandAsync("SET", "k", "v");
            await Eventually.HoldsAsync("The replica has it", ct
                => cluster.Redis[1].CommandAsync(["GET", "k"], ct), reply => reply.Text == "v");
            await cluster.StartMonitorAsync();
            return cluster;
        }
        catch
        {
            await cluster.DisposeAsync();
            throw;
        }
    }
}
