using System.Net.Sockets;
using StackExchange.Redis.Configuration;

namespace RedisFailover.Client;

/// <summary>Leads a multiplexer with one made-up end point to whichever node is master: connecting waits until there is one, and sockets to
/// others are closed. Its subscriptions and waiting calls live through the failover.</summary>
internal sealed class MasterTunnel : Tunnel
{
    /// <summary>The end point that it leads from. Never resolved.</summary>
    public static readonly DnsEndPoint EndPoint = new("master.redis-failover.invalid", 6379);

    private readonly NodeSet _nodes;
    private readonly bool _evenFenced;
    private readonly Lock _gate = new();
    private readonly List<(Socket Socket, LiveNode Node)> _sockets = [];
    private readonly AsyncLocal<Lead?> _lead = new();
    private bool _isFollowing;
    private int _waiting;

    /// <param name="nodes">Who is master.</param>
    /// <param name="evenFenced">Whether it leads there also while writes are held.</param>
    public MasterTunnel(NodeSet nodes, bool evenFenced)
    {
        _nodes = nodes;
        _evenFenced = evenFenced;
    }

    /// <summary>How many connections wait for a master.</summary>
    public int Waiting => Volatile.Read(ref _waiting);

    /// <summary>The host that the connection being made leads to, for its certificate.</summary>
    public string Host => _lead.Value?.Node?.Address.Host ?? EndPoint.Host;

    // Both connections of a multiplexer are made at a time, each to whoever was master when it asked: the flow of the calls tells which.
    public override ValueTask<EndPoint?> GetSocketConnectEndpointAsync(EndPoint endpoint, CancellationToken cancellationToken)
    {
        Lead lead = _lead.Value = new Lead();
        return LeadAsync(lead, cancellationToken);
    }

    private async ValueTask<EndPoint?> LeadAsync(Lead lead, CancellationToken cancellationToken)
    {
        while (true)
        {
            ObjectDisposedException.ThrowIf(_nodes.IsClosed, typeof(FailoverConnection));
            Snapshot current = _nodes.Current;
            if (Master(current) is { } master)
            {
                lead.Node = master;
                return master.FoundAt ?? NodeConfiguration.EndPointOf(master.Address);
            }

            Interlocked.Increment(ref _waiting);
            try
            {
                await current.Superseded.WaitAsync(cancellationToken).ConfigureAwait(false);
            }
            finally
            {
                Interlocked.Decrement(ref _waiting);
            }
        }
    }

    public override ValueTask BeforeSocketConnectAsync(EndPoint endPoint, ConnectionType connectionType, Socket? socket,
        CancellationToken cancellationToken)
    {
        if (_lead.Value?.Node is not { } target)
        {
            // Where it would lead is not known; 3.4 connects again by itself.
            socket?.Dispose();
            return default;
        }

        if (socket is null)
        {
            return default;
        }

        lock (_gate)
        {
            _sockets.Add((socket, target));
            if (!_isFollowing)
            {
                _isFollowing = true;
                _ = FollowAsync();
            }
        }

        // It may have lost the mastership while the name of the end point was asked for.
        Cut(_nodes.Current);
        return default;
    }

    private LiveNode? Master(Snapshot current) => _evenFenced ? current.ConnectedMaster : current.Master;

    /// <summary>As long as there are sockets: who throws a multiplexer away leaves nothing behind.</summary>
    private async Task FollowAsync()
    {
        await Task.CompletedTask.ConfigureAwait(ConfigureAwaitOptions.ForceYielding);
        while (true)
        {
            Snapshot current = _nodes.Current;
            Cut(current);
            lock (_gate)
            {
                if (_nodes.IsClosed || _sockets.Count == 0)
                {
                    _isFollowing = false;
                    return;
                }
            }

            await current.Superseded.ConfigureAwait(false);
        }
    }

    /// <summary>Closes what leads elsewhere, and calls' sockets also where there is no master: one that is cut off from the monitors alone
    /// would take writes that are lost. In a switchover the old one holds them itself.</summary>
    private void Cut(Snapshot current)
    {
        LiveNode? master = Master(current);
        lock (_gate)
        {
            foreach ((Socket socket, LiveNode node) in _sockets)
            {
                if (_nodes.IsClosed || (master is null ? MayNotWrite(current) : IsElsewhere(node, master)))
                {
                    socket.Dispose();
                }
            }

            _sockets.RemoveAll(known => known.Socket.SafeHandle.IsClosed);
        }
    }

    private bool MayNotWrite(Snapshot current)
        => !_evenFenced && (current.Hold != WriteHold.None || current.Topology is { Master: null, State: TopologyState.FailingOver });

    /// <summary>Where one connection leads; null while it waits for a master.</summary>
    private sealed class Lead
    {
        public LiveNode? Node { get; set; }
    }

    // What was given up, and is connected anew, says nothing on its old sockets either, or is another server there.
    private static bool IsElsewhere(LiveNode node, LiveNode master)
        => node.Address != master.Address || (node != master && node.WasGivenUp);
}
