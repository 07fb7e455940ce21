using RedisFailover.IntegrationTests.Harness;

namespace RedisFailover.Benchmarks.Failover;

/// <summary>The connection to one master, over which writes go one after the other. Disposing it fails those that still wait.</summary>
internal sealed class MasterLink : IAsyncDisposable
{
    private readonly CancellationTokenSource _left = new();
    private readonly SemaphoreSlim _turn = new(1, 1);
    private readonly Task<RedisWire> _wire;

    internal MasterLink(NodeAddress address)
    {
        Address = address;
        _wire = RedisWire.ConnectAsync(address.Host, address.Port);
    }

    internal NodeAddress Address { get; }

    internal async Task SetAsync(string value)
    {
        RedisWire wire = await _wire;
        await _turn.WaitAsync(_left.Token);
        try
        {
            await wire.CommandAsync(["SET", "bench", value], _left.Token);
        }
        finally
        {
            _turn.Release();
        }
    }

    public async ValueTask DisposeAsync()
    {
        await _left.CancelAsync();
        await (await _wire).DisposeAsync();
    }
}
