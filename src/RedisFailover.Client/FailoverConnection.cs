using RedisFailover.ZooKeeper;

namespace RedisFailover.Client;

/// <summary>
/// A connection to a replicated Redis whose master may change: it follows the topology that the monitors publish in ZooKeeper.
/// Make one for the application and keep it; it is safe for use by any number of threads.
/// </summary>
public sealed class FailoverConnection : IAsyncDisposable, IDisposable
{
    /// <summary>For the other nodes, once the master is connected.</summary>
    private static readonly TimeSpan s_grace = TimeSpan.FromMilliseconds(250);

    private readonly NodeSet _nodes;
    private readonly TopologyFollower _follower;
    private readonly ITopologySource _source;
    private readonly ConnectionEvents _events;
    private FailoverMultiplexer? _own;
    private int _disposed;

    private FailoverConnection(NodeSet nodes, TopologyFollower follower, ITopologySource source)
    {
        _nodes = nodes;
        _follower = follower;
        _source = source;
        _events = new ConnectionEvents(nodes);
    }

    /// <summary>
    /// Raised after each change of topology has taken effect: on the thread pool, one at a time and in order; a handler that is
    /// slow may miss topologies in between, never the last. A handler that throws is logged.
    /// </summary>
    public event Action<Topology>? TopologyChanged
    {
        add => _follower.Changed += value;
        remove => _follower.Changed -= value;
    }

    /// <summary>The topology in force.</summary>
    public Topology Topology => _nodes.Current.Topology;

    /// <summary>What the connection can do at this moment; a health check's answer.</summary>
    public FailoverStatus Status
    {
        get
        {
            Snapshot current = _nodes.Current;
            return new FailoverStatus
            {
                Topology = current.Topology,
                TakesWrites = current.Master is not null,
                TakesReads = current.NodeFor(CommandClass.Read, CommandFlags.None) is not null,
                Fenced = current.Hold.HasFlag(WriteHold.ZooKeeperSilent),
                NotFollowed = _nodes.NotFollowed,
                SinceZooKeeperContact = _source.SinceLastContact,
                SessionTimeout = _source.SessionTimeout,
                Unreachable = [.. _nodes.States().Where(state => state.Failure is not null)
                        .Select(state => new UnreachableNode(state.Address, state.Failure!))],
            };
        }
    }

    internal NodeSet Nodes => _nodes;

    // Its subscriber is what all callers share; whoever closes its multiplexer ends it for those alone who have it.
    private FailoverMultiplexer Own()
    {
        while (true)
        {
            ObjectDisposedException.ThrowIf(_nodes.IsClosed, this);
            FailoverMultiplexer? own = Volatile.Read(ref _own);
            if (own is { IsClosed: false })
            {
                return own;
            }

            Interlocked.CompareExchange(ref _own, new FailoverMultiplexer(_nodes), own);
        }
    }

    /// <summary>
    /// Connects: waits, at most <see cref="FailoverOptions.ConnectTimeout"/>, until the topology has been read from ZooKeeper and
    /// each of its nodes has been tried once; those that hang get 250 ms once the master is connected, and are connected later. A
    /// master that is just being replaced is no failure: writes wait for the next one.
    /// </summary>
    /// <param name="zooKeeper">The ZooKeeper servers and the root of the cluster: "zk1:2181,zk2:2181,zk3:2181/redis_failover".</param>
    /// <param name="options">Null for the defaults.</param>
    /// <param name="cancellationToken">Gives up.</param>
    /// <exception cref="FailoverConnectException">ZooKeeper did not answer, the topology does not exist, or no node can be reached; the
    /// message says which.</exception>
    /// <exception cref="FormatException">The connection string is malformed.</exception>
    /// <exception cref="ArgumentException">An option is out of range; the message names it.</exception>
    /// <exception cref="NotSupportedException">The application has loaded a StackExchange.Redis that this was not built for.</exception>
    /// <exception cref="OperationCanceledException">Cancelled.</exception>
    public static Task<FailoverConnection> ConnectAsync(string zooKeeper, FailoverOptions? options = null,
        CancellationToken cancellationToken = default)
    {
        SupportedLibrary.Check();
        options = (options ?? new FailoverOptions()).Validate();
        return ConnectAndWarmUpAsync(new ZooKeeperTopologySource(ZooKeeperConnectionString.Parse(zooKeeper), options), options,
            cancellationToken);
    }

    /// <summary>
    /// A database that follows the master: its calls go to the node that is right at the time of each call. Costs nothing to
    /// make and may be kept for ever.
    /// </summary>
    /// <param name="db">The number of the database; -1, the default, for the one of the configuration, usually 0.</param>
    /// <param name="asyncState">Given to each task as its AsyncState.</param>
    public IDatabase GetDatabase(int db = -1, object? asyncState = null) => new FailoverDatabase(_nodes, db, asyncState);

