using System.Net;
using System.Net.Sockets;
using NUnit.Framework;
using RedisFailover.ZooKeeper;

namespace RedisFailover.UnitTests.ZooKeeper;

/// <summary>Cases 7 and 9 to 12, and 23: how a session begins, survives and ends.</summary>
[TestFixture]
public sealed class SessionEndTests
{
    private static readonly TimeSpan Step = TimeSpan.FromMilliseconds(5);

    [Test]
    public async Task Case_7_with_one_of_two_hosts_black_holed_the_other_is_found_within_the_session_timeout()
    {
        var hole = new TcpListener(IPAddress.Loopback, 0);
        hole.Start();
        for (int round = 0; round < 6; round++)
        {
            // The hosts are shuffled: some of the rounds meet the black hole first.
            await using var server = new FakeServer();
            var time = new ManualTime();
            ZooKeeperOptions options = server.Options(time) with
            {
                Connection = ZooKeeperConnectionString.Parse($"127.0.0.1:{((IPEndPoint)hole.LocalEndpoint).Port},127.0.0.1:{server.Port}"),
            };
            Task<ZooKeeperSession> connecting = ZooKeeperSession.ConnectAsync(options);
            Task<FakeConnection> accepting = server.AcceptSessionAsync();
            await time.AdvanceUntil(Step, () => connecting.IsCompleted);
            await using ZooKeeperSession session = await connecting;
            await accepting.WithinDeadline();
            Assert.That(time.GetElapsedTime(0), Is.LessThan(options.SessionTimeout));
        }

        hole.Stop();
    }

    [Test]
    public async Task Case_9_expiry_surfaces_once_and_fails_everything_that_is_pending()
    {
        await using var server = new FakeServer();
        (ZooKeeperSession session, FakeConnection connection) = await server.EstablishAsync();
        await using ZooKeeperSession owned = session;
        var states = new System.Collections.Concurrent.ConcurrentQueue<ZooKeeperSessionState>();
        var events = new System.Collections.Concurrent.ConcurrentQueue<WatchedEventType>();
        session.StateChanged += states.Enqueue;
        int ended = 0;
        session.Ended.Register(() => Interlocked.Increment(ref ended));
        Task<ZnodeStat?> watch = session.ExistsAsync("/watched", e => events.Enqueue(e.Type));
        await connection.ReplyAsync(await connection.ReadAsync(OpCode.Exists), null, ZooKeeperErrorCode.NoNode);
        await watch.WithinDeadline();
        Task<ZnodeStat> sent = session.SetDataAsync("/a", default).AsTask();
        await connection.ReadAsync(OpCode.SetData);
        connection.Close();
        FakeConnection next = await server.AcceptAsync();
        await next.ReadConnectAsync();
        Task<Znode> waiting = session.GetDataAsync("/a").AsTask();
        await next.GrantAsync(0, 0);

        ZooKeeperException lost = await Waiting.ThrowsZooKeeper(sent);
        Assert.That((lost.Code, lost.MayHaveBeenApplied), Is.EqualTo((ZooKeeperErrorCode.ConnectionLoss, true)));
        Assert.That((await Waiting.ThrowsZooKeeper(waiting)).Code, Is.EqualTo(ZooKeeperErrorCode.SessionExpired));
        ZooKeeperException late = await Waiting.ThrowsZooKeeper(session.SetDataAsync("/a", default).AsTask());
        Assert.That((late.Code, late.MayHaveBeenApplied), Is.EqualTo((ZooKeeperErrorCode.SessionExpired, false)));
        await Waiting.Until(() => session.Ended.IsCancellationRequested && Volatile.Read(ref ended) > 0);
        await Waiting.Until(() => !events.IsEmpty && states.Contains(ZooKeeperSessionState.Expired));
        Assert.That(ended, Is.EqualTo(1));
        Assert.That(states.Where(s => s != ZooKeeperSessionState.Connected),
            Is.EqualTo(new[] { ZooKeeperSessionState.Disconnected, ZooKeeperSessionState.Expired }));
        Assert.That(events, Is.EqualTo(new[] { WatchedEventType.SessionEnded }));
    }

