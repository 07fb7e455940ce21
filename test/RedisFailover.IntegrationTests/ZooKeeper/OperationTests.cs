using System.Collections.Immutable;
using NUnit.Framework;
using RedisFailover.IntegrationTests.Harness;
using RedisFailover.ZooKeeper;
using static RedisFailover.IntegrationTests.ZooKeeper.RealServer;

namespace RedisFailover.IntegrationTests.ZooKeeper;

/// <summary>Every operation against the real server.</summary>
[TestFixture]
public sealed class OperationTests
{
    [Test]
    public async Task A_znode_is_created_read_written_listed_and_deleted_below_the_chroot()
    {
        string root = FreshRoot();
        await using ZooKeeperSession session = await ConnectAsync(root: root);
        await using ZooKeeperSession bare = await ConnectAsync(root: "");
        Assert.That(await session.CreateAsync("/a", Bytes("1")), Is.EqualTo("/a"));
        Assert.That(Text(await bare.GetDataAsync(root + "/a")), Is.EqualTo("1"));
        ZnodeStat written = await session.SetDataAsync("/a", Bytes("22"), 0);
        Assert.That((written.Version, written.DataLength), Is.EqualTo((1, 2)));
        Assert.That((await session.GetChildrenAsync("/")).Names, Is.EqualTo(new[] { "a" }));
        Assert.That(await session.ExistsAsync("/a"), Is.EqualTo(written));
        Assert.That((await FailsAsync(session.DeleteAsync("/a", 0))).Code, Is.EqualTo(ZooKeeperErrorCode.BadVersion));
        await session.DeleteAsync("/a", 1);
        Assert.That(await session.ExistsAsync("/a"), Is.Null);
        ZooKeeperException missing = await FailsAsync(session.GetDataAsync("/a").AsTask());
        Assert.That((missing.Code, missing.Path, missing.Operation), Is.EqualTo((ZooKeeperErrorCode.NoNode, "/a", "getData")));
    }

    [Test]
    public async Task Every_mode_of_creation_is_understood_by_the_server()
    {
        await using ZooKeeperSession session = await ConnectAsync();
        Assert.That(await session.CreateAsync("/seq-", default, CreateMode.PersistentSequential), Is.EqualTo("/seq-0000000000"));
        Assert.That(await session.CreateAsync("/eseq-", default, CreateMode.EphemeralSequential), Is.EqualTo("/eseq-0000000001"));
        CreatedZnode ephemeral = await session.CreateWithStatAsync("/e", Bytes("x"), CreateMode.Ephemeral);
        Assert.That(ephemeral.Stat.EphemeralOwner, Is.EqualTo(session.SessionId));
        CreatedZnode ttl = await session.CreateWithTtlAsync("/ttl", default, TimeSpan.FromMinutes(1));
        Assert.That(ttl.Path, Is.EqualTo("/ttl"));
        Assert.That(await session.CreateAsync("/container", default, CreateMode.Container), Is.EqualTo("/container"));
        Assert.That((await FailsAsync(session.CreateAsync("/e/child", default))).Code,
            Is.EqualTo(ZooKeeperErrorCode.NoChildrenForEphemerals));
        Assert.That((await FailsAsync(session.CreateAsync("/no/parent", default))).Code, Is.EqualTo(ZooKeeperErrorCode.NoNode));
        Assert.That((await FailsAsync(session.CreateAsync("/e", default))).Code, Is.EqualTo(ZooKeeperErrorCode.NodeExists));
    }

