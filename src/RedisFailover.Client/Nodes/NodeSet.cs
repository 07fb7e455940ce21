using System.Diagnostics;
using Microsoft.Extensions.Logging;
using RedisFailover.Shared;
using StackExchange.Redis;

namespace RedisFailover.Client;

/// <summary>
/// The owner of all that changes: which nodes are linked, and the <see cref="Snapshot"/> that calls look at. The snapshot is a
/// pure function of the topology and of the links; every change of either builds it anew under one lock.
/// </summary>
internal sealed class NodeSet : IAsyncDisposable
{
    private readonly Lock _gate = new();
    private readonly Dictionary<NodeAddress, NodeLink> _links = [];
    private readonly List<NodeLink> _closed = [];
    private readonly CancellationTokenSource _closing = new();
    private readonly ILogger _logger;
    private readonly ReplicaLag? _lag;
    private Topology _topology = Topology.None;
    private Learning? _learning;
    private bool _fenced;
    private int _defaultDatabase;
    private Snapshot _current;
    private Activity? _outage;

    public NodeSet(FailoverOptions options, ILogger logger)
    {
        Options = options;
        _logger = new ToleratedLogger(logger);
        PubSub = new MasterPubSub(this, _logger);
        Dialer = new TcpDialer(new HostAddresses(options.TimeProvider), options.TimeProvider);
        _current = new Snapshot(Topology.None, null, [], options.ReadFrom);
        _lag = options.MaxReplicaLag is { } most ? new ReplicaLag(this, most) : null;
    }

    /// <summary>Told of each node that is connected (null), or lost and why: once each.</summary>
    public event Action<NodeAddress, string?>? Connectivity;

    public FailoverOptions Options { get; }

    /// <summary>What all nodes are configured with.</summary>
    public ConfigurationOptions Template => NodeConfiguration.Of(Options);

    public ILogger Logger => _logger;

    /// <summary>What all subscriptions are made on.</summary>
    public MasterPubSub PubSub { get; }

    public TcpDialer Dialer { get; }

    public NodeObservers Observers { get; } = new();

    public Snapshot Current => Volatile.Read(ref _current);

    /// <summary>Whether the connection has been disposed: no snapshot comes any more.</summary>
    public bool IsClosed => _closing.IsCancellationRequested;

    /// <summary>Takes a topology over; false when it is older than the one in force, and refused.</summary>
    public bool Apply(Topology topology)
    {
        List<NodeLink> lost;
        lock (_gate)
        {
            if (topology.Epoch < _topology.Epoch)
            {
                Log.LowerEpochRefused(_logger, topology.Epoch, _topology.Epoch);
                return false;
            }

            HashSet<NodeAddress> wanted = [.. topology.Replicas];
            if (topology.Master is not null)
            {
                wanted.Add(topology.Master);
            }
            else if (topology.IsChangingMaster)
            {
                // The master that is being replaced may be alive and answering (a switchover): its calls in flight end when the
                // new master is published, not when the change is announced.
                wanted.UnionWith(_links.Keys);
            }

            _topology = topology;
            foreach (NodeAddress address in wanted.Where(address => !_links.ContainsKey(address)))
            {
                _links.Add(address, new NodeLink(address, this, _logger, Rebuild));
            }

            lost = [.. _links.Values.Where(link => !wanted.Contains(link.Address))];
            foreach (NodeLink link in lost)
            {
                _links.Remove(link.Address);
                _closed.Add(link);
            }

            Swap();
        }

        foreach (NodeLink link in lost)
        {
            Log.NodeLeft(_logger, link.Address);
            link.Close();
            _ = RetireAsync(link);
        }

        return true;
    }

    /// <summary>Holds writes, or lets them go on.</summary>
    public void Fence(bool held)
    {
        lock (_gate)
        {
            if (_fenced != held)
            {
                _fenced = held;
                Log.Fenced(_logger, held);
                Swap();
            }
        }
    }

    /// <summary>Looks again at what the links and their multiplexers say.</summary>
    public void Rebuild()
    {
        lock (_gate)
        {
            Swap();
        }
    }

    /// <summary>Waits until the node for such a call is there.</summary>
    /// <exception cref="NotAppliedException">None came until the deadline.</exception>
    public async ValueTask<LiveNode> NodeForAsync(CommandClass kind, CommandFlags flags, Retries retries)
    {
        while (true)
        {
            Snapshot current = Current;
            if (current.NodeFor(kind, flags) is { } node)
            {
                return node;
            }

            ObjectDisposedException.ThrowIf(IsClosed, typeof(FailoverConnection));
            await retries.WaitAsync(current.Superseded).ConfigureAwait(false);
        }
    }

    /// <summary>The same for callers that block.</summary>
    /// <exception cref="NotAppliedException">None came until the deadline.</exception>
    public LiveNode NodeFor(CommandClass kind, CommandFlags flags, Retries retries)
    {
        while (true)
        {
            Snapshot current = Current;
            if (current.NodeFor(kind, flags) is { } node)
            {
                return node;
            }

            ObjectDisposedException.ThrowIf(IsClosed, typeof(FailoverConnection));
            retries.Wait(current.Superseded);
        }
    }

    /// <summary>The master; blocks while there is none.</summary>
    /// <exception cref="NotAppliedException">None came until the deadline.</exception>
    public LiveNode Master() => Current.Master ?? NodeFor(CommandClass.Write, CommandFlags.None, new Retries(this, CommandClass.Write));

