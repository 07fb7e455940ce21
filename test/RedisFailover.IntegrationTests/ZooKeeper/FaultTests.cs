using System.Collections.Concurrent;
using NUnit.Framework;
using RedisFailover.IntegrationTests.Harness;
using RedisFailover.ZooKeeper;
using static RedisFailover.IntegrationTests.ZooKeeper.RealServer;

namespace RedisFailover.IntegrationTests.ZooKeeper;

/// <summary>The real server behind a proxy that fails, and the real server failing.</summary>
[TestFixture]
public sealed class FaultTests
{
    internal const string LeaderPath = "/leader";

    [Test]
    public async Task Case_8_a_server_that_stops_and_starts_keeps_the_session_and_its_ephemerals()
    {
        await using ZooKeeperServer server = await ZooKeeperServer.StartAsync(new ZooKeeperServerOptions { ConfLines = [LongSessions] });
        await using ZooKeeperSession session = await ConnectAsync(server.ConnectionString, timeout: LongTimeout);
        long id = session.SessionId;
        await session.CreateAsync("/e", Bytes("mine"), CreateMode.Ephemeral);
        await server.StopAsync();
        await Eventually.HoldsAsync("disconnected", () => session.State == ZooKeeperSessionState.Disconnected);
        Task<Znode> waiting = session.GetDataAsync("/e").AsTask();
        await server.StartAsync();
        Znode found = await waiting.WaitAsync(Deadline);
        Assert.That(found.Stat.EphemeralOwner, Is.EqualTo(id));
        Assert.That(session.SessionId, Is.EqualTo(id));

        await server.KillAsync();
        await server.StartAsync();
        Assert.That(Text(await GetWhenConnectedAsync(session, "/e")), Is.EqualTo("mine"));
        Assert.That(session.State, Is.EqualTo(ZooKeeperSessionState.Connected));
    }

    [Test]
    public async Task A_frozen_server_is_given_up_after_two_thirds_of_the_timeout_and_found_again_when_it_thaws()
    {
        await using ZooKeeperServer server = await ZooKeeperServer.StartAsync();
        await using ZooKeeperSession session = await ConnectAsync(server.ConnectionString, timeout: TimeSpan.FromSeconds(3));
        var clock = System.Diagnostics.Stopwatch.StartNew();
        server.Freeze();
        await Eventually.HoldsAsync("disconnected", () => session.State == ZooKeeperSessionState.Disconnected);
        TimeSpan noticed = clock.Elapsed;
        server.Thaw();
        await Eventually.HoldsAsync("connected or expired", ()
            => session.State is ZooKeeperSessionState.Connected or ZooKeeperSessionState.Expired);
        Assert.That(noticed, Is.GreaterThan(TimeSpan.FromSeconds(1)), "the exact time is a unit test's");
    }

    [Test]
    public async Task Case_9_an_expired_session_says_so_once_and_the_client_makes_the_next()
    {
        string root = FreshRoot();
        await using ZooKeeperSession other = await ConnectAsync(root: root);
        await using var client = new ZooKeeperClient(Options(Server.ConnectionString + root));
        await using WatchedValue value = client.Watch("/v");
        ZooKeeperSession first = await client.GetSessionAsync();
        await first.CreateAsync("/e", default, CreateMode.Ephemeral);
        var states = new ConcurrentQueue<ZooKeeperSessionState>();
        first.StateChanged += states.Enqueue;
        await ExpireAsync(first);
        await Eventually.HoldsAsync("expired", () => first.Ended.IsCancellationRequested);
        Assert.That((await FailsAsync(first.GetDataAsync("/e").AsTask())).Code, Is.EqualTo(ZooKeeperErrorCode.SessionExpired));
        await Eventually.HoldsAsync("told", () => states.Contains(ZooKeeperSessionState.Expired));
        Assert.That(states.Count(s => s == ZooKeeperSessionState.Expired), Is.EqualTo(1));

        ZooKeeperSession second = await client.GetSessionAsync().AsTask().WaitAsync(Deadline);
        Assert.That(second.SessionId, Is.Not.EqualTo(first.SessionId));
        Assert.That(await second.ExistsAsync("/e"), Is.Null);
        await other.CreateAsync("/v", Bytes("after"));
        await Eventually.HoldsAsync("the watched value goes on", () => value.Current is { } v && Text(v) == "after");
    }

