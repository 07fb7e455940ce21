using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;

namespace RedisFailover.Client.Extensions;

/// <summary>Connects when the host starts, before anything of the application does, and is what the container's connection comes from.</summary>
internal sealed class FailoverConnector(
    IOptions<RedisFailoverSettings> settings, ILoggerFactory loggers, TimeProvider time, Func<FailoverOptions, FailoverOptions>? change) : IHostedLifecycleService, IAsyncDisposable, IDisposable
{
    private FailoverConnection? _connection;

    public FailoverConnection Connection
        => _connection ?? throw new InvalidOperationException("Redis is not connected yet: the connection is made when the host starts (IHost.StartAsync, WebApplication.Run).");

    public async Task StartingAsync(CancellationToken cancellationToken)
    {
        RedisFailoverSettings given = settings.Value;
        FailoverOptions options = given.ToOptions() with { LoggerFactory = loggers, TimeProvider = time };
        _connection = await FailoverConnection.ConnectAsync(given.ZooKeeper!, change?.Invoke(options) ?? options, cancellationToken).ConfigureAwait(false);
    }

    public Task StartAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    public Task StartedAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    public Task StoppingAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    public Task StopAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    // Last of all: what stops before may still want to write.
    public Task StoppedAsync(CancellationToken cancellationToken) => DisposeAsync().AsTask();

    public void Dispose() => _connection?.Dispose();

    public ValueTask DisposeAsync() => _connection?.DisposeAsync() ?? ValueTask.CompletedTask;
}