    [Test]
    public async Task A_name_that_does_not_resolve_any_more_is_known_from_before_to_this_session_and_the_next()
    {
        var time = new ManualTime();
        await using var server = new FakeServer();
        bool known = true;
        await using var client = new ZooKeeperClient(server.Options(time) with
        {
            Connection = ZooKeeperConnectionString.Parse($"zookeeper.example:{server.Port}"),
            Resolve = (_, _) => Volatile.Read(ref known)
                ? Task.FromResult<IPAddress[]>([IPAddress.Loopback])
                : Task.FromException<IPAddress[]>(new SocketException((int)SocketError.HostNotFound)),
        });
        FakeConnection first = await server.AcceptSessionAsync(0x10);
        await client.GetSessionAsync().WithinDeadline();
        Volatile.Write(ref known, false);
        // Older than what is used without asking again.
        time.Advance(TimeSpan.FromSeconds(1.1));
        first.Close();
        Task<FakeConnection> again = server.AcceptSessionAsync(0x10);
        await time.AdvanceUntil(TimeSpan.FromMilliseconds(5), () => again.IsCompleted);
        await Waiting.Until(() => client.IsConnected);
        time.Advance(TimeSpan.FromSeconds(1.1));
        (await again).Close();
        Task<FakeConnection> last = server.AcceptAsync();
        await time.AdvanceUntil(TimeSpan.FromMilliseconds(5), () => last.IsCompleted);
        Assert.That((await (await last).ReadConnectAsync()).SessionId, Is.EqualTo(0x10));
        await (await last).GrantAsync(0, 0);
        Task<FakeConnection> next = server.AcceptSessionAsync(0x20);
        await time.AdvanceUntil(TimeSpan.FromMilliseconds(5), () => next.IsCompleted);
        await Waiting.Until(() => client.Session?.SessionId == 0x20);
    }

    [Test]
    public async Task Case_10_another_session_id_in_the_answer_means_expired()
    {
        await using var server = new FakeServer();
        // It is not given up by this side meanwhile: only the answer can end it.
        (ZooKeeperSession session, FakeConnection connection) =
            await server.EstablishAsync(server.Options() with { GivesUpAfter = TimeSpan.FromHours(1) }, sessionId: 0x10);
        await using ZooKeeperSession owned = session;
        connection.Close();
        FakeConnection next = await server.AcceptAsync();
        Assert.That((await next.ReadConnectAsync()).SessionId, Is.EqualTo(0x10));
        await next.GrantAsync(0x11, 4000);
        await Waiting.Until(() => session.State == ZooKeeperSessionState.Expired, () => session.State.ToString());
        Assert.That(session.SessionId, Is.EqualTo(0x10));
    }

    [Test]
    public async Task Case_11_with_the_whole_ensemble_down_the_session_expires_locally_after_four_thirds_of_its_timeout()
    {
        var time = new ManualTime();
        var server = new FakeServer();
        (ZooKeeperSession session, FakeConnection _) = await server.EstablishAsync(server.Options(time));
        await using ZooKeeperSession owned = session;
        TimeSpan begin = time.GetElapsedTime(0);
        await server.DisposeAsync();
        Task<Znode> waiting = session.GetDataAsync("/a").AsTask();
        await time.AdvanceUntil(Step, ()
            => session.State == ZooKeeperSessionState.Expired, () => $"{session.State} after {time.GetElapsedTime(0) - begin}");

        Assert.That(time.GetElapsedTime(0) - begin,
            Is.InRange(session.SessionTimeout * 4 / 3, (session.SessionTimeout * 4 / 3) + TimeSpan.FromSeconds(1)));
        ZooKeeperErrorCode code = (await Waiting.ThrowsZooKeeper(waiting)).Code;
        Assert.That(code, Is.EqualTo(ZooKeeperErrorCode.SessionExpired).Or.EqualTo(ZooKeeperErrorCode.ConnectionLoss));
    }