    [Test]
    public async Task After_a_long_outage_of_the_server_the_clients_own_znodes_of_before_are_in_nobodys_way()
    {
        await using ZooKeeperServer server =
            await ZooKeeperServer.StartAsync(new ZooKeeperServerOptions { ConfLines = ["minSessionTimeout=60000", LongSessions] });

        // The server keeps every session for a minute, and the client gives it up much earlier: what is left behind would stand for long.
        await using var client =
            new ZooKeeperClient(Options(server.ConnectionString, LongTimeout) with { GivesUpAfter = TimeSpan.FromSeconds(1) });
        ZooKeeperSession first = await client.GetSessionAsync();
        await first.CreateAsync("/mine", default, CreateMode.Ephemeral);
        Leadership before = await Election(client, "a").CampaignAsync();

        await server.KillAsync();
        await Eventually.HoldsAsync("the session is given up", ()
            => first.State == ZooKeeperSessionState.Expired, explain: () => first.State.ToString());
        await server.StartAsync();
        ZooKeeperSession second = await client.GetSessionAsync().AsTask().WaitAsync(Deadline);
        await Eventually.HoldsAsync("what was left behind is gone long before the first session expires",
            async ct => await second.ExistsAsync("/mine", cancellationToken: ct), left => left is null, Deadline / 2);
        await using Leadership after = await Election(client, "b").CampaignAsync().WaitAsync(Deadline / 2);
        Assert.That(after.Term, Is.GreaterThan(before.Term));
        Assert.That(before.Lost.IsCancellationRequested, Is.True);
        await before.DisposeAsync();
    }

    [Test]
    public async Task Case_12_when_the_servers_data_are_wiped_the_session_ends_and_the_next_goes_by_what_is_there_now()
    {
        await using ZooKeeperServer server = await ZooKeeperServer.StartAsync();
        // It is not given up by this side meanwhile.
        await using var client = new ZooKeeperClient(
            Options(server.ConnectionString, TimeSpan.FromSeconds(3)) with { GivesUpAfter = TimeSpan.FromHours(1) });
        ZooKeeperSession first = await client.GetSessionAsync();
        await first.CreateAsync("/v", Bytes("before"));
        for (int i = 0; i < 100; i++)
        {
            await first.SetDataAsync("/v", Bytes("before"));
        }

        await using WatchedValue value = client.Watch("/v");
        await using Leadership leader = await Election(client, "a").CampaignAsync();
        await Eventually.HoldsAsync("the value is known", () => value.Current is not null);
        long seen = value.Current!.Stat.ModifiedZxid;

        await server.KillAndWipeAsync();
        await server.StartAsync();
        await using ZooKeeperSession other = await ConnectAsync(server.ConnectionString, root: "");
        await other.CreateAsync("/v", Bytes("after"));

        // The server refuses a client that has seen more than it has, without a word and for ever: it is asked whether it knows us at all.
        await Eventually.HoldsAsync("the session is over", ()
            => first.State == ZooKeeperSessionState.Expired, explain: () => first.State.ToString());
        Assert.That(leader.Lease.IsHeld, Is.False);
        await Eventually.HoldsAsync("leadership is lost", () => leader.Lost.IsCancellationRequested);
        await Eventually.HoldsAsync("the new data are known", () => value.Current is { } v && Text(v) == "after");
        Assert.That(value.Current!.Stat.ModifiedZxid, Is.LessThan(seen), "the one case in which it may go back");
        await using Leadership again = await Election(client, "a").CampaignAsync().WaitAsync(Deadline);
        Assert.That(again.Lease.IsHeld, Is.True);
    }

