using System.Collections.Immutable;
using System.Net.Sockets;
using RedisFailover.IntegrationTests.Harness;

namespace RedisFailover.Chaos.Load;

/// <summary>
/// As Redis' guidelines for Sentinel clients say: subscribed to +switch-master at every sentinel, and after a failure the sentinels are
/// asked in turn; who claims to be master must say so itself.
/// </summary>
internal sealed class SentinelMaster : IMasterSource
{
    private static readonly TimeSpan Patience = TimeSpan.FromMilliseconds(500);
    private readonly ImmutableArray<NodeAddress> _sentinels;
    private readonly CancellationTokenSource _stop = new();
    private readonly SemaphoreSlim _doubted = new(1, 1);
    private readonly Task[] _parts;
    private readonly Office _office = new();

    internal SentinelMaster(ImmutableArray<NodeAddress> sentinels)
    {
        _sentinels = sentinels;
        _parts = [.. sentinels.Select(ListenAsync), AskAsync()];
    }

    public Term? Current => _office.Current;

    public void Doubt()
    {
        if (_doubted.CurrentCount == 0)
        {
            try
            {
                _doubted.Release();
            }
            catch (SemaphoreFullException)
            {
                // Another worker was quicker.
            }
        }
    }

    public async ValueTask DisposeAsync()
    {
        await _stop.CancelAsync();
        await Task.WhenAll(_parts);
        _stop.Dispose();
        _doubted.Dispose();
        _office.Dispose();
    }

    private async Task AskAsync()
    {
        try
        {
            while (true)
            {
                await _doubted.WaitAsync(_stop.Token);
                foreach (NodeAddress sentinel in _sentinels)
                {
                    if (await MasterByAsync(sentinel) is { } master)
                    {
                        _office.Take(master);
                        break;
                    }
                }

                await Task.Delay(Patience / 10, _stop.Token);
                if (_office.Current is null)
                {
                    Doubt();
                }
            }
        }
        catch (OperationCanceledException) when (_stop.IsCancellationRequested)
        {
            // The run is over.
        }
    }

    private async Task<NodeAddress?> MasterByAsync(NodeAddress sentinel)
    {
        using CancellationTokenSource deadline = CancellationTokenSource.CreateLinkedTokenSource(_stop.Token);
        deadline.CancelAfter(Patience);
        try
        {
            await using RedisWire wire = await RedisWire.ConnectAsync(sentinel.Host, sentinel.Port, ct: deadline.Token);
            RedisReply address =
                await wire.CommandAsync(["SENTINEL", "GET-MASTER-ADDR-BY-NAME", Systems.SentinelSystem.MasterName], deadline.Token);
            NodeAddress master = NodeAddress.Parse($"{address[0].Text}:{address[1].Text}");
            await using RedisWire node = await RedisWire.ConnectAsync(master.Host, master.Port, ct: deadline.Token);
            return (await node.CommandAsync(["ROLE"], deadline.Token))[0].Text == "master" ? master : null;
        }
        catch (Exception e) when (e is SocketException or IOException or RedisErrorException
            || (e is OperationCanceledException && !_stop.IsCancellationRequested))
        {
            return null;
        }
    }

    private async Task ListenAsync(NodeAddress sentinel)
    {
        while (!_stop.IsCancellationRequested)
        {
            try
            {
                await using RedisWire wire = await RedisWire.ConnectAsync(sentinel.Host, sentinel.Port, ct: _stop.Token);
                await wire.CommandAsync(["SUBSCRIBE", "+switch-master"], _stop.Token);
                while (true)
                {
                    // message, +switch-master, "name old-host old-port new-host new-port"
                    string[] words = (await wire.ReadAsync(_stop.Token))[2].Text!.Split(' ');
                    _office.Take(NodeAddress.Parse($"{words[3]}:{words[4]}"));
                }
            }
            catch (Exception e) when (e is SocketException or IOException or RedisErrorException)
            {
                await Task.Delay(Patience).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            }
            catch (OperationCanceledException) when (_stop.IsCancellationRequested)
            {
                return;
            }
        }
    }
}
