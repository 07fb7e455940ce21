using System.Collections.Immutable;
using System.Globalization;
using System.Diagnostics;
using NUnit.Framework;
using RedisFailover.IntegrationTests.Harness;

namespace RedisFailover.IntegrationTests.Failover;

/// <summary>
/// The leader dies or freezes at each step of a failover and of a switchover in turn; its successor has to make something whole of it.
/// </summary>
[TestFixture]
[Parallelizable(ParallelScope.All)]
public sealed class FaultPointTests
{
    /// <summary>Commands that change a node's role, settings or clients: what a leader sends and nobody else here.</summary>
    private static readonly string[] Changing =
        ["replicaof", "slaveof", "config|set", "config|rewrite", "client|pause", "client|unpause", "client|kill", "exec", "set", "del", "flushall", "shutdown", "debug"];

    private static readonly TimeSpan TakesOver = TimeSpan.FromSeconds(30);

    [TestCase("before-intent")]
    [TestCase("after-intent")]
    [TestCase("before-promotion")]
    [TestCase("sent-promotion")]
    [TestCase("after-promotion")]
    [TestCase("after-publication")]
    [TestCase("sent-repointing")]
    [TestCase("after-repointing")]
    public async Task A_leader_that_dies_in_a_failover_is_followed_by_one_that_finishes_it(string place)
    {
        await using Stage stage = await Stage.StartAsync("kill:" + place, writes: true);
        (Cluster cluster, Topology before, WritingClient client) = (stage.Cluster, stage.Before, stage.Client!);

        cluster.Redis[0].Kill();
        await cluster.Monitors[0].Process.WaitForExitAsync();
        Topology after = await cluster.WaitForAsync(
            "A replica is master and all that live follow it",
            topology => topology is { State: TopologyState.Ok, Replicas.Length: 1 } && topology.Master != before.Master,
            TakesOver);
        await client.WaitForWriteBegunAfterAsync(Stopwatch.GetTimestamp());
        await cluster.Redis[0].RestartAsync();

        Topology whole = await cluster.WaitUntilWholeAsync();
        Assert.That(whole.Master, Is.EqualTo(after.Master), "the successor does not move mastership a second time");
        Assert.That(whole.Epoch, Is.InRange(before.Epoch + 1, before.Epoch + 2), "who takes a change over begins an epoch of its own");
        await AssertOneMasterAsync(cluster, whole);

        // The history is written beside what follows the publication: where the leader died by then, its successor notes it.
        HistoryEntry failover =
            await cluster.WaitForHistoryAsync("The failover is in the history", entry => entry.Kind == HistoryKind.Failover);
        Assert.That((failover.From, failover.To, failover.Epoch), Is.EqualTo((before.Master, after.Master, whole.Epoch)));
        if (place is "after-intent" or "before-promotion" or "sent-promotion" or "after-promotion")
        {
            // The successor's session had to expire first, and that belongs to the failover.
            Assert.That(failover.Reason, Does.Contain($"begun by {cluster.Monitors[0].Id}"));
            Assert.That(failover.Millis.Single(step => step.Key == "total").Value,
                Is.GreaterThan(failover.Millis.Single(step => step.Key == "takeover").Value));
            Assert.That(failover.Millis.Single(step => step.Key == "takeover").Value, Is.GreaterThan(500),
                "half of the session timeout is the least that a successor waits");
        }

        Assert.That((await cluster.HistoryAsync()).Count(entry => entry.Kind == HistoryKind.Failover), Is.EqualTo(1));
    }

