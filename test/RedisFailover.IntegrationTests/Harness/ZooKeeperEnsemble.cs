using System.Collections.Immutable;

namespace RedisFailover.IntegrationTests.Harness;

/// <summary>Three real ZooKeeper servers (or as many as asked for) that form one ensemble.</summary>
public sealed class ZooKeeperEnsemble : IAsyncDisposable
{
    private ZooKeeperEnsemble(ImmutableArray<ZooKeeperServer> servers) => Servers = servers;

    public ImmutableArray<ZooKeeperServer> Servers { get; }

    /// <summary>"127.0.0.1:p,127.0.0.1:p,127.0.0.1:p".</summary>
    public string ConnectionString => string.Join(',', Servers.Select(server => server.ConnectionString));

    public static async Task<ZooKeeperEnsemble> StartAsync(ZooKeeperServerOptions? options = null, int size = 3,
        CancellationToken ct = default)
    {
        ImmutableArray<(int, int)> peers = size == 1
            ? [] : [.. Enumerable.Range(0, size).Select(_ => (FreePorts.Next(), FreePorts.Next()))];
        ZooKeeperEnsemble ensemble = new(
            [.. Enumerable.Range(1, size)
                .Select(id => new ZooKeeperServer((options ?? new ZooKeeperServerOptions()) with { Id = id, Peers = peers }))]);
        try
        {
            // No server serves before a majority is up, so all are started before any is waited for.
            await Task.WhenAll(ensemble.Servers.Select(server => server.StartProcessAsync(ct)));
            await Task.WhenAll(ensemble.Servers.Select(server => server.WaitUntilServingAsync(ct)));
            return ensemble;
        }
        catch
        {
            await ensemble.DisposeAsync();
            throw;
        }
    }

    /// <summary>The server that leads the quorum (not to be confused with the leading monitor).</summary>
    public async Task<ZooKeeperServer> LeaderAsync(CancellationToken ct = default) => await FindAsync("leader", ct);

    public async Task<ZooKeeperServer> FollowerAsync(CancellationToken ct = default) => await FindAsync("follower", ct);

    public async ValueTask DisposeAsync()
    {
        foreach (ZooKeeperServer server in Servers)
        {
            await server.DisposeAsync();
        }
    }

    private async Task<ZooKeeperServer> FindAsync(string mode, CancellationToken ct)
    {
        foreach (ZooKeeperServer server in Servers.Where(server => server.Process.IsRunning))
        {
            if (await server.ModeAsync(ct) == mode)
            {
                return server;
            }
        }

        throw new InvalidOperationException($"No ZooKeeper server is {mode} now.");
    }
}
