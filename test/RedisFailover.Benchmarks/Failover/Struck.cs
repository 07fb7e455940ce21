using RedisFailover.IntegrationTests.Harness;

namespace RedisFailover.Benchmarks.Failover;

/// <summary>The processes that a fault of the master takes along, and how they come back.</summary>
internal sealed class Struck
{
    private readonly List<(Func<ChildProcess> Process, Func<CancellationToken, Task> Restart)> _aims = [];
    private Fault _fault;

    /// <summary>The next fault is this process' too.</summary>
    internal void Aim(Func<ChildProcess> process, Func<CancellationToken, Task> restart) => _aims.Add((process, restart));

    internal void Strike(Fault fault)
    {
        _fault = fault;
        foreach ((Func<ChildProcess> process, _) in _aims)
        {
            if (fault == Fault.Kill)
            {
                process().Kill();
            }
            else
            {
                process().Freeze();
            }
        }
    }

    internal async Task ReviveAsync(CancellationToken ct)
    {
        foreach ((Func<ChildProcess> process, Func<CancellationToken, Task> restart) in _aims)
        {
            if (_fault == Fault.Kill)
            {
                await process().WaitForExitAsync(ct);
                await restart(ct);
            }
            else
            {
                process().Thaw();
            }
        }

        _aims.Clear();
    }
}
