using System.Globalization;
using System.Net.Sockets;
using RedisFailover.IntegrationTests.Harness;

namespace RedisFailover.Chaos;

/// <summary>A redis-server on a machine. Each has a port of its own, by which a write learns who acknowledged it.</summary>
internal sealed class RedisNode(Machine machine, int port)
{
    internal Machine Machine => machine;

    internal int Port => port;

    internal NodeAddress Address => new(machine.Address, port);

    internal static async Task<RedisNode> StartAsync(Machine machine, int number, RedisNode? master, bool appendOnly)
    {
        RedisNode node = new(machine, 6370 + number);
        string conf = Path.Combine(machine.Directory, "redis.conf");
        string data = System.IO.Directory.CreateDirectory(Path.Combine(machine.Directory, "data")).FullName;
        await File.WriteAllLinesAsync(
            conf,
            [
                string.Create(CultureInfo.InvariantCulture, $"port {node.Port}"),
                $"bind {machine.Address}",
                "protected-mode no",
                $"dir {data}",
                "save \"\"",
                appendOnly ? "appendonly yes" : "appendonly no",
                "repl-diskless-sync yes",
                "repl-diskless-sync-delay 0",
                .. (master is null
                    ? Array.Empty<string>()
                    : [string.Create(CultureInfo.InvariantCulture, $"replicaof {master.Machine.Address} {master.Port}")]),
            ]);
        await machine.StartAsync(Programs.RedisServer, conf);
        return node;
    }

    /// <summary>What it holds in this set; null when it cannot be asked.</summary>
    internal async Task<HashSet<string>?> MembersAsync(string key, CancellationToken ct)
    {
        using CancellationTokenSource deadline = CancellationTokenSource.CreateLinkedTokenSource(ct);
        deadline.CancelAfter(TimeSpan.FromSeconds(10));
        try
        {
            await using RedisWire wire = await RedisWire.ConnectAsync(machine.Address, port, ct: deadline.Token);
            return [.. (await wire.CommandAsync(["SMEMBERS", key], deadline.Token)).Items.Select(item => item.Text!)];
        }
        catch (Exception e) when (e is SocketException or IOException || (e is OperationCanceledException && !ct.IsCancellationRequested))
        {
            return null;
        }
    }
}
