using System.Diagnostics;
using System.Globalization;
using NUnit.Framework;
using RedisFailover.IntegrationTests.Cases;
using RedisFailover.IntegrationTests.Harness;

namespace RedisFailover.IntegrationTests.Failover;

/// <summary>
/// Three ZooKeeper servers, three monitors: the leader stays while nothing is wrong with it. <c>SOAK_MINUTES</c> says for how long the
/// first two look, 10 by default. Part of scripts/soak.sh.
/// </summary>
[TestFixture]
[Category("Nightly")]
[NonParallelizable]
public sealed class StableLeadershipTests
{
    private static readonly TimeSpan s_settles = TimeSpan.FromMinutes(2);

    private static TimeSpan Soak
        => double.TryParse(Environment.GetEnvironmentVariable("SOAK_MINUTES"), CultureInfo.InvariantCulture, out double minutes)
            ? TimeSpan.FromMinutes(minutes) : TimeSpan.FromMinutes(10);

    [Test]
    public async Task The_leader_stays_at_rest()
    {
        await using Cluster cluster = await StartAsync();
        await AssertSameLeaderAsync(cluster);
    }

    [Test]
    public async Task The_leader_stays_while_the_machine_is_loaded_to_8()
    {
        await using Cluster cluster = await StartAsync();
        List<ChildProcess> load = [];
        try
        {
            for (int i = 0; i < 8; i++)
            {
                load.Add(await ChildProcess.StartAsync(new ChildProcessOptions("load", "/bin/sh", ["-c", "while :; do :; done"])));
            }

            await AssertSameLeaderAsync(cluster);
        }
        finally
        {
            foreach (ChildProcess process in load)
            {
                await process.DisposeAsync();
            }
        }
    }

    /// <summary>
    /// One after the other, the leader of the ensemble last. Where neither it goes nor the server of the leading monitor, the leader stays;
    /// elsewhere it may change, and the master never does.
    /// </summary>
    [Test]
    public async Task A_rolling_restart_of_ZooKeeper_changes_the_leader_only_where_its_server_or_the_ensembles_leader_goes()
    {
        await using Cluster cluster = await StartAsync();
        Topology before = await cluster.TopologyAsync();
        ZooKeeperServer last = await cluster.ZooKeeper.LeaderAsync();
        List<ZooKeeperServer> remaining = [.. cluster.ZooKeeper.Servers];
        int calm = 0;
        while (remaining.Count > 0)
        {
            Term term = await TermAsync(cluster);
            ZooKeeperServer? home = await HomeAsync(remaining, term.Session);
            ZooKeeperServer server = remaining.OrderBy(server => server == last).ThenBy(server => server == home).First();
            remaining.Remove(server);
            bool mayChange = server == last || server == home;
            long stopped = Stopwatch.GetTimestamp();
            await server.StopAsync();
            await server.StartAsync();
            Term after = await Eventually.HoldsAsync(
                "A monitor leads", ct => TermAsync(cluster, ct), now => now.Session != 0, s_settles, cluster.Explain);
            await TestContext.Out.WriteLineAsync(string.Create(
                CultureInfo.InvariantCulture,
                $"{(server == last ? "the ensemble's leader" : mayChange ? "the leading monitor's server" : "another server")}: "
                    + $"{(after == term ? "the same leader" : "another leader")}, {Stopwatch.GetElapsedTime(stopped).TotalSeconds:0.0} s"));
            if (!mayChange)
            {
                calm++;
                Assert.That(after, Is.EqualTo(term), cluster.Explain());
            }
        }

        Assert.That(calm, Is.GreaterThan(0), "at least one server is nobody's");
        Topology whole = await cluster.WaitUntilWholeAsync();
        Assert.That((whole.Master, whole.Epoch), Is.EqualTo((before.Master, before.Epoch)), cluster.Explain());
        await AssertFailsOverAsync(cluster);
    }

