using NUnit.Framework;
using RedisFailover.ZooKeeper;

namespace RedisFailover.UnitTests.ZooKeeper;

/// <summary>Leadership by heartbeats: each test is one way to have two leaders at one time, and the rule that closes it.</summary>
[TestFixture]
public sealed class HeartbeatTests
{
    private static readonly TimeSpan L = TimeSpan.FromMilliseconds(500);

    [Test]
    public async Task A_silent_leader_is_replaced_and_an_empty_term_is_taken_at_once()
    {
        await using var server = new ModelServer();
        await using Party a = Party.Start(server, "a");
        await using Party b = Party.Start(server, "b");
        Leadership first = await a.Election.CampaignAsync().WithinDeadline();
        Task<Leadership> next = b.Election.CampaignAsync();
        await Waiting.Until(() => b.Keeper.PeerOf(a.Session) is { IsBeating: true });
        a.IsAlive = false;
        Leadership second = await next.WithinDeadline();
        Assert.That((first.Lease.IsHeld, second.Lease.IsHeld), Is.EqualTo((false, true)));
        await Waiting.Until(() => first.Lost.IsCancellationRequested);
        a.IsAlive = true;
        Task<Leadership> again = a.Election.CampaignAsync();
        await second.ResignAsync();
        Assert.That((await again.WithinDeadline()).Lease.IsHeld, Is.True);
    }

    [Test]
    public async Task S1_a_publication_renews_no_lease()
    {
        await using var server = new ModelServer();
        var time = new ManualTime();
        await using Party a = Party.Start(server, "a", time);
        await using Leadership lead = await a.Election.CampaignAsync().WithinDeadline();
        server.Create("/nodes", "");
        a.IsAlive = false;
        time.Advance(L * 0.8);
        await lead.CommitAsync([ZnodeOperation.SetData("/nodes", default)]).WithinDeadline();
        Assert.That(lead.Lease.Remaining, Is.EqualTo(L * 0.2));
    }

    [Test]
    public async Task S2_a_takeover_is_a_beat_of_the_new_leader_as_well()
    {
        await using var server = new ModelServer();
        await using Party a = Party.Start(server, "a");
        await using Party b = Party.Start(server, "b");
        await using Leadership first = await a.Election.CampaignAsync().WithinDeadline();
        a.IsAlive = false;
        await using Leadership second = await b.Election.CampaignAsync().WithinDeadline();
        Write won = server.Writes.Last(w => w.Path == Party.Term && w.Session == b.Session);
        Assert.That(server.Writes.Where(w => w.Zxid == won.Zxid).Select(w => (w.Path, w.Type)), Is.EqualTo(new[]
        {
            (Party.Term, WatchedEventType.DataChanged), (Party.Leader, WatchedEventType.Deleted), (Party.Leader, WatchedEventType.Created),
            (b.Heart(server)!, WatchedEventType.DataChanged),
        }));
    }

    [Test]
    public async Task S3_whoever_has_read_an_older_term_deletes_nobodys_znode()
    {
        await using var server = new ModelServer();
        await using Party a = Party.Start(server, "a");
        await using Party b = Party.Start(server, "b");
        await using Party c = Party.Start(server, "c");
        await using Leadership first = await a.Election.CampaignAsync().WithinDeadline();
        await Waiting.Until(() => b.Heart(server) is not null && c.Heart(server) is not null);
        var release = new TaskCompletionSource();
        var late = new TaskCompletionSource();
        server.Before = r =>
        {
            if (r.Session != c.Session || !r.Writes(Party.Leader))
            {
                return Task.CompletedTask;
            }

            late.TrySetResult();
            return release.Task;
        };
        a.IsAlive = false;
        Task<Leadership> third = c.Election.CampaignAsync();
        await late.Task.WithinDeadline();
        await using Leadership second = await b.Election.CampaignAsync().WithinDeadline();
        release.SetResult();
        Task fence = c.Client.Session!.SyncAsync("/");
        await fence.WithinDeadline();
        Assert.That(server.Get(Party.Leader)!.Value.Owner, Is.EqualTo(b.Session));
        Assert.That((second.Lease.IsHeld, third.IsCompleted), Is.EqualTo((true, false)));
    }