    [Test]
    public async Task Case_12_a_wiped_ensemble_ends_the_session_at_once_and_loudly_and_the_next_one_starts_from_nothing()
    {
        await using var server = new FakeServer();
        var time = new ManualTime();
        await using var client = new ZooKeeperClient(server.Options(time));
        FakeConnection connection = await server.AcceptSessionAsync(0x12);
        ZooKeeperSession first = await client.GetSessionAsync().WithinDeadline();
        ValueTask<Znode> get = first.GetDataAsync("/a");
        await connection.ReplyDataAsync(await connection.ReadAsync(OpCode.GetData), "x");
        await get.WithinDeadline();
        connection.Close();

        // As a server does whose data are behind what the client has seen: it closes without a word.
        Task refusing = Task.Run(() => server.ServeAsync(async (next, hello) =>
        {
            if (hello.LastZxid != 0)
            {
                next.Close();
                return false;
            }

            // The client asks whether the session is known at all, and once more, to close it: there is none.
            await next.GrantAsync(hello.SessionId == 0x12 ? 0 : 0x13, hello.SessionId == 0x12 ? 0 : 4000);
            return hello.SessionId == 0;
        }));
        await time.AdvanceUntil(Step, () => refusing.IsCompleted, () => $"{first.State}, {time.GetElapsedTime(0)}");
        await refusing;
        Assert.That(first.State, Is.EqualTo(ZooKeeperSessionState.Expired));
        Assert.That(time.GetElapsedTime(0), Is.LessThan(first.SessionTimeout));
        Assert.That((await client.GetSessionAsync().WithinDeadline()).SessionId, Is.EqualTo(0x13));
        await Waiting.Until(()
            => RecordedLog.Instance.Entries.Any(e => e.Text.Contains("they were lost or put back", StringComparison.Ordinal)));
    }

    [Test]
    public async Task One_stranger_behind_a_name_of_three_servers_does_not_end_the_session()
    {
        await using var server = new FakeServer();
        var time = new ManualTime();
        (ZooKeeperSession session, FakeConnection connection) = await server.EstablishAsync(
            server.Options(time) with
            {
                Connection = ZooKeeperConnectionString.Parse($"servers:{server.Port}"),
                Resolve = static (_, _) => Task.FromResult<IPAddress[]>(
                    [IPAddress.Parse("127.0.0.1"), IPAddress.Parse("127.0.0.2"), IPAddress.Parse("127.0.0.3")]),
            },
            sessionId: 0x12);
        await using ZooKeeperSession owned = session;
        Assert.That(session.ServerCount, Is.EqualTo(3));
        ValueTask<Znode> get = session.GetDataAsync("/a");
        await connection.ReplyDataAsync(await connection.ReadAsync(OpCode.GetData), "x");
        await get.WithinDeadline();
        connection.Close();

        bool asked = false;
        Task serving = Task.Run(() => server.ServeAsync(async (next, hello) =>
        {
            if (hello.LastZxid != 0 && !asked)
            {
                next.Close();
                return false;
            }

            // Asked whether it knows the session it says no: it was started from a backup. The next time the name leads to another one.
            await next.GrantAsync(hello.LastZxid == 0 ? 0 : 0x12, hello.LastZxid == 0 ? 0 : 4000);
            asked |= hello.LastZxid == 0;
            return hello.LastZxid != 0;
        }));
        await time.AdvanceUntil(Step, () => serving.IsCompleted || session.HasEnded, () => $"{session.State}, {time.GetElapsedTime(0)}");
        Assert.That(session.HasEnded, Is.False);
        await Waiting.Until(() => session.State == ZooKeeperSessionState.Connected, () => session.State.ToString());
    }

    [Test]
    public async Task A_server_that_lags_behind_and_knows_the_session_ends_nothing()
    {
        await using var server = new FakeServer();
        var time = new ManualTime();
        (ZooKeeperSession session, FakeConnection connection) = await server.EstablishAsync(server.Options(time), sessionId: 0x12);
        await using ZooKeeperSession owned = session;
        ValueTask<Znode> get = session.GetDataAsync("/a");
        await connection.ReplyDataAsync(await connection.ReadAsync(OpCode.GetData), "x");
        await get.WithinDeadline();
        connection.Close();

        bool asked = false;
        Task serving = Task.Run(() => server.ServeAsync(async (next, hello) =>
        {
            Assert.That(hello.SessionId, Is.EqualTo(0x12));
            if (hello.LastZxid != 0 && !asked)
            {
                next.Close();
                return false;
            }

            await next.GrantAsync(0x12, 4000);
            asked |= hello.LastZxid == 0;
            return hello.LastZxid != 0;
        }));
        await time.AdvanceUntil(Step, () => serving.IsCompleted, () => $"{session.State}, {time.GetElapsedTime(0)}");
        await serving;
        await Waiting.Until(() => session.State == ZooKeeperSessionState.Connected, () => session.State.ToString());
        Assert.That(asked, Is.True);
    }

