using System.Globalization;
using RedisFailover.Monitor.Options;
using Serilog;
using Serilog.Core;
using Serilog.Events;
using Serilog.Formatting;
using Serilog.Formatting.Display;
using Serilog.Formatting.Compact;

namespace RedisFailover.Monitor.Hosting;

/// <summary>How the monitor's log looks.</summary>
internal static class LogSetup
{
    /// <summary>The log: standard output, one line an event.</summary>
    /// <param name="options">The monitor's.</param>
    /// <param name="level">The least important level that is written; may be changed while it is.</param>
    internal static Logger Console(MonitorOptions options, LoggingLevelSwitch level)
        => Configuration(options, level)
            .WriteTo.Sink(new DelayedLogSink(
                new LoggerConfiguration().MinimumLevel.Verbose().WriteTo.Console(Formatter(options)).CreateLogger(), options.Id,
                    TimeProvider.System))
            .CreateLogger();

    /// <summary>A log that is formatted and goes nowhere.</summary>
    internal static Logger Quiet(MonitorOptions options)
        => Configuration(options, new LoggingLevelSwitch(options.LogLevel)).WriteTo.Sink(new Nowhere(Formatter(options))).CreateLogger();

    private static LoggerConfiguration Configuration(MonitorOptions options, LoggingLevelSwitch level) => new LoggerConfiguration()
        .MinimumLevel.ControlledBy(level)
        // The host's own chatter is of no use to an operator.
        .MinimumLevel.Override("Microsoft", LogEventLevel.Warning)
        .Enrich.WithProperty("MonitorId", options.Id);

    internal static ITextFormatter Formatter(MonitorOptions options)
        => options.LogFormat == LogFormat.Json
            ? new UtcFormatter(new RenderedCompactJsonFormatter(), longest: null)
            : new UtcFormatter(
                new WithCluster(Text("[{MonitorId}]"), Text($"[{{MonitorId}} {{{ClusterLogger.Property}}}]")), UtcFormatter.LongestLine);

    private static MessageTemplateTextFormatter Text(string from) => new(
        $"{{Timestamp:yyyy-MM-dd'T'HH:mm:ss.fff'Z'}} {{Level:u3}} {from} {{Message:lj}}{{NewLine}}{{Exception}}",
            CultureInfo.InvariantCulture);

    /// <summary>Where a process has several clusters, the events of each name it.</summary>
    private sealed class WithCluster(ITextFormatter without, ITextFormatter with) : ITextFormatter
    {
        public void Format(LogEvent logEvent, TextWriter output)
            => (logEvent.Properties.ContainsKey(ClusterLogger.Property) ? with : without).Format(logEvent, output);
    }

    private sealed class Nowhere(ITextFormatter formatter) : ILogEventSink
    {
        public void Emit(LogEvent logEvent) => formatter.Format(logEvent, TextWriter.Null);
    }
}
