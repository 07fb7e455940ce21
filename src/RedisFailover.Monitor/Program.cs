using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Hosting.Systemd;
using Microsoft.Extensions.Logging;
using OpenTelemetry;
using OpenTelemetry.Metrics;
using RedisFailover.Monitor.Hosting;
using RedisFailover.Monitor.Http;
using RedisFailover.Monitor.Options;
using Serilog.Extensions.Logging;

MonitorOptions? options;
bool passwordInProcessList;
FaultPoint? faultPoint;
try
{
    faultPoint = FaultPoint.Read(Environment.GetEnvironmentVariables());
    options = OptionSources.Read(args, Environment.GetEnvironmentVariables(), out passwordInProcessList);
}
catch (OptionException e)
{
    Console.Error.WriteLine("redis-failover-monitor: " + e.Message);
    // A wrong setting stays wrong; a file may be there a moment later, and whoever supervises this process starts it again.
    return e.IsOfFile ? 1 : 2;
}

if (options is null)
{
    return 0;
}

var level = new Serilog.Core.LoggingLevelSwitch(options.LogLevel);
await using Serilog.Core.Logger log = LogSetup.Console(options, level);
using var loggers = new SerilogLoggerFactory(log);
MonitorService? running = null;
using IDisposable hangup = Hangup.Handle(
    () => OptionSources.Read(args, Environment.GetEnvironmentVariables(), out _), level, loggers.CreateLogger("RedisFailover.Monitor"), read
        => running?.Take(read));
using (var quiet = new SerilogLoggerFactory(LogSetup.Quiet(options)))
{
    await Warmup.RunAsync(quiet.CreateLogger("RedisFailover.Warmup"), TimeProvider.System);
}

Warmup.CompileLeading();
HostApplicationBuilder builder = Host.CreateEmptyApplicationBuilder(new HostApplicationBuilderSettings { DisableDefaults = true });
builder.Services.AddSingleton<ILoggerFactory>(loggers);
builder.Services.AddSingleton(TimeProvider.System);
builder.Services.AddSingleton(options);
if (faultPoint is not null)
{
    builder.Services.AddSingleton(faultPoint);
}

builder.Services.AddSingleton<MonitorService>();
builder.Services.AddHostedService(services => services.GetRequiredService<MonitorService>());
builder.Services.AddHostedService<HttpService>();

// By the socket alone: whose child the process is cannot be seen where the unit hides other users' processes (ProtectProc).
var supervisor = new SystemdNotifier();
if (supervisor.IsEnabled)
{
    builder.Services.AddSingleton<ISystemdNotifier>(supervisor);
    builder.Services.AddSingleton<IHostLifetime, SystemdLifetime>();
    builder.Services.AddHostedService<Watchdog>();
}

builder.Services.Configure<HostOptions>(o =>
{
    o.ShutdownTimeout = TimeSpan.FromSeconds(2);
    // Leadership is handed over at once, whatever HTTP still waits for.
    o.ServicesStopConcurrently = true;
});
using IHost host = builder.Build();
MonitorService monitor = host.Services.GetRequiredService<MonitorService>();
using var metrics = new MonitorMetrics(monitor);
monitor.Turned = metrics.Turned;
monitor.SessionChanged = metrics.SessionChanged;
running = monitor;
using MeterProvider? collector = Environment.GetEnvironmentVariable("OTEL_EXPORTER_OTLP_ENDPOINT") is { Length: > 0 }
    ? Sdk.CreateMeterProviderBuilder().AddMeter(MonitorMetrics.MeterName).AddOtlpExporter().Build()
    : null;
if (passwordInProcessList)
{
    Log.PasswordInProcessList(host.Services.GetRequiredService<ILoggerFactory>().CreateLogger("RedisFailover.Monitor"));
}

try
{
    await host.RunAsync();
}
catch (OperationCanceledException)
{
    // Told to stop while it was still starting: an orderly end, too.
    return 0;
}

// A monitor that failed says so to its supervisor.
return monitor.HasFailed ? 1 : 0;
