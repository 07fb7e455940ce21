using Microsoft.Extensions.Logging.Abstractions;
using NUnit.Framework;
using RedisFailover.Client;
using RedisFailover.UnitTests.ZooKeeper;
using StackExchange.Redis;
using Waiting = RedisFailover.UnitTests.ZooKeeper.Waiting;

namespace RedisFailover.UnitTests.Client;

[TestFixture]
public sealed class SubscriptionsTests
{
    private static readonly RedisChannel s_channel = RedisChannel.Literal("c");

    [Test]
    public async Task A_queue_that_its_reader_has_ended_keeps_nobody_from_standing_again()
    {
        await using var one = new ScriptedRedis();
        await using var two = new ScriptedRedis();
        await using var nodes = new NodeSet(new FailoverOptions(), NullLogger.Instance);
        ISubscriber subscriber = new FailoverMultiplexer(nodes).GetSubscriber();
        nodes.Apply(new Topology { Epoch = 1, Master = one.Address, State = TopologyState.Ok });
        await subscriber.SubscribeAsync(s_channel, (_, _) => { }).WithinDeadline();
        ChannelMessageQueue ended = await subscriber.SubscribeAsync(RedisChannel.Literal("d")).WithinDeadline();
        await ended.UnsubscribeAsync().WithinDeadline();

        nodes.Apply(new Topology { Epoch = 2, Master = two.Address, State = TopologyState.Ok });
        await Waiting.Until(() => nodes.PubSub.StandsOn == two.Address);
    }

    [Test]
    public async Task A_connection_for_other_channels_that_is_being_made_keeps_nobody_from_standing_again()
    {
        int hanging = 0;
        await using var redis = new ScriptedRedis(command
            => command[0] == "HELLO" && Interlocked.Decrement(ref hanging) >= 0 ? ScriptedRedis.NoAnswer : null);
        var options = new FailoverOptions
        {
            ConnectTimeout = TimeSpan.FromMinutes(5), ConfigureNode = node => node.ChannelPrefix = RedisChannel.Literal("prefix:"),
        };
        await using var nodes = new NodeSet(options, NullLogger.Instance);
        ISubscriber subscriber = new FailoverMultiplexer(nodes).GetSubscriber();
        nodes.Apply(new Topology { Epoch = 1, Master = redis.Address, State = TopologyState.Ok });
        await subscriber.SubscribeAsync(s_channel, (_, _) => { }).WithinDeadline();
        await Waiting.Until(() => nodes.PubSub.StandsOn == redis.Address);

        Interlocked.Exchange(ref hanging, 1);
        _ = subscriber.SubscribeAsync(RedisChannel.KeySpacePattern("*"), (_, _) => { });
        await Waiting.Until(() => Volatile.Read(ref hanging) <= 0, () => "it is not being made");
        redis.CloseSubscribed();
        await Waiting.Until(() => nodes.PubSub.StandsOn is null, () => "it stands");
        await Waiting.Until(() => nodes.PubSub.StandsOn == redis.Address, () => "it stands not again");
    }

    [Test]
    public async Task Each_handler_of_a_channel_hears_each_message_once_also_from_the_next_master_and_after_another_has_left()
    {
        await using var one = new ScriptedRedis();
        await using var two = new ScriptedRedis();
        await using var nodes = new NodeSet(new FailoverOptions(), NullLogger.Instance);
        ISubscriber subscriber = new FailoverMultiplexer(nodes).GetSubscriber();
        nodes.Apply(new Topology { Epoch = 1, Master = one.Address, State = TopologyState.Ok });
        List<string> told = [];
        List<string> all = [];
        Action<RedisChannel, RedisValue> first = (_, message) => Add($"first {message}");
        await subscriber.SubscribeAsync(s_channel, first).WithinDeadline();
        await subscriber.SubscribeAsync(s_channel, (_, message) => Add($"second {message}")).WithinDeadline();
        await PublishAsync(one, "1", "2", "first 1", "second 1", "first 2", "second 2");

        nodes.Apply(new Topology { Epoch = 2, Master = two.Address, State = TopologyState.Ok });
        await Waiting.Until(() => nodes.PubSub.StandsOn == two.Address);
        await PublishAsync(two, "3", "4", "first 3", "second 3", "first 4", "second 4");

        await subscriber.UnsubscribeAsync(s_channel, first).WithinDeadline();
        await PublishAsync(two, "5", "6", "second 5", "second 6");

        async Task PublishAsync(ScriptedRedis redis, string message, string last, params string[] expected)
        {
            await redis.PublishAsync("c", message);
            await redis.PublishAsync("c", last);
            all.AddRange(expected);
            await Waiting.Until(() => Told().Length >= all.Count && Told().Contains($"second {last}"), () => string.Join(", ", Told()));
            Assert.That(Told(), Is.EquivalentTo(all));
            Assert.That(Told().Where(text => text.StartsWith("first", StringComparison.Ordinal)), Is.Ordered,
                "each handler in its own order");
            Assert.That(Told().Where(text => text.StartsWith("second", StringComparison.Ordinal)), Is.Ordered,
                "each handler in its own order");
        }

        void Add(string text)
        {
            lock (told)
            {
                told.Add(text);
            }
        }

        string[] Told()
        {
            lock (told)
            {
                return [.. told];
            }
        }
    }
}
