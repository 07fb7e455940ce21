using System.Collections.Immutable;
using System.Globalization;
using System.Text;
using System.Text.Json;
using RedisFailover.ZooKeeper;

namespace RedisFailover.IntegrationTests.Harness;

/// <summary>How many of everything, and how the monitors are set.</summary>
public sealed record ClusterOptions
{
    public int ZooKeepers { get; init; } = 1;

    /// <summary>The first is the master, the others are its replicas.</summary>
    public int Redis { get; init; } = 3;

    public int Monitors { get; init; } = 3;

    /// <summary>Null for a path of its own.</summary>
    public string? ZnodePath { get; init; }

    /// <summary>For tests that stop, freeze or wipe the server. All others share one.</summary>
    public bool OwnZooKeeper { get; init; }

    public RedisServerOptions RedisOptions { get; init; } = new();

    /// <summary>Whether everybody, the nodes themselves too, reaches each node through a <see cref="FaultProxy"/>.</summary>
    public bool Proxies { get; init; }

    /// <summary>Of a server of its own; null for the usual ones.</summary>
    public ZooKeeperServerOptions? ZooKeeperOptions { get; init; }

    internal bool SharesZooKeeper => ZooKeepers == 1 && ZooKeeperOptions is null && !OwnZooKeeper && MonitorMachine is null;

    /// <summary>Where the monitors and ZooKeeper run, and where the nodes do; null for here.</summary>
    public Machine? MonitorMachine { get; init; }

    public Machine? RedisMachine { get; init; }

    /// <summary>What the monitors know the nodes by, without ports; empty for their addresses.</summary>
    public ImmutableArray<string> Names { get; init; } = [];

    /// <summary>Id, nodes, ZooKeeper servers, path and password are filled in.</summary>
    public MonitorOptions MonitorOptions { get; init; } =
        new() { SessionTimeout = TimeSpan.FromSeconds(2), ProbeTimeout = TimeSpan.FromMilliseconds(300) };
}

/// <summary>ZooKeeper, Redis nodes and monitors ready-made: real processes that work together.</summary>
public sealed partial class Cluster : IAsyncDisposable
{
    private static readonly ZnodePaths Paths = new("");
    private readonly List<MonitorProcess> _monitors = [];
    private readonly List<RedisServer> _redis = [];
    private readonly List<FaultProxy> _proxies = [];

    private readonly ZooKeeperClient _client;

    private Cluster(ClusterOptions options, ZooKeeperEnsemble zooKeeper)
    {
        Options = options;
        ZooKeeper = zooKeeper;
        ZnodePath = options.ZnodePath ?? SharedZooKeeper.NewRoot("redis_failover");
        _client = new ZooKeeperClient(new ZooKeeperOptions { Connection = ZooKeeperConnectionString.Parse(ConnectionString) });
    }

    public ClusterOptions Options { get; }

    /// <summary>Shared with other tests unless <see cref="ClusterOptions.OwnZooKeeper"/> says otherwise.</summary>
    public ZooKeeperEnsemble ZooKeeper { get; }

    /// <summary>The root of this cluster's znodes.</summary>
    public string ZnodePath { get; }

    /// <summary>As they were started: the first was the first master.</summary>
    public IReadOnlyList<RedisServer> Redis => _redis;

    public IReadOnlyList<MonitorProcess> Monitors => _monitors;

    /// <summary>In front of each node, in the same order; empty without <see cref="ClusterOptions.Proxies"/>.</summary>
    public IReadOnlyList<FaultProxy> Proxies => _proxies;

    /// <summary>What the monitors know the nodes by.</summary>
    public ImmutableArray<NodeAddress> Addresses
        => Options.Proxies ? [.. _proxies.Select(proxy => proxy.Address)]
            : Options.Names.IsEmpty ? [.. _redis.Select(redis => redis.Address)]
            : [.. _redis.Zip(Options.Names, (redis, name) => new NodeAddress(name, redis.Port))];

