using NUnit.Framework;
using RedisFailover.Client;
using RedisFailover.IntegrationTests.Harness;
using RedisFailover.ZooKeeper;
using StackExchange.Redis;

namespace RedisFailover.IntegrationTests.Client;

[TestFixture]
public sealed class WithoutZooKeeperTests
{
    [Test]
    public async Task Fenced_writes_stop_while_ZooKeeper_is_silent_and_reads_go_on()
    {
        await using ReplicatedRedis redis = await ReplicatedRedis.StartAsync(
            replicas: 0, new FailoverOptions { WhenDisconnected = WhenDisconnected.FenceWrites, WriteWait = TimeSpan.FromMinutes(2) });
        IDatabase database = redis.Connection.GetDatabase();
        await database.StringSetAsync("key", 1);
        redis.Topology.SinceLastContact = TimeSpan.FromSeconds(5);
        await Eventually.HoldsAsync("writes are held", () => redis.Connection.Nodes.Current.Hold.HasFlag(WriteHold.ZooKeeperSilent));
        Task<bool> waiting = database.StringSetAsync("key", 3);
        Assert.That((int)await database.StringGetAsync("key"), Is.EqualTo(1));
        Assert.That(waiting.IsCompleted, Is.False);
        redis.Topology.SinceLastContact = TimeSpan.Zero;
        Assert.That(await waiting, Is.True);
    }

    [Test]
    public async Task Writes_are_fenced_by_the_session_timeout_that_was_granted()
    {
        // 4 s were asked for.
        await using ReplicatedRedis redis = await ReplicatedRedis.StartAsync(
            replicas: 0, new FailoverOptions { WhenDisconnected = WhenDisconnected.FenceWrites }, granted: TimeSpan.FromSeconds(60));
        redis.Topology.SinceLastContact = TimeSpan.FromSeconds(25);
        await Eventually.HoldsAsync("it looked again", () => redis.Topology.TimesAsked > 3);
        Assert.That(redis.Connection.Nodes.Current.Hold.HasFlag(WriteHold.ZooKeeperSilent), Is.False);
        redis.Topology.SinceLastContact = TimeSpan.FromSeconds(31);
        await Eventually.HoldsAsync("writes are held", () => redis.Connection.Nodes.Current.Hold.HasFlag(WriteHold.ZooKeeperSilent));
    }

    [Test]
    public async Task ZooKeeper_says_which_session_timeout_it_granted()
    {
        await using ZooKeeperServer server = await ZooKeeperServer.StartAsync(new ZooKeeperServerOptions { TickTime = 200 });
        await using var source = new ZooKeeperTopologySource(
            ZooKeeperConnectionString.Parse(server.ConnectionString), new FailoverOptions { SessionTimeout = TimeSpan.FromMinutes(5) });
        await Eventually.HoldsAsync("a session was granted", ()
            => source.SinceLastContact is not null && source.SessionTimeout < TimeSpan.FromMinutes(1));
        Assert.That(source.SessionTimeout, Is.EqualTo(TimeSpan.FromSeconds(4)), "20 ticks at most");
    }

    [Test]
    public async Task With_a_cache_file_a_client_starts_while_ZooKeeper_is_down()
    {
        string file = Path.Combine(Path.GetTempPath(), $"redis-failover-test-{Guid.NewGuid():N}.json");
        await using RedisServer redis = await RedisServer.StartAsync();
        try
        {
            var options = new FailoverOptions
            {
                TopologyCacheFile = file, ConnectTimeout = TimeSpan.FromMilliseconds(600), WriteWait = TimeSpan.FromSeconds(1),
            };
            var topology = new PublishedTopology();
            topology.Publish(PublishedTopology.Of(7, redis.Address));
            await using (await FailoverConnection.ConnectAsync(topology, options, default))
            {
                await Eventually.HoldsAsync("the topology is kept", () => File.Exists(file));
            }

            await using FailoverConnection connection = await FailoverConnection.ConnectAsync($"127.0.0.1:{FreePorts.Next()}/r", options);
            Assert.That(connection.Topology.Epoch, Is.EqualTo(7));
            Assert.That(await connection.GetDatabase().StringSetAsync("key", 1), Is.True);

            // What it knows may be old, and that is said.
            await redis.KillAsync();
            await Eventually.HoldsAsync("it is lost", () => !connection.Status.TakesWrites);
            Assert.That(async () => await connection.GetDatabase().StringSetAsync("key", 2),
                Throws.TypeOf<NotAppliedException>().With.Message.Contains($"(from {file}: none was read from ZooKeeper)"));
        }
        finally
        {
            File.Delete(file);
        }
    }
}
