using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using RedisFailover.Monitor.Hosting;
using RedisFailover.Monitor.Options;
using Serilog;
using Serilog.Extensions.Logging;
using Serilog.Formatting.Json;

MonitorOptions? options;
bool passwordInProcessList;
try
{
    options = OptionSources.Read(args, Environment.GetEnvironmentVariables(), out passwordInProcessList);
}
catch (OptionException e)
{
    Console.Error.WriteLine("redis-failover-monitor: " + e.Message);
    return 2;
}

if (options is null)
{
    return 0;
}

LoggerConfiguration configuration = new LoggerConfiguration()
    .MinimumLevel.Is(options.LogLevel)
    // The host's own chatter is of no use to an operator.
    .MinimumLevel.Override("Microsoft", Serilog.Events.LogEventLevel.Warning)
    .Enrich.WithProperty("MonitorId", options.Id);
configuration = options.LogFormat == LogFormat.Json
    ? configuration.WriteTo.Console(new JsonFormatter(renderMessage: true))
    : configuration.WriteTo.Console(
        outputTemplate: "{Timestamp:yyyy-MM-dd HH:mm:ss.fff} {Level:u3} [{MonitorId}] {Message:lj}{NewLine}{Exception}",
        formatProvider: System.Globalization.CultureInfo.InvariantCulture);
using Serilog.Core.Logger log = configuration.CreateLogger();

HostApplicationBuilder builder = Host.CreateEmptyApplicationBuilder(new HostApplicationBuilderSettings { DisableDefaults = true });
builder.Services.AddSingleton<ILoggerFactory>(new SerilogLoggerFactory(log));
builder.Services.AddSingleton(TimeProvider.System);
builder.Services.AddSingleton(options);
builder.Services.AddSingleton<MonitorService>();
builder.Services.AddHostedService(services => services.GetRequiredService<MonitorService>());
builder.Services.AddHostedService<HealthEndpoint>();
builder.Services.Configure<HostOptions>(o => o.ShutdownTimeout = TimeSpan.FromSeconds(2));
using IHost host = builder.Build();
MonitorService monitor = host.Services.GetRequiredService<MonitorService>();
if (passwordInProcessList)
{
    RedisFailover.Monitor.Hosting.Log.PasswordInProcessList(host.Services.GetRequiredService<ILoggerFactory>().CreateLogger("RedisFailover.Monitor"));
}

try
{
    await host.RunAsync();
}
catch (IOException e)
{
    // Kestrel's word for an address that is taken.
    Console.Error.WriteLine($"redis-failover-monitor: --http {options.Http}: {e.Message}");
    return 1;
}

// A monitor that failed says so to its supervisor; the host has logged why.
return monitor.ExecuteTask is { IsFaulted: true } ? 1 : 0;