    [Test]
    public async Task Case_13_when_the_reply_to_the_winning_multi_is_lost_there_is_exactly_one_leader()
    {
        string root = FreshRoot();
        await using var proxy = new FrameProxy(Server.Port);
        await using var lossy = new ZooKeeperClient(Options(proxy.ConnectionString + root));
        await using var direct = new ZooKeeperClient(Options(Server.ConnectionString + root));
        await (await direct.GetSessionAsync()).EnsurePathAsync("/term");
        Task lost = proxy.LoseReplyTo(OpCode.Multi, naming: LeaderPath);
        Task<Leadership> a = Election(lossy, "a").CampaignAsync();
        await lost.WaitAsync(Deadline);
        Task<Leadership> b = Election(direct, "b").CampaignAsync();
        // What a has won without knowing it is given back, and either may have it.
        Task<Leadership> first = await Task.WhenAny(a, b).WaitAsync(Deadline);
        Task<Leadership> second = first == a ? b : a;
        await using Leadership leader = await first;

        Assert.That(leader.Lease.IsHeld, Is.True);
        Assert.That(second.IsCompleted, Is.False);
        Znode term = await (await direct.GetSessionAsync()).GetDataAsync("/term");
        Assert.That((TermData.Read(term.Data).Candidate, term.Stat.Version), Is.EqualTo((first == a ? "a" : "b", leader.Term)));

        await leader.ResignAsync();
        await using Leadership next = await second.WaitAsync(Deadline);
        Assert.That(next.Term, Is.GreaterThan(leader.Term));
        Assert.That((await FailsAsync(leader.CommitAsync([]))).FailedIndex, Is.EqualTo(-1), "the fence holds off the old leader");
    }

    [Test]
    public async Task Case_14_when_the_reply_to_a_write_is_lost_the_version_tells_whether_it_was_applied()
    {
        await using var proxy = new FrameProxy(Server.Port);
        await using ZooKeeperSession session = await ConnectAsync(proxy.ConnectionString);
        await session.CreateAsync("/v", Bytes("0"));
        Task lost = proxy.LoseReplyTo(OpCode.SetData);
        ZooKeeperException ambiguous = await FailsAsync(session.SetDataAsync("/v", Bytes("1"), 0).AsTask());
        await lost;
        Assert.That((ambiguous.Code, ambiguous.MayHaveBeenApplied), Is.EqualTo((ZooKeeperErrorCode.ConnectionLoss, true)));
        Assert.That((await FailsAsync(session.SetDataAsync("/v", Bytes("1"), 0).AsTask())).Code, Is.EqualTo(ZooKeeperErrorCode.BadVersion));
        Znode now = await session.GetDataAsync("/v");
        Assert.That((Text(now), now.Stat.Version), Is.EqualTo(("1", 1)), "applied once, not twice");
    }

    [Test]
    public async Task Case_17_what_changed_while_disconnected_is_told_after_the_reconnect()
    {
        string root = FreshRoot();
        await using var proxy = new FrameProxy(Server.Port);
        await using ZooKeeperSession session = await ConnectAsync(proxy.ConnectionString, root);
        await using ZooKeeperSession other = await ConnectAsync(root: root);
        await other.CreateAsync("/written", default);
        await other.CreateAsync("/deleted", default);
        var events = new ConcurrentQueue<WatchedEvent>();
        await session.GetDataAsync("/written", events.Enqueue);
        await session.GetDataAsync("/deleted", events.Enqueue);
        await session.ExistsAsync("/created", events.Enqueue);
        await session.GetChildrenAsync("/", events.Enqueue);
        proxy.BlackHole();
        await other.SetDataAsync("/written", Bytes("new"));
        await other.DeleteAsync("/deleted");
        await other.CreateAsync("/created", default);
        proxy.Reset();
        proxy.Heal();
        await Eventually.HoldsAsync("four events", () => events.Count == 4, explain: () => string.Join(' ', events));
        Assert.That(events, Is.EquivalentTo(new[]
        {
            new WatchedEvent(WatchedEventType.DataChanged, "/written"), new WatchedEvent(WatchedEventType.Deleted, "/deleted"),
            new WatchedEvent(WatchedEventType.Created, "/created"), new WatchedEvent(WatchedEventType.ChildrenChanged, "/"),
        }));
    }

