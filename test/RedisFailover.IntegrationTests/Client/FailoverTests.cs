using System.Diagnostics;
using NUnit.Framework;
using RedisFailover.Client;
using RedisFailover.IntegrationTests.Harness;
using StackExchange.Redis;

namespace RedisFailover.IntegrationTests.Client;

[TestFixture]
[NonParallelizable]
public sealed class FailoverTests
{
    [Test]
    public async Task Writes_go_to_the_master_and_reads_to_a_replica()
    {
        await using ReplicatedRedis redis = await ReplicatedRedis.StartAsync(replicas: 1);
        IDatabase database = redis.Connection.GetDatabase();
        Assert.That(await database.StringSetAsync("key", "value"), Is.True);
        await Eventually.HoldsAsync("the replica has the key", _ => database.StringGetAsync("key"), value => value == "value");
        await redis.Servers[1].CommandAsync("REPLICAOF", "NO", "ONE");
        await redis.Servers[1].CommandAsync("SET", "key", "only here");
        Assert.That((string?)await database.StringGetAsync("key"), Is.EqualTo("only here"));
        Assert.That((string?)database.StringGet("key", CommandFlags.DemandMaster), Is.EqualTo("value"));
    }

    [TestCase(true)]
    [TestCase(false)]
    public async Task After_a_kill_writes_continue_on_the_new_master_within_milliseconds_of_the_signal(bool announced)
    {
        List<double> times = [];
        for (int round = 0; round < 5; round++)
        {
            await using ReplicatedRedis redis = await ReplicatedRedis.StartAsync();
            IDatabase database = redis.Connection.GetDatabase();
            await database.StringSetAsync("warm", 1);
            await redis.Master.KillAsync();
            RedisServer next = redis.Servers[1];
            await next.CommandAsync("REPLICAOF", "NO", "ONE");
            RedisServer lost = redis.Master;
            if (announced)
            {
                redis.AnnounceFailover();
                await Task.Delay(5);
            }

            long signal = Stopwatch.GetTimestamp();
            redis.Publish(next, lost);
            await AcknowledgedAsync(database);
            times.Add(Stopwatch.GetElapsedTime(signal).TotalMilliseconds);
        }

        TestContext.Out.WriteLine("signal to first write, ms: " + string.Join(" ", times.Select(t => t.ToString("0.0"))));
        Assert.That(times.Order().ElementAt(2), Is.LessThan(1000), "median; the library alone takes a minute");
    }

    /// <summary>A write on the socket of the dying master may fail as ambiguous; the caller that does not mind sends it again.</summary>
    private static async Task AcknowledgedAsync(IDatabase database)
    {
        while (true)
        {
            try
            {
                await database.StringSetAsync("after", 1);
                return;
            }
            catch (MayHaveBeenAppliedException)
            {
            }
        }
    }
}
