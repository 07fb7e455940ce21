using System.Net;
using System.Net.Security;
using System.Security.Cryptography.X509Certificates;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.AspNetCore.Server.Kestrel.Https;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using OpenTelemetry.Metrics;
using RedisFailover.Monitor.Hosting;
using RedisFailover.Monitor.Options;
using RedisFailover.Shared;

namespace RedisFailover.Monitor.Http;

/// <summary>
/// Answers HTTP where <c>--http</c> says so. An address that is taken is a problem that is told, and tried again: the monitor's work
/// matters more than its port.
/// </summary>
internal sealed class HttpService(MonitorOptions options, MonitorService monitor, TimeProvider time, ILoggerFactory loggers)
    : BackgroundService
{
    private static readonly TimeSpan Retry = TimeSpan.FromSeconds(5);

    private readonly ILogger _logger = loggers.CreateLogger("RedisFailover.Monitor");
    private (X509Certificate2 Of, SslServerAuthenticationOptions Options)? _shown;

    /// <inheritdoc/>
    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        if (options.Http is not { } uri)
        {
            return;
        }

        string address = uri.GetLeftPart(UriPartial.Authority);
        while (true)
        {
            await using WebApplication web = Build(uri);
            if (await StartAsync(web, address, stoppingToken))
            {
                Log.HttpAnswered(_logger, address);
                await web.WaitForShutdownAsync(stoppingToken);
                return;
            }

            await Task.Delay(Retry, time, stoppingToken);
        }
    }

    /// <summary>False where the address cannot be had, which is told until it can.</summary>
    private async Task<bool> StartAsync(WebApplication web, string address, CancellationToken cancellationToken)
    {
        try
        {
            await web.StartAsync(cancellationToken);
            Tell(null);
            return true;
        }
        catch (Exception e) when (e is IOException or System.Net.Sockets.SocketException)
        {
            Tell(Problem.OfMonitors(
                ProblemCatalogue.HttpUnavailable, $"{options.Id} cannot answer HTTP on {address}: {Words.Quoted(e.Message)}", options.Id));
            return false;
        }
    }

    /// <summary>In each cluster: it is the problem of this process.</summary>
    private void Tell(Problem? problem)
    {
        foreach (ClusterMonitor cluster in monitor.Clusters)
        {
            cluster.Problems.Set(ProblemCatalogue.HttpUnavailable, problem);
        }
    }

    private WebApplication Build(Uri uri)
    {
        WebApplicationBuilder builder = WebApplication.CreateEmptyBuilder(new WebApplicationOptions());
        builder.WebHost.UseKestrelCore().ConfigureKestrel(kestrel =>
        {
            Limit(kestrel.Limits);
            Listen(kestrel, uri);
        });
        if (options.HttpTls is not null)
        {
            builder.WebHost.UseKestrelHttpsConfiguration();
        }

        builder.Services.AddRoutingCore();
        builder.Services.AddOpenTelemetry().WithMetrics(metrics => metrics.AddMeter(MonitorMetrics.MeterName).AddPrometheusExporter());
        WebApplication web = builder.Build();
        web.Use(new Token(options.HttpToken, time).CheckAsync);
        new Routes(monitor, time).Map(web);
        web.MapPrometheusScrapingEndpoint("/metrics");
        return web;
    }

    private void Listen(KestrelServerOptions kestrel, Uri uri)
    {
        if (IPAddress.TryParse(uri.DnsSafeHost, out IPAddress? address))
        {
            kestrel.Listen(address, uri.Port, Secure);
        }
        else
        {
            kestrel.ListenLocalhost(uri.Port, Secure);
        }
    }

    private void Secure(ListenOptions endPoint)
    {
        if (options.HttpTls is { } tls)
        {
            endPoint.UseHttps(new TlsHandshakeCallbackOptions { OnConnection = _ => ValueTask.FromResult(Shown(tls)) });
        }
    }

    /// <summary>What the file holds at each connection: the certificate, and those that vouch for it.</summary>
    private SslServerAuthenticationOptions Shown(TlsFiles tls)
    {
        X509Certificate2 certificate = tls.Current().Certificate!;
        if (_shown is not { } shown || !ReferenceEquals(shown.Of, certificate))
        {
            var chain = new X509Certificate2Collection();
            chain.ImportFromPemFile(tls.Of.CertFile!);
            _shown = shown = (certificate, new SslServerAuthenticationOptions
            {
                ServerCertificateContext = SslStreamCertificateContext.Create(certificate, chain, offline: true),
            });
        }

        return shown.Options;
    }

    /// <summary>Whoever is slow, or sends much, is cut off; what all of them together cost is bounded.</summary>
    private static void Limit(KestrelServerLimits limits)
    {
        limits.MaxConcurrentConnections = 400;
        limits.MaxRequestBodySize = 0;
        limits.MaxRequestLineSize = 4096;
        limits.MaxRequestHeadersTotalSize = 16 * 1024;
        limits.MaxRequestHeaderCount = 50;
        limits.RequestHeadersTimeout = TimeSpan.FromSeconds(5);
        limits.KeepAliveTimeout = TimeSpan.FromSeconds(5);
    }
}
