using RedisFailover.Benchmarks.Failover;
using RedisFailover.IntegrationTests.Harness;

namespace RedisFailover.EcosystemTests;

/// <summary>Three Redis nodes and three sentinels.</summary>
internal sealed class Sentineled : IStruck
{
    private readonly List<RedisServer> _redis = [];
    private readonly List<SentinelProcess> _sentinels = [];
    private bool _frozen;

    /// <summary>As sentinels are started by <see cref="SentinelProcess"/>.</summary>
    public const string Service = "bench";

    public IEnumerable<int> Ports => _sentinels.Select(s => s.Port);

    public static async Task<Sentineled> StartAsync(TimeSpan downAfter)
    {
        var system = new Sentineled();
        for (int i = 0; i < 3; i++)
        {
            system._redis.Add(
                await RedisServer.StartAsync(new RedisServerOptions { ReplicaOf = i == 0 ? null : system._redis[0].Address }));
        }

        for (int i = 0; i < 3; i++)
        {
            system._sentinels.Add(await SentinelProcess.StartAsync(system._redis[0].Address, downAfter, CancellationToken.None));
        }

        await Eventually.HoldsAsync(
            "the sentinels see all", ct => Task.WhenAll(system._sentinels.Select(s => s.HealthyMasterPortAsync(ct))),
            ports => ports.All(p => p is not null), TimeSpan.FromSeconds(90));
        return system;
    }

    public async Task StrikeAsync(string fault)
    {
        string master = Text(_redis[0].Port);
        switch (fault)
        {
            case "kill -9":
                _redis[0].Kill();
                break;
            case "SIGSTOP":
                _redis[0].Freeze();
                _frozen = true;
                break;
            default:
                await using (RedisWire wire = await RedisWire.ConnectAsync("127.0.0.1", _sentinels[0].Port))
                {
                    await wire.CommandAsync(["SENTINEL", "FAILOVER", Service]);
                }

                break;
        }

        await Eventually.HoldsAsync("another master is known", async ct =>
        {
            await using RedisWire wire = await RedisWire.ConnectAsync("127.0.0.1", _sentinels[0].Port, ct: ct);
            return (await wire.CommandAsync(["SENTINEL", "GET-MASTER-ADDR-BY-NAME", Service], ct))[1].Text;
        }, port => port != master, TimeSpan.FromSeconds(60));
    }

    public void Thaw()
    {
        if (_frozen)
        {
            _redis[0].Thaw();
        }
    }

    public async ValueTask DisposeAsync()
    {
        foreach (SentinelProcess sentinel in _sentinels)
        {
            await sentinel.DisposeAsync();
        }

        foreach (RedisServer server in _redis)
        {
            await server.DisposeAsync();
        }
    }

    private static string Text(int port) => port.ToString(System.Globalization.CultureInfo.InvariantCulture);
}
