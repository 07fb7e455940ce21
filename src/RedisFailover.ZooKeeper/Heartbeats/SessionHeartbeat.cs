namespace RedisFailover.ZooKeeper;

/// <summary>The heartbeat of one session.</summary>
internal sealed class SessionHeartbeat
{
    private long _nextAt;
    private long _lateAt;
    private readonly TimeProvider _time;

    internal SessionHeartbeat(ZooKeeperSession session, string path, TimeProvider time)
    {
        (Session, Path, _time) = (session, path, time);
        Beats = new SentBeats(time);
        _nextAt = _lateAt = time.GetTimestamp();
    }

    internal ZooKeeperSession Session { get; }

    internal string Path { get; }

    internal SentBeats Beats { get; }

    /// <summary>Completed when the znode turns out to be gone while the session lives.</summary>
    internal TaskCompletionSource Lost { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);

    /// <summary>When the next beat is due.</summary>
    internal long NextAt
    {
        get => Volatile.Read(ref _nextAt);
        set => Volatile.Write(ref _nextAt, value);
    }

    /// <summary>When the beats' thread was last late by more than a lease.</summary>
    internal long LateAt
    {
        get => Volatile.Read(ref _lateAt);
        set => Volatile.Write(ref _lateAt, value);
    }

    /// <summary>
    /// For how long the servers have had a beat: neither what this process slept through nor the time without a connection counts.
    /// </summary>
    internal TimeSpan TakenBy(Beat beat)
        => _time.GetElapsedTime(Math.Max(beat.SentAt.Monotonic, Math.Max(LateAt, Session.ConnectedAt)));

    /// <summary>Whether a quorum has taken one of its beats.</summary>
    internal bool HasBeaten { get; set; }

    /// <summary>How often the session has moved to another server since a beat was answered.</summary>
    internal int Moves { get; set; }

    /// <summary>How long an answer is waited for before the session moves: the beat's lease, twice that after each move, up to T.</summary>
    internal TimeSpan Patience(Beat beat)
    {
        TimeSpan patience = beat.Length * (1 << Math.Min(Moves, 6));
        return patience < Session.SessionTimeout ? patience : Session.SessionTimeout;
    }
}
