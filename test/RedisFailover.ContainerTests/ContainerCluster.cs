using System.Collections.Immutable;
using System.Globalization;
using System.Text;
using System.Text.Json;
using DotNet.Testcontainers.Builders;
using DotNet.Testcontainers.Containers;
using DotNet.Testcontainers.Images;
using DotNet.Testcontainers.Networks;
using RedisFailover.IntegrationTests.Harness;

namespace RedisFailover.ContainerTests;

/// <summary>ZooKeeper, three Redis nodes and three monitors, a container each, on a network of their own.</summary>
internal sealed class ContainerCluster : IAsyncDisposable
{
    private const int Port = 6379;
    private const string Settings = "--appendonly yes --repl-diskless-sync-delay 0 --replica-announce-ip";
    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(90);
    private readonly INetwork _network;
    private readonly List<IContainer> _monitors = [];
    private readonly Dictionary<string, IContainer> _redis = [];
    private readonly Dictionary<string, string> _volumes = [];
    private IContainer? _zooKeeper;

    private ContainerCluster(INetwork network) => _network = network;

    /// <summary>The names of the nodes: r1, r2, r3.</summary>
    internal IReadOnlyCollection<string> Nodes => _redis.Keys;

    internal static async Task<ContainerCluster> StartAsync(string redisImage, string zooKeeperImage)
    {
        ContainerCluster cluster = new(new NetworkBuilder().Build());
        try
        {
            await cluster._network.CreateAsync();
            cluster._zooKeeper = cluster.Container(zooKeeperImage, "zk").WithEnvironment("ZOO_TICK_TIME", "500")
                .WithEnvironment("ZOO_4LW_COMMANDS_WHITELIST", "srvr").Build();
            for (int i = 1; i <= 3; i++)
            {
                string name = string.Create(CultureInfo.InvariantCulture, $"r{i}");
                cluster._redis.Add(name, cluster.RedisContainer(name, redisImage));
            }

            await Task.WhenAll(cluster._redis.Values.Append(cluster._zooKeeper).Select(container => container.StartAsync()));
            for (int i = 1; i <= 3; i++)
            {
                // Without an id: in each of them the monitor is process 1.
                cluster._monitors.Add(cluster.Container(Engine.MonitorImage, string.Create(CultureInfo.InvariantCulture, $"m{i}"))
                    .WithEnvironment("REDIS_FAILOVER_NODES", string.Join(',', cluster.Nodes.Select(Address)))
                    .WithEnvironment("REDIS_FAILOVER_ZKSERVERS", "zk:2181")
                    .WithEnvironment("REDIS_FAILOVER_PROBE_TIMEOUT", "500")
                    .Build());
            }

            await Task.WhenAll(cluster._monitors.Select(monitor => monitor.StartAsync()));
            return cluster;
        }
        catch
        {
            await cluster.DisposeAsync();
            throw;
        }
    }

    /// <summary>The operator's tool, in a monitor's container.</summary>
    internal async Task<Said> ToolAsync(params string[] arguments)
    {
        ExecResult result = await _monitors[0].ExecAsync(["redis-failover", .. arguments, "--zk", "zk:2181/redis_failover"]);
        return new Said((int)(result.ExitCode ?? -1), result.Stdout, result.Stderr);
    }

    internal async Task<Topology> TopologyAsync(CancellationToken ct = default)
    {
        Said said = await ToolAsync("status", "--json");
        using JsonDocument status = JsonDocument.Parse(said.Output);
        return TopologyJson.Parse(JsonSerializer.SerializeToUtf8Bytes(status.RootElement.GetProperty("topology")));
    }

    internal async Task<ImmutableArray<string>> MonitorsAsync(CancellationToken ct = default)
    {
        using JsonDocument status = JsonDocument.Parse((await ToolAsync("status", "--json")).Output);
        return [.. status.RootElement.GetProperty("monitors").EnumerateObject().Select(monitor => monitor.Name)];
    }

