namespace RedisFailover.Client;

/// <summary>What all subscriptions are made on: a multiplexer that leads to whichever node is master, so that they live through a failover.
/// What is published while they stand nowhere is missed, which is logged and counted.</summary>
internal sealed class MasterPubSub(NodeSet nodes, ILogger logger) : IAsyncDisposable
{
    private static readonly TimeSpan s_look = TimeSpan.FromMilliseconds(2);
    private static readonly TimeSpan s_patience = TimeSpan.FromMilliseconds(250);

    private readonly Lock _gate = new();
    private readonly List<(ChannelMessageQueue Queue, ConnectionMultiplexer On)> _queues = [];

    // With the application's channel prefix, if it has one; and without, for channels that do without: see OnOneNode.
    private readonly Task<ConnectionMultiplexer>?[] _connecting = new Task<ConnectionMultiplexer>?[2];
    private readonly Lazy<bool> _hasPrefix =
        new(() => !nodes.Template.ChannelPrefix.IsNullOrEmpty, LazyThreadSafetyMode.PublicationOnly);
    private readonly CancellationTokenSource _closing = new();
    private Task? _standing;
    private (long Since, NodeAddress? From)? _still;
    private NodeAddress? _standsOn;

    /// <summary>Told of the node on which the subscriptions stand (null), or stood and why they do no more.</summary>
    public event Action<NodeAddress, string?>? Connectivity;

    /// <summary>A multiplexer, once somebody has subscribed; null before.</summary>
    public ConnectionMultiplexer? Multiplexer => Connected(0) ?? Connected(1);

    /// <summary>Where the subscriptions are made; null while they are nowhere.</summary>
    public NodeAddress? StandsOn => Volatile.Read(ref _standsOn);

    /// <summary>A queue of the channel's messages, confirmed by the master.</summary>
    /// <exception cref="NotAppliedException">No master confirmed it in time; there is no subscription.</exception>
    public async Task<ChannelMessageQueue> SubscribeAsync(RedisChannel channel)
    {
        var retries = new Retries(nodes, CommandClass.Write);
        await nodes.NodeForAsync(CommandClass.Write, CommandFlags.None, retries).ConfigureAwait(false);
        ConnectionMultiplexer multiplexer = await ConnectAsync(Kind(channel)).ConfigureAwait(false);
        ISubscriber subscriber = multiplexer.GetSubscriber();
        channel = OnOneNode(channel);

        // Not to be failed by a connection that is lost meanwhile: it is made again on the next one, and confirmed there.
        ChannelMessageQueue queue = await subscriber.SubscribeAsync(channel, CommandFlags.FireAndForget).ConfigureAwait(false);
        lock (_gate)
        {
            ForgetEnded();
            _queues.Add((queue, multiplexer));
        }

        try
        {
            await StandsAsync(multiplexer, channel, retries).ConfigureAwait(false);
            return queue;
        }
        catch
        {
            await UnsubscribeAsync(queue).ConfigureAwait(false);
            throw;
        }
    }

    /// <summary>Ends one queue; the channel's others stay. Does not wait for a master that is not there.</summary>
    public async Task UnsubscribeAsync(ChannelMessageQueue queue)
    {
        lock (_gate)
        {
            _queues.RemoveAll(known => known.Queue == queue);
        }

        Task ending = queue.UnsubscribeAsync(nodes.Current.Master is null ? CommandFlags.FireAndForget : CommandFlags.None);
        await ending.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
    }

    public bool IsConnected(RedisChannel channel)
        => Connected(Kind(channel)) is { } multiplexer
            ? multiplexer.GetSubscriber().IsConnected(channel) : nodes.Current.ConnectedMaster is not null;

    /// <summary>The node that a channel is subscribed at.</summary>
    public EndPoint? SubscribedEndPoint(RedisChannel channel)
        => Connected(Kind(channel))?.GetSubscriber().SubscribedEndpoint(channel) is null || StandsOn is not { } node
            ? null : NodeConfiguration.EndPointOf(node);

    public async ValueTask DisposeAsync()
    {
        await _closing.CancelAsync().ConfigureAwait(false);
        foreach (Task<ConnectionMultiplexer> connecting in Connecting())
        {
            await ((Task)connecting).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            if (connecting.IsCompletedSuccessfully)
            {
                ConnectionMultiplexer multiplexer = await connecting.ConfigureAwait(false);
                nodes.Observers.Detach(multiplexer);
                await Task.Run(() => multiplexer.Close(allowCommandsToComplete: false)).ConfigureAwait(false);
            }
        }
    }

