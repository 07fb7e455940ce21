using System.IO.Compression;
using StackExchange.Redis.Maintenance;
using StackExchange.Redis.Profiling;

namespace RedisFailover.Client;

/// <summary>A lease of a connection in the shape that libraries take. They close and dispose what they are given: that ends this lease and
/// its subscriptions, never the connection.</summary>
internal sealed class FailoverMultiplexer : IConnectionMultiplexer
{
    private readonly NodeSet _nodes;
    private readonly FailoverSubscriber _subscriber;
    private readonly List<(MultiplexerEvent What, Delegate Handler, Action<object> Tell)> _handlers = [];
    private int _closed;

    public FailoverMultiplexer(NodeSet nodes)
    {
        _nodes = nodes;
        _subscriber = new FailoverSubscriber(nodes, this);
    }

    public event EventHandler<RedisErrorEventArgs>? ErrorMessage
    { add => Add(MultiplexerEvent.ErrorMessage, value); remove => Remove(MultiplexerEvent.ErrorMessage, value); }

    public event EventHandler<ConnectionFailedEventArgs>? ConnectionFailed
    { add => Add(MultiplexerEvent.ConnectionFailed, value); remove => Remove(MultiplexerEvent.ConnectionFailed, value); }

    public event EventHandler<InternalErrorEventArgs>? InternalError
    { add => Add(MultiplexerEvent.InternalError, value); remove => Remove(MultiplexerEvent.InternalError, value); }

    public event EventHandler<ConnectionFailedEventArgs>? ConnectionRestored
    { add => Add(MultiplexerEvent.ConnectionRestored, value); remove => Remove(MultiplexerEvent.ConnectionRestored, value); }

    public event EventHandler<EndPointEventArgs>? ConfigurationChanged
    { add => Add(MultiplexerEvent.ConfigurationChanged, value); remove => Remove(MultiplexerEvent.ConfigurationChanged, value); }

    public event EventHandler<EndPointEventArgs>? ConfigurationChangedBroadcast
    {
        add => Add(MultiplexerEvent.ConfigurationChangedBroadcast, value);
        remove => Remove(MultiplexerEvent.ConfigurationChangedBroadcast, value);
    }

    public event EventHandler<ServerMaintenanceEvent>? ServerMaintenanceEvent
    { add => Add(MultiplexerEvent.ServerMaintenance, value); remove => Remove(MultiplexerEvent.ServerMaintenance, value); }

    public event EventHandler<HashSlotMovedEventArgs>? HashSlotMoved
    { add => Add(MultiplexerEvent.HashSlotMoved, value); remove => Remove(MultiplexerEvent.HashSlotMoved, value); }

    public bool IsClosed => Volatile.Read(ref _closed) != 0 || _nodes.IsClosed;

    public string ClientName => _nodes.Template.ClientName ?? "";

    /// <summary>As a string that can be parsed, of the nodes as they are now; without the password.</summary>
    public string Configuration
    {
        get
        {
            ConfigurationOptions shown = _nodes.Template.Clone();
            shown.Password = null;
            shown.Tunnel = null;
            foreach (EndPoint endPoint in GetEndPoints())
            {
                shown.EndPoints.Add(endPoint);
            }

            return shown.ToString(includePassword: false);
        }
    }

    public int TimeoutMilliseconds => (int)_nodes.Options.OperationTimeout.TotalMilliseconds;

    public long OperationCount => _nodes.Observers.Multiplexers.Sum(multiplexer => multiplexer.OperationCount);

    public bool IsConnected => !IsClosed && _nodes.Current is var current
        && (current.Master is not null || current.NodeFor(CommandClass.Read, CommandFlags.None) is not null);

    public bool IsConnecting => !IsClosed && _nodes.States().Any(state => state.Failure is not null);

    public int StormLogThreshold
    {
        get => _nodes.Observers.StormLogThreshold;
        set => _nodes.Observers.StormLogThreshold = value;
    }

    [Obsolete("Messages reach a handler in their order.")]
    bool IConnectionMultiplexer.PreserveAsyncOrder
    {
        get => true;
        set => _ = value;
    }

    [Obsolete("Set it by ConfigureNode.")]
    bool IConnectionMultiplexer.IncludeDetailInExceptions
    {
        get => false;
        set => _ = value;
    }

