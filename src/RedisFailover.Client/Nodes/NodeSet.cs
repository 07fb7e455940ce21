using System.Diagnostics;

namespace RedisFailover.Client;

/// <summary>Owns all that changes: which nodes are linked, and the <see cref="Snapshot"/> that calls look at, which every change of
/// topology or link builds anew under one lock.</summary>
internal sealed class NodeSet : IAsyncDisposable
{
    private static readonly Backoff s_learning = new(TimeSpan.FromMilliseconds(1), TimeSpan.FromMilliseconds(250));

    private readonly Lock _gate = new();
    private readonly Dictionary<NodeAddress, NodeLink> _links = [];
    private readonly List<NodeLink> _closed = [];
    private readonly CancellationTokenSource _closing = new();
    private readonly ReplicaLag? _lag;
    private readonly TopologyOrder _order = new();
    private LiveNode? _learning;
    private WriteHold _hold;
    private int _defaultDatabase;
    private Snapshot _current;
    private Activity? _outage;

    public NodeSet(FailoverOptions options, ILogger logger, HostAddresses? names = null)
    {
        Options = options;
        Logger = logger;
        PubSub = new MasterPubSub(this, logger);
        Names = names ?? new HostAddresses(options.TimeProvider);
        Dialer = new TcpDialer(Names, options.TimeProvider);
        _current = new Snapshot(Topology.None, null, [], options.ReadFrom);
        _lag = options.MaxReplicaLag is { } most ? new ReplicaLag(this, most) : null;
    }

    /// <summary>Told of each node that is connected (null), or lost and why: once each.</summary>
    public event Action<NodeAddress, string?>? Connectivity;

    public FailoverOptions Options { get; }

    /// <summary>What all nodes are configured with.</summary>
    public ConfigurationOptions Template => NodeConfiguration.Of(Options);

    public ILogger Logger { get; }

    /// <summary>What all subscriptions are made on.</summary>
    public MasterPubSub PubSub { get; }

    public HostAddresses Names { get; }

    public TcpDialer Dialer { get; }

    /// <summary>How often the names of connections are looked up: thousands of clients may ask one name server.</summary>
    public TimeSpan NameInterval { get; init; } = TimeSpan.FromSeconds(5);

    /// <summary>The data that this client works with.</summary>
    public KnownData Known { get; } = new();

    public NodeObservers Observers { get; } = new();

    public Snapshot Current => Volatile.Read(ref _current);

    /// <summary>The cache file that the topology is from, while none was read from ZooKeeper; null once one was.</summary>
    public string? TopologyFile { get; private set; }

    /// <summary>Why the topology in ZooKeeper is not followed, as the end of a sentence; null where it is.</summary>
    public string? NotFollowed { get; set; }

    /// <summary>Whether the connection has been disposed: no snapshot comes any more.</summary>
    public bool IsClosed => _closing.IsCancellationRequested;

    /// <summary>Where a topology stands towards the one in force.</summary>
    public TopologyPlace PlaceOf(Topology topology)
    {
        lock (_gate)
        {
            return _order.PlaceOf(topology);
        }
    }

    /// <summary>Takes a topology over; false when it may not follow the one in force, and nothing has changed.</summary>
    public bool Apply(Topology topology) => Take(topology, () => _order.PlaceOf(topology) == TopologyPlace.Next);

    /// <summary>Takes over the topology of the cache file; false when another is in force already.</summary>
    public bool Begin(Topology topology, string file) => Take(topology, () => ReferenceEquals(_order.Current, Topology.None), file);

    /// <summary>Takes over a topology of another incarnation; false when the one that it was judged against is in force no more.</summary>
    public bool Adopt(Topology topology, Topology judged) => Take(topology, () => ReferenceEquals(_order.Current, judged));

