using NUnit.Framework;
using RedisFailover.ZooKeeper;

namespace RedisFailover.UnitTests.ZooKeeper;

/// <summary>How long a lead holds; and who no longer leads does not keep the leader's znode, whatever happens to the connection.</summary>
[TestFixture]
public sealed class WithdrawalTests
{
    private const long SessionId = 0x10;
    private const int Term = 7;

    // No renewal comes in between.
    private const int TimeoutMs = 120_000;

    [Test]
    public async Task A_lead_disposed_without_a_connection_is_given_up_as_soon_as_there_is_one_again_and_as_often_as_it_takes()
    {
        await using var server = new FakeServer();
        await using var client = new ZooKeeperClient(server.Options());
        LeaderElection election = Election(client);
        FakeConnection connection = await server.AcceptSessionAsync(SessionId, TimeoutMs);
        Leadership leadership = await LeadAsync(election, connection);
        connection.Close();
        await Waiting.Until(() => client.Session?.State == ZooKeeperSessionState.Disconnected);
        await leadership.DisposeAsync().AsTask().WithinDeadline();

        FakeConnection next = await server.AcceptSessionAsync(SessionId, TimeoutMs);
        await AnswerWatchesAsync(next);
        AssertWithdrawal(await next.ReadAsync(OpCode.Multi));
        next.Close();

        FakeConnection last = await server.AcceptSessionAsync(SessionId, TimeoutMs);
        await AnswerWatchesAsync(last);
        FakeRequest withdrawal = await last.ReadAsync(OpCode.Multi);
        AssertWithdrawal(withdrawal);

        // The next campaign would find the znode, and lose it.
        Task<Leadership> campaign = election.CampaignAsync();
        Task<ZnodeStat?> fence = client.Session!.ExistsAsync("/fence", null);
        FakeRequest first = await last.ReadAsync(OpCode.Exists);
        await last.ReplyAsync(withdrawal, w => Failure(w, ZooKeeperErrorCode.Ok, ZooKeeperErrorCode.NoNode), ZooKeeperErrorCode.NoNode);
        await last.ReplyAsync(first, null, ZooKeeperErrorCode.NoNode);
        await fence.WithinDeadline();
        await last.ReadAsync(OpCode.Sync);
        Assert.That(campaign.IsCompleted, Is.False);
    }

    [Test]
    public async Task A_resignation_whose_reply_is_lost_is_repeated()
    {
        await using var server = new FakeServer();
        await using var client = new ZooKeeperClient(server.Options());
        FakeConnection connection = await server.AcceptSessionAsync(SessionId, TimeoutMs);
        await using Leadership leadership = await LeadAsync(Election(client), connection);
        Task resigning = leadership.ResignAsync();
        AssertWithdrawal(await connection.ReadAsync(OpCode.Multi));
        connection.Close();
        Assert.That((await Waiting.ThrowsZooKeeper(resigning)).Code, Is.EqualTo(ZooKeeperErrorCode.ConnectionLoss));

        FakeConnection next = await server.AcceptSessionAsync(SessionId, TimeoutMs);
        await AnswerWatchesAsync(next);
        AssertWithdrawal(await next.ReadAsync(OpCode.Multi));
    }

    [Test]
    public async Task What_undoes_a_cancelled_campaign_goes_on_after_the_connection_was_lost()
    {
        await using var server = new FakeServer();
        await using var client = new ZooKeeperClient(server.Options());
        FakeConnection connection = await server.AcceptSessionAsync(SessionId, TimeoutMs);
        using var cancel = new CancellationTokenSource();
        Task<Leadership> campaign = Election(client).CampaignAsync(cancel.Token);
        await AnswerReadAsync(connection, led: false, Term - 1);
        FakeRequest attempt = await connection.ReadAsync(OpCode.Multi);
        await cancel.CancelAsync();
        Assert.That(async () => await campaign.WithinDeadline(), Throws.InstanceOf<OperationCanceledException>());
        await connection.ReplyAsync(attempt, Won);
        await connection.ReadAsync(OpCode.Sync);
        connection.Close();

        FakeConnection next = await server.AcceptSessionAsync(SessionId, TimeoutMs);
        await AnswerReadAsync(next, led: true, Term);
        AssertWithdrawal(await next.ReadAsync(OpCode.Multi));
    }

    [Test]
    public async Task Case_24_a_lease_is_half_the_session_timeout_from_when_its_last_acknowledged_renewal_was_sent()
    {
        var time = new ManualTime();
        await using var server = new FakeServer();
        await using var client = new ZooKeeperClient(server.Options(time));
        FakeConnection connection = await server.AcceptSessionAsync(SessionId, TimeoutMs);
        Leadership leadership = await LeadAsync(Election(client), connection);
        Assert.That(leadership.Lease.Remaining, Is.EqualTo(TimeSpan.FromSeconds(60)));
        time.Advance(TimeSpan.FromSeconds(10));
        Task commit = leadership.CommitAsync([]);
        FakeRequest renewal = await connection.ReadAsync(OpCode.Multi);
        time.Advance(TimeSpan.FromSeconds(5));
        Assert.That(leadership.Lease.Remaining, Is.EqualTo(TimeSpan.FromSeconds(45)), "not acknowledged yet");
        await connection.ReplyAsync(renewal, static w =>
        {
            Header(w, (int)OpCode.Check, done: false, 0);
            Header(w, -1, done: true, -1);
        });
        await commit.WithinDeadline();
        Assert.That(leadership.Lease.Remaining, Is.EqualTo(TimeSpan.FromSeconds(55)));

        // The one that comes by itself, a sixth of the timeout after the lead was won, goes through a quorum too.
        time.Advance(TimeSpan.FromSeconds(5));
        renewal = await connection.ReadAsync(OpCode.Multi);
        Assert.That(leadership.Lease.Remaining, Is.EqualTo(TimeSpan.FromSeconds(50)));
        time.Advance(TimeSpan.FromSeconds(1));
        await connection.ReplyAsync(renewal, static w =>
        {
            Header(w, (int)OpCode.Check, done: false, 0);
            Header(w, -1, done: true, -1);
        });
        await Waiting.Until(() => leadership.Lease.Remaining == TimeSpan.FromSeconds(59), () => $"{leadership.Lease.Remaining}");
    }

