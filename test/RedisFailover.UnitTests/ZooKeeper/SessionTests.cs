using System.Net;
using System.Text;
using NUnit.Framework;
using RedisFailover.ZooKeeper;

namespace RedisFailover.UnitTests.ZooKeeper;

/// <summary>Cases 16 to 18 and 20 to 22, and what else happens within a session's life.</summary>
[TestFixture]
public sealed class SessionTests
{
    [Test]
    public async Task Case_16_an_event_before_the_reply_with_the_new_data_uses_up_the_old_watch_and_not_the_new_one()
    {
        await using var server = new FakeServer();
        (ZooKeeperSession session, FakeConnection connection) = await server.EstablishAsync();
        await using ZooKeeperSession owned = session;
        List<string> told = [];
        Watcher Told(string name) => new(_ => told.Add(name), Inline: true);
        ValueTask<Znode> old = session.GetDataInlineAsync("/a", Told("old"));
        await connection.ReplyDataAsync(await connection.ReadAsync(OpCode.GetData), "1", modifiedZxid: 1);
        await old.WithinDeadline();

        // The new read is on its way when the server tells of the write; its reply carries the new data and sets the new watch.
        ValueTask<Znode> read = session.GetDataInlineAsync("/a", Told("new"));
        FakeRequest request = await connection.ReadAsync(OpCode.GetData);
        await connection.SendEventAsync(WatchedEventType.DataChanged, "/a");
        await connection.ReplyDataAsync(request, "2", modifiedZxid: 2);
        Assert.That((await read.WithinDeadline()).Stat.ModifiedZxid, Is.EqualTo(2));
        Assert.That(told, Is.EqualTo(new[] { "old" }));
        await connection.SendEventAsync(WatchedEventType.DataChanged, "/a");
        await Waiting.Until(() => told.Count == 2);
        Assert.That(told, Is.EqualTo(new[] { "old", "new" }));
    }

    [Test]
    public async Task Case_16_an_event_right_behind_the_reply_that_set_its_watch_is_not_lost()
    {
        await using var server = new FakeServer();
        (ZooKeeperSession session, FakeConnection connection) = await server.EstablishAsync();
        await using ZooKeeperSession owned = session;
        for (int i = 0; i < 200; i++)
        {
            var told = new TaskCompletionSource<WatchedEvent>(TaskCreationOptions.RunContinuationsAsynchronously);
            ValueTask<Znode> get = session.GetDataAsync("/a", told.SetResult);
            await connection.ReplyDataAsync(await connection.ReadAsync(OpCode.GetData), "x");
            await connection.SendEventAsync(WatchedEventType.DataChanged, "/a");
            await get.WithinDeadline();
            Assert.That(await told.Task.WithinDeadline(), Is.EqualTo(new WatchedEvent(WatchedEventType.DataChanged, "/a")));
        }
    }

    [Test]
    public async Task Case_17_watches_are_restored_after_a_reconnect_with_the_last_zxid_seen()
    {
        await using var server = new FakeServer();
        (ZooKeeperSession session, FakeConnection connection) = await server.EstablishAsync(server.Options(chroot: "/root"));
        await using ZooKeeperSession owned = session;
        var told = new TaskCompletionSource<WatchedEvent>(TaskCreationOptions.RunContinuationsAsynchronously);
        connection.Zxid = 0x500;
        ValueTask<Znode> get = session.GetDataAsync("/a", told.SetResult);
        await connection.ReplyDataAsync(await connection.ReadAsync(OpCode.GetData), "x");
        await get.WithinDeadline();
        connection.Close();

        FakeConnection next = await server.AcceptAsync();
        FakeConnectRequest again = await next.ReadConnectAsync();
        Assert.That((again.LastZxid, again.SessionId), Is.EqualTo((0x501L, session.SessionId)));
        Assert.That(again.Password, Is.EqualTo(FakeConnection.Password));
        await next.GrantAsync(session.SessionId, 4000);
        FakeRequest set = await next.ReadAsync(OpCode.SetWatches);
        (long zxid, string[][] paths) = ReadSetWatches(set);
        Assert.That(zxid, Is.EqualTo(0x501));
        Assert.That(paths[0], Is.EqualTo(new[] { "/root/a" }));
        await next.SendEventAsync(WatchedEventType.DataChanged, "/root/a");
        await next.ReplyAsync(set);
        Assert.That(await told.Task.WithinDeadline(), Is.EqualTo(new WatchedEvent(WatchedEventType.DataChanged, "/a")));
    }

