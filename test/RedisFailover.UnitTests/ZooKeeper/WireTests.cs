using System.Text;
using NUnit.Framework;
using RedisFailover.ZooKeeper;

namespace RedisFailover.UnitTests.ZooKeeper;

/// <summary>Cases 1 to 6: what comes over the wire, whole or broken.</summary>
[TestFixture]
public sealed class WireTests
{
    [Test]
    public async Task Case_1_frames_split_at_every_byte_are_put_together()
    {
        await using var server = new FakeServer();
        (ZooKeeperSession session, FakeConnection connection) = await server.EstablishAsync();
        await using ZooKeeperSession owned = session;
        ValueTask<Znode> first = session.GetDataAsync("/a");
        ValueTask<Znode> second = session.GetDataAsync("/b");
        FakeRequest a = await connection.ReadAsync(OpCode.GetData);
        FakeRequest b = await connection.ReadAsync(OpCode.GetData);
        var both = new JuteWriter();
        WriteData(both, a.Xid, 0x101, "first");
        WriteData(both, b.Xid, 0x102, "second");
        byte[] bytes = both.Written.ToArray();
        foreach (byte one in bytes)
        {
            await connection.SendBytesAsync(new[] { one });
        }

        // The zxid is what a frame ends with.
        Znode read = await first.WithinDeadline();
        Assert.That((Text(read), read.Stat.ChildrenZxid), Is.EqualTo(("first", 0x101L)));
        read = await second.WithinDeadline();
        Assert.That((Text(read), read.Stat.ChildrenZxid), Is.EqualTo(("second", 0x102L)));
    }

    [Test]
    public async Task Case_1_two_frames_cut_in_two_at_any_place_are_put_together()
    {
        await using var server = new FakeServer();
        (ZooKeeperSession session, FakeConnection connection) = await server.EstablishAsync();
        await using ZooKeeperSession owned = session;
        for (int cut = 1; cut < 200; cut++)
        {
            ValueTask<Znode> first = session.GetDataAsync("/a");
            ValueTask<Znode> second = session.GetDataAsync("/b");
            FakeRequest a = await connection.ReadAsync(OpCode.GetData);
            FakeRequest b = await connection.ReadAsync(OpCode.GetData);
            var both = new JuteWriter();
            WriteData(both, a.Xid, (2 * cut) + 1, "first");
            WriteData(both, b.Xid, (2 * cut) + 2, "second");
            byte[] bytes = both.Written.ToArray();
            await connection.SendBytesAsync(bytes.AsMemory(0, Math.Min(cut, bytes.Length)));
            await connection.SendBytesAsync(bytes.AsMemory(Math.Min(cut, bytes.Length)));
            Znode read = await first.WithinDeadline();
            Assert.That((Text(read), read.Stat.ChildrenZxid), Is.EqualTo(("first", (2L * cut) + 1)));
            read = await second.WithinDeadline();
            Assert.That((Text(read), read.Stat.ChildrenZxid), Is.EqualTo(("second", (2L * cut) + 2)));
        }
    }

    [Test]
    public void Case_1_frames_that_run_across_the_end_of_the_buffer_are_put_together()
    {
        // Of all sizes, many larger than the buffer, and cut anywhere: it is moved together, replaced by a larger one, and back.
        var random = new Random(1);
        int[] lengths = [.. Enumerable.Range(0, 3000).Select(i => i % 100 == 99 ? random.Next(300_000) : random.Next(2000))];
        using var wire = new MemoryStream();
        Span<byte> header = stackalloc byte[4];
        foreach (int length in lengths)
        {
            System.Buffers.Binary.BinaryPrimitives.WriteInt32BigEndian(header, length);
            wire.Write(header);
            wire.Write(Content(length));
        }

        wire.Position = 0;
        using var cut = new CutStream(wire, random);
        using var reader = new FrameReader(cut, TimeProvider.System);
        foreach (int length in lengths)
        {
            Assert.That(reader.Receive().Span.SequenceEqual(Content(length)), $"{length} bytes");
        }

        Assert.That(() => reader.Receive(), Throws.InstanceOf<EndOfStreamException>());

        static byte[] Content(int length) => [.. Enumerable.Range(0, length).Select(i => (byte)(i + (i / 256) + length))];
    }

