namespace RedisFailover.ZooKeeper;

/// <summary>The heartbeat of one session.</summary>
internal sealed class SessionHeartbeat
{
    private long _nextAt;

    internal SessionHeartbeat(ZooKeeperSession session, string path, TimeProvider time)
    {
        (Session, Path) = (session, path);
        Beats = new SentBeats(time);
        _nextAt = LateAt = time.GetTimestamp();
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
    internal long LateAt { get; set; }

    internal bool HasBeaten { get; set; }

    /// <summary>How often the session has moved to another server since a beat was answered.</summary>
    internal int Moves { get; set; }
}
