using System.Diagnostics;
using System.Globalization;
using System.Net;
using System.Net.Sockets;
using System.Runtime.CompilerServices;
using RedisFailover.Client;
using StackExchange.Redis;

namespace RedisFailover.Benchmarks.Client;

/// <summary>
/// The facade against the bare multiplexer on one real redis-server, in one run and in turns, so that both see the same machine:
/// operations per second and bytes allocated per operation, with the thread cover and without it. "facade [seconds [part of a name]]".
/// </summary>
internal static class FacadeOverhead
{
    private const int Rounds = 5;
    private static readonly byte[] s_value = new byte[100];

    public static async Task RunAsync(TimeSpan each, string only)
    {
        int port = FreePort();
        using Process redis = Process.Start(new ProcessStartInfo("redis-server", ["--port", port.ToString(CultureInfo.InvariantCulture), "--save", "", "--appendonly", "no"]) { RedirectStandardOutput = true })!;
        try
        {
            var address = new NodeAddress("127.0.0.1", port);
            await using FailoverConnection connection = await ConnectAsync(address, null);
            await using FailoverConnection uncovered = await ConnectAsync(address, new FailoverOptions { ContinueOnThreadPool = false });
            using ConnectionMultiplexer bare = await ConnectionMultiplexer.ConnectAsync(address.ToString());
            IDatabase facade = connection.GetDatabase();
            IDatabase noCover = uncovered.GetDatabase();
            IDatabase direct = bare.GetDatabase();
            await direct.StringSetAsync("key", s_value);
            Console.WriteLine($"{"",-28}{"bare ops/s",13}{"client ops/s",13}{"ratio",7}{"no cover",10}{"ratio",7}{"bare B",8}{"client B",9}{"no cover",9}");
            await CompareAsync(only, "GET, 1 caller, async", each, [direct, facade, noCover], (db, until) => CallersAsync(1, until, () => db.StringGetAsync("key")));
            await CompareAsync(only, "SET, 1 caller, async", each, [direct, facade, noCover], (db, until) => CallersAsync(1, until, () => db.StringSetAsync("key", s_value)));
            await CompareAsync(only, "GET, 1 caller, sync", each, [direct, facade, noCover], (db, until) => BlockingAsync(1, until, () => db.StringGet("key")));
            await CompareAsync(only, "GET, 50 callers, async", each, [direct, facade, noCover], (db, until) => CallersAsync(50, until, () => db.StringGetAsync("key")));
            await CompareAsync(only, "SET, 50 callers, async", each, [direct, facade, noCover], (db, until) => CallersAsync(50, until, () => db.StringSetAsync("key", s_value)));
            await CompareAsync(only, "GET, 50 threads, sync", each, [direct, facade, noCover], (db, until) => BlockingAsync(50, until, () => db.StringGet("key")));
            await CompareAsync(only, "GET, pipelined 10,000", each, [direct, facade, noCover], PipelinedAsync);
        }
        finally
        {
            redis.Kill();
            await redis.WaitForExitAsync();
        }
    }

    private static async Task CompareAsync(string only, string name, TimeSpan each, IDatabase[] contenders, Func<IDatabase, long, Task<long>> load)
    {
        if (!name.Contains(only, StringComparison.OrdinalIgnoreCase))
        {
            return;
        }

        foreach (IDatabase warm in contenders)
        {
            await load(warm, Until(each / 2));
        }

        var measured = contenders.Select(_ => new List<(double Ops, double Bytes)>()).ToArray();
        for (int round = 0; round < Rounds; round++)
        {
            for (int i = 0; i < contenders.Length; i++)
            {
                measured[i].Add(await MeasureAsync(contenders[i], each, load));
            }
        }

        double[] ops = [.. measured.Select(rounds => Median(rounds.Select(round => round.Ops)))];
        double[] bytes = [.. measured.Select(rounds => Median(rounds.Select(round => round.Bytes)))];
        Console.WriteLine(string.Create(
            CultureInfo.InvariantCulture,
            $"{name,-28}{ops[0],13:N0}{ops[1],13:N0}{ops[1] / ops[0],7:0.00}{ops[2],10:N0}{ops[2] / ops[0],7:0.00}{bytes[0],8:0}{bytes[1],9:0}{bytes[2],9:0}"));
    }

    private static async Task<(double OpsPerSecond, double BytesPerOp)> MeasureAsync(IDatabase database, TimeSpan each, Func<IDatabase, long, Task<long>> load)
    {
        GC.Collect();
        long allocated = GC.GetTotalAllocatedBytes(precise: true);
        long start = Stopwatch.GetTimestamp();
        long done = await load(database, Until(each));
        TimeSpan taken = Stopwatch.GetElapsedTime(start);
        return (done / taken.TotalSeconds, (GC.GetTotalAllocatedBytes(precise: true) - allocated) / (double)done);
    }

    private static async Task<long> CallersAsync(int callers, long until, Func<Task> call)
    {
        long[] counts = await Task.WhenAll(Enumerable.Range(0, callers).Select(_ => Task.Run(async () =>
        {
            long count = 0;
            for (; Stopwatch.GetTimestamp() < until; count++)
            {
                await call();
            }

            return count;
        })));
        return counts.Sum();
    }

    private static async Task<long> BlockingAsync(int callers, long until, Action call)
    {
        long[] counts = await Task.WhenAll(Enumerable.Range(0, callers).Select(_ => Task.Factory.StartNew(
            () =>
            {
                long count = 0;
                for (; Stopwatch.GetTimestamp() < until; count++)
                {
                    call();
                }

                return count;
            },
            CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default)));
        return counts.Sum();
    }

    private static async Task<long> PipelinedAsync(IDatabase database, long until)
    {
        var tasks = new Task[10_000];
        long count = 0;
        for (; Stopwatch.GetTimestamp() < until; count += tasks.Length)
        {
            for (int i = 0; i < tasks.Length; i++)
            {
                tasks[i] = database.StringGetAsync("key");
            }

            await Task.WhenAll(tasks);
        }

        return count;
    }

    private static async Task<FailoverConnection> ConnectAsync(NodeAddress address, FailoverOptions? options)
    {
        while (true)
        {
            try
            {
                return await FailoverConnection.ConnectAsync(new OneNode(address), options, CancellationToken.None);
            }
            catch (FailoverConnectException)
            {
                // redis-server is still starting.
                await Task.Delay(20);
            }
        }
    }

    private static long Until(TimeSpan later) => Stopwatch.GetTimestamp() + (long)(later.TotalSeconds * Stopwatch.Frequency);

    private static double Median(IEnumerable<double> values) => values.Order().ToArray() is var sorted ? sorted[sorted.Length / 2] : 0;

    private static int FreePort()
    {
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        return ((IPEndPoint)listener.LocalEndpoint).Port;
    }
}

/// <summary>A topology of one node that never changes.</summary>
internal sealed class OneNode(NodeAddress address) : ITopologySource
{
    public string Problem => "there is always one";

    public TimeSpan? SinceLastContact => TimeSpan.Zero;

    public TimeSpan SessionTimeout => TimeSpan.FromSeconds(4);

    public async IAsyncEnumerable<Topology> TopologiesAsync([EnumeratorCancellation] CancellationToken cancellationToken)
    {
        yield return new Topology { Epoch = 1, Master = address, State = TopologyState.Ok };
        await Task.Delay(Timeout.Infinite, cancellationToken);
    }

    public Task AskFailoverAsync(NodeAddress? target, CancellationToken cancellationToken) => throw new NotSupportedException();

    public ValueTask DisposeAsync() => default;
}