    [TestCase(-1)]
    [TestCase(int.MinValue)]
    [TestCase(int.MaxValue)]
    [TestCase(ServerConnection.MaxReplyBytes + 1)]
    public async Task Case_2_an_impossible_length_ends_the_connection_and_not_the_session(int length)
    {
        await using var server = new FakeServer();
        (ZooKeeperSession session, FakeConnection connection) = await server.EstablishAsync();
        await using ZooKeeperSession owned = session;
        Task<Znode> get = session.GetDataAsync("/a").AsTask();
        await connection.ReadAsync(OpCode.GetData);
        byte[] header = new byte[4];
        System.Buffers.Binary.BinaryPrimitives.WriteInt32BigEndian(header, length);
        await connection.SendBytesAsync(header);

        ZooKeeperException lost = await Waiting.ThrowsZooKeeper(get);
        Assert.That(lost.Code, Is.EqualTo(ZooKeeperErrorCode.ConnectionLoss));
        Assert.That(lost.MayHaveBeenApplied, Is.False, "a read changes nothing");
        await AssertLivesOn(server, session);
    }

    [Test]
    public async Task Case_2_a_reply_that_ends_early_ends_the_connection_and_not_the_session()
    {
        await using var server = new FakeServer();
        (ZooKeeperSession session, FakeConnection connection) = await server.EstablishAsync();
        await using ZooKeeperSession owned = session;
        Task<ZnodeChildren> list = session.GetChildrenAsync("/a");
        FakeRequest request = await connection.ReadAsync(OpCode.GetChildren2);
        await connection.ReplyAsync(request, w => w.Int32(1_000_000_000));

        Assert.That((await Waiting.ThrowsZooKeeper(list)).Code, Is.EqualTo(ZooKeeperErrorCode.ConnectionLoss));
        await AssertLivesOn(server, session);
    }

    [Test]
    public async Task Case_3_a_reply_out_of_turn_ends_the_connection_and_fails_what_was_in_flight()
    {
        await using var server = new FakeServer();
        (ZooKeeperSession session, FakeConnection connection) = await server.EstablishAsync();
        await using ZooKeeperSession owned = session;
        Task<Znode> read = session.GetDataAsync("/a").AsTask();
        Task<Znode> other = session.GetDataAsync("/b").AsTask();
        Task<ZnodeStat> write = session.SetDataAsync("/a", "x"u8.ToArray()).AsTask();
        await connection.ReadAsync(OpCode.GetData);
        FakeRequest second = await connection.ReadAsync(OpCode.GetData);
        await connection.ReadAsync(OpCode.SetData);

        // Nothing but its number says that it is not the reply to the first.
        await connection.ReplyDataAsync(second, "b's");

        Assert.That((await Waiting.ThrowsZooKeeper(read)).MayHaveBeenApplied, Is.False);
        Assert.That((await Waiting.ThrowsZooKeeper(other)).Code, Is.EqualTo(ZooKeeperErrorCode.ConnectionLoss));
        ZooKeeperException lost = await Waiting.ThrowsZooKeeper(write);
        Assert.That(lost.Code, Is.EqualTo(ZooKeeperErrorCode.ConnectionLoss));
        Assert.That(lost.MayHaveBeenApplied, Is.True);
        Assert.That((lost.Operation, lost.Path), Is.EqualTo(("setData", "/a")));
        await AssertLivesOn(server, session);
    }

    [Test]
    public async Task Case_4_an_old_server_that_does_not_send_the_read_only_byte_is_accepted()
    {
        await using var server = new FakeServer();
        Task<ZooKeeperSession> connecting = ZooKeeperSession.ConnectAsync(server.Options());
        FakeConnection connection = await server.AcceptAsync();
        await connection.ReadConnectAsync();
        await connection.GrantAsync(0x77, 3000, readOnly: null);
        await using ZooKeeperSession session = await connecting.WithinDeadline();

        Assert.That(session.SessionId, Is.EqualTo(0x77));
        Assert.That(session.SessionTimeout, Is.EqualTo(TimeSpan.FromSeconds(3)));
    }

