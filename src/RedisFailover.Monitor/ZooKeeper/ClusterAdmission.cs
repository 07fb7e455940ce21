using System.Collections.Immutable;

namespace RedisFailover.Monitor.ZooKeeper;

/// <summary>
/// Whether this monitor belongs to the cluster at its znode path: one of its nodes, at least, is a member of the topology there. Before it
/// does it takes no place among the monitors, and so neither leads nor votes; the topology may come to know it.
/// </summary>
internal sealed class ClusterAdmission(ImmutableArray<NodeAddress> nodes) : IDisposable
{
    private readonly Lock _gate = new();
    private TaskCompletionSource _changed = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private CancellationTokenSource _admitted = new();
    private bool? _belongs;

    /// <summary>Told when it turns out that this monitor does not belong (with the topology), and when it does (null).</summary>
    internal Action<Topology?>? Excluded { get; set; }

    /// <summary>Cancelled when it no longer belongs.</summary>
    internal CancellationToken WhileAdmitted
    {
        get
        {
            lock (_gate)
            {
                return _admitted.Token;
            }
        }
    }

    /// <inheritdoc/>
    public void Dispose() => _admitted.Dispose();

    /// <summary>The topology as it stands; null where there is none, which is anybody's.</summary>
    internal void See(Topology? topology)
    {
        bool belongs = topology is null || topology.KnowsAnyOf(nodes);
        CancellationTokenSource? over = null;
        TaskCompletionSource changed;
        lock (_gate)
        {
            if (belongs == _belongs)
            {
                return;
            }

            if (_belongs == true)
            {
                (over, _admitted) = (_admitted, new CancellationTokenSource());
            }

            _belongs = belongs;
            (changed, _changed) = (_changed, new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously));
        }

        Excluded?.Invoke(belongs ? null : topology);
        changed.TrySetResult();
        over?.Cancel();
    }

    /// <summary>Waits until it belongs; at first, until that is known.</summary>
    internal async Task WaitAsync(CancellationToken cancellationToken)
    {
        while (true)
        {
            Task changed;
            lock (_gate)
            {
                if (_belongs == true)
                {
                    return;
                }

                changed = _changed.Task;
            }

            await changed.WaitAsync(cancellationToken);
        }
    }
}
