using System.Globalization;

namespace RedisFailover.IntegrationTests.Harness;

/// <summary>One real sentinel: redis-server --sentinel.</summary>
internal sealed class SentinelProcess : IAsyncDisposable
{
    private readonly TemporaryDirectory _directory;
    private ChildProcess _process;

    private SentinelProcess(int port, TemporaryDirectory directory, ChildProcess process)
    {
        Port = port;
        _directory = directory;
        _process = process;
    }

    internal int Port { get; }

    internal ChildProcess Process => _process;

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
        return new SentinelProcess(port, directory, await StartProcessAsync(port, directory, ct));
    }

    /// <summary>Starts it again, with what it has written into its file.</summary>
    internal async Task RestartAsync(CancellationToken ct)
    {
        await _process.DisposeAsync();
        _process = await StartProcessAsync(Port, _directory, ct);
    }

    internal async Task<RedisWire> SubscribeAsync(CancellationToken ct)
    {
        RedisWire wire = await RedisWire.ConnectAsync("127.0.0.1", Port, ct: ct);
        await wire.CommandAsync(["SUBSCRIBE", "+switch-master"], ct);
        return wire;
    }

    /// <summary>
    /// The port of the master as this sentinel sees it, provided that it knows two other sentinels and two healthy replicas; else null.
    /// </summary>
    internal async Task<string?> HealthyMasterPortAsync(CancellationToken ct)
    {
        await using RedisWire wire = await RedisWire.ConnectAsync("127.0.0.1", Port, ct: ct);
        RedisReply seen = await wire.CommandAsync(["SENTINEL", "MASTER", "bench"], ct);
        RedisReply replicas = await wire.CommandAsync(["SENTINEL", "REPLICAS", "bench"], ct);
        string? port = Field(seen, "port");
        return Field(seen, "flags") == "master" && Field(seen, "num-other-sentinels") == "2" && replicas.Items.Length == 2
            && replicas.Items.All(replica => Field(replica, "flags") == "slave" && Field(replica, "master-link-status") == "ok"
            && Field(replica, "master-port") == port)
                ? port
                : null;
    }

    /// <summary>Where its clients are sent; null while it does not say.</summary>
    internal async Task<NodeAddress?> MasterAsync(CancellationToken ct)
    {
        await using RedisWire wire = await RedisWire.ConnectAsync("127.0.0.1", Port, ct: ct);
        RedisReply address = await wire.CommandAsync(["SENTINEL", "GET-MASTER-ADDR-BY-NAME", "bench"], ct);
        return address.Items.Length == 2 && NodeAddress.TryParse($"{address[0].Text}:{address[1].Text}", out NodeAddress? master)
            ? master : null;
    }

    /// <summary>Asks it for another master, though the present one is well.</summary>
    internal async Task FailOverAsync(CancellationToken ct)
    {
        await using RedisWire wire = await RedisWire.ConnectAsync("127.0.0.1", Port, ct: ct);
        await wire.CommandAsync(["SENTINEL", "FAILOVER", "bench"], ct);
    }

    internal string Tail() => _process.Tail();

    public async ValueTask DisposeAsync()
    {
        await _process.DisposeAsync();
        _directory.Dispose();
    }

    private static Task<ChildProcess> StartProcessAsync(int port, TemporaryDirectory directory, CancellationToken ct)
        => ChildProcess.StartAsync(
            new ChildProcessOptions($"sentinel {port}", Programs.RedisServer, [directory.File("sentinel.conf"), "--sentinel"]), ct);

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
