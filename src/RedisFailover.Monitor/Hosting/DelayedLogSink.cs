using System.Threading.Channels;
using Serilog.Core;
using Serilog.Events;
using Serilog.Parsing;

namespace RedisFailover.Monitor.Hosting;

/// <summary>
/// Lets log events wait for a moment before they are written; each keeps its own time, and they keep their order. In a failover a dozen
/// events come within milliseconds in every monitor, and writing them takes processor time from the failover itself. Nor does anything
/// wait where standard output is not read: what cannot be kept then is counted, and the count is told.
/// </summary>
internal sealed class DelayedLogSink : ILogEventSink, IAsyncDisposable
{
    /// <summary>So many events wait at most, some megabytes.</summary>
    private const int Most = 10_000;

    private static readonly TimeSpan Patience = TimeSpan.FromMilliseconds(25);

    /// <summary>For so long what is left is written at the end. A process whose output nobody reads ends all the same.</summary>
    private static readonly TimeSpan Farewell = TimeSpan.FromSeconds(1);

    private static readonly MessageTemplate Lost = new MessageTemplateParser()
        .Parse("{Count} log events could not be kept, because nobody reads them");

    private readonly Logger _target;
    private readonly string _monitorId;
    private readonly TimeProvider _time;
    private readonly Channel<LogEvent> _events;
    private readonly Task _writing;
    private long _lost;

    internal DelayedLogSink(Logger target, string monitorId, TimeProvider time)
    {
        (_target, _monitorId, _time) = (target, monitorId, time);
        _events = Channel.CreateBounded<LogEvent>(
            new BoundedChannelOptions(Most) { SingleReader = true, FullMode = BoundedChannelFullMode.DropWrite }, _
                => Interlocked.Increment(ref _lost));
        _writing = Task.Run(WriteAsync);
    }

    /// <inheritdoc/>
    public void Emit(LogEvent logEvent) => _events.Writer.TryWrite(logEvent);

    /// <summary>Writes what is left, as long as somebody reads it.</summary>
    public async ValueTask DisposeAsync()
    {
        _events.Writer.TryComplete();
        if (await Task.WhenAny(_writing, Task.Delay(Farewell, _time)) == _writing)
        {
            await _target.DisposeAsync();
        }
    }

    private async Task WriteAsync()
    {
        while (await _events.Reader.WaitToReadAsync())
        {
            await Task.Delay(Patience, _time);
            while (_events.Reader.TryRead(out LogEvent? next))
            {
                _target.Write(next);
            }

            if (Interlocked.Exchange(ref _lost, 0) is > 0 and var lost)
            {
                _target.Write(new LogEvent(
                    _time.GetUtcNow(), LogEventLevel.Warning, null, Lost,
                        [new("Count", new ScalarValue(lost)), new("MonitorId", new ScalarValue(_monitorId))]));
            }
        }
    }
}
