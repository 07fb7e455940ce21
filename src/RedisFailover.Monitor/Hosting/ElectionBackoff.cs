using Microsoft.Extensions.Logging;

namespace RedisFailover.Monitor.Hosting;

/// <summary>
/// After this monitor gave up leadership it does not stand for election for a while, twice as long each time, or until it reaches
/// more nodes again. So two monitors that see badly do not pass leadership back and forth.
/// </summary>
internal sealed class ElectionBackoff(FailoverPolicy policy, MonotonicClock clock, ILogger logger)
{
    /// <summary>A monitor that sees badly for longer is outvoted by the others; the cluster must not be without a leader for it.</summary>
    private static readonly TimeSpan Longest = TimeSpan.FromSeconds(10);

    /// <summary>After so long without a resignation the next one counts as the first.</summary>
    private static readonly TimeSpan Forgiven = TimeSpan.FromMinutes(5);

    private readonly Lock _lock = new();
    private TaskCompletionSource _over = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private TimeSpan _begun = TimeSpan.MinValue;
    private TimeSpan _length;
    private bool _abstains;
    private int _sees;
    private int _saw;

    /// <summary>Told how many of the configured nodes answer this monitor.</summary>
    internal void Sees(int nodes)
    {
        lock (_lock)
        {
            _sees = nodes;
            if (nodes > _saw)
            {
                _over.TrySetResult();
            }
        }
    }

    /// <summary>Begins, before leadership is given up, so that the next campaign finds it.</summary>
    internal void Begin()
    {
        lock (_lock)
        {
            TimeSpan now = clock.Now;
            bool again = _begun > TimeSpan.MinValue && now - _begun < Forgiven;
            _length = !again ? policy.ReachabilityPatience : 2 * _length < Longest ? 2 * _length : _length > Longest ? _length : Longest;
            _begun = now;
            _saw = _sees;
            _over = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
            _abstains = true;
            Log.Abstains(logger, _length.TotalMilliseconds, _saw);
        }
    }

    /// <summary>Leadership may not be free: only this monitor's next campaign finds out, and must not wait.</summary>
    internal void Revoke()
    {
        lock (_lock)
        {
            _abstains = false;
            _over.TrySetResult();
        }
    }

    /// <summary>Waits until this monitor may stand for election; at once unless it has given up leadership.</summary>
    internal async Task WaitAsync(CancellationToken cancellationToken)
    {
        TimeSpan left;
        TaskCompletionSource over;
        lock (_lock)
        {
            if (!_abstains)
            {
                return;
            }

            left = _begun + _length - clock.Now;
            over = _over;
        }

        if (left > TimeSpan.Zero)
        {
            await using ITimer timer = clock.Provider.CreateTimer(_ => over.TrySetResult(), null, left, Timeout.InfiniteTimeSpan);
            await over.Task.WaitAsync(cancellationToken);
        }

        lock (_lock)
        {
            _abstains = false;
        }
    }
}