    [TestCase("before-intent")]
    [TestCase("after-intent")]
    [TestCase("sent-pause")]
    [TestCase("after-pause")]
    [TestCase("before-promotion")]
    [TestCase("sent-promotion")]
    [TestCase("after-promotion")]
    [TestCase("after-publication")]
    [TestCase("sent-demotion")]
    [TestCase("after-demotion")]
    public async Task A_leader_that_dies_in_a_switchover_is_followed_by_one_that_finishes_or_undoes_it_and_no_write_is_lost(string place)
    {
        await using Stage stage = await Stage.StartAsync("kill:" + place, writes: true);
        (Cluster cluster, Topology before, WritingClient client) = (stage.Cluster, stage.Before, stage.Client!);

        await cluster.CreateAsync("/manual_failover", cluster.Redis[1].Address.ToString());
        await cluster.Monitors[0].Process.WaitForExitAsync();
        Topology whole = await cluster.WaitForAsync(
            "The switchover is done, or undone, and all follow",
            topology => topology is { State: TopologyState.Ok, Replicas.Length: 2 } && topology.Epoch > before.Epoch,
            TakesOver);
        await client.WaitForWriteBegunAfterAsync(Stopwatch.GetTimestamp());

        // Once the target may have been promoted there is no way back; before, an intent whose pause nobody vouches for is undone.
        // A successor that comes after the pause may find that the old master went on: then what that took is kept.
        bool undone = place is "after-intent" or "sent-pause" or "after-pause" or "before-promotion";
        if (place is "sent-promotion" or "after-promotion" && whole.Master == before.Master)
        {
            undone = true;
            await cluster.Monitors[1].Process.WaitForLineAsync(line
                => line.Contains($"{before.Master} went on after {cluster.Redis[1].Address} had been promoted", StringComparison.Ordinal));
        }

        Assert.That(whole.Master, Is.EqualTo(undone ? before.Master : cluster.Redis[1].Address), cluster.Explain());
        await AssertOneMasterAsync(cluster, whole);
        await Eventually.HoldsAsync(
            "The master is one by its own file", () => !cluster.Node(whole.Master!).IsReplicaByItsFile(), TakesOver, cluster.Explain);
        await Eventually.HoldsAsync(
            "The wish is fulfilled or refused, and gone",
            ct => cluster.ExistsAsync("/manual_failover", ct),
            exists => !exists,
            explain: cluster.Explain);
        Assert.That(await client.StopAndCountLostAsync(), Is.Zero, cluster.Explain());
        Assert.That(client.Errors, Is.Empty, cluster.Explain());
    }

    [TestCase("after-intent", Category = "Nightly", Explicit = true, Reason = "The others show the same")]
    [TestCase("before-promotion")]
    [TestCase("sent-promotion")]
    [TestCase("sent-repointing", Category = "Nightly", Explicit = true, Reason = "The others show the same")]
    public async Task A_leader_that_freezes_in_a_failover_past_its_session_sends_no_command_that_changes_anything_when_it_wakes(
        string place)
    {
        await using Stage stage = await Stage.StartAsync("freeze:" + place, writes: false);
        (Cluster cluster, Topology before) = (stage.Cluster, stage.Before);
        cluster.Redis[0].Kill();
        await AssertWokenLeaderIsHarmlessAsync(cluster, async () =>
        {
            await cluster.WaitForAsync("A replica is master", topology
                => topology.State == TopologyState.Ok && topology.Master != before.Master, TakesOver);
            await cluster.Redis[0].RestartAsync();
        });
    }

    [TestCase("before-pause", Category = "Nightly", Explicit = true, Reason = "The others show the same")]
    [TestCase("after-pause")]
    [TestCase("sent-promotion", Category = "Nightly", Explicit = true, Reason = "The others show the same")]
    [TestCase("sent-demotion")]
    public async Task A_leader_that_freezes_in_a_switchover_past_its_session_sends_no_command_that_changes_anything_when_it_wakes(
        string place)
    {
        await using Stage stage = await Stage.StartAsync("freeze:" + place, writes: false);
        (Cluster cluster, Topology before) = (stage.Cluster, stage.Before);
        await cluster.CreateAsync("/manual_failover", cluster.Redis[1].Address.ToString());
        await AssertWokenLeaderIsHarmlessAsync(
            cluster,
            () => cluster.WaitForAsync("The switchover is over", topology => topology.State == TopologyState.Ok
                && topology.Epoch > before.Epoch, TakesOver));
    }

    private static async Task AssertOneMasterAsync(Cluster cluster, Topology topology)
    {
        foreach (RedisServer node in cluster.Redis)
        {
            NodeAddress? follows = node.Address == topology.Master ? null : topology.Master;
            await Eventually.HoldsAsync($"{node.Address} follows {follows?.ToString() ?? "nobody"}", node.MasterAsync, master
                => master == follows, explain: cluster.Explain);
        }
    }

