namespace RedisFailover.ZooKeeper;

/// <summary>One write of a heartbeat.</summary>
/// <param name="SentAt">When it was sent.</param>
/// <param name="Length">The lease that it publishes: whoever reads it waits by that.</param>
internal sealed record Beat(Moment SentAt, TimeSpan Length)
{
    /// <summary>Whether its reply may still come.</summary>
    internal bool IsAwaited { get; set; } = true;
}

/// <summary>
/// The beats of one heartbeat that may stand in it, or come to: by which of them its leases end. A beat that publishes a longer lease gives
/// it when it is acknowledged; one that publishes a shorter lease takes the rest away when it is sent, since somebody may read it from then
/// on. Not safe for concurrent use.
/// </summary>
internal sealed class SentBeats(TimeProvider time)
{
    private readonly List<Beat> _beats = [];

    /// <summary>How many replies are awaited.</summary>
    internal int Awaited => _beats.Count(static b => b.IsAwaited);

    /// <summary>The oldest whose reply is awaited; null for none.</summary>
    internal Beat? Oldest => _beats.Find(static b => b.IsAwaited);

    /// <summary>One is being sent.</summary>
    internal Beat Send(TimeSpan length)
    {
        var beat = new Beat(Moment.Now(time), length);
        _beats.Add(beat);
        return beat;
    }

    /// <summary>A quorum has taken it.</summary>
    internal void Acknowledge(Beat beat)
    {
        beat.IsAwaited = false;
        // Itself it stands in the heartbeat until the next: leadership that it did not give may still be bounded by it.
        _beats.RemoveRange(0, Math.Max(0, _beats.IndexOf(beat)));
    }

    /// <summary>A server refused it: it stands nowhere.</summary>
    internal void Refuse(Beat beat) => _beats.Remove(beat);

    /// <summary>Its reply will not come: it may stand in the heartbeat.</summary>
    internal static void Lose(Beat beat) => beat.IsAwaited = false;

    /// <summary>
    /// How long a lease is that this beat gave, from its sending: its own length, or less where a later one publishes so much less that it
    /// ends sooner.
    /// </summary>
    internal TimeSpan Bounded(Beat beat)
    {
        TimeSpan length = beat.Length;
        foreach (Beat later in _beats)
        {
            TimeSpan until = time.GetElapsedTime(beat.SentAt.Monotonic, later.SentAt.Monotonic) + later.Length;
            length = later.SentAt.Monotonic > beat.SentAt.Monotonic && until < length ? until : length;
        }

        return length;
    }
}
