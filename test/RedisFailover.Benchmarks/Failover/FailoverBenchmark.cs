using System.Diagnostics;
using System.Globalization;

namespace RedisFailover.Benchmarks.Failover;

/// <summary>
/// From the fault of the master until the next write that a client has acknowledged: this system and Redis Sentinel in turn, on the same
/// machine, in the same run, measured by the same code.
/// </summary>
internal static class FailoverBenchmark
{
    private const string Usage =
        "usage: failover [--rounds N] [--zookeepers 1|3] [--deadlines 1000,100] [--faults kill,freeze,switchover] [--along "
            + "nothing,leader,host] [--sentinel yes|no]";
    private static readonly TimeSpan WriteInterval = TimeSpan.FromMilliseconds(1);
    private static readonly TimeSpan WarmUp = TimeSpan.FromSeconds(1);
    private static readonly TimeSpan RoundDeadline = TimeSpan.FromSeconds(60);

    internal static async Task<int> RunAsync(string[] args)
    {
        int rounds = 5;
        int zooKeepers = 1;
        int[] deadlines = [1000, 100];
        Fault[] faults = [Fault.Kill, Fault.Freeze];
        Along[] along = [Along.Nothing];
        bool withSentinel = true;
        for (int i = 0; i < args.Length; i += 2)
        {
            string value = i + 1 < args.Length ? args[i + 1] : "";
            switch (args[i])
            {
                case "--rounds" when int.TryParse(value, out rounds) && rounds > 0:
                case "--zookeepers" when int.TryParse(value, out zooKeepers) && zooKeepers is 1 or 3:
                    break;
                case "--sentinel" when value is "yes" or "no":
                    withSentinel = value == "yes";
                    break;
                case "--deadlines" when value.Length > 0:
                    deadlines = [.. value.Split(',').Select(text => int.Parse(text, CultureInfo.InvariantCulture))];
                    break;
                case "--faults" when value.Length > 0:
                    faults = [.. value.Split(',').Select(text => Enum.Parse<Fault>(text, ignoreCase: true))];
                    break;
                case "--along" when value.Length > 0:
                    along = [.. value.Split(',').Select(text => Enum.Parse<Along>(text, ignoreCase: true))];
                    break;
                default:
                    await Console.Error.WriteLineAsync($"bench-failover: {args[i]} {value}: {Usage}");
                    return 2;
            }
        }

        using CancellationTokenSource interrupted = new();
        Console.CancelKeyPress += (_, e) =>
        {
            e.Cancel = true;
            interrupted.Cancel();
        };
        try
        {
            foreach (int deadline in deadlines)
            {
                await CompareAsync(TimeSpan.FromMilliseconds(deadline), rounds, zooKeepers, faults, along, withSentinel, interrupted.Token);
            }

            return 0;
        }
        catch (OperationCanceledException) when (interrupted.IsCancellationRequested)
        {
            return 130;
        }
    }

    private static async Task CompareAsync(TimeSpan deadline, int rounds, int zooKeepers, Fault[] faults, Along[] along, bool withSentinel,
        CancellationToken ct)
    {
        await using OurMonitors ours = await OurMonitors.StartAsync(deadline, zooKeepers, ct);
        await using Sentinels? sentinels = withSentinel ? await Sentinels.StartAsync(deadline, ct) : null;
        foreach (Fault fault in faults)
        {
            if (fault == Fault.Switchover)
            {
                await SwitchoverBenchmark.RunAsync(ours, rounds, ct);
                continue;
            }

            foreach (Along taken in along)
            {
                List<double> oursTook = [];
                List<double> sentinelsTook = [];
                for (int round = 1; round <= rounds; round++)
                {
                    oursTook.Add(await MeasureAsync(ours, fault, taken, round, ct));
                    if (sentinels is not null)
                    {
                        sentinelsTook.Add(await MeasureAsync(sentinels, fault, taken, round, ct));
                    }
                }

                Report(What(fault, taken), ours.Name, oursTook, sentinels?.Name ?? "", sentinelsTook);
            }
        }
    }

