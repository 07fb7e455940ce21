using System.Collections.Immutable;
using System.Globalization;

namespace RedisFailover.IntegrationTests.Harness;

/// <summary>How many of everything, and how the monitors are set.</summary>
public sealed record ClusterOptions
{
    public int ZooKeepers { get; init; } = 1;

    /// <summary>The first is the master, the others are its replicas.</summary>
    public int Redis { get; init; } = 3;

    public int Monitors { get; init; } = 3;

    public string ZnodePath { get; init; } = "/redis_failover";

    public RedisServerOptions RedisOptions { get; init; } = new();

    public ZooKeeperServerOptions ZooKeeperOptions { get; init; } = new();

    /// <summary>Id, nodes, ZooKeeper servers, path and password are filled in.</summary>
    public MonitorOptions MonitorOptions { get; init; } = new() { SessionTimeout = TimeSpan.FromSeconds(2), ProbeTimeout = TimeSpan.FromMilliseconds(300) };
}

/// <summary>ZooKeeper, Redis nodes and monitors ready-made: real processes that work together.</summary>
public sealed class Cluster : IAsyncDisposable
{
    private readonly List<MonitorProcess> _monitors = [];
    private readonly List<RedisServer> _redis = [];

    private Cluster(ClusterOptions options, ZooKeeperEnsemble zooKeeper)
    {
        Options = options;
        ZooKeeper = zooKeeper;
    }

    public ClusterOptions Options { get; }

    public ZooKeeperEnsemble ZooKeeper { get; }

    /// <summary>As they were started: the first was the first master.</summary>
    public IReadOnlyList<RedisServer> Redis => _redis;

    public IReadOnlyList<MonitorProcess> Monitors => _monitors;

    public ImmutableArray<NodeAddress> Addresses => [.. _redis.Select(redis => redis.Address)];

    /// <summary>What clients and the Cli are given: "h:p,h:p/redis_failover".</summary>
    public string ConnectionString => ZooKeeper.ConnectionString + Options.ZnodePath;

    /// <summary>Starts everything; the monitors may still be electing when it returns.</summary>
    public static async Task<Cluster> StartAsync(ClusterOptions? options = null, CancellationToken ct = default)
    {
        options ??= new ClusterOptions();
        Task<ZooKeeperEnsemble> zooKeeper = ZooKeeperEnsemble.StartAsync(options.ZooKeeperOptions, options.ZooKeepers, ct);
        Cluster cluster = new(options, await zooKeeper);
        try
        {
            await cluster.StartRedisAsync(ct);
            for (int i = 1; i <= options.Monitors; i++)
            {
                await cluster.StartMonitorAsync(ct: ct);
            }

            return cluster;
        }
        catch
        {
            await cluster.DisposeAsync();
            throw;
        }
    }

    /// <summary>One monitor more: m1, m2, m3 ...</summary>
    public async Task<MonitorProcess> StartMonitorAsync(Func<MonitorOptions, MonitorOptions>? change = null, CancellationToken ct = default)
    {
        MonitorOptions options = Options.MonitorOptions with
        {
            Id = string.Create(CultureInfo.InvariantCulture, $"m{_monitors.Count + 1}"),
            Nodes = Addresses,
            ZooKeepers = ZooKeeper.ConnectionString,
            ZnodePath = Options.ZnodePath,
            Password = Options.RedisOptions.Password,
        };
        MonitorProcess monitor = await MonitorProcess.StartAsync(change is null ? options : change(options), ct);
        _monitors.Add(monitor);
        return monitor;
    }

    public RedisServer Node(NodeAddress address) => _redis.Single(redis => redis.Address == address);

    /// <summary>The tails of everybody's logs, for the message of a test that fails.</summary>
    public string Explain()
        => string.Join(
            "\n\n", _monitors.Select(monitor => monitor.Process.Tail(40)).Concat(_redis.Select(redis => redis.Process.Tail(10))));

    public async ValueTask DisposeAsync()
    {
        foreach (MonitorProcess monitor in _monitors)
        {
            await monitor.DisposeAsync();
        }

        foreach (RedisServer redis in _redis)
        {
            await redis.DisposeAsync();
        }

        await ZooKeeper.DisposeAsync();
    }

    private async Task StartRedisAsync(CancellationToken ct)
    {
        for (int i = 0; i < Options.Redis; i++)
        {
            _redis.Add(await RedisServer.StartAsync(Options.RedisOptions with { ReplicaOf = i == 0 ? null : _redis[0].Address }, ct));
        }

        foreach (RedisServer replica in _redis.Skip(1))
        {
            await Eventually.HoldsAsync(
                $"Replica {replica.Address} follows",
                async token => (await replica.InfoAsync("replication", token))["master_link_status"],
                status => status == "up",
                ct: ct);
        }
    }
}
