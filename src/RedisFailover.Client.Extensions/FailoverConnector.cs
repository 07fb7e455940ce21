using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace RedisFailover.Client.Extensions;

/// <summary>
/// Connects when the host starts, before anything of the application does, or when somebody asks before that. It is what the container's
/// connection comes from.
/// </summary>
internal sealed class FailoverConnector(
    Func<RedisFailoverSettings> settings, ILoggerFactory loggers, TimeProvider time, Func<FailoverOptions, FailoverOptions>? change)
    : IHostedLifecycleService, IAsyncDisposable, IDisposable
{
    private readonly Lock _gate = new();
    private Task<FailoverConnection>? _connecting;

    /// <summary>
    /// Blocks, for ConnectTimeout at most, while it is not connected: what builds its pipeline before the host starts needs it then.
    /// </summary>
    public FailoverConnection Connection
    {
        get
        {
            Task<FailoverConnection> connecting = Connecting();
            ((IAsyncResult)connecting).AsyncWaitHandle.WaitOne();

            // Completed: throws what went wrong, if anything did.
            return connecting.GetAwaiter().GetResult();
        }
    }

    /// <summary>The connection, if there is one yet.</summary>
    public FailoverConnection? Connected
        => Volatile.Read(ref _connecting) is { IsCompletedSuccessfully: true } connected ? connected.GetAwaiter().GetResult() : null;

    public async Task StartingAsync(CancellationToken cancellationToken)
        => await Connecting().WaitAsync(cancellationToken).ConfigureAwait(false);

    public Task StartAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    public Task StartedAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    public Task StoppingAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    public Task StopAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    // Last of all: what stops before may still want to write.
    public Task StoppedAsync(CancellationToken cancellationToken) => DisposeAsync().AsTask();

    public void Dispose() => Connected?.Dispose();

    public async ValueTask DisposeAsync()
    {
        if (Volatile.Read(ref _connecting) is { } connecting)
        {
            await ((Task)connecting).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            if (Connected is { } connected)
            {
                await connected.DisposeAsync().ConfigureAwait(false);
            }
        }
    }

    private Task<FailoverConnection> Connecting()
    {
        lock (_gate)
        {
            if (_connecting is null or { IsFaulted: true } or { IsCanceled: true })
            {
                // Not on the caller's thread, who may block on it.
                _connecting = Task.Run(ConnectAsync);
            }

            return _connecting;
        }
    }

    private Task<FailoverConnection> ConnectAsync()
    {
        RedisFailoverSettings given = settings();
        FailoverOptions options = given.ToOptions() with { LoggerFactory = loggers, TimeProvider = time };
        return FailoverConnection.ConnectAsync(given.ZooKeeper!, change?.Invoke(options) ?? options);
    }
}
