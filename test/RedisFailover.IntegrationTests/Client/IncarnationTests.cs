using Microsoft.Extensions.Logging;
using NUnit.Framework;
using RedisFailover.Client;
using RedisFailover.IntegrationTests.Harness;
using StackExchange.Redis;

namespace RedisFailover.IntegrationTests.Client;

/// <summary>
/// ZooKeeper's data are lost or put back while the client lives on. Topologies are published by hand, the nodes are real.
/// </summary>
[TestFixture]
[Parallelizable(ParallelScope.All)]
public sealed class IncarnationTests
{
    [Test]
    public async Task A_new_incarnation_that_names_the_promoted_replica_is_followed_and_the_old_one_not_back()
    {
        using var log = new KeptLog();
        await using ReplicatedRedis redis = await StartAsync(log);
        RedisServer next = redis.Servers[1];
        await next.CommandAsync("REPLICAOF", "NO", "ONE");
        await redis.Servers[0].CommandAsync("REPLICAOF", next.Address.Host, $"{next.Address.Port}");
        redis.Topology.Publish(Of("two", 1, next));
        await InForceAsync(redis, "two", 1);
        await redis.Connection.GetDatabase().StringSetAsync("key", "after");
        Assert.That((await next.CommandAsync("GET", "key")).Text, Is.EqualTo("after"));

        redis.Topology.Publish(Of("one", 99, redis.Servers[0]));
        redis.Topology.Publish(Of("one", 100, redis.Servers[0]));
        redis.Topology.Publish(Of("two", 2, next));
        await InForceAsync(redis, "two", 2);
        Assert.That(log.Events(16), Has.Count.EqualTo(1));
        Assert.That(log.Events(17), Has.Count.EqualTo(1), "said once");
    }

    [Test]
    public async Task Somebody_elses_master_is_not_followed_writes_go_on_and_it_is_said_once()
    {
        using var log = new KeptLog();
        await using ReplicatedRedis redis = await StartAsync(log);
        await using RedisServer foreign = await RedisServer.StartAsync();
        redis.Topology.Publish(Of("other", 1, foreign));
        await Eventually.HoldsAsync("it is refused", () => redis.Connection.Status.NotFollowed is not null);
        IDatabase database = redis.Connection.GetDatabase();
        for (int i = 0; i < 20; i++)
        {
            await database.StringSetAsync("key", i);
        }

        int asked = await ConnectionsAsync(foreign);
        redis.Topology.Publish(Of("other", 2, foreign));
        await Eventually.HoldsAsync("it is asked again", _ => ConnectionsAsync(foreign), connections => connections > asked + 4);
        Assert.That(redis.Connection.Topology.Incarnation, Is.EqualTo("one"));
        Assert.That(redis.Connection.Status.NotFollowed, Does.Contain($"{foreign.Address} holds other data"));
        Assert.That((await foreign.CommandAsync("DBSIZE")).Text, Is.EqualTo("0"));
        Assert.That((await redis.Servers[0].CommandAsync("GET", "key")).Text, Is.EqualTo("19"));
        Assert.That(log.Events(15), Has.Count.EqualTo(1), "said once");
    }

    [Test]
    public async Task While_the_next_master_of_our_data_does_not_answer_nothing_is_written_to_the_old_one()
    {
        using var log = new KeptLog();
        await using ReplicatedRedis redis = await StartAsync(log);
        RedisServer next = redis.Servers[1];
        // As the monitors saw it when they promoted it.
        await next.CommandAsync("REPLICAOF", "NO", "ONE");
        MasterIdentity promoted = await IdentityAsync(next);
        next.Freeze();
        redis.Topology.Publish(Of("two", 1, next) with { Identity = promoted });
        await Eventually.HoldsAsync("writes are held", () => redis.Connection.Status is { TakesWrites: false, NotFollowed: not null });
        Task<bool> write = redis.Connection.GetDatabase().StringSetAsync("key", "held");
        Assert.That((await redis.Servers[0].CommandAsync("EXISTS", "key")).Text, Is.EqualTo("0"));
        next.Thaw();
        await write;
        Assert.That((await next.CommandAsync("GET", "key")).Text, Is.EqualTo("held"));
        Assert.That((await redis.Servers[0].CommandAsync("EXISTS", "key")).Text, Is.EqualTo("0"));
        Assert.That(redis.Connection.Status.NotFollowed, Is.Null);
    }

