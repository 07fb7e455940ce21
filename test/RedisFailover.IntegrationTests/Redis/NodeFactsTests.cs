using System.Globalization;
using System.Net;
using System.Net.NetworkInformation;
using System.Net.Sockets;
using NUnit.Framework;
using RedisFailover.IntegrationTests.Harness;

namespace RedisFailover.IntegrationTests.Redis;

/// <summary>What a monitor sees of a real node, beyond whether it answers.</summary>
[TestFixture]
[Parallelizable(ParallelScope.All)]
public sealed class NodeFactsTests
{
    [Test]
    public async Task A_script_that_does_not_end_is_seen_since_when_it_keeps_the_node_busy_and_when_it_is_over()
    {
        await using RedisServer redis = await RedisServer.StartAsync(new RedisServerOptions { ConfLines = ["busy-reply-threshold 50"] });
        await using var watched = new Watched(redis.Address);
        await watched.SaysAsync("it answers", _ => true);
        await using RedisWire script = await redis.ConnectAsync();
        Task<RedisReply> running = script.CommandAsync(["EVAL", "while true do end", "0"]);

        NodeFailed busy = await watched.UntilAsync<NodeFailed>("it is busy", failed => failed.ProbeFailure == ProbeFailure.Busy);
        NodeFailed still =
            await watched.UntilAsync<NodeFailed>("it is busy still", failed => failed.ProbeFailure == ProbeFailure.Busy && failed != busy);
        Assert.That(watched.View, Has.Property("Condition").EqualTo(NodeCondition.Online).And.Property("Failures").Zero);
        Assert.That(watched.View.BusySince, Is.EqualTo(busy.At).And.LessThan(still.At));

        await redis.CommandAsync("SCRIPT", "KILL");
        await watched.SaysAsync("it answers again", _ => true);
        Assert.That(watched.View.BusySince, Is.Null);
        Assert.That(async () => await running, Throws.TypeOf<RedisErrorException>());
    }

    [Test]
    public async Task Protected_mode_is_told_as_what_it_is_and_nothing_else_in_between()
    {
        IPAddress? own = NetworkInterface.GetAllNetworkInterfaces().SelectMany(n => n.GetIPProperties().UnicastAddresses)
            .Select(a => a.Address)
            .FirstOrDefault(a => a.AddressFamily == AddressFamily.InterNetwork && !IPAddress.IsLoopback(a));
        Assume.That(own, Is.Not.Null, "protected mode is for others than the loopback device, and this machine has no other");
        await using RedisServer redis =
            await RedisServer.StartAsync(new RedisServerOptions { ConfLines = ["bind *", "protected-mode yes"] });
        await using var watched = new Watched(new NodeAddress(own!.ToString(), redis.Port));

        await watched.UntilAsync<NodeFailed>("it says so", f => f.Detail.Contains("protected mode", StringComparison.Ordinal));
        int before = watched.Seen.Count;
        for (int i = 0; i < 3; i++)
        {
            await watched.UntilAsync<NodeFailed>("it goes on saying so", _ => true);
        }

        string[] told = [.. watched.Seen.Skip(before - 1).OfType<NodeFailed>().Select(f => $"{f.ProbeFailure}: {f.Detail}").Distinct()];
        Assert.That(told, Has.Length.EqualTo(1), string.Join('\n', told));
        Assert.That(told[0], Does.StartWith("AuthRefused: it refuses the connection: DENIED Redis is running in protected mode"));
    }

    [Test]
    public async Task A_user_that_may_not_PING_watches_all_the_same()
    {
        await using RedisServer redis = await RedisServer.StartAsync();
        await redis.CommandAsync("ACL", "SETUSER", "m", "on", ">p", "+@all", "-ping");
        await using var watched = new Watched(redis.Address, "m", "p");

        await watched.SaysAsync("it answers", _ => true);
        for (int i = 0; i < 3; i++)
        {
            await watched.UntilAsync<NodeBeat>("it beats", _ => true);
        }

        Assert.That(watched.Seen.OfType<NodeFailed>(), Is.Empty);
    }

