using Microsoft.Extensions.Logging;

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
    private readonly Task _telling;

    public TopologyFollower(ITopologySource source, NodeSet nodes, ILogger logger)
    {
        _source = source;
        _nodes = nodes;
        _logger = logger;
        _following = Task.Run(FollowAsync);
        _telling = Task.Run(TellAsync);
    }

    public event Action<Topology>? Changed;

    /// <summary>Completes when a topology is in force.</summary>
    public Task FirstTopology => _first.Task;

    public async ValueTask DisposeAsync()
    {
        await _closing.CancelAsync().ConfigureAwait(false);
        await Task.WhenAll(_following, _telling).ConfigureAwait(false);
        await _source.DisposeAsync().ConfigureAwait(false);
        _closing.Dispose();
    }

    private async Task FollowAsync()
    {
        try
        {
            await foreach (Topology topology in _source.TopologiesAsync(_closing.Token).ConfigureAwait(false))
            {
                if (_nodes.Apply(topology))
                {
                    Log.TopologyApplied(_logger, topology.Epoch, topology.State, topology.Master, topology.Replicas.Length, topology.Reason);
                    _first.TrySetResult();
                }
            }
        }
        catch (OperationCanceledException) when (_closing.IsCancellationRequested)
        {
        }
        catch (Exception failure)
        {
            _first.TrySetException(failure);
            throw;
        }
    }

    private async Task TellAsync()
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
                    Tell(last);
                }

                await current.Superseded.WaitAsync(_closing.Token).ConfigureAwait(false);
            }
        }
        catch (OperationCanceledException) when (_closing.IsCancellationRequested)
        {
        }
    }

    private void Tell(Topology topology)
    {
        foreach (Action<Topology> handler in (Changed?.GetInvocationList() ?? []).Cast<Action<Topology>>())
        {
            try
            {
                handler(topology);
            }
#pragma warning disable CA1031 // The application's code: its mistakes must not end the failovers of the application.
            catch (Exception failure)
#pragma warning restore CA1031
            {
                Log.HandlerFailed(_logger, failure);
            }
        }
    }
}
