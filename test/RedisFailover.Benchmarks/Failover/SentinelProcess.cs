using System.Globalization;
using RedisFailover.IntegrationTests.Harness;

namespace RedisFailover.Benchmarks.Failover;

/// <summary>One real sentinel: redis-server --sentinel.</summary>
internal sealed class SentinelProcess : IAsyncDisposable
{
    private readonly TemporaryDirectory _directory;
    private readonly ChildProcess _process;

    private SentinelProcess(int port, TemporaryDirectory directory, ChildProcess process)
    {
        Port = port;
        _directory = directory;
        _process = process;
    }

    internal int Port { get; }

    internal static async Task<SentinelProcess> StartAsync(NodeAddress master, TimeSpan downAfter, CancellationToken ct)
    {
        int port = FreePorts.Next();
        TemporaryDirectory directory = new($"sentinel-{port}");
        await File.WriteAllLinesAsync(directory.File("sentinel.conf"),
            [
                string.Create(CultureInfo.InvariantCulture, $"port {port}"),
                "bind 127.0.0.1",
                $"dir {directory.Path}",
                string.Create(CultureInfo.InvariantCulture, $"sentinel monitor bench {master.Host} {master.Port} 2"),
                string.Create(CultureInfo.InvariantCulture, $"sentinel down-after-milliseconds bench {downAfter.TotalMilliseconds:0}"),
                // Long enough to finish; a new attempt is held back for twice this time after one that failed.
                "sentinel failover-timeout bench 10000",
                "sentinel parallel-syncs bench 2",
            ],
            ct);
        ChildProcess process = await ChildProcess.StartAsync(
            new ChildProcessOptions($"sentinel {port}", Programs.RedisServer, [directory.File("sentinel.conf"), "--sentinel"]), ct);
        return new SentinelProcess(port, directory, process);
    }

    internal async Task<RedisWire> SubscribeAsync(CancellationToken ct)
    {
        RedisWire wire = await RedisWire.ConnectAsync("127.0.0.1", Port, ct: ct);
        await wire.CommandAsync(["SUBSCRIBE", "+switch-master"], ct);
        return wire;
    }

    /// <summary>Waits until it knows the other sentinels and sees that master with two healthy replicas.</summary>
    internal Task WaitUntilReadyAsync(NodeAddress master, CancellationToken ct)
        => Eventually.HoldsAsync(
            $"Sentinel {Port} sees master {master} with two replicas in order and two other sentinels",
            async token =>
            {
                await using RedisWire wire = await RedisWire.ConnectAsync("127.0.0.1", Port, ct: token);
                RedisReply seen = await wire.CommandAsync(["SENTINEL", "MASTER", "bench"], token);
                RedisReply replicas = await wire.CommandAsync(["SENTINEL", "REPLICAS", "bench"], token);
                return (Port: Field(seen, "port"), Flags: Field(seen, "flags"), Others: Field(seen, "num-other-sentinels"),
                    Replicas: string.Join(' ', replicas.Items.Select(replica => $"{Field(replica, "flags")}/{Field(replica, "master-link-status")}/{Field(replica, "master-port")}")));
            },
            seen => seen.Port == master.Port.ToString(CultureInfo.InvariantCulture) && seen.Flags == "master" && seen.Others == "2"
                && seen.Replicas == string.Create(CultureInfo.InvariantCulture, $"slave/ok/{master.Port} slave/ok/{master.Port}"),
            TimeSpan.FromSeconds(90),
            () => _process.Tail(),
            ct);

    public async ValueTask DisposeAsync()
    {
        await _process.DisposeAsync();
        _directory.Dispose();
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