    private static async Task AssertWokenLeaderIsHarmlessAsync(Cluster cluster, Func<Task> successorFinishes)
    {
        MonitorProcess frozen = cluster.Monitors[0];
        await Eventually.HoldsAsync("The leader has frozen itself", () => IsStopped(frozen.Pid), TakesOver, cluster.Explain);
        await cluster.WaitForOtherLeaderAsync(frozen, TakesOver);
        await successorFinishes();
        Topology whole = await cluster.WaitUntilWholeAsync();
        await AssertOneMasterAsync(cluster, whole);
        // What the successor still has to say about its own work (CONFIG REWRITE) is said before the frozen one is woken.
        string? before = await Eventually.HoldsAsync(
            "Nobody changes anything any more", _ => UnchangedAsync(cluster), counts => counts is not null, explain: cluster.Explain);

        frozen.Thaw();
        await frozen.Process.WaitForLineAsync(line => line.Contains("no longer leads", StringComparison.Ordinal), TakesOver);
        // Its new session is there: by then it has come to terms with all that it had in hand.
        await Eventually.HoldsAsync(
            "The woken monitor takes part again", async ct
                => await cluster.ReadAsync($"/monitors/{frozen.Id}", ct), view => view.Length > 0, TakesOver, cluster.Explain);

        Assert.That(await CountsAsync(cluster), Is.EqualTo(before), cluster.Explain());
        Topology after = await cluster.TopologyAsync();
        Assert.That((after.Master, after.Epoch), Is.EqualTo((whole.Master, whole.Epoch)));
    }

    /// <summary>How often each node was sent a command that changes something; null unless it stays so for half a second.</summary>
    private static async Task<string?> UnchangedAsync(Cluster cluster)
    {
        string before = await CountsAsync(cluster);
        await Task.Delay(TimeSpan.FromMilliseconds(500));
        return before == await CountsAsync(cluster) ? before : null;
    }

    private static async Task<string> CountsAsync(Cluster cluster)
    {
        List<string> counts = [];
        foreach (RedisServer node in cluster.Redis)
        {
            ImmutableDictionary<string, string> stats = await node.InfoAsync("commandstats");
            counts.AddRange(
                from command in Changing
                where stats.ContainsKey("cmdstat_" + command)
                select $"{node.Address} {command}: {Done(stats["cmdstat_" + command])}");
        }

        return string.Join('\n', counts);
    }

    /// <summary>The calls that were not refused: what a user may do is asked by forms of the commands that fail.</summary>
    private static int Done(string stats)
    {
        Dictionary<string, string> parts = stats.Split(',').Select(part => part.Split('=')).ToDictionary(part => part[0], part => part[1]);
        return int.Parse(parts["calls"], CultureInfo.InvariantCulture) - int.Parse(parts.GetValueOrDefault("failed_calls", "0"),
            CultureInfo.InvariantCulture);
    }

    private static bool IsStopped(int pid)
    {
        // "pid (name) T ...", where the name may hold anything.
        string stat = File.ReadAllText($"/proc/{pid}/stat");
        return stat[(stat.LastIndexOf(')') + 2)..].StartsWith('T');
    }

    /// <summary>
    /// A whole cluster in which m1 leads and has the fault point; m2 is its successor. A client writes, where one is wanted.
    /// </summary>
    private sealed class Stage : IAsyncDisposable
    {
        private Stage(Cluster cluster) => Cluster = cluster;

        internal Cluster Cluster { get; }

        /// <summary>The topology before anything happens.</summary>
        internal Topology Before { get; private set; } = Topology.None;

        internal WritingClient? Client { get; private set; }

        internal static async Task<Stage> StartAsync(string faultPoint, bool writes)
        {
            // A request is refused for a replica that has not answered the successor within the time of a probe: a busy machine needs
            // more of it.
            Stage stage = new(await Cluster.StartAsync(new ClusterOptions
            {
                Monitors = 0,
                MonitorOptions = new MonitorOptions { SessionTimeout = TimeSpan.FromSeconds(2), ProbeTimeout = TimeSpan.FromSeconds(1) },
            }));
            try
            {
                await stage.Cluster.StartMonitorAsync(
                    options => options with { Environment = options.Environment.SetItem("REDIS_FAILOVER_FAULT_POINT", faultPoint) });
                await stage.Cluster.LeaderAsync(TakesOver);
                MonitorProcess successor = await stage.Cluster.StartMonitorAsync();
                await successor.Process.WaitForLineAsync(line => line.Contains("topology of epoch", StringComparison.Ordinal), TakesOver);
                stage.Before = await stage.Cluster.WaitUntilWholeAsync();
                if (writes)
                {
                    stage.Client = await WritingClient.StartAsync(stage.Cluster);
                    await stage.Client.WaitForWritesAsync(20);
                }

                return stage;
            }
            catch
            {
                await stage.DisposeAsync();
                throw;
            }
        }

        public async ValueTask DisposeAsync()
        {
            if (Client is { } client)
            {
                await client.DisposeAsync();
            }

            await Cluster.DisposeAsync();
        }
    }
}
