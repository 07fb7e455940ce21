using System.Runtime.CompilerServices;

namespace RedisFailover.ZooKeeper;

/// <summary>
/// What the read loop has ready for users: awaiting code to resume, callbacks to run. All but the last of it goes to the thread pool. The last
/// runs on the very thread that has read it, but only after the loop has left that thread: it waits for the socket by then, and goes on
/// elsewhere when something comes. So a single request needs no further thread to wake up, and still nobody can hold up the loop.
/// Used by the loop alone.
/// </summary>
internal sealed class Handoff
{
    private IThreadPoolWorkItem? _held;

    internal void Add(IThreadPoolWorkItem item)
    {
        if (_held is not null)
        {
            ThreadPool.UnsafeQueueUserWorkItem(_held, preferLocal: false);
        }

        _held = item;
    }

    /// <summary>To the thread pool with what is left.</summary>
    internal void Flush()
    {
        if (Take() is { } held)
        {
            ThreadPool.UnsafeQueueUserWorkItem(held, preferLocal: false);
        }
    }

    /// <summary>Await this in the loop instead of the read itself.</summary>
    internal ReadThenRun Around(ValueTask<ReadOnlyMemory<byte>> read) => new(read, this);

    private IThreadPoolWorkItem? Take()
    {
        IThreadPoolWorkItem? held = _held;
        _held = null;
        return held;
    }

    /// <summary>Waits for the read; when that suspends the loop, runs what is held.</summary>
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
            // Taken before the loop may go on on another thread, run after it may.
            IThreadPoolWorkItem? held = handoff.Take();
            _read.UnsafeOnCompleted(continuation);
            held?.Execute();
        }
    }
}
