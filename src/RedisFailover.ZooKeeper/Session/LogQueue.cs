using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;

namespace RedisFailover.ZooKeeper;

/// <summary>
/// Takes what this project logs to the user's logger on the thread pool, in order: a logger that blocks holds up neither the reading nor
/// the session, and one that throws harms nobody. It stamps a line when it gets it, normally some microseconds after what it tells of.
/// </summary>
internal sealed class LogQueue(ILogger logger) : ILogger
{
    /// <summary>Lines that wait for a logger that blocks; what comes on top is counted, and told of when it is back.</summary>
    internal const int MaxWaiting = 1024;

    // What a logger throws is told nowhere: there is no other place to tell it.
    private readonly CallbackQueue _queue = new(NullLogger.Instance);
    private int _waiting;
    private int _dropped;

    internal static LogQueue For(ZooKeeperOptions options)
        => new(options.LoggerFactory?.CreateLogger(ZooKeeper.Log.Category) ?? NullLogger.Instance);

    /// <summary>Not the logger's own answer, which is code of the user's: it is asked when it is its turn.</summary>
    public bool IsEnabled(LogLevel logLevel) => logger is not NullLogger;

    public IDisposable? BeginScope<TState>(TState state)
        where TState : notnull => null;

    public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception,
        Func<TState, Exception?, string> formatter)
    {
        if (Interlocked.Increment(ref _waiting) > MaxWaiting)
        {
            Interlocked.Decrement(ref _waiting);
            Interlocked.Increment(ref _dropped);
            return;
        }

        _queue.Post(
            _ =>
            {
                Interlocked.Decrement(ref _waiting);
                if (Interlocked.Exchange(ref _dropped, 0) is > 0 and int dropped)
                {
                    ZooKeeper.Log.LinesDropped(logger, dropped);
                }

                if (logger.IsEnabled(logLevel))
                {
                    logger.Log(logLevel, eventId, state, exception, formatter);
                }
            },
            null);
    }

    /// <summary>Waits until the logger has everything that was logged before, but not for longer than given: it may block.</summary>
    internal async Task WrittenAsync(TimeSpan atMost, TimeProvider time)
    {
        if (logger is NullLogger)
        {
            return;
        }

        var written = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        _queue.Post(static w => ((TaskCompletionSource)w!).SetResult(), written);
        await written.Task.WaitAsync(atMost, time).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
    }
}
