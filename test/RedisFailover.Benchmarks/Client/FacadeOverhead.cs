using System.Diagnostics;
using System.Globalization;
using System.Net;
using System.Net.Sockets;
using System.Runtime.CompilerServices;
using RedisFailover.Client;
using StackExchange.Redis;

namespace RedisFailover.Benchmarks.Client;

/// <summary>
/// The facade against the bare multiplexer on one real redis-server, in one run and in turns, so that both see the same machine: operations
/// per second and bytes allocated per operation. The ratio is the median of the rounds' own, each round's measurements being neighbours in
/// an order drawn anew, with the interval that holds the true median 95 times in
/// 100. A second bare multiplexer is the control: its ratio would be 1 on a quiet machine. The floor is the bare multiplexer behind one
/// asynchronous method, which is the least that a client costs which may send a call again. "facade [seconds [rounds [part of a name]]]".
/// </summary>
internal static class FacadeOverhead
{
    private static readonly byte[] s_value = new byte[100];

    public static async Task RunAsync(TimeSpan each, int rounds, string only)
    {
        int port = FreePort();
        using Process redis = Process.Start(
                new ProcessStartInfo(
                    Environment.GetEnvironmentVariable("REDIS_SERVER") is { Length: > 0 } given ? given : "redis-server",
                    ["--port", port.ToString(CultureInfo.InvariantCulture), "--save", "", "--appendonly", "no"]) { RedirectStandardOutput = true })!;
        try
        {
            var address = new NodeAddress("127.0.0.1", port);
            await using FailoverConnection connection = await ConnectAsync(address, null);
            using ConnectionMultiplexer bare = await ConnectionMultiplexer.ConnectAsync(address.ToString());
            IDatabase facade = connection.GetDatabase();
            using ConnectionMultiplexer alike = await ConnectionMultiplexer.ConnectAsync(address.ToString());
            IDatabase direct = bare.GetDatabase();
            IDatabase again = alike.GetDatabase();
            await direct.StringSetAsync("key", s_value);
            (IDatabase, bool)[] contenders = [(direct, false), (facade, false), (again, false), (direct, true)];
            Console.WriteLine($"{rounds} rounds of {each.TotalSeconds} s each");
            Console.WriteLine(
                $"{"",-24}{"bare ops/s",11}{"client",10}{"ratio",7}{"95 %",14}{"control",8}{"95 %",14}{"floor",7}{"95 %",14}"
                    + $"{"bare B",8}{"client B",9}");
            await CompareAsync(only, rounds, "GET, 1 caller, async", each, contenders, (db, floor, until)
                => CallersAsync(1, until, () => floor ? Pass(db.StringGetAsync("key")) : db.StringGetAsync("key")));
            await CompareAsync(only, rounds, "SET, 1 caller, async", each, contenders, (db, floor, until)
                => CallersAsync(1, until, () => floor ? Pass(db.StringSetAsync("key", s_value)) : db.StringSetAsync("key", s_value)));
            await CompareAsync(only, rounds, "GET, 1 caller, sync", each, contenders, (db, _, until)
                => BlockingAsync(1, until, () => db.StringGet("key")));
            await CompareAsync(only, rounds, "SET, 1 caller, sync", each, contenders, (db, _, until)
                => BlockingAsync(1, until, () => db.StringSet("key", s_value)));
            await CompareAsync(only, rounds, "GET, 50 callers, async", each, contenders, (db, floor, until)
                => CallersAsync(50, until, () => floor ? Pass(db.StringGetAsync("key")) : db.StringGetAsync("key")));
            await CompareAsync(only, rounds, "SET, 50 callers, async", each, contenders, (db, floor, until)
                => CallersAsync(50, until, () => floor ? Pass(db.StringSetAsync("key", s_value)) : db.StringSetAsync("key", s_value)));
            await CompareAsync(only, rounds, "GET, 50 threads, sync", each, contenders, (db, _, until)
                => BlockingAsync(50, until, () => db.StringGet("key")));
            await CompareAsync(only, rounds, "SET, 50 threads, sync", each, contenders, (db, _, until)
                => BlockingAsync(50, until, () => db.StringSet("key", s_value)));
            await CompareAsync(only, rounds, "GET, pipelined 10,000", each, contenders, (db, floor, until)
                => PipelinedAsync(until, () => floor ? Pass(db.StringGetAsync("key")) : db.StringGetAsync("key")));
            await CompareAsync(only, rounds, "SET, pipelined 10,000", each, contenders, (db, floor, until)
                => PipelinedAsync(until, () => floor ? Pass(db.StringSetAsync("key", s_value)) : db.StringSetAsync("key", s_value)));
        }
        finally
        {
            redis.Kill();
            await redis.WaitForExitAsync();
        }
    }

