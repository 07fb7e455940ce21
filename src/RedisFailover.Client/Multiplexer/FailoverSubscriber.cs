namespace RedisFailover.Client;

/// <summary>The ISubscriber of one lease, which ends its subscriptions. Each handler hears its messages in their order.</summary>
internal sealed class FailoverSubscriber(NodeSet nodes, FailoverMultiplexer owner) : ISubscriber
{
    private readonly IDatabase _database = new FailoverDatabase(nodes, -1, null, owner);
    private readonly Lock _gate = new();
    private readonly List<(ChannelMessageQueue Queue, Action<RedisChannel, RedisValue>? Handler)> _made = [];

    IConnectionMultiplexer IRedisAsync.Multiplexer => owner;

    void ISubscriber.Subscribe(RedisChannel channel, Action<RedisChannel, RedisValue> handler, CommandFlags flags)
        => Waiting.For(SubscribeAsync(channel, handler), nodes.Options);

    Task ISubscriber.SubscribeAsync(RedisChannel channel, Action<RedisChannel, RedisValue> handler, CommandFlags flags)
        => SubscribeAsync(channel, handler);

    ChannelMessageQueue ISubscriber.Subscribe(RedisChannel channel, CommandFlags flags)
        => Waiting.For(SubscribeAsync(channel, null), nodes.Options);

    Task<ChannelMessageQueue> ISubscriber.SubscribeAsync(RedisChannel channel, CommandFlags flags) => SubscribeAsync(channel, null);

    void ISubscriber.Unsubscribe(RedisChannel channel, Action<RedisChannel, RedisValue>? handler, CommandFlags flags)
        => Waiting.For(EndAsync(channel, handler), nodes.Options);

    Task ISubscriber.UnsubscribeAsync(RedisChannel channel, Action<RedisChannel, RedisValue>? handler, CommandFlags flags)
        => EndAsync(channel, handler);

    void ISubscriber.UnsubscribeAll(CommandFlags flags) => Waiting.For(CloseAsync(), nodes.Options);

    Task ISubscriber.UnsubscribeAllAsync(CommandFlags flags) => CloseAsync();

    long ISubscriber.Publish(RedisChannel channel, RedisValue message, CommandFlags flags) => _database.Publish(channel, message, flags);

    Task<long> ISubscriber.PublishAsync(RedisChannel channel, RedisValue message, CommandFlags flags)
        => _database.PublishAsync(channel, message, flags);

    EndPoint? ISubscriber.SubscribedEndpoint(RedisChannel channel) => nodes.PubSub.SubscribedEndPoint(channel);

    bool ISubscriber.IsConnected(RedisChannel channel) => nodes.PubSub.IsConnected(channel);

    EndPoint? ISubscriber.IdentifyEndpoint(RedisChannel channel, CommandFlags flags)
        => NodeConfiguration.EndPointOf(nodes.NodeFor(CommandClass.Write, CommandFlags.None).Address);

    async Task<EndPoint?> ISubscriber.IdentifyEndpointAsync(RedisChannel channel, CommandFlags flags)
    {
        LiveNode master = await nodes.NodeForAsync(CommandClass.Write, CommandFlags.None, new Retries(nodes, CommandClass.Write))
            .ConfigureAwait(false);
        return NodeConfiguration.EndPointOf(master.Address);
    }

    TimeSpan IRedis.Ping(CommandFlags flags) => _database.Ping(flags);

    Task<TimeSpan> IRedisAsync.PingAsync(CommandFlags flags) => _database.PingAsync(flags);

    bool IRedisAsync.TryWait(Task task) => Waiting.TryFor(task, nodes.Options);

    void IRedisAsync.Wait(Task task) => Waiting.For(task, nodes.Options);

    T IRedisAsync.Wait<T>(Task<T> task) => Waiting.For(task, nodes.Options);

    void IRedisAsync.WaitAll(params Task[] tasks) => Waiting.For(Task.WhenAll(tasks), nodes.Options);

    /// <summary>Ends all that was made here.</summary>
    public Task CloseAsync() => EndAsync(null, null);

    private async Task<ChannelMessageQueue> SubscribeAsync(RedisChannel channel, Action<RedisChannel, RedisValue>? handler)
    {
        ObjectDisposedException.ThrowIf(owner.IsClosed, typeof(IConnectionMultiplexer));
        ChannelMessageQueue queue = await nodes.PubSub.SubscribeAsync(channel).ConfigureAwait(false);
        if (handler is not null)
        {
            queue.OnMessage(message => handler(message.Channel, message.Message));
        }

        lock (_gate)
        {
            _made.RemoveAll(made => made.Queue.Completion.IsCompleted);
            _made.Add((queue, handler));
        }

        if (owner.IsClosed)
        {
            await CloseAsync().ConfigureAwait(false);
            throw new ObjectDisposedException(nameof(IConnectionMultiplexer));
        }

        return queue;
    }

    /// <summary>Ends one handler of a channel; all that was made of it when none is named; all of everything without a channel.</summary>
    private async Task EndAsync(RedisChannel? channel, Action<RedisChannel, RedisValue>? handler)
    {
        List<(ChannelMessageQueue Queue, Action<RedisChannel, RedisValue>? Handler)> ending;
        lock (_gate)
        {
            ending = _made.FindAll(made
                    => (channel is null || made.Queue.Channel.Equals(channel.Value)) && (handler is null || made.Handler == handler));
            if (handler is not null && ending.Count > 1)
            {
                ending.RemoveRange(1, ending.Count - 1);
            }

            _made.RemoveAll(ending.Contains);
        }

        foreach ((ChannelMessageQueue queue, _) in ending)
        {
            await nodes.PubSub.UnsubscribeAsync(queue).ConfigureAwait(false);
        }
    }
}
