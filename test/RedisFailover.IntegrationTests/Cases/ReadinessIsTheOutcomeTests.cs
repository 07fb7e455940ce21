using System.Collections.Immutable;
using System.Diagnostics;
using NUnit.Framework;
using RedisFailover.IntegrationTests.Harness;

namespace RedisFailover.IntegrationTests.Cases;

/// <summary>
/// A cluster is put into a state of affairs, "check" is asked whether a failover would work, and then the master is killed: the word before
/// has to be what happens. Working means that another node takes writes.
/// </summary>
[TestFixture]
[Parallelizable(ParallelScope.All)]
public sealed class ReadinessIsTheOutcomeTests
{
    /// <summary>For so long the word has to have stayed the same: what was done is known by then.</summary>
    private static readonly TimeSpan s_settled = TimeSpan.FromSeconds(2);

    /// <summary>Until then a failover has taken place, if one takes place.</summary>
    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(12);

    /// <summary>A state of affairs, and what is to come of it.</summary>
    public sealed record Case(string Name, bool Works)
    {
        public ImmutableArray<string> Conf { get; init; } = [];

        public ImmutableArray<string> Monitor { get; init; } = [];

        public int Monitors { get; init; } = 1;

        /// <summary>What the monitors' user may not do; null: they are the default user.</summary>
        public string? Denied { get; init; }

        public Func<Cluster, Task> Arrange { get; init; } = _ => Task.CompletedTask;

        public override string ToString() => Name;
    }

    public static IEnumerable<Case> Cases =>
    [
        new("all is well", true),
        new("every replica has priority 0", false) { Arrange = c => OnReplicas(c, "CONFIG", "SET", "replica-priority", "0") },
        new("one replica has priority 0", true) { Arrange = c => c.Redis[1].CommandAsync("CONFIG", "SET", "replica-priority", "0") },
        new("every replica is tagged never-promote", false) { Arrange = c => ToolAsync(c, n => ["nodes", "tag", n, "never-promote"]) },
        new("every replica's tag is priority=0", false) { Arrange = c => ToolAsync(c, n => ["nodes", "tag", n, "priority=0"]) },
        new("every replica is out of memory", false) { Arrange = c => OnReplicas(c, "CONFIG", "SET", "maxmemory", "1mb") },
        new("one replica is out of memory", true) { Arrange = c => c.Redis[1].CommandAsync("CONFIG", "SET", "maxmemory", "1mb") },
        new("no replica can save", false)
        {
            Conf = ["stop-writes-on-bgsave-error yes", "save \"3600 1\""],
            Arrange = async c =>
            {
                foreach (RedisServer replica in c.Redis.Skip(1))
                {
                    replica.PutDirectoryInPlaceOfDump();
                    await replica.CommandAsync("BGSAVE");
                }
            },
        },
        new("no replica can save and none has to", true)
        {
            Conf = ["stop-writes-on-bgsave-error no", "save \"3600 1\""],
            Arrange = async c =>
            {
                foreach (RedisServer replica in c.Redis.Skip(1))
                {
                    replica.PutDirectoryInPlaceOfDump();
                    await replica.CommandAsync("BGSAVE");
                }
            },
        },
        new("min-replicas-to-write is 2 of two replicas", false) { Conf = ["min-replicas-to-write 2"] },
        new("min-replicas-to-write is 1 of two replicas", true) { Conf = ["min-replicas-to-write 1", "repl-ping-replica-period 1"] },
        new("REPLICAOF and SLAVEOF have other names", false) { Conf = ["rename-command REPLICAOF \"\"", "rename-command SLAVEOF \"\""] },
        new("CONFIG has another name", true) { Conf = ["rename-command CONFIG \"\""] },
        new("the monitors may not change roles", false) { Denied = "-replicaof -slaveof" },
        new("the monitors' user lacks @dangerous", false) { Denied = "-@dangerous +info" },
        new("the monitors may do only what they must", true) { Denied = "-@all +info +replicaof" },
        new("the replicas have lost their link and have everything", true) { Arrange = BreakLinksAsync },
        new("the replicas lack more than max-lag", false)
        {
            Monitor = ["--max-lag", "100000"],
            Arrange = async c =>
            {
                await BreakLinksAsync(c);
                await c.Redis[0].CommandAsync("SET", "big", new string('x', 500_000));
            },
        },
        new("the replicas serve no stale data", true) { Conf = ["replica-serve-stale-data no"], Arrange = BreakLinksAsync },
        new("the replicas are frozen", false)
        {
            Arrange = c =>
            {
                c.Redis[1].Freeze();
                c.Redis[2].Freeze();
                return Task.CompletedTask;
            },
        },
        new("the replicas' clients are paused by an operator", false) { Arrange = c => OnReplicas(c, "CLIENT", "PAUSE", "60000", "ALL") },
        new("somebody has taken the right to write the topology", false) { Arrange = c => c.ForbidWritingAsync(new ZnodePaths("").Nodes) },
        new("failover is paused", false) { Arrange = c => ToolOnceAsync(c, "pause") },
        new("two monitors are required and one is here", false)
        {
            Monitor = ["--required-monitors", "2"], Monitors = 2, Arrange = c => c.Monitors[1].KillAsync(),
        },
        new("one monitor of two has been killed", true) { Monitors = 2, Arrange = c => c.Monitors[1].KillAsync() },
        // The set in which acknowledged writes are looked for is made smaller while the master can still prove what it holds.
        new("write safety, and a replica is gone", true)
        {
            Monitor = ["--write-safety", "replicated"], Arrange = c => c.Redis[2].KillAsync(),
        },
        new("a replica is gone", true) { Arrange = c => c.Redis[2].KillAsync() },
    ];