    [Test]
    public async Task S4_a_follower_waits_by_the_length_that_stands_in_the_beat_itself()
    {
        await using var server = new ModelServer();
        await Prepare(server, leaseMs: 2000);
        var time = new ManualTime();
        await using Party b = Party.Start(server, "b", time);
        Task<Leadership> campaign = b.Election.CampaignAsync();
        await Waiting.Until(() => b.Keeper.PeerOf(0x99) is { });
        time.Advance(L * 1.25);
        server.Set("/heartbeats/old-1", """{"owner":"old","leaseMs":1000,"writeMs":1}""");
        await Waiting.Until(() => b.Keeper.PeerOf(0x99)!.Lease == 2 * L);
        time.Advance(2 * L);
        Assert.That(server.Get(Party.Leader)!.Value.Owner, Is.EqualTo(0x99));
        await time.AdvanceUntil(L * 0.1, () => campaign.IsCompleted);
    }

    [Test]
    public async Task S5_the_time_runs_from_the_reply_that_carried_the_version()
    {
        await using var server = new ModelServer();
        await Prepare(server, leaseMs: 500);
        var time = new ManualTime();
        await using Party b = Party.Start(server, "b", time);
        Task<Leadership> campaign = b.Election.CampaignAsync();
        await Waiting.Until(() => b.Keeper.PeerOf(0x99) is { } && server.Children(Party.Heartbeats).Length == 2);

        // The event comes at once, the version 0.4 s later.
        var asked = new TaskCompletionSource();
        var release = new TaskCompletionSource();
        server.BeforeReply = r =>
        {
            if (r is not { Op: OpCode.GetData, Path: "/heartbeats/old-1" })
            {
                return Task.CompletedTask;
            }

            asked.TrySetResult();
            return release.Task;
        };
        server.Set("/heartbeats/old-1", """{"owner":"old","leaseMs":500,"writeMs":2}""");
        await asked.Task.WithinDeadline();
        time.Advance(L * 0.8);
        release.SetResult();
        await Waiting.Until(() => b.Keeper.PeerOf(0x99)!.Write == TimeSpan.FromMilliseconds(2));
        time.Advance(L * 1.2);
        await b.Client.Session!.SyncAsync("/").WithinDeadline();
        Assert.That(server.Get(Party.Leader)!.Value.Owner, Is.EqualTo(0x99));
        await time.AdvanceUntil(L * 0.1, () => campaign.IsCompleted);
    }

    [Test]
    public async Task S6_no_lease_outlasts_half_the_session_and_a_leader_whose_znode_is_deleted_ends_its_lead_and_empties_the_term()
    {
        await using var server = new ModelServer { TimeoutMs = 800 };
        await using Party a = Party.Start(server, "a", leaseMs: 5000);
        await using Leadership lead = await a.Election.CampaignAsync().WithinDeadline();
        Assert.That(lead.Lease.Remaining, Is.LessThanOrEqualTo(TimeSpan.FromMilliseconds(400)));
        Assert.That(server.Get(a.Heart(server)!)!.Value.Data, Does.Contain("\"leaseMs\":400,"));
        server.Delete(Party.Leader);
        await Waiting.Until(() => lead.Lost.IsCancellationRequested);
        await Waiting.Until(() => server.Get(Party.Term)!.Value.Data.Length == 0);
        Assert.That(lead.Lease.IsHeld, Is.False);
    }

    [Test]
    public async Task S7_a_heartbeat_that_was_deleted_comes_back_under_another_name_and_its_leads_end()
    {
        await using var server = new ModelServer();
        await using Party a = Party.Start(server, "a");
        await using Leadership lead = await a.Election.CampaignAsync().WithinDeadline();
        string before = a.Heart(server)!;
        server.Delete(before);
        await Waiting.Until(() => lead.Lost.IsCancellationRequested);
        await using Leadership again = await a.Election.CampaignAsync().WithinDeadline();
        Assert.That(a.Heart(server), Is.Not.EqualTo(before));
        Assert.That(
            server.Writes.Where(w
                => w.Path.StartsWith(Party.Heartbeats + "/", StringComparison.Ordinal) && w.Type == WatchedEventType.Created)
            .Select(w => w.Path), Is.Unique);
    }

    [Test]
    public void S8_clocks_that_each_go_wrong_by_10_percent_leave_no_moment_for_two()
        => Assert.That(LeaseRules.SilentAfter(L) / 1.1, Is.GreaterThan(L / 0.9));