    /// <summary>
    /// A subscriber whose subscriptions are made again on each new master. Messages published while none is subscribed, during a
    /// failover, are missed, as Redis keeps none. All subscribers of a connection share their subscriptions.
    /// </summary>
    /// <exception cref="ObjectDisposedException">The connection is disposed.</exception>
    public ISubscriber GetSubscriber() => Own().GetSubscriber();

    /// <summary>
    /// The connection as libraries take it: IDistributedCache, SignalR, Hangfire, OpenTelemetry and the like work on it unmodified, also
    /// across a failover. Each call gives a new lease: to close or dispose it ends the lease and its subscriptions, never the connection.
    /// </summary>
    /// <exception cref="ObjectDisposedException">The connection is disposed.</exception>
    public IConnectionMultiplexer AsMultiplexer()
    {
        ObjectDisposedException.ThrowIf(_nodes.IsClosed, this);
        return new FailoverMultiplexer(_nodes);
    }

    /// <summary>
    /// Options for what wants options or the class ConnectionMultiplexer itself: one connection that is led to whichever node is master.
    /// Its calls wait while there is none; it reads from the master alone, and a switchover may show it READONLY. Dispose it before this
    /// connection.
    /// </summary>
    /// <exception cref="ObjectDisposedException">The connection is disposed.</exception>
    public ConfigurationOptions ConfigurationOptions()
    {
        ConfigurationOptions options = _nodes.Template;
        Configure(options);
        return options;
    }

    /// <summary>
    /// Makes options that a library hands over lead to whichever node is master, as <see cref="ConfigurationOptions"/> does. User and
    /// password that are set there already stay. <see cref="FailoverOptions.ConfigureNode"/> is not asked: the options are the library's.
    /// </summary>
    /// <param name="options">Its end points, time-outs and whatever the leading depends on are replaced.</param>
    /// <exception cref="ObjectDisposedException">The connection is disposed.</exception>
    public void Configure(ConfigurationOptions options)
    {
        ArgumentNullException.ThrowIfNull(options);
        ObjectDisposedException.ThrowIf(_nodes.IsClosed, this);
        options.User ??= _nodes.Options.User;
        options.Password ??= _nodes.Options.Password;
        if (options.Password is null && _nodes.Options.Login is { } login)
        {
            options.Defaults = login;
        }

        NodeConfiguration.LeadToMaster(options, _nodes.Options, new MasterTunnel(_nodes, evenFenced: false));
    }

    /// <summary>
    /// Asks the monitors to make another node master, with the old one alive and nothing lost, and waits until it is done.
    /// </summary>
    /// <param name="target">The node to become master; null lets the monitors choose.</param>
    /// <param name="cancellationToken">
    /// Stops the waiting and takes the request back, for which ZooKeeper has two seconds; a switchover that is under way goes on.
    /// Without monitors nobody answers: give a deadline.
    /// </param>
    /// <returns>The topology with the new master.</returns>
    /// <exception cref="InvalidOperationException">The monitors refused it, or have undone it; the message says why.</exception>
    /// <exception cref="ZooKeeperException">ZooKeeper did not take the request: for want of rights, or as the connection broke.</exception>
    /// <exception cref="OperationCanceledException">Cancelled.</exception>
    /// <exception cref="ObjectDisposedException">The connection is disposed.</exception>
    public async Task<Topology> FailoverAsync(NodeAddress? target = null, CancellationToken cancellationToken = default)
    {
        ObjectDisposedException.ThrowIf(_nodes.IsClosed, this);
        Topology before = Topology;
        if (target is not null && target == before.Master)
        {
            return before;
        }

        await _source.AskFailoverAsync(target, cancellationToken).ConfigureAwait(false);
        while (true)
        {
            Snapshot current = _nodes.Current;
            if (current.Topology.Master is { } master)
            {
                return master != before.Master && (target is null || master == target)
                    ? current.Topology
                    : throw new InvalidOperationException(
                        $"The monitors did not make {target?.ToString() ?? "another node"} master: {current.Topology.Reason}");
            }

            await current.Superseded.WaitAsync(cancellationToken).ConfigureAwait(false);
            ObjectDisposedException.ThrowIf(_nodes.IsClosed, this);
        }
    }

    /// <summary>The topology in force, then each change; may skip some, never the last. Ends when the connection is disposed.</summary>
    /// <param name="cancellationToken">Ends it with an <see cref="OperationCanceledException"/>.</param>
    public async IAsyncEnumerable<Topology> WatchTopologyAsync([EnumeratorCancellation] CancellationToken cancellationToken = default)
    {
        Topology? last = null;
        while (!_nodes.IsClosed)
        {
            Snapshot current = _nodes.Current;
            if (!ReferenceEquals(current.Topology, last))
            {
                last = current.Topology;
                yield return last;
            }

            await current.Superseded.WaitAsync(cancellationToken).ConfigureAwait(false);
        }
    }

