using System.Collections.Immutable;

namespace RedisFailover.Monitor.ZooKeeper;

/// <summary>
/// Whether this monitor belongs to the cluster at its znode path: one of the nodes of its own file, at least, is a member of the topology
/// there, or was until an operator removed it. Before it does it takes no place among the monitors, and so neither leads nor votes; the
/// topology may come to know it.
/// </summary>
internal sealed class ClusterAdmission(ImmutableArray<NodeAddress> nodes) : IDisposable
{
    private readonly Lock _gate = new();
    private TaskCompletionSource _changed = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private CancellationTokenSource _admitted = new();
    private bool? _belongs;
    private Topology? _topology;
    private bool _isTopologyRead;
    private ImmutableArray<NodeAddress> _removed = [];

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
        lock (_gate)
        {
            (_topology, _isTopologyRead) = (topology, true);
        }

        Judge();
    }

    /// <summary>The cluster's configuration as it stands.</summary>
    internal void See(ClusterConfig config)
    {
        lock (_gate)
        {
            _removed = config.Removed;
        }

        Judge();
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

    private void Judge()
    {
        CancellationTokenSource? over = null;
        TaskCompletionSource changed;
        Topology? topology;
        bool belongs;
        lock (_gate)
        {
            topology = _topology;
            belongs = topology is null || topology.KnowsAnyOf(nodes) || nodes.Any(_removed.Contains);
            if (!_isTopologyRead || belongs == _belongs)
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
}