    [Test]
    public async Task A_leader_of_an_older_release_is_left_to_its_session()
    {
        await using var server = new ModelServer();
        server.Create(Party.Term, "old/1");
        server.Create(Party.Leader, "", owner: 0x99);
        var time = new ManualTime();
        await using Party b = Party.Start(server, "b", time);
        Task<Leadership> campaign = b.Election.CampaignAsync();
        await Waiting.Until(() => b.Heart(server) is not null);
        time.Advance(TimeSpan.FromSeconds(30));
        await b.Client.Session!.SyncAsync("/").WithinDeadline();
        Assert.That(campaign.IsCompleted, Is.False);
        server.Expire(0x99);
        Assert.That((await campaign.WithinDeadline()).Lease.IsHeld, Is.True);
    }

    [Test]
    public async Task A_lost_reply_to_the_winning_transaction_is_undone_and_the_lead_won_anew()
    {
        await using var server = new ModelServer();
        await using Party a = Party.Start(server, "a");
        bool cut = false;
        server.BeforeReply = r =>
        {
            if (!cut && r.Writes(Party.Leader))
            {
                cut = true;
                server.Cut(r.Session);
            }

            return Task.CompletedTask;
        };
        await using Leadership lead = await a.Election.CampaignAsync().WithinDeadline();
        Assert.That((cut, lead.Lease.IsHeld), Is.EqualTo((true, true)));
        Assert.That(server.Writes.Where(w => w.Path == Party.Leader).Select(w => w.Type), Is.EqualTo(
            new[] { WatchedEventType.Created, WatchedEventType.Deleted, WatchedEventType.Created }));
    }

    [Test]
    public async Task A_campaign_that_is_given_up_after_a_lost_reply_leaves_the_term_to_others()
    {
        await using var server = new ModelServer();
        await using Party a = Party.Start(server, "a");
        await using Party b = Party.Start(server, "b");
        using var giveUp = new CancellationTokenSource();
        var greeting = new TaskCompletionSource();
        bool cut = false;
        server.BeforeReply = r =>
        {
            if (!cut && r.Session == a.Session && r.Writes(Party.Leader))
            {
                cut = true;
                server.Greeting = greeting.Task;
                server.Cut(r.Session);
            }

            return Task.CompletedTask;
        };
        Task<Leadership> campaign = a.Election.CampaignAsync(giveUp.Token);
        await Waiting.Until(() => a.Client.Session?.State == ZooKeeperSessionState.Disconnected && cut);
        await giveUp.CancelAsync();
        Assert.That(async () => await campaign.WithinDeadline(), Throws.InstanceOf<OperationCanceledException>());
        greeting.SetResult();
        await using Leadership other = await b.Election.CampaignAsync().WithinDeadline();
        Assert.That((cut, other.Lease.IsHeld), Is.EqualTo((true, true)));
    }

    [Test]
    public async Task The_time_without_a_connection_is_no_time_of_a_write_and_the_first_beat_comes_with_the_connection()
    {
        await using var server = new ModelServer();
        var time = new ManualTime();
        await using Party a = Party.Start(server, "a", time);
        await using Leadership lead = await a.Election.CampaignAsync().WithinDeadline();
        var greeting = new TaskCompletionSource();
        server.Greeting = greeting.Task;
        server.Cut(a.Session);
        await time.AdvanceUntil(L * 0.1, () => !lead.Lease.IsHeld);
        time.Advance(4 * L);
        int before = server.Get(a.Heart(server)!)!.Value.Version;
        greeting.SetResult();
        await time.AdvanceUntil(TimeSpan.FromMilliseconds(5), () => a.Client.Session is { State: ZooKeeperSessionState.Connected });

        // From here on the clock stands still; one beat may have been due just then.
        await Waiting.Until(() => lead.Lease.IsHeld);
        Assert.That(server.Get(a.Heart(server)!)!.Value.Version, Is.InRange(before + 1, before + 2));
        Assert.That((a.Keeper.Status.Length, a.Keeper.Status.Wanted), Is.EqualTo((L, L)));
    }