    /// <summary>
    /// The leases grow with what writes take. While the ensemble turns slow the leader may change once; then it stays, and replaces a
    /// lost master; where writes take longer than a lease can be it is told which setting is too short.
    /// </summary>
    [TestCase(100, 4, false)]
    [TestCase(300, 4, false)]
    [TestCase(600, 4, false)]
    [TestCase(1100, 4, true)]
    [TestCase(1100, 30, false)]
    [TestCase(2200, 30, false)]
    public async Task A_slow_ensemble_keeps_its_leader(int delayEachWay, int sessionSeconds, bool tooShort)
    {
        await using Cluster cluster = await Cluster.StartAsync(Told.Calm() with
        {
            ZooKeepers = 3,
            ZooKeeperOptions = new ZooKeeperServerOptions { ConfLines = ["maxSessionTimeout=60000"] },
            Monitors = 0,
        });
        List<FaultProxy> slow = [.. cluster.ZooKeeper.Servers.Select(server => FaultProxy.Start("127.0.0.1", server.Port))];
        try
        {
            for (int i = 0; i < 3; i++)
            {
                await cluster.StartMonitorAsync(monitor => monitor with
                {
                    ZooKeepers = string.Join(',', slow.Select(proxy => proxy.Address)),
                    SessionTimeout = TimeSpan.FromSeconds(sessionSeconds),
                });
            }

            await cluster.WaitUntilWholeAsync(s_settles);
            await cluster.WaitForAllViewsAsync();
            foreach (FaultProxy proxy in slow)
            {
                proxy.Set(new LinkState(true, true, TimeSpan.FromMilliseconds(delayEachWay)));
            }

            Term atFirst = await TermAsync(cluster);
            if (tooShort)
            {
                // The session is lost on the way, and each step takes several of these delays.
                Problem told = await cluster.WaitUntilToldAsync("lease-not-held", patience: s_settles);
                Assert.That(told.Advice, Does.Contain("session-timeout"));
                return;
            }

            await Task.Delay(TimeSpan.FromSeconds(10 + (20 * delayEachWay / 1000.0)));
            Term settled = await Eventually.HoldsAsync(
                "A monitor leads", ct => TermAsync(cluster, ct), now => now.Session != 0, s_settles, cluster.Explain);
            await Task.Delay(TimeSpan.FromSeconds(20));
            Term later = await TermAsync(cluster);
            int changes = settled.Version - atFirst.Version;
            await TestContext.Out.WriteLineAsync($"{delayEachWay} ms each way, T = {sessionSeconds} s: {changes} writes of the term");
            Assert.That(later, Is.EqualTo(settled), cluster.Explain());
            Assert.That(changes, Is.LessThanOrEqualTo(2), cluster.Explain());
            await AssertFailsOverAsync(cluster);
        }
        finally
        {
            foreach (FaultProxy proxy in slow)
            {
                await proxy.DisposeAsync();
            }
        }
    }

    private static async Task<Cluster> StartAsync()
    {
        Cluster cluster = await Cluster.StartAsync(Told.Calm() with { ZooKeepers = 3 });
        await cluster.WaitUntilWholeAsync();
        await cluster.WaitForAllViewsAsync();
        return cluster;
    }

    private static async Task AssertSameLeaderAsync(Cluster cluster)
    {
        Term before = await TermAsync(cluster);
        Topology topology = await cluster.TopologyAsync();
        await Task.Delay(Soak);
        Assert.That(await TermAsync(cluster), Is.EqualTo(before), cluster.Explain());
        Topology after = await cluster.TopologyAsync();
        Assert.That((after.Master, after.Epoch), Is.EqualTo((topology.Master, topology.Epoch)), cluster.Explain());
        await AssertFailsOverAsync(cluster);
    }

    private static async Task AssertFailsOverAsync(Cluster cluster)
    {
        Topology before = await cluster.TopologyAsync();
        long killed = Stopwatch.GetTimestamp();
        cluster.Node(before.Master!).Kill();
        await cluster.WaitForOtherMasterAsync(before.Master!, s_settles);
        await TestContext.Out.WriteLineAsync(
            string.Create(CultureInfo.InvariantCulture, $"failover after {Stopwatch.GetElapsedTime(killed).TotalMilliseconds:0} ms"));
    }

    /// <summary>Every change of leader writes the term; the session is the leading monitor's, 0 while nobody leads.</summary>
    private static async Task<Term> TermAsync(Cluster cluster, CancellationToken ct = default)
    {
        int version = await cluster.VersionAsync("/term", ct);
        return new Term(version, await cluster.OwnerAsync("/leader", ct));
    }

    /// <summary>The server that the session is connected to, if it is one of these.</summary>
    private static async Task<ZooKeeperServer?> HomeAsync(IEnumerable<ZooKeeperServer> servers, long session)
    {
        foreach (ZooKeeperServer server in servers)
        {
            if ((await server.FourLetterAsync("cons")).Contains($"sid=0x{session:x}", StringComparison.Ordinal))
            {
                return server;
            }
        }

        return null;
    }

    private sealed record Term(int Version, long Session);
}