    [Test]
    public async Task Case_5_request_numbers_wrap_around_to_1_and_are_never_negative()
    {
        await using var server = new FakeServer();
        (ZooKeeperSession session, FakeConnection connection) =
            await server.EstablishAsync(server.Options() with { LastXid = int.MaxValue - 4 });
        await using ZooKeeperSession owned = session;
        List<int> xids = [];
        for (int i = 0; i < 6; i++)
        {
            ValueTask<Znode> get = session.GetDataAsync("/a");
            FakeRequest request = await connection.ReadAsync(OpCode.GetData);
            xids.Add(request.Xid);
            await connection.ReplyDataAsync(request, "x");
            await get.WithinDeadline();
        }

        Assert.That(xids, Is.EqualTo(new[] { int.MaxValue - 3, int.MaxValue - 2, int.MaxValue - 1, 1, 2, 3 }));
    }

    [Test]
    public async Task Case_6_64_concurrent_callers_each_get_their_own_reply()
    {
        await using var server = new FakeServer();
        (ZooKeeperSession session, FakeConnection connection) = await server.EstablishAsync();
        await using ZooKeeperSession owned = session;
        const int callers = 64;
        const int each = 50;
        Task answering = Task.Run(async () =>
        {
            for (int i = 0; i < callers * each; i++)
            {
                FakeRequest request = await connection.ReadAsync(OpCode.GetData);
                await connection.ReplyDataAsync(request, request.Path);
            }
        });
        await Task.WhenAll(Enumerable.Range(0, callers).Select(caller => Task.Run(async () =>
        {
            for (int i = 0; i < each; i++)
            {
                string path = $"/{caller}/{i}";
                Assert.That(Text(await session.GetDataAsync(path)), Is.EqualTo(path));
            }
        }))).WithinDeadline();
        await answering.WithinDeadline();
    }

    [Test]
    public async Task A_reply_of_several_megabytes_is_read_and_small_ones_after_it()
    {
        await using var server = new FakeServer();
        (ZooKeeperSession session, FakeConnection connection) = await server.EstablishAsync();
        await using ZooKeeperSession owned = session;
        foreach (int size in (int[])[5_000_000, 10, 70_000, 0])
        {
            ValueTask<Znode> get = session.GetDataAsync("/a");
            await connection.ReplyDataAsync(await connection.ReadAsync(OpCode.GetData), new string('x', size));
            Assert.That((await get.WithinDeadline()).Data.Length, Is.EqualTo(size));
        }
    }

    [Test]
    public async Task A_request_that_the_server_would_not_accept_is_refused_and_harms_nobody_else()
    {
        await using var server = new FakeServer();
        (ZooKeeperSession session, FakeConnection connection) = await server.EstablishAsync();
        await using ZooKeeperSession owned = session;
        ZooKeeperException refused =
            await Waiting.ThrowsZooKeeper(session.SetDataAsync("/a", new byte[ServerConnection.MaxRequestBytes]).AsTask());
        Assert.That(refused.Code, Is.EqualTo(ZooKeeperErrorCode.MarshallingError));
        Assert.That(refused.MayHaveBeenApplied, Is.False);

        // Header 8, path 4 + 2, data 4 + 1048575, version 4.
        Assert.That(refused.Message,
            Does.StartWith("setData /a: MarshallingError: not sent: the request has 1048597 bytes").And.Contains("1048575")
                .And.Contains("jute.maxbuffer"));

        ValueTask<Znode> get = session.GetDataAsync("/a");
        await connection.ReplyDataAsync(await connection.ReadAsync(OpCode.GetData), "x");
        await get.WithinDeadline();
    }

    [Test]
    public async Task A_null_in_a_list_is_refused_by_name_before_anything_is_sent()
    {
        await using var server = new FakeServer();
        (ZooKeeperSession session, FakeConnection connection) = await server.EstablishAsync();
        await using ZooKeeperSession owned = session;
        Assert.Multiple(() =>
        {
            Assert.That(() => session.CreateAsync("/a", default, acl: [ZnodeAcl.Open[0], null!]), Named("acl"));
            Assert.That(()
                => session.CreateWithStatAsync("/a", default, acl: [new ZnodeAcl(ZnodePermissions.All, null!, "id")]), Named("acl"));
            Assert.That(() => session.SetAclAsync("/a", [new ZnodeAcl(ZnodePermissions.All, "world", null!)]), Named("acl"));
            Assert.That(() => session.MultiAsync([ZnodeOperation.Delete("/a"), null!]), Named("operations"));
            Assert.That(() => ZnodeOperation.Create("/a", default, acl: [null!]), Named("acl"));
        });
        ValueTask<Znode> get = session.GetDataAsync("/a");
        await connection.ReplyDataAsync(await connection.ReadAsync(OpCode.GetData), "x");
        await get.WithinDeadline();

        static NUnit.Framework.Constraints.IResolveConstraint Named(string name)
            => Throws.ArgumentException.With.Property("ParamName").EqualTo(name);
    }

