using System.Collections.Concurrent;
using NUnit.Framework;
using RedisFailover.IntegrationTests.Harness;
using StackExchange.Redis;

namespace RedisFailover.IntegrationTests.Client;

[TestFixture]
public sealed class SubscriptionTests
{
    [Test]
    public async Task A_subscription_survives_a_failover_and_hears_each_message_once()
    {
        await using ReplicatedRedis redis = await ReplicatedRedis.StartAsync(replicas: 2);
        ISubscriber subscriber = redis.Connection.GetSubscriber();
        var heard = new ConcurrentQueue<string>();
        await subscriber.SubscribeAsync("news", (_, message) => heard.Enqueue(message!));
        await subscriber.PublishAsync("news", "one");
        await Eventually.HoldsAsync("one is heard", () => heard.Contains("one"));

        await redis.Master.KillAsync();
        await redis.FailOverAsync(redis.Servers[1]);
        await Eventually.HoldsAsync("subscribed at the new master", () => subscriber.SubscribedEndpoint("news")?.ToString()!.EndsWith($":{redis.Servers[1].Port}", StringComparison.Ordinal) == true);
        await subscriber.PublishAsync("news", "two");
        await Eventually.HoldsAsync("two is heard", () => heard.Contains("two"));

        RedisServer old = redis.Master;
        redis.AnnounceFailover(TopologyState.SwitchingOver);
        await redis.Servers[2].CommandAsync("REPLICAOF", "NO", "ONE");
        await old.CommandAsync("REPLICAOF", "127.0.0.1", redis.Servers[2].Port.ToString());
        redis.Publish(redis.Servers[2], redis.Servers[0]);
        await Eventually.HoldsAsync("subscribed at the third", () => subscriber.SubscribedEndpoint("news")?.ToString()!.EndsWith($":{redis.Servers[2].Port}", StringComparison.Ordinal) == true);
        await Eventually.HoldsAsync("replication runs", ct => old.InfoAsync("replication", ct), info => info["master_link_status"] == "up");
        subscriber.Publish("news", "three");
        await Eventually.HoldsAsync("three is heard", () => heard.Contains("three"));
        subscriber.Publish("news", "end");
        await Eventually.HoldsAsync("the end is heard", () => heard.Contains("end"));
        Assert.That(heard, Is.EqualTo(new[] { "one", "two", "three", "end" }));

        await subscriber.UnsubscribeAsync("news");
        Assert.That(await subscriber.PublishAsync("news", "nobody"), Is.Zero);
    }
}
