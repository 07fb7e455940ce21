using System.Globalization;
using NUnit.Framework;
using RedisFailover.Monitor.Hosting;
using RedisFailover.UnitTests.ZooKeeper;
using Serilog;
using Serilog.Core;
using Serilog.Events;
using Serilog.Parsing;

namespace RedisFailover.UnitTests.Monitor;

[TestFixture]
public sealed class DelayedLogSinkTests
{
    [Test]
    public async Task Events_are_written_in_their_order_and_with_their_own_time_when_the_log_ends()
    {
        var written = new Written();
        var sink = new DelayedLogSink(new LoggerConfiguration().WriteTo.Sink(written).CreateLogger(), "m1", TimeProvider.System);
        LogEvent[] events = [.. Enumerable.Range(1, 100).Select(Event)];
        foreach (LogEvent one in events)
        {
            sink.Emit(one);
        }

        await sink.DisposeAsync();
        Assert.That(written.Events, Is.EqualTo(events));
    }

    [Test]
    public async Task What_nobody_reads_is_counted_and_holds_up_nobody()
    {
        var written = new Written();
        var time = new ManualTime();
        var sink = new DelayedLogSink(new LoggerConfiguration().WriteTo.Sink(written).CreateLogger(), "m1", time);
        for (int i = 1; i <= 10_007; i++)
        {
            sink.Emit(Event(i));
        }

        // Time stands still, so nothing has been taken out yet.
        while (time.PendingTimers == 0)
        {
            await Task.Yield();
        }

        time.Advance(TimeSpan.FromSeconds(1));
        await sink.DisposeAsync();
        Assert.That(written.Events, Has.Count.EqualTo(10_001));
        Assert.That(written.Events[^1].RenderMessage(CultureInfo.InvariantCulture), Does.StartWith("7 log events"));
    }

    [Test]
    public async Task An_output_that_nobody_reads_does_not_keep_the_process_from_its_end()
    {
        using var read = new ManualResetEventSlim();
        var sink = new DelayedLogSink(
            new LoggerConfiguration().WriteTo.Sink(new Blocked(read)).CreateLogger(), "m1", TimeProvider.System);
        sink.Emit(Event(1));
        await sink.DisposeAsync().AsTask().WithinDeadline();
        Assert.That(read.IsSet, Is.False);
        read.Set();
    }

    private static LogEvent Event(int second)
        => new(DateTimeOffset.UnixEpoch.AddSeconds(second), LogEventLevel.Information, null, new MessageTemplate([new TextToken("x")]), []);

    private sealed class Blocked(ManualResetEventSlim read) : ILogEventSink
    {
        public void Emit(LogEvent logEvent) => read.Wait();
    }

    private sealed class Written : ILogEventSink
    {
        internal List<LogEvent> Events { get; } = [];

        public void Emit(LogEvent logEvent) => Events.Add(logEvent);
    }
}
