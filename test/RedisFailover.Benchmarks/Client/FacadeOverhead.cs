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
/// operations per second and bytes allocated per operation. "facade [seconds]".
/// </summary>
internal static class FacadeOverhead
{
    private const int Rounds = 5;
    private static readonly byte[] s_value = new byte[100];

    public static async Task RunAsync(TimeSpan each)
    {
        int port = FreePort();
        using Process redis = Process.Start(new ProcessStartInfo("redis-server", ["--port", port.ToString(CultureInfo.InvariantCulture), "--save", "", "--appendonly", "no"]) { RedirectStandardOutput = true })!;
        try
        {
            var address = new NodeAddress("127.0.0.1", port);
            await using FailoverConnection connection = await ConnectAsync(address);
            using ConnectionMultiplexer bare = await ConnectionMultiplexer.ConnectAsync(address.ToString());
            IDatabase facade = connection.GetDatabase();
            IDatabase direct = bare.GetDatabase();
            await direct.StringSetAsync("key", s_value);
            Console.WriteLine($"{"",-28}{"bare ops/s",14}{"facade ops/s",14}{"ratio",8}{"bare B/op",11}{"facade B/op",13}");
            await CompareAsync("GET, 1 caller, async", each, direct, facade, (db, until) => CallersAsync(1, until, () => db.StringGetAsync("key")));
            await CompareAsync("SET, 1 caller, async", each, direct, facade, (db, until) => CallersAsync(1, until, () => db.StringSetAsync("key", s_value)));
            await CompareAsync("GET, 1 caller, sync", each, direct, facade, (db, until) => BlockingAsync(1, until, () => db.StringGet("key")));
            await CompareAsync("GET, 50 callers, async", each, direct, facade, (db, until) => CallersAsync(50, until, () => db.StringGetAsync("key")));
            await CompareAsync("SET, 50 callers, async", each, direct, facade, (db, until) => CallersAsync(50, until, () => db.StringSetAsync("key", s_value)));
            await CompareAsync("GET, 50 threads, sync", each, direct, facade, (db, until) => BlockingAsync(50, until, () => db.StringGet("key")));
            await CompareAsync("GET, pipelined 10,000", each, direct, facade, PipelinedAsync);
        }
        finally
        {
            redis.Kill();
            await redis.WaitForExitAsync();
        }
    }

    private static async Task CompareAsync(string name, TimeSpan each, IDatabase direct, IDatabase facade, Func<IDatabase, long, Task<long>> load)
    {
        var speed = (Bare: new List<double>(), Facade: new List<double>());
        var bytes = (Bare: 0d, Facade: 0d);
        foreach (IDatabase warm in (IDatabase[])[direct, facade])
        {
            await load(warm, Until(each / 2));
        }

        for (int round = 0; round < Rounds; round++)
        {
            (double ops, bytes.Bare) = await MeasureAsync(direct, each, load);
            speed.Bare.Add(ops);
            (ops, bytes.Facade) = await MeasureAsync(facade, each, load);
            speed.Facade.Add(ops);
        }

        double bare = Median(speed.Bare);
        double ours = Median(speed.Facade);
        Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{name,-28}{bare,14:N0}{ours,14:N0}{ours / bare,8:0.00}{bytes.Bare,11:0}{bytes.Facade,13:0}"));
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

    private static async Task<FailoverConnection> ConnectAsync(NodeAddress address)
    {
        while (true)
        {
            try
            {
                return await FailoverConnection.ConnectAsync(new OneNode(address), null, CancellationToken.None);
            }
            catch (FailoverConnectException)
            {
                // redis-server is still starting.
                await Task.Delay(20);
            }
        }
    }

    private static long Until(TimeSpan later) => Stopwatch.GetTimestamp() + (long)(later.TotalSeconds * Stopwatch.Frequency);

    private static double Median(List<double> values) => values.Order().ElementAt(values.Count / 2);

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
