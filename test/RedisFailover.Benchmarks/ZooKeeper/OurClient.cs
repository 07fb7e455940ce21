using System.Diagnostics;
using RedisFailover.ZooKeeper;

namespace RedisFailover.Benchmarks.ZooKeeper;

/// <summary>This project's side of the comparison; does the same as JavaClient.java.</summary>
internal sealed class OurClient : IAsyncDisposable
{
    private const string Path = "/ours";
    private static readonly byte[] Data = new byte[128];

    private readonly ZooKeeperOptions _options;
    private readonly ZooKeeperSession _session;

    private OurClient(ZooKeeperOptions options, ZooKeeperSession session) => (_options, _session) = (options, session);

    internal static async Task<OurClient> ConnectAsync(string server)
    {
        var options =
            new ZooKeeperOptions { Connection = ZooKeeperConnectionString.Parse(server), SessionTimeout = TimeSpan.FromSeconds(10) };
        ZooKeeperSession session = await ZooKeeperSession.ConnectAsync(options);
        await session.EnsurePathAsync(Path);
        await session.SetDataAsync(Path, Data);
        return new OurClient(options, session);
    }

    public ValueTask DisposeAsync() => _session.DisposeAsync();

    /// <summary>
    /// Operations per second, p50 and p99 in microseconds (one in flight only), CPU microseconds and bytes per operation.
    /// </summary>
    internal async Task<double[]> OperationsAsync(bool set, int inFlight, int count)
    {
        long[] ticks = new long[inFlight == 1 ? count : 0];
        int left = count;
        long allocated = GC.GetTotalAllocatedBytes(precise: true);
        TimeSpan cpu = Cpu();
        long start = Stopwatch.GetTimestamp();
        await Task.WhenAll(Enumerable.Range(0, inFlight).Select(_ => Task.Run(CallerAsync)));
        double seconds = Stopwatch.GetElapsedTime(start).TotalSeconds;
        double cpuMicros = (Cpu() - cpu).TotalMicroseconds / count;
        double bytes = (double)(GC.GetTotalAllocatedBytes(precise: true) - allocated) / count;
        Array.Sort(ticks);
        return [count / seconds, Percentile(ticks, 50), Percentile(ticks, 99), cpuMicros, bytes];

        async Task CallerAsync()
        {
            for (int i; (i = Interlocked.Decrement(ref left)) >= 0;)
            {
                long begin = ticks.Length > 0 ? Stopwatch.GetTimestamp() : 0;
                if (set)
                {
                    await _session.SetDataAsync(Path, Data);
                }
                else
                {
                    await _session.GetDataAsync(Path);
                }

                if (ticks.Length > 0)
                {
                    ticks[i] = Stopwatch.GetTimestamp() - begin;
                }
            }
        }
    }

    /// <summary>From the call of setData in one session to the callback in another: p50 and p99 in microseconds.</summary>
    internal async Task<double[]> EventAsync(int count)
    {
        await using ZooKeeperSession watching = await ZooKeeperSession.ConnectAsync(_options);
        return await FromWriteAsync(count, async told => await watching.GetDataAsync(Path, _ => told.SetResult(Stopwatch.GetTimestamp())));
    }

    /// <summary>
    /// From the call of setData until a <see cref="WatchedValue"/> of another session has the new data, read anew: p50 and p99.
    /// </summary>
    internal async Task<double[]> ValueAsync(int count)
    {
        await using var client = new ZooKeeperClient(_options);
        await using WatchedValue value = client.Watch(Path);
        TaskCompletionSource<long>? told = null;
        int awaited = -1;
        value.Changed += znode =>
        {
            if (znode?.Stat.Version == Volatile.Read(ref awaited))
            {
                told!.SetResult(Stopwatch.GetTimestamp());
            }
        };
        int version = (await _session.SetDataAsync(Path, Data)).Version;
        while (value.Current?.Stat.Version != version)
        {
            await Task.Delay(1);
        }

        return await FromWriteAsync(count, next =>
        {
            told = next;
            Volatile.Write(ref awaited, ++version);
            return Task.CompletedTask;
        });
    }

    /// <summary>From the call of setData until the last of all watchers was told: p50 and p99 in microseconds.</summary>
    internal async Task<double[]> WatchersAsync(int sessions, int each, int rounds)
    {
        ZooKeeperSession[] watching =
            await Task.WhenAll(Enumerable.Range(0, sessions).Select(_ => ZooKeeperSession.ConnectAsync(_options)));
        double[] result = await FromWriteAsync(rounds, async told =>
        {
            int left = sessions * each;
            await Task.WhenAll(watching.SelectMany(session => Enumerable.Range(0, each).Select(number => session.GetDataAsync(
                Path,
                _ =>
                {
                    // Captures: each is a watcher of its own.
                    if (number >= 0 && Interlocked.Decrement(ref left) == 0)
                    {
                        told.SetResult(Stopwatch.GetTimestamp());
                    }
                }).AsTask())));
        });
        await Task.WhenAll(watching.Select(session => session.DisposeAsync().AsTask()));
        return result;
    }

    /// <summary>From the call of setData to what completes the source that was made for it: p50 and p99 in microseconds.</summary>
    private async Task<double[]> FromWriteAsync(int count, Func<TaskCompletionSource<long>, Task> prepareAsync)
    {
        long[] ticks = new long[count];
        for (int i = 0; i < count; i++)
        {
            var told = new TaskCompletionSource<long>(TaskCreationOptions.RunContinuationsAsynchronously);
            await prepareAsync(told);
            long begin = Stopwatch.GetTimestamp();
            ValueTask<ZnodeStat> write = _session.SetDataAsync(Path, Data);
            ticks[i] = await told.Task - begin;
            await write;
        }

        Array.Sort(ticks);
        return [Percentile(ticks, 50), Percentile(ticks, 99)];
    }

    private static TimeSpan Cpu()
    {
        using var process = Process.GetCurrentProcess();
        return process.TotalProcessorTime;
    }

    private static double Percentile(long[] sorted, int percent)
        => sorted.Length == 0 ? 0 : sorted[Math.Min(sorted.Length - 1, sorted.Length * percent / 100)] * 1e6 / Stopwatch.Frequency;
}
