using System.Collections.Concurrent;
using Microsoft.Extensions.Logging;

namespace RedisFailover.ZooKeeper;

/// <summary>
/// Runs callbacks of users one after another on the thread pool, in the order of their posting, and never on the thread that posts.
/// </summary>
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

    /// <summary>
    /// Cancels at once and lets what users have registered run on the thread pool. What one of them throws is logged like that of any
    /// other callback.
    /// </summary>
    internal static async Task CancelAsync(CancellationTokenSource source, ILogger logger)
    {
        try
        {
            await source.CancelAsync().ConfigureAwait(false);
        }
#pragma warning disable CA1031 // As in Run: nobody awaits this.
        catch (Exception e)
#pragma warning restore CA1031
        {
            Log.CallbackFailed(logger, e.GetBaseException());
        }
    }

    /// <summary>Tells all subscribers of an event, each whatever the one before it throws.</summary>
    /// <param name="subscribers">Who they are; asked when it is their turn.</param>
    /// <param name="news">What they are told.</param>
    internal void Raise<T>(Func<Action<T>?> subscribers, T news)
        => Post(
            _ =>
            {
                foreach (Action<T> subscriber in (subscribers()?.GetInvocationList() ?? []).Cast<Action<T>>())
                {
                    Run(_ => subscriber(news), null);
                }
            },
            null);

    void IThreadPoolWorkItem.Execute()
    {
        do
        {
            _queue.TryDequeue(out (Action<object?> Callback, object? State) item);
            Run(item.Callback, item.State);
        }
        while (Interlocked.Decrement(ref _pending) > 0);
    }

    private void Run(Action<object?> callback, object? state)
    {
        try
        {
            callback(state);
        }
#pragma warning disable CA1031 // What a user's callback throws concerns neither the session nor the next callback.
        catch (Exception e)
#pragma warning restore CA1031
        {
            Log.CallbackFailed(logger, e);
        }
    }
}
