namespace RedisFailover.ZooKeeper;

/// <summary>
/// How long the lease has to be where writes take as long as they do: three times the longest recent one, at least what was asked for, at
/// most half the session timeout. Not safe for concurrent use.
/// </summary>
/// <param name="least">What was asked for.</param>
internal sealed class LeaseLength(TimeSpan least)
{
    private const int Buckets = 10;

    /// <summary>
    /// Below what was asked for no figure matters, and above it a length that changes with every beat would tell nobody anything.
    /// </summary>
    private static readonly TimeSpan Step = TimeSpan.FromMilliseconds(100);

    private readonly TimeSpan[] _longest = new TimeSpan[Buckets];
    private readonly long[] _bucket = new long[Buckets];
    private TimeSpan? _deposedAt;

    /// <summary>A write took so long, or is not answered since.</summary>
    /// <param name="took">How long.</param>
    /// <param name="now">The time, on any clock that only goes forward, from 0.</param>
    internal void Wrote(TimeSpan took, TimeSpan now)
    {
        long bucket = Bucket(now);
        ref TimeSpan longest = ref _longest[bucket % Buckets];
        longest = _bucket[bucket % Buckets] == bucket && longest > took ? longest : took;
        _bucket[bucket % Buckets] = bucket;
    }

    /// <summary>
    /// A lead ended by a takeover although its holder was beating all the time: the length was too short for this ensemble.
    /// </summary>
    internal void Deposed(TimeSpan now) => _deposedAt = now;

    /// <summary>The longest recent write; zero if there was none.</summary>
    internal TimeSpan LongestWrite(TimeSpan now)
    {
        TimeSpan longest = TimeSpan.Zero;
        for (int i = 0; i < Buckets; i++)
        {
            longest = _bucket[i] > Bucket(now) - Buckets && _longest[i] > longest ? _longest[i] : longest;
        }

        return longest;
    }

    /// <summary>What it would have to be, however long a session lasts.</summary>
    internal TimeSpan Wanted(TimeSpan now)
    {
        TimeSpan needed = 3 * LongestWrite(now);
        TimeSpan length = needed <= least ? least : Step * Math.Ceiling(needed / Step);
        return _deposedAt is { } at && now - at < LeaseRules.Doubled ? 2 * length : length;
    }

    /// <summary>What it is.</summary>
    internal TimeSpan At(TimeSpan now, TimeSpan sessionTimeout)
    {
        TimeSpan wanted = Wanted(now);
        return wanted < LeaseRules.Longest(sessionTimeout) ? wanted : LeaseRules.Longest(sessionTimeout);
    }

    private static long Bucket(TimeSpan now) => Buckets + (now.Ticks * Buckets / LeaseRules.Recent.Ticks);
}