    [Test]
    public async Task Case_18_ten_thousand_watches_are_restored_in_requests_of_at_most_128_KB_with_one_zxid()
    {
        await using var server = new FakeServer();
        (ZooKeeperSession session, FakeConnection connection) = await server.EstablishAsync();
        await using ZooKeeperSession owned = session;
        const int count = 10_000;
        string Path(int i) => $"/some/parent/of/quite/an/ordinary/length/{i:000000}";
        Task<ZnodeStat?>[] asked = [.. Enumerable.Range(0, count).Select(i => session.ExistsAsync(Path(i), _ => { }))];
        for (int i = 0; i < count; i++)
        {
            await connection.ReplyAsync(await connection.ReadAsync(OpCode.Exists), null, ZooKeeperErrorCode.NoNode);
        }

        await Task.WhenAll(asked).WithinDeadline();
        connection.Close();
        FakeConnection next = await server.AcceptSessionAsync(session.SessionId);
        HashSet<string> restored = [];
        HashSet<long> zxids = [];
        int requests = 0;
        while (restored.Count < count)
        {
            FakeRequest set = await next.ReadAsync(OpCode.SetWatches);
            Assert.That(set.Body, Has.Length.LessThanOrEqualTo(128 * 1024));
            (long zxid, string[][] paths) = ReadSetWatches(set);
            zxids.Add(zxid);
            restored.UnionWith(paths[1]);
            requests++;
            await next.ReplyAsync(set);
        }

        Assert.That(restored, Is.EquivalentTo(Enumerable.Range(0, count).Select(Path)));
        Assert.That(zxids, Has.Count.EqualTo(1));
        Assert.That(requests, Is.GreaterThan(1));
    }

    [Test]
    public async Task Case_17_the_zxid_of_an_event_does_not_count_others_of_its_transaction_may_be_on_their_way()
    {
        await using var server = new FakeServer();
        (ZooKeeperSession session, FakeConnection connection) = await server.EstablishAsync();
        await using ZooKeeperSession owned = session;
        var told = new TaskCompletionSource<WatchedEvent>(TaskCreationOptions.RunContinuationsAsynchronously);
        connection.Zxid = 9;
        foreach (string path in (string[])["/a", "/b"])
        {
            ValueTask<Znode> get = session.GetDataAsync(path, path == "/a" ? told.SetResult : _ => { });
            await connection.ReplyAsync(await connection.ReadAsync(OpCode.GetData) is var request ? request.Xid : 0, 10, w =>
            {
                w.Buffer([]);
                FakeConnection.WriteStat(w, 1);
            }, ZooKeeperErrorCode.Ok);
            await get.WithinDeadline();
        }

        await connection.SendEventAsync(WatchedEventType.DataChanged, "/a", zxid: 11);
        await told.Task.WithinDeadline();
        connection.Close();
        FakeConnection next = await server.AcceptSessionAsync(session.SessionId);
        (long zxid, string[][] paths) = ReadSetWatches(await next.ReadAsync(OpCode.SetWatches));
        Assert.That(paths[0], Is.EqualTo(new[] { "/b" }));
        Assert.That(zxid, Is.EqualTo(10));
    }

    [Test]
    public async Task Case_18_a_connection_that_breaks_between_two_requests_for_watches_moves_no_zxid()
    {
        await using var server = new FakeServer();
        (ZooKeeperSession session, FakeConnection connection) = await server.EstablishAsync();
        await using ZooKeeperSession owned = session;
        connection.Zxid = 0;
        for (int i = 0; i < 3_000; i++)
        {
            Task<ZnodeStat?> asked =
                session.ExistsAsync($"/some/parent/of/quite/an/ordinary/length/whose/watches/fill/two/requests/{i:000000}", _ => { });
            await connection.ReplyAsync(await connection.ReadAsync(OpCode.Exists), null, ZooKeeperErrorCode.NoNode);
            await asked.WithinDeadline();
        }

        connection.Close();
        FakeConnection next = await server.AcceptSessionAsync(session.SessionId);
        FakeRequest first = await next.ReadAsync(OpCode.SetWatches);
        await next.ReplyAsync(first.Xid, 5_000, null, ZooKeeperErrorCode.Ok);
        next.Close();

        FakeConnection last = await server.AcceptSessionAsync(session.SessionId);
        for (int i = 0; i < 2; i++)
        {
            FakeRequest set = await last.ReadAsync(OpCode.SetWatches);
            Assert.That(ReadSetWatches(set).Zxid, Is.EqualTo(3_000));
            await last.ReplyAsync(set.Xid, 6_000, null, ZooKeeperErrorCode.Ok);
        }

        // Once all are set it moves on.
        await Waiting.Until(() => session.LastZxid == 6_000);
    }