    public void RegisterProfiler(Func<ProfilingSession?> profilingSessionProvider)
        => Open._nodes.Observers.RegisterProfiler(profilingSessionProvider);

    public void AddLibraryNameSuffix(string suffix) => Open._nodes.Observers.AddLibraryNameSuffix(suffix);

    public ServerCounters GetCounters()
    {
        var sum = new ServerCounters(null);
        foreach (ConnectionMultiplexer multiplexer in Open._nodes.Observers.Multiplexers)
        {
            Add(sum, multiplexer.GetCounters());
        }

        return sum;
    }

    /// <summary>The master first, then the replicas, without those that are down: the topology is the configuration.</summary>
    public EndPoint[] GetEndPoints(bool configuredOnly = false) => [.. Serving().Select(NodeConfiguration.EndPointOf)];

    public void Wait(Task task) => Waiting.For(task, _nodes.Options.OperationTimeout);

    public T Wait<T>(Task<T> task) => Waiting.For(task, _nodes.Options.OperationTimeout);

    public void WaitAll(params Task[] tasks) => Waiting.For(Task.WhenAll(tasks), _nodes.Options.OperationTimeout);

    public int HashSlot(RedisKey key) => AnyNode?.HashSlot(key) ?? -1;

    public int GetHashSlot(RedisKey key) => AnyNode?.GetHashSlot(key) ?? -1;

    public ISubscriber GetSubscriber(object? asyncState = null) => Open._subscriber;

    public IDatabase GetDatabase(int db = -1, object? asyncState = null) => new FailoverDatabase(Open._nodes, db, asyncState, this);

    public IServer GetServer(string host, int port, object? asyncState = null)
        => GetServer(NodeConfiguration.EndPointOf(new NodeAddress(host, port)), asyncState);

    public IServer GetServer(string hostAndPort, object? asyncState = null)
        => NodeAddress.TryParse(hostAndPort, out NodeAddress? address)
            ? Server(address, asyncState) : throw Unknown(hostAndPort, nameof(hostAndPort));

    public IServer GetServer(IPAddress host, int port) => Server(new NodeAddress(host.ToString(), port), null);

    public IServer GetServer(EndPoint endpoint, object? asyncState = null)
        => NodeConfiguration.AddressOf(endpoint) is { } address ? Server(address, asyncState) : throw Unknown(endpoint, nameof(endpoint));

    public IServer GetServer(RedisKey key, object? asyncState = null, CommandFlags flags = CommandFlags.None)
        => Server(Open._nodes.Current.Topology.Master ?? Master.Address, asyncState);

    public IServer[] GetServers() => [.. Open.Serving().Select(address => Server(address, null))];

    /// <summary>Whether there is a master. There is nothing to configure: the topology is.</summary>
    public Task<bool> ConfigureAsync(TextWriter? log = null)
    {
        log?.WriteLine(GetStatus());
        return Task.FromResult(Open._nodes.Current.Master is not null);
    }

    /// <inheritdoc cref="ConfigureAsync"/>
    public bool Configure(TextWriter? log = null)
    {
        log?.WriteLine(GetStatus());
        return Open._nodes.Current.Master is not null;
    }

    public string GetStatus()
    {
        using var text = new StringWriter(System.Globalization.CultureInfo.InvariantCulture);
        GetStatus(text);
        return text.ToString();
    }

    public void GetStatus(TextWriter log)
    {
        Topology topology = _nodes.Current.Topology;
        log.WriteLine(
            $"epoch {topology.Epoch} {topology.State}, master {topology.Master?.ToString() ?? "none"}, replicas "
                + $"[{string.Join(' ', topology.Replicas)}]");
        foreach (ConnectionMultiplexer multiplexer in _nodes.Observers.Multiplexers)
        {
            multiplexer.GetStatus(log);
        }
    }

    public override string ToString() => $"{ClientName} on {string.Join(", ", Serving())}";

    public string? GetStormLog()
        => string.Join(Environment.NewLine,
            _nodes.Observers.Multiplexers.Select(multiplexer => multiplexer.GetStormLog()).OfType<string>()) is { Length: > 0 } storms
                ? storms : null;

    public void ResetStormLog() => Array.ForEach(_nodes.Observers.Multiplexers, multiplexer => multiplexer.ResetStormLog());

