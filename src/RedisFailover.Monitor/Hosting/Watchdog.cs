using System.Globalization;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Hosting.Systemd;

namespace RedisFailover.Monitor.Hosting;

/// <summary>
/// Tells systemd that the monitor works, where the unit asks for it (<c>WatchdogSec</c>): three times within the limit, and only while
/// the coordinator turns. A monitor whose decisions stand still is started again.
/// </summary>
internal sealed class Watchdog(ISystemdNotifier notifier, MonitorService monitor, TimeProvider time) : BackgroundService
{
    private static readonly ServiceState Alive = new("WATCHDOG=1");

    /// <summary>The limit that systemd has set for this process; null: none.</summary>
    internal static TimeSpan? Limit(Func<string, string?> variable)
    {
        bool isMeant = variable("WATCHDOG_PID") is not { Length: > 0 } pid
            || pid == Environment.ProcessId.ToString(CultureInfo.InvariantCulture);
        return isMeant && long.TryParse(variable("WATCHDOG_USEC"), CultureInfo.InvariantCulture, out long micros) && micros > 0
            ? TimeSpan.FromMicroseconds(micros)
            : null;
    }

    /// <inheritdoc/>
    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        if (Limit(Environment.GetEnvironmentVariable) is not { } limit)
        {
            return;
        }

        using var timer = new PeriodicTimer(limit / 3, time);
        while (await timer.WaitForNextTickAsync(stoppingToken))
        {
            if (monitor.HasTurned())
            {
                notifier.Notify(Alive);
            }
        }
    }
}
