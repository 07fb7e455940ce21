using Microsoft.Extensions.Logging;

namespace RedisFailover.UnitTests.Client;

/// <summary>An application's log whose every message fails.</summary>
internal sealed class ThrowingLoggers : ILoggerFactory, ILogger
{
    private int _thrown;

    public int Thrown => Volatile.Read(ref _thrown);

    public ILogger CreateLogger(string categoryName) => this;

    public void AddProvider(ILoggerProvider provider)
    {
    }

    public void Dispose()
    {
    }

    public IDisposable? BeginScope<TState>(TState state)
        where TState : notnull
        => null;

    public bool IsEnabled(LogLevel logLevel) => true;

    public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception,
        Func<TState, Exception?, string> formatter)
    {
        Interlocked.Increment(ref _thrown);
        throw new InvalidOperationException("disk full");
    }
}
