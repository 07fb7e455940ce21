using NUnit.Framework;
using RedisFailover.Client;
using RedisFailover.IntegrationTests.Harness;
using StackExchange.Redis;

namespace RedisFailover.IntegrationTests.Client;

[TestFixture]
public sealed class WithoutZooKeeperTests
{
    [Test]
    public async Task Fenced_writes_stop_while_ZooKeeper_is_silent_and_reads_go_on()
    {
        var options = new FailoverOptions
        {
            WhenDisconnected = WhenDisconnected.FenceWrites,
            SessionTimeout = TimeSpan.FromMilliseconds(400),
            WriteWait = TimeSpan.FromMilliseconds(300),
        };
        await using ReplicatedRedis redis = await ReplicatedRedis.StartAsync(replicas: 0, options);
        IDatabase database = redis.Connection.GetDatabase();
        await database.StringSetAsync("key", 1);
        redis.Topology.SinceLastContact = TimeSpan.FromMilliseconds(250);
        await Eventually.HoldsAsync("writes are held", () => redis.Connection.Nodes.Current.Fenced);
        NotAppliedException failure = await Failing.WithAsync<NotAppliedException>(() => database.StringSetAsync("key", 2));
        Assert.That(failure.Message, Does.Contain("ZooKeeper cannot be reached"));
        Assert.That((int)await database.StringGetAsync("key"), Is.EqualTo(1));
        Task<bool> waiting = database.StringSetAsync("key", 3);
        redis.Topology.SinceLastContact = TimeSpan.Zero;
        Assert.That(await waiting, Is.True);
    }

    [Test]
    public async Task With_a_cache_file_a_client_starts_while_ZooKeeper_is_down()
    {
        string file = Path.Combine(Path.GetTempPath(), $"redis-failover-test-{Guid.NewGuid():N}.json");
        await using RedisServer redis = await RedisServer.StartAsync();
        try
        {
            var options = new FailoverOptions { TopologyCacheFile = file, ConnectTimeout = TimeSpan.FromMilliseconds(600) };
            var topology = new PublishedTopology();
            topology.Publish(PublishedTopology.Of(7, redis.Address));
            await using (await FailoverConnection.ConnectAsync(topology, options, default))
            {
                await Eventually.HoldsAsync("the topology is kept", () => File.Exists(file));
            }

            await using FailoverConnection connection = await FailoverConnection.ConnectAsync($"127.0.0.1:{FreePorts.Next()}/r", options);
            Assert.That(connection.Topology.Epoch, Is.EqualTo(7));
            Assert.That(await connection.GetDatabase().StringSetAsync("key", 1), Is.True);
        }
        finally
        {
            File.Delete(file);
        }
    }
}
