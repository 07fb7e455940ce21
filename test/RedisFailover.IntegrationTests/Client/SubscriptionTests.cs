using System.Collections.Concurrent;
using System.Globalization;
using NUnit.Framework;
using RedisFailover.Client;
using RedisFailover.IntegrationTests.Harness;
using StackExchange.Redis;

namespace RedisFailover.IntegrationTests.Client;

[TestFixture]
public sealed class SubscriptionTests
{
    private static readonly RedisChannel s_news = RedisChannel.Literal("news");

    [Test]
    public async Task A_subscription_survives_a_failover_and_hears_each_message_once_and_in_order()
    {
        await using ReplicatedRedis redis = await ReplicatedRedis.StartAsync(replicas: 2);
        ISubscriber subscriber = redis.Connection.GetSubscriber();
        var heard = new ConcurrentQueue<int>();
        int published = 0;
        await subscriber.SubscribeAsync(s_news, (_, message) =>
        {
            // Every other one takes longer: if handlers ran beside each other, the next would overtake it.
            Thread.SpinWait((int)message % 2 * 5000);
            heard.Enqueue((int)message);
        });
        await PublishAsync();

        await redis.Master.KillAsync();
        await redis.FailOverAsync(redis.Servers[1]);
        await MovedToAsync(redis.Servers[1]);
        await PublishAsync();

        RedisServer old = redis.Master;
        redis.AnnounceFailover(TopologyState.SwitchingOver);
        await redis.Servers[2].CommandAsync("REPLICAOF", "NO", "ONE");
        await old.CommandAsync("REPLICAOF", "127.0.0.1", redis.Servers[2].Port.ToString());
        redis.Publish(redis.Servers[2], redis.Servers[0]);
        await MovedToAsync(redis.Servers[2]);
        await Eventually.HoldsAsync("replication runs", ct => old.InfoAsync("replication", ct), info => info["master_link_status"] == "up");

        // It lives, and as a replica it is told each message too.
        await Eventually.HoldsAsync("the old master has no subscriber", ct
            => old.CommandAsync(["PUBSUB", "NUMSUB", "news"], ct), reply => reply[1].Text == "0");
        await PublishAsync();

        await subscriber.UnsubscribeAsync(s_news);
        await Eventually.HoldsAsync("nobody hears any more", async _
            => await subscriber.PublishAsync(s_news, "nobody"), heard => heard == 0);

        async Task PublishAsync()
        {
            int first = published + 1;
            published += 1000;
            await using RedisWire master = await redis.Master.ConnectAsync();
            await master.CommandAsync(
                ["EVAL", "for i = ARGV[1], ARGV[2] do redis.call('PUBLISH', 'news', string.format('%d', i)) end", "0", Text(first), Text(published)]);
            await Eventually.HoldsAsync("the last one is heard", () => heard.Contains(published));

            // Behind it on the same connection: a copy of that one would have come before.
            await subscriber.PublishAsync(s_news, ++published);
            await Eventually.HoldsAsync("the last one is heard", () => heard.Contains(published));
            Assert.That(heard, Is.EqualTo(Enumerable.Range(1, published)));
        }

        Task MovedToAsync(RedisServer master) => Eventually.HoldsAsync(
            $"subscribed at {master.Address}", ()
                => subscriber.SubscribedEndpoint(s_news)?.ToString()!.EndsWith($":{master.Port}", StringComparison.Ordinal) == true);
    }

    [TestCase(null)]
    [TestCase("application:")]
    public async Task Keyspace_notifications_are_subscribed_again_on_the_new_master(string? prefix)
    {
        var options = new FailoverOptions
        {
            ConfigureNode = node => node.ChannelPrefix = prefix is null ? default : RedisChannel.Literal(prefix),
        };
        await using ReplicatedRedis redis = await ReplicatedRedis.StartAsync(
            replicas: 1, options, redis: new RedisServerOptions { ConfLines = ["notify-keyspace-events KEA"] });
        var heard = new ConcurrentQueue<string>();
        ISubscriber subscriber = redis.Connection.GetSubscriber();
        await subscriber.SubscribeAsync(
            RedisChannel.KeyEvent(KeyNotificationType.Set, 0), (_, key) => heard.Enqueue((string)key!));
        await subscriber.SubscribeAsync(
            RedisChannel.KeySpacePrefix("one", 0), (channel, what) => heard.Enqueue($"{(string)channel!} {what}"));
        await subscriber.SubscribeAsync(s_news, (channel, message) => heard.Enqueue($"{(string)channel!} {message}"));
        await HearsAsync("one");
        // At once, with the old one alive: the connection is back before the library has looked at what is subscribed where.
        await redis.FailOverAsync(redis.Servers[1], announce: false);
        await HearsAsync("one more");
        Assert.That(heard.ToArray(), Has.None.StartsWith("application:"), "the prefix is the library's own affair");

        Task HearsAsync(string key) => Eventually.HoldsAsync($"it hears of {key}", async _ =>
        {
            await redis.Connection.GetDatabase().StringSetAsync(key, 1);
            await redis.Connection.GetDatabase().PublishAsync(s_news, key);
            return new[] { key, $"__keyspace@0__:{key} set", $"news {key}" }.All(heard.Contains);
        }, isHeard => isHeard);
    }

    [Test]
    public async Task What_the_acl_denies_is_said_at_once()
    {
        Needs.Redis("6.2", "an ACL for channels");
        await using ReplicatedRedis redis = await ReplicatedRedis.StartAsync(replicas: 0);
        await redis.Master.CommandAsync("ACL", "SETUSER", "default", "resetchannels", "&open");
        ISubscriber subscriber = redis.Connection.GetSubscriber();
        await subscriber.SubscribeAsync(RedisChannel.Literal("open"), (_, _) => { });
        Assert.That(async () => await subscriber.SubscribeAsync(RedisChannel.Literal("closed"), (_, _) => { }),
            Throws.TypeOf<RedisServerException>().With.Message.Contains("NOPERM"));
    }

    [Test]
    public async Task Queues_that_their_readers_end_are_not_kept()
    {
        await using ReplicatedRedis redis = await ReplicatedRedis.StartAsync(replicas: 0);
        ISubscriber subscriber = redis.Connection.GetSubscriber();
        var ended = new List<WeakReference>();
        for (int i = 0; i < 50; i++)
        {
            ended.Add(await OneAsync(subscriber));
        }

        await Eventually.HoldsAsync("they are gone", () =>
        {
            GC.Collect();
            return ended.Count(e => e.IsAlive) < 5;
        });

        static async Task<WeakReference> OneAsync(ISubscriber subscriber)
        {
            ChannelMessageQueue queue = await subscriber.SubscribeAsync(s_news);
            await queue.UnsubscribeAsync();
            return new WeakReference(queue);
        }
    }

    private static string Text(int number) => number.ToString(CultureInfo.InvariantCulture);
}