    public long PublishReconfigure(CommandFlags flags = CommandFlags.None) => Master.Multiplexer.PublishReconfigure(flags);

    public Task<long> PublishReconfigureAsync(CommandFlags flags = CommandFlags.None)
        => Master.Multiplexer.PublishReconfigureAsync(flags);

    /// <summary>An archive with that of each node in it.</summary>
    public void ExportConfiguration(Stream destination, ExportOptions options = ExportOptions.All)
    {
        using var archive = new ZipArchive(destination, ZipArchiveMode.Create, leaveOpen: true);
        foreach (ConnectionMultiplexer multiplexer in Open._nodes.Observers.Multiplexers)
        {
            using var part = new MemoryStream();
            multiplexer.ExportConfiguration(part, options);
            using Stream entry = archive.CreateEntry($"{multiplexer.GetEndPoints()[0].ToString()!.Replace('/', '_').Replace(':', '_')}.zip")
                .Open();
            part.WriteTo(entry);
        }
    }

    public void Close(bool allowCommandsToComplete = true) => _ = CloseAsync(allowCommandsToComplete);

    public async Task CloseAsync(bool allowCommandsToComplete = true)
    {
        if (Interlocked.Exchange(ref _closed, 1) == 0)
        {
            _nodes.Observers.Raised -= Raise;
            lock (_handlers)
            {
                _handlers.Clear();
            }

            await _subscriber.CloseAsync().ConfigureAwait(false);
        }
    }

    public void Dispose() => Close();

    public ValueTask DisposeAsync() => new(CloseAsync());

    /// <summary>This one, unless it is closed.</summary>
    private FailoverMultiplexer Open
    {
        get
        {
            ObjectDisposedException.ThrowIf(IsClosed, typeof(IConnectionMultiplexer));
            return this;
        }
    }

    private LiveNode Master => Open._nodes.NodeFor(CommandClass.Write, CommandFlags.None);

    private ConnectionMultiplexer? AnyNode => _nodes.PubSub.Multiplexer ?? Open._nodes.Observers.Multiplexers.FirstOrDefault();

    [UnsafeAccessor(UnsafeAccessorKind.Method)]
    private static extern void Add(ServerCounters sum, ServerCounters other);

    private IEnumerable<NodeAddress> Serving()
    {
        Topology topology = _nodes.Current.Topology;
        return (topology.Master is { } master ? [master] : Array.Empty<NodeAddress>()).Concat(topology.Replicas).Distinct();
    }

    private FailoverServer Server(NodeAddress address, object? asyncState)
    {
        Topology topology = Open._nodes.Current.Topology;
        return Serving().Concat(topology.Unavailable).Contains(address) || _nodes.Live(address) is not null
            ? new FailoverServer(_nodes, address, this, asyncState)
            : throw Unknown(address, "endpoint");
    }

    private ArgumentException Unknown(object endPoint, string name)
        => new($"{endPoint} is no node of the topology; known: {string.Join(", ", Serving().Concat(_nodes.Current.Topology.Unavailable))}.",
            name);

    private void Add<T>(MultiplexerEvent what, EventHandler<T>? handler)
    {
        if (handler is not null && !IsClosed)
        {
            lock (_handlers)
            {
                // Only then: a lease that nobody listens to, nor closes, is nobody's to keep.
                if (_handlers.Count == 0)
                {
                    _nodes.Observers.Raised += Raise;
                }

                _handlers.Add((what, handler, raised => handler(this, (T)raised)));
            }
        }
    }

    private void Remove(MultiplexerEvent what, Delegate? handler)
    {
        lock (_handlers)
        {
            int last = _handlers.FindLastIndex(known => known.What == what && known.Handler.Equals(handler));
            if (last >= 0)
            {
                _handlers.RemoveAt(last);
                if (_handlers.Count == 0)
                {
                    _nodes.Observers.Raised -= Raise;
                }
            }
        }
    }

    private void Raise(MultiplexerEvent what, object raised)
    {
        Action<object>[] told;
        lock (_handlers)
        {
            told = [.. _handlers.Where(known => known.What == what).Select(known => known.Tell)];
        }

        foreach (Action<object> tell in told)
        {
            Tolerated.Run(() => tell(raised), failure => Log.HandlerFailed(_nodes.Logger, what.ToString(), failure));
        }
    }
}
