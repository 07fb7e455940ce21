using System.Collections.Concurrent;
using Microsoft.Extensions.Logging;

namespace RedisFailover.ZooKeeper;

/// <summary>Runs callbacks of users one after another on the thread pool, in the order of their posting, and never on the thread that posts.</summary>
internal sealed class CallbackQueue(ILogger logger) : IThreadPoolWorkItem
{
    private readonly ConcurrentQueue<(Action<object?> Callback, object? State)> _queue = new();
    private int _pending;

    /// <param name="callback">What to run.</param>
    /// <param name="state">Its argument.</param>
    /// <param name="handoff">The read loop's, if it is the one who posts.</param>
    internal void Post(Action<object?> callback, object? state, Handoff? handoff = null)
    {
        _queue.Enqueue((callback, state));
        if (Interlocked.Increment(ref _pending) != 1)
        {
            return;
        }

        if (handoff is null)
        {
            ThreadPool.UnsafeQueueUserWorkItem(this, preferLocal: true);
        }
        else
        {
            handoff.Add(this);
        }
    }

    void IThreadPoolWorkItem.Execute()
    {
        do
        {
            _queue.TryDequeue(out (Action<object?> Callback, object? State) item);
            try
            {
                item.Callback(item.State);
            }
#pragma warning disable CA1031 // What a user's callback throws concerns neither the session nor the next callback.
            catch (Exception e)
#pragma warning restore CA1031
            {
                Log.CallbackFailed(logger, e);
            }
        }
        while (Interlocked.Decrement(ref _pending) > 0);
    }
}