    [TestCase(ZooKeeperErrorCode.BadVersion, "multi /term: BadVersion (the fence: another was elected)", "a no longer leads (term 7): another was elected")]
    [TestCase(ZooKeeperErrorCode.NoNode, "multi /term: NoNode (the fence)", "a no longer leads (term 7): multi /term: NoNode (the fence)")]
    public async Task A_fence_that_fails_ends_the_lead_and_says_that_another_leads_only_if_so(ZooKeeperErrorCode code, string message, string line)
    {
        using var log = new RecordedLog();
        await using var server = new FakeServer();
        await using var client = new ZooKeeperClient(server.Options() with { LoggerFactory = log });
        FakeConnection connection = await server.AcceptSessionAsync(SessionId, TimeoutMs);
        Leadership leadership = await LeadAsync(Election(client), connection);
        Task commit = leadership.CommitAsync([ZnodeOperation.Delete("/a")]);
        await connection.ReplyAsync(await connection.ReadAsync(OpCode.Multi), w => Failure(w, code, ZooKeeperErrorCode.RuntimeInconsistency));
        ZooKeeperException failed = await Waiting.ThrowsZooKeeper(commit);
        Assert.That((failed.Code, failed.FailedIndex, failed.Message), Is.EqualTo((code, -1, message)));
        Assert.That(leadership.Lost.IsCancellationRequested, Is.True);
        Assert.That(leadership.Lease.IsHeld, Is.False);
        await Waiting.Until(() => log.Entries.Any(e => e.Text == line), () => string.Join('\n', log.Entries));
    }

    private static LeaderElection Election(ZooKeeperClient client) => new(client, new LeaderElectionOptions
    {
        LeaderPath = "/leader", TermPath = "/term", CandidateId = "a", LeaderData = () => default,
    });

    private static async Task<Leadership> LeadAsync(LeaderElection election, FakeConnection connection)
    {
        Task<Leadership> campaign = election.CampaignAsync();
        await AnswerReadAsync(connection, led: false, Term - 1);
        await connection.ReplyAsync(await connection.ReadAsync(OpCode.Multi), Won);
        await connection.ReplyAsync(await connection.ReadAsync(OpCode.Exists), w => FakeConnection.WriteStat(w, 1, SessionId));
        return await campaign.WithinDeadline();
    }

    private static async Task AnswerReadAsync(FakeConnection connection, bool led, int term)
    {
        await connection.ReplyAsync(await connection.ReadAsync(OpCode.Sync), w => w.String("/term"));
        FakeRequest leader = await connection.ReadAsync(OpCode.GetData);
        await (led ? connection.ReplyAsync(leader, Leader) : connection.ReplyAsync(leader, null, ZooKeeperErrorCode.NoNode));
        await connection.ReplyAsync(await connection.ReadAsync(OpCode.GetData), w =>
        {
            w.Buffer(led ? "a"u8 : "b"u8);
            FakeConnection.WriteStat(w, 1, version: term);
        });

        static void Leader(JuteWriter w)
        {
            w.Buffer([]);
            FakeConnection.WriteStat(w, 1, SessionId);
        }
    }

    private static async Task AnswerWatchesAsync(FakeConnection connection)
        => await connection.ReplyAsync(await connection.ReadAsync(OpCode.SetWatches));

    private static void Won(JuteWriter w)
    {
        Header(w, (int)OpCode.Create, done: false, 0);
        w.String("/leader");
        Header(w, (int)OpCode.SetData, done: false, 0);
        FakeConnection.WriteStat(w, 1, version: Term);
        Header(w, -1, done: true, -1);
    }

    private static void Failure(JuteWriter w, params ZooKeeperErrorCode[] codes)
    {
        foreach (ZooKeeperErrorCode code in codes)
        {
            Header(w, -1, done: false, (int)code);
            w.Int32((int)code);
        }

        Header(w, -1, done: true, -1);
    }

    private static void Header(JuteWriter w, int op, bool done, int code)
    {
        w.Int32(op);
        w.Bool(done);
        w.Int32(code);
    }

    private static void AssertWithdrawal(FakeRequest multi)
    {
        var reader = new JuteReader(multi.Body);
        (int Op, string Path, int Version) check = Operation(ref reader);
        (int Op, string Path, int Version) delete = Operation(ref reader);
        Assert.That(check, Is.EqualTo(((int)OpCode.Check, "/term", Term)));
        Assert.That(delete, Is.EqualTo(((int)OpCode.Delete, "/leader", -1)));

        static (int Op, string Path, int Version) Operation(ref JuteReader reader)
        {
            int op = reader.Int32();
            _ = reader.Bool();
            _ = reader.Int32();
            return (op, reader.String(), reader.Int32());
        }
    }
}