    /// <summary>Whether it may is asked under the lock under which it is taken: no other one comes in between.</summary>
    private bool Take(Topology topology, Func<bool> may, string? file = null)
    {
        List<NodeLink> lost;
        lock (_gate)
        {
            if (!may())
            {
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

            _order.Take(topology);
            Known.Add(topology.Identity);
            TopologyFile = file;
            NotFollowed = null;
            _hold &= ~WriteHold.OtherIncarnation;
            foreach (NodeAddress address in wanted.Where(address => !_links.ContainsKey(address)))
            {
                _links.Add(address, new NodeLink(address, this));
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
            Log.NodeLeft(Logger, link.Address);
            if (link.Live is not null)
            {
                // The topology may say so before the connection itself is lost.
                Tell(link.Address, "it serves no more");
            }

            link.Close();
            _ = RetireAsync(link);
        }

        return true;
    }

    /// <summary>Holds writes for that reason, or no longer.</summary>
    public void Hold(WriteHold reason, bool held)
    {
        lock (_gate)
        {
            WriteHold next = held ? _hold | reason : _hold & ~reason;
            if (next == _hold)
            {
                return;
            }

            _hold = next;
            Swap();
        }

        string why = reason == WriteHold.ZooKeeperSilent ? "ZooKeeper cannot be reached" : "who is master of these data is not clear";
        if (held)
        {
            Log.WritesHeld(Logger, why);
        }
        else
        {
            Log.WritesGoOn(Logger, why);
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
    public async Task<LiveNode> NodeForAsync(CommandClass kind, CommandFlags flags, Retries retries)
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

    /// <summary>The same for callers that block: the retries wait on their thread.</summary>
    /// <exception cref="NotAppliedException">None came until the deadline.</exception>
    public LiveNode NodeFor(CommandClass kind, CommandFlags flags, RetryCategory repeated = RetryCategory.None)
        => Current.NodeFor(kind, flags)
            ?? NodeForAsync(kind, flags, new Retries(this, kind, repeated) { Blocks = true }).GetAwaiter().GetResult();

    /// <summary>Each node of the topology with why it is not connected; null for those that are.</summary>
    public IReadOnlyList<(NodeAddress Address, string? Failure)> States()
    {
        lock (_gate)
        {
            return [.. _links.Keys.Select(address => (address, FailureOf(address)))];
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
        return (current.ConnectedMaster ?? current.Replicas.FirstOrDefault()) is { } node
            ? _defaultDatabase = node.Database(-1).Database : _defaultDatabase;
    }

    public async ValueTask DisposeAsync()
    {
        await _closing.CancelAsync().ConfigureAwait(false);
        try
        {
            await PubSub.DisposeAsync().ConfigureAwait(false);
        }
        finally
        {
            if (_lag is not null)
            {
                await _lag.DisposeAsync().ConfigureAwait(false);
            }

            await CloseLinksAsync().ConfigureAwait(false);
        }

        _closing.Dispose();
    }

    private async Task CloseLinksAsync()
    {
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
        Topology topology = _order.Current;
        LiveNode? master = topology.Master is { } address ? Linked(address) : null;
        _learning = _learning == master ? master : null;
        if (master is { TakesWrites: false })
        {
            if (_learning is null && !IsClosed)
            {
                _learning = master;
                _ = LearnAsync(master);
            }

            master = null;
        }

        // A topology that names one twice names one node.
        LiveNode[] replicas =
            [.. topology.Replicas.Distinct().Where(n => !topology.NeverRead.Contains(n)).Select(Linked).OfType<LiveNode>()];
        if (Options is { Zone: { } zone, PreferNode: null })
        {
            foreach (LiveNode node in replicas.Concat(master is null ? [] : [master]))
            {
                node.IsPreferred = topology.Zones.GetValueOrDefault(node.Address) == zone;
            }
        }

        var next = new Snapshot(topology, master, replicas, Options.ReadFrom, _lag?.Fresh(replicas), _hold);
        Snapshot previous = _current;
        if (ReferenceEquals(next.Topology, previous.Topology) && next.SameNodes(previous))
        {
            return;
        }

        Volatile.Write(ref _current, next);
        previous.Supersede();
        if (next.Master is { } taking)
        {
            Traces.End(Interlocked.Exchange(ref _outage, null), taking.Address, topology.Epoch);
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

    /// <summary>Why a node is not connected; null where it is.</summary>
    public string? FailureOf(NodeAddress address)
    {
        lock (_gate)
        {
            return !_links.TryGetValue(address, out NodeLink? link) ? "it does not serve"
                : link.Live is null ? link.Failure ?? "it has not answered yet" : null;
        }
    }

    public void Tell(NodeAddress address, string? failure) => Connectivity?.Invoke(address, failure);

    private LiveNode? Linked(NodeAddress address) => _links.TryGetValue(address, out NodeLink? link) ? link.Live : null;

    /// <summary>After a promotion the node's own multiplexer takes it for a replica and refuses writes until it has configured itself anew:
    /// 3.4 does so each minute. It is told to until it lets writes through or another node is master.</summary>
    private async Task LearnAsync(LiveNode master)
    {
        // Off the lock that the caller holds.
        await Task.CompletedTask.ConfigureAwait(ConfigureAwaitOptions.ForceYielding);
        for (int tries = 0; ; tries++)
        {
            // False: another configuration was running, which may have asked before the promotion.
            bool learnt = await ConfiguredAsync(master).ConfigureAwait(false) && master.TakesWrites;
            lock (_gate)
            {
                if (_learning != master || IsClosed)
                {
                    return;
                }

                if (learnt)
                {
                    _learning = null;
                    Swap();
                    return;
                }
            }

            if (tries > 0)
            {
                await Task.Delay(s_learning.After(tries - 1), Options.TimeProvider).ConfigureAwait(false);
            }
        }
    }

    private static async Task<bool> ConfiguredAsync(LiveNode node)
    {
        try
        {
            return await node.Multiplexer.ConfigureAsync().ConfigureAwait(false);
        }
#pragma warning disable CA1031 // The connection went away: its link makes another one.
        catch (Exception)
#pragma warning restore CA1031
        {
            return false;
        }
    }
}
