using Microsoft.Extensions.Logging;

namespace RedisFailover.Client;

/// <summary>
/// The application's logger, whose failures are its own: a message that it cannot take is lost, and what was to be told of goes on.
/// </summary>
internal sealed class ToleratedLogger(ILogger logger) : ILogger
{
#pragma warning disable CA1031 // Whatever it throws, there is nobody to tell.
    public IDisposable? BeginScope<TState>(TState state)
        where TState : notnull
    {
        try
        {
            return logger.BeginScope(state);
        }
        catch (Exception)
        {
            return null;
        }
    }

    /// <summary>A factory whose loggers are such.</summary>
    public static ILoggerFactory FactoryOf(ILoggerFactory factory) => factory as ToleratedFactory ?? new ToleratedFactory(factory);

    public bool IsEnabled(LogLevel logLevel)
    {
        try
        {
            return logger.IsEnabled(logLevel);
        }
        catch (Exception)
        {
            return false;
        }
    }

    public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception,
        Func<TState, Exception?, string> formatter)
    {
        try
        {
            logger.Log(logLevel, eventId, state, exception, formatter);
        }
        catch (Exception)
        {
        }
    }
#pragma warning restore CA1031

    private sealed class ToleratedFactory(ILoggerFactory factory) : ILoggerFactory
    {
        public void AddProvider(ILoggerProvider provider) => factory.AddProvider(provider);

        public ILogger CreateLogger(string categoryName) => new ToleratedLogger(factory.CreateLogger(categoryName));

        public void Dispose()
        {
            // It is the application's.
        }
    }
}