    private static async Task<double> MeasureAsync(IContender contender, Fault fault, Along along, int round, CancellationToken ct)
    {
        using CancellationTokenSource stop = CancellationTokenSource.CreateLinkedTokenSource(ct);
        TaskCompletionSource<long> acknowledged = new(TaskCreationOptions.RunContinuationsAsynchronously);
        // Only a write that was begun after the fault counts: the answer to an earlier one may just have been on its way.
        long countFrom = long.MaxValue;
        Task writing = WriteAsync();
        await Task.Delay(WarmUp, ct);
        await contender.AimAsync(along, ct);
        long struck = contender.Strike(fault);
        Volatile.Write(ref countFrom, Stopwatch.GetTimestamp() + Stopwatch.Frequency / 1000);
        double took = Stopwatch.GetElapsedTime(struck, await acknowledged.Task.WaitAsync(RoundDeadline, ct)).TotalMilliseconds;
        await stop.CancelAsync();
        await writing;
        await contender.RestoreAsync(ct);
        string steps = await contender.ExplainAsync(ct);
        Console.WriteLine(string.Create(
            CultureInfo.InvariantCulture,
                $"{What(fault, along)}, round {round}: {contender.Name}: {took:0.0} ms{(steps.Length > 0 ? $" ({steps})" : "")}"));
        return took;

        async Task WriteAsync()
        {
            using PeriodicTimer timer = new(WriteInterval);
            try
            {
                for (long n = 0; await timer.WaitForNextTickAsync(stop.Token); n++)
                {
                    _ = WriteOneAsync(n);
                }
            }
            catch (OperationCanceledException)
            {
                // The round is over.
            }
        }

        async Task WriteOneAsync(long n)
        {
            long begun = Stopwatch.GetTimestamp();
            try
            {
                await contender.WriteAsync(n.ToString(CultureInfo.InvariantCulture));
                long now = Stopwatch.GetTimestamp();
                if (begun >= Volatile.Read(ref countFrom))
                {
                    acknowledged.TrySetResult(now);
                }
            }
            catch (Exception e) when (e is not OutOfMemoryException)
            {
                // Expected while there is no master, in as many kinds as there are libraries; what counts is when one succeeds again.
            }
        }
    }

    private static void Report(string what, string ours, List<double> oursTook, string theirs, List<double> theirsTook)
    {
        int width = Math.Max(ours.Length, theirs.Length);
        Console.WriteLine();
        Console.WriteLine($"{what} until the next acknowledged write, {oursTook.Count} rounds each, milliseconds:");
        Console.WriteLine($"{"".PadRight(width)}    median       min       max     first");
        Line(ours, oursTook);
        if (theirsTook.Count == 0)
        {
            Console.WriteLine();
            return;
        }

        Line(theirs, theirsTook);
        Console.WriteLine(string.Create(
            CultureInfo.InvariantCulture, $"{"ratio of the medians".PadRight(width)} {Median(theirsTook) / Median(oursTook),9:0.0}"));
        Console.WriteLine();

        void Line(string name, List<double> took)
            => Console.WriteLine(string.Create(
                CultureInfo.InvariantCulture,
                    $"{name.PadRight(width)} {Median(took),9:0.0} {took.Min(),9:0.0} {took.Max(),9:0.0} {took[0],9:0.0}"));
    }

    private static string What(Fault fault, Along along)
        => $"{(fault == Fault.Kill ? "kill -9" : "SIGSTOP")} of {along switch
        {
            Along.Nothing => "the master",
            Along.Leader => "master and leading monitor (one sentinel)",
            _ => "master, leading monitor and leading ZooKeeper server (one sentinel)",
        }}";

    internal static double Median(List<double> values)
    {
        List<double> sorted = [.. values.Order()];
        int middle = sorted.Count / 2;
        return sorted.Count % 2 == 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
    }
}
