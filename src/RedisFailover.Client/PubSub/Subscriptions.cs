using System.Collections.Immutable;
using StackExchange.Redis;

namespace RedisFailover.Client;

/// <summary>
/// The application's subscriptions, kept beside any connection: they are made on the master, and made again on the next one. Redis
/// keeps no messages, so those published while no connection is subscribed, a failover's few milliseconds, are missed.
/// </summary>
internal sealed class Subscriptions : IAsyncDisposable
{
    private readonly NodeSet _nodes;
    private readonly SemaphoreSlim _gate = new(1);
    private readonly CancellationTokenSource _closing = new();
    private readonly Task _following;
    private ImmutableDictionary<RedisChannel, Action<RedisChannel, RedisValue>> _handlers = ImmutableDictionary<RedisChannel, Action<RedisChannel, RedisValue>>.Empty;

    // What each node was told, under the gate: a multiplexer keeps every handler that it is given, and a message comes once for each.
    private readonly Dictionary<LiveNode, HashSet<RedisChannel>> _made = [];
    private LiveNode? _attached;

    public Subscriptions(NodeSet nodes)
    {
        _nodes = nodes;
        _following = Task.Run(FollowAsync);
    }

    /// <summary>The node that the subscriptions are made on; null before the first.</summary>
    public LiveNode? Attached => Volatile.Read(ref _attached);

    public bool Has(RedisChannel channel) => _handlers.ContainsKey(channel);

    /// <summary>Completes when the master has confirmed it; waits while there is none.</summary>
    /// <exception cref="NotAppliedException">There was no master in time; the subscription is made when there is one.</exception>
    public async Task AddAsync(RedisChannel channel, Action<RedisChannel, RedisValue> handler)
    {
        var retries = new Retries(_nodes, CommandClass.Either);
        bool added = false;
        while (true)
        {
            LiveNode? node = null;
            try
            {
                await _gate.WaitAsync(_closing.Token).ConfigureAwait(false);
                try
                {
                    if (!added)
                    {
                        added = true;
                        _handlers = _handlers.SetItem(channel, _handlers.GetValueOrDefault(channel) + handler);
                    }

                    node = _nodes.Current.Master;
                    if (node is not null && node == _attached)
                    {
                        await SubscribeAsync(node, channel).ConfigureAwait(false);
                        return;
                    }

                    if (node is not null)
                    {
                        await AttachAsync(node).ConfigureAwait(false);
                        return;
                    }
                }
                finally
                {
                    _gate.Release();
                }

                await _nodes.NodeForAsync(CommandClass.Write, CommandFlags.None, retries).ConfigureAwait(false);
            }
            catch (Exception failure) when (node is not null && Failures.Judge(failure) != Outcome.CommandFailed)
            {
                await retries.AfterAsync(failure, node).ConfigureAwait(false);
            }
        }
    }

    /// <summary>Removes one handler of a channel, or all when none is named.</summary>
    public async Task RemoveAsync(RedisChannel channel, Action<RedisChannel, RedisValue>? handler)
    {
        await _gate.WaitAsync(_closing.Token).ConfigureAwait(false);
        try
        {
            Action<RedisChannel, RedisValue>? left = handler is null ? null : _handlers.GetValueOrDefault(channel) - handler;
            _handlers = left is null ? _handlers.Remove(channel) : _handlers.SetItem(channel, left);
            if (left is not null)
            {
                return;
            }

            foreach ((LiveNode node, HashSet<RedisChannel> channels) in _made)
            {
                if (channels.Remove(channel) && _nodes.Current.Uses(node))
                {
                    await node.Multiplexer.GetSubscriber().UnsubscribeAsync(channel).ConfigureAwait(false);
                }
            }
        }
        finally
        {
            _gate.Release();
        }
    }

    public async Task RemoveAllAsync()
    {
        foreach (RedisChannel channel in _handlers.Keys)
        {
            await RemoveAsync(channel, null).ConfigureAwait(false);
        }
    }

    public async ValueTask DisposeAsync()
    {
        await _closing.CancelAsync().ConfigureAwait(false);
        await _following.ConfigureAwait(false);
        _closing.Dispose();
        _gate.Dispose();
    }

    private async Task FollowAsync()
    {
        try
        {
            while (true)
            {
                Snapshot current = _nodes.Current;
                if (current.Master is { } master && master != _attached && !_handlers.IsEmpty && !await MovedAsync(master).ConfigureAwait(false))
                {
                    await Task.Delay(TimeSpan.FromMilliseconds(20), _nodes.Options.TimeProvider, _closing.Token).ConfigureAwait(false);
                    continue;
                }

                await current.Superseded.WaitAsync(_closing.Token).ConfigureAwait(false);
            }
        }
        catch (OperationCanceledException) when (_closing.IsCancellationRequested)
        {
        }
    }

    private async Task<bool> MovedAsync(LiveNode master)
    {
        await _gate.WaitAsync(_closing.Token).ConfigureAwait(false);
        try
        {
            await AttachAsync(master).ConfigureAwait(false);
            return true;
        }
        catch (Exception failure) when (Failures.Judge(failure) != Outcome.CommandFailed)
        {
            // Lost already: the next snapshot, or the next attempt, tells more.
            return false;
        }
        finally
        {
            _gate.Release();
        }
    }

    private async Task AttachAsync(LiveNode node)
    {
        foreach (RedisChannel channel in _handlers.Keys)
        {
            await SubscribeAsync(node, channel).ConfigureAwait(false);
        }

        LiveNode? before = Interlocked.Exchange(ref _attached, node);
        if (before is not null && before != node && _nodes.Current.Uses(before))
        {
            // As a replica it would hand on the same messages once more.
            before.Multiplexer.GetSubscriber().UnsubscribeAll(CommandFlags.FireAndForget);
        }

        foreach (LiveNode other in _made.Keys.Where(other => other != node).ToArray())
        {
            _made.Remove(other);
        }
    }

    /// <summary>Once for each channel and node, however many handlers the channel has.</summary>
    private async Task SubscribeAsync(LiveNode node, RedisChannel channel)
    {
        HashSet<RedisChannel> channels = _made.TryGetValue(node, out HashSet<RedisChannel>? made) ? made : _made[node] = [];
        if (!channels.Add(channel))
        {
            return;
        }

        bool confirmed = false;
        try
        {
            ChannelMessageQueue queue = await node.Multiplexer.GetSubscriber().SubscribeAsync(channel).ConfigureAwait(false);
            queue.OnMessage(message =>
            {
                if (_attached == node && _handlers.TryGetValue(channel, out Action<RedisChannel, RedisValue>? handler))
                {
                    handler(message.Channel, message.Message);
                }
            });
            confirmed = true;
        }
        finally
        {
            if (!confirmed)
            {
                // The multiplexer keeps the handler even so: the next attempt would add a second one.
                channels.Remove(channel);
                node.Multiplexer.GetSubscriber().Unsubscribe(channel, flags: CommandFlags.FireAndForget);
            }
        }
    }
}
