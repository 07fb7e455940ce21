using System.Collections.Concurrent;
using System.Diagnostics;
using NUnit.Framework;
using RedisFailover.IntegrationTests.Harness;
using RedisFailover.ZooKeeper;
using static RedisFailover.IntegrationTests.ZooKeeper.RealServer;

namespace RedisFailover.IntegrationTests.ZooKeeper;

/// <summary>Three real servers, one of which fails.</summary>
[TestFixture]
public sealed class EnsembleTests
{
    /// <summary>A leader that waits in vain for its followers tries again after 3 s instead of 10: less than a session lives.</summary>
    private static readonly ZooKeeperServerOptions QuickElection = new() { ConfLines = ["initLimit=6", LongSessions] };

    private static readonly TimeSpan LeaseLength = TimeSpan.FromMilliseconds(500);

    [Test]
    public async Task Case_24_the_lease_of_a_leader_behind_a_partitioned_follower_is_over_before_another_can_be_elected()
    {
        // Server 1 has the lowest number and so does not lead; it reaches the other two only through proxies.
        (int Quorum, int Election)[] ports = [.. Enumerable.Range(0, 3).Select(_ => (FreePorts.Next(), FreePorts.Next()))];
        await using FaultProxy to2 = FaultProxy.Start("127.0.0.1", ports[1].Quorum);
        await using FaultProxy to3 = FaultProxy.Start("127.0.0.1", ports[2].Quorum);
        var options = new ZooKeeperServerOptions { ConfLines = ["syncLimit=20"] };
        await using var follower =
            new ZooKeeperServer(options with { Id = 1, Peers = [ports[0], (to2.Port, ports[1].Election), (to3.Port, ports[2].Election)] });
        await using var second = new ZooKeeperServer(options with { Id = 2, Peers = [.. ports] });
        await using var third = new ZooKeeperServer(options with { Id = 3, Peers = [.. ports] });
        ZooKeeperServer[] servers = [follower, second, third];
        await Task.WhenAll(servers.Select(s => s.StartProcessAsync(default)));
        await Task.WhenAll(servers.Select(s => s.WaitUntilServingAsync(default)));
        Assert.That(await follower.ModeAsync(), Is.EqualTo("follower"));

        string root = FreshRoot();
        var timeout = TimeSpan.FromSeconds(4);
        await using var cutOff = new ZooKeeperClient(Options(follower.ConnectionString + root, timeout));
        await using var majority = new ZooKeeperClient(Options($"{second.ConnectionString},{third.ConnectionString}{root}", timeout));
        await using ZooKeeperSession idle = await ConnectAsync(follower.ConnectionString, root, timeout);
        await using Leadership old = await FaultTests.Election(cutOff, "old").CampaignAsync();
        Task<Leadership> electing = FaultTests.Election(majority, "new").CampaignAsync();
        Task<long> elected = StampAsync(electing);
        await Eventually.HoldsAsync("the lease is held", () => old.Lease.IsHeld);

        // What is measured is a lease that was renewed, not the one that came with leadership.
        await Task.Delay(LeaseLength);
        long cut = Stopwatch.GetTimestamp();
        to2.Set(LinkState.BlackHole);
        to3.Set(LinkState.BlackHole);
        Task<long> held = LastHeldAsync(old.Lease, cut, until: elected);
        await using Leadership next = await electing.WaitAsync(Deadline);
        TimeSpan electedAfter = Stopwatch.GetElapsedTime(cut, await elected);
        TimeSpan heldUntil = Stopwatch.GetElapsedTime(cut, await held);
        TestContext.Out.WriteLine(
            $"After the cut: old lease held until {heldUntil.TotalMilliseconds:0} ms, another elected at "
                + $"{electedAfter.TotalMilliseconds:0} ms.");
        Assert.That(heldUntil, Is.LessThan(electedAfter));

        // L after the last beat that a quorum took, which was sent before the cut; what is more is a busy machine, or a lease that grew
        // with it.
        Assert.That(heldUntil, Is.LessThanOrEqualTo(timeout / 2));
        await Eventually.HoldsAsync(
            "the cut-off follower answers the pings of an idle session after another was elected: they prove nothing",
            () => idle.SinceLastContact < Stopwatch.GetElapsedTime(cut) - electedAfter);
        Assert.That(next.Term, Is.GreaterThan(old.Term));
        Assert.That(old.Lease.IsHeld, Is.False);
        to2.Heal();
        to3.Heal();
        await Eventually.HoldsAsync("the old leader knows", () => old.Lost.IsCancellationRequested);
    }

    [Test]
    public async Task When_the_quorums_leader_is_killed_sessions_ephemerals_and_writes_survive()
    {
        await using ZooKeeperEnsemble ensemble = await ZooKeeperEnsemble.StartAsync(QuickElection);
        await using var load = await Load.StartAsync(ensemble.ConnectionString);
        ZooKeeperServer leader = await ensemble.LeaderAsync();
        await leader.KillAsync();
        await Eventually.HoldsAsync(
            "another leads", async ct => (await ensemble.LeaderAsync(ct)).Port, port => port != leader.Port, Deadline);
        await load.MoveOnAsync();
        await load.VerifyAsync();
    }

