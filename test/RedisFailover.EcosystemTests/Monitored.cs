using RedisFailover.Client;
using RedisFailover.IntegrationTests.Harness;

namespace RedisFailover.EcosystemTests;

/// <summary>Three Redis nodes and one monitor.</summary>
internal sealed class Monitored(Cluster cluster, FailoverConnection connection, NodeAddress master, RecordedLog log) : IStruck
{
    private bool _frozen;

    public Cluster Cluster => cluster;

    public FailoverConnection Connection => connection;

    public IEnumerable<NodeAddress> Nodes => cluster.Redis.Select(r => r.Address);

    /// <summary>What the client has logged.</summary>
    public IReadOnlyCollection<string> Log => log.Lines;

    public static async Task<Monitored> StartAsync()
    {
        Cluster cluster = await Cluster.StartAsync(new ClusterOptions { Monitors = 1 });
        Topology before = await cluster.WaitUntilWholeAsync(TimeSpan.FromSeconds(60));
        var log = new RecordedLog();
        return new Monitored(
            cluster,
            await FailoverConnection.ConnectAsync(cluster.ConnectionString,
                new FailoverOptions { ConnectTimeout = TimeSpan.FromSeconds(30), LoggerFactory = log }),
            before.Master!,
            log);
    }

    public async Task StrikeAsync(string fault)
    {
        switch (fault)
        {
            case "kill -9":
                cluster.Node(master).Kill();
                break;
            case "SIGSTOP":
                cluster.Node(master).Freeze();
                _frozen = true;
                break;
            default:
                using (var limit = new CancellationTokenSource(TimeSpan.FromSeconds(60)))
                {
                    await connection.FailoverAsync(cancellationToken: limit.Token);
                }

                break;
        }

        await Eventually.HoldsAsync(
            "another master is known", () => connection.Topology.Master is { } next && next != master, TimeSpan.FromSeconds(60));
    }

    public void Thaw()
    {
        if (_frozen)
        {
            cluster.Node(master).Thaw();
        }
    }

    public async ValueTask DisposeAsync()
    {
        await connection.DisposeAsync();
        await cluster.DisposeAsync();
    }
}
