using System.Globalization;
using System.Net.Sockets;
using System.Text;
using System.Text.Json;
using RedisFailover.IntegrationTests.Harness;
using RedisFailover.ZooKeeper;

namespace RedisFailover.Chaos.Systems;

/// <summary>Three monitors, an ensemble of three ZooKeeper servers, three nodes, two clients of the library: a machine each.</summary>
internal sealed class OurSystem : ISystem
{
    private const int ZooKeeperPort = 2181;
    private static readonly ZnodePaths Paths = new(ZnodePaths.DefaultRoot);
    private readonly List<RedisNode> _nodes = [];
    private readonly List<Machine> _monitors = [];
    private readonly List<Machine> _zooKeepers = [];
    private readonly List<Machine> _clients = [];
    private ZooKeeperClient? _zooKeeper;

    private OurSystem(Network network) => Network = network;

    public string Name => "redis-failover-zk";

    public Network Network { get; }

    public IReadOnlyList<RedisNode> Nodes => _nodes;

    public IReadOnlyList<Machine> Monitors => _monitors;

    public IReadOnlyList<Machine> ZooKeepers => _zooKeepers;

    public IReadOnlyList<Machine> Clients => _clients;

    internal static async Task<OurSystem> StartAsync(Network network, string directory, ChaosOptions options, CancellationToken ct)
    {
        OurSystem system = new(network);
        try
        {
            for (int i = 1; i <= 3; i++)
            {
                system._zooKeepers.Add(await network.AddAsync($"z{i}", directory));
                Machine node = await network.AddAsync($"r{i}", directory);
                system._nodes.Add(await RedisNode.StartAsync(node, i, i == 1 ? null : system._nodes[0], options.AppendOnly));
                system._monitors.Add(await network.AddAsync($"m{i}", directory));
            }

            for (int i = 1; i <= 3; i++)
            {
                await system.StartZooKeeperAsync(i);
            }

            string servers = string.Join(',', system._zooKeepers.Select(z => $"{z.Address}:{ZooKeeperPort}"));
            await Eventually.HoldsAsync("ZooKeeper has a quorum", system.ZooKeeperLeaderAsync, _ => true, TimeSpan.FromSeconds(60), ct: ct);
            system._zooKeeper = new ZooKeeperClient(new ZooKeeperOptions { Connection = ZooKeeperConnectionString.Parse(servers) });
            foreach (Machine monitor in system._monitors)
            {
                await monitor.StartAsync(
                    Programs.Dotnet,
                    [
                        Programs.Monitor, "--id", monitor.Name, "--nodes", string.Join(',', system._nodes.Select(node => node.Address)),
                        "--zkservers", servers, "--probe-timeout", "333",
                        .. (options.Replicated ? ["--write-safety", "replicated"] : Array.Empty<string>()),
                    ]);
            }

            await Eventually.HoldsAsync(
                "The monitors have found the master", token
                    => system.ReadAsync(Paths.Nodes, token), _ => true, TimeSpan.FromSeconds(60), ct: ct);
            string connection = servers + ZnodePaths.DefaultRoot;
            for (int i = 1; i <= 2; i++)
            {
                Machine client = await network.AddAsync($"c{i}", directory);
                system._clients.Add(client);
                await client.StartAsync(
                    Programs.Dotnet,
                    typeof(OurSystem).Assembly.Location,
                    "load",
                    options.Replicated ? "topology" : "library",
                    connection,
                    i.ToString(CultureInfo.InvariantCulture),
                    Path.Combine(client.Directory, "journal"),
                    options.Rate.ToString(CultureInfo.InvariantCulture),
                    options.Replicated ? "1" : "0",
                    options.FenceWrites ? "fence" : "serve");
            }

            return system;
        }
        catch
        {
            await system.DisposeAsync();
            throw;
        }
    }

    public async Task<Machine> LeaderAsync(CancellationToken ct)
    {
        using JsonDocument leader = JsonDocument.Parse(await ReadAsync(Paths.Leader, ct));
        string id = leader.RootElement.GetProperty("id").GetString()!;
        return _monitors.Single(monitor => monitor.Name == id);
    }

    public async Task<Machine> ZooKeeperLeaderAsync(CancellationToken ct)
    {
        foreach (Machine server in _zooKeepers.Where(z => z is { IsRunning: true, IsFrozen: false }))
        {
            try
            {
                using TcpClient client = new();
                await client.ConnectAsync(server.Address, ZooKeeperPort, ct);
                await client.GetStream().WriteAsync("srvr"u8.ToArray(), ct);
                using StreamReader reader = new(client.GetStream(), Encoding.ASCII);
                if ((await reader.ReadToEndAsync(ct)).Contains("Mode: leader", StringComparison.Ordinal))
                {
                    return server;
                }
            }
            catch (Exception e) when (e is SocketException or IOException)
            {
                // It starts, or ends.
            }
        }

        throw new IOException("no ZooKeeper server leads");
    }