    [Test]
    public async Task An_address_that_accepts_and_does_not_serve_does_not_stand_before_one_that_does()
    {
        using var refusing = new System.Net.Sockets.TcpListener(IPAddress.Parse("127.0.0.2"), 0);
        refusing.Start();
        int port = ((IPEndPoint)refusing.LocalEndpoint).Port;
        using var serving = new System.Net.Sockets.TcpListener(IPAddress.Loopback, port);
        serving.Start();
        ZooKeeperOptions options = new()
        {
            Connection = ZooKeeperConnectionString.Parse($"zk.example:{port}"),
            Resolve = (_, _) => Task.FromResult<IPAddress[]>([IPAddress.Parse("127.0.0.2"), IPAddress.Loopback]),
        };
        using CancellationTokenSource over = new();
        Task<ZooKeeperSession> connecting = ZooKeeperSession.ConnectAsync(options, over.Token);
        Task<System.Net.Sockets.TcpClient> served = serving.AcceptTcpClientAsync();
        for (int refusals = 0; !served.IsCompleted; refusals++)
        {
            Assert.That(refusals, Is.LessThan(5), "connections refused by the one address, none made to the other");
            Task<System.Net.Sockets.TcpClient> refused = refusing.AcceptTcpClientAsync();
            if (await Task.WhenAny(refused, served).WithinDeadline() == refused)
            {
                (await refused).Close();
            }
        }

        using var connection = new FakeConnection(await served);
        await connection.ReadConnectAsync();
        await connection.GrantAsync(7, 4000);
        await using ZooKeeperSession session = await connecting.WithinDeadline();
        Assert.That(session.SessionId, Is.EqualTo(7));
    }

    [Test]
    public async Task An_address_whose_certificate_is_not_trusted_does_not_stand_before_the_next_one()
    {
        using var key = System.Security.Cryptography.ECDsa.Create();
        var request = new System.Security.Cryptography.X509Certificates.CertificateRequest("CN=zk.example", key,
                System.Security.Cryptography.HashAlgorithmName.SHA256);
        using System.Security.Cryptography.X509Certificates.X509Certificate2 certificate =
            request.CreateSelfSigned(DateTimeOffset.UnixEpoch, DateTimeOffset.MaxValue);
        using var untrusted = new System.Net.Sockets.TcpListener(IPAddress.Parse("127.0.0.2"), 0);
        untrusted.Start();
        int port = ((IPEndPoint)untrusted.LocalEndpoint).Port;
        using var next = new System.Net.Sockets.TcpListener(IPAddress.Loopback, port);
        next.Start();
        ZooKeeperOptions options = new()
        {
            Connection = ZooKeeperConnectionString.Parse($"zk.example:{port}"),
            Tls = new ZooKeeperTls(),
            Resolve = (_, _) => Task.FromResult<IPAddress[]>([IPAddress.Parse("127.0.0.2"), IPAddress.Loopback]),

            // It stands still: there is no second attempt.
            TimeProvider = new ManualTime(),
        };
        using CancellationTokenSource over = new();
        Task<ZooKeeperSession> connecting = ZooKeeperSession.ConnectAsync(options, over.Token);
        using System.Net.Sockets.TcpClient refused = await untrusted.AcceptTcpClientAsync().WithinDeadline();
        await using var tls = new System.Net.Security.SslStream(refused.GetStream());
        Task greeting = tls.AuthenticateAsServerAsync(certificate);
        using System.Net.Sockets.TcpClient tried = await next.AcceptTcpClientAsync().WithinDeadline();
        await over.CancelAsync();
        await connecting.ContinueWith(_ => { }, TaskScheduler.Default).WithinDeadline();
        await greeting.ContinueWith(_ => { }, TaskScheduler.Default).WithinDeadline();
    }