    [Test]
    public async Task A_rolling_restart_of_all_three_servers_under_load_loses_nothing_and_expires_no_session()
    {
        await using ZooKeeperEnsemble ensemble = await ZooKeeperEnsemble.StartAsync(QuickElection);
        await using var load = await Load.StartAsync(ensemble.ConnectionString);
        foreach (ZooKeeperServer server in ensemble.Servers)
        {
            await server.StopAsync();
            await load.MoveOnAsync();
            await server.StartAsync();

            // As an operator does: not the next one before this one has caught up.
            await Eventually.HoldsAsync(
                "both followers are in step",
                async ct => await (await ensemble.LeaderAsync(ct)).FourLetterAsync("mntr", ct),
                monitor => monitor.Contains("zk_synced_followers\t2", StringComparison.Ordinal));
        }

        await load.MoveOnAsync();
        await load.VerifyAsync();
    }

    /// <summary>When the lease was last held before the task ended: one that comes back after it was over counts.</summary>
    private static async Task<long> LastHeldAsync(Lease lease, long start, Task until)
    {
        long last = start;
        while (!until.IsCompleted)
        {
            if (lease.IsHeld)
            {
                last = Stopwatch.GetTimestamp();
            }

            await Task.Delay(2);
        }

        return last;
    }

    private static async Task<long> StampAsync(Task task)
    {
        await task;
        return Stopwatch.GetTimestamp();
    }

    /// <summary>Three sessions that each write to znodes of their own and hold an ephemeral one; a fourth follows one value.</summary>
    private sealed class Load : IAsyncDisposable
    {
        private readonly List<ZooKeeperSession> _sessions = [];
        private readonly ConcurrentDictionary<string, int> _versions = new();
        private readonly CancellationTokenSource _stop = new();
        private readonly List<Task> _writers = [];
        private ZooKeeperClient? _client;
        private WatchedValue? _value;

        internal static async Task<Load> StartAsync(string ensemble)
        {
            var load = new Load();
            string root = FreshRoot();
            for (int s = 0; s < 3; s++)
            {
                ZooKeeperSession session = await ConnectAsync(ensemble, root, LongTimeout);
                load._sessions.Add(session);
                await session.CreateAsync($"/ephemeral{s}", default, CreateMode.Ephemeral);
                for (int w = 0; w < 4; w++)
                {
                    string path = $"/{s}-{w}";
                    await session.CreateAsync(path, default);
                    load._writers.Add(Task.Run(() => load.WriteAsync(session, path)));
                }
            }

            load._client = new ZooKeeperClient(Options(ensemble + root, LongTimeout));
            load._value = load._client.Watch("/0-0");
            return load;
        }

        /// <summary>Waits until every writer has made progress.</summary>
        internal async Task MoveOnAsync()
        {
            Dictionary<string, int> before = new(_versions);
            await Eventually.HoldsAsync(
                "every writer gets on",
                () => _versions.Count == 12 && _versions.All(v => v.Value > before.GetValueOrDefault(v.Key)),
                Deadline,
                () => string.Join(' ', _sessions.Select(s => s.State)));
        }

        internal async Task VerifyAsync()
        {
            await _stop.CancelAsync();
            await Task.WhenAll(_writers);
            ZooKeeperSession reader = _sessions[0];
            await reader.SyncAsync("/");
            foreach ((string path, int version) in _versions)
            {
                Assert.That((await reader.GetDataAsync(path)).Stat.Version, Is.EqualTo(version), path);
            }

            for (int s = 0; s < 3; s++)
            {
                Assert.That(_sessions[s].State, Is.EqualTo(ZooKeeperSessionState.Connected));
                Assert.That((await reader.ExistsAsync($"/ephemeral{s}"))!.Value.EphemeralOwner, Is.EqualTo(_sessions[s].SessionId));
            }

            await Eventually.HoldsAsync("the follower has the last value", () => _value!.Current?.Stat.Version == _versions["/0-0"]);
            TestContext.Out.WriteLine($"{_versions.Values.Sum()} writes, all there");
        }

        public async ValueTask DisposeAsync()
        {
            await _stop.CancelAsync();
            if (_value is not null)
            {
                await _value.DisposeAsync();
            }

            if (_client is not null)
            {
                await _client.DisposeAsync();
            }

            foreach (ZooKeeperSession session in _sessions)
            {
                await session.DisposeAsync();
            }

            _stop.Dispose();
        }

        private async Task WriteAsync(ZooKeeperSession session, string path)
        {
            int version = 0;
            bool unsure = false;
            while (!_stop.IsCancellationRequested || unsure)
            {
                try
                {
                    if (unsure)
                    {
                        await session.SyncAsync(path);
                        int now = (await session.GetDataAsync(path)).Stat.Version;
                        Assert.That(now, Is.EqualTo(version).Or.EqualTo(version + 1));
                        (version, unsure) = (now, false);
                    }
                    else
                    {
                        version = (await session.SetDataAsync(path, Bytes("x"), version)).Version;
                    }

                    _versions[path] = version;
                }
                catch (ZooKeeperException e) when (e.Code == ZooKeeperErrorCode.ConnectionLoss)
                {
                    unsure = true;
                }
            }
        }
    }
}
