using System.Globalization;
using System.Text.Json;
using RedisFailover.Client;
using RedisFailover.IntegrationTests.Harness;
using RedisFailover.ZooKeeper;

namespace RedisFailover.Benchmarks.Failover;

/// <summary>This system: three monitors, ZooKeeper, and a client of the library.</summary>
internal sealed class OurMonitors : IContender
{
    private const int MaxFailures = 3;
    private readonly RedisNodes _redis;
    private readonly ZooKeeperEnsemble _zooKeeper;
    private readonly List<MonitorProcess> _monitors = [];
    private readonly Struck _struck = new();
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
            string.Create(CultureInfo.InvariantCulture,
                $"redis-failover-zk, {MaxFailures} x {probeTimeout.TotalMilliseconds:0} ms, {zooKeepers} ZooKeeper"),
            await RedisNodes.StartAsync(ct),
            // As config/zoo.cfg has it.
            await ZooKeeperEnsemble.StartAsync(
                new ZooKeeperServerOptions { ForceSync = true, ConfLines = ["syncLimit=2"] }, zooKeepers, ct));
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

            contender._client =
                await FailoverConnection.ConnectAsync(contender._zooKeeper.ConnectionString + "/redis_failover", cancellationToken: ct);
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

    public bool SwitchesOver => true;

    public async Task AimAsync(Along along, CancellationToken ct)
    {
        if (along == Along.Nothing)
        {
            return;
        }

        await using ZooKeeperSession session = await SessionAsync(ct);
        using JsonDocument leader = JsonDocument.Parse((await session.GetDataAsync(new ZnodePaths("").Leader, cancellationToken: ct)).Data);
        string id = leader.RootElement.GetProperty("id").GetString()!;
        MonitorProcess leading = _monitors.Single(monitor => monitor.Id == id);
        _struck.Aim(() => leading.Process, leading.RestartAsync);
        if (along == Along.Host && _zooKeeper.Servers.Length > 1)
        {
            ZooKeeperServer server = await _zooKeeper.LeaderAsync(ct);
            _struck.Aim(() => server.Process, server.StartAsync);
        }
    }

    public long Strike(Fault fault)
    {
        long at = _redis.Strike(fault);
        _struck.Strike(fault);
        return at;
    }

    public async Task<string> SwitchOverAsync(CancellationToken ct)
    {
        await using ZooKeeperSession session = await SessionAsync(ct);
        ZnodePaths paths = new("");
        await session.EnsurePathAsync(paths.Requests, ct);
        string path = await session.CreateAsync(paths.RequestPrefix, new OperatorRequest("").Write(), CreateMode.PersistentSequential,
                cancellationToken: ct);
        string id = path[(path.LastIndexOf('/') + 1)..];
        RequestAnswer answer = (await Eventually.HoldsAsync(
            "The request is answered",
            async token => OperatorRequest.Parse(id, (await session.GetDataAsync(path, cancellationToken: token)).Data, 0),
            request => request.Answer is not null,
            TimeSpan.FromSeconds(30),
            ct: ct)).Answer!;
        await WaitUntilReadyAsync(ct);
        return answer.Outcome == RequestOutcome.Done
            ? string.Join(", ", answer.Millis.Select(step => string.Create(CultureInfo.InvariantCulture, $"{step.Key} {step.Value:0.0}")))
            : throw new InvalidOperationException($"The switchover was {answer.Outcome}: {answer.Reason}");
    }

    public async Task RestoreAsync(CancellationToken ct)
    {
        await _struck.ReviveAsync(ct);
        await _redis.ReviveAsync(_client!.Topology.Master!, ct);
        await WaitUntilReadyAsync(ct);
        await WaitForMonitorsAsync(ct);
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

    /// <summary>How long each step of the last failover took, as the leading monitor noted it.</summary>
    public async Task<string> ExplainAsync(CancellationToken ct)
    {
        await using ZooKeeperSession session = await SessionAsync(ct);
        HistoryEntry? last = HistoryJson.Parse((await session.GetDataAsync(new ZnodePaths("").History, cancellationToken: ct)).Data)
            .LastOrDefault(entry => entry.Kind == HistoryKind.Failover);
        return last is null
            ? "" : string.Join(", ",
                last.Millis.Select(step => string.Create(CultureInfo.InvariantCulture, $"{step.Key} {step.Value:0.0}")));
    }

    private Task<ZooKeeperSession> SessionAsync(CancellationToken ct)
        => ZooKeeperSession.ConnectAsync(
            new ZooKeeperOptions { Connection = ZooKeeperConnectionString.Parse(_zooKeeper.ConnectionString + ZnodePaths.DefaultRoot) },
                ct);

    /// <summary>All three monitors have views of the nodes again: a verdict needs two of them.</summary>
    private async Task WaitForMonitorsAsync(CancellationToken ct)
    {
        await using ZooKeeperSession session = await SessionAsync(ct);
        ZnodePaths paths = new("");
        await Eventually.HoldsAsync(
            "Three monitors are here",
            async token => (await session.GetChildrenAsync(paths.Monitors, cancellationToken: token)).Names,
            names => _monitors.All(monitor => names.Contains(monitor.Id)),
            TimeSpan.FromSeconds(60),
            ct: ct);
    }

    private async Task WaitUntilReadyAsync(CancellationToken ct)
    {
        Topology ready = await Eventually.HoldsAsync(
            "The topology holds a master and two replicas",
            _ => Task.FromResult(_client!.Topology),
            topology => topology.State == TopologyState.Ok && topology.Replicas.Length == 2,
            TimeSpan.FromSeconds(60),
            () => string.Join("\n", _monitors.Select(monitor => monitor.Process.Tail())),
            ct);
        await _redis.SettleAsync(ready.Master!, ct);
    }
}