    [TestCase(1, false)]
    [TestCase(2, true)]
    public async Task The_session_is_over_when_most_servers_do_not_know_it_and_not_for_one_that_is_stale(int strangers, bool isOver)
    {
        FakeServer[] servers = [new(), new(), new()];
        var time = new ManualTime();
        var first = new TaskCompletionSource<FakeConnection>();
        int denials = 0;
        bool isBack = false;
        Task[] serving = [.. servers.Select(ServeAsync)];
        await using (ZooKeeperSession session = await ConnectAsync())
        {
            ValueTask<Znode> get = session.GetDataAsync("/a");
            FakeConnection connection = await first.Task;
            await connection.ReplyDataAsync(await connection.ReadAsync(OpCode.GetData), "x");
            await get.WithinDeadline();
            connection.Close();

            // Servers that lag behind close the connection without a word; asked without what was seen, each says what it knows.
            await time.AdvanceUntil(Step, () => session.State == ZooKeeperSessionState.Expired || Volatile.Read(ref denials) == 5,
                () => $"{session.State}, {denials} denials");
            Assert.That(session.State == ZooKeeperSessionState.Expired, Is.EqualTo(isOver));
            Volatile.Write(ref isBack, true);
            ZooKeeperSessionState wanted = isOver ? ZooKeeperSessionState.Expired : ZooKeeperSessionState.Connected;
            await time.AdvanceUntil(Step, () => session.State == wanted);
        }

        foreach (FakeServer server in servers)
        {
            await server.DisposeAsync();
        }

        await Task.WhenAll(serving).WithinDeadline();

        async Task<ZooKeeperSession> ConnectAsync()
        {
            Task<ZooKeeperSession> connecting = ZooKeeperSession.ConnectAsync(servers[0].Options(time) with
            {
                Connection = ZooKeeperConnectionString.Parse(string.Join(',', servers.Select(server => $"127.0.0.1:{server.Port}"))),
                GivesUpAfter = TimeSpan.FromHours(1),
            });
            await time.AdvanceUntil(Step, () => connecting.IsCompleted);
            return await connecting;
        }

        async Task ServeAsync(FakeServer server, int number)
        {
            try
            {
                while (true)
                {
                    (FakeConnection next, FakeConnectRequest hello) = await server.AcceptHelloAsync();
                    bool isStranger = number < strangers;
                    if (hello.LastZxid != 0 && (isStranger || !Volatile.Read(ref isBack)))
                    {
                        next.Close();
                        continue;
                    }

                    bool denies = isStranger && hello.SessionId != 0;
                    await next.GrantAsync(denies ? 0 : 0x12, denies ? 0 : 4000);
                    _ = denies ? Interlocked.Increment(ref denials) : 0;
                    first.TrySetResult(next);
                }
            }
            catch (Exception e) when (e is SocketException or InvalidOperationException or IOException)
            {
                // The test is over, or the client has gone on to the next.
            }
        }
    }

    [Test]
    public async Task A_session_given_up_while_the_ensemble_was_down_is_closed_there_before_the_next_one_is_made()
    {
        await using var server = new FakeServer();
        var time = new ManualTime();
        await using var client = new ZooKeeperClient(server.Options(time));
        FakeConnection connection = await server.AcceptSessionAsync(0x12);
        ZooKeeperSession first = await client.GetSessionAsync().WithinDeadline();
        connection.Close();

        // Down until the session is given up; then it still knows the session, as a server does that was started anew.
        List<string> heard = [];
        Task serving = Task.Run(() => server.ServeAsync(async (next, hello) =>
        {
            if (first.State != ZooKeeperSessionState.Expired)
            {
                next.Close();
                return false;
            }

            await next.GrantAsync(hello.SessionId == 0 ? 0x13 : hello.SessionId, 4000);
            heard.Add($"session {hello.SessionId:x}, zxid {hello.LastZxid}");
            if (hello.SessionId != 0)
            {
                Assert.That(hello.Password, Is.EqualTo(FakeConnection.Password));
                await Waiting.Until(() => next.Goodbyes == 1);
                heard.Add("goodbye");
            }

            return heard.Count >= 3;
        }));
        await time.AdvanceUntil(Step, () => serving.IsCompleted, () => $"{first.State}, {string.Join("; ", heard)}");
        await serving;
        Assert.That(heard, Is.EqualTo(new[] { "session 12, zxid 0", "goodbye", "session 0, zxid 0" }));
        Assert.That((await client.GetSessionAsync().WithinDeadline()).SessionId, Is.EqualTo(0x13));
    }

