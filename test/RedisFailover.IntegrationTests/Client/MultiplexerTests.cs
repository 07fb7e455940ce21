using System.Collections.Concurrent;
using System.Globalization;
using System.Net;
using NUnit.Framework;
using RedisFailover.Client;
using RedisFailover.IntegrationTests.Harness;
using StackExchange.Redis;
using StackExchange.Redis.Profiling;

namespace RedisFailover.IntegrationTests.Client;

/// <summary>The connection in the shape that libraries take: each member of IConnectionMultiplexer, also across a failover.</summary>
[TestFixture]
public sealed class MultiplexerTests
{
    private static readonly RedisChannel s_news = RedisChannel.Literal("news");

    [Test]
    public async Task A_lease_that_is_closed_ends_alone()
    {
        await using ReplicatedRedis redis = await ReplicatedRedis.StartAsync(replicas: 0);
        IConnectionMultiplexer first = redis.Connection.AsMultiplexer();
        IConnectionMultiplexer second = redis.Connection.AsMultiplexer();
        IDatabase ofFirst = first.GetDatabase();
        await first.GetSubscriber().SubscribeAsync(s_news, (_, _) => { });
        ChannelMessageQueue queue = await second.GetSubscriber().SubscribeAsync(s_news);
        Assert.That(first.IsConnected, Is.True);
        await first.CloseAsync();
        first.Close();
        first.Dispose();
        await first.DisposeAsync();
        Assert.Multiple(() =>
        {
            Assert.That(first.IsConnected, Is.False);
            Assert.That(() => first.GetDatabase(), Throws.TypeOf<ObjectDisposedException>());
            Assert.That(() => first.GetSubscriber(), Throws.TypeOf<ObjectDisposedException>());
            Assert.That(() => first.GetServers(), Throws.TypeOf<ObjectDisposedException>());
            Assert.That(() => ofFirst.StringSet("key", 1), Throws.TypeOf<ObjectDisposedException>());
            Assert.That(async () => await ofFirst.StringSetAsync("key", 1), Throws.TypeOf<ObjectDisposedException>());
            Assert.That(() => first.GetEndPoints(), Throws.Nothing);
        });
        Assert.That(await second.GetDatabase().StringSetAsync("key", 1), Is.True);
        Assert.That(await second.GetSubscriber().PublishAsync(s_news, "still"), Is.EqualTo(1));
        Assert.That((string?)(await queue.ReadAsync()).Message, Is.EqualTo("still"));

        // A library that closes what it got from a database closes nobody else's.
        IDatabase own = redis.Connection.GetDatabase();
        own.Multiplexer.Dispose();
        Assert.That(own.StringSet("key", 2), Is.True);
        Assert.That(own.Multiplexer.IsConnected, Is.True);
        await redis.Connection.DisposeAsync();
        Assert.That(() => second.GetDatabase(), Throws.TypeOf<ObjectDisposedException>());
    }

    [Test]
    public async Task The_lease_is_the_multiplexer_of_all_that_it_gives()
    {
        await using ReplicatedRedis redis = await ReplicatedRedis.StartAsync(replicas: 0);
        using IConnectionMultiplexer lease = redis.Connection.AsMultiplexer();
        IDatabase database = lease.GetDatabase(3, "state");
        Assert.Multiple(() =>
        {
            Assert.That(database.Database, Is.EqualTo(3));
            Assert.That(database.StringSetAsync("key", 1).AsyncState, Is.EqualTo("state"));
            Assert.That(database.Multiplexer, Is.SameAs(lease));
            Assert.That(database.CreateBatch().Multiplexer, Is.SameAs(lease));
            Assert.That(database.CreateTransaction().Multiplexer, Is.SameAs(lease));
            Assert.That(lease.GetSubscriber().Multiplexer, Is.SameAs(lease));
            Assert.That(lease.GetServers()[0].Multiplexer, Is.SameAs(lease));
        });
    }