    [Test]
    public async Task A_session_that_ends_by_a_defect_leaves_no_connection_behind()
    {
        await using var server = new FakeServer();

        // The time stands still: no silence ends the connection.
        (ZooKeeperSession session, FakeConnection connection) = await server.EstablishAsync(server.Options(new ManualTime()));
        await using ZooKeeperSession owned = session;
#pragma warning disable CA2012 // It is about one that is not awaited.
        session.GetDataAsync("/a").ConfigureAwait(false).GetAwaiter()
            .UnsafeOnCompleted(() => throw new InvalidOperationException("a user's mistake, on the reader"));
#pragma warning restore CA2012
        Task<ZnodeStat> pending = session.SetDataAsync("/a", default).AsTask();
        FakeRequest read = await connection.ReadAsync(OpCode.GetData);
        await connection.ReadAsync(OpCode.SetData);
        await connection.ReplyDataAsync(read, "x");
        await Waiting.Until(() => session.State == ZooKeeperSessionState.Expired);
        await connection.WaitForEndAsync();
        ZooKeeperException sent = await Waiting.ThrowsZooKeeper(pending);
        Assert.That((sent.Code, sent.MayHaveBeenApplied), Is.EqualTo((ZooKeeperErrorCode.SystemError, true)));
        ZooKeeperException late = await Waiting.ThrowsZooKeeper(session.SetDataAsync("/a", default).AsTask());
        Assert.That((late.Code, late.MayHaveBeenApplied), Is.EqualTo((ZooKeeperErrorCode.SystemError, false)));
        Assert.That(late.Message, Does.Contain("a user's mistake, on the reader"));
    }

    [Test]
    public async Task Code_that_throws_after_the_reading_was_taken_from_its_thread_ends_the_session_too()
    {
        await using var server = new FakeServer();
        (ZooKeeperSession session, FakeConnection connection) = await server.EstablishAsync();
        await using ZooKeeperSession owned = session;
        using var release = new ManualResetEventSlim();
#pragma warning disable CA2012 // It is about one that is not awaited.
        session.GetDataAsync("/a").ConfigureAwait(false).GetAwaiter().UnsafeOnCompleted(() =>
        {
            release.Wait();
            throw new InvalidOperationException("a user's mistake, after a while");
        });
#pragma warning restore CA2012
        await connection.ReplyDataAsync(await connection.ReadAsync(OpCode.GetData), "x");
        ValueTask<Znode> get = session.GetDataAsync("/b");
        await connection.ReplyDataAsync(await connection.ReadAsync(OpCode.GetData), "y");
        await get.WithinDeadline();
        release.Set();
        await Waiting.Until(() => session.State == ZooKeeperSessionState.Expired);
        await connection.WaitForEndAsync();
        Assert.That((await Waiting.ThrowsZooKeeper(session.SetDataAsync("/a", default).AsTask())).Message,
            Does.Contain("a user's mistake, after a while"));
    }

    [Test]
    public async Task Case_20_an_operation_that_the_server_does_not_know_fails_once_and_is_not_repeated()
    {
        await using var server = new FakeServer();
        (ZooKeeperSession session, FakeConnection connection) = await server.EstablishAsync();
        await using ZooKeeperSession owned = session;
        Task asking = session.WhoAmIAsync();
        await connection.ReplyAsync(await connection.ReadAsync(OpCode.WhoAmI), null, ZooKeeperErrorCode.Unimplemented);
        connection.Close();
        Assert.That((await Waiting.ThrowsZooKeeper(asking)).Code, Is.EqualTo(ZooKeeperErrorCode.Unimplemented));

        // The session lives on, and the first that the server hears on the new connection is the next request.
        await WireTests.AssertLivesOn(server, session);
    }

    [Test]
    public async Task Names_are_resolved_anew_at_every_attempt_and_every_address_is_tried()
    {
        await using var server = new FakeServer();
        int asked = 0;
        ZooKeeperOptions options = server.Options() with
        {
            Connection = ZooKeeperConnectionString.Parse($"zk.example:{server.Port}"),

            // At first the name leads nowhere, then to two addresses of which only the second is the server's.
            Resolve = (host, _) => Task.FromResult<IPAddress[]>(
                host != "zk.example" ? []
                    : Interlocked.Increment(ref asked) == 1 ? [IPAddress.Parse("127.0.0.2")]
                    : [IPAddress.Parse("127.0.0.2"), IPAddress.Loopback]),
        };
        (ZooKeeperSession session, FakeConnection connection) = await server.EstablishAsync(options);
        await using ZooKeeperSession owned = session;
        Assert.That(Volatile.Read(ref asked), Is.EqualTo(2));
        connection.Close();
        await server.AcceptSessionAsync(session.SessionId);
        Assert.That(Volatile.Read(ref asked), Is.EqualTo(3));
    }