    private static async Task<T> Pass<T>(Task<T> call)
    {
        await ((Task)call).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        return await call;
    }

    private static async Task CompareAsync(string only, int rounds, string name, TimeSpan each,
        (IDatabase Database, bool Floor)[] contenders,
        Func<IDatabase, bool, long, Task<long>> load)
    {
        if (!name.Contains(only, StringComparison.OrdinalIgnoreCase))
        {
            return;
        }

        foreach ((IDatabase warm, bool floor) in contenders)
        {
            await load(warm, floor, Until(each / 2));
        }

        var measured = contenders.Select(_ => new List<(double Ops, double Bytes)>()).ToArray();
        int[] order = [.. Enumerable.Range(0, contenders.Length)];
        for (int round = 0; round < rounds; round++)
        {
            Random.Shared.Shuffle(order);
            foreach (int i in order)
            {
                measured[i].Add(await MeasureAsync(contenders[i], each, load));
            }
        }

        double[] ops = [.. measured.Select(all => Quantile(all.Select(one => one.Ops), 0.5))];
        double[] bytes = [.. measured.Select(all => Quantile(all.Select(one => one.Bytes), 0.5))];
        double[][] ratios = [.. measured.Select(all => all.Zip(measured[0], (one, bare) => one.Ops / bare.Ops).ToArray())];
        Console.WriteLine(string.Create(
            CultureInfo.InvariantCulture,
            $"{name,-24}{ops[0],11:N0}{ops[1],10:N0}{Ratio(ratios[1])} {Ratio(ratios[2])}{Ratio(ratios[3])}{bytes[0],8:0}{bytes[1],9:0}"));
    }

    /// <summary>The median with its interval of confidence, by ranks: no distribution is assumed.</summary>
    private static string Ratio(double[] ratios)
    {
        double ranks = 0.98 / Math.Sqrt(ratios.Length);
        return string.Create(
            CultureInfo.InvariantCulture,
            $"{Quantile(ratios, 0.5),7:0.00}{$"{Quantile(ratios, Math.Max(0, 0.5 - ranks)):0.00} to {Quantile(ratios, Math.Min(1, 0.5 + ranks)):0.00}",14}");
    }

    private static async Task<(double OpsPerSecond, double BytesPerOp)> MeasureAsync(
        (IDatabase Database, bool Floor) contender, TimeSpan each,
        Func<IDatabase, bool, long, Task<long>> load)
    {
        GC.Collect();
        long allocated = GC.GetTotalAllocatedBytes(precise: true);
        long start = Stopwatch.GetTimestamp();
        long done = await load(contender.Database, contender.Floor, Until(each));
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

    private static async Task<long> PipelinedAsync(long until, Func<Task> call)
    {
        var tasks = new Task[10_000];
        long count = 0;
        for (; Stopwatch.GetTimestamp() < until; count += tasks.Length)
        {
            for (int i = 0; i < tasks.Length; i++)
            {
                tasks[i] = call();
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

    private static double Quantile(IEnumerable<double> values, double part)
        => values.Order().ToArray() is var sorted ? sorted[(int)Math.Round((sorted.Length - 1) * part)] : 0;

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