    [Test]
    public async Task Case_15_a_multi_is_applied_as_a_whole_or_names_the_operation_that_failed()
    {
        await using ZooKeeperSession session = await ConnectAsync();
        ImmutableArray<ZnodeOperationResult> results = await session.MultiAsync(
            [
                ZnodeOperation.Create("/a", Bytes("1")),
                ZnodeOperation.SetData("/a", Bytes("2"), 0),
                ZnodeOperation.Check("/a", 1),
                ZnodeOperation.Create("/s-", default, CreateMode.EphemeralSequential),
                ZnodeOperation.Create("/gone", default),
                ZnodeOperation.Delete("/gone", 0),
            ]);
        Assert.That(results.Select(r => r.Path), Is.EqualTo(new[] { "/a", null, null, "/s-0000000001", "/gone", null }));
        Assert.That(results[1].Stat!.Value.Version, Is.EqualTo(1));

        ZooKeeperException failed = await FailsAsync(session.MultiAsync(
            [ZnodeOperation.SetData("/a", Bytes("3")), ZnodeOperation.Check("/a", 77), ZnodeOperation.Delete("/a")]));
        Assert.That((failed.Code, failed.FailedIndex, failed.Path), Is.EqualTo((ZooKeeperErrorCode.BadVersion, 1, "/a")));
        Assert.That(failed.MayHaveBeenApplied, Is.False);
        Assert.That(Text(await session.GetDataAsync("/a")), Is.EqualTo("2"), "nothing of it was applied");
        Assert.That(await session.MultiAsync([]), Is.Empty);
    }

    [Test]
    public async Task Watches_tell_of_creation_writes_deletion_and_children()
    {
        await using ZooKeeperSession session = await ConnectAsync();
        await using ZooKeeperSession other = await ConnectAsync(root: "");
        var events = new System.Collections.Concurrent.ConcurrentQueue<WatchedEvent>();
        await session.ExistsAsync("/w", events.Enqueue);
        await session.GetChildrenAsync("/", events.Enqueue);
        await session.CreateAsync("/w", default);
        await Eventually.HoldsAsync("two events", () => events.Count == 2, explain: () => string.Join(' ', events));
        Assert.That(events,
            Is.EquivalentTo(
                new[] { new WatchedEvent(WatchedEventType.Created, "/w"), new WatchedEvent(WatchedEventType.ChildrenChanged, "/") }));

        events.Clear();
        await session.GetDataAsync("/w", events.Enqueue);
        await session.SetDataAsync("/w", Bytes("x"));
        await session.SetDataAsync("/w", Bytes("y"));
        await Eventually.HoldsAsync("one event", () => events.Count == 1);
        await session.GetDataAsync("/w", events.Enqueue);
        await session.GetChildrenAsync("/w", events.Enqueue);
        await session.DeleteAsync("/w");
        await Eventually.HoldsAsync("told of the deletion once", () => events.Count == 2);
        Assert.That(events,
            Is.EqualTo(new[] { new WatchedEvent(WatchedEventType.DataChanged, "/w"), new WatchedEvent(WatchedEventType.Deleted, "/w") }));
    }

    [Test]
    public async Task Removed_watches_say_so_and_do_not_fire()
    {
        await using ZooKeeperSession session = await ConnectAsync();
        await session.CreateAsync("/w", default);
        var events = new System.Collections.Concurrent.ConcurrentQueue<WatchedEventType>();
        await session.GetDataAsync("/w", e => events.Enqueue(e.Type));
        await session.GetChildrenAsync("/w", e => events.Enqueue(e.Type));
        await session.RemoveWatchesAsync("/w");
        await session.SetDataAsync("/w", Bytes("x"));
        await session.SyncAsync("/w");
        await Eventually.HoldsAsync("told of both", () => events.Count == 2, explain: () => string.Join(' ', events));
        Assert.That(events, Is.EquivalentTo(new[] { WatchedEventType.DataWatchRemoved, WatchedEventType.ChildWatchRemoved }));
        Assert.That((await FailsAsync(session.RemoveWatchesAsync("/w"))).Code, Is.EqualTo(ZooKeeperErrorCode.NoWatcher));
    }