    [Test]
    public async Task Case_21_after_a_reconnect_credentials_come_first_then_watches_then_what_was_asked_meanwhile()
    {
        await using var server = new FakeServer();
        Task<ZooKeeperSession> connecting =
            ZooKeeperSession.ConnectAsync(server.Options() with { Auth = [ZooKeeperAuth.Digest("u", "p")] });
        FakeConnection connection = await server.AcceptSessionAsync();
        await connection.ReadAsync(OpCode.Auth);
        await connection.ReplyAsync(Xid.Auth, 0, null, ZooKeeperErrorCode.Ok);
        await using ZooKeeperSession session = await connecting.WithinDeadline();
        Task adding = session.AddAuthAsync(new ZooKeeperAuth("digest", "second:p"u8));
        await connection.ReadAsync(OpCode.Auth);
        await connection.ReplyAsync(Xid.Auth, 0, null, ZooKeeperErrorCode.Ok);
        await adding.WithinDeadline();
        Task<ZnodeStat?> watch = session.ExistsAsync("/w", _ => { });
        await connection.ReplyAsync(await connection.ReadAsync(OpCode.Exists), null, ZooKeeperErrorCode.NoNode);
        await watch.WithinDeadline();
        connection.Close();
        await Waiting.Until(() => session.State == ZooKeeperSessionState.Disconnected);
        Task write = session.SetDataAsync("/a", default).AsTask();

        FakeConnection next = await server.AcceptSessionAsync(session.SessionId);
        Assert.That(Scheme(await next.ReadAsync(OpCode.Auth)), Is.EqualTo(("digest", "u:p")));
        Assert.That(Scheme(await next.ReadAsync(OpCode.Auth)), Is.EqualTo(("digest", "second:p")));
        FakeRequest watches = await next.ReadAsync(OpCode.SetWatches);
        FakeRequest set = await next.ReadAsync(OpCode.SetData);
        await next.ReplyAsync(Xid.Auth, 0, null, ZooKeeperErrorCode.Ok);
        await next.ReplyAsync(watches);
        await next.ReplyAsync(set, w => FakeConnection.WriteStat(w, 9));
        await next.ReplyAsync(Xid.Auth, 0, null, ZooKeeperErrorCode.Ok);
        await write.WithinDeadline();

        static (string, string) Scheme(FakeRequest request)
        {
            var reader = new JuteReader(request.Body);
            _ = reader.Int32();
            return (reader.String(), reader.String());
        }
    }

    [Test]
    public async Task Case_22_cancelled_requests_keep_their_place_in_the_order_of_replies()
    {
        await using var server = new FakeServer();
        (ZooKeeperSession session, FakeConnection connection) = await server.EstablishAsync();
        await using ZooKeeperSession owned = session;
        for (int round = 0; round < 100; round++)
        {
            using var cancel = new CancellationTokenSource();
            Task<Znode> cancelled = session.GetDataAsync("/cancelled", null, cancel.Token).AsTask();
            Task<Znode> kept = session.GetDataAsync("/kept").AsTask();
            FakeRequest first = await connection.ReadAsync(OpCode.GetData);
            FakeRequest second = await connection.ReadAsync(OpCode.GetData);
            await cancel.CancelAsync();
            Assert.That(async () => await cancelled.WithinDeadline(), Throws.InstanceOf<OperationCanceledException>());

            // A third one reuses what the first has left behind, but not before its reply was consumed.
            Task<Znode> third = session.GetDataAsync("/third").AsTask();
            FakeRequest last = await connection.ReadAsync(OpCode.GetData);
            await connection.ReplyDataAsync(first, "cancelled");
            await connection.ReplyDataAsync(second, "kept");
            await connection.ReplyDataAsync(last, "third");
            Assert.That(Encoding.UTF8.GetString((await kept.WithinDeadline()).Data.Span), Is.EqualTo("kept"));
            Assert.That(Encoding.UTF8.GetString((await third.WithinDeadline()).Data.Span), Is.EqualTo("third"));
        }
    }

