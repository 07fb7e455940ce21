using System.Globalization;
using RedisFailover.Benchmarks.Failover;
using RedisFailover.Client;
using RedisFailover.IntegrationTests.Harness;

namespace RedisFailover.EcosystemTests;

/// <summary>Three Redis nodes and who replaces their master.</summary>
internal interface IStruck
{
    /// <summary>Strikes the master and returns once another one is known.</summary>
    Task StrikeAsync(string fault);

    /// <summary>Ends what a SIGSTOP began.</summary>
    void Thaw();
}

/// <summary>One monitor of this system.</summary>
internal sealed class Monitored(Cluster cluster, FailoverConnection connection, NodeAddress master) : IStruck, IAsyncDisposable
{
    private bool _frozen;

    public FailoverConnection Connection => connection;

    /// <summary>"127.0.0.1:p,127.0.0.1:p,127.0.0.1:p".</summary>
    public string Nodes => string.Join(',', cluster.Redis.Select(node => node.Address));

    public static async Task<Monitored> StartAsync()
    {
        Cluster cluster = await Cluster.StartAsync(new ClusterOptions { Monitors = 1 });
        Topology before = await cluster.WaitUntilWholeAsync(TimeSpan.FromSeconds(60));
        return new Monitored(
            cluster,
            await FailoverConnection.ConnectAsync(cluster.ConnectionString,
                new FailoverOptions { ConnectTimeout = TimeSpan.FromSeconds(30) }),
            before.Master!);
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

/// <summary>Three Sentinels, a second of silence until they act.</summary>
internal sealed class WatchedBySentinels(RedisNodes redis, IReadOnlyList<SentinelProcess> sentinels) : IStruck, IAsyncDisposable
{
    private readonly RedisServer _master = redis.Master;
    private bool _frozen;

    /// <summary>"127.0.0.1:p,127.0.0.1:p,127.0.0.1:p".</summary>
    public string Sentinels => string.Join(',', sentinels.Select(sentinel => $"127.0.0.1:{sentinel.Port}"));

    public static async Task<WatchedBySentinels> StartAsync()
    {
        RedisNodes redis = await RedisNodes.StartAsync(CancellationToken.None);
        List<SentinelProcess> sentinels = [];
        for (int i = 0; i < 3; i++)
        {
            sentinels.Add(await SentinelProcess.StartAsync(redis.Master.Address, TimeSpan.FromSeconds(1), CancellationToken.None));
        }

        await KnowAsync(sentinels, port => port is not null);
        return new WatchedBySentinels(redis, sentinels);
    }

    public async Task StrikeAsync(string fault)
    {
        switch (fault)
        {
            case "kill -9":
                _master.Kill();
                break;
            case "SIGSTOP":
                _master.Freeze();
                _frozen = true;
                break;
            default:
                await using (RedisWire wire = await RedisWire.ConnectAsync("127.0.0.1", sentinels[0].Port))
                {
                    await wire.CommandAsync(["SENTINEL", "FAILOVER", "bench"]);
                }

                break;
        }

        string old = _master.Address.Port.ToString(CultureInfo.InvariantCulture);
        await Eventually.HoldsAsync(
            "another master is announced",
            async token => await sentinels[0].MasterPortAsync(token),
            port => port is not null && port != old,
            TimeSpan.FromSeconds(60));
    }

    public void Thaw()
    {
        if (_frozen)
        {
            _master.Thaw();
        }
    }

    public async ValueTask DisposeAsync()
    {
        foreach (SentinelProcess sentinel in sentinels)
        {
            await sentinel.DisposeAsync();
        }

        await redis.DisposeAsync();
    }

    private static async Task KnowAsync(List<SentinelProcess> sentinels, Func<string?, bool> holds)
        => await Eventually.HoldsAsync(
            "the Sentinels see a master with two replicas in order",
            token => Task.WhenAll(sentinels.Select(sentinel => sentinel.HealthyMasterPortAsync(token))),
            ports => ports.All(holds),
            TimeSpan.FromSeconds(90));
}