    [Test]
    public async Task S4_a_lease_that_has_grown_since_the_election_is_waited_for_as_it_is()
    {
        await using var server = new ModelServer();
        await Prepare(server, leaseMs: 500);
        var time = new ManualTime();
        await using Party b = Party.Start(server, "b", time);
        Task<Leadership> campaign = b.Election.CampaignAsync();
        await Waiting.Until(() => b.Keeper.PeerOf(0x99) is { });
        server.Set("/heartbeats/old-1", """{"owner":"old","leaseMs":2000,"writeMs":1}""");
        await Waiting.Until(() => b.Keeper.PeerOf(0x99)!.Lease == 4 * L);
        int multis = 0;
        server.Before = r =>
        {
            multis += r.Writes(Party.Leader) ? 1 : 0;
            return Task.CompletedTask;
        };
        time.Advance(4 * L);
        await b.Client.Session!.SyncAsync("/").WithinDeadline();
        Assert.That((multis, server.Get(Party.Leader)!.Value.Owner), Is.EqualTo((0, 0x99)));
        await time.AdvanceUntil(L * 0.1, () => campaign.IsCompleted);
    }

    [Test]
    public async Task S6_a_heartbeat_that_is_gone_while_the_leaders_znode_stands_is_left_to_its_session()
    {
        await using var server = new ModelServer { TimeoutMs = 2000 };
        await Prepare(server, leaseMs: 500);
        server.Delete("/heartbeats/old-1");
        var time = new ManualTime();
        await using Party b = Party.Start(server, "b", time);
        Task<Leadership> campaign = b.Election.CampaignAsync();
        await Waiting.Until(() => b.Heart(server) is not null);
        // Longer than the longest lease that such a session may have.
        for (int i = 0; i < 6; i++)
        {
            time.Advance(L);
            await b.Client.Session!.SyncAsync("/").WithinDeadline();
        }

        Assert.That(server.Get(Party.Leader)!.Value.Owner, Is.EqualTo(0x99));
        server.Expire(0x99);
        await time.AdvanceUntil(TimeSpan.FromMilliseconds(5), () => campaign.IsCompleted);
    }

    [Test]
    public async Task A_follower_that_missed_beats_takes_nothing_over()
    {
        await using var server = new ModelServer();
        await using Party a = Party.Start(server, "a");
        var time = new ManualTime();
        await using Party b = Party.Start(server, "b", time);
        await using Leadership lead = await a.Election.CampaignAsync().WithinDeadline();
        Task<Leadership> campaign = b.Election.CampaignAsync();
        await Waiting.Until(() => b.Keeper.PeerOf(a.Session) is { IsBeating: true });

        // Its reads are held up, its clock goes on: it finds the leader silent, and its transaction finds that it is not.
        var release = new TaskCompletionSource();
        server.BeforeReply = r
            => r.Session == b.Session && r is { Op: OpCode.GetData } && r.Path.StartsWith(Party.Heartbeats, StringComparison.Ordinal)
            ? release.Task : Task.CompletedTask;
        var tried = new TaskCompletionSource();
        server.Before = r =>
        {
            if (r.Session == b.Session && r.Writes(Party.Leader))
            {
                tried.TrySetResult();
            }

            return Task.CompletedTask;
        };
        int version = server.Get(a.Heart(server)!)!.Value.Version;
        await Waiting.Until(() => server.Get(a.Heart(server)!)!.Value.Version > version + 2);
        // The lease is longer where the machine, and so ZooKeeper, is slow.
        for (int i = 0; i < 60 && !tried.Task.IsCompleted; i++)
        {
            time.Jump(L);
            await Task.WhenAny(tried.Task, Task.Delay(50));
        }

        await tried.Task.WithinDeadline();
        release.SetResult();
        await Waiting.Until(() => server.Get(a.Heart(server)!)!.Value.Version > version + 5);
        Assert.That((lead.Lost.IsCancellationRequested, campaign.IsCompleted), Is.EqualTo((false, false)));
        Assert.That(server.Get(Party.Leader)!.Value.Owner, Is.EqualTo(a.Session));
    }

    [TestCase("garbage")]
    [TestCase("""{"candidate":"x/1","heartbeat":"/heartbeats/gone","leaseMs":500}""")]
    public async Task A_term_that_somebody_rewrote_is_taken_again_by_the_one_whose_znode_stands(string written)
    {
        await using var server = new ModelServer();
        await using Party a = Party.Start(server, "a");
        await using Leadership first = await a.Election.CampaignAsync().WithinDeadline();
        server.Set(Party.Term, written);
        await Waiting.Until(() => first.Lost.IsCancellationRequested);
        await using Leadership again = await a.Election.CampaignAsync().WithinDeadline();
        Assert.That((again.Lease.IsHeld, server.Get(Party.Leader)!.Value.Owner), Is.EqualTo((true, a.Session)));
    }

