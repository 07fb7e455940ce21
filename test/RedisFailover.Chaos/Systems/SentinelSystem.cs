using System.Globalization;
using RedisFailover.IntegrationTests.Harness;

namespace RedisFailover.Chaos.Systems;

/// <summary>Three sentinels with quorum 2 and down-after-milliseconds 1000, three nodes, two clients: a machine each.</summary>
internal sealed class SentinelSystem : ISystem
{
    internal const string MasterName = "chaos";
    private const int Port = 26379;
    private readonly List<RedisNode> _nodes = [];
    private readonly List<Machine> _sentinels = [];
    private readonly List<Machine> _clients = [];

    private SentinelSystem(Network network) => Network = network;

    public string Name => "Redis Sentinel";

    public Network Network { get; }

    public IReadOnlyList<RedisNode> Nodes => _nodes;

    public IReadOnlyList<Machine> Monitors => _sentinels;

    public IReadOnlyList<Machine> ZooKeepers => [];

    public IReadOnlyList<Machine> Clients => _clients;

    internal static async Task<SentinelSystem> StartAsync(Network network, string directory, ChaosOptions options)
    {
        SentinelSystem system = new(network);
        try
        {
            for (int i = 1; i <= 3; i++)
            {
                Machine node = await network.AddAsync($"r{i}", directory);
                system._nodes.Add(await RedisNode.StartAsync(node, i, i == 1 ? null : system._nodes[0], options.AppendOnly));
                system._sentinels.Add(await network.AddAsync($"s{i}", directory));
            }

            foreach (Machine sentinel in system._sentinels)
            {
                await system.StartSentinelAsync(sentinel);
            }

            string sentinels =
                string.Join(',', system._sentinels.Select(s => string.Create(CultureInfo.InvariantCulture, $"{s.Address}:{Port}")));
            for (int i = 1; i <= 2; i++)
            {
                Machine client = await network.AddAsync($"c{i}", directory);
                system._clients.Add(client);
                await client.StartAsync(
                    Programs.Dotnet,
                    typeof(SentinelSystem).Assembly.Location,
                    "load",
                    "sentinel",
                    sentinels,
                    i.ToString(CultureInfo.InvariantCulture),
                    Path.Combine(client.Directory, "journal"),
                    options.Rate.ToString(CultureInfo.InvariantCulture),
                    options.Replicated ? "1" : "0",
                    "serve");
            }

            return system;
        }
        catch
        {
            await system.DisposeAsync();
            throw;
        }
    }

    public Task<Machine> LeaderAsync(CancellationToken ct) => Task.FromResult(_sentinels[0]);

    public Task<Machine> ZooKeeperLeaderAsync(CancellationToken ct) => throw new NotSupportedException("Sentinel needs no ZooKeeper.");

    public async Task<string?> ComplaintAsync(RedisNode master, CancellationToken ct)
    {
        foreach (Machine sentinel in _sentinels)
        {
            await using RedisWire wire = await RedisWire.ConnectAsync(sentinel.Address, Port, ct: ct);
            RedisReply seen = await wire.CommandAsync(["SENTINEL", "MASTER", MasterName], ct);
            RedisReply replicas = await wire.CommandAsync(["SENTINEL", "REPLICAS", MasterName], ct);
            string port = master.Port.ToString(CultureInfo.InvariantCulture);
            if (Field(seen, "port") != port || Field(seen, "flags") != "master")
            {
                return $"{sentinel}: master {Field(seen, "ip")}:{Field(seen, "port")}, {Field(seen, "flags")}";
            }

            RedisReply[] wrong = [.. replicas.Items.Where(r =>
                Field(r, "flags") != "slave" || Field(r, "master-link-status") != "ok" || Field(r, "master-port") != port)];
            if (replicas.Items.Length != _nodes.Count - 1 || wrong.Length > 0)
            {
                return $"{sentinel}: {string.Join("; ", wrong.Select(r => $"{Field(r, "name")} {Field(r, "flags")}, link {Field(r, "master-link-status")}"))}";
            }
        }

        return null;
    }

    public async Task SwitchOverAsync(CancellationToken ct)
    {
        await using RedisWire wire = await RedisWire.ConnectAsync(_sentinels[0].Address, Port, ct: ct);
        await wire.CommandAsync(["SENTINEL", "FAILOVER", MasterName], ct);
    }

    public Task<string?> HelpAsync(CancellationToken ct) => Task.FromResult<string?>(null);

    public Task<IReadOnlyList<string>?> NotedLossesAsync(DateTime since, CancellationToken ct)
        => Task.FromResult<IReadOnlyList<string>?>(null);

    public Task SaveRecordsAsync(string directory, CancellationToken ct) => Task.CompletedTask;

    public async ValueTask DisposeAsync()
    {
        Machine[] machines = [.. _clients, .. _sentinels, .. _nodes.Select(node => node.Machine)];
        await Task.WhenAll(machines.Select(machine => machine.DisposeAsync().AsTask()));
        await Network.RemoveAsync(machines);
    }

    private async Task StartSentinelAsync(Machine machine)
    {
        string conf = Path.Combine(machine.Directory, "sentinel.conf");
        await File.WriteAllLinesAsync(
            conf,
            [
                string.Create(CultureInfo.InvariantCulture, $"port {Port}"),
                $"bind {machine.Address}",
                "protected-mode no",
                $"dir {machine.Directory}",
                string.Create(CultureInfo.InvariantCulture,
                    $"sentinel monitor {MasterName} {_nodes[0].Machine.Address} {_nodes[0].Port} 2"),
                $"sentinel down-after-milliseconds {MasterName} 1000",
                $"sentinel failover-timeout {MasterName} 10000",
                $"sentinel parallel-syncs {MasterName} 2",
            ]);
        await machine.StartAsync(Programs.RedisServer, conf, "--sentinel");
    }

    private static string? Field(RedisReply map, string name)
    {
        for (int i = 0; i + 1 < map.Items.Length; i += 2)
        {
            if (map[i].Text == name)
            {
                return map[i + 1].Text;
            }
        }

        return null;
    }
}