    [Test]
    public async Task Case_23_closing_while_disconnected_does_not_wait()
    {
        var time = new ManualTime();
        var server = new FakeServer();
        (ZooKeeperSession session, FakeConnection _) = await server.EstablishAsync(server.Options(time));
        await server.DisposeAsync();
        await Waiting.Until(() => session.State == ZooKeeperSessionState.Disconnected);
        Task<Znode> waiting = session.GetDataAsync("/a").AsTask();
        await session.DisposeAsync().AsTask().WithinDeadline();

        Assert.That(session.State, Is.EqualTo(ZooKeeperSessionState.Closed));
        Assert.That((await Waiting.ThrowsZooKeeper(waiting)).Code, Is.EqualTo(ZooKeeperErrorCode.Closing));
        Assert.That((await Waiting.ThrowsZooKeeper(session.GetDataAsync("/a").AsTask())).Code, Is.EqualTo(ZooKeeperErrorCode.Closing));
        await session.DisposeAsync().AsTask().WithinDeadline();
    }

    [Test]
    public async Task Closing_while_connected_says_goodbye_and_ends_as_closed()
    {
        await using var server = new FakeServer();
        (ZooKeeperSession session, FakeConnection connection) = await server.EstablishAsync();
        await session.DisposeAsync().AsTask().WithinDeadline();
        await connection.WaitForEndAsync();
        Assert.That(session.State, Is.EqualTo(ZooKeeperSessionState.Closed));
        await Waiting.Until(() => session.Ended.IsCancellationRequested);
    }

    [Test]
    public async Task A_goodbye_that_is_not_answered_leaves_no_exception_that_nobody_has_seen()
    {
        System.Collections.Concurrent.ConcurrentQueue<string> unseen = [];
        void Unseen(object? sender, UnobservedTaskExceptionEventArgs lost) => unseen.Enqueue(lost.Exception.ToString());
        TaskScheduler.UnobservedTaskException += Unseen;
        try
        {
            await using var server = new FakeServer();
            await CloseAsync(server);
            for (int i = 0; i < 5; i++)
            {
                // What fails when the connection is closed does so on the thread pool.
                await Task.Delay(20);
                GC.Collect();
                GC.WaitForPendingFinalizers();
            }

            Assert.That(unseen.Where(e => e.Contains("closeSession", StringComparison.Ordinal)), Is.Empty);
        }
        finally
        {
            TaskScheduler.UnobservedTaskException -= Unseen;
        }

        static async Task CloseAsync(FakeServer server)
        {
            (ZooKeeperSession session, FakeConnection connection) = await server.EstablishAsync(timeoutMs: 300);
            connection.AnswersGoodbyes = false;
            await session.DisposeAsync().AsTask().WithinDeadline();
        }
    }

    [Test]
    public async Task Connecting_can_be_cancelled_while_no_server_answers()
    {
        await using var server = new FakeServer();
        using var cancel = new CancellationTokenSource();
        Task<ZooKeeperSession> connecting = ZooKeeperSession.ConnectAsync(server.Options(), cancel.Token);
        await server.AcceptAsync();
        await cancel.CancelAsync();
        Assert.That(async () => await connecting.WithinDeadline(), Throws.InstanceOf<OperationCanceledException>());
    }

    [Test]
    public async Task Servers_that_all_answer_late_are_given_more_time_after_each_round()
    {
        var time = new ManualTime();
        await using var server = new FakeServer();
        ZooKeeperOptions options = server.Options(time) with
        {
            Connection = ZooKeeperConnectionString.Parse($"127.0.0.1:{server.Port},127.0.0.1:{server.Port},127.0.0.1:{server.Port}"),
            SessionTimeout = TimeSpan.FromSeconds(30),
        };
        Task<ZooKeeperSession> connecting = ZooKeeperSession.ConnectAsync(options);
        TimeSpan longest = TimeSpan.Zero;
        for (int i = 0; i < 4; i++)
        {
            Task<FakeConnection> accepting = server.AcceptAsync();
            await time.AdvanceUntil(TimeSpan.FromMilliseconds(100), () => accepting.IsCompleted);
            FakeConnection connection = await accepting;
            await connection.ReadConnectAsync();
            long from = time.GetTimestamp();
            Task end = connection.WaitForEndAsync();
            await time.AdvanceUntil(TimeSpan.FromMilliseconds(100), () => end.IsCompleted);
            longest = time.GetElapsedTime(from);
        }

        Assert.That(longest, Is.GreaterThan(TimeSpan.FromSeconds(13)), "the first of the second round, where the others had 10 s");
        Task<FakeConnection> granted = server.AcceptSessionAsync(0x6);
        await time.AdvanceUntil(TimeSpan.FromMilliseconds(100), () => granted.IsCompleted);
        await using ZooKeeperSession session = await connecting.WithinDeadline();
        Assert.That(session.SessionId, Is.EqualTo(0x6));
    }