    /// <summary>Each node of the topology with why it is not connected; null for those that are.</summary>
    public IReadOnlyList<(NodeAddress Address, string? Failure)> States()
    {
        lock (_gate)
        {
            return [.. _links.Values.Select(link => (link.Address, link.Live is null ? link.Failure ?? "it has not answered yet" : null))];
        }
    }

    /// <summary>Completes when every node of the topology has been tried once.</summary>
    public Task FirstAttempts()
    {
        lock (_gate)
        {
            return Task.WhenAll(_links.Values.Select(link => link.FirstAttempt));
        }
    }

    /// <summary>The number of a database; that of -1 is the nodes' configuration's to say.</summary>
    public int DatabaseNumber(int asked)
    {
        if (asked >= 0)
        {
            return asked;
        }

        // Asked of any node, they are configured alike; kept for the time when none is connected.
        Snapshot current = Current;
        return (current.ConnectedMaster ?? current.Replicas.FirstOrDefault()) is { } node ? _defaultDatabase = node.Database(-1).Database : _defaultDatabase;
    }

    public async ValueTask DisposeAsync()
    {
        await _closing.CancelAsync().ConfigureAwait(false);
        await PubSub.DisposeAsync().ConfigureAwait(false);
        if (_lag is not null)
        {
            await _lag.DisposeAsync().ConfigureAwait(false);
        }

        NodeLink[] links;
        lock (_gate)
        {
            links = [.. _links.Values, .. _closed];
            _links.Clear();
            _closed.Clear();
            Swap();

            // Nothing comes after it: whoever waits looks up and finds that all is over.
            _current.Supersede();
        }

        foreach (NodeLink link in links)
        {
            await link.DisposeAsync().ConfigureAwait(false);
        }

        _closing.Dispose();
    }

    private async Task RetireAsync(NodeLink link)
    {
        await link.DisposeAsync().ConfigureAwait(false);
        lock (_gate)
        {
            _closed.Remove(link);
        }
    }

    private void Swap()
    {
        LiveNode? master = _topology.Master is { } address ? Linked(address) : null;
        if (_learning is { } learning && learning.Node != master)
        {
            learning.Cancellation.Cancel();
            _learning = null;
        }

        if (master is { TakesWrites: false })
        {
            Learn(master);
            master = null;
        }

        // A topology that names one twice names one node.
        LiveNode[] replicas = [.. _topology.Replicas.Distinct().Where(n => !_topology.NeverRead.Contains(n)).Select(Linked).OfType<LiveNode>()];
        if (Options is { Zone: { } zone, PreferNode: null })
        {
            Array.ForEach(replicas, node => node.IsPreferred = _topology.Zones.GetValueOrDefault(node.Address) == zone);
        }

        var next = new Snapshot(_topology, master, replicas, Options.ReadFrom, _lag?.Fresh(replicas), _fenced);
        Snapshot previous = _current;
        if (ReferenceEquals(next.Topology, previous.Topology) && next.SameNodes(previous))
        {
            return;
        }

        Volatile.Write(ref _current, next);
        previous.Supersede();
        if (next.Master is { } taking)
        {
            Traces.End(Interlocked.Exchange(ref _outage, null), taking.Address, _topology.Epoch);
        }
        else if (previous.Master is { } former && !_closing.IsCancellationRequested)
        {
            _outage ??= Traces.WithoutMaster(Options, former.Address, previous.Topology.Epoch);
        }
    }

    /// <summary>The connection to a node, if there is one.</summary>
    public LiveNode? Live(NodeAddress address)
    {
        lock (_gate)
        {
            return Linked(address);
        }
    }

    /// <summary>Why a node is not connected.</summary>
    public string FailureOf(NodeAddress address)
    {
        lock (_gate)
        {
            return _links.TryGetValue(address, out NodeLink? link) ? link.Failure ?? "it has not answered yet" : "it does not serve";
        }
    }

    public void Tell(NodeAddress address, string? failure) => Connectivity?.Invoke(address, failure);

    private LiveNode? Linked(NodeAddress address) => _links.TryGetValue(address, out NodeLink? link) ? link.Live : null;

    private void Learn(LiveNode master)
    {
        if (_learning is null && !_closing.IsCancellationRequested)
        {
            _learning = new Learning(master, CancellationTokenSource.CreateLinkedTokenSource(_closing.Token));
            _ = LearnAsync(_learning);
        }
    }

    private async Task LearnAsync(Learning learning)
    {
        // Off the lock that the caller holds.
        await Task.CompletedTask.ConfigureAwait(ConfigureAwaitOptions.ForceYielding);
        using CancellationTokenSource cancellation = learning.Cancellation;
        try
        {
            await MasterRole.LearnAsync(learning.Node, Options.TimeProvider, cancellation.Token).ConfigureAwait(false);
        }
        catch (OperationCanceledException)
        {
            // The topology has moved on, or all is over.
            lock (_gate)
            {
                _learning = _learning == learning ? null : _learning;
            }

            return;
        }

        lock (_gate)
        {
            _learning = _learning == learning ? null : _learning;
            Swap();
        }
    }

    /// <summary>A master whose multiplexer is being taught that it is one; cancelled when the topology names another.</summary>
    private sealed record Learning(LiveNode Node, CancellationTokenSource Cancellation);
}