    [Test]
    public async Task Case_18_ten_thousand_watches_survive_a_reconnect()
    {
        string root = FreshRoot();
        await using var proxy = new FrameProxy(Server.Port);
        await using ZooKeeperSession session = await ConnectAsync(proxy.ConnectionString, root);
        await using ZooKeeperSession other = await ConnectAsync(root: root);
        const int count = 10_000;
        int told = 0;
        await Task.WhenAll(Enumerable.Range(0, count)
            .Select(i => session.ExistsAsync($"/a-rather-long-name-for-a-znode-{i}", _ => Interlocked.Increment(ref told))));
        proxy.Reset();
        await session.SyncAsync("/").ContinueWith(_ => { }, TaskScheduler.Default);
        await other.CreateAsync("/a-rather-long-name-for-a-znode-0", default);
        await other.CreateAsync($"/a-rather-long-name-for-a-znode-{count - 1}", default);
        await Eventually.HoldsAsync("both events", () => Volatile.Read(ref told) == 2, explain: () => $"{told}");
    }

    [Test]
    public async Task Case_22_cancellation_in_mid_flight_mixes_up_no_replies()
    {
        await using var proxy = new FrameProxy(Server.Port);
        await using ZooKeeperSession session = await ConnectAsync(proxy.ConnectionString);
        await Task.WhenAll(Enumerable.Range(0, 16).Select(i => session.CreateAsync($"/{i}", Bytes($"{i}"))));
        proxy.Delay = TimeSpan.FromMilliseconds(1);
        int cancelled = 0;
        await Task.WhenAll(Enumerable.Range(0, 16).Select(i => Task.Run(async () =>
        {
            for (int n = 0; n < 40; n++)
            {
                using var cancel = new CancellationTokenSource();
                Task<Znode> read = session.GetDataAsync($"/{i}", null, cancel.Token).AsTask();
                if (n % 3 == 0)
                {
                    await cancel.CancelAsync();
                }

                try
                {
                    Assert.That(Text(await read), Is.EqualTo($"{i}"));
                }
                catch (OperationCanceledException)
                {
                    Interlocked.Increment(ref cancelled);
                }
            }
        })));
        Assert.That(cancelled, Is.GreaterThan(16));
        Assert.That(session.State, Is.EqualTo(ZooKeeperSessionState.Connected));
    }

    [Test]
    public async Task Case_1_the_real_servers_frames_byte_by_byte()
    {
        await using var proxy = new FrameProxy(Server.Port) { Split = true };
        await using ZooKeeperSession session = await ConnectAsync(proxy.ConnectionString);
        await session.CreateAsync("/a", Bytes(new string('x', 2000)));
        Assert.That((await session.GetDataAsync("/a")).Data.Length, Is.EqualTo(2000));
        Assert.That((await session.GetChildrenAsync("/")).Names, Is.EqualTo(new[] { "a" }));
    }

    [Test]
    public async Task A_campaign_that_is_cancelled_after_its_multi_was_sent_leaves_nobody_in_the_lead()
    {
        string root = FreshRoot();
        await using var proxy = new FrameProxy(Server.Port);
        await using var client = new ZooKeeperClient(Options(proxy.ConnectionString + root));
        ZooKeeperSession session = await client.GetSessionAsync();
        await session.EnsurePathAsync("/term");
        for (int i = 0; i < 20; i++)
        {
            proxy.Delay = TimeSpan.FromMilliseconds(5);
            using var stop = new CancellationTokenSource(TimeSpan.FromMilliseconds(i));
            try
            {
                await using Leadership won = await Election(client, "a").CampaignAsync(stop.Token);
            }
            catch (OperationCanceledException)
            {
                // As intended.
            }
        }

        proxy.Delay = TimeSpan.Zero;
        await Eventually.HoldsAsync("leadership is vacant", ct => session.ExistsAsync("/leader", null, ct), stat => stat is null);
    }