    /// <summary>As one that has reached maxClientCnxns, or has no quorum: that is no defect, which would end the session.</summary>
    [Test]
    public void A_server_that_closes_before_the_greeting_is_sent_is_a_lost_connection()
    {
        using var stream = new ClosedByServer();
        using var connection = new ServerConnection(stream, "server", "", 0, TimeProvider.System);
        connection.SendRaw(static writer => writer.Int32(0));
        Assert.That(() => connection.Receive(), Throws.InstanceOf<IOException>().With.Message.EqualTo("Broken pipe"));
    }

    [Test]
    public async Task A_read_only_server_is_not_accepted()
    {
        await using var server = new FakeServer();
        Task<ZooKeeperSession> connecting = ZooKeeperSession.ConnectAsync(server.Options());
        FakeConnection connection = await server.AcceptAsync();
        await connection.ReadConnectAsync();
        await connection.GrantAsync(0x5, 4000, readOnly: true);
        await connection.WaitForEndAsync();
        await server.AcceptSessionAsync(0x6);
        await using ZooKeeperSession session = await connecting.WithinDeadline();
        Assert.That(session.SessionId, Is.EqualTo(0x6));
    }

    [Test]
    public async Task Refused_credentials_end_the_session_and_say_so()
    {
        await using var server = new FakeServer();
        (ZooKeeperSession session, FakeConnection connection) = await server.EstablishAsync();
        await using ZooKeeperSession owned = session;
        var states = new System.Collections.Concurrent.ConcurrentQueue<ZooKeeperSessionState>();
        session.StateChanged += states.Enqueue;
        Task adding = session.AddAuthAsync(new ZooKeeperAuth("nonsense", "secret-token"u8));
        FakeRequest auth = await connection.ReadAsync(OpCode.Auth);
        Assert.That(auth.Xid, Is.EqualTo(Xid.Auth));
        Task<ZnodeStat> pending = session.SetDataAsync("/a", default).AsTask();
        await connection.ReadAsync(OpCode.SetData);
        await connection.ReplyAsync(Xid.Auth, 0, null, ZooKeeperErrorCode.AuthFailed);
        ZooKeeperException refused = await Waiting.ThrowsZooKeeper(adding);
        Assert.That(refused.Code, Is.EqualTo(ZooKeeperErrorCode.AuthFailed));
        Assert.That(refused.Message,
            Is.EqualTo("auth: AuthFailed: the server refused the credentials of scheme nonsense, and the session is over"));
        ZooKeeperException sent = await Waiting.ThrowsZooKeeper(pending);
        Assert.That((sent.Code, sent.MayHaveBeenApplied), Is.EqualTo((ZooKeeperErrorCode.AuthFailed, true)));
        ZooKeeperException late = await Waiting.ThrowsZooKeeper(session.SetDataAsync("/a", default).AsTask());
        Assert.That((late.Code, late.MayHaveBeenApplied), Is.EqualTo((ZooKeeperErrorCode.AuthFailed, false)));
        Assert.That(late.Message, Does.StartWith("setData /a: AuthFailed: not sent: ").And.Contain("scheme nonsense"));
        await Waiting.Until(() => states.LastOrDefault() == ZooKeeperSessionState.AuthFailed && session.Ended.IsCancellationRequested);
        Assert.That(session.State, Is.EqualTo(ZooKeeperSessionState.AuthFailed));
        await session.DisposeAsync().AsTask().WithinDeadline();
        Assert.That(session.State, Is.EqualTo(ZooKeeperSessionState.AuthFailed));
        Assert.That(RecordedLog.Instance.Entries.Select(e => e.Text), Has.None.Contains("secret-token"));
    }

