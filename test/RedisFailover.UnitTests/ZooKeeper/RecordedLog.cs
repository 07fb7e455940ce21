using System.Collections.Concurrent;
using Microsoft.Extensions.Logging;

namespace RedisFailover.UnitTests.ZooKeeper;

/// <summary>Keeps what is logged, for tests that look at it.</summary>
internal sealed class RecordedLog : ILoggerFactory, ILogger
{
    internal static RecordedLog Instance { get; } = new();

    internal ConcurrentQueue<(LogLevel Level, string Text)> Entries { get; } = new();

    public void AddProvider(ILoggerProvider provider)
    {
    }

    public ILogger CreateLogger(string categoryName) => this;

    public IDisposable? BeginScope<TState>(TState state)
        where TState : notnull => null;

    public bool IsEnabled(LogLevel logLevel) => true;

    public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception,
        Func<TState, Exception?, string> formatter)
        => Entries.Enqueue((logLevel, formatter(state, exception)));

    public void Dispose()
    {
    }
}