    /// <summary>
    /// Ends every call in flight and closes all connections; later calls end with <see cref="ObjectDisposedException"/>. A handler of
    /// <see cref="TopologyChanged"/> that is running is not waited for, and may be the one that calls this; no other begins.
    /// </summary>
    public async ValueTask DisposeAsync()
    {
        if (Interlocked.Exchange(ref _disposed, 1) == 1)
        {
            return;
        }

        await _events.DisposeAsync().ConfigureAwait(false);
        try
        {
            await _follower.DisposeAsync().ConfigureAwait(false);
        }
        finally
        {
            await _nodes.DisposeAsync().ConfigureAwait(false);
        }
    }

    /// <summary>
    /// The same for owners that cannot await, such as a container that is disposed with <c>using</c>; blocks, 5 s at most, until it is
    /// done.
    /// </summary>
    public void Dispose()
    {
        Task disposing = DisposeAsync().AsTask();
        if (((IAsyncResult)disposing).AsyncWaitHandle.WaitOne(TimeSpan.FromSeconds(5)))
        {
            // Completed: throws what went wrong, if anything did.
            disposing.GetAwaiter().GetResult();
        }
    }

    internal static async Task<FailoverConnection> ConnectAsync(ITopologySource source, FailoverOptions? options,
        CancellationToken cancellationToken)
    {
        options = (options ?? new FailoverOptions()).Validate();
        ILogger logger = options.LoggerFactory.CreateLogger(Log.Category);
        var nodes = new NodeSet(options, logger);
        var follower = new TopologyFollower(source, nodes, logger);
        var connection = new FailoverConnection(nodes, follower, source);
        try
        {
            await connection.ReadyAsync(cancellationToken).ConfigureAwait(false);
            return connection;
        }
        catch
        {
            await connection.DisposeAsync().ConfigureAwait(false);
            throw;
        }
    }

    private static async Task<FailoverConnection> ConnectAndWarmUpAsync(ITopologySource source, FailoverOptions options,
        CancellationToken cancellationToken)
    {
        FailoverConnection connection = await ConnectAsync(source, options, cancellationToken).ConfigureAwait(false);
        Warmup.Begin();
        return connection;
    }

    private async Task ReadyAsync(CancellationToken cancellationToken)
    {
        FailoverOptions options = _nodes.Options;
        using var limit = new CancellationTokenSource(options.ConnectTimeout, options.TimeProvider);
        using var either = CancellationTokenSource.CreateLinkedTokenSource(limit.Token, cancellationToken);
        try
        {
            await FirstTopologyAsync(either.Token).ConfigureAwait(false);
            await NodesTriedAsync(either.Token).ConfigureAwait(false);

            // A master that was just found may still have to be recognized as one.
            while (_nodes.Current is { ConnectedMaster: null, Topology.Master: { } master } current
                && _nodes.States().Any(state => state.Address == master && state.Failure is null))
            {
                await current.Superseded.WaitAsync(either.Token).ConfigureAwait(false);
            }
        }
        catch (OperationCanceledException) when (limit.IsCancellationRequested && !cancellationToken.IsCancellationRequested)
        {
            if (!_follower.FirstTopology.IsCompletedSuccessfully)
            {
                throw new FailoverConnectException(
                    $"No topology within {options.ConnectTimeout.TotalMilliseconds:0} ms: {_source.Problem}.");
            }
        }

        IReadOnlyList<(NodeAddress Address, string? Failure)> states = _nodes.States();
        if (states.Count > 0 && states.All(state => state.Failure is not null))
        {
            throw new FailoverConnectException(
                $"None of the nodes can be reached: {string.Join("; ", states.Select(state => $"{state.Address}: {state.Failure}"))}.");
        }
    }

    /// <summary>
    /// Until each node was tried; a node that hangs is waited for no longer than a moment once the one that matters is connected.
    /// </summary>
    private async Task NodesTriedAsync(CancellationToken cancellationToken)
    {
        Task tried = _nodes.FirstAttempts();
        while (!tried.IsCompleted && _nodes.Current is var current)
        {
            if (current.ConnectedMaster is not null || (current.Topology.Master is null && current.Replicas.Length > 0))
            {
                await Task.WhenAny(tried, Task.Delay(s_grace, _nodes.Options.TimeProvider, cancellationToken)).ConfigureAwait(false);
                cancellationToken.ThrowIfCancellationRequested();
                return;
            }

            await Task.WhenAny(tried, current.Superseded).WaitAsync(cancellationToken).ConfigureAwait(false);
        }

        await tried.ConfigureAwait(false);
    }

    private async Task FirstTopologyAsync(CancellationToken cancellationToken)
    {
        if (_nodes.Options is { TopologyCacheFile: not null } options)
        {
            await Task.WhenAny(_follower.FirstTopology, Task.Delay(options.ConnectTimeout / 2, options.TimeProvider, cancellationToken))
                .ConfigureAwait(false);
            if (!_follower.FirstTopology.IsCompleted && !cancellationToken.IsCancellationRequested && _follower.StartFromCache())
            {
                return;
            }
        }

        await _follower.FirstTopology.WaitAsync(cancellationToken).ConfigureAwait(false);
    }
}