    [Test]
    public async Task A_leader_whose_znode_is_deleted_by_hand_steps_down_at_once()
    {
        string root = FreshRoot();
        await using var client = new ZooKeeperClient(Options(Server.ConnectionString + root));
        await using ZooKeeperSession other = await ConnectAsync(root: root);
        await using Leadership leader = await Election(client, "a").CampaignAsync();
        await other.DeleteAsync("/leader");
        await Eventually.HoldsAsync("the lease is over", () => !leader.Lease.IsHeld);
        await Eventually.HoldsAsync("lost", () => leader.Lost.IsCancellationRequested);
    }

    [Test]
    public async Task A_znode_that_somebody_makes_in_the_leaders_place_keeps_nobody_from_being_elected()
    {
        string root = FreshRoot();
        await using var one = new ZooKeeperClient(Options(Server.ConnectionString + root));
        await using var two = new ZooKeeperClient(Options(Server.ConnectionString + root));
        await using ZooKeeperSession other = await ConnectAsync(root: root);
        await using Leadership former = await Election(one, "a").CampaignAsync();
        Task<Leadership> next = Election(two, "b").CampaignAsync();
        await other.MultiAsync(
        [
            ZnodeOperation.Delete(LeaderPath), ZnodeOperation.Create(LeaderPath, Bytes("mine")),
            ZnodeOperation.Create(LeaderPath + "/a", default), ZnodeOperation.Create(LeaderPath + "/a/b", default),
        ]);
        await using Leadership leader = await next.WaitAsync(Deadline);
        Assert.That(leader.Lease.IsHeld);
        Assert.That((await other.GetDataAsync(LeaderPath)).Stat.EphemeralOwner, Is.Not.Zero);
    }

    [Test]
    public async Task What_a_session_holds_below_the_leaders_place_is_left_and_told()
    {
        string root = FreshRoot();
        await using var client = new ZooKeeperClient(Options(Server.ConnectionString + root));
        await using ZooKeeperSession held = await ConnectAsync(root: root);
        await held.CreateAsync(LeaderPath, default);
        await held.CreateAsync(LeaderPath + "/held", default, CreateMode.Ephemeral);
        var failed = new TaskCompletionSource<ZooKeeperException>(TaskCreationOptions.RunContinuationsAsynchronously);
        var election = new LeaderElection(client, new LeaderElectionOptions
        {
            LeaderPath = LeaderPath, TermPath = "/term", CandidateId = "a", LeaderData = () => Bytes("a"),
            Failed = e => failed.TrySetResult(e),
        });
        Task<Leadership> elected = election.CampaignAsync();
        Assert.That((await failed.Task.WaitAsync(Deadline)).Code, Is.EqualTo(ZooKeeperErrorCode.NotEmpty));
        await held.DeleteAsync(LeaderPath + "/held");
        await using Leadership leader = await elected.WaitAsync(Deadline);
        Assert.That(leader.Lease.IsHeld);
    }

    [Test]
    public async Task A_leader_whose_watch_was_lost_with_the_connection_sets_it_again()
    {
        string root = FreshRoot();
        await using var proxy = new FrameProxy(Server.Port);
        await using var client = new ZooKeeperClient(Options(proxy.ConnectionString + root));
        await using ZooKeeperSession other = await ConnectAsync(root: root);
        await using Leadership leader = await Election(client, "a").CampaignAsync();
        Task lost = proxy.LoseReplyTo(OpCode.GetData);

        // Uses up the watch; the reply to the request that sets the next one is lost.
        await other.SetDataAsync("/leader", Bytes("touched"));
        await lost.WaitAsync(Deadline);
        await Eventually.HoldsAsync("connected", () => client.IsConnected);
        await other.DeleteAsync("/leader");
        await Eventually.HoldsAsync("lost", () => leader.Lost.IsCancellationRequested);
    }

