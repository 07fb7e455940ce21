using System.Runtime.CompilerServices;
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

    public ZooKeeperTopologySource(ZooKeeperConnectionString connection, FailoverOptions options)
    {
        _connection = connection;
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