    [Test]
    public async Task A_cancelled_read_sets_no_watch()
    {
        await using var server = new FakeServer();
        (ZooKeeperSession session, FakeConnection connection) = await server.EstablishAsync();
        await using ZooKeeperSession owned = session;
        using var cancel = new CancellationTokenSource();
        var told = new System.Collections.Concurrent.ConcurrentQueue<string>();
        Task[] cancelled =
        [
            session.GetDataAsync("/a", _ => told.Enqueue("data"), cancel.Token).AsTask(),
            session.ExistsAsync("/a", _ => told.Enqueue("existence"), cancel.Token),
            session.GetChildrenAsync("/a", _ => told.Enqueue("children"), cancel.Token),
        ];
        FakeRequest data = await connection.ReadAsync(OpCode.GetData);
        FakeRequest existence = await connection.ReadAsync(OpCode.Exists);
        FakeRequest children = await connection.ReadAsync(OpCode.GetChildren2);
        await cancel.CancelAsync();
        foreach (Task read in cancelled)
        {
            Assert.That(async () => await read.WithinDeadline(), Throws.InstanceOf<OperationCanceledException>());
        }

        await connection.ReplyDataAsync(data, "x");
        await connection.ReplyAsync(existence, w => FakeConnection.WriteStat(w, 1));
        await connection.ReplyAsync(children, w =>
        {
            w.Int32(0);
            FakeConnection.WriteStat(w, 1);
        });
        ValueTask<Znode> fence = session.GetDataAsync("/b", _ => told.Enqueue("fence"));
        await connection.ReplyDataAsync(await connection.ReadAsync(OpCode.GetData), "y");
        await fence.WithinDeadline();
        await connection.SendEventAsync(WatchedEventType.Deleted, "/a");
        await connection.SendEventAsync(WatchedEventType.Deleted, "/b");
        await Waiting.Until(() => told.Contains("fence"));
        Assert.That(told, Is.EqualTo(new[] { "fence" }));
    }

    [Test]
    public async Task Data_may_be_changed_as_soon_as_the_call_has_returned_also_without_a_connection()
    {
        await using var server = new FakeServer();
        (ZooKeeperSession session, FakeConnection connection) = await server.EstablishAsync();
        await using ZooKeeperSession owned = session;
        connection.Close();
        await Waiting.Until(() => session.State == ZooKeeperSessionState.Disconnected);
        FakeConnection next = await server.AcceptAsync();
        byte[] data = [1, 2, 3];
        Task[] writes =
        [
            session.SetDataAsync("/a", data).AsTask(),
            session.CreateAsync("/b", data),
            session.MultiAsync([ZnodeOperation.SetData("/c", data)]),
        ];
        data.AsSpan().Clear();
        await next.ReadConnectAsync();
        await next.GrantAsync(session.SessionId, 4000);
        foreach (OpCode op in (OpCode[])[OpCode.SetData, OpCode.Create, OpCode.Multi])
        {
            FakeRequest request = await next.ReadAsync(op);
            Assert.That(Convert.ToHexString(request.Body), Does.Contain("00000003010203"), op.ToString());
            await next.ReplyAsync(request, null, ZooKeeperErrorCode.NoNode);
        }

        foreach (Task write in writes)
        {
            await Waiting.ThrowsZooKeeper(write);
        }
    }

    [Test]
    public async Task A_request_cancelled_while_it_waits_for_a_connection_is_never_sent()
    {
        await using var server = new FakeServer();
        (ZooKeeperSession session, FakeConnection connection) = await server.EstablishAsync();
        await using ZooKeeperSession owned = session;
        connection.Close();
        await Waiting.Until(() => session.State == ZooKeeperSessionState.Disconnected);
        using var cancel = new CancellationTokenSource();
        Task<ZnodeStat> cancelled = session.SetDataAsync("/a", default, -1, cancel.Token).AsTask();
        Task<Znode> kept = session.GetDataAsync("/kept").AsTask();
        await cancel.CancelAsync();
        Assert.That(async () => await cancelled.WithinDeadline(), Throws.InstanceOf<OperationCanceledException>());
        FakeConnection next = await server.AcceptSessionAsync(session.SessionId);
        await next.ReplyDataAsync(await next.ReadAsync(OpCode.GetData), "x");
        await kept.WithinDeadline();
    }

