namespace RedisFailover.ZooKeeper;

/// <summary>
/// Whether its holder may act at this moment. Held from the acknowledgement of a beat, a write of the holder's heartbeat that a quorum has
/// taken, until the lease's length after that write was <em>sent</em>: others wait for longer after they have seen it. Never for more than
/// half the session timeout: when a reconnect brings a shorter one, half of that counts from then on. Nothing runs in the background to end
/// it: <see cref="IsHeld"/> reads the clocks when it is asked, so a process that was paused finds the truth.
/// </summary>
/// <remarks>Ask at the action, every time, and never keep the answer.</remarks>
public sealed class Lease
{
    private readonly TimeProvider _time;
    private readonly Func<TimeSpan> _longest;
    private volatile Grant? _grant;
    private volatile bool _over;

    /// <param name="time">The source of time.</param>
    /// <param name="longest">Half the session timeout at this moment: a reconnect may have brought one shorter than when the lease was
    /// renewed.</param>
    internal Lease(TimeProvider time, Func<TimeSpan> longest) => (_time, _longest) = (time, longest);

    /// <summary>True while the lease holds. False for good once the leadership is over; false for a while when renewals fail.</summary>
    public bool IsHeld => Remaining > TimeSpan.Zero;

    /// <summary>How long it still holds without another renewal; zero if it does not.</summary>
    public TimeSpan Remaining
    {
        get
        {
            // The grant is read before the clock: a renewal between the two can only be missed, not invented.
            Grant? grant = _grant;
            if (_over || grant is null)
            {
                return TimeSpan.Zero;
            }

            TimeSpan longest = _longest();
            TimeSpan left = (grant.Length < longest ? grant.Length : longest) - grant.SentAt.Elapsed(_time);
            return left > TimeSpan.Zero ? left : TimeSpan.Zero;
        }
    }

    internal void Renew(Moment sentAt, TimeSpan length)
    {
        var grant = new Grant(sentAt, length);
        Grant? before;
        do
        {
            before = _grant;
            if (before is not null && before.SentAt.Monotonic >= sentAt.Monotonic)
            {
                return;
            }
        }
        while (Interlocked.CompareExchange(ref _grant, grant, before) != before);
    }

    /// <summary>
    /// Something was sent by which others may take it to end at that time: it does, if that is sooner. Its beginning stays that of the beat
    /// that was acknowledged: after a suspension the moment of this one would say, by the wall clock, that no time has passed.
    /// </summary>
    internal void Limit(Moment sentAt, TimeSpan length)
    {
        Grant? before;
        Grant limited;
        do
        {
            before = _grant;
            if (before is null)
            {
                return;
            }

            limited = before with { Length = _time.GetElapsedTime(before.SentAt.Monotonic, sentAt.Monotonic) + length };
            if (before.Length <= limited.Length)
            {
                return;
            }
        }
        while (Interlocked.CompareExchange(ref _grant, limited, before) != before);
    }

    internal void End() => _over = true;

    private sealed record Grant(Moment SentAt, TimeSpan Length);
}
