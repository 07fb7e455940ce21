namespace RedisFailover.ZooKeeper;

/// <summary>Pings after T/3 of silence towards the server, and gives the connection up after 2T/3 of silence from it.</summary>
internal sealed class KeepAlive : IDisposable
{
    private static readonly TimeSpan Soonest = TimeSpan.FromMilliseconds(1);

    private readonly ServerConnection _connection;
    private readonly TimeProvider _time;
    private readonly TimeSpan _pingAfter;
    private readonly TimeSpan _giveUpAfter;
    private readonly ITimer _timer;

    /// <param name="connection">The connection.</param>
    /// <param name="sessionTimeout">T.</param>
    /// <param name="time">The source of time.</param>
    internal KeepAlive(ServerConnection connection, TimeSpan sessionTimeout, TimeProvider time)
    {
        (_connection, _time, _pingAfter, _giveUpAfter) = (connection, time, sessionTimeout / 3, sessionTimeout * 2 / 3);
        _timer = time.CreateTimer(static k => ((KeepAlive)k!).OnTimer(), this, Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);
        _timer.Change(_pingAfter, Timeout.InfiniteTimeSpan);
    }

    public void Dispose() => _timer.Dispose();

    private void OnTimer()
    {
        TimeSpan silence = _connection.LastReceive.Elapsed(_time);
        if (silence >= _giveUpAfter)
        {
            _connection.Abort($"no answer for {silence.TotalMilliseconds:0} ms");
            return;
        }

        if (_connection.PingAfter(_pingAfter) is not { } idle)
        {
            return;
        }

        TimeSpan untilPing = _pingAfter - idle;
        TimeSpan untilGivenUp = _giveUpAfter - silence;
        TimeSpan due = untilPing < untilGivenUp ? untilPing : untilGivenUp;
        _timer.Change(due < Soonest ? Soonest : due, Timeout.InfiniteTimeSpan);
    }
}