    [Test]
    public async Task What_a_server_says_behind_its_refusal_of_the_credentials_is_not_heard()
    {
        await using var server = new FakeServer();
        (ZooKeeperSession session, FakeConnection connection) = await server.EstablishAsync();
        await using ZooKeeperSession owned = session;
        Task adding = session.AddAuthAsync(new ZooKeeperAuth("nonsense", "x"u8));
        await connection.ReadAsync(OpCode.Auth);
        Task<ZnodeStat?> watching = session.ExistsAsync("/a", _ => { });
        FakeRequest exists = await connection.ReadAsync(OpCode.Exists);
        var both = new JuteWriter();
        foreach (
            (int xid, ZooKeeperErrorCode error) in ((int, ZooKeeperErrorCode)[])[(Xid.Auth, ZooKeeperErrorCode.AuthFailed),
                (exists.Xid, ZooKeeperErrorCode.NoNode)])
        {
            int start = both.BeginFrame();
            both.Int32(xid);
            both.Int64(0);
            both.Int32((int)error);
            both.EndFrame(start);
        }

        await connection.SendBytesAsync(both.Written);
        await Waiting.ThrowsZooKeeper(adding);

        // A watch of a session that has ended would never tell of its end.
        Assert.That((await Waiting.ThrowsZooKeeper(watching)).Code, Is.EqualTo(ZooKeeperErrorCode.AuthFailed));
    }

    [Test]
    public async Task A_session_that_expires_before_its_credentials_are_judged_is_replaced_and_whoever_waits_is_not_told()
    {
        await using var server = new FakeServer();
        await using var client = new ZooKeeperClient(server.Options() with { Auth = [ZooKeeperAuth.Digest("u", "p")] });
        Task<ZooKeeperSession> waiting = client.GetSessionAsync().AsTask();
        FakeConnection first = await server.AcceptSessionAsync();
        await first.ReadAsync(OpCode.Auth);
        first.Close();
        FakeConnection second = await server.AcceptAsync();
        Assert.That((await second.ReadConnectAsync()).SessionId, Is.EqualTo(0x10));
        await second.GrantAsync(0, 0);
        FakeConnection third = await server.AcceptSessionAsync(0x20);
        await third.ReplyAsync(Xid.Auth, 0, null, ZooKeeperErrorCode.Ok);
        Assert.That((await waiting.WithinDeadline()).SessionId, Is.EqualTo(0x20));
    }

    [Test]
    public async Task Credentials_refused_at_the_beginning_fail_the_connecting_and_the_client_tries_again_without_haste()
    {
        await using var server = new FakeServer();
        var log = new RecordedLog();
        var time = new ManualTime();
        await using var client =
            new ZooKeeperClient(server.Options(time) with { Auth = [ZooKeeperAuth.Digest("u", "p")], LoggerFactory = log });
        var states = new System.Collections.Concurrent.ConcurrentQueue<ZooKeeperClientState>();
        client.StateChanged += states.Enqueue;
        await using WatchedValue value = client.Watch("/v");
        Task waiting = client.GetSessionAsync().AsTask();
        Task campaign = new LeaderElection(client, new LeaderElectionOptions
        {
            LeaderPath = "/leader", TermPath = "/term", CandidateId = "a", LeaderData = () => default,
        }).CampaignAsync();
        FakeConnection connection = await server.AcceptSessionAsync();
        await connection.ReadAsync(OpCode.Auth);
        await connection.ReplyAsync(Xid.Auth, 0, null, ZooKeeperErrorCode.AuthFailed);
        await connection.WaitForEndAsync();
        ZooKeeperException refused = await Waiting.ThrowsZooKeeper(waiting);
        Assert.That(refused.Code, Is.EqualTo(ZooKeeperErrorCode.AuthFailed));
        Assert.That(refused.Message, Does.Contain("the server refused the credentials of scheme digest"));
        Assert.That((await Waiting.ThrowsZooKeeper(campaign)).Code, Is.EqualTo(ZooKeeperErrorCode.AuthFailed));
        await Waiting.Until(() => states.LastOrDefault() == ZooKeeperClientState.AuthFailed);
        Task<ZooKeeperSession> later = client.GetSessionAsync().AsTask();
        Task<FakeConnection> accepting = server.AcceptAsync();
        await Waiting.Until(() => time.PendingTimers > 0);
        Assert.That(accepting.IsCompleted, Is.False);
        Assert.That(client.Session, Is.Null);
        await time.AdvanceUntil(Step, () => accepting.IsCompleted);

        // Refused a second time, and said once. What each refused session leaves on the server is closed.
        FakeConnection next = await EndFormerAsync(await accepting, 0x10);
        await next.GrantAsync(0x20, 4000);
        await next.ReadAsync(OpCode.Auth);
        await next.ReplyAsync(Xid.Auth, 0, null, ZooKeeperErrorCode.AuthFailed);
        await next.WaitForEndAsync();
        await Waiting.ThrowsZooKeeper(later);
        later = client.GetSessionAsync().AsTask();
        accepting = server.AcceptAsync();
        await time.AdvanceUntil(Step, () => accepting.IsCompleted);
        next = await EndFormerAsync(await accepting, 0x20);
        await next.GrantAsync(0x30, 4000);
        await next.ReadAsync(OpCode.Auth);
        await next.ReplyAsync(Xid.Auth, 0, null, ZooKeeperErrorCode.Ok);
        Assert.That((await later.WithinDeadline()).SessionId, Is.EqualTo(0x30));
        await Waiting.Until(() => states.LastOrDefault() == ZooKeeperClientState.Connected);

        // What follows a znode goes on.
        await next.ReadNextAsync(OpCode.Sync);
        await client.DisposeAsync().AsTask().WithinDeadline();
        string[] lines = [.. log.Entries.Select(e => e.Text)];
        Assert.That(lines, Has.One.StartsWith("ZooKeeper refused the credentials"), string.Join('\n', lines));
        Assert.That(lines, Has.One.Contains("established"), string.Join('\n', lines));

        async Task<FakeConnection> EndFormerAsync(FakeConnection first, long sessionId)
        {
            Assert.That((await first.ReadConnectAsync()).SessionId, Is.EqualTo(sessionId));
            await first.GrantAsync(sessionId, 4000);
            FakeConnection then = await server.AcceptAsync();
            await Waiting.Until(() => first.Goodbyes == 1);
            Assert.That((await then.ReadConnectAsync()).SessionId, Is.Zero);
            return then;
        }
    }

