namespace RedisFailover.Client;

/// <summary>The application's logger: a message that it fails to take is lost, and what was to be told of goes on.</summary>
internal sealed class ToleratedLogger(ILogger logger) : ILogger
{
    /// <summary>A factory whose loggers are such.</summary>
    public static ILoggerFactory FactoryOf(ILoggerFactory factory) => factory as ToleratedFactory ?? new ToleratedFactory(factory);

    public IDisposable? BeginScope<TState>(TState state)
        where TState : notnull
        => Tolerated.Run(() => logger.BeginScope(state));

    public bool IsEnabled(LogLevel logLevel) => Tolerated.Run(() => logger.IsEnabled(logLevel));

    public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception,
        Func<TState, Exception?, string> formatter)
        => Tolerated.Run(() => logger.Log(logLevel, eventId, state, exception, formatter));

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
