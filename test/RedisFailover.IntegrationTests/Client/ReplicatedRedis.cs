using RedisFailover.Client;
using RedisFailover.IntegrationTests.Harness;

namespace RedisFailover.IntegrationTests.Client;

/// <summary>A master and its replicas, and a client that is told by hand who is who: what the monitors would do, step by step.</summary>
internal sealed class ReplicatedRedis : IAsyncDisposable
{
    private readonly List<RedisServer> _servers = [];
    private long _epoch = 1;

    public IReadOnlyList<RedisServer> Servers => _servers;

    public RedisServer Master { get; private set; } = null!;

    public PublishedTopology Topology { get; } = new();

    public FailoverConnection Connection { get; private set; } = null!;

    public static async Task<ReplicatedRedis> StartAsync(int replicas = 2, FailoverOptions? options = null,
        RedisServerOptions? redis = null, TimeSpan? granted = null)
    {
        var started = new ReplicatedRedis();
        try
        {
            started.Master = await RedisServer.StartAsync(redis);
            started._servers.Add(started.Master);
            for (int i = 0; i < replicas; i++)
            {
                started._servers.Add(
                    await RedisServer.StartAsync((redis ?? new RedisServerOptions()) with { ReplicaOf = started.Master.Address }));
            }

            foreach (RedisServer replica in started._servers.Skip(1))
            {
                await Eventually.HoldsAsync($"{replica.Address} is in sync", ct
                    => replica.InfoAsync("replication", ct), info => info["master_link_status"] == "up");
            }

            started.Topology.SessionTimeout = granted ?? started.Topology.SessionTimeout;
            started.Publish(started.Master);
            started.Connection = await Connected.ToAllAsync(started.Topology, options);
            return started;
        }
        catch
        {
            await started.DisposeAsync();
            throw;
        }
    }

    /// <summary>What the monitors write first: there is no master now.</summary>
    public void AnnounceFailover(TopologyState state = TopologyState.FailingOver)
    {
        _epoch++;
        Topology.Publish(
            PublishedTopology.Of(_epoch, null, [.. Others(Master)]) with { State = state,
                Intent = new FailoverIntent(Master.Address, null) });
    }

    /// <summary>What they write in the end.</summary>
    public void Publish(RedisServer master, params RedisServer[] lost)
    {
        Master = master;
        Topology.Publish(PublishedTopology.Of(_epoch, master.Address, [.. Others(master).Except(lost.Select(server => server.Address))]));
    }

    /// <summary>Promotes a replica that lives and publishes it, with the announcement before it.</summary>
    public async Task FailOverAsync(RedisServer to, bool announce = true)
    {
        RedisServer lost = Master;
        if (announce)
        {
            AnnounceFailover();
        }

        await to.CommandAsync("REPLICAOF", "NO", "ONE");
        Publish(to, lost);
    }

    public async ValueTask DisposeAsync()
    {
        if (Connection is not null)
        {
            await Connection.DisposeAsync();
        }

        foreach (RedisServer server in _servers)
        {
            await server.DisposeAsync();
        }
    }

    private IEnumerable<NodeAddress> Others(RedisServer but) => _servers.Where(server => server != but).Select(server => server.Address);
}
