namespace RedisFailover.UnitTests.ZooKeeper;

/// <summary>A clock that stands still until a test moves it. The wall clock can be moved alone, as a suspended machine finds it.</summary>
internal sealed class ManualTime : TimeProvider
{
    private readonly Lock _gate = new();
    private readonly List<ManualTimer> _timers = [];
    private TimeSpan _elapsed;
    private DateTimeOffset _wall = new(2026, 11, 22, 12, 0, 0, TimeSpan.Zero);

    public override long TimestampFrequency => TimeSpan.TicksPerSecond;

    /// <summary>Timers that will fire one day.</summary>
    internal int PendingTimers
    {
        get
        {
            lock (_gate)
            {
                return _timers.Count(t => t.Due is not null);
            }
        }
    }

    /// <summary>How far away the last of the pending timers is.</summary>
    internal TimeSpan LastTimer
    {
        get
        {
            lock (_gate)
            {
                return (_timers.Max(t => t.Due) ?? _elapsed) - _elapsed;
            }
        }
    }

    public override long GetTimestamp()
    {
        lock (_gate)
        {
            return _elapsed.Ticks;
        }
    }

    public override DateTimeOffset GetUtcNow()
    {
        lock (_gate)
        {
            return _wall;
        }
    }

    public override ITimer CreateTimer(TimerCallback callback, object? state, TimeSpan dueTime, TimeSpan period)
    {
        var timer = new ManualTimer(this, callback, state);
        timer.Change(dueTime, period);
        lock (_gate)
        {
            _timers.Add(timer);
        }

        return timer;
    }

    /// <summary>Moves both clocks; what falls due fires in order, each at its own time.</summary>
    internal void Advance(TimeSpan by)
    {
        TimeSpan target;
        lock (_gate)
        {
            target = _elapsed + by;
        }

        while (true)
        {
            ManualTimer? next;
            lock (_gate)
            {
                next = _timers.Where(t => t.Due <= target).MinBy(t => t.Due);
                TimeSpan to = next?.Due is { } due && due > _elapsed ? due : next is null ? target : _elapsed;
                _wall += to - _elapsed;
                _elapsed = to;
                next?.Rearm();
            }

            if (next is null)
            {
                return;
            }

            next.Fire();
        }
    }

    /// <summary>The process was frozen: both clocks have gone on when the first timer fires.</summary>
    internal void Jump(TimeSpan length)
    {
        lock (_gate)
        {
            _elapsed += length;
            _wall += length;
        }

        Advance(TimeSpan.Zero);
    }

    /// <summary>The machine was suspended: the wall clock has gone on, the monotonic one has not.</summary>
    internal void Suspend(TimeSpan length)
    {
        lock (_gate)
        {
            _wall += length;
        }
    }

    private sealed class ManualTimer(ManualTime owner, TimerCallback callback, object? state) : ITimer
    {
        private TimeSpan _period = Timeout.InfiniteTimeSpan;

        internal TimeSpan? Due { get; private set; }

        public bool Change(TimeSpan dueTime, TimeSpan period)
        {
            lock (owner._gate)
            {
                Due = dueTime == Timeout.InfiniteTimeSpan ? null : owner._elapsed + dueTime;
                _period = period;
                return true;
            }
        }

        public void Dispose()
        {
            lock (owner._gate)
            {
                Due = null;
                owner._timers.Remove(this);
            }
        }

        public ValueTask DisposeAsync()
        {
            Dispose();
            return ValueTask.CompletedTask;
        }

        internal void Rearm() => Due = _period == Timeout.InfiniteTimeSpan || _period == TimeSpan.Zero ? null : Due + _period;

        internal void Fire() => callback(state);
    }
}