    [Test]
    public async Task A_ping_is_sent_after_a_third_of_the_timeout_and_silence_is_borne_for_two_thirds()
    {
        await using var server = new FakeServer();
        var time = new ManualTime();
        (ZooKeeperSession session, FakeConnection connection) = await server.EstablishAsync(server.Options(time), timeoutMs: 3000);
        await using ZooKeeperSession owned = session;
        time.Advance(TimeSpan.FromMilliseconds(990));
        Assert.That(connection.Pings, Is.Zero);
        time.Advance(TimeSpan.FromMilliseconds(20));
        await Waiting.Until(() => connection.Pings == 1);
        await Waiting.Until(() => session.SinceLastContact < TimeSpan.FromMilliseconds(100));
        Assert.That(session.State, Is.EqualTo(ZooKeeperSessionState.Connected));

        connection.AnswersPings = false;
        time.Advance(TimeSpan.FromMilliseconds(1900));
        Assert.That(session.State, Is.EqualTo(ZooKeeperSessionState.Connected));
        time.Advance(TimeSpan.FromMilliseconds(150));
        await Waiting.Until(() => session.State == ZooKeeperSessionState.Disconnected);
    }

    [Test]
    public async Task Neither_a_blocked_callback_nor_blocked_awaiting_code_holds_up_replies()
    {
        await using var server = new FakeServer();
        (ZooKeeperSession session, FakeConnection connection) = await server.EstablishAsync();
        await using ZooKeeperSession owned = session;
        using var release = new ManualResetEventSlim();
        using var blocked = new CountdownEvent(2);
        async Task BlockAsync()
        {
            await session.GetDataAsync("/a", _ => Block()).ConfigureAwait(false);
            Block();
        }

        void Block()
        {
            blocked.Signal();
            release.Wait();
        }

        Task blocking = BlockAsync();
        await connection.ReplyDataAsync(await connection.ReadAsync(OpCode.GetData), "x");
        await connection.SendEventAsync(WatchedEventType.DataChanged, "/a");
        await Waiting.Until(() => blocked.IsSet);
        ValueTask<Znode> get = session.GetDataAsync("/b");
        await connection.ReplyDataAsync(await connection.ReadAsync(OpCode.GetData), "y");
        await get.WithinDeadline();
        release.Set();
        await blocking.WithinDeadline();
    }

    [Test]
    public async Task A_callback_that_throws_is_logged_and_the_next_one_still_runs()
    {
        await using var server = new FakeServer();
        (ZooKeeperSession session, FakeConnection connection) = await server.EstablishAsync();
        await using ZooKeeperSession owned = session;
        var told = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        ValueTask<Znode> first = session.GetDataAsync("/a", _ => throw new InvalidOperationException("from a test"));
        ValueTask<Znode> second = session.GetDataAsync("/a", _ => told.SetResult());
        await connection.ReplyDataAsync(await connection.ReadAsync(OpCode.GetData), "x");
        await connection.ReplyDataAsync(await connection.ReadAsync(OpCode.GetData), "x");
        await first.WithinDeadline();
        await second.WithinDeadline();
        await connection.SendEventAsync(WatchedEventType.Deleted, "/a");
        await told.Task.WithinDeadline();
    }

    [Test]
    public async Task What_one_subscriber_of_an_event_throws_is_not_the_next_ones_loss()
    {
        await using var server = new FakeServer();
        (ZooKeeperSession session, FakeConnection connection) = await server.EstablishAsync();
        await using ZooKeeperSession owned = session;
        var told = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        session.StateChanged += _ => throw new InvalidOperationException("from a test");
        // That it was connected may be told only now.
        session.StateChanged += state => _ = state == ZooKeeperSessionState.Disconnected && told.TrySetResult();
        connection.Close();
        await told.Task.WithinDeadline();
    }

    [Test]
    public async Task What_a_callback_on_the_end_of_a_session_throws_is_logged()
    {
        await using var server = new FakeServer();
        using var log = new RecordedLog();
        (ZooKeeperSession session, FakeConnection _) = await server.EstablishAsync(server.Options() with { LoggerFactory = log });
        session.Ended.UnsafeRegister(static _ => throw new InvalidOperationException("from a test"), null);
        await session.DisposeAsync().AsTask().WithinDeadline();
        await Waiting.Until(() => log.Entries.Any(e => e.Text.Contains("callback", StringComparison.Ordinal)));
    }