    [Test]
    public void Options_that_lack_something_are_refused_before_anything_is_tried()
    {
        var options = new ZooKeeperOptions { Connection = ZooKeeperConnectionString.Parse("127.0.0.1:1") };
        Assert.Multiple(() =>
        {
            foreach (
                ZooKeeperOptions wrong in (ZooKeeperOptions[])[options with { Connection = null! }, options with { TimeProvider = null! },
                    options with { Auth = [null!] }])
            {
                Assert.That(() => new ZooKeeperClient(wrong), Throws.InstanceOf<ArgumentException>());
                Assert.That(() => ZooKeeperSession.ConnectAsync(wrong).WithinDeadline(), Throws.InstanceOf<ArgumentException>());
            }
        });
    }

    [Test]
    public async Task A_sequential_znode_without_a_name_in_the_root_of_a_chroot_stays_inside_it()
    {
        await using var server = new FakeServer();
        (ZooKeeperSession session, FakeConnection connection) = await server.EstablishAsync(server.Options(chroot: "/app"));
        await using ZooKeeperSession owned = session;
        Task<string> create = session.CreateAsync("/", default, CreateMode.EphemeralSequential);
        FakeRequest request = await connection.ReadAsync(OpCode.Create);
        Assert.That(request.Path, Is.EqualTo("/app/"));
        await connection.ReplyAsync(request, w => w.String("/app/0000000007"));
        Assert.That(await create.WithinDeadline(), Is.EqualTo("/0000000007"));

        Task multi = session.MultiAsync([ZnodeOperation.Create("/", default, CreateMode.PersistentSequential)]);
        request = await connection.ReadAsync(OpCode.Multi);
        Assert.That(new JuteReader(request.Body.AsSpan(9)).String(), Is.EqualTo("/app/"));
        await connection.ReplyAsync(request, null, ZooKeeperErrorCode.NoAuth);
        Assert.That((await Waiting.ThrowsZooKeeper(multi)).Path, Is.EqualTo("/"));
    }

    [Test]
    public async Task A_path_that_exists_is_ensured_also_where_its_parent_lets_nobody_create()
    {
        await using var server = new FakeServer();
        (ZooKeeperSession session, FakeConnection connection) = await server.EstablishAsync(server.Options(chroot: "/team/app"));
        await using ZooKeeperSession owned = session;
        foreach (bool exists in (bool[])[true, false])
        {
            Task ensuring = session.EnsurePathAsync("/");
            foreach (string path in (string[])["/team", "/team/app"])
            {
                FakeRequest create = await connection.ReadAsync(OpCode.Create);
                Assert.That(create.Path, Is.EqualTo(path));
                await connection.ReplyAsync(create, null, ZooKeeperErrorCode.NoAuth);
            }

            FakeRequest asked = await connection.ReadAsync(OpCode.Exists);
            Assert.That(asked.Path, Is.EqualTo("/team/app"));
            if (exists)
            {
                await connection.ReplyAsync(asked, static w => FakeConnection.WriteStat(w, 1));
                await ensuring.WithinDeadline();
            }
            else
            {
                await connection.ReplyAsync(asked, null, ZooKeeperErrorCode.NoNode);
                Assert.That((await Waiting.ThrowsZooKeeper(ensuring)).Code, Is.EqualTo(ZooKeeperErrorCode.NoAuth));
            }
        }
    }

    [Test]
    public async Task A_request_that_cannot_be_written_fails_alone()
    {
        await using var server = new FakeServer();
        (ZooKeeperSession session, FakeConnection connection) = await server.EstablishAsync();
        await using ZooKeeperSession owned = session;
        var broken = new PlainRequest<bool>(
            OpCode.Delete,
            "/a",
            static (writer, _) =>
            {
                writer.String("half a body");
                throw new InvalidOperationException("broken");
            },
            static (ref _, _) => true);
        ZooKeeperException failure = await Waiting.ThrowsZooKeeper(session.SendAsync(broken));
        Assert.That(failure.Code, Is.EqualTo(ZooKeeperErrorCode.MarshallingError));
        Assert.That(failure.Message, Does.Contain("broken"));
        ValueTask<Znode> get = session.GetDataAsync("/a");
        await connection.ReplyDataAsync(await connection.ReadAsync(OpCode.GetData), "x");
        await get.WithinDeadline();
    }