    /// <summary>Which multiplexer a channel is made on.</summary>
    private int Kind(RedisChannel channel) => _hasPrefix.Value && IgnoresPrefix(ref channel) ? 1 : 0;

    // No public member tells. A test looks for it in every version that the dependency allows.
    [UnsafeAccessor(UnsafeAccessorKind.Method, Name = "get_IgnoreChannelPrefix")]
    private static extern bool IgnoresPrefix(ref RedisChannel channel);

    private Task<ConnectionMultiplexer>[] Connecting()
    {
        lock (_gate)
        {
            return [.. _connecting.OfType<Task<ConnectionMultiplexer>>()];
        }
    }

    private ConnectionMultiplexer? Connected(int kind)
        => Volatile.Read(ref _connecting[kind]) is { IsCompletedSuccessfully: true } connected ? connected.GetAwaiter().GetResult() : null;

    /// <summary>The multiplexer; made by the first who needs it.</summary>
    private Task<ConnectionMultiplexer> ConnectAsync(int kind)
    {
        lock (_gate)
        {
            ObjectDisposedException.ThrowIf(_closing.IsCancellationRequested, typeof(FailoverConnection));
            // What failed once, a mistake in ConfigureNode say, may go well the next time.
            return _connecting[kind] is null or { IsFaulted: true }
                ? _connecting[kind] = MakeAsync(withPrefix: kind == 0) : _connecting[kind]!;
        }
    }

    /// <summary>The same channel (the library compares them so) without the wish for all masters, which channels of keyspace notifications
    /// bring. Of such a one StackExchange.Redis 3.4 believes that it is still subscribed when the connection is back. The mark that they do
    /// without a channel prefix goes with it: they are made on a multiplexer that has none.</summary>
    private static RedisChannel OnOneNode(RedisChannel channel)
        => channel.IsNullOrEmpty || channel.IsSharded ? channel
            : channel.IsPattern ? RedisChannel.Pattern((byte[])channel!) : RedisChannel.Literal((byte[])channel!);

    private async Task<ConnectionMultiplexer> MakeAsync(bool withPrefix)
    {
        ConfigurationOptions configuration = NodeConfiguration.Of(nodes.Options);
        NodeConfiguration.LeadToMaster(configuration, nodes.Options, new MasterTunnel(nodes, evenFenced: true));
        configuration.SharedSubscriptionConnection = false;
        configuration.ChannelPrefix = withPrefix ? configuration.ChannelPrefix : default;
        ConnectionMultiplexer multiplexer = await CancellableConnect.Async(configuration, _closing.Token).ConfigureAwait(false);
        nodes.Observers.Attach(multiplexer);
        multiplexer.ConnectionFailed += (_, failed) => Lost(failed.ConnectionType);
        lock (_gate)
        {
            // While the others stand nowhere, neither does this one: they are waited for together.
            _standsOn ??= _still is null ? nodes.Current.ConnectedMaster?.Address : null;
        }

        if (!multiplexer.IsConnected || StandsOn is null)
        {
            // The master was lost before anybody listened for that.
            Lost(ConnectionType.Subscription);
        }

        return multiplexer;
    }

    /// <summary>Its return is looked for at once: 3.4 tells of loss and return on other threads, in either order.</summary>
    private void Lost(ConnectionType type)
    {
        lock (_gate)
        {
            if (type != ConnectionType.Subscription || _closing.IsCancellationRequested)
            {
                return;
            }

            _still ??= (nodes.Options.TimeProvider.GetTimestamp(), _standsOn);
            if (_standsOn is { } stood)
            {
                Connectivity?.Invoke(stood, "the connection of the subscriptions was lost");
            }

            _standsOn = null;
            _standing = _standing is null or { IsCompleted: true } ? StandAgainAsync() : _standing;
        }
    }

