using System.Collections.Concurrent;
using System.Runtime.CompilerServices;

namespace RedisFailover.ZooKeeper;

/// <summary>
/// What the read loop of one connection has ready for users: awaiting code to resume, callbacks to run. The thread that has read it runs it,
/// but only after the loop has left that thread: it waits for the socket by then, and goes on elsewhere when something comes. So a
/// single request needs no further thread to wake up, and many that were answered together need one or two and not one each.
/// </summary>
/// <remarks>
/// Nobody can hold up the loop, nor another's reply: before anything is run while more is there, a further runner is queued to the thread
/// pool, which takes what is left. And what the resumed code sends meanwhile is sent together: while a runner is queued that has not
/// started, <see cref="ServerConnection"/> leaves new requests to it, for it begins with sending them.
/// </remarks>
internal sealed class Handoff(ServerConnection connection) : IThreadPoolWorkItem
{
    /// <summary>A runner sends what has come together at least this often.</summary>
    private const int RunBetweenFlushes = 64;

    private readonly ConcurrentQueue<IThreadPoolWorkItem> _ready = new();
    private int _queued;

    /// <summary>True while a runner is queued that has not started: it will send what is appended before it does.</summary>
    internal bool RunnerIsDue => Volatile.Read(ref _queued) != 0;

    /// <summary>Used by the loop alone; runs when the loop waits, or elsewhere after <see cref="Flush"/>.</summary>
    internal void Add(IThreadPoolWorkItem item) => _ready.Enqueue(item);

    /// <summary>To the thread pool with what there is.</summary>
    internal void Flush()
    {
        if (!_ready.IsEmpty)
        {
            QueueRunner();
        }
    }

    /// <summary>Await this in the loop instead of the read itself.</summary>
    internal ReadThenRun Around(ValueTask<ReadOnlyMemory<byte>> read) => new(read, this);

    void IThreadPoolWorkItem.Execute()
    {
        // Before the sending: a request that still sees a runner due is in what is sent now.
        Interlocked.Exchange(ref _queued, 0);
        connection.Flush();
        Run();
    }

    private void QueueRunner()
    {
        if (Interlocked.CompareExchange(ref _queued, 1, 0) == 0)
        {
            ThreadPool.UnsafeQueueUserWorkItem(this, preferLocal: false);
        }
    }

    private void Run()
    {
        int run = 0;
        while (_ready.TryDequeue(out IThreadPoolWorkItem? item))
        {
            if (!_ready.IsEmpty)
            {
                QueueRunner();
            }

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

    /// <summary>Waits for the read; when that suspends the loop, runs what is ready.</summary>
    internal readonly struct ReadThenRun(ValueTask<ReadOnlyMemory<byte>> read, Handoff handoff) : ICriticalNotifyCompletion
    {
        private readonly ConfiguredValueTaskAwaitable<ReadOnlyMemory<byte>>.ConfiguredValueTaskAwaiter _read = read.ConfigureAwait(false).GetAwaiter();

        public bool IsCompleted
        {
            get
            {
                bool completed = _read.IsCompleted;
                if (completed)
                {
                    // More has come in already: the loop stays on this thread.
                    handoff.Flush();
                }

                return completed;
            }
        }

        public ReadThenRun GetAwaiter() => this;

        public ReadOnlyMemory<byte> GetResult() => _read.GetResult();

        public void OnCompleted(Action continuation) => UnsafeOnCompleted(continuation);

        public void UnsafeOnCompleted(Action continuation)
        {
            // From here on the loop may go on on another thread.
            _read.UnsafeOnCompleted(continuation);
            handoff.Run();
        }
    }
}