    [Test]
    public async Task A_name_server_that_is_silent_holds_up_neither_the_next_host_nor_the_end()
    {
        // As the system's resolver: it does not stop when it is cancelled.
        await using var server = new FakeServer();
        ZooKeeperOptions options = server.Options() with
        {
            Connection = ZooKeeperConnectionString.Parse("silent.example"),
            SessionTimeout = TimeSpan.FromSeconds(1),
            Resolve = (_, _) => new TaskCompletionSource<IPAddress[]>().Task,
        };
        using var cancel = new CancellationTokenSource();
        Task<ZooKeeperSession> connecting = ZooKeeperSession.ConnectAsync(options, cancel.Token);
        await cancel.CancelAsync();
        Assert.That(async () => await connecting.WithinDeadline(), Throws.InstanceOf<OperationCanceledException>());

        (ZooKeeperSession session, FakeConnection _) = await server.EstablishAsync(
            options with { Connection = ZooKeeperConnectionString.Parse($"silent.example,127.0.0.1:{server.Port}") });
        await session.DisposeAsync().AsTask().WithinDeadline();
    }

    [Test]
    public async Task A_server_that_accepts_and_does_not_answer_does_not_hold_up_a_reconnect()
    {
        var time = new ManualTime();
        await using var server = new FakeServer();
        (ZooKeeperSession session, FakeConnection connection) = await server.EstablishAsync(server.Options(time));
        await using ZooKeeperSession owned = session;
        connection.Close();
        await Waiting.Until(() => session.State == ZooKeeperSessionState.Disconnected);
        Task<FakeConnection> silent = server.AcceptAsync();
        await time.AdvanceUntil(TimeSpan.FromMilliseconds(5), () => silent.IsCompleted);
        long from = time.GetTimestamp();
        Task<FakeConnection> next = server.AcceptSessionAsync(session.SessionId);
        await time.AdvanceUntil(TimeSpan.FromMilliseconds(5), () => next.IsCompleted);
        Assert.That(time.GetElapsedTime(from), Is.LessThan(session.SessionTimeout / 2), "the attempt had the whole session timeout");
    }

    [Test]
    public async Task A_write_that_is_too_large_is_refused_at_once_also_without_a_connection_and_stands_in_nobodys_way()
    {
        // 64 MB take a busy machine longer than the usual session.
        const int LongTimeout = 60_000;
        await using var server = new FakeServer();
        (ZooKeeperSession session, FakeConnection connection) = await server.EstablishAsync(timeoutMs: LongTimeout);
        await using ZooKeeperSession owned = session;
        connection.Close();
        await Waiting.Until(() => session.State == ZooKeeperSessionState.Disconnected);
        ZooKeeperException refused =
            await Waiting.ThrowsZooKeeper(session.SetDataAsync("/large", new byte[ServerConnection.MaxUnsentBytes]).AsTask());
        Assert.That(refused.Code, Is.EqualTo(ZooKeeperErrorCode.MarshallingError));
        Assert.That(refused.MayHaveBeenApplied, Is.False);
        Assert.That(refused.Message, Does.StartWith("setData /large: MarshallingError: not sent: the request has 67108890 bytes"));

        // Of the largest that fits nothing is lost.
        Task write = session.SetDataAsync("/fits", new byte[ServerConnection.MaxRequestBytes - 25]).AsTask();
        ValueTask<Znode> get = session.GetDataAsync("/a");
        FakeConnection next = await server.AcceptSessionAsync(session.SessionId, LongTimeout);
        FakeRequest sent = await next.ReadAsync(OpCode.SetData);
        Assert.That(sent.Body, Has.Length.EqualTo(ServerConnection.MaxRequestBytes - 8));
        await next.ReplyAsync(sent, null, ZooKeeperErrorCode.NoNode);
        await next.ReplyDataAsync(await next.ReadAsync(OpCode.GetData), "x");
        await get.WithinDeadline();
        Assert.That((await Waiting.ThrowsZooKeeper(write)).Code, Is.EqualTo(ZooKeeperErrorCode.NoNode));
    }

    private static (long Zxid, string[][] Paths) ReadSetWatches(FakeRequest request)
    {
        var reader = new JuteReader(request.Body);
        return (reader.Int64(), [[.. reader.Strings()], [.. reader.Strings()], [.. reader.Strings()]]);
    }
}
