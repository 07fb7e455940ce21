using NUnit.Framework;
using RedisFailover.ZooKeeper;

namespace RedisFailover.UnitTests.ZooKeeper;

/// <summary>
/// What differs on the wire between the servers 3.4 and 3.9, each played by the scripted server. They all answer the operations of 3.4
/// alike, and this project's own recipes use no others (an integration test listens in); the newer operations are refused by the older
/// servers.
/// </summary>
[TestFixture]
public sealed class ServerVersionTests
{
    private static readonly TestCaseData[] s_newerOperations =
    [
        Newer("create2, since 3.5", OpCode.Create2, s => s.CreateWithStatAsync("/a", default)),
        Newer("createContainer, since 3.5.3", OpCode.CreateContainer, s => s.CreateAsync("/a", default, CreateMode.Container)),
        Newer("createTTL, since 3.5.3", OpCode.CreateTtl, s => s.CreateWithTtlAsync("/a", default, TimeSpan.FromMinutes(1))),
        Newer("removeWatches, since 3.5", OpCode.RemoveWatches, s => s.RemoveWatchesAsync("/a")),
        Newer("whoAmI, since 3.7", OpCode.WhoAmI, s => s.WhoAmIAsync()),
    ];

    [TestCaseSource(nameof(s_newerOperations))]
    public async Task An_older_server_refuses_a_newer_operation_once_and_the_session_goes_on(int op, Func<ZooKeeperSession, Task> call)
    {
        await using var server = new FakeServer();
        (ZooKeeperSession session, FakeConnection connection) = await server.EstablishAsync();
        await using ZooKeeperSession owned = session;
        Task calling = call(session);
        FakeRequest request = await connection.ReadAsync((OpCode)op);
        await connection.ReplyAsync(request.Xid, 0, null, ZooKeeperErrorCode.Unimplemented);
        connection.Close();
        ZooKeeperException refused = await Waiting.ThrowsZooKeeper(calling);
        Assert.That((refused.Code, refused.MayHaveBeenApplied), Is.EqualTo((ZooKeeperErrorCode.Unimplemented, false)));
        await WireTests.AssertLivesOn(server, session);
    }

    [Test]
    public async Task A_plain_create_is_the_operation_of_3_4_whose_reply_is_the_path_alone()
    {
        await using var server = new FakeServer();
        (ZooKeeperSession session, FakeConnection connection) = await server.EstablishAsync(server.Options(chroot: "/root"));
        await using ZooKeeperSession owned = session;
        Task<string> creating = session.CreateAsync("/a-", default, CreateMode.EphemeralSequential);
        FakeRequest request = await connection.ReadAsync(OpCode.Create);
        Assert.That(request.Path, Is.EqualTo("/root/a-"));
        await connection.ReplyAsync(request, w => w.String("/root/a-0000000007"));
        Assert.That(await creating.WithinDeadline(), Is.EqualTo("/a-0000000007"));
    }

    [Test]
    public async Task A_server_of_3_9_may_append_to_its_greeting_what_this_client_does_not_know()
    {
        await using var server = new FakeServer();
        Task<ZooKeeperSession> connecting = ZooKeeperSession.ConnectAsync(server.Options());
        FakeConnection connection = await server.AcceptAsync();
        await connection.ReadConnectAsync();
        await connection.SendFrameAsync(w =>
        {
            w.Int32(0);
            w.Int32(4000);
            w.Int64(0x39);
            w.Buffer(FakeConnection.Password);
            w.Bool(false);
            w.Int64(0);
        });
        await using ZooKeeperSession session = await connecting.WithinDeadline();
        Assert.That(session.SessionId, Is.EqualTo(0x39));
    }

    [Test]
    public async Task A_quota_of_3_7_and_throttling_of_3_6_come_back_by_their_codes()
    {
        await using var server = new FakeServer();
        (ZooKeeperSession session, FakeConnection connection) = await server.EstablishAsync();
        await using ZooKeeperSession owned = session;
        foreach (
            ZooKeeperErrorCode code in (ZooKeeperErrorCode[])[ZooKeeperErrorCode.QuotaExceeded, ZooKeeperErrorCode.Throttled,
                (ZooKeeperErrorCode)(-999)])
        {
            Task<ZnodeStat> writing = session.SetDataAsync("/a", default).AsTask();
            await connection.ReplyAsync(await connection.ReadAsync(OpCode.SetData), null, code);
            Assert.That((await Waiting.ThrowsZooKeeper(writing)).Code, Is.EqualTo(code));
        }
    }

    private static TestCaseData Newer(string name, OpCode op, Func<ZooKeeperSession, Task> call)
        => new TestCaseData((int)op, call).SetArgDisplayNames(name);
}
