using System.Collections.Immutable;
using NUnit.Framework;
using RedisFailover.IntegrationTests.Cases;
using RedisFailover.IntegrationTests.Harness;

namespace RedisFailover.IntegrationTests.Operation;

[TestFixture]
[Parallelizable(ParallelScope.All)]
public sealed class ConfigTests
{
    [Test]
    public async Task Settings_are_changed_for_all_monitors_together_or_not_at_all()
    {
        await using Cluster cluster = await Cluster.StartAsync();
        Topology first = await cluster.WaitUntilWholeAsync();
        await cluster.WaitForAllViewsAsync();
        ImmutableArray<string> zk = ["--zk", cluster.ConnectionString];

        CliResult wrong = await CliProcess.RunAsync(["config", "set", "max-failures=2", "probe-timeout=nonsense", .. zk]);
        Assert.That((wrong.ExitCode, wrong.Output), Is.EqualTo((2, "")), wrong.ToString());
        Assert.That(wrong.Errors, Does.Contain("probe-timeout: 'nonsense' is not allowed; allowed: 10ms to 60s"));
        CliResult together = await CliProcess.RunAsync(["config", "set", "write-safety=replicated", "write-quorum=9", .. zk]);
        Assert.That((together.ExitCode, together.Output), Is.EqualTo((3, together.Output)), together.ToString());
        Assert.That(together.Output,
            Does.StartWith("refused: ").And.Contain("write-quorum").And.Contain("'9' is not allowed; allowed: 1 to 2 with 3 nodes"));
        await RefusesWhatAnotherToolAsksAsync(cluster);
        CliResult unknown = await CliProcess.RunAsync(["config", "set", "znode-path=/other", .. zk]);
        Assert.That((unknown.ExitCode, unknown.Output), Is.EqualTo((2, "")));
        Assert.That(
            unknown.Errors, Does.Contain("'znode-path' is no setting that can be changed for all monitors; allowed: max-failures, "));
        CliResult shown = await CliProcess.RunAsync(["config", "show", .. zk]);
        Assert.That(shown.Output, Does.StartWith("nothing was changed for all monitors"));

        // A silence that would be judged after 0.9 s is now judged after 20 s.
        CliResult set = await CliProcess.RunAsync(["config", "set", "max-failures=10", "probe-timeout=2s", .. zk]);
        Assert.That(set.ExitCode, Is.Zero, set.ToString());
        foreach (MonitorProcess monitor in cluster.Monitors)
        {
            await Eventually.HoldsAsync(
                $"{monitor.Id} has taken it over",
                async ct => MonitorReport.Parse(await cluster.ReadAsync($"/monitors/{monitor.Id}", ct)).ConfigVersion,
                version => version == 0,
                explain: cluster.Explain);
        }

        cluster.Node(first.Master!).Freeze();
        await Told.StaysAsync(
            "The new settings hold for all", async ()
                => (await cluster.TopologyAsync()).Epoch == first.Epoch, TimeSpan.FromSeconds(4), cluster.Explain);
        CliResult back = await CliProcess.RunAsync(["config", "set", "max-failures=2", "probe-timeout=", .. zk]);
        Assert.That(back.ExitCode, Is.Zero, back.ToString());
        await cluster.WaitForAsync("The frozen master is replaced", t
            => t.State == TopologyState.Ok && t.Master != first.Master, TimeSpan.FromSeconds(15));
        cluster.Node(first.Master!).Thaw();

        Assert.That((await CliProcess.RunAsync(["config", "get", "max-failures", .. zk])).Output, Is.EqualTo("2"));
        Assert.That((await CliProcess.RunAsync(["config", "get", "probe-timeout", .. zk])).ExitCode, Is.EqualTo(1));
        Assert.That((await CliProcess.RunAsync(["status", .. zk])).Output, Does.Contain("config   version 1, "));
        await cluster.WaitForHistoryAsync("The change is noted", e
            => e.Kind == HistoryKind.Config && e.Reason.Contains("max-failures=2", StringComparison.Ordinal));

        // An editor that changes one line and takes nothing out.
        await using ChildProcess edit = await ChildProcess.StartAsync(
            new ChildProcessOptions("redis-failover config edit", Programs.Dotnet, [Programs.Cli, "config", "edit", .. zk])
            {
                Environment = ImmutableDictionary<string, string?>.Empty.Add("VISUAL", "sed -i s/max-failures=2/max-failures=4/"),
            });
        Assert.That(await edit.WaitForExitAsync(), Is.Zero, edit.Tail());
        Assert.That(ClusterConfigJson.Parse(await cluster.ReadAsync("/config")).Settings,
            Is.EqualTo(new[] { KeyValuePair.Create("max-failures", "4") }));
    }

    /// <summary>The tool checks before it asks; whoever writes the request's znode does not.</summary>
    private static async Task RefusesWhatAnotherToolAsksAsync(Cluster cluster)
    {
        const string Request = "request-0000000900";
        await cluster.CreateAsync($"/requests/{Request}", """{"kind":"config","settings":{"probe-timeout":"nonsense"}}""");
        OperatorRequest answered = await Eventually.HoldsAsync(
            "it is answered", async ct => OperatorRequest.Parse(Request, await cluster.ReadAsync($"/requests/{Request}", ct), 0),
            request => request.Answer is not null, explain: cluster.Explain);
        Assert.That(answered.Answer!.Outcome, Is.EqualTo(RequestOutcome.Refused));
        Assert.That(answered.Answer.Reason, Does.Contain("probe-timeout").And.Contain("'nonsense' is not allowed"));
    }
}
