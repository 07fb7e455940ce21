using System.Globalization;
using RedisFailover.Client;
using RedisFailover.IntegrationTests.Harness;

namespace RedisFailover.Benchmarks.Failover;

/// <summary>This system: three monitors, ZooKeeper, and a client of the library.</summary>
internal sealed class OurMonitors : IContender
{
    private const int MaxFailures = 3;
    private readonly RedisNodes _redis;
    private readonly ZooKeeperEnsemble _zooKeeper;
    private readonly List<MonitorProcess> _monitors = [];
    private FailoverConnection? _client;

    private OurMonitors(string name, RedisNodes redis, ZooKeeperEnsemble zooKeeper)
    {
        Name = name;
        _redis = redis;
        _zooKeeper = zooKeeper;
    }

    public string Name { get; }

    internal static async Task<OurMonitors> StartAsync(TimeSpan deadline, int zooKeepers, CancellationToken ct)
    {
        TimeSpan probeTimeout = TimeSpan.FromMilliseconds(Math.Round(deadline.TotalMilliseconds / MaxFailures));
        OurMonitors contender = new(
            string.Create(CultureInfo.InvariantCulture, $"redis-failover-zk, {MaxFailures} x {probeTimeout.TotalMilliseconds:0} ms, {zooKeepers} ZooKeeper"),
            await RedisNodes.StartAsync(ct),
            await ZooKeeperEnsemble.StartAsync(new ZooKeeperServerOptions { ForceSync = true }, zooKeepers, ct));
        try
        {
            for (int i = 1; i <= 3; i++)
            {
                contender._monitors.Add(await MonitorProcess.StartAsync(
                    new MonitorOptions
                    {
                        Id = string.Create(CultureInfo.InvariantCulture, $"m{i}"),
                        Nodes = contender._redis.Addresses,
                        ZooKeepers = contender._zooKeeper.ConnectionString,
                        MaxFailures = MaxFailures,
                        ProbeTimeout = probeTimeout,
                    },
                    ct));
            }

            contender._client = await FailoverConnection.ConnectAsync(contender._zooKeeper.ConnectionString + "/redis_failover", cancellationToken: ct);
            await contender.WaitUntilReadyAsync(ct);
            return contender;
        }
        catch
        {
            await contender.DisposeAsync();
            throw;
        }
    }

    public Task WriteAsync(string value) => _client!.GetDatabase().StringSetAsync("bench", value);

    public long Strike(Fault fault) => _redis.Strike(fault);

    public async Task RestoreAsync(CancellationToken ct)
    {
        await _redis.RestoreAsync(ct);
        await WaitUntilReadyAsync(ct);
    }

    public async ValueTask DisposeAsync()
    {
        if (_client is not null)
        {
            await _client.DisposeAsync();
        }

        foreach (MonitorProcess monitor in _monitors)
        {
            await monitor.DisposeAsync();
        }

        await _redis.DisposeAsync();
        await _zooKeeper.DisposeAsync();
    }

    private async Task WaitUntilReadyAsync(CancellationToken ct)
        => await Eventually.HoldsAsync(
            "The topology holds the master and two replicas",
            _ => Task.FromResult(_client!.Topology),
            topology => topology.State == TopologyState.Ok && topology.Master == _redis.Master.Address && topology.Replicas.Length == 2,
            TimeSpan.FromSeconds(60),
            () => string.Join("\n", _monitors.Select(monitor => monitor.Process.Tail())),
            ct);
}
