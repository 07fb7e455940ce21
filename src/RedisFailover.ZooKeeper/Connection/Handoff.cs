using System.Collections.Concurrent;
using System.Diagnostics.CodeAnalysis;

namespace RedisFailover.ZooKeeper;

/// <summary>
/// What the read loop of one connection has ready for users: awaiting code to resume, callbacks to run. The loop's own thread runs it
/// (<see cref="ReadLoop"/>), or the thread pool after <see cref="Flush"/>.
/// </summary>
/// <remarks>
/// On the pool nobody can hold up another's reply: before anything is run while more is there, a further runner is queued, which takes what
/// is left. And what the resumed code sends meanwhile is sent together: while a runner is queued that has not started,
/// <see cref="ServerConnection"/> leaves new requests to it, for it begins with sending them.
/// </remarks>
internal sealed class Handoff(ServerConnection connection) : IThreadPoolWorkItem
{
    /// <summary>A runner sends what has come together at least this often.</summary>
    internal const int RunBetweenFlushes = 64;

    private readonly ConcurrentQueue<IThreadPoolWorkItem> _ready = new();
    private int _queued;

    /// <summary>True while a runner is queued that has not started: it will send what is appended before it does.</summary>
    internal bool RunnerIsDue => Volatile.Read(ref _queued) != 0;

    internal bool IsEmpty => _ready.IsEmpty;

    /// <summary>Used by the loop alone.</summary>
    internal void Add(IThreadPoolWorkItem item) => _ready.Enqueue(item);

    internal bool TryTake([NotNullWhen(true)] out IThreadPoolWorkItem? item) => _ready.TryDequeue(out item);

    /// <summary>To the thread pool with what there is.</summary>
    internal void Flush()
    {
        if (!_ready.IsEmpty && Interlocked.CompareExchange(ref _queued, 1, 0) == 0)
        {
            ThreadPool.UnsafeQueueUserWorkItem(this, preferLocal: false);
        }
    }

    void IThreadPoolWorkItem.Execute()
    {
        // Before the sending: a request that still sees a runner due is in what is sent now.
        Interlocked.Exchange(ref _queued, 0);
        connection.Flush();
        int run = 0;
        while (_ready.TryDequeue(out IThreadPoolWorkItem? item))
        {
            Flush();
            item.Execute();
            if (++run % RunBetweenFlushes == 0)
            {
                connection.Flush();
            }
        }

        if (run > 1)
        {
            connection.Flush();
        }
    }
}
