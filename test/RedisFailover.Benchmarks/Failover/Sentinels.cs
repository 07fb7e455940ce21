using System.Globalization;
using System.Net.Sockets;
using RedisFailover.IntegrationTests.Harness;

namespace RedisFailover.Benchmarks.Failover;

/// <summary>
/// Redis Sentinel: three sentinels, quorum 2, and the best client there could be: subscribed to +switch-master at all three, it moves
/// to the new master with the first message, over a bare socket and without a client library in between.
/// </summary>
internal sealed class Sentinels : IContender
{
    private readonly RedisNodes _redis;
    private readonly List<SentinelProcess> _sentinels = [];
    private readonly List<RedisWire> _subscriptions = [];
    private readonly List<Task> _listening = [];
    private readonly Lock _lock = new();
    private readonly Struck _struck = new();
    private MasterLink _master;

    private Sentinels(TimeSpan downAfter, RedisNodes redis)
    {
        Name = string.Create(CultureInfo.InvariantCulture, $"Redis Sentinel, down-after-milliseconds {downAfter.TotalMilliseconds:0}");
        _redis = redis;
        _master = new MasterLink(redis.Master.Address);
    }

    public string Name { get; }

    internal static async Task<Sentinels> StartAsync(TimeSpan downAfter, CancellationToken ct)
    {
        Sentinels contender = new(downAfter, await RedisNodes.StartAsync(ct));
        try
        {
            for (int i = 0; i < 3; i++)
            {
                contender._sentinels.Add(await SentinelProcess.StartAsync(contender._redis.Master.Address, downAfter, ct));
            }

            await contender.WaitUntilReadyAsync(ct);
            foreach (SentinelProcess sentinel in contender._sentinels)
            {
                await contender.SubscribeAsync(sentinel, ct);
            }

            return contender;
        }
        catch
        {
            await contender.DisposeAsync();
            throw;
        }
    }

    public Task WriteAsync(string value)
    {
        lock (_lock)
        {
            return _master.SetAsync(value);
        }
    }

    /// <summary>SENTINEL FAILOVER gives up what the old master has not passed on; it is a failure made by hand.</summary>
    public bool SwitchesOver => false;

    public Task AimAsync(Along along, CancellationToken ct)
    {
        if (along != Along.Nothing)
        {
            _struck.Aim(() => _sentinels[0].Process, _sentinels[0].RestartAsync);
        }

        return Task.CompletedTask;
    }

    public long Strike(Fault fault)
    {
        long at = _redis.Strike(fault);
        _struck.Strike(fault);
        return at;
    }

    public Task<string> SwitchOverAsync(CancellationToken ct) => throw new NotSupportedException();

    public Task<string> ExplainAsync(CancellationToken ct) => Task.FromResult("");

    public async Task RestoreAsync(CancellationToken ct)
    {
        NodeAddress told;
        lock (_lock)
        {
            told = _master.Address;
        }

        await _struck.ReviveAsync(ct);
        await _redis.ReviveAsync(told, ct);
        await WaitUntilReadyAsync(ct);
        await ListenAgainAsync(ct);
    }

    public async ValueTask DisposeAsync()
    {
        foreach (RedisWire subscription in _subscriptions)
        {
            await subscription.DisposeAsync();
        }

        await Task.WhenAll(_listening);
        foreach (SentinelProcess sentinel in _sentinels)
        {
            await sentinel.DisposeAsync();
        }

        await _master.DisposeAsync();
        await _redis.DisposeAsync();
    }

    /// <summary>
    /// All three see the same master in order: not always the one that they announced, at times they fail over once more.
    /// </summary>
    private async Task WaitUntilReadyAsync(CancellationToken ct)
    {
        string?[] ports = await Eventually.HoldsAsync(
            "The three sentinels see one master with two replicas in order",
            token => Task.WhenAll(_sentinels.Select(sentinel => sentinel.HealthyMasterPortAsync(token))),
            ports => ports[0] is not null && ports.All(port => port == ports[0]),
            TimeSpan.FromSeconds(90),
            () => _sentinels[0].Tail(),
            ct);
        await _redis.SettleAsync(NodeAddress.Parse($"127.0.0.1:{ports[0]}"), ct);
    }

    private async Task SubscribeAsync(SentinelProcess sentinel, CancellationToken ct)
    {
        RedisWire subscription = await sentinel.SubscribeAsync(ct);
        _subscriptions.Add(subscription);
        _listening.Add(ListenAsync(subscription));
    }

    /// <summary>The subscription of a sentinel that was killed has ended with it.</summary>
    private async Task ListenAgainAsync(CancellationToken ct)
    {
        for (int i = 0; i < _sentinels.Count; i++)
        {
            if (_listening[i].IsCompleted)
            {
                await _subscriptions[i].DisposeAsync();
                _subscriptions[i] = await _sentinels[i].SubscribeAsync(ct);
                _listening[i] = ListenAsync(_subscriptions[i]);
            }
        }
    }

    private async Task ListenAsync(RedisWire subscription)
    {
        try
        {
            while (true)
            {
                // message, +switch-master, "name old-host old-port new-host new-port"
                string[] words = (await subscription.ReadAsync())[2].Text!.Split(' ');
                NodeAddress told = NodeAddress.Parse($"{words[3]}:{words[4]}");
                MasterLink? left = null;
                lock (_lock)
                {
                    if (told != _master.Address)
                    {
                        left = _master;
                        _master = new MasterLink(told);
                    }
                }

                if (left is not null)
                {
                    await left.DisposeAsync();
                }
            }
        }
        catch (Exception e) when (e is SocketException or ObjectDisposedException or EndOfStreamException)
        {
            // The benchmark is over.
        }
    }
}