    [Test]
    public async Task A_leader_that_was_only_disconnected_when_another_took_over_keeps_the_length_of_its_lease()
    {
        await using var server = new ModelServer();
        var time = new ManualTime();
        await using Party a = Party.Start(server, "a", time);
        await using Party b = Party.Start(server, "b");
        await using Leadership first = await a.Election.CampaignAsync().WithinDeadline();
        for (int i = 0; i < 10; i++)
        {
            // As long as the next beat is awaited, time that goes on counts as the time that a write takes.
            time.Advance((L / 3) + TimeSpan.FromMilliseconds(1));
            await Waiting.Until(() => first.Lease.Remaining > L * 0.9);
        }

        await Waiting.Until(() => b.Heart(server) is not null);
        var greeting = new TaskCompletionSource();
        server.Greeting = greeting.Task;
        server.Cut(a.Session);
        await Waiting.Until(() => a.Client.Session?.State == ZooKeeperSessionState.Disconnected);
        await using Leadership second = await b.Election.CampaignAsync().WithinDeadline();
        greeting.SetResult();
        // In small steps: a write that is under way must not seem to take long.
        await time.AdvanceUntil(TimeSpan.FromMilliseconds(5), () => first.Lost.IsCancellationRequested
            || a.Client.Session is { State: ZooKeeperSessionState.Connected });
        await Waiting.Until(() => first.Lost.IsCancellationRequested);
        Assert.That(a.Keeper.Status.Length, Is.EqualTo(L));
    }

    [Test]
    public async Task Who_does_not_lead_any_more_lacks_no_lease()
    {
        await using var server = new ModelServer();
        var time = new ManualTime();
        await using Party a = Party.Start(server, "a", time);
        await using Leadership lead = await a.Election.CampaignAsync().WithinDeadline();
        var greeting = new TaskCompletionSource();
        server.Greeting = greeting.Task;
        server.Cut(a.Session);
        await time.AdvanceUntil(TimeSpan.FromMilliseconds(50), () => a.Keeper.Status.NotHeldFor is not null);
        await time.AdvanceUntil(TimeSpan.FromMilliseconds(50), () => lead.Lost.IsCancellationRequested);
        Assert.That(a.Keeper.Status.NotHeldFor, Is.Null);
        greeting.SetResult();
    }

    [Test]
    public async Task A_heartbeat_that_was_gone_and_is_put_back_is_nobodys()
    {
        await using var server = new ModelServer();
        server.Create(Party.Heartbeats, "");
        server.Create("/heartbeats/old-1", """{"owner":"old","leaseMs":500,"writeMs":1}""", owner: 0x99);
        var time = new ManualTime();
        await using Party a = Party.Start(server, "a", time);
        await Waiting.Until(() => a.Keeper.PeerOf(0x99) is not null);
        server.Delete("/heartbeats/old-1");
        await Waiting.Until(() => a.Keeper.PeerOf(0x99) is { IsSilent: true });
        server.Create("/heartbeats/old-1", """{"owner":"old","leaseMs":500,"writeMs":1}""", owner: 0x99);
        await Waiting.Until(() => a.Keeper.PeerOf(0x99) is { IsSilent: false });
        Assert.That(a.Keeper.PeerOf(0x99)!.IsBeating, Is.False);
        server.Set("/heartbeats/old-1", """{"owner":"old","leaseMs":500,"writeMs":1}""");
        await Waiting.Until(() => a.Keeper.PeerOf(0x99) is { IsBeating: true });
    }

    /// <summary>A leader whose heartbeat stands still: session 0x99.</summary>
    private static Task Prepare(ModelServer server, int leaseMs)
    {
        server.Create(Party.Heartbeats, "");
        server.Create("/heartbeats/old-1", $$"""{"owner":"old","leaseMs":{{leaseMs}},"writeMs":1}""", owner: 0x99);
        server.Create(Party.Term, """{"candidate":"old","heartbeat":"/heartbeats/old-1"}""");
        server.Create(Party.Leader, "", owner: 0x99);
        return Task.CompletedTask;
    }
}
