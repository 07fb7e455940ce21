using System.Collections.Immutable;
using System.Reflection;
using System.Security.Cryptography.X509Certificates;
using System.Threading.Channels;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using RedisFailover.Monitor.Options;
using RedisFailover.Monitor.ZooKeeper;
using RedisFailover.Shared;
using RedisFailover.ZooKeeper;

namespace RedisFailover.Monitor.Hosting;

/// <summary>The monitor's process: what its clusters share, and the clusters themselves.</summary>
internal sealed class MonitorService : BackgroundService
{
    private readonly MonitorOptions _options;
    private readonly ILoggerFactory _loggers;
    private readonly ILogger _logger;
    private readonly IHostApplicationLifetime _lifetime;
    private readonly FaultPoint? _faultPoint;
    private readonly MonotonicClock _clock;
    private readonly Channel<ImmutableArray<MonitorOptions>> _lists = Channel.CreateUnbounded<ImmutableArray<MonitorOptions>>();
    private readonly Lock _outage = new();
    private TimeSpan? _outageSince;
    private volatile ClusterSet? _clusters;
    private volatile ZooKeeperClient? _zooKeeper;
    private volatile LeaseKeeper? _keeper;

    public MonitorService(MonitorOptions options, ILoggerFactory loggers, TimeProvider time, IHostApplicationLifetime lifetime,
        FaultPoint? faultPoint = null)
    {
        _lifetime = lifetime;
        _faultPoint = faultPoint;
        _options = options;
        _loggers = loggers;
        _logger = loggers.CreateLogger("RedisFailover.Monitor");
        _clock = new MonotonicClock(time);
    }

    /// <summary>This build's version.</summary>
    internal static string Version { get; } =
        typeof(MonitorService).Assembly.GetCustomAttribute<AssemblyInformationalVersionAttribute>()?.InformationalVersion ?? "unknown";

    /// <summary>Whether it ended by a defect, or by what it cannot go on with.</summary>
    internal bool HasFailed { get; private set; }

    /// <summary>Whether the process may have several clusters.</summary>
    internal bool HasMany => _options.HasMany;

    /// <summary>The clusters that are monitored now, by name.</summary>
    internal IEnumerable<ClusterMonitor> Clusters => _clusters?.All ?? [];

    /// <summary>Its session with ZooKeeper; null before there is one.</summary>
    internal ZooKeeperClient? ZooKeeper => _zooKeeper;

    /// <summary>What the leases are like; null before there is one.</summary>
    internal LeaseStatus? Lease => _keeper?.Status;

    /// <summary>Told of each change of the ZooKeeper session.</summary>
    internal Action<ZooKeeperClientState>? SessionChanged { get; set; }

    /// <summary>Told of each turn of a coordinator: the cluster's name, what was known before it, and after.</summary>
    internal Action<string, ClusterView, ClusterView>? Turned { get; set; }

    /// <summary>The cluster of that name; null where there is none.</summary>
    internal ClusterMonitor? Find(string name) => _clusters?.Find(name);

    /// <summary>What HTTP tells about this monitor.</summary>
    internal MonitorHealth Health() => MonitorHealth.Of(
        _options, _zooKeeper?.IsConnected == true, [.. Clusters], _zooKeeper?.Unreachable, _clusters?.Hindrance);

    /// <summary>Whether a coordinator has decided since this was last asked; gives them reason to do so until the next time.</summary>
    internal bool HasTurned()
    {
        bool[] turned = [.. Clusters.Select(c => c.HasTurned())];
        return turned.Length == 0 || turned.Any(t => t);
    }

