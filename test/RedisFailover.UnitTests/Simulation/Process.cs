namespace RedisFailover.UnitTests.Simulation;

/// <summary>Something that runs at a place of the network, and may be killed, started again, or held up for a while.</summary>
internal abstract class Process(World world, Network network, int place, string name)
{
    private readonly Queue<Action> _waiting = new();
    private long _bornAt;
    private long _pausedAt;
    private long _suspended;
    private bool _isSuspended;

    internal World World => world;

    internal Network Network => network;

    internal int Place => place;

    internal string Name => name;

    internal bool IsUp { get; private set; }

    internal bool IsPaused { get; private set; }

    /// <summary>Counts the starts.</summary>
    internal int Life { get; private set; }

    /// <summary>When it was last started, held up or let go on; it has been well since.</summary>
    internal long DisturbedAt { get; private set; }

    /// <summary>Its monotonic clock: stands still while the machine is suspended, goes on while the process alone is held up.</summary>
    internal TimeSpan Clock => TimeSpan.FromTicks((IsPaused && _isSuspended ? _pausedAt : world.Now) - _bornAt - _suspended);

    internal bool IsWell(long window) => IsUp && !IsPaused && (DisturbedAt == 0 || world.Now - DisturbedAt >= window);

    internal void Start()
    {
        IsUp = true;
        Life++;
        _bornAt = world.Now;
        _suspended = 0;
        DisturbedAt = world.Now;
        Started();
    }

    internal void Kill()
    {
        if (!IsUp)
        {
            return;
        }

        IsUp = IsPaused = false;
        DisturbedAt = world.Now;
        _waiting.Clear();
        Ended();
    }

    internal void Pause(bool machine)
    {
        if (IsUp && !IsPaused)
        {
            IsPaused = true;
            _isSuspended = machine;
            _pausedAt = world.Now;
        }
    }

    internal void Resume()
    {
        if (!IsPaused)
        {
            return;
        }

        if (_isSuspended)
        {
            _suspended += world.Now - _pausedAt;
        }

        IsPaused = false;
        DisturbedAt = world.Now;
        while (!IsPaused && _waiting.TryDequeue(out Action? next))
        {
            next();
        }
    }

    /// <summary>Now, or when it goes on; never when it is gone.</summary>
    internal void Do(Action what)
    {
        if (!IsUp)
        {
            return;
        }

        if (IsPaused)
        {
            _waiting.Enqueue(what);
        }
        else
        {
            what();
        }
    }

    /// <summary>A timer on the monotonic clock; it goes with the process.</summary>
    internal void After(long delay, Action what)
    {
        int life = Life;
        Arm(Clock.Ticks + Math.Max(0, delay));

        void Arm(long due) => world.At(world.Now + due - Clock.Ticks, () =>
        {
            if (life == Life && IsUp)
            {
                Do(() =>
                {
                    if (Clock.Ticks < due)
                    {
                        Arm(due);
                    }
                    else
                    {
                        what();
                    }
                });
            }
        });
    }

    protected void Tell(string what) => world.Tell(name, what);

    protected virtual void Started()
    {
    }

    protected virtual void Ended()
    {
    }
}