    [Test]
    public async Task Servers_are_known_by_address_and_outlive_their_connections()
    {
        await using ReplicatedRedis redis = await ReplicatedRedis.StartAsync(replicas: 1);
        using IConnectionMultiplexer lease = redis.Connection.AsMultiplexer();
        EndPoint[] endPoints = lease.GetEndPoints();
        Assert.That(endPoints.Select(Port), Is.EqualTo(new[] { redis.Master.Port, redis.Servers[1].Port }), "the master first");
        Assert.That(lease.GetEndPoints(configuredOnly: true), Is.EqualTo(endPoints));
        IServer master = lease.GetServer(endPoints[0]);
        IServer replica = lease.GetServer("127.0.0.1", redis.Servers[1].Port);
        Assert.That(lease.GetServer(IPAddress.Loopback, redis.Master.Port).EndPoint, Is.EqualTo(master.EndPoint));
        Assert.That(lease.GetServer($"127.0.0.1:{redis.Master.Port}").EndPoint, Is.EqualTo(master.EndPoint));
        Assert.That(lease.GetServer((RedisKey)"any").EndPoint, Is.EqualTo(master.EndPoint));
        Assert.That(lease.GetServers().Select(server => server.EndPoint), Is.EqualTo(endPoints));
        Assert.That(() => lease.GetServer("127.0.0.1", 1), Throws.ArgumentException);
        Assert.That(() => lease.GetServer("nowhere:6379"), Throws.ArgumentException);
        await redis.Connection.GetDatabase().StringSetAsync("key", 1);
        Assert.Multiple(async () =>
        {
            Assert.That((master.IsConnected, master.IsReplica, replica.IsReplica), Is.EqualTo((true, false, true)));
            Assert.That(master.ServerType, Is.EqualTo(ServerType.Standalone));
            Assert.That(master.Version.Major, Is.GreaterThanOrEqualTo(5));
            Assert.That(master.Ping(), Is.GreaterThan(TimeSpan.Zero));
            Assert.That(await master.PingAsync(), Is.GreaterThan(TimeSpan.Zero));
            Assert.That(master.Execute("PING").ToString(), Is.EqualTo("PONG"));
            Assert.That(await master.TimeAsync(), Is.GreaterThan(DateTime.UnixEpoch));
            Assert.That(master.Keys().Select(key => (string)key!), Is.EqualTo(new[] { "key" }));
            Assert.That((await master.RoleAsync()).Value, Is.EqualTo("master"));
            Assert.That((await replica.RoleAsync()).Value, Is.EqualTo("slave"));
            Assert.That(master.Features.Version, Is.EqualTo(master.Version));
        });

        await redis.Master.KillAsync();
        await redis.FailOverAsync(redis.Servers[1]);
        await Eventually.HoldsAsync("it is down", () => !master.IsConnected && !replica.IsReplica);
        Assert.That(lease.GetEndPoints().Select(Port), Is.EqualTo(new[] { redis.Servers[1].Port }));
        Assert.That(() => master.Ping(), Throws.TypeOf<RedisConnectionException>());
        Assert.That(async () => await master.PingAsync(), Throws.TypeOf<RedisConnectionException>());
        Assert.That(master.ServerType, Is.EqualTo(ServerType.Standalone), "what was known last");

        await redis.Servers[0].RestartAsync();
        await redis.Servers[0].CommandAsync("REPLICAOF", "127.0.0.1", redis.Servers[1].Port.ToString(CultureInfo.InvariantCulture));
        redis.Publish(redis.Servers[1]);
        await Eventually.HoldsAsync("the same object is alive again", () => master.IsConnected && master.IsReplica);
        Assert.That(await master.PingAsync(), Is.GreaterThan(TimeSpan.Zero));
    }

