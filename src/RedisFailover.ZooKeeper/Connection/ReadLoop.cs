namespace RedisFailover.ZooKeeper;

/// <summary>
/// Reads one connection on a thread of its own, and resumes on that same thread those whose replies have come: no other thread need wake up
/// for a request, and what all of them send next goes out together. With many requests in flight the thread pool resumes them while the
/// loop reads on.
/// </summary>
/// <remarks>
/// Even so nobody can hold up the loop. Reading is a turn that one thread has at a time; it is counted in <c>_turn</c>, odd while users'
/// code runs. The <see cref="Watchdog"/> that finds the same odd number twice takes the turn away: a new thread reads on, the thread pool
/// gets what is left to resume, and the old thread ends when that code lets it. For a while after that everything is resumed on the thread
/// pool, so that code which blocks habitually costs 2 to 4 ms once a second and not every time.
/// </remarks>
internal sealed class ReadLoop(ServerConnection connection, TimeProvider time, Action<ReadOnlyMemory<byte>> handle)
{
    private static readonly TimeSpan Wary = TimeSpan.FromSeconds(1);

    private readonly TaskCompletionSource _over = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private long _turn;
    private long _batch = -1;
    private long? _blockedAt;
    private long _seen = -1;
    private volatile Exception? _fault;

    /// <summary>True while the loop's thread resumes several one after the other: it sends what they append when it is through.</summary>
    internal bool SendsSoon => Volatile.Read(ref _batch) == Volatile.Read(ref _turn);

    /// <summary>True while users' code runs on the loop's thread.</summary>
    internal bool RunsUsers => (Volatile.Read(ref _turn) & 1) != 0;

    /// <summary>Reads until the connection is lost, and then throws why. The frames are handled one at a time, in order.</summary>
    internal async Task RunAsync()
    {
        Watchdog.Add(this);
        StartThread();
        try
        {
            await _over.Task.ConfigureAwait(false);
        }
        finally
        {
            Watchdog.Remove(this);
        }
    }

    /// <summary>Called by the watchdog alone, every few milliseconds. True if something has gone on since the last time.</summary>
    internal bool Check()
    {
        long turn = Volatile.Read(ref _turn);
        bool moved = turn != _seen;
        if (!moved && (turn & 1) != 0 && Interlocked.CompareExchange(ref _turn, turn + 1, turn) == turn)
        {
            _blockedAt = time.GetTimestamp();
            connection.Flush();
            connection.Handoff.Flush();
            StartThread();
        }

        _seen = turn;
        return moved;
    }

    private void StartThread() => new Thread(Read) { IsBackground = true, Name = "ZooKeeper reader" }.Start();

    private void Read()
    {
        long turn = Volatile.Read(ref _turn);
        try
        {
            do
            {
                handle(connection.Receive());
                while (connection.TryReadBufferedFrame(out ReadOnlyMemory<byte> frame))
                {
                    handle(frame);
                }
            }
            while (RunUsers(ref turn));
        }
#pragma warning disable CA1031 // Whoever awaits the loop judges it; a thread that dies of an exception takes the process along.
        catch (Exception e)
#pragma warning restore CA1031
        {
            connection.Handoff.Flush();
            if (Volatile.Read(ref _turn) == turn || Interlocked.CompareExchange(ref _turn, turn + 2, turn + 1) == turn + 1)
            {
                _over.TrySetException(_fault ?? e);
            }
            else
            {
                // Users' code, after the turn was taken away: the thread that reads is the one to end the loop, for it holds the buffer.
                _fault = e;
                connection.Abort(e.Message);
            }
        }
    }

    /// <summary>False: another thread has the turn now.</summary>
    private bool RunUsers(ref long turn)
    {
        Handoff handoff = connection.Handoff;
        if (handoff.IsEmpty)
        {
            return true;
        }

        if (connection.IsBusy || (_blockedAt is { } at && time.GetElapsedTime(at) < Wary))
        {
            handoff.Flush();
            return true;
        }

        long mine = turn + 1;
        Interlocked.Exchange(ref _turn, mine);
        Watchdog.Wake();
        Volatile.Write(ref _batch, mine);
        for (int run = 1; handoff.TryTake(out IThreadPoolWorkItem? item); run++)
        {
            if (handoff.IsEmpty)
            {
                // The last one sends by itself.
                Volatile.Write(ref _batch, -1);
            }

            item.Execute();
            if (Volatile.Read(ref _turn) != mine)
            {
                return false;
            }

            if (run % Handoff.RunBetweenFlushes == 0)
            {
                connection.Flush();
            }
        }

        turn = mine + 1;
        if (Interlocked.CompareExchange(ref _turn, turn, mine) != mine)
        {
            return false;
        }

        // After the turn has changed: a request that still sees it is in what is sent now.
        connection.Flush();
        return true;
    }
}
