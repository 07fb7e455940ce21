namespace RedisFailover.Cli.Load;

/// <summary>A pause between two acknowledged writes.</summary>
internal readonly record struct Gap(DateTimeOffset From, DateTimeOffset To)
{
    internal double Millis => (To - From).TotalMilliseconds;
}

/// <summary>Which numbers Redis has acknowledged, and when: the ledger that the data are compared with at the end.</summary>
internal sealed class AcknowledgedWrites(TimeProvider time)
{
    private readonly Lock _lock = new();
    private readonly List<long> _numbers = [];
    private DateTimeOffset? _last;
    private Gap _longest;

    internal int Count
    {
        get
        {
            lock (_lock)
            {
                return _numbers.Count;
            }
        }
    }

    internal Gap Longest
    {
        get
        {
            lock (_lock)
            {
                return _longest;
            }
        }
    }

    /// <summary>Notes it; returns the gap since the one before.</summary>
    internal Gap Add(long number)
    {
        lock (_lock)
        {
            DateTimeOffset now = time.GetUtcNow();
            Gap gap = new(_last ?? now, now);
            _last = now;
            _numbers.Add(number);
            if (gap.Millis > _longest.Millis)
            {
                _longest = gap;
            }

            return gap;
        }
    }

    /// <summary>One of those acknowledged up to now; null when there are none.</summary>
    internal long? Random()
    {
        lock (_lock)
        {
            return _numbers.Count == 0 ? null : _numbers[System.Random.Shared.Next(_numbers.Count)];
        }
    }

    internal long[] ToArray()
    {
        lock (_lock)
        {
            return [.. _numbers];
        }
    }
}