    [Test]
    public async Task Whether_a_restart_brings_its_data_back_is_known()
    {
        await using RedisServer redis =
            await RedisServer.StartAsync(new RedisServerOptions { Persistence = RedisPersistence.AppendOnlyFile });
        await using RedisServer cache = await RedisServer.StartAsync();
        await using var one = new Watched(redis.Address);
        await using var other = new Watched(cache.Address);

        NodeInfo kept = await one.SaysAsync("it answers", _ => true);
        NodeInfo lost = await other.SaysAsync("it answers", _ => true);
        Assert.That((kept.Persists, lost.Persists, lost.SavePoints), Is.EqualTo((true, false, "")));
    }

    [Test]
    public async Task A_master_that_shuts_down_and_waits_for_a_replica_says_so()
    {
        await using RedisServer master = await RedisServer.StartAsync(new RedisServerOptions { ConfLines = ["shutdown-timeout 20"] });
        await using RedisServer replica = await RedisServer.StartAsync(new RedisServerOptions { ReplicaOf = master.Address });
        await using var watched = new Watched(master.Address);
        await watched.SaysAsync("the replica is in step", info => info.Attached.Length == 1 && info.Replicas[0].IsOnline);
        replica.Freeze();
        await master.CommandAsync("SET", "k", "v");
        master.Process.Terminate();

        NodeInfo info = await watched.SaysAsync("it shuts down", info => info.ShutsDownIn is not null);
        Assert.That(info.ShutsDownIn, Is.LessThanOrEqualTo(TimeSpan.FromSeconds(20)));
        replica.Thaw();
        await master.Process.WaitForExitAsync();
    }

    [Test]
    public async Task Why_a_replica_has_no_link_is_known_where_the_nodes_can_tell()
    {
        await using RedisServer master = await RedisServer.StartAsync(new RedisServerOptions { Password = "s3cret" });
        await using RedisServer replica = await RedisServer.StartAsync(new RedisServerOptions { ReplicaOf = master.Address });
        await using var one = new Watched(master.Address, password: "s3cret");
        await using var other = new Watched(replica.Address);

        NodeInfo asks = await one.SaysAsync("it answers", _ => true);
        NodeInfo refused = await other.SaysAsync("the reason is known", info => info.HasMasterPassword is not null);
        Assert.That((asks.AsksForPassword, refused.HasMasterPassword, refused.LinkUp), Is.EqualTo((true, false, false)));
        Assert.That(other.View.LinkDownSince, Is.Not.Null);

        await replica.CommandAsync("CONFIG", "SET", "masterauth", "s3cret");
        await other.SaysAsync("it has a link", info => info.LinkUp);
        Assert.That(other.View.LinkDownSince, Is.Null);
    }

    [Test]
    public async Task Whom_a_master_refuses_is_known_where_it_lacks_replicas()
    {
        await using RedisServer master = await RedisServer.StartAsync();
        await master.CommandAsync("ACL", "SETUSER", "repl", "on", ">right", "+ping", "+replconf");
        await using RedisServer replica = await RedisServer.StartAsync();
        await replica.CommandAsync("CONFIG", "SET", "masteruser", "repl");
        await replica.CommandAsync("CONFIG", "SET", "masterauth", "wrong");
        await replica.CommandAsync("REPLICAOF", "127.0.0.1", master.Port.ToString(CultureInfo.InvariantCulture));
        await using var one = new Watched(
            master.Address,
                policy: new FailoverPolicy { Nodes = [master.Address, replica.Address], ProbeTimeout = TimeSpan.FromMilliseconds(300) });
        await using var other = new Watched(replica.Address);

        await one.SaysAsync("it refuses the login", info => info.Refusals.Contains(new AccessRefusal("repl", null, "127.0.0.1")));
        await replica.CommandAsync("CONFIG", "SET", "masterauth", "right");
        await one.SaysAsync("it refuses PSYNC", info => info.Refusals.Contains(new AccessRefusal("repl", "psync", "127.0.0.1")));
        Assert.That((await other.SaysAsync("it says as whom", info => info.MasterUser is not null)).MasterUser, Is.EqualTo("repl"));

        await master.CommandAsync("ACL", "SETUSER", "repl", "+psync");
        await one.SaysAsync("it refuses nobody", info => info.Attached.Length == 1 && info.Refusals.IsEmpty);
    }

