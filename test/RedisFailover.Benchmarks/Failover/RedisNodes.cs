using System.Collections.Immutable;
using System.Diagnostics;
using System.Globalization;
using RedisFailover.IntegrationTests.Harness;

namespace RedisFailover.Benchmarks.Failover;

/// <summary>Three Redis nodes, one of which is master: the part that both contenders share.</summary>
internal sealed class RedisNodes : IAsyncDisposable
{
    private readonly IReadOnlyList<RedisServer> _nodes;
    private RedisServer? _struck;
    private Fault _fault;

    internal RedisNodes(IReadOnlyList<RedisServer> nodes)
    {
        _nodes = nodes;
        Master = nodes[0];
    }

    internal RedisServer Master { get; private set; }

    internal ImmutableArray<NodeAddress> Addresses => [.. _nodes.Select(node => node.Address)];

    internal static async Task<RedisNodes> StartAsync(CancellationToken ct)
    {
        List<RedisServer> nodes = [];
        for (int i = 0; i < 3; i++)
        {
            nodes.Add(await RedisServer.StartAsync(new RedisServerOptions { ReplicaOf = i == 0 ? null : nodes[0].Address }, ct));
        }

        RedisNodes all = new(nodes);
        await all.WaitForReplicasAsync(ct);
        return all;
    }

    internal long Strike(Fault fault)
    {
        _struck = Master;
        _fault = fault;
        long at = Stopwatch.GetTimestamp();
        if (fault == Fault.Kill)
        {
            Master.Kill();
        }
        else
        {
            Master.Freeze();
        }

        return at;
    }

    /// <summary>
    /// The struck node comes back as a replica of the new master; by our hand, so that a round does not wait for anybody's habits.
    /// </summary>
    internal async Task ReviveAsync(NodeAddress master, CancellationToken ct)
    {
        RedisServer struck = _struck!;
        Master = _nodes.Single(node => node.Address == master);
        if (_fault == Fault.Kill)
        {
            await struck.RestartAsync(ct);
        }
        else
        {
            struck.Thaw();
        }

        string port = master.Port.ToString(CultureInfo.InvariantCulture);
        await Eventually.HoldsAsync(
            "The struck node takes orders",
            async token => (await struck.CommandAsync(["REPLICAOF", master.Host, port], token)).Text,
            reply => reply!.StartsWith("OK", StringComparison.Ordinal),
            ct: ct);
    }

    /// <summary>Whoever is master by now (a system may have changed its mind), it must have two replicas.</summary>
    internal Task SettleAsync(NodeAddress master, CancellationToken ct)
    {
        Master = _nodes.Single(node => node.Address == master);
        return WaitForReplicasAsync(ct);
    }

    public async ValueTask DisposeAsync()
    {
        foreach (RedisServer node in _nodes)
        {
            await node.DisposeAsync();
        }
    }

    private async Task WaitForReplicasAsync(CancellationToken ct)
        => await Eventually.HoldsAsync(
            "Two replicas follow the master",
            async token
                => (await Master.InfoAsync("replication", token)).Where(line => line.Key.StartsWith("slave", StringComparison.Ordinal))
                    .ToList(),
            replicas => replicas.Count(replica => replica.Value.Contains("state=online", StringComparison.Ordinal)) == 2,
            TimeSpan.FromSeconds(60),
            ct: ct);
}
