using System.Collections.Concurrent;
using System.Globalization;
using RedisFailover.Client;
using StackExchange.Redis;

namespace RedisFailover.Cli.Load;

/// <summary>
/// Drives writes and reads at a steady rate, whether or not earlier ones have been answered: a client that waits for each answer
/// would hide how long an outage is. Each write adds a number of its own to a set, so that repeating one does no harm and what is missing
/// can be counted.
/// </summary>
internal sealed class LoadRun(FailoverConnection connection, LoadOptions options, LoadLog log, TimeProvider time)
{
    private const int BucketSize = 1000;
    private static readonly TimeSpan Tick = TimeSpan.FromMilliseconds(1);
    private static readonly TimeSpan TellErrorsEvery = TimeSpan.FromSeconds(1);
    private readonly string _prefix = $"redis-failover:load:{Guid.NewGuid():N}:";
    private readonly AcknowledgedWrites _acknowledged = new(time);
    private readonly ErrorTally _errors = new();
    private readonly ConcurrentDictionary<Task, byte> _pending = new();
    private readonly IDatabase _database = connection.GetDatabase();
    private long _writes;
    private long _failedWrites;
    private long _ambiguousWrites;
    private long _notAppliedWrites;
    private long _reads;
    private long _failedReads;
    private long _staleReads;

    internal async Task<LoadReport> RunAsync(CancellationToken ct)
    {
        long start = time.GetTimestamp();
        connection.TopologyChanged += log.Topology;
        using (CancellationTokenSource end = CancellationTokenSource.CreateLinkedTokenSource(ct))
        {
            if (options.Duration is { } duration)
            {
                end.CancelAfter(duration);
            }

            await Task.WhenAll(
                PaceAsync(options.Writes, WriteAsync, end.Token),
                PaceAsync(options.Reads, _ => ReadAsync(), end.Token),
                TellErrorsAsync(end.Token));
        }

        double seconds = time.GetElapsedTime(start).TotalSeconds;
        // Each ends within the client's own limits: WriteWait and the operation timeout.
        await Task.WhenAll(_pending.Keys);
        connection.TopologyChanged -= log.Topology;
        long? lost = await CountLostAsync();
        Gap longest = _acknowledged.Longest;
        return new LoadReport
        {
            Seconds = Math.Round(seconds, 3),
            Writes = _writes,
            Acknowledged = _acknowledged.Count,
            FailedWrites = _failedWrites,
            AmbiguousWrites = _ambiguousWrites,
            NotAppliedWrites = _notAppliedWrites,
            Reads = _reads,
            FailedReads = _failedReads,
            StaleReads = _staleReads,
            LongestGapMillis = Math.Round(longest.Millis, 3),
            LongestGapFrom = longest.Millis > 0 ? LoadLog.Iso(longest.From) : null,
            LongestGapTo = longest.Millis > 0 ? LoadLog.Iso(longest.To) : null,
            Lost = lost,
            Errors =
                [.. _errors.All().Select(error => new ErrorCount(error.Kind.Operation, error.Kind.Type, error.Kind.Message, error.Count))],
        };
    }

    private RedisKey Bucket(long number) => _prefix + (number / BucketSize).ToString(CultureInfo.InvariantCulture);

    /// <summary>Starts as many as the rate demands up to now, every millisecond.</summary>
    private async Task PaceAsync(double perSecond, Func<long, Task> begin, CancellationToken ct)
    {
        if (perSecond <= 0)
        {
            return;
        }

        using PeriodicTimer timer = new(Tick, time);
        long start = time.GetTimestamp();
        long begun = 0;
        try
        {
            while (await timer.WaitForNextTickAsync(ct))
            {
                for (double due = time.GetElapsedTime(start).TotalSeconds * perSecond; begun < due; begun++)
                {
                    Task task = begin(begun);
                    if (!task.IsCompleted && _pending.TryAdd(task, 0))
                    {
                        _ = task.ContinueWith(done => _pending.TryRemove(done, out _), TaskScheduler.Default);
                    }
                }
            }
        }
        catch (OperationCanceledException)
        {
            // The run is over.
        }
    }

    private async Task WriteAsync(long number)
    {
        Interlocked.Increment(ref _writes);
        try
        {
            await _database.SetAddAsync(Bucket(number), number);
            Gap gap = _acknowledged.Add(number);
            if (gap.Millis > options.Gap.TotalMilliseconds)
            {
                log.Gap(gap);
            }
        }
        catch (Exception e) when (e is not OutOfMemoryException)
        {
            // Whatever it is: counting errors is what this command is for.
            Interlocked.Increment(ref _failedWrites);
            if (e is MayHaveBeenAppliedException)
            {
                Interlocked.Increment(ref _ambiguousWrites);
            }
            else if (e is NotAppliedException)
            {
                Interlocked.Increment(ref _notAppliedWrites);
            }

            Count("write", e);
        }
    }

    private async Task ReadAsync()
    {
        if (_acknowledged.Random() is not { } number)
        {
            return;
        }

        Interlocked.Increment(ref _reads);
        try
        {
            if (!await _database.SetContainsAsync(Bucket(number), number))
            {
                Interlocked.Increment(ref _staleReads);
            }
        }
        catch (Exception e) when (e is not OutOfMemoryException)
        {
            // Whatever an application would see is counted by its kind.
            Interlocked.Increment(ref _failedReads);
            Count("read", e);
        }
    }

    private void Count(string operation, Exception error)
    {
        ErrorKind kind = ErrorTally.KindOf(operation, error);
        if (_errors.Add(kind))
        {
            log.Error(kind, 1);
        }
    }

    private async Task TellErrorsAsync(CancellationToken ct)
    {
        using PeriodicTimer timer = new(TellErrorsEvery, time);
        try
        {
            while (await timer.WaitForNextTickAsync(ct))
            {
                foreach ((ErrorKind kind, long count) in _errors.Grown())
                {
                    log.Error(kind, count);
                }
            }
        }
        catch (OperationCanceledException)
        {
            // The run is over; the report has them all.
        }
    }

    /// <summary>Reads everything back from the master, and removes it.</summary>
    private async Task<long?> CountLostAsync()
    {
        long lost = 0;
        try
        {
            foreach (IGrouping<long, long> bucket in _acknowledged.ToArray().GroupBy(number => number / BucketSize))
            {
                RedisKey key = Bucket(bucket.First());
                HashSet<long> kept = [.. (await _database.SetMembersAsync(key, CommandFlags.DemandMaster)).Select(member => (long)member)];
                lost += bucket.LongCount(number => !kept.Contains(number));
                await _database.KeyDeleteAsync(key);
            }

            return lost;
        }
        catch (Exception e) when (e is RedisException or FailoverException or TimeoutException)
        {
            Count("reading back", e);
            return null;
        }
    }
}
