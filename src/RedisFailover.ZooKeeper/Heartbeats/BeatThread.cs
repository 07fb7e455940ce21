namespace RedisFailover.ZooKeeper;

/// <summary>
/// When a beat is due, on a thread of its own: neither the pool's work nor what holds it up delays one. Every third of a lease while the
/// session is connected, and at once with a connection.
/// </summary>
#pragma warning disable CA1001 // Its event is waited for until the client is disposed, and is nobody's resource then.
internal sealed class BeatThread
#pragma warning restore CA1001
{
    /// <summary>With so many beats unanswered another one would tell nobody anything.</summary>
    private const int MostAwaited = 16;

    private readonly ZooKeeperClient _client;
    private readonly Func<SessionHeartbeat?> _heartbeat;
    private readonly MeasuredLease _length;
    private readonly LeaseRenewal _renewal;
    private readonly Func<TimeSpan, bool> _mayBeat;
    private readonly AutoResetEvent _due = new(false);

    /// <param name="client">Whose sessions are used.</param>
    /// <param name="heartbeat">The heartbeat of the present session.</param>
    /// <param name="length">How long the leases are.</param>
    /// <param name="renewal">What sends.</param>
    /// <param name="mayBeat">Asked before each beat, with the length of the lease: false when this process has stopped to work.</param>
    internal BeatThread(
        ZooKeeperClient client, Func<SessionHeartbeat?> heartbeat, MeasuredLease length, LeaseRenewal renewal, Func<TimeSpan, bool> mayBeat)
    {
        (_client, _heartbeat, _length, _renewal, _mayBeat) = (client, heartbeat, length, renewal, mayBeat);
        client.Disposing.UnsafeRegister(static e => ((AutoResetEvent)e!).Set(), _due);

        // A beat waits for no connection, so that none is late and tells of a lease that is over; the first comes with the connection.
        client.StateChanged += _ => Hasten();
    }

    internal void Start() => new Thread(Run) { IsBackground = true, Name = "ZooKeeper heartbeat" }.Start();

    /// <summary>There is another heartbeat, or none.</summary>
    internal void Look() => _due.Set();

    /// <summary>The next beat is due now.</summary>
    internal void Hasten()
    {
        if (_heartbeat() is { } heart)
        {
            heart.NextAt = _client.Time.GetTimestamp();
            _due.Set();
        }
    }

    private void Run()
    {
        while (!_client.Disposing.IsCancellationRequested)
        {
            SessionHeartbeat? heart = _heartbeat();
            TimeSpan wait = heart is null
                ? Timeout.InfiniteTimeSpan : TimeSpan.FromTicks(Math.Max(0, -_client.Time.GetElapsedTime(heart.NextAt).Ticks));
            if (heart is null || wait > TimeSpan.Zero)
            {
                WaitUntilDue(wait);
                continue;
            }

            _renewal.NoteWhatIsHeld();
            TimeSpan length = _length.Length(heart.Session.SessionTimeout);
            NoteLateness(heart, length);
            heart.NextAt = _client.Time.GetTimestamp()
                + (long)(LeaseRules.BeatEvery(length).TotalSeconds * _client.Time.TimestampFrequency);
            if (_mayBeat(length) && IsAnswered(heart))
            {
                _ = _renewal.BeatAsync(heart);
            }
        }
    }

    private void WaitUntilDue(TimeSpan wait)
    {
        if (wait == Timeout.InfiniteTimeSpan)
        {
            _due.WaitOne();
            return;
        }

        if (_client.Time == TimeProvider.System)
        {
            _due.WaitOne(wait + TimeSpan.FromMilliseconds(1));
            return;
        }

        using ITimer timer = _client.Time.CreateTimer(static e => ((AutoResetEvent)e!).Set(), _due, wait, Timeout.InfiniteTimeSpan);
        _due.WaitOne();
    }

    /// <summary>This process itself may have been held up: frozen, starved, or its machine slept.</summary>
    private void NoteLateness(SessionHeartbeat heart, TimeSpan length)
    {
        if (_client.Time.GetElapsedTime(heart.NextAt) > LeaseRules.BeatEvery(length))
        {
            heart.LateAt = _client.Time.GetTimestamp();
        }
    }

    /// <summary>
    /// Not without a connection, nor while too much is unanswered. A beat that is unanswered for a lease means that this server may have
    /// lost its quorum: the session moves to the next one. Where no server has answered any it is they that are slow, and each move would
    /// only take away the answer: after each move twice as long is waited, up to a session.
    /// </summary>
    private bool IsAnswered(SessionHeartbeat heart)
    {
        if (heart.Session.State != ZooKeeperSessionState.Connected)
        {
            return false;
        }

        if (_renewal.Unanswered(heart) is not { } unanswered)
        {
            return true;
        }

        _length.Wrote(unanswered.For);
        if (unanswered.For <= heart.Patience(unanswered.Oldest) || heart.Session.ServerCount == 1
            || !_renewal.TryCountMove(heart, unanswered.Oldest))
        {
            return unanswered.Count < MostAwaited;
        }

        heart.Session.MoveOn($"a write was not answered for {unanswered.For.TotalMilliseconds:0} ms");
        return false;
    }
}