    [Test]
    public async Task A_cache_file_of_a_store_that_was_lost_does_not_keep_a_client_from_the_new_one()
    {
        string file = Path.Combine(Directory.CreateTempSubdirectory("redis-failover-incarnation").FullName, "topology.json");
        await using ReplicatedRedis redis = await StartAsync(null);
        Topology old = redis.Connection.Topology with { Epoch = 50, Identity = await IdentityAsync(redis.Master) };
        await File.WriteAllBytesAsync(file, TopologyJson.Write(old));
        var silent = new PublishedTopology();
        await using FailoverConnection connection = await FailoverConnection.ConnectAsync(
            silent, new FailoverOptions { TopologyCacheFile = file, ConnectTimeout = TimeSpan.FromSeconds(4) }, CancellationToken.None);
        Assert.That(connection.Topology.Epoch, Is.EqualTo(50));
        silent.Publish(Of("two", 1, redis.Master));
        await Eventually.HoldsAsync("the new one is in force and kept", () => connection.Topology.Incarnation == "two"
            && TopologyJson.Parse(File.ReadAllBytes(file)).Incarnation == "two");
    }

    private static async Task<ReplicatedRedis> StartAsync(KeptLog? log)
    {
        ReplicatedRedis redis = await ReplicatedRedis.StartAsync(1, log is null ? null : new FailoverOptions { LoggerFactory = log });
        redis.Topology.Publish(Of("one", 7, redis.Master, redis.Servers[1]) with { Identity = await IdentityAsync(redis.Master) });
        await InForceAsync(redis, "one", 7);
        return redis;
    }

    private static Task InForceAsync(ReplicatedRedis redis, string incarnation, long epoch)
        => Eventually.HoldsAsync(
            $"epoch {epoch} of incarnation {incarnation} is in force",
            () => redis.Connection.Topology.Incarnation == incarnation && redis.Connection.Topology.Epoch == epoch,
            explain: () => redis.Connection.Status.ToString());

    private static async Task<MasterIdentity> IdentityAsync(RedisServer server)
        => NodeInfo.Parse((await server.CommandAsync("INFO")).Text!).Identity;

    private static async Task<int> ConnectionsAsync(RedisServer server)
        => int.Parse((await server.InfoAsync("stats"))["total_connections_received"], System.Globalization.CultureInfo.InvariantCulture);

    private static Topology Of(string incarnation, long epoch, RedisServer master, params RedisServer[] replicas)
        => PublishedTopology.Of(epoch, master.Address, [.. replicas.Select(replica => replica.Address)]) with { Incarnation = incarnation };

    /// <summary>Keeps the numbers of the messages.</summary>
    private sealed class KeptLog : ILoggerFactory, ILogger
    {
        private readonly List<int> _events = [];

        public List<int> Events(int id)
        {
            lock (_events)
            {
                return _events.FindAll(e => e == id);
            }
        }

        public ILogger CreateLogger(string categoryName) => this;

        public void AddProvider(ILoggerProvider provider)
        {
        }

        public IDisposable? BeginScope<TState>(TState state)
            where TState : notnull
            => null;

        public bool IsEnabled(LogLevel logLevel) => true;

        public void Log<TState>(
            LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter)
        {
            lock (_events)
            {
                _events.Add(eventId.Id);
            }
        }

        public void Dispose()
        {
        }
    }
}
