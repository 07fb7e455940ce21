using System.Diagnostics;
using System.Globalization;
using RedisFailover.Client;
using RedisFailover.IntegrationTests.Harness;
using StackExchange.Redis;

namespace RedisFailover.Benchmarks.Client;

/// <summary>
/// A process with clients that wait for a master, driven over its standard input, an answer a line: "epoch N" is answered when all
/// clients know it, "write" when all their writes wait, and then with the moment of each acknowledgement (the machine's monotonic clock).
/// </summary>
internal sealed class WatcherProcess(Process process) : IAsyncDisposable
{
    public static WatcherProcess Start(string zooKeeper, int clients) => new(Process.Start(
        new ProcessStartInfo("dotnet",
            [typeof(WatcherProcess).Assembly.Location, "watcher", zooKeeper, clients.ToString(CultureInfo.InvariantCulture)])
        {
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
        })!);

    /// <summary>The process's own program.</summary>
    public static async Task RunAsync(string zooKeeper, int count)
    {
        FailoverConnection[] clients = await Task.WhenAll(Enumerable.Range(0, count).Select(_ => FailoverConnection.ConnectAsync(
            zooKeeper, new FailoverOptions { ConnectTimeout = TimeSpan.FromMinutes(1), WriteWait = TimeSpan.FromMinutes(1) })));
        IDatabase[] databases = [.. clients.Select(client => client.GetDatabase())];
        await Task.WhenAll(databases.Select(database => database.StringSetAsync("key", 0)));
        Console.WriteLine("connected");
        while (await Console.In.ReadLineAsync() is { } line)
        {
            if (line.StartsWith("epoch ", StringComparison.Ordinal))
            {
                long epoch = long.Parse(line.AsSpan(6), CultureInfo.InvariantCulture);
                await Eventually.HoldsAsync("all know that there is no master", ()
                    => clients.All(client => client.Topology.Epoch == epoch));
                Console.WriteLine(line);
                continue;
            }

            Task<long>[] writes = [.. databases.Select(AcknowledgedAsync)];
            Console.WriteLine("waiting");
            Console.WriteLine(string.Join(' ', (await Task.WhenAll(writes)).Select(time => time.ToString(CultureInfo.InvariantCulture))));
        }

        await Task.WhenAll(clients.Select(client => client.DisposeAsync().AsTask()));
    }

    /// <summary>Sends a line; its answer.</summary>
    public async Task<string> AskAsync(string line)
    {
        await process.StandardInput.WriteLineAsync(line);
        return await AnswerAsync();
    }

    /// <summary>The next answer.</summary>
    public async Task<string> AnswerAsync()
        => await process.StandardOutput.ReadLineAsync() ?? throw new InvalidOperationException("A process of watchers ended early.");

    public async ValueTask DisposeAsync()
    {
        process.StandardInput.Close();
        await process.WaitForExitAsync();
        process.Dispose();
    }

    private static async Task<long> AcknowledgedAsync(IDatabase database)
    {
        await database.StringSetAsync("key", 1);
        return Stopwatch.GetTimestamp();
    }
}
