using System.Collections;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using NUnit.Framework;
using RedisFailover.Monitor.Hosting;
using RedisFailover.Monitor.Options;
using RedisFailover.UnitTests.ZooKeeper;

namespace RedisFailover.UnitTests.Monitor;

[TestFixture]
public sealed class MonitorServiceTests
{
    [Test]
    public async Task A_part_that_fails_takes_the_monitor_down_with_one_line_of_its_own()
    {
        var log = new RecordedLog();
        using var lifetime = new Lifetime();
        using var service = new MonitorService(
            OptionSources.Read(["--nodes", "127.0.0.1:1", "--zkservers", "127.0.0.1:1", "--id", "m1"], new Hashtable(), out _)!,
            log, new NoTimers(), lifetime);

        await service.StartAsync(CancellationToken.None);
        await service.ExecuteTask!.WaitAsync(TimeSpan.FromSeconds(30));

        Assert.That((service.HasFailed, lifetime.ApplicationStopping.IsCancellationRequested), Is.EqualTo((true, true)));
        (LogLevel level, string text) = log.Entries.Single(e
                => e.Text.StartsWith("monitor m1 cannot go on and ends with exit code 1, so that another one leads: ",
                    StringComparison.Ordinal));
        Assert.That((level, text.Split(": ")[1]), Is.EqualTo((LogLevel.Critical, nameof(InvalidOperationException))));
    }

    /// <summary>A clock with a defect that every part meets sooner or later.</summary>
    private sealed class NoTimers : TimeProvider
    {
        public override ITimer CreateTimer(TimerCallback callback, object? state, TimeSpan dueTime, TimeSpan period)
            => throw new InvalidOperationException("no timer can be made");
    }

    private sealed class Lifetime : IHostApplicationLifetime, IDisposable
    {
        private readonly CancellationTokenSource _stopping = new();

        public CancellationToken ApplicationStarted => CancellationToken.None;

        public CancellationToken ApplicationStopping => _stopping.Token;

        public CancellationToken ApplicationStopped => CancellationToken.None;

        public void StopApplication() => _stopping.Cancel();

        public void Dispose() => _stopping.Dispose();
    }
}