    /// <summary>The library is subscribing again: until that is confirmed; then it says how long it was not.</summary>
    private async Task StandAgainAsync()
    {
        await Task.CompletedTask.ConfigureAwait(ConfigureAwaitOptions.ForceYielding);
        try
        {
            TimeProvider time = nodes.Options.TimeProvider;
            long? answered = null;
            while (true)
            {
                // By the connections of the subscriptions, behind them. One that is being made keeps no other waiting.
                bool connected = Multiplexer is not null;
                Task pings = Task.WhenAll(Connecting().Where(made => made.IsCompleted || !connected).Select(PingAsync));
                await pings.WaitAsync(_closing.Token).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
                answered = pings.IsCompletedSuccessfully ? answered ?? time.GetTimestamp() : null;
                // One that an application has ended by itself, and does not drain, never stands again.
                if (answered is { } since && (AllStand() || time.GetElapsedTime(since) > nodes.Options.OperationTimeout)
                    && nodes.Current.ConnectedMaster is { } master)
                {
                    Tell(master.Address);
                    return;
                }

                await Task.Delay(s_look, time, _closing.Token).ConfigureAwait(false);
            }
        }
        catch (OperationCanceledException) when (_closing.IsCancellationRequested)
        {
        }
    }

    private static async Task PingAsync(Task<ConnectionMultiplexer> connecting)
    {
        await ((Task)connecting).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        if (connecting.IsCompletedSuccessfully)
        {
            await (await connecting.ConfigureAwait(false)).GetSubscriber().PingAsync().ConfigureAwait(false);
        }
    }

    private void Tell(NodeAddress master)
    {
        int channels;
        (long since, NodeAddress? from) = (0, null);
        lock (_gate)
        {
            (since, from) = _still!.Value;
            _still = null;
            _standsOn = master;
            // A loss from here on is another one.
            _standing = null;
            channels = _queues.Select(known => known.Queue.Channel).Distinct().Count();
            Connectivity?.Invoke(master, null);
        }

        if (channels > 0)
        {
            double millis = nodes.Options.TimeProvider.GetElapsedTime(since).TotalMilliseconds;
            Log.SubscriptionsStoodStill(logger, millis, channels, from?.ToString() ?? "a master", master);
            Measures.Count(Measures.SubscriptionGaps, nodes.Options);
        }
    }

    private bool AllStand()
    {
        (RedisChannel Channel, ConnectionMultiplexer On)[] channels;
        lock (_gate)
        {
            ForgetEnded();
            channels = [.. _queues.Select(known => (known.Queue.Channel, known.On)).Distinct()];
        }

        return Array.TrueForAll(channels, made => made.On.GetSubscriber().SubscribedEndpoint(made.Channel) is not null);
    }

    /// <summary>Readers may end their queues by themselves.</summary>
    private void ForgetEnded() => _queues.RemoveAll(known => known.Queue.Completion.IsCompleted);

    /// <summary>Until the channel is subscribed.</summary>
    /// <exception cref="RedisServerException">The master's ACL denies it.</exception>
    private async Task StandsAsync(ConnectionMultiplexer multiplexer, RedisChannel channel, Retries retries)
    {
        ISubscriber subscriber = multiplexer.GetSubscriber();
        string? denied = null;
        multiplexer.ErrorMessage += Note;
        try
        {
            while (subscriber.SubscribedEndpoint(channel) is null)
            {
                retries.ThrowIfOver();
                _closing.Token.ThrowIfCancellationRequested();
                // By the connection of the subscriptions: its reply comes behind that to the subscription. Without a master it waits.
                Task<TimeSpan> ping = subscriber.PingAsync();
                await ((Task)ping).WaitAsync(s_patience, nodes.Options.TimeProvider, _closing.Token)
                    .ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
                if (subscriber.SubscribedEndpoint(channel) is null && ping.IsCompletedSuccessfully)
                {
                    if (Volatile.Read(ref denied) is { } refusal)
                    {
                        throw new RedisServerException(RedisErrorKind.NoPermission, CommandFlags.None, refusal);
                    }

                    await Task.Delay(s_look, nodes.Options.TimeProvider, _closing.Token).ConfigureAwait(false);
                }
            }
        }
        finally
        {
            multiplexer.ErrorMessage -= Note;
        }

        void Note(object? sender, RedisErrorEventArgs error)
        {
            if (error.Message.StartsWith("NOPERM", StringComparison.Ordinal))
            {
                Volatile.Write(ref denied, error.Message);
            }
        }
    }
}