    /// <summary>Those that are played with every run; all of them take minutes.</summary>
    private static readonly ImmutableArray<string> s_often =
    [
        "all is well", "every replica has priority 0", "every replica is out of memory", "no replica can save",
        "somebody has taken the right to write the topology",
        "min-replicas-to-write is 2 of two replicas", "REPLICAOF and SLAVEOF have other names",
        "the replicas have lost their link and have everything", "the replicas lack more than max-lag",
    ];

    public static IEnumerable<TestCaseData> Plays
        => Cases.Select(c => s_often.Contains(c.Name) ? new TestCaseData(c) : new TestCaseData(c).SetCategory("Nightly"));

    [TestCaseSource(nameof(Plays))]
    public async Task What_is_said_before_is_what_happens_then(Case given)
    {
        Needs.Redis("7.0", "ACL rules for subcommands that are taken away");
        ImmutableArray<string> user = given.Denied is null ? [] : ["--username", "monitor"];
        await using Cluster cluster = await Cluster.StartAsync(Told.Calm([.. given.Monitor, .. user]) with
        {
            Monitors = 0, RedisOptions = new RedisServerOptions { ConfLines = given.Conf },
        });
        await AllowAsync(cluster, given.Denied);
        for (int i = 0; i < given.Monitors; i++)
        {
            await cluster.StartMonitorAsync(options => given.Denied is null ? options : options with { Password = "secret" });
        }

        NodeAddress master = (await cluster.WaitUntilWholeAsync(TimeSpan.FromSeconds(60))).Master!;
        await cluster.SetDataAsync();
        await given.Arrange(cluster);
        Word before = await SettledAsync(cluster, given.Works);
        cluster.Node(master).Kill();
        bool works = await TakesOverAsync(cluster, master);

        Assert.Multiple(() =>
        {
            Assert.That(works, Is.EqualTo(before.WouldWork), () => $"before: {before.Text}\n{cluster.Explain()}");
            Assert.That(works, Is.EqualTo(given.Works), () => $"before: {before.Text}\n{cluster.Explain()}");
        });
    }

    private static async Task AllowAsync(Cluster cluster, string? denied)
    {
        foreach (RedisServer redis in denied is null ? [] : cluster.Redis)
        {
            await redis.CommandAsync(["ACL", "SETUSER", "monitor", "reset", "on", ">secret", "~*", "&*", "+@all", .. denied!.Split(' ')]);
        }
    }

    /// <summary>The word that is expected, as soon as it has stayed; else the last one. Settings are asked for every ten seconds.</summary>
    private static async Task<Word> SettledAsync(Cluster cluster, bool expected)
    {
        long since = Stopwatch.GetTimestamp();
        long begun = since;
        while (true)
        {
            Word? word = null;
            try
            {
                word = await cluster.CheckAsync();
            }
            catch (FormatException)
            {
                // ZooKeeper had no time for the tool, which says nothing of the cluster.
            }

            since = word?.WouldWork == expected ? since : Stopwatch.GetTimestamp();
            if (word is not null
                && (Stopwatch.GetElapsedTime(since) >= s_settled || Stopwatch.GetElapsedTime(begun) > TimeSpan.FromSeconds(30)))
            {
                return word;
            }

            await Task.Delay(100);
        }
    }

    private static async Task<bool> TakesOverAsync(Cluster cluster, NodeAddress former)
    {
        for (long since = Stopwatch.GetTimestamp(); Stopwatch.GetElapsedTime(since) < s_patience; await Task.Delay(50))
        {
            if (await cluster.TopologyAsync() is { State: TopologyState.Ok, Master: { } now } && now != former
                && await cluster.Node(now).TakesWritesAsync())
            {
                return true;
            }
        }

        return false;
    }

    private static async Task OnReplicas(Cluster cluster, params ImmutableArray<string> command)
    {
        foreach (RedisServer replica in cluster.Redis.Skip(1))
        {
            await replica.CommandAsync(command);
        }
    }

    /// <summary>The replicas present a wrong password from now on.</summary>
    private static async Task BreakLinksAsync(Cluster cluster)
    {
        await cluster.Redis[0].CommandAsync("ACL", "SETUSER", "replication", "on", ">secret", "+psync", "+replconf", "+ping");
        await OnReplicas(cluster, "CONFIG", "SET", "masteruser", "replication", "masterauth", "wrong");
        await cluster.Redis[0].CommandAsync("CLIENT", "KILL", "TYPE", "replica");
        foreach (RedisServer replica in cluster.Redis.Skip(1))
        {
            await Eventually.HoldsAsync("Its link is down", ct
                => replica.InfoAsync("replication", ct), info => info["master_link_status"] == "down");
        }
    }

    private static async Task ToolAsync(Cluster cluster, Func<string, ImmutableArray<string>> arguments)
    {
        foreach (RedisServer replica in cluster.Redis.Skip(1))
        {
            await ToolOnceAsync(cluster, [.. arguments(replica.Address.ToString())]);
        }
    }

    private static async Task ToolOnceAsync(Cluster cluster, params ImmutableArray<string> arguments)
    {
        CliResult result = await CliProcess.RunAsync([.. arguments, "--zk", cluster.ConnectionString]);
        Assert.That(result.ExitCode, Is.Zero, result.ToString());
    }
}
