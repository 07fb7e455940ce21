using System.Diagnostics;
using System.Globalization;

namespace RedisFailover.Benchmarks.Failover;

/// <summary>
/// What writers notice of a planned switchover: a write is begun every millisecond, whether or not those before are answered; none may
/// fail, and what counts is the longest time between two acknowledgements, and the longest that one write took.
/// </summary>
internal static class SwitchoverBenchmark
{
    private static readonly TimeSpan Around = TimeSpan.FromSeconds(1);

    internal static async Task RunAsync(IContender contender, int rounds, CancellationToken ct)
    {
        List<double> gaps = [];
        List<double> longest = [];
        long failed = 0;
        for (int round = 1; round <= rounds; round++)
        {
            (double quietGap, double quietLongest, _, _) = await MeasureAsync(contender, () => Task.FromResult(""), ct);
            (double gap, double slowest, long errors, string steps) =
                await MeasureAsync(contender, () => contender.SwitchOverAsync(ct), ct);
            gaps.Add(gap);
            longest.Add(slowest);
            failed += errors;
            Console.WriteLine(string.Create(
                CultureInfo.InvariantCulture,
                $"switchover, round {round}: no acknowledgement for {gap:0.0} ms, the slowest write {slowest:0.0} ms, {errors} errors; "
                    + $"without one {quietGap:0.0} and {quietLongest:0.0} ms ({steps})"));
        }

        Console.WriteLine();
        Console.WriteLine($"planned switchover under 1000 writes/s, {rounds} rounds, milliseconds; errors: {failed}");
        Console.WriteLine("                                        median       min       max     first");
        Line("longest without an acknowledgement", gaps);
        Line("slowest write", longest);
        Console.WriteLine();

        static void Line(string name, List<double> took)
            => Console.WriteLine(string.Create(
                CultureInfo.InvariantCulture,
                    $"{name,-36} {FailoverBenchmark.Median(took),9:0.0} {took.Min(),9:0.0} {took.Max(),9:0.0} {took[0],9:0.0}"));
    }

    private static async Task<(double Gap, double Slowest, long Errors, string Steps)> MeasureAsync(
        IContender contender, Func<Task<string>> act, CancellationToken ct)
    {
        using CancellationTokenSource stop = CancellationTokenSource.CreateLinkedTokenSource(ct);
        Lock gate = new();
        long last = 0;
        double gap = 0;
        double slowest = 0;
        long errors = 0;
        Task writing = WriteAsync();
        await Task.Delay(Around, ct);
        lock (gate)
        {
            gap = slowest = 0;
        }

        string steps = await act();
        await Task.Delay(Around, ct);
        await stop.CancelAsync();
        await writing;
        return (gap, slowest, errors, steps);

        async Task WriteAsync()
        {
            List<Task> pending = [];
            using PeriodicTimer timer = new(TimeSpan.FromMilliseconds(1));
            try
            {
                for (long n = 0; await timer.WaitForNextTickAsync(stop.Token); n++)
                {
                    pending.Add(WriteOneAsync(n));
                    pending.RemoveAll(t => t.IsCompleted);
                }
            }
            catch (OperationCanceledException)
            {
                await Task.WhenAll(pending);
            }
        }

        async Task WriteOneAsync(long n)
        {
            long begun = Stopwatch.GetTimestamp();
            try
            {
                await contender.WriteAsync(n.ToString(CultureInfo.InvariantCulture));
                long now = Stopwatch.GetTimestamp();
                lock (gate)
                {
                    gap = last == 0 ? gap : Math.Max(gap, Stopwatch.GetElapsedTime(last, now).TotalMilliseconds);
                    last = now;
                    slowest = Math.Max(slowest, Stopwatch.GetElapsedTime(begun, now).TotalMilliseconds);
                }
            }
            catch (Exception e) when (e is not OutOfMemoryException)
            {
                // None may: they are counted and told.
                Interlocked.Increment(ref errors);
            }
        }
    }
}