    [Test]
    public async Task Access_control_lists_are_set_read_and_enforced()
    {
        string root = FreshRoot();
        await using ZooKeeperSession owner = await ConnectAsync(root: root);
        await using ZooKeeperSession stranger = await ConnectAsync(root: root);
        Assert.That((await FailsAsync(owner.CreateAsync("/mine", default, acl: ZnodeAcl.CreatorAll))).Code,
            Is.EqualTo(ZooKeeperErrorCode.InvalidAcl));
        await owner.AddAuthAsync(ZooKeeperAuth.Digest("owner", "secret"));
        await owner.CreateAsync("/mine", Bytes("x"), acl: ZnodeAcl.CreatorAll);
        ZnodeAccess access = await owner.GetAclAsync("/mine");
        Assert.That(access.Acl, Is.EqualTo(new[] { ZnodeAcl.Digest("owner", "secret") }));
        Assert.That((await FailsAsync(stranger.GetDataAsync("/mine").AsTask())).Code, Is.EqualTo(ZooKeeperErrorCode.NoAuth));
        Assert.That((await FailsAsync(stranger.SetDataAsync("/mine", default).AsTask())).Code, Is.EqualTo(ZooKeeperErrorCode.NoAuth));
        ZnodeStat changed = await owner.SetAclAsync("/mine", [.. ZnodeAcl.CreatorAll, .. ZnodeAcl.ReadOnly], access.Stat.AclVersion);
        Assert.That(changed.AclVersion, Is.EqualTo(1));
        Assert.That(Text(await stranger.GetDataAsync("/mine")), Is.EqualTo("x"));
        Assert.That(await owner.WhoAmIAsync(), Does.Contain(("digest", "owner")));
        Assert.That((await FailsAsync(owner.SetAclAsync("/mine", []))).Code, Is.EqualTo(ZooKeeperErrorCode.InvalidAcl));
    }

    [Test]
    public async Task Case_20_an_opcode_that_this_server_does_not_know_costs_the_connection_and_not_the_session()
    {
        await using ZooKeeperSession session = await ConnectAsync();
        await session.CreateAsync("/e", default, CreateMode.Ephemeral);
        ZooKeeperException unknown = await FailsAsync(session.SendAsync(
            new PlainRequest<bool>((OpCode)9999, null, static (_, _) => { }, static (ref _, _) => true)));
        Assert.That(unknown.Code, Is.EqualTo(ZooKeeperErrorCode.Unimplemented));

        // The server closes the connection after its answer: a request that is just being sent may still be lost with it.
        await Eventually.HoldsAsync(
            "the ephemeral is still ours", ct => session.ExistsAsync("/e", null, ct), stat => stat?.EphemeralOwner == session.SessionId);
    }

    [Test]
    public async Task A_hundred_thousand_bytes_and_none_at_all_come_back_as_they_were()
    {
        await using ZooKeeperSession session = await ConnectAsync();
        await session.CreateAsync("/a", default);
        Assert.That((await session.GetDataAsync("/a")).Data.Length, Is.Zero);
        byte[] large = new byte[900_000];
        Random.Shared.NextBytes(large);
        await session.SetDataAsync("/a", large);
        Assert.That((await session.GetDataAsync("/a")).Data.Span.SequenceEqual(large), Is.True);
    }

    [Test]
    public async Task Case_6_64_callers_lose_nothing_and_stay_on_one_connection()
    {
        await using ZooKeeperSession session = await ConnectAsync();
        int disconnects = 0;
        session.StateChanged += state => disconnects += state == ZooKeeperSessionState.Disconnected ? 1 : 0;
        await Task.WhenAll(Enumerable.Range(0, 64).Select(caller => Task.Run(async () =>
        {
            string path = $"/{caller}";
            await session.CreateAsync(path, Bytes("0"));
            for (int i = 1; i <= 50; i++)
            {
                Assert.That((await session.SetDataAsync(path, Bytes($"{caller}:{i}"), i - 1)).Version, Is.EqualTo(i));
                Assert.That(Text(await session.GetDataAsync(path)), Is.EqualTo($"{caller}:{i}"));
            }
        })));
        Assert.That(disconnects, Is.Zero);
    }
}
