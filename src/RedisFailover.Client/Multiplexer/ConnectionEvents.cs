using System.Net;
using System.Threading.Channels;
using StackExchange.Redis;

namespace RedisFailover.Client;

/// <summary>
/// Raises what a multiplexer over all nodes would: a node lost or back, once for each of its two connections, and a changed configuration
/// once it is in force. The master's subscriptions count as restored when they stand on it. In order, on one thread at a time.
/// </summary>
internal sealed class ConnectionEvents : IAsyncDisposable
{
    private readonly NodeSet _nodes;
    private readonly CancellationTokenSource _closing = new();
    private readonly Channel<(NodeAddress Node, string? Failure)> _changes = Channel.CreateUnbounded<(NodeAddress, string?)>();
    private readonly HashSet<NodeAddress> _lost = [];
    private readonly Task _running;
    private LiveNode? _master;
    private Topology _topology = Topology.None;

    public ConnectionEvents(NodeSet nodes)
    {
        _nodes = nodes;
        nodes.Connectivity += Changed;
        _running = Task.Run(RunAsync);
    }

    public async ValueTask DisposeAsync()
    {
        _nodes.Connectivity -= Changed;
        await _closing.CancelAsync().ConfigureAwait(false);
        await _running.ConfigureAwait(false);
    }

    private void Changed(NodeAddress node, string? failure) => _changes.Writer.TryWrite((node, failure));

    private async Task RunAsync()
    {
        try
        {
            Task<bool> change = _changes.Reader.WaitToReadAsync(_closing.Token).AsTask();
            Task standing = Task.CompletedTask;
            while (true)
            {
                Snapshot current = _nodes.Current;
                while (_changes.Reader.TryRead(out (NodeAddress Node, string? Failure) seen))
                {
                    Tell(seen.Node, seen.Failure);
                }

                Tell(current.Topology);
                if (current.ConnectedMaster is { } master && master != _master && standing.IsCompleted)
                {
                    standing = MoveAsync(master);
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

    private void Tell(NodeAddress node, string? failure)
    {
        if (failure is not null && _lost.Add(node))
        {
            Raise(MultiplexerEvent.ConnectionFailed, node, ConnectionType.Interactive, failure);
            Raise(MultiplexerEvent.ConnectionFailed, node, ConnectionType.Subscription, failure);
        }
        else if (failure is null && _lost.Remove(node))
        {
            Raise(MultiplexerEvent.ConnectionRestored, node, ConnectionType.Interactive);
            if (_nodes.Current.Topology.Master != node)
            {
                Raise(MultiplexerEvent.ConnectionRestored, node, ConnectionType.Subscription);
            }
        }
    }

    private void Tell(Topology topology)
    {
        Topology before = _topology;
        _topology = topology;
        if (before.Epoch != 0 && (before.Master != topology.Master || !before.Replicas.SequenceEqual(topology.Replicas)))
        {
            NodeAddress? about = topology.Master ?? topology.Replicas.FirstOrDefault() ?? before.Master;
            _nodes.Observers.Raise(MultiplexerEvent.ConfigurationChanged,
                new EndPointEventArgs(this, about is null ? MasterTunnel.EndPoint : NodeConfiguration.EndPointOf(about)));
        }
    }

    private async Task MoveAsync(LiveNode master)
    {
        LiveNode? before = _master;
        _master = master;
        if (before is null)
        {
            return;
        }

        if (before.Address != master.Address && !_lost.Contains(before.Address))
        {
            Raise(MultiplexerEvent.ConnectionFailed, before.Address, ConnectionType.Subscription, "it is master no more");
        }

        await _nodes.PubSub.StandAsync(master, _closing.Token).ConfigureAwait(false);
        if (_nodes.Current.ConnectedMaster == master)
        {
            Raise(MultiplexerEvent.ConnectionRestored, master.Address, ConnectionType.Subscription);
        }

        _nodes.Rebuild();
    }

    private void Raise(MultiplexerEvent what, NodeAddress node, ConnectionType type, string? failure = null)
    {
        EndPoint endPoint = NodeConfiguration.EndPointOf(node);
        Exception exception = failure is null ? null! : new RedisConnectionException(
            ConnectionFailureType.SocketFailure, CommandFlags.None, $"{node}: {failure}", null, CommandStatus.Unknown);
        _nodes.Observers.Raise(what, new ConnectionFailedEventArgs(
            this, endPoint, type, failure is null
                ? ConnectionFailureType.None : ConnectionFailureType.SocketFailure, exception, $"{type}@{node}"));
    }
}
