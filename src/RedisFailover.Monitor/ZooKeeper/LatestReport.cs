using System.Threading.Channels;

namespace RedisFailover.Monitor.ZooKeeper;

/// <summary>The view that is to be told next. Only the latest matters; older ones that are not out yet are dropped.</summary>
/// <param name="time">The source of time.</param>
/// <param name="isLeading">Whether this monitor leads: nobody waits for its vote, which it has itself.</param>
internal sealed class LatestReport(TimeProvider time, Func<bool> isLeading)
{
    /// <summary>
    /// How long a view waits that no verdict depends on. The votes of all monitors on one dead node would meet the leader's own
    /// writes, which the applications are waiting for.
    /// </summary>
    private static readonly TimeSpan PatientDelay = TimeSpan.FromMilliseconds(50);

    private readonly Channel<bool> _changed = Channel.CreateBounded<bool>(
        new BoundedChannelOptions(1) { FullMode = BoundedChannelFullMode.DropWrite, SingleReader = true });

    private readonly Lock _gate = new();
    private MonitorReport _report = MonitorReport.None;
    private bool _isUrgent;

    /// <summary>The latest view, told or not.</summary>
    internal MonitorReport Value
    {
        get
        {
            lock (_gate)
            {
                return _report;
            }
        }
    }

    private bool MayWait
    {
        get
        {
            lock (_gate)
            {
                return !_isUrgent || isLeading();
            }
        }
    }

    /// <summary>Another view, or, with null, the same once more. It is urgent as long as one that is not out was.</summary>
    internal void Set(MonitorReport? report, bool urgent)
    {
        lock (_gate)
        {
            _report = report ?? _report;
            _isUrgent |= urgent;
        }

        _changed.Writer.TryWrite(true);
    }

    /// <summary>The latest view, once it is to be told: at once where it is urgent, else a moment after the first that waits.</summary>
    internal async Task<MonitorReport> NextAsync(CancellationToken cancellationToken)
    {
        await _changed.Reader.ReadAsync(cancellationToken);
        Task pause = MayWait ? Task.Delay(PatientDelay, time, cancellationToken) : Task.CompletedTask;
        while (MayWait
            && await Task.WhenAny(pause, _changed.Reader.WaitToReadAsync(cancellationToken).AsTask()) != pause)
        {
            await _changed.Reader.ReadAsync(cancellationToken);
        }

        cancellationToken.ThrowIfCancellationRequested();
        lock (_gate)
        {
            _isUrgent = false;
            return _report;
        }
    }
}