    public async Task<string?> ComplaintAsync(RedisNode master, CancellationToken ct)
    {
        Topology topology = TopologyJson.Parse(await ReadAsync(Paths.Nodes, ct));
        return topology.State != TopologyState.Ok || topology.Master != master.Address || topology.Replicas.Length != _nodes.Count - 1
            ? $"R/nodes: {TopologyJson.Name(topology.State)}, master {topology.Master?.ToString() ?? "none"}, replicas "
                + $"[{string.Join(' ', topology.Replicas)}], "
                + $"unavailable [{string.Join(' ', topology.Unavailable)}]: {topology.Reason}"
            : null;
    }

    public async Task SwitchOverAsync(CancellationToken ct)
    {
        ZooKeeperSession session = await _zooKeeper!.GetSessionAsync(ct);
        await session.CreateAsync(Paths.ManualFailover, Encoding.UTF8.GetBytes(ZnodePaths.AnyReplica), cancellationToken: ct);
    }

    /// <summary>
    /// With write safety, who waits for a node that was restarted waits for ever. An operator who knows that the last master has come back
    /// with its append-only file, which it writes before it replies, takes that one as it is.
    /// </summary>
    public async Task<string?> HelpAsync(CancellationToken ct)
    {
        Topology topology = TopologyJson.Parse(await ReadAsync(Paths.Nodes, ct));
        if (topology is not { State: TopologyState.FailingOver, Intent.From: { } lost }
            || !topology.Reason.Contains("alone may hold", StringComparison.Ordinal))
        {
            return null;
        }

        ZooKeeperSession session = await _zooKeeper!.GetSessionAsync(ct);
        await session.CreateAsync(Paths.ManualFailover, Encoding.UTF8.GetBytes(lost.ToString()), cancellationToken: ct);
        return $"takes {lost}, the lost master, as it is, because {topology.Reason}";
    }

    public async Task<IReadOnlyList<string>?> NotedLossesAsync(DateTime since, CancellationToken ct)
        => [.. HistoryJson.Parse(await ReadAsync(Paths.History, ct))
            .Where(entry
                => entry.At >= since
                    && (entry.BytesBehind is > 0
                        || (entry.BytesBehind is null && entry.Kind is HistoryKind.Failover or HistoryKind.Demoted)))
            .Select(entry => string.Create(
                CultureInfo.InvariantCulture,
                $"{entry.At:HH:mm:ss.fff} {entry.Kind} {entry.From} -> {entry.To}: "
                    + $"{(entry.BytesBehind is { } bytes ? $"{bytes} bytes" : "unknown")}: {entry.Reason}"))];

    public async Task SaveRecordsAsync(string directory, CancellationToken ct)
    {
        await File.WriteAllBytesAsync(Path.Combine(directory, "history.json"), (await ReadAsync(Paths.History, ct)).ToArray(), ct);
        await File.WriteAllBytesAsync(Path.Combine(directory, "nodes.json"), (await ReadAsync(Paths.Nodes, ct)).ToArray(), ct);
    }

    public async ValueTask DisposeAsync()
    {
        Machine[] machines = [.. _clients, .. _monitors, .. _nodes.Select(node => node.Machine), .. _zooKeepers];
        await Task.WhenAll(machines.Select(machine => machine.DisposeAsync().AsTask()));
        if (_zooKeeper is not null)
        {
            await _zooKeeper.DisposeAsync();
        }

        await Network.RemoveAsync(machines);
    }

    private async Task<ReadOnlyMemory<byte>> ReadAsync(string path, CancellationToken ct)
        => (await (await _zooKeeper!.GetSessionAsync(ct)).GetDataAsync(path, cancellationToken: ct)).Data;

    private async Task StartZooKeeperAsync(int number)
    {
        Machine machine = _zooKeepers[number - 1];
        string data = Directory.CreateDirectory(Path.Combine(machine.Directory, "data")).FullName;
        string conf = Path.Combine(machine.Directory, "zoo.cfg");
        await File.WriteAllTextAsync(Path.Combine(data, "myid"), number.ToString(CultureInfo.InvariantCulture));
        await File.WriteAllLinesAsync(
            conf,
            [
                "tickTime=500", $"dataDir={data}", string.Create(CultureInfo.InvariantCulture, $"clientPort={ZooKeeperPort}"),
                $"clientPortAddress={machine.Address}", "4lw.commands.whitelist=*", "admin.enableServer=false", "maxClientCnxns=0",
                "initLimit=20", "syncLimit=4",
                .. _zooKeepers.Select((peer, i) => $"server.{i + 1}={peer.Address}:2888:3888"),
            ]);
        await machine.StartAsync(
            Programs.Java,
            "-Xmx128m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-XX:-UsePerfData", "-Djava.net.preferIPv4Stack=true",
            "-Dorg.slf4j.simpleLogger.showDateTime=true", "-Dorg.slf4j.simpleLogger.dateTimeFormat=HH:mm:ss.SSS",
                "-Dzookeeper.forceSync=no",
            "-cp", Programs.ZooKeeperClassPath, "org.apache.zookeeper.server.quorum.QuorumPeerMain", conf);
    }
}