    /// <inheritdoc/>
    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        try
        {
            await RunAsync(stoppingToken);
        }
#pragma warning disable CA1031 // Not swallowed: said in words of our own, and by the exit code; the host's are for programmers.
        catch (Exception e)
#pragma warning restore CA1031
        {
            HasFailed = true;
            Log.Failed(_logger, _options.Id, e.GetType().Name, Words.Quoted(e.Message), e is ZooKeeperException ? null : e);
            _lifetime.StopApplication();
        }
    }

    private async Task RunAsync(CancellationToken stoppingToken)
    {
        Log.Starts(_logger, _options.Id, Version, _options.ToString());
        if (!_options.HasMany)
        {
            Log.GoesBy(_logger, _options.Rules);
        }

        if (_faultPoint is not null)
        {
            Log.FaultPointIsSet(_logger, FaultPoint.Variable, _faultPoint);
        }

        var home = new ZnodePaths(_options.ZnodePath);
        var rights = new ZnodeRights(_options.Security, home, _clock.Provider, _logger) { IsCommonRoot = _options.FindsClusters };
        await using ZooKeeperClient zooKeeper = Connect(rights);
        _zooKeeper = zooKeeper;
        zooKeeper.StateChanged += TellOfZooKeeper;
        var keeper = new LeaseKeeper(zooKeeper, new LeaseOptions
        {
            HeartbeatsPath = home.Heartbeats,
            Owner = _options.Id,
            Length = _options.Lease,
            IsAlive = IsAlive,
        });
        _keeper = keeper;
        var clusters = new ClusterSet(
            new SharedParts(zooKeeper, keeper, rights, _clock) { FaultPoint = _faultPoint, HasMany = _options.HasMany, Turned = Turned },
                _logger);
        lock (_outage)
        {
            _clusters = clusters;
            if (_outageSince is not null)
            {
                clusters.TellOfZooKeeper(isAway: true);
            }
        }

        await clusters.ChangeAsync(_options.Clusters);
        var directory = new ClusterDirectory(_options, zooKeeper, clusters, _clock.Provider, _logger);
        using var ending = CancellationTokenSource.CreateLinkedTokenSource(stoppingToken);
        Task[] parts =
        [
            StallDetector.WatchAsync(_clock, _logger, ending.Token),
            _options.FindsClusters ? directory.RunAsync(ending.Token) : TakeListsAsync(clusters, ending.Token),
            .. _options.Security.ZooKeeperAuth is null ? Array.Empty<Task>() : [rights.KeepAsync(zooKeeper, ending.Token)],
        ];
        try
        {
            // None of them ends before the monitor stops; one that fails takes the monitor down, loudly, so that another one leads.
            await await Task.WhenAny([.. parts, clusters.Failed, Task.Delay(Timeout.Infinite, ending.Token)]);
        }
        catch (OperationCanceledException) when (stoppingToken.IsCancellationRequested)
        {
            Log.Stops(_logger, _options.Id);
        }
        finally
        {
            await ending.CancelAsync();
            await Task.WhenAll(parts).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            await clusters.EndAsync();
        }
    }

    /// <summary>The settings were read again: of them the list of clusters is taken over.</summary>
    internal void Take(MonitorOptions read)
    {
        if (_options is { HasMany: true, FindsClusters: false } && read is { HasMany: true, FindsClusters: false })
        {
            _lists.Writer.TryWrite(read.Clusters);
        }
    }

    private async Task TakeListsAsync(ClusterSet clusters, CancellationToken cancellationToken)
    {
        await foreach (ImmutableArray<MonitorOptions> list in _lists.Reader.ReadAllAsync(cancellationToken))
        {
            await clusters.ChangeAsync(list);
        }
    }

    private ZooKeeperClient Connect(ZnodeRights rights)
    {
        SecuritySettings security = _options.Security;
        return new ZooKeeperClient(new ZooKeeperOptions
        {
            AuthSource = security.ZooKeeperAuth is null ? null : () => rights.Credentials,
            AclOf = security.ZooKeeperAuth is null ? null : rights.Of,
            TlsSource = security.ZooKeeperTls is { } tls ? () => Tls(tls) : null,
            Connection = _options.ZooKeeper,
            SessionTimeout = _options.SessionTimeout,
            TimeProvider = _clock.Provider,
            LoggerFactory = _loggers,
            ReconnectWithin = LeaseRules.ReconnectWithin(_options.Lease),
        });
    }

    /// <summary>While any of the coordinators decides the process is alive; those that do not end their own leads.</summary>
    private bool IsAlive()
    {
        ClusterMonitor[] clusters = [.. Clusters];
        return clusters.Length == 0 || clusters.Any(c => c.IsTurning);
    }

    private static ZooKeeperTls Tls(TlsFiles files)
    {
        (X509Certificate2Collection authorities, X509Certificate2? certificate) = files.Current();
        return new ZooKeeperTls
        {
            Authorities = [.. authorities],
            ClientCertificate = certificate,
            ServerName = files.Name,
            AcceptsAnyName = files.AcceptsAnyName,
        };
    }

    /// <summary>Once an outage, however often the client tries.</summary>
    private void TellOfZooKeeper(ZooKeeperClientState state)
    {
        SessionChanged?.Invoke(state);
        lock (_outage)
        {
            if (state == ZooKeeperClientState.Connected)
            {
                if (_outageSince is { } since)
                {
                    Log.ZooKeeperBack(_logger, (_clock.Now - since).TotalSeconds);
                    _clusters?.TellOfZooKeeper(isAway: false);
                }

                _outageSince = null;
            }
            else if (state != ZooKeeperClientState.Closed && _outageSince is null)
            {
                _outageSince = _clock.Now;
                Log.ZooKeeperGone(_logger);
                _clusters?.TellOfZooKeeper(isAway: true);
            }
        }
    }
}