    [Test]
    public async Task Losses_and_returns_are_told_once_for_each_node_and_type_and_the_masters_when_the_subscriptions_stand()
    {
        await using ReplicatedRedis redis = await ReplicatedRedis.StartAsync(replicas: 1);
        using IConnectionMultiplexer lease = redis.Connection.AsMultiplexer();
        var told = new ConcurrentQueue<string>();
        bool stood = false;
        ChannelMessageQueue queue = await lease.GetSubscriber().SubscribeAsync(s_news);
        lease.ConnectionFailed += (sender, failed)
            => told.Enqueue($"failed {Port(failed.EndPoint!)} {failed.ConnectionType} {ReferenceEquals(sender, lease)}");
        lease.ConnectionRestored += (_, restored) =>
        {
            stood |= restored.ConnectionType == ConnectionType.Subscription && lease.GetSubscriber().Publish(s_news, "here") == 1;
            told.Enqueue($"restored {Port(restored.EndPoint!)} {restored.ConnectionType}");
        };
        lease.ConfigurationChanged += (_, changed) => told.Enqueue($"configured {Port(changed.EndPoint)} {Port(lease.GetEndPoints()[0])}");
        int old = redis.Master.Port;
        int next = redis.Servers[1].Port;
        await redis.Master.KillAsync();
        await redis.FailOverAsync(redis.Servers[1]);
        await Eventually.HoldsAsync("the subscriptions stand", ()
            => told.Contains($"restored {next} Subscription"), explain: () => string.Join(", ", told));
        Assert.That(stood, Is.True, "when it is told, a message is heard");
        Assert.That((string?)(await queue.ReadAsync()).Message, Is.EqualTo("here"));
        foreach (string type in (string[])["Interactive", "Subscription"])
        {
            await Eventually.HoldsAsync($"the loss of {type} is told", () => told.Contains($"failed {old} {type} True"));
        }

        Assert.That(told, Does.Contain($"configured {next} {next}"));

        await redis.Servers[0].RestartAsync();
        await redis.Servers[0].CommandAsync("REPLICAOF", "127.0.0.1", next.ToString(CultureInfo.InvariantCulture));
        redis.Publish(redis.Servers[1]);
        await Eventually.HoldsAsync("it is back", ()
            => told.Contains($"restored {old} Subscription"), explain: () => string.Join(", ", told));
        Assert.That(told.Count(line => line == $"restored {old} Interactive"), Is.EqualTo(1));
        Assert.That(told.Count(line => line.StartsWith("failed", StringComparison.Ordinal)), Is.EqualTo(2), string.Join(", ", told));
    }

    [Test]
    public async Task What_is_asked_of_it_holds_for_nodes_that_are_connected_later()
    {
        await using ReplicatedRedis redis = await ReplicatedRedis.StartAsync(replicas: 1);
        using IConnectionMultiplexer lease = redis.Connection.AsMultiplexer();
        var session = new ProfilingSession();
        lease.RegisterProfiler(() => session);
        lease.AddLibraryNameSuffix("tried");
        lease.StormLogThreshold = 17;
        int errors = 0;
        lease.ErrorMessage += (_, _) => Interlocked.Increment(ref errors);
        IDatabase database = lease.GetDatabase();
        await database.StringSetAsync("key", "text");
        Assert.That(session.FinishProfiling().Select(command => command.Command), Does.Contain("SET"));

        await redis.Servers[1].KillAsync();
        await Eventually.HoldsAsync("it is lost", () => redis.Connection.Nodes.Current.Replicas.Length == 0);
        await redis.Servers[1].RestartAsync();
        await Eventually.HoldsAsync("it is back", () => redis.Connection.Nodes.Current.Replicas.Length == 1);
        session.FinishProfiling();
        await database.StringGetAsync("key");
        Assert.That(session.FinishProfiling().Select(command => (command.Command, Port(command.EndPoint))),
            Does.Contain(("GET", redis.Servers[1].Port)));
        Assert.That(lease.StormLogThreshold, Is.EqualTo(17));
        Assert.That(redis.Connection.Nodes.Current.Replicas[0].Multiplexer.StormLogThreshold, Is.EqualTo(17));
        await Eventually.HoldsAsync(
            "its library's name", ct => redis.Servers[1].CommandAsync(["CLIENT", "LIST"], ct),
            reply
                => !reply.Text!.Contains("lib-name=", StringComparison.Ordinal) || reply.Text.Contains("tried", StringComparison.Ordinal));
        try
        {
            await database.HashSetAsync("key", "field", 1);
        }
        catch (RedisServerException)
        {
            // WRONGTYPE, which is what shall be told of.
        }

        await Eventually.HoldsAsync("the error is told", () => Volatile.Read(ref errors) > 0);
    }

