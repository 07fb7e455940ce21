namespace RedisFailover.ZooKeeper;

/// <summary>
/// How long this process' leases are, by how long its writes take: <see cref="LeaseLength"/> by its clock. Safe for concurrent use.
/// </summary>
internal sealed class MeasuredLease(TimeSpan asked, TimeProvider time)
{
    private readonly Lock _gate = new();
    private readonly LeaseLength _length = new(asked);
    private readonly long _start = time.GetTimestamp();

    private TimeSpan Now => time.GetElapsedTime(_start);

    /// <summary>The longest recent write; zero if there was none.</summary>
    internal TimeSpan LongestWrite
    {
        get
        {
            lock (_gate)
            {
                return _length.LongestWrite(Now);
            }
        }
    }

    /// <summary>The length for a session with this timeout.</summary>
    internal TimeSpan Length(TimeSpan sessionTimeout)
    {
        lock (_gate)
        {
            return _length.At(Now, sessionTimeout);
        }
    }

    /// <summary>The length, with what it follows from.</summary>
    internal LeaseStatus Read(TimeSpan sessionTimeout, TimeSpan? notHeldFor)
    {
        lock (_gate)
        {
            TimeSpan now = Now;
            return new LeaseStatus(
                asked, _length.At(now, sessionTimeout), _length.Wanted(now), _length.LongestWrite(now), sessionTimeout, notHeldFor);
        }
    }

    /// <inheritdoc cref="LeaseLength.Wrote"/>
    internal void Wrote(TimeSpan took)
    {
        lock (_gate)
        {
            _length.Wrote(took, Now);
        }
    }

    /// <inheritdoc cref="LeaseLength.Deposed"/>
    internal void Deposed()
    {
        lock (_gate)
        {
            _length.Deposed(Now);
        }
    }
}