    [Test]
    public async Task The_recipes_use_no_operation_that_a_server_of_3_4_does_not_know()
    {
        await using var proxy = new FrameProxy(Server.Port);
        await using (
            var client =
                new ZooKeeperClient(Options(proxy.ConnectionString + FreshRoot()) with { Auth = [ZooKeeperAuth.Digest("u", "p")] }))
        {
            await using WatchedValue value = client.Watch("/v");
            await using WatchedChildren children = client.WatchChildren("/");
            await using Leadership leader = await Election(client, "a").CampaignAsync();
            await leader.CommitAsync([ZnodeOperation.Create("/v", Bytes("1"))]);
            await Eventually.HoldsAsync("both are known", () => value.Current is not null && children.Current?.Contains("v") == true);
            proxy.Reset();
            await Eventually.HoldsAsync("the watches are set again", () => proxy.Seen.ContainsKey(OpCode.SetWatches));
            await Eventually.HoldsAsync("another commit", ct => leader.CommitAsync([ZnodeOperation.Delete("/v")], ct), _ => true);
            await Eventually.HoldsAsync("gone", () => value.Current is null);
            await leader.ResignAsync();
        }

        Assert.That(proxy.Seen.Keys, Is.SubsetOf(new[]
        {
            OpCode.Create, OpCode.Delete, OpCode.Exists, OpCode.GetData, OpCode.SetData, OpCode.Sync, OpCode.GetChildren2, OpCode.Multi,
            OpCode.Ping, OpCode.Auth, OpCode.SetWatches, OpCode.CloseSession,
        }));
        Assert.That(proxy.Seen.Keys, Does.Contain(OpCode.Multi).And.Contain(OpCode.GetChildren2));
    }

    [Test]
    public async Task Whoever_has_been_elected_or_has_disposed_a_watched_value_may_block()
    {
        await using var client = new ZooKeeperClient(Options(Server.ConnectionString + FreshRoot()));
        ZooKeeperSession session = await client.GetSessionAsync();
        await session.EnsurePathAsync("/v");
        for (int i = 0; i < 20; i++)
        {
            await using Leadership leader = await Election(client, $"c{i}").CampaignAsync().ConfigureAwait(false);
            AssertAnswered(session, "elected");
            await leader.ResignAsync().ConfigureAwait(false);
        }

        for (int i = 0; i < 200; i++)
        {
            WatchedValue value = client.Watch("/v");
            Task write = session.SetDataAsync("/v", default).AsTask();
            await value.DisposeAsync().ConfigureAwait(false);
            AssertAnswered(session, "disposed");
            await write;
        }

        static void AssertAnswered(ZooKeeperSession session, string after)
        {
            Task read = session.GetDataAsync("/v").AsTask();
            Assert.That(((IAsyncResult)read).AsyncWaitHandle.WaitOne(Deadline),
                $"a read is answered though the code that was {after} waits for it");
        }
    }

    [Test]
    public async Task A_candidate_makes_the_parents_of_the_leaders_znode_again()
    {
        await using var client = new ZooKeeperClient(Options(Server.ConnectionString + FreshRoot()));
        await (await client.GetSessionAsync()).EnsurePathAsync("/term");
        var election = new LeaderElection(client, new LeaderElectionOptions
        {
            LeaderPath = "/made/anew/leader", TermPath = "/term", CandidateId = "a", LeaderData = () => Bytes("a"),
        });
        await using Leadership leader = await election.CampaignAsync().WaitAsync(Deadline);
        Assert.That(leader.Lease.IsHeld);
    }

    internal static LeaderElection Election(ZooKeeperClient client, string id) => new(client, new LeaderElectionOptions
    {
        LeaderPath = LeaderPath, TermPath = "/term", CandidateId = id, LeaderData = () => Bytes(id),
    });

    private static Task<Znode> GetWhenConnectedAsync(ZooKeeperSession session, string path)
        => Eventually.HoldsAsync($"{path} can be read", ct => session.GetDataAsync(path, null, ct).AsTask(), _ => true);
}
