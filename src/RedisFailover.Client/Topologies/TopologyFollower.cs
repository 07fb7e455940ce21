namespace RedisFailover.Client;

/// <summary>Hands each topology from its source to the nodes, and tells those who listen, without letting them delay the next.</summary>
internal sealed class TopologyFollower : IAsyncDisposable
{
    private readonly ITopologySource _source;
    private readonly NodeSet _nodes;
    private readonly ILogger _logger;
    private readonly CancellationTokenSource _closing = new();
    private readonly TaskCompletionSource _first = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly Task _following;
    private readonly Task _fencing;
    private readonly TopologyCache? _cache;
    private readonly IncarnationCheck _check;
    private CancellationTokenSource _checkEnds = new();
    private Task _checking = Task.CompletedTask;
    private Topology? _checked;
    private string? _refused;

    public TopologyFollower(ITopologySource source, NodeSet nodes, ILogger logger)
    {
        _source = source;
        _nodes = nodes;
        _logger = logger;
        _cache = nodes.Options.TopologyCacheFile is { } file ? new TopologyCache(file, logger) : null;
        _check = new IncarnationCheck(nodes, logger, InForce);
        _following = Task.Run(FollowAsync);
        _ = Task.Run(() => TellAsync(_closing.Token));
        _fencing = nodes.Options.WhenDisconnected == WhenDisconnected.FenceWrites ? Task.Run(FenceAsync) : Task.CompletedTask;
    }

    public event Action<Topology>? Changed;

    /// <summary>Completes when a topology is in force.</summary>
    public Task FirstTopology => _first.Task;

    public async ValueTask DisposeAsync()
    {
        await _closing.CancelAsync().ConfigureAwait(false);

        // Not for a handler that is running: it may be the one that disposes the connection, and waits for it.
        await Task.WhenAll(_following, _fencing).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        await EndCheckAsync().ConfigureAwait(false);
        _checkEnds.Dispose();
        if (_cache is not null)
        {
            await _cache.DisposeAsync().ConfigureAwait(false);
        }

        await _source.DisposeAsync().ConfigureAwait(false);
        _closing.Dispose();
    }

    private async Task FollowAsync()
    {
        try
        {
            await foreach (Topology topology in _source.TopologiesAsync(_closing.Token).ConfigureAwait(false))
            {
                await TakeAsync(topology).ConfigureAwait(false);
            }
        }
        catch (OperationCanceledException) when (_closing.IsCancellationRequested)
        {
        }
        catch (Exception failure)
        {
            // Whoever connects is told; later the log alone can tell.
            if (!_first.TrySetException(failure))
            {
                Log.FollowingFailed(_logger, failure);
            }
        }
    }

    private async ValueTask TakeAsync(Topology topology)
    {
        // What the check finds must not overtake what is decided here.
        await EndCheckAsync().ConfigureAwait(false);
        if (_nodes.Apply(topology))
        {
            InForce(topology);
            return;
        }

        switch (_nodes.PlaceOf(topology))
        {
            case TopologyPlace.NewIncarnation:
                _checked = _checked is { } before && before.Incarnation == topology.Incarnation && before.Epoch > topology.Epoch
                    ? before : topology;
                break;
            case TopologyPlace.FormerIncarnation:
                if (_refused != topology.Incarnation)
                {
                    Log.FormerIncarnationRefused(_logger, topology.Incarnation, topology.Epoch);
                    _refused = topology.Incarnation;
                }

                break;
            default:
                Log.LowerEpochRefused(_logger, topology.Epoch, _nodes.Current.Topology.Epoch);
                break;
        }

        if (_checked is { } candidate)
        {
            _checkEnds = new CancellationTokenSource();
            CancellationToken ends = _checkEnds.Token;
            _checking = Task.Run(() => _check.RunAsync(candidate, ends));
        }
    }

    /// <summary>Once it returns nothing is taken over by the check.</summary>
    private async Task EndCheckAsync()
    {
        await _checkEnds.CancelAsync().ConfigureAwait(false);
        await _checking.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
    }

    /// <summary>Tells of a topology that has just been taken over, and keeps it.</summary>
    private void InForce(Topology topology)
    {
        _checked = null;
        string master = topology.Master?.ToString() ?? "none";
        Log.TopologyApplied(_logger, topology.Epoch, topology.State, master, topology.Replicas.Length, topology.Reason);
        Measures.Count(Measures.Topologies, _nodes.Options);
        _first.TrySetResult();
        _cache?.Keep(_nodes.Current.Topology);
    }

    /// <summary>Puts the topology of the cache file in force; false when there is none.</summary>
    public bool StartFromCache()
    {
        if (_cache?.Load() is not { } topology || !_nodes.Begin(topology, _cache.File))
        {
            return false;
        }

        Log.CacheUsed(_logger, _cache.File, topology.Epoch, topology.Master?.ToString() ?? "none");
        _first.TrySetResult();
        return true;
    }

    private async Task FenceAsync()
    {
        TimeProvider time = _nodes.Options.TimeProvider;
        try
        {
            while (true)
            {
                // As granted: the servers may have shortened what was asked for, and a new session may be granted another.
                TimeSpan timeout = _source.SessionTimeout;
                TimeSpan look = timeout / 40;

                // Early by the pause between two looks rather than late.
                bool held = _source.SinceLastContact is not { } silence || silence > (timeout / 2) - look;
                _nodes.Hold(WriteHold.ZooKeeperSilent, held);
                await Task.Delay(look, time, _closing.Token).ConfigureAwait(false);
            }
        }
        catch (OperationCanceledException) when (_closing.IsCancellationRequested)
        {
        }
    }

    private async Task TellAsync(CancellationToken closing)
    {
        Topology last = _nodes.Current.Topology;
        try
        {
            while (true)
            {
                Snapshot current = _nodes.Current;
                if (!ReferenceEquals(current.Topology, last))
                {
                    last = current.Topology;
                    Tell(last, closing);
                }

                await current.Superseded.WaitAsync(closing).ConfigureAwait(false);
            }
        }
        catch (OperationCanceledException) when (closing.IsCancellationRequested)
        {
        }
    }

    private void Tell(Topology topology, CancellationToken closing)
    {
        foreach (Action<Topology> handler in (Changed?.GetInvocationList() ?? []).Cast<Action<Topology>>())
        {
            closing.ThrowIfCancellationRequested();
            Tolerated.Run(
                () => handler(topology), failure => Log.HandlerFailed(_logger, nameof(FailoverConnection.TopologyChanged), failure));
        }
    }
}
