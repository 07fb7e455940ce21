using System.Net;
using StackExchange.Redis;

namespace RedisFailover.Client;

/// <summary>An ISubscriber whose subscriptions survive a failover. All that a connection hands out share them.</summary>
internal sealed partial class FailoverSubscriber(NodeSet nodes, Subscriptions subscriptions) : ISubscriber
{
    private readonly IDatabase _database = new FailoverDatabase(nodes, -1, null);

    IConnectionMultiplexer IRedisAsync.Multiplexer => nodes.Master().Multiplexer;

    void ISubscriber.Subscribe(RedisChannel channel, Action<RedisChannel, RedisValue> handler, CommandFlags flags)
        => Waiting.For(subscriptions.AddAsync(channel, handler), nodes.Options);

    Task ISubscriber.SubscribeAsync(RedisChannel channel, Action<RedisChannel, RedisValue> handler, CommandFlags flags)
        => subscriptions.AddAsync(channel, handler);

    void ISubscriber.Unsubscribe(RedisChannel channel, Action<RedisChannel, RedisValue>? handler, CommandFlags flags)
        => Waiting.For(subscriptions.RemoveAsync(channel, handler), nodes.Options);

    Task ISubscriber.UnsubscribeAsync(RedisChannel channel, Action<RedisChannel, RedisValue>? handler, CommandFlags flags)
        => subscriptions.RemoveAsync(channel, handler);

    void ISubscriber.UnsubscribeAll(CommandFlags flags) => Waiting.For(subscriptions.RemoveAllAsync(), nodes.Options);

    Task ISubscriber.UnsubscribeAllAsync(CommandFlags flags) => subscriptions.RemoveAllAsync();

    long ISubscriber.Publish(RedisChannel channel, RedisValue message, CommandFlags flags) => _database.Publish(channel, message, flags);

    Task<long> ISubscriber.PublishAsync(RedisChannel channel, RedisValue message, CommandFlags flags) => _database.PublishAsync(channel, message, flags);

    EndPoint? ISubscriber.SubscribedEndpoint(RedisChannel channel)
        => subscriptions.Has(channel) ? subscriptions.Attached?.Multiplexer.GetSubscriber().SubscribedEndpoint(channel) : null;

    bool ISubscriber.IsConnected(RedisChannel channel) => nodes.Current.Master is { } master && master.Multiplexer.GetSubscriber().IsConnected(channel);

    EndPoint? ISubscriber.IdentifyEndpoint(RedisChannel channel, CommandFlags flags)
        => nodes.Master().Multiplexer.GetSubscriber().IdentifyEndpoint(channel, flags.WithoutRole());

    Task<EndPoint?> ISubscriber.IdentifyEndpointAsync(RedisChannel channel, CommandFlags flags)
        => nodes.Master().Multiplexer.GetSubscriber().IdentifyEndpointAsync(channel, flags.WithoutRole());

    // Queues belong to the multiplexer that made them: they do not move to another node. Subscriptions with a handler do.
    ChannelMessageQueue ISubscriber.Subscribe(RedisChannel channel, CommandFlags flags) => nodes.Master().Multiplexer.GetSubscriber().Subscribe(channel, flags);

    Task<ChannelMessageQueue> ISubscriber.SubscribeAsync(RedisChannel channel, CommandFlags flags)
        => nodes.Master().Multiplexer.GetSubscriber().SubscribeAsync(channel, flags);

    TimeSpan IRedis.Ping(CommandFlags flags) => _database.Ping(flags);

    Task<TimeSpan> IRedisAsync.PingAsync(CommandFlags flags) => _database.PingAsync(flags);

    bool IRedisAsync.TryWait(Task task) => Waiting.TryFor(task, nodes.Options);

    void IRedisAsync.Wait(Task task) => Waiting.For(task, nodes.Options);

    T IRedisAsync.Wait<T>(Task<T> task) => Waiting.For(task, nodes.Options);

    void IRedisAsync.WaitAll(params Task[] tasks) => Waiting.For(Task.WhenAll(tasks), nodes.Options);
}