    [Test]
    public async Task Its_configuration_can_be_parsed_and_holds_no_password()
    {
        await using ReplicatedRedis redis = await ReplicatedRedis.StartAsync(
            replicas: 1,
                new FailoverOptions { Password = "secret", ConfigureNode = node => (node.DefaultDatabase, node.ClientName) = (2, "shop") },
            new RedisServerOptions { Password = "secret" });
        using IConnectionMultiplexer lease = redis.Connection.AsMultiplexer();
        ConfigurationOptions parsed = ConfigurationOptions.Parse(lease.Configuration);
        Assert.Multiple(() =>
        {
            Assert.That(lease.Configuration, Does.Not.Contain("secret"));
            Assert.That(parsed.EndPoints.Select(Port), Is.EqualTo(new[] { redis.Master.Port, redis.Servers[1].Port }));
            Assert.That((parsed.DefaultDatabase, parsed.ClientName, lease.ClientName), Is.EqualTo(((int?)2, "shop", "shop")));
            Assert.That(lease.ToString(), Does.Contain("shop").And.Not.Contain("secret"));
            Assert.That(lease.GetStatus(), Does.Contain($"{redis.Master.Port}").And.Not.Contain("secret"));
        });
    }

    [Test]
    public async Task The_rest_of_its_members_answers_for_all_nodes()
    {
        var options =
            new FailoverOptions { OperationTimeout = TimeSpan.FromMilliseconds(300), ConfigureNode = node => node.AllowAdmin = true };
        await using ReplicatedRedis redis = await ReplicatedRedis.StartAsync(replicas: 1, options);
        using IConnectionMultiplexer lease = redis.Connection.AsMultiplexer();
        await lease.GetDatabase().StringSetAsync("key", 1);
        using var log = new StringWriter();
        using var exported = new MemoryStream();
        lease.ExportConfiguration(exported);
        Assert.Multiple(async () =>
        {
            Assert.That(lease.IsConnected, Is.True);
            Assert.That(lease.IsConnecting, Is.False);
            Assert.That(lease.Configure(log) && await lease.ConfigureAsync(), Is.True);
            Assert.That(log.ToString(), Does.Contain("epoch"));
            Assert.That(lease.TimeoutMilliseconds, Is.EqualTo(300));
            Assert.That(lease.OperationCount, Is.GreaterThan(0));
            Assert.That(lease.GetCounters().Interactive.OperationCount,
                Is.GreaterThan(redis.Connection.Nodes.Current.Master!.Multiplexer.GetCounters().Interactive.OperationCount));
            Assert.That(lease.HashSlot("key"), Is.EqualTo(-1), "no cluster");
            Assert.That(lease.GetHashSlot("key"), Is.EqualTo(-1), "the same");
            Assert.That(lease.GetStormLog(), Is.Null);
            Assert.That(lease.ResetStormLog, Throws.Nothing);
            Assert.That(await lease.PublishReconfigureAsync(), Is.Zero);
            Assert.That(exported.Length, Is.GreaterThan(100));
            Assert.That(lease.Wait(Task.FromResult(5)), Is.EqualTo(5));
            Assert.That(() => lease.Wait(new TaskCompletionSource().Task), Throws.TypeOf<TimeoutException>());
            Assert.That(() => lease.WaitAll(Task.CompletedTask, new TaskCompletionSource().Task), Throws.TypeOf<TimeoutException>());
        });
        redis.AnnounceFailover();
        await Eventually.HoldsAsync("there is no master", () => !lease.Configure());
        Assert.That(lease.IsConnected, Is.True, "reads are taken");
    }

    [Test]
    public async Task The_class_itself_writes_nothing_more_to_a_master_that_is_being_replaced()
    {
        await using ReplicatedRedis redis = await ReplicatedRedis.StartAsync(replicas: 1);
        await using ConnectionMultiplexer led = await ConnectionMultiplexer.ConnectAsync(redis.Connection.ConfigurationOptions());
        IDatabase database = led.GetDatabase();
        await database.StringSetAsync("key", 1);
        RedisServer old = redis.Master;
        redis.AnnounceFailover();
        await Eventually.HoldsAsync("its connection is cut", () => !led.IsConnected);
        Task<bool> waiting = database.StringSetAsync("key", 2);
        await redis.FailOverAsync(redis.Servers[1], announce: false);
        Assert.That(await waiting, Is.True);
        Assert.That((await old.CommandAsync("GET", "key")).Text, Is.EqualTo("1"));
        Assert.That((await redis.Master.CommandAsync("GET", "key")).Text, Is.EqualTo("2"));
    }

