using System.Collections.Immutable;
using System.Globalization;
using System.Text.Json;
using RedisFailover.ZooKeeper;

namespace RedisFailover.IntegrationTests.Harness;

/// <summary>Several clusters that the same monitors watch: a master with its replicas each, below one root.</summary>
public sealed class SeveralClusters : IAsyncDisposable
{
    private readonly TemporaryDirectory _folder = new("clusters");
    private readonly Dictionary<string, List<RedisServer>> _redis = new(StringComparer.Ordinal);
    private readonly List<MonitorProcess> _monitors = [];
    private readonly ZooKeeperEnsemble _zooKeeper;
    private readonly ZooKeeperClient _client;
    private ImmutableArray<string> _listed = [];

    private SeveralClusters(ZooKeeperEnsemble zooKeeper)
    {
        _zooKeeper = zooKeeper;
        _client = new ZooKeeperClient(new ZooKeeperOptions { Connection = ZooKeeperConnectionString.Parse(zooKeeper.ConnectionString) });
    }

    /// <summary>What the clusters have in common.</summary>
    public string Root { get; } = SharedZooKeeper.NewRoot("several");

    public IReadOnlyList<MonitorProcess> Monitors => _monitors;

    /// <summary>What the tool is given as --zk.</summary>
    public string ConnectionString => _zooKeeper.ConnectionString + Root;

    /// <summary>ZooKeeper and the nodes of these clusters, two each; no monitors.</summary>
    public static async Task<SeveralClusters> StartAsync(params string[] names)
    {
        SeveralClusters clusters = new(await SharedZooKeeper.GetAsync());
        foreach (string name in names)
        {
            await clusters.AddNodesAsync(name);
        }

        return clusters;
    }

    /// <summary>The nodes of one cluster more; no monitor knows of it yet.</summary>
    public async Task AddNodesAsync(string name)
    {
        RedisServer master = await RedisServer.StartAsync();
        _redis[name] = [master];
        _redis[name].Add(await RedisServer.StartAsync(new RedisServerOptions { ReplicaOf = master.Address }));
    }

    /// <summary>An empty node more in one of the clusters; no monitor knows of it yet.</summary>
    public async Task AddNodeAsync(string name) => _redis[name].Add(await RedisServer.StartAsync());

    /// <summary>Whether the monitors' file names these clusters; what runs reads it at SIGHUP.</summary>
    public string Write(params string[] names)
    {
        _listed = [.. names];
        string file = _folder.File("monitor.json");
        File.WriteAllText(file, JsonSerializer.Serialize(new Dictionary<string, object>
        {
            ["zkservers"] = _zooKeeper.ConnectionString,
            ["znode-path"] = Root,
            ["session-timeout"] = "2s",
            ["probe-timeout"] = "300ms",
            ["clusters"] = names.Select(name => new { name, nodes = _redis[name].Select(r => r.Address.ToString()) }),
        }));
        return file;
    }

    /// <summary>A monitor of the clusters that the file names, or, with "all", of those that are found in ZooKeeper.</summary>
    public async Task<MonitorProcess> StartMonitorAsync(params string[] more)
    {
        MonitorProcess monitor = await MonitorProcess.StartAsync(new MonitorOptions
        {
            Id = string.Create(CultureInfo.InvariantCulture, $"m{_monitors.Count + 1}"),
            More = more.Length > 0
                ? [.. more, "--zkservers", _zooKeeper.ConnectionString, "--znode-path", Root, "--session-timeout", "2s", "--probe-timeout",
                    "300ms"]
                : ["--config", Write([.. _listed])],
        });
        _monitors.Add(monitor);
        return monitor;
    }

    /// <summary>A monitor of one of the clusters alone, by its nodes and its path; the caller disposes of it.</summary>
    public Task<MonitorProcess> StartMonitorOfOneAsync(string name, string id) => MonitorProcess.StartAsync(new MonitorOptions
    {
        Id = id,
        Nodes = Addresses(name),
        ZooKeepers = _zooKeeper.ConnectionString,
        ZnodePath = Paths(name).Root,
        SessionTimeout = TimeSpan.FromSeconds(2),
        ProbeTimeout = TimeSpan.FromMilliseconds(300),
    });

    public RedisServer Node(string name, NodeAddress address) => _redis[name].Single(r => r.Address == address);

    public ImmutableArray<NodeAddress> Addresses(string name) => [.. _redis[name].Select(r => r.Address)];

    public async Task<string> LeaderAsync(string name, CancellationToken ct = default)
    {
        using JsonDocument leader = JsonDocument.Parse(await ReadAsync(Paths(name).Leader, ct));
        return leader.RootElement.GetProperty("id").GetString()!;
    }

    public async Task<Topology> TopologyAsync(string name, CancellationToken ct = default)
        => TopologyJson.Parse(await ReadAsync(Paths(name).Nodes, ct));

    public Task<Topology> WaitForAsync(string name, string what, Func<Topology, bool> holds)
        => Eventually.HoldsAsync($"{name}: {what}", ct => TopologyAsync(name, ct), holds, explain: Explain);

    /// <summary>Waits until there is a master and the other node is in use.</summary>
    public Task<Topology> WaitUntilWholeAsync(string name)
        => WaitForAsync(name, "both nodes are in use", t => t.State == TopologyState.Ok && t.Replicas.Length == 1);

    internal ZnodePaths Paths(string name) => new ZnodePaths(Root).Cluster(name);

    public async Task<ReadOnlyMemory<byte>> ReadAsync(string path, CancellationToken ct = default)
        => (await (await _client.GetSessionAsync(ct)).GetDataAsync(path, cancellationToken: ct)).Data;

    public async Task<ZooKeeperSession> SessionAsync(CancellationToken ct = default) => await _client.GetSessionAsync(ct);

    public string Explain() => string.Join("\n\n", _monitors.Select(m => m.Process.Tail(60)));

    public async ValueTask DisposeAsync()
    {
        foreach (MonitorProcess monitor in _monitors)
        {
            await monitor.DisposeAsync();
        }

        foreach (RedisServer redis in _redis.Values.SelectMany(r => r))
        {
            await redis.DisposeAsync();
        }

        await _client.DisposeAsync();
        _folder.Dispose();
    }
}
