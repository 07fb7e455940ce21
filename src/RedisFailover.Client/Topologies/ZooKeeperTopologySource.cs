using System.Runtime.CompilerServices;
using System.Text;
using Microsoft.Extensions.Logging;
using RedisFailover.ZooKeeper;

namespace RedisFailover.Client;

/// <summary>The topology znode, followed over reconnects and sessions. ZooKeeper being away changes nothing: what was known last stays in force.</summary>
internal sealed class ZooKeeperTopologySource : ITopologySource
{
    private static readonly ZnodePaths s_paths = new("");

    private readonly ZooKeeperClient _zooKeeper;
    private readonly ZooKeeperConnectionString _connection;
    private readonly WatchedValue _nodes;
    private readonly ILogger _logger;
    private string? _unreadable;
    private TimeSpan _granted;

    public ZooKeeperTopologySource(ZooKeeperConnectionString connection, FailoverOptions options)
    {
        _connection = connection;
        _granted = options.SessionTimeout;
        _logger = options.LoggerFactory.CreateLogger(Log.Category);
        _zooKeeper = new ZooKeeperClient(new ZooKeeperOptions
        {
            Connection = connection,
            SessionTimeout = options.SessionTimeout,
            TimeProvider = options.TimeProvider,
            LoggerFactory = options.LoggerFactory,
        });
        _nodes = _zooKeeper.Watch(s_paths.Nodes);
    }

    public string Problem => this switch
    {
        { _zooKeeper.IsConnected: false } => $"ZooKeeper ({_connection}) does not answer",
        { _unreadable: { } problem } => problem,
        { _nodes: { IsRead: true, Current: null } } => $"{_connection.Chroot}{s_paths.Nodes} does not exist in ZooKeeper ({_connection}): no monitor has written it yet, or the path is another",
        _ => $"ZooKeeper ({_connection}) has not told it yet",
    };

    public async IAsyncEnumerable<Topology> TopologiesAsync([EnumeratorCancellation] CancellationToken cancellationToken)
    {
        await foreach (Znode? znode in _nodes.ChangesAsync(cancellationToken).ConfigureAwait(false))
        {
            if (znode is null)
            {
                Log.TopologyMissing(_logger, _connection.Chroot + s_paths.Nodes);
            }
            else if (Read(znode) is { } topology)
            {
                yield return topology;
            }
        }
    }

    public TimeSpan? SinceLastContact => _zooKeeper.SinceLastContact;

    // Kept from the last session: what it was granted is what the monitors' sessions outlive.
    public TimeSpan SessionTimeout => _zooKeeper.Session is { } session ? _granted = session.SessionTimeout : _granted;

    public async Task AskFailoverAsync(NodeAddress? target, CancellationToken cancellationToken)
    {
        ZooKeeperSession session = await _zooKeeper.GetSessionAsync(cancellationToken).ConfigureAwait(false);
        byte[] wish = Encoding.UTF8.GetBytes(target?.ToString() ?? ZnodePaths.AnyReplica);
        try
        {
            await session.CreateAsync(s_paths.ManualFailover, wish, cancellationToken: cancellationToken).ConfigureAwait(false);
        }
        catch (ZooKeeperException failure) when (failure.Code == ZooKeeperErrorCode.NodeExists)
        {
            throw new InvalidOperationException($"A failover has been asked for already and is not done: {_connection.Chroot}{s_paths.ManualFailover} exists.", failure);
        }

        WatchedValue pending = _zooKeeper.Watch(s_paths.ManualFailover);
        await using (pending.ConfigureAwait(false))
        {
            await foreach (Znode? znode in pending.ChangesAsync(cancellationToken).ConfigureAwait(false))
            {
                if (znode is null)
                {
                    break;
                }
            }
        }

        // The topology that came with the answer may still be on its way to the watch.
        Znode latest = await session.GetDataAsync(s_paths.Nodes, cancellationToken: cancellationToken).ConfigureAwait(false);
        await foreach (Znode? znode in _nodes.ChangesAsync(cancellationToken).ConfigureAwait(false))
        {
            if (znode is not null && znode.Stat.ModifiedZxid >= latest.Stat.ModifiedZxid)
            {
                return;
            }
        }
    }

    public async ValueTask DisposeAsync()
    {
        await _nodes.DisposeAsync().ConfigureAwait(false);
        await _zooKeeper.DisposeAsync().ConfigureAwait(false);
    }

    private Topology? Read(Znode znode)
    {
        try
        {
            Topology topology = TopologyJson.Parse(znode.Data);
            _unreadable = null;
            return topology;
        }
        catch (FormatException failure)
        {
            _unreadable = failure.Message;
            Log.TopologyUnreadable(_logger, failure.Message);
            return null;
        }
    }
}
