using RedisFailover.IntegrationTests.Harness;

namespace RedisFailover.EcosystemTests;

/// <summary>Three Redis nodes and three real sentinels, quorum 2, that judge a silent master after a second.</summary>
internal sealed class Sentinelled : IStruck
{
    private readonly List<RedisServer> _redis = [];
    private readonly List<SentinelProcess> _sentinels = [];
    private RedisServer? _frozen;

    private Sentinelled()
    {
    }

    /// <summary>What StackExchange.Redis is given to find the master by them.</summary>
    public string ConnectionString
        => string.Join(',', _sentinels.Select(sentinel => $"127.0.0.1:{sentinel.Port}")) + ",serviceName=bench,abortConnect=false";

    public static async Task<Sentinelled> StartAsync()
    {
        var system = new Sentinelled();
        try
        {
            system._redis.Add(await RedisServer.StartAsync());
            for (int i = 0; i < 2; i++)
            {
                system._redis.Add(await RedisServer.StartAsync(new RedisServerOptions { ReplicaOf = system._redis[0].Address }));
            }

            for (int i = 0; i < 3; i++)
            {
                system._sentinels.Add(
                    await SentinelProcess.StartAsync(system._redis[0].Address, TimeSpan.FromSeconds(1), CancellationToken.None));
            }

            await Eventually.HoldsAsync(
                "the sentinels see one master with two replicas in order",
                ct => Task.WhenAll(system._sentinels.Select(sentinel => sentinel.HealthyMasterPortAsync(ct))),
                ports => ports.All(port => port is not null),
                TimeSpan.FromSeconds(90), () => system._sentinels[0].Tail());
            return system;
        }
        catch
        {
            await system.DisposeAsync();
            throw;
        }
    }

    public async Task StrikeAsync(string fault)
    {
        NodeAddress before = (await _sentinels[0].MasterAsync(CancellationToken.None))!;
        RedisServer master = _redis.Single(redis => redis.Address == before);
        switch (fault)
        {
            case "kill -9":
                master.Kill();
                break;
            case "SIGSTOP":
                master.Freeze();
                _frozen = master;
                break;
            default:
                await _sentinels[0].FailOverAsync(CancellationToken.None);
                break;
        }

        await Eventually.HoldsAsync(
            "the sentinels name another master", ct => _sentinels[0].MasterAsync(ct), now => now is not null && now != before,
            TimeSpan.FromSeconds(60), () => _sentinels[0].Tail());
    }

    public void Thaw() => _frozen?.Thaw();

    public async ValueTask DisposeAsync()
    {
        foreach (SentinelProcess sentinel in _sentinels)
        {
            await sentinel.DisposeAsync();
        }

        foreach (RedisServer redis in _redis)
        {
            await redis.DisposeAsync();
        }
    }
}
