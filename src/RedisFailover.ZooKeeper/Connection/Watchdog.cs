namespace RedisFailover.ZooKeeper;

/// <summary>
/// One thread of the process looks after all read loops: every 2 ms while there is something to do, not at all when all of them wait for
/// their servers.
/// </summary>
/// <remarks>
/// It is about threads of this process and no other time: the real clock, also under a test's <see cref="TimeProvider"/>.
/// </remarks>
internal static class Watchdog
{
    private const int TickMilliseconds = 2;
    private const int IdleTicks = 10;

    private static readonly Lock Gate = new();
    private static readonly List<ReadLoop> Loops = [];
    private static readonly AutoResetEvent Awake = new(false);
    private static bool _started;
    private static int _rests;

    internal static void Add(ReadLoop loop)
    {
        lock (Gate)
        {
            Loops.Add(loop);
            if (!_started)
            {
                _started = true;
                new Thread(Run) { IsBackground = true, Name = "ZooKeeper watchdog" }.Start();
            }
        }
    }

    internal static void Remove(ReadLoop loop)
    {
        lock (Gate)
        {
            Loops.Remove(loop);
        }
    }

    /// <summary>To be called after a loop has begun to run users' code.</summary>
    internal static void Wake()
    {
        if (Volatile.Read(ref _rests) == 1 && Interlocked.Exchange(ref _rests, 0) == 1)
        {
            Awake.Set();
        }
    }

    private static void Run()
    {
        int idle = 0;
        while (true)
        {
            Awake.WaitOne(Volatile.Read(ref _rests) == 1 ? Timeout.Infinite : TickMilliseconds);
            bool moved = false;
            bool runs = false;
            lock (Gate)
            {
                foreach (ReadLoop loop in Loops)
                {
                    moved |= loop.Check();
                    runs |= loop.RunsUsers;
                }
            }

            idle = moved || runs ? 0 : idle + 1;
            if (idle == IdleTicks)
            {
                idle = 0;
                Interlocked.Exchange(ref _rests, 1);

                // Who has begun just before did not see that it was to wake anybody.
                lock (Gate)
                {
                    if (Loops.Exists(loop => loop.RunsUsers))
                    {
                        Interlocked.Exchange(ref _rests, 0);
                    }
                }
            }
        }
    }
}
