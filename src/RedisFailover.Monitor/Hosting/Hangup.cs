using System.Runtime.InteropServices;
using Microsoft.Extensions.Logging;
using RedisFailover.Monitor.Options;
using Serilog.Core;

namespace RedisFailover.Monitor.Hosting;

/// <summary>
/// SIGHUP, which ends a process that takes no notice of it: the settings are read again, and of them the log level and the list of clusters
/// are taken over. Files with secrets and certificates are read whenever they are used.
/// </summary>
internal static class Hangup
{
    /// <summary>Takes notice until it is disposed.</summary>
    /// <param name="read">Reads the settings from where they were read at the start.</param>
    /// <param name="level">What decides which events are written.</param>
    /// <param name="logger">Told what came of it.</param>
    /// <param name="taken">Told of the settings, where they are right.</param>
    internal static IDisposable Handle(Func<MonitorOptions?> read, LoggingLevelSwitch level, ILogger logger, Action<MonitorOptions> taken)
        => PosixSignalRegistration.Create(PosixSignal.SIGHUP, signal =>
        {
            signal.Cancel = true;
            Reload(read, level, logger, taken);
        });

    /// <summary>What is wrong in the settings now is told, and changes nothing.</summary>
    internal static void Reload(Func<MonitorOptions?> read, LoggingLevelSwitch level, ILogger logger, Action<MonitorOptions>? taken = null)
    {
        try
        {
            MonitorOptions? options = read();
            level.MinimumLevel = options?.LogLevel ?? level.MinimumLevel;
            Log.Reloaded(logger, level.MinimumLevel.ToString().ToLowerInvariant());
            if (options is not null)
            {
                taken?.Invoke(options);
            }
        }
        catch (Exception e)
        {
            // Whatever is wrong with a file, a monitor that runs goes on.
            Log.NotReloaded(logger, e.Message);
        }
    }
}
