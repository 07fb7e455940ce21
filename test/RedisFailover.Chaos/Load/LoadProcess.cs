using System.Globalization;
using RedisFailover.Client;

namespace RedisFailover.Chaos.Load;

/// <summary>Writes one number to a set. Returns the port of the node that acknowledged it.</summary>
internal interface IWriter : IAsyncDisposable
{
    Task<int> WriteAsync(string key, long number, CancellationToken ct);
}

/// <summary>
/// A client on a machine of its own: workers that each write at their own pace, so that while nothing is acknowledged as many writes wait
/// as there are workers. Every outcome goes into the journal.
/// </summary>
internal static class LoadProcess
{
    private const int Workers = 16;

    /// <summary>The node tells who it is in the same step as it writes.</summary>
    internal const string Script = "redis.call('SADD',KEYS[1],ARGV[1]) return string.match(redis.call('INFO','server'),'tcp_port:(%d+)')";

    /// <summary>How long a bare connection may take for one write, and how long WAIT waits.</summary>
    internal static readonly TimeSpan WriteDeadline = TimeSpan.FromSeconds(2);

    /// <summary>
    /// library|topology ZOOKEEPER, or sentinel ADDRESSES; then client number, journal, rate, replicas to wait for, serve|fence.
    /// </summary>
    internal static async Task<int> RunAsync(string[] arguments, CancellationToken ct)
    {
        int client = int.Parse(arguments[2], CultureInfo.InvariantCulture);
        int rate = int.Parse(arguments[4], CultureInfo.InvariantCulture);
        int replicas = int.Parse(arguments[5], CultureInfo.InvariantCulture);
        FailoverOptions options = new() { ConnectTimeout = TimeSpan.FromMinutes(1), WhenDisconnected = arguments[6] == "fence"
                ? WhenDisconnected.FenceWrites : WhenDisconnected.Serve };
        await using IWriter writer = arguments[0] switch
        {
            "library" => new LibraryWriter(await FailoverConnection.ConnectAsync(arguments[1], options, ct)),
            "topology" => new WireWriter(new TopologyMaster(await FailoverConnection.ConnectAsync(arguments[1], options, ct)), replicas),
            _ => new WireWriter(new SentinelMaster([.. arguments[1].Split(',').Select(NodeAddress.Parse)]), replicas),
        };
        await using Journal journal = new(arguments[3]);
        long last = 0;
        await Task.WhenAll(Enumerable.Range(0, Workers).Select(WorkAsync));
        return 0;

        async Task WorkAsync(int worker)
        {
            TimeSpan pace = TimeSpan.FromSeconds((double)Workers / rate);
            try
            {
                await Task.Delay(pace * worker / Workers, ct);
                using PeriodicTimer timer = new(pace);
                while (await timer.WaitForNextTickAsync(ct))
                {
                    long number = Interlocked.Increment(ref last);
                    DateTime begun = WallClock.Now;
                    try
                    {
                        int node = await writer.WriteAsync(Acknowledged.KeyOf(client, number), number, ct);
                        journal.Acknowledged(number, node, begun, WallClock.Now);
                    }
                    catch (Exception e) when (!ct.IsCancellationRequested && e is not OutOfMemoryException)
                    {
                        // Whatever it is: not acknowledged, and noted.
                        journal.Failed(begun, WallClock.Now, e);
                    }
                }
            }
            catch (OperationCanceledException) when (ct.IsCancellationRequested)
            {
                // The run is over.
            }
        }
    }
}