    internal Task<Topology> WaitForAsync(string what, Func<Topology, bool> holds)
        => Eventually.HoldsAsync(what, TopologyAsync, holds, s_patience, Explain);

    internal Task<Topology> WaitForOtherMasterAsync(NodeAddress former)
        => WaitForAsync("A replica is master", topology => topology.State == TopologyState.Ok && topology.Master != former);

    internal Task<Topology> WaitUntilWholeAsync()
        => WaitForAsync(
            "All nodes are in use", topology => topology is { State: TopologyState.Ok, Replicas.Length: 2, Unavailable.Length: 0 });

    /// <summary>redis-cli, in the node's own container.</summary>
    internal async Task<string> RedisAsync(string node, params string[] command)
    {
        ExecResult result = await _redis[node].ExecAsync(["redis-cli", "-p", Port.ToString(CultureInfo.InvariantCulture), .. command]);
        return result.Stdout.Trim();
    }

    /// <summary>kill -9, as far as the others can see.</summary>
    internal Task KillAsync(string node) => Engine.DoAsync("docker", "kill", _redis[node].Id);

    internal Task StartNodeAsync(string node) => Engine.DoAsync("docker", "start", _redis[node].Id);

    /// <summary>The host is lost: its address is gone from the network, and nobody is told.</summary>
    internal Task DisconnectAsync(string node) => Engine.DoAsync("docker", "network", "disconnect", "-f", _network.Name, _redis[node].Id);

    internal Task ConnectAsync(string node)
        => Engine.DoAsync("docker", "network", "connect", "--alias", node, _network.Name, _redis[node].Id);

    /// <summary>The same node, with its data and its name, of another image.</summary>
    internal async Task UpgradeAsync(string node, string image)
    {
        await Engine.DoAsync("docker", "stop", "-t", "15", _redis[node].Id);
        IContainer next = RedisContainer(node, image);
        IContainer former = _redis[node];
        _redis[node] = next;
        await Engine.DoAsync("docker", "network", "disconnect", "-f", _network.Name, former.Id);
        await next.StartAsync();
    }

    internal static string Address(string node) => string.Create(CultureInfo.InvariantCulture, $"{node}:{Port}");

    public async ValueTask DisposeAsync()
    {
        IEnumerable<IContainer> all = _monitors.Concat(_redis.Values).Append(_zooKeeper).OfType<IContainer>();
        await Task.WhenAll(all.Select(container => container.DisposeAsync().AsTask()));
        foreach (string volume in _volumes.Values)
        {
            await Engine.RunAsync("docker", ["volume", "rm", "-f", volume]);
        }

        await _network.DisposeAsync();
    }

    private string Explain()
    {
        StringBuilder text = new();
        foreach (IContainer monitor in _monitors)
        {
            (string output, string errors) = monitor.GetLogsAsync().GetAwaiter().GetResult();
            text.AppendLine(string.Join('\n', (output + errors).Split('\n').TakeLast(25))).AppendLine();
        }

        return text.ToString();
    }

    private ContainerBuilder Container(string image, string name) => new ContainerBuilder(image)
        .WithImagePullPolicy(PullPolicy.Missing).WithNetwork(_network).WithNetworkAliases(name).WithHostname(name);

    private IContainer RedisContainer(string name, string image)
    {
        string start = string.Create(
            CultureInfo.InvariantCulture,
            $"touch /data/redis.conf && exec redis-server /data/redis.conf --port {Port} --protected-mode no {Settings} {name}");
        // It outlives the container: an upgrade finds the data.
        string volume = _volumes.TryGetValue(name, out string? known) ? known : "redis-failover-" + Guid.NewGuid().ToString("n");
        _volumes[name] = volume;
        return Container(image, name).WithEntrypoint("sh", "-c").WithCommand(start).WithVolumeMount(volume, "/data").Build();
    }
}
