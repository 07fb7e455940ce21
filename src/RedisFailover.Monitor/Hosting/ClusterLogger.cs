using Microsoft.Extensions.Logging;

namespace RedisFailover.Monitor.Hosting;

/// <summary>A log whose events all carry the cluster's name, as the property <c>Cluster</c>.</summary>
internal sealed class ClusterLogger(ILogger inner, string name) : ILogger
{
    /// <summary>The property's name.</summary>
    internal const string Property = "Cluster";

    private readonly KeyValuePair<string, object>[] _cluster = [new(Property, name)];

    /// <inheritdoc/>
    public IDisposable? BeginScope<TState>(TState state)
        where TState : notnull => inner.BeginScope(state);

    /// <inheritdoc/>
    public bool IsEnabled(LogLevel logLevel) => inner.IsEnabled(logLevel);

    /// <inheritdoc/>
    public void Log<TState>(
        LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter)
    {
        using IDisposable? scope = inner.BeginScope(_cluster);
        inner.Log(logLevel, eventId, state, exception, formatter);
    }
}
