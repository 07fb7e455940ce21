using System.Threading.Channels;
using Microsoft.Extensions.Logging;

namespace RedisFailover.UnitTests.Simulation;

/// <summary>A clock as a process sees it, and timers on it, which go with the process.</summary>
internal sealed class ProcessTime(Process process) : TimeProvider
{
    /// <summary>How far its wall clock is off.</summary>
    internal long WallError { get; set; }

    public override long TimestampFrequency => TimeSpan.TicksPerSecond;

    public override long GetTimestamp() => process.Clock.Ticks;

    public override DateTimeOffset GetUtcNow() => World.Beginning.AddTicks(process.World.Now + WallError);

    public override ITimer CreateTimer(TimerCallback callback, object? state, TimeSpan dueTime, TimeSpan period)
    {
        var timer = new Timer(process, callback, state);
        timer.Change(dueTime, period);
        return timer;
    }

    private sealed class Timer(Process process, TimerCallback callback, object? state) : ITimer
    {
        private int _armed;

        public bool Change(TimeSpan dueTime, TimeSpan period)
        {
            int armed = ++_armed;
            if (period != Timeout.InfiniteTimeSpan)
            {
                throw new NotSupportedException("nothing in the loop ticks by itself");
            }

            if (dueTime != Timeout.InfiniteTimeSpan)
            {
                process.After(dueTime.Ticks, () =>
                {
                    if (armed == _armed)
                    {
                        callback(state);
                    }
                });
            }

            return true;
        }

        public void Dispose() => _armed++;

        public ValueTask DisposeAsync()
        {
            Dispose();
            return ValueTask.CompletedTask;
        }
    }
}

/// <summary>
/// Where what was awaited goes on: on the thread of the simulation, in the event in which it was completed. What would go on elsewhere
/// would make the run another one each time, and fails it.
/// </summary>
internal sealed class WorldContext : SynchronizationContext
{
    private readonly Queue<(SendOrPostCallback What, object? State)> _posted = new();
    private readonly int _thread = Environment.CurrentManagedThreadId;
    private volatile bool _hasStrayed;

    public override void Post(SendOrPostCallback d, object? state)
    {
        if (Environment.CurrentManagedThreadId == _thread)
        {
            _posted.Enqueue((d, state));
        }
        else
        {
            _hasStrayed = true;
        }
    }

    public override SynchronizationContext CreateCopy() => this;

    internal void Run()
    {
        if (_hasStrayed)
        {
            throw new Violation("something went on on another thread");
        }

        while (_posted.TryDequeue(out (SendOrPostCallback What, object? State) next))
        {
            next.What(next.State);
        }
    }
}

/// <summary>A channel that tells when something is written into it.</summary>
internal sealed class Arrivals : Channel<Observation>
{
    internal Arrivals(Action told)
    {
        var channel = Channel.CreateUnbounded<Observation>();
        Reader = channel.Reader;
        Writer = new Telling(channel.Writer, told);
    }

    private sealed class Telling(ChannelWriter<Observation> writer, Action told) : ChannelWriter<Observation>
    {
        public override bool TryWrite(Observation item)
        {
            bool written = writer.TryWrite(item);
            told();
            return written;
        }

        public override ValueTask<bool> WaitToWriteAsync(CancellationToken cancellationToken = default)
            => writer.WaitToWriteAsync(cancellationToken);
    }
}

/// <summary>The log of a simulated monitor: nobody reads it, but a defect of the product's is a finding.</summary>
internal sealed class SimulatedLog(World world) : ILogger
{
    public IDisposable? BeginScope<TState>(TState state)
        where TState : notnull => null;

    public bool IsEnabled(LogLevel logLevel) => logLevel >= LogLevel.Error;

    public void Log<TState>(
        LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter)
    {
        if (exception is not null)
        {
            world.Fail(exception);
        }
    }
}
