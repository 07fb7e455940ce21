using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using RedisFailover.Monitor.Options;

namespace RedisFailover.Monitor.Hosting;

/// <summary>Answers <c>GET /health</c>: 200 while ZooKeeper is connected, 503 while it is not, each with the monitor's state as JSON.</summary>
internal sealed class HealthEndpoint(MonitorOptions options, MonitorService monitor, ILoggerFactory loggers) : IHostedService, IAsyncDisposable
{
    private readonly ILogger _logger = loggers.CreateLogger("RedisFailover.Monitor");
    private WebApplication? _web;

    /// <inheritdoc/>
    public async Task StartAsync(CancellationToken cancellationToken)
    {
        if (options.Http is not { } address)
        {
            return;
        }

        WebApplicationBuilder builder = WebApplication.CreateEmptyBuilder(new WebApplicationOptions());
        builder.WebHost.UseKestrelCore().UseUrls(address.GetLeftPart(UriPartial.Authority));
        _web = builder.Build();
        _web.Run(AnswerAsync);
        await _web.StartAsync(cancellationToken);
        Log.HttpAnswered(_logger, address.GetLeftPart(UriPartial.Authority));
    }

    /// <inheritdoc/>
    public Task StopAsync(CancellationToken cancellationToken) => _web?.StopAsync(cancellationToken) ?? Task.CompletedTask;

    /// <inheritdoc/>
    public ValueTask DisposeAsync() => _web?.DisposeAsync() ?? ValueTask.CompletedTask;

    private Task AnswerAsync(HttpContext context)
    {
        if (context.Request.Path == "/health/live")
        {
            // Whether this process works. That ZooKeeper is away is no reason to start it anew.
            context.Response.StatusCode = monitor.HasFailed ? StatusCodes.Status503ServiceUnavailable : StatusCodes.Status200OK;
            return context.Response.WriteAsync(monitor.HasFailed ? "failed\n" : "ok\n", context.RequestAborted);
        }

        if (context.Request.Path != "/health")
        {
            context.Response.StatusCode = StatusCodes.Status404NotFound;
            return context.Response.WriteAsync("There are /health and /health/live.\n", context.RequestAborted);
        }

        MonitorHealth health = monitor.Health();
        context.Response.StatusCode = health.ZooKeeperConnected ? StatusCodes.Status200OK : StatusCodes.Status503ServiceUnavailable;
        return context.Response.WriteAsJsonAsync(health, MonitorJson.Default.MonitorHealth, cancellationToken: context.RequestAborted);
    }
}