    [Test]
    public async Task What_is_made_of_a_connection_or_lease_that_is_closed_says_so()
    {
        await using ReplicatedRedis redis = await ReplicatedRedis.StartAsync(replicas: 0);
        IConnectionMultiplexer lease = redis.Connection.AsMultiplexer();
        IBatch batch = lease.GetDatabase().CreateBatch();
        ITransaction transaction = lease.GetDatabase().CreateTransaction();
        await lease.CloseAsync();
        Assert.That(() => batch.StringSetAsync("key", 1), Throws.TypeOf<ObjectDisposedException>());
        Assert.That(batch.Execute, Throws.TypeOf<ObjectDisposedException>());
        Assert.That(async () => await transaction.ExecuteAsync(), Throws.TypeOf<ObjectDisposedException>());
        await redis.Connection.DisposeAsync();
        Assert.That(redis.Connection.GetSubscriber, Throws.TypeOf<ObjectDisposedException>());
    }

    [Test]
    public async Task What_changes_the_shared_connection_is_refused_in_raw_replies_too()
    {
        await using ReplicatedRedis redis = await ReplicatedRedis.StartAsync(replicas: 0);
        IDatabase database = redis.Connection.GetDatabase();
        RedisKeyOrValue[] five = [(RedisValue)5];
        Assert.That(() => database.ExecuteResp("SELECT", five), Throws.TypeOf<NotSupportedException>());
        Assert.That(async () => await database.ExecuteRespAsync("SELECT", five), Throws.TypeOf<NotSupportedException>());
        Assert.That(() => database.CreateBatch().ExecuteRespAsync("SELECT", five), Throws.TypeOf<NotSupportedException>());
        using RespResult pong = await database.ExecuteRespAsync("PING", default);
        Assert.That(pong.IsNull, Is.False);
        ITransactionAsync transaction = ((IDatabaseAsync)database).CreateTransaction();
        Task<bool> set = transaction.StringSetAsync("key", 1);
        Assert.That((await transaction.ExecuteAsync(), await set), Is.EqualTo((true, true)));
        Assert.That(transaction, Is.TypeOf(database.CreateTransaction().GetType()));
    }

    [Test]
    public async Task The_class_itself_lives_through_a_failover_when_it_is_led_to_the_master()
    {
        await using ReplicatedRedis redis = await ReplicatedRedis.StartAsync(replicas: 1);
        await using ConnectionMultiplexer led = await ConnectionMultiplexer.ConnectAsync(redis.Connection.ConfigurationOptions());
        IDatabase database = led.GetDatabase();
        await database.StringSetAsync("key", 1);
        ChannelMessageQueue queue = await led.GetSubscriber().SubscribeAsync(s_news);
        await redis.Master.KillAsync();
        redis.AnnounceFailover();
        Task<bool> waiting = database.StringSetAsync("key", 2);
        await redis.FailOverAsync(redis.Servers[1], announce: false);
        try
        {
            await waiting;
        }
        catch (RedisConnectionException)
        {
            // It was in flight.
        }

        await Eventually.HoldsAsync("it writes to the new master", async _
            => await Accepted(() => database.StringSetAsync("key", 3)), accepted => accepted);
        Assert.That((await redis.Servers[1].CommandAsync("GET", "key")).Text, Is.EqualTo("3"));
        await Eventually.HoldsAsync("its queue hears", async _ => await database.PublishAsync(s_news, "here"), heard => heard == 1);
        Assert.That((string?)(await queue.ReadAsync()).Message, Is.EqualTo("here"));

        // Switchover: the old one lives on.
        RedisServer old = redis.Servers[1];
        await redis.Servers[0].RestartAsync();
        redis.Publish(redis.Servers[1]);
        redis.AnnounceFailover(TopologyState.SwitchingOver);
        await old.CommandAsync("REPLICAOF", "127.0.0.1", redis.Servers[0].Port.ToString(CultureInfo.InvariantCulture));
        redis.Publish(redis.Servers[0]);
        await Eventually.HoldsAsync("it writes to the next one", async _
            => await Accepted(() => database.StringSetAsync("key", 4)), accepted => accepted);
        Assert.That((await redis.Servers[0].CommandAsync("GET", "key")).Text, Is.EqualTo("4"));
    }

    private static async Task<bool> Accepted(Func<Task<bool>> write)
    {
        try
        {
            return await write();
        }
        catch (Exception failure) when (failure is RedisException or RedisCommandException)
        {
            return false;
        }
    }

    private static int Port(EndPoint endPoint) => ((IPEndPoint)endPoint).Port;
}