    [Test]
    public async Task Every_failure_names_the_operation_the_path_and_whether_it_may_have_been_applied()
    {
        await using var server = new FakeServer();
        (ZooKeeperSession session, FakeConnection connection) = await server.EstablishAsync(server.Options(chroot: "/root"));
        await using ZooKeeperSession owned = session;

        Task ensured = session.EnsurePathAsync("/a");
        await connection.ReplyAsync(await connection.ReadAsync(OpCode.Create), null, ZooKeeperErrorCode.NodeExists);
        await connection.ReplyAsync(await connection.ReadAsync(OpCode.Create), null, ZooKeeperErrorCode.QuotaExceeded);
        Assert.That((await Waiting.ThrowsZooKeeper(ensured)).Message, Is.EqualTo("create /a: QuotaExceeded"), "without the chroot");

        using var cancel = new CancellationTokenSource();
        Task read = session.GetDataAsync("/a", null, cancel.Token).AsTask();
        Task write = session.SetDataAsync("/b", default, -1, cancel.Token).AsTask();
        await cancel.CancelAsync();
        Assert.That(async ()
            => await read.WithinDeadline(),
                Throws.InstanceOf<OperationCanceledException>().With.Message.EqualTo("getData /a was cancelled."));
        Assert.That(
            async () => await write.WithinDeadline(),
            Throws.InstanceOf<OperationCanceledException>()
                .With.Message.EqualTo("setData /b was cancelled; if it was sent, it may be applied all the same."));

        Task<ZnodeStat> lost = session.SetDataAsync("/c", default).AsTask();
        connection.Close();
        Assert.That((await Waiting.ThrowsZooKeeper(lost)).Message, Is.EqualTo("setData /c: ConnectionLoss; it may have been applied"));

        await session.DisposeAsync();
        Task<ZnodeStat> late = session.SetDataAsync("/d", default).AsTask();
        Assert.That((await Waiting.ThrowsZooKeeper(late)).Message, Is.EqualTo("setData /d: Closing: it was not sent"));
    }

    internal static async Task AssertLivesOn(FakeServer server, ZooKeeperSession session)
    {
        FakeConnection next = await server.AcceptAsync();
        FakeConnectRequest hello = await next.ReadConnectAsync();
        Assert.That(hello.SessionId, Is.EqualTo(session.SessionId));
        Assert.That(hello.Password, Is.EqualTo(FakeConnection.Password));
        await next.GrantAsync(session.SessionId, 4000);
        ValueTask<Znode> get = session.GetDataAsync("/again");
        await next.ReplyDataAsync(await next.ReadAsync(OpCode.GetData), "x");
        await get.WithinDeadline();
        Assert.That(session.State, Is.EqualTo(ZooKeeperSessionState.Connected));
    }

    private static string Text(Znode znode) => Encoding.UTF8.GetString(znode.Data.Span);

    private static void WriteData(JuteWriter writer, int xid, long zxid, string data)
    {
        int start = writer.BeginFrame();
        writer.Int32(xid);
        writer.Int64(zxid);
        writer.Int32(0);
        writer.Buffer(Encoding.UTF8.GetBytes(data));
        FakeConnection.WriteStat(writer, zxid);
        writer.EndFrame(start);
    }

    /// <summary>Hands out as much at a time as it pleases.</summary>
    private sealed class CutStream(Stream whole, Random random) : Stream
    {
        public override bool CanRead => true;

        public override bool CanSeek => false;

        public override bool CanWrite => false;

        public override long Length => whole.Length;

        public override long Position { get => whole.Position; set => throw new NotSupportedException(); }

        public override int Read(Span<byte> buffer) => whole.Read(buffer[..Math.Min(buffer.Length, random.Next(1, 20_000))]);

        public override int Read(byte[] buffer, int offset, int count) => Read(buffer.AsSpan(offset, count));

        public override void Flush()
        {
        }

        public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

        public override void SetLength(long value) => throw new NotSupportedException();

        public override void Write(byte[] buffer, int offset, int count) => throw new NotSupportedException();
    }
}