    [Test]
    public async Task Who_disposes_a_second_time_does_not_cut_short_the_goodbye_of_the_first()
    {
        await using var server = new FakeServer();
        var time = new ManualTime();
        (ZooKeeperSession session, FakeConnection connection) = await server.EstablishAsync(server.Options(time));
        connection.AnswersGoodbyes = false;
        List<(Task<Znode> Read, FakeRequest Request)> pending = [];
        for (int i = 0; i < 50; i++)
        {
            Task<Znode> read = session.GetDataAsync("/a").AsTask();
            pending.Add((read, await connection.ReadAsync(OpCode.GetData)));
        }

        Task first = session.DisposeAsync().AsTask();
        await Waiting.Until(() => connection.Goodbyes == 1);
        Task second = session.DisposeAsync().AsTask();

        // What was asked before the goodbye is still answered, one round trip after the other.
        foreach ((Task<Znode> read, FakeRequest request) in pending)
        {
            await connection.ReplyDataAsync(request, "x");
            await read.WithinDeadline();
        }

        Assert.That((first.IsCompleted, second.IsCompleted), Is.EqualTo((false, false)));
        time.Advance(session.SessionTimeout / 3);

        // The loop's end, then the logger's.
        await time.AdvanceUntil(Step, () => first.IsCompleted && second.IsCompleted);
        Assert.That(session.State, Is.EqualTo(ZooKeeperSessionState.Closed));
    }

    [Test]
    public async Task A_callback_that_blocks_does_not_keep_the_end_of_the_session_from_being_told()
    {
        await using var server = new FakeServer();
        await using var client = new ZooKeeperClient(server.Options());
        FakeConnection connection = await server.AcceptSessionAsync(0x1);
        ZooKeeperSession session = await client.GetSessionAsync().WithinDeadline();
        using var release = new ManualResetEventSlim();
        Task<ZnodeStat?> watch = session.ExistsAsync("/w", _ => release.Wait());
        await connection.ReplyAsync(await connection.ReadAsync(OpCode.Exists), null, ZooKeeperErrorCode.NoNode);
        await watch.WithinDeadline();
        await connection.SendEventAsync(WatchedEventType.Created, "/w");
        connection.Close();
        FakeConnection refused = await server.AcceptAsync();
        await refused.ReadConnectAsync();
        await refused.GrantAsync(0, 0);
        await server.AcceptSessionAsync(0x2);
        Assert.That((await client.GetSessionAsync().WithinDeadline()).SessionId, Is.EqualTo(0x2));
        release.Set();
    }

    private sealed class ClosedByServer : MemoryStream
    {
        public override ValueTask WriteAsync(ReadOnlyMemory<byte> buffer, CancellationToken cancellationToken = default)
            => ValueTask.FromException(new IOException("Broken pipe"));
    }
}