    /// <summary>What clients and the Cli are given: "h:p,h:p/redis_failover".</summary>
    public string ConnectionString => ZooKeeper.ConnectionString + ZnodePath;

    /// <summary>Starts everything; the monitors may still be electing when it returns.</summary>
    public static async Task<Cluster> StartAsync(ClusterOptions? options = null, CancellationToken ct = default)
    {
        options ??= new ClusterOptions();
        ZooKeeperEnsemble zooKeeper = options.SharesZooKeeper
            ? await SharedZooKeeper.GetAsync()
            : await ZooKeeperEnsemble.StartAsync(
                (options.ZooKeeperOptions ?? new ZooKeeperServerOptions()) with { Machine = options.MonitorMachine }, options.ZooKeepers,
                    ct);
        Cluster cluster = new(options, zooKeeper);
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
            ZnodePath = ZnodePath,
            Password = Options.RedisOptions.Password,
            Machine = Options.MonitorMachine,
        };
        MonitorProcess monitor = await MonitorProcess.StartAsync(change is null ? options : change(options), ct);
        _monitors.Add(monitor);
        return monitor;
    }

    /// <summary>What the znode holds now.</summary>
    public async Task<Topology> TopologyAsync(CancellationToken ct = default) => TopologyJson.Parse(await ReadAsync(Paths.Nodes, ct));

    /// <summary>Waits until the topology is as wished; the message of a failure shows it and all logs.</summary>
    public Task<Topology> WaitForAsync(string what, Func<Topology, bool> holds, TimeSpan? within = null, CancellationToken ct = default)
        => Eventually.HoldsAsync(what, TopologyAsync, holds, within, Explain, ct);

    /// <summary>Waits until there is a master and every node that was started is in use.</summary>
    public Task<Topology> WaitUntilWholeAsync(TimeSpan? within = null, CancellationToken ct = default)
        => WaitForAsync(
            "All nodes are in use",
            topology => topology.State == TopologyState.Ok && topology.Replicas.Length == _redis.Count - 1,
            within,
            ct);

    /// <summary>
    /// Waits until every monitor that was started has said that it reaches every node: one may be slower than the others.
    /// </summary>
    public async Task WaitForAllViewsAsync(CancellationToken ct = default)
    {
        foreach (MonitorProcess monitor in _monitors)
        {
            await Eventually.HoldsAsync(
                $"Monitor {monitor.Id} reaches every node",
                async token => MonitorReport.Parse(await ReadAsync(Paths.Monitor(monitor.Id), token)),
                report => Addresses.All(report.Available.ContainsKey),
                explain: Explain,
                ct: ct);
        }
    }

    /// <summary>The monitor that leads; waits until one does.</summary>
    public async Task<MonitorProcess> LeaderAsync(TimeSpan? within = null, CancellationToken ct = default)
    {
        string id = await Eventually.HoldsAsync(
            "A monitor leads",
            async token =>
            {
                using JsonDocument leader = JsonDocument.Parse(await ReadAsync(Paths.Leader, token));
                return leader.RootElement.GetProperty("id").GetString()!;
            },
            id => _monitors.Any(monitor => monitor.Id == id),
            within,
            Explain,
            ct);
        return _monitors.Single(monitor => monitor.Id == id);
    }

    /// <summary>Waits until a monitor leads that is not this one.</summary>
    public async Task<MonitorProcess> WaitForOtherLeaderAsync(MonitorProcess former, TimeSpan? within = null,
        CancellationToken ct = default)
        => await Eventually.HoldsAsync(
            $"Another monitor than {former.Id} leads", token => LeaderAsync(ct: token), leader => leader != former, within, Explain, ct);

    internal async Task<ImmutableArray<HistoryEntry>> HistoryAsync(CancellationToken ct = default)
        => HistoryJson.Parse(await ReadAsync(Paths.History, ct));

    /// <summary>Waits for an entry of the history, which is written a moment after the topology.</summary>
    internal async Task<HistoryEntry> WaitForHistoryAsync(string what, Func<HistoryEntry, bool> holds, TimeSpan? within = null,
        CancellationToken ct = default)
        => (await Eventually.HoldsAsync(what, token => HistoryAsync(token), entries => entries.Any(holds), within, Explain, ct))
            .First(holds);

    /// <summary>The content of a znode below the cluster's root.</summary>
    public async Task<ReadOnlyMemory<byte>> ReadAsync(string path, CancellationToken ct = default)
        => (await (await _client.GetSessionAsync(ct)).GetDataAsync(path, cancellationToken: ct)).Data;

    /// <summary>Whether there is such a znode below the cluster's root.</summary>
    public async Task<bool> ExistsAsync(string path, CancellationToken ct = default)
        => await (await _client.GetSessionAsync(ct)).ExistsAsync(path, cancellationToken: ct) is not null;

    /// <summary>The names of the znodes below one.</summary>
    public async Task<ImmutableArray<string>> ChildrenAsync(string path, CancellationToken ct = default)
        => [.. (await (await _client.GetSessionAsync(ct)).GetChildrenAsync(path, cancellationToken: ct)).Names];

    /// <summary>How often a znode has been written.</summary>
    public async Task<int> VersionAsync(string path, CancellationToken ct = default)
        => (await (await _client.GetSessionAsync(ct)).GetDataAsync(path, cancellationToken: ct)).Stat.Version;

    /// <summary>The session that an ephemeral znode belongs to; 0 where there is none.</summary>
    public async Task<long> OwnerAsync(string path, CancellationToken ct = default)
        => (await (await _client.GetSessionAsync(ct)).ExistsAsync(path, cancellationToken: ct))?.EphemeralOwner ?? 0;

    /// <summary>Writes a znode that is not there yet.</summary>
    public async Task CreateAsync(string path, string content, CancellationToken ct = default)
        => await (await _client.GetSessionAsync(ct)).CreateAsync(path, Encoding.UTF8.GetBytes(content), cancellationToken: ct);

    /// <summary>Overwrites a znode.</summary>
    public async Task WriteAsync(string path, string content, CancellationToken ct = default)
        => await (await _client.GetSessionAsync(ct)).SetDataAsync(path, Encoding.UTF8.GetBytes(content), cancellationToken: ct);

    /// <summary>Somebody leaves everybody, the monitors too, nothing but the right to read a znode, and to change that.</summary>
    public async Task ForbidWritingAsync(string path, CancellationToken ct = default)
        => await (await _client.GetSessionAsync(ct)).SetAclAsync(
            path, [new ZnodeAcl(ZnodePermissions.Read | ZnodePermissions.Admin, "world", "anyone")], cancellationToken: ct);

    /// <summary>Everybody may do everything with a znode again.</summary>
    public async Task AllowWritingAsync(string path, CancellationToken ct = default)
        => await (await _client.GetSessionAsync(ct)).SetAclAsync(path, ZnodeAcl.Open, cancellationToken: ct);

    /// <summary>Deletes a znode without children.</summary>
    public async Task DeleteAsync(string path, CancellationToken ct = default)
        => await (await _client.GetSessionAsync(ct)).DeleteAsync(path, -1, ct);

    public RedisServer Node(NodeAddress address) => _redis[Addresses.IndexOf(address)];

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

        foreach (FaultProxy proxy in _proxies)
        {
            await proxy.DisposeAsync();
        }

        await _client.DisposeAsync();
        if (!Options.SharesZooKeeper)
        {
            await ZooKeeper.DisposeAsync();
        }
    }

    private async Task StartRedisAsync(CancellationToken ct)
    {
        for (int i = 0; i < Options.Redis; i++)
        {
            NodeAddress? master = i == 0 ? null : Options.Proxies ? _proxies[0].Address : _redis[0].Address;
            _redis.Add(await RedisServer.StartAsync(Options.RedisOptions with { ReplicaOf = master, Machine = Options.RedisMachine }, ct));
            if (Options.Proxies)
            {
                _proxies.Add(FaultProxy.Start(_redis[i].Address));
            }
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
