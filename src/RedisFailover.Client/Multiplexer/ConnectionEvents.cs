using System.Threading.Channels;

namespace RedisFailover.Client;

/// <summary>Raises what a multiplexer over all nodes would: a node lost or back, once for each of its two connections, and a changed
/// configuration once it is in force. The master's subscriptions count as restored when they stand on it. In order, on one thread at a
/// time.</summary>
internal sealed class ConnectionEvents : IAsyncDisposable
{
    private readonly NodeSet _nodes;
    private readonly CancellationTokenSource _closing = new();
    private readonly Channel<(NodeAddress Node, ConnectionType Type, string? Failure)> _changes
        = Channel.CreateUnbounded<(NodeAddress, ConnectionType, string?)>();

    private readonly HashSet<(NodeAddress Node, ConnectionType Type)> _lost = [];
    private LiveNode? _master;
    private Topology _topology = Topology.None;

    public ConnectionEvents(NodeSet nodes)
    {
        _nodes = nodes;
        nodes.Connectivity += Changed;
        nodes.PubSub.Connectivity += SubscriptionChanged;
        _ = Task.Run(RunAsync);
    }

    /// <summary>No event begins from here on. A handler that runs is not waited for: it may be what ends the connection.</summary>
    public async ValueTask DisposeAsync()
    {
        _nodes.Connectivity -= Changed;
        _nodes.PubSub.Connectivity -= SubscriptionChanged;
        await _closing.CancelAsync().ConfigureAwait(false);
    }

    private void Changed(NodeAddress node, string? failure) => _changes.Writer.TryWrite((node, ConnectionType.Interactive, failure));

    private void SubscriptionChanged(NodeAddress node, string? failure)
        => _changes.Writer.TryWrite((node, ConnectionType.Subscription, failure));

    private async Task RunAsync()
    {
        try
        {
            Task<bool> change = _changes.Reader.WaitToReadAsync(_closing.Token).AsTask();
            while (true)
            {
                Snapshot current = _nodes.Current;
                while (_changes.Reader.TryRead(out (NodeAddress Node, ConnectionType Type, string? Failure) seen))
                {
                    Tell(seen.Node, seen.Type, seen.Failure);
                }

                Tell(current.Topology);
                if (current.ConnectedMaster is { } master && master != _master && Moves(master)
                    && (_nodes.PubSub.Multiplexer is null || _nodes.PubSub.StandsOn == master.Address))
                {
                    SubscriptionsStand();
                }

                await Task.WhenAny(change, current.Superseded).ConfigureAwait(false);
                _closing.Token.ThrowIfCancellationRequested();
                change = change.IsCompleted ? _changes.Reader.WaitToReadAsync(_closing.Token).AsTask() : change;
            }
        }
        catch (OperationCanceledException) when (_closing.IsCancellationRequested)
        {
        }
    }

    /// <summary>A node's calls and its subscriptions go over two connections; a node that is lost has lost both.</summary>
    private void Tell(NodeAddress node, ConnectionType type, string? failure)
    {
        if (failure is not null)
        {
            Lost(node, type, failure);
            if (type == ConnectionType.Interactive)
            {
                Lost(node, ConnectionType.Subscription, failure);
            }
        }
        else
        {
            Restored(node, type);
            if (type == ConnectionType.Subscription && _nodes.Current.ConnectedMaster?.Address == node)
            {
                SubscriptionsStand();
            }
            else if (type == ConnectionType.Interactive && _nodes.Current.Topology.Master != node)
            {
                Restored(node, ConnectionType.Subscription);
            }
        }
    }

    /// <summary>On the master; a replica's would stand wherever it is connected, the former master's too.</summary>
    private void SubscriptionsStand()
    {
        foreach ((NodeAddress node, _) in _nodes.States().Where(state => state.Failure is null))
        {
            Restored(node, ConnectionType.Subscription);
        }
    }

    private void Lost(NodeAddress node, ConnectionType type, string failure)
    {
        if (_lost.Add((node, type)))
        {
            Raise(MultiplexerEvent.ConnectionFailed, node, type, failure);
        }
    }

    private void Restored(NodeAddress node, ConnectionType type)
    {
        if (_lost.Remove((node, type)))
        {
            Raise(MultiplexerEvent.ConnectionRestored, node, type);
        }
    }

    private void Tell(Topology topology)
    {
        _closing.Token.ThrowIfCancellationRequested();
        Topology before = _topology;
        _topology = topology;
        if (before.Epoch != 0 && (before.Master != topology.Master || !before.Replicas.SequenceEqual(topology.Replicas)))
        {
            NodeAddress? about = topology.Master ?? topology.Replicas.FirstOrDefault() ?? before.Master;
            _nodes.Observers.Raise(MultiplexerEvent.ConfigurationChanged,
                new EndPointEventArgs(this, about is null ? MasterTunnel.EndPoint : NodeConfiguration.EndPointOf(about)));
        }
    }

    /// <summary>Whether the subscriptions have to move to this master; the first one they begin at.</summary>
    private bool Moves(LiveNode master)
    {
        LiveNode? before = _master;
        _master = master;
        if (before is null)
        {
            return false;
        }

        if (before.Address != master.Address)
        {
            Lost(before.Address, ConnectionType.Subscription, "it is master no more");
        }

        _lost.Add((master.Address, ConnectionType.Subscription));
        return true;
    }

    private void Raise(MultiplexerEvent what, NodeAddress node, ConnectionType type, string? failure = null)
    {
        _closing.Token.ThrowIfCancellationRequested();
        EndPoint endPoint = NodeConfiguration.EndPointOf(node);
        Exception exception = failure is null ? null! : new RedisConnectionException(
            ConnectionFailureType.SocketFailure, CommandFlags.None, $"{node}: {failure}", null, CommandStatus.Unknown);
        _nodes.Observers.Raise(what, new ConnectionFailedEventArgs(
            this, endPoint, type, failure is null
                ? ConnectionFailureType.None : ConnectionFailureType.SocketFailure, exception, $"{type}@{node}"));
    }
}