    [Test]
    public async Task A_node_that_cannot_write_its_role_says_so_once_it_was_asked_to()
    {
        await using RedisServer redis = await RedisServer.StartAsync();
        await using var watched = new Watched(redis.Address);
        Assert.That((await watched.SaysAsync("it answers", _ => true)).RoleNotKept, Is.Null);
        string file = (await redis.InfoAsync("server"))["config_file"];
        File.Delete(file);
        Directory.CreateDirectory(Path.Combine(file, "occupied"));

        await watched.RunAsync(new Promote(redis.Address));
        await watched.SaysAsync("it cannot keep its role", info => info.RoleNotKept?.Contains("ewrit", StringComparison.Ordinal) == true);
        Directory.Delete(file, recursive: true);
        await File.WriteAllTextAsync(file, "");
        await watched.RunAsync(new Promote(redis.Address));
        await watched.SaysAsync("it can", info => info.RoleNotKept is null);
    }

    [Test]
    public async Task Full_copies_that_begin_again_and_again_are_counted()
    {
        await using RedisServer master = await RedisServer.StartAsync(new RedisServerOptions { ConfLines = ["enable-debug-command yes"] });
        await master.CommandAsync("SET", "k", "v");
        await using var watched = new Watched(master.Address);
        await watched.SaysAsync("it answers", _ => true);
        await using RedisServer replica = await RedisServer.StartAsync(new RedisServerOptions { ReplicaOf = master.Address });
        for (int i = 0; i < 3; i++)
        {
            // Another history: nothing to go on from.
            await Eventually.HoldsAsync("it follows", async ct
                => (await replica.InfoAsync("replication", ct))["master_link_status"], up => up == "up");
            await replica.CommandAsync("REPLICAOF", "NO", "ONE");
            await master.CommandAsync("DEBUG", "CHANGE-REPL-ID");
            await replica.CommandAsync("REPLICAOF", "127.0.0.1", master.Port.ToString(CultureInfo.InvariantCulture));
        }

        await watched.UntilAsync<NodeAnswered>("they are counted", _ => watched.View.FullCopiesInARow >= 3);
        Assert.That(watched.View.FullCopiesSince, Is.Not.Null);
    }

    [Test]
    public async Task Others_who_manage_the_node_and_the_operators_min_replicas_are_seen()
    {
        await using RedisServer redis = await RedisServer.StartAsync(new RedisServerOptions { ConfLines = ["min-replicas-to-write 1"] });
        await using RedisWire sentinel = await redis.ConnectAsync();
        await sentinel.CommandAsync(["CLIENT", "SETNAME", "sentinel-3c1e5a2b-cmd"]);
        await using RedisWire stranger = await redis.ConnectAsync();
        await stranger.CommandAsync(["CLIENT", "SETNAME", new Monitor.Redis.ClientNames("/other", "m1", "c").Leader(4)]);
        await using var watched = new Watched(redis.Address);

        NodeInfo info = (await watched.UntilAsync<NodeAnswered>("it answers", _ => true)).Info;
        Assert.That(info.Controllers.Select(c => c.Kind), Is.EquivalentTo(new[] { ControllerKind.Sentinel, ControllerKind.Leader }));
        Assert.That((info.MinReplicas?.Count, info.GoodReplicas, info.RefusesWrites), Is.EqualTo(((int?)1, (int?)0, false)));
    }
}
