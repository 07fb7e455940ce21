using System.Collections.Concurrent;
using System.Reflection;
using System.Security.Cryptography.X509Certificates;
using System.Text.Json;
using System.Threading.Channels;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using RedisFailover.Monitor.Options;
using RedisFailover.Monitor.Redis;
using RedisFailover.Monitor.ZooKeeper;
using RedisFailover.Shared;
using RedisFailover.ZooKeeper;

namespace RedisFailover.Monitor.Hosting;

/// <summary>The monitor: puts the parts together, and takes them apart in an order that hands the lead over at once.</summary>
internal sealed class MonitorService : BackgroundService
{
    /// <summary>How long the farewell to ZooKeeper may take; without it the session's expiry does the same, later.</summary>
    private static readonly TimeSpan Farewell = TimeSpan.FromSeconds(1);

    private static readonly TimeSpan TopologySettles = TimeSpan.FromMilliseconds(25);

    /// <summary>A coordinator that has not turned for so long leads nobody: the heartbeat stops, and another monitor takes over.</summary>
    private static readonly TimeSpan Stuck = TimeSpan.FromSeconds(2);

    private readonly MonitorOptions _options;
    private readonly ILoggerFactory _loggers;
    private readonly ILogger _logger;
    private readonly IHostApplicationLifetime _lifetime;
    private readonly FaultPoint? _faultPoint;
    private readonly MonotonicClock _clock;
    private readonly Channel<Observation> _observations = Channel.CreateUnbounded<Observation>(new UnboundedChannelOptions { SingleReader = true });
    private readonly ConcurrentDictionary<NodeAddress, NodeProber> _probers = new();
    private readonly ZnodePaths _paths;
    private readonly string _candidate;
    private TimeSpan? _outageSince;
    private long _turnsSeen;
    private volatile Coordinator? _coordinator;
    private volatile ZooKeeperClient? _zooKeeper;

    public MonitorService(MonitorOptions options, ILoggerFactory loggers, TimeProvider time, IHostApplicationLifetime lifetime, FaultPoint? faultPoint = null)
    {
        _lifetime = lifetime;
        _faultPoint = faultPoint;
        _options = options;
        _loggers = loggers;
        _logger = loggers.CreateLogger("RedisFailover.Monitor");
        _clock = new MonotonicClock(time);
        _paths = new ZnodePaths(options.ZnodePath);
        _candidate = $"{options.Id}/{Guid.NewGuid():N}";
    }

    /// <summary>This build's version.</summary>
    internal static string Version { get; } =
        typeof(MonitorService).Assembly.GetCustomAttribute<AssemblyInformationalVersionAttribute>()?.InformationalVersion ?? "unknown";

    /// <summary>Whether it ended by a defect, or by what it cannot go on with.</summary>
    internal bool HasFailed { get; private set; }

    /// <summary>What this monitor knows; null before it knows anything.</summary>
    internal ClusterView? View => _coordinator?.View;

    /// <summary>The problems that this monitor tells; null before it does.</summary>
    internal ProblemKeeper? Problems { get; private set; }

    /// <summary>Its session with ZooKeeper; null before there is one.</summary>
    internal ZooKeeperClient? ZooKeeper => _zooKeeper;

    /// <summary>Told of each turn of the coordinator: what was known before it, and after.</summary>
    internal Action<ClusterView, ClusterView>? Turned { get; set; }

    /// <summary>What HTTP tells about this monitor.</summary>
    internal MonitorHealth Health()
    {
        ClusterView? view = _coordinator?.View;
        Topology? topology = view?.Topology;
        return new MonitorHealth(
            _options.Id,
            Version,
            _zooKeeper?.IsConnected == true,
            view?.Term is not null,
            view?.LiveMonitors ?? 0,
            topology?.Epoch ?? 0,
            TopologyJson.Name(topology?.State ?? TopologyState.NoMaster),
            topology?.Master?.ToString());
    }

    /// <summary>Whether the coordinator has decided since this was last asked; gives it reason to do so until the next time.</summary>
    internal bool HasTurned()
    {
        long turns = _coordinator?.Turns ?? 0;
        bool turned = turns != _turnsSeen || _coordinator is null;
        _turnsSeen = turns;
        _observations.Writer.TryWrite(new Tick(_clock.Now));
        return turned;
    }

    /// <inheritdoc/>
    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        try
        {
            await RunAsync(stoppingToken);
        }
#pragma warning disable CA1031 // Not swallowed: said in words of our own where the host would give advice to programmers, and the exit code tells it.
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
        if (_faultPoint is not null)
        {
            Log.FaultPointIsSet(_logger, FaultPoint.Variable, _faultPoint);
        }

        SecuritySettings security = _options.Security;
        var rights = new ZnodeRights(security, _paths, _clock.Provider, _logger);
        await using var zooKeeper = new ZooKeeperClient(new ZooKeeperOptions
        {
            AuthSource = security.ZooKeeperAuth is null ? null : () => rights.Credentials,
            AclOf = security.ZooKeeperAuth is null ? null : rights.Of,
            TlsSource = security.ZooKeeperTls is { } tls ? () => Tls(tls) : null,
            Connection = _options.ZooKeeper,
            SessionTimeout = _options.SessionTimeout,
            TimeProvider = _clock.Provider,
            LoggerFactory = _loggers,
            ReconnectWithin = _options.Lease / 4,
        });
        _zooKeeper = zooKeeper;
        zooKeeper.StateChanged += TellOfZooKeeper;
        FailoverPolicy policy = _options.Policy;
        var store = new TopologyStore(zooKeeper, _paths, _options.Id, _clock, _logger);
        var keeper = new LeaseKeeper(zooKeeper, new LeaseOptions
        {
            HeartbeatsPath = _paths.Heartbeats,
            Owner = _options.Id,
            Length = _options.Lease,
            IsAlive = () => _coordinator is not { } turning || turning.SinceTurn < Stuck,
        });
        var registry = new MonitorRegistry(zooKeeper, keeper, _paths, _options.Id, _observations.Writer, _clock, _logger);
        var abstention = new ElectionBackoff(policy, _clock, _logger);
        var config = new ConfigStore(zooKeeper, _paths, _options.Id, _clock, _options.FaultOf);
        using var inbox = new RequestInbox(zooKeeper, _paths, _observations.Writer, _clock);
        var executor = new ActionExecutor(
            _probers, store, inbox, abstention, _observations.Writer, _clock, _logger, _faultPoint, config);
        var transitions = new Transitions(_logger, _options.Id);
        var problems = new ProblemKeeper(_options.Id, policy, _clock, _logger);
        var problemStore = new ProblemStore(zooKeeper, _paths, problems, _clock, _logger);
        problems.ClusterChanged = problemStore.Put;
        Problems = problems;
        var register = new MemberRegister(zooKeeper, registry, _paths, _options.Id, _observations.Writer, _clock, _logger);
        var outsider = new OutsiderNote(zooKeeper, _paths, _options.Id, _clock);
        using var admission = new ClusterAdmission(policy.Nodes);
        admission.Excluded = topology => TellOfExclusion(topology, problems, outsider);
        registry.Admission = admission;
        registry.ClockCompared = problem => problems.Set(ProblemCatalogue.ClockDiffers, problem);
        registry.IdTaken = taken => outsider.Set(
            ProblemCatalogue.MonitorIdTaken,
            taken is null ? null : Problem.OfMonitors(
                ProblemCatalogue.MonitorIdTaken,
                $"another living monitor has the id {taken}: the one on {Environment.MachineName}, pid {Environment.ProcessId}, neither leads nor votes",
                taken));
        var coordinator = new Coordinator(policy, executor, _observations, _clock, transitions)
        {
            Problems = problems,
            Turned = Turned,
            ReportChanged = (report, urgent) =>
            {
                abstention.Sees(problems.Policy.Nodes.Count(report.Available.ContainsKey));
                registry.Publish(report, urgent);
            },
        };
        var names = new NodeNames(policy.Nodes, _clock.Provider);
        var credentials = new RedisCredentials(_options.Username, _options.Password, _options.PasswordFile) { Tls = security.RedisTls };
        var fault = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        var clients = new ClientNames(_options.ZnodePath, _options.Id, _candidate)
        {
            Lead = () => coordinator.Leadership is { } lead ? (lead.Term, lead.Lease.IsHeld) : null,
        };
        void LearnIncarnation(Topology? topology)
        {
            if (clients.Learn(topology))
            {
                RenameConnections();
            }
        }

        store.Seen = LearnIncarnation;
        void Watch(NodeAddress node)
        {
            var prober = new NodeProber(
                node, credentials, policy, names, _observations.Writer, _clock, clients, () => registry.IsLeading);
            _probers[node] = prober;
            _ = prober.Running.ContinueWith(
                t => fault.TrySetException(t.Exception!.InnerExceptions),
                CancellationToken.None,
                TaskContinuationOptions.OnlyOnFaulted,
                TaskScheduler.Default);
        }

        coordinator.NodeNeeded = Watch;
        coordinator.PolicyUnder = PolicyUnder;
        coordinator.PolicyChanged = (changed, watched) =>
        {
            bool asksOtherwise = WhatProbersGoBy(changed) != WhatProbersGoBy(problems.Policy);
            problems.Policy = policy = changed;
            names.Nodes = changed.Nodes;
            foreach (NodeAddress node in asksOtherwise ? _probers.Keys : [])
            {
                Leave(node);
            }

            foreach (NodeAddress node in watched.Where(n => !_probers.ContainsKey(n)))
            {
                Watch(node);
            }

            foreach (NodeAddress node in _probers.Keys.Except(watched))
            {
                Leave(node);
            }
        };
        _coordinator = coordinator;

        // Monitors write the topology, they are not led by it (a new leader reads it before it does anything): their reads keep out
        // of the way of the failover that is under way, and of the clients'.
        await using WatchedValue nodes = zooKeeper.Watch(_paths.Nodes, TopologySettles);
        await using WatchedValue wish = zooKeeper.Watch(_paths.ManualFailover);
        Follow(nodes, znode =>
        {
            TopologyRead read = TopologyStore.Interpret(_clock.Now, _clock.Provider.GetUtcNow(), znode, synced: false);
            admission.See(read.Topology);
            LearnIncarnation(read.Topology);
            _observations.Writer.TryWrite(read);
        });
        await using WatchedValue shared = zooKeeper.Watch(_paths.Config);
        Follow(shared, znode => _observations.Writer.TryWrite(config.Interpret(znode, synced: false)));
        Follow(wish, znode => _observations.Writer.TryWrite(new OperatorWished(_clock.Now, WishIn(znode))));
        foreach (NodeAddress node in policy.Nodes)
        {
            Watch(node);
        }

        using var ending = CancellationTokenSource.CreateLinkedTokenSource(stoppingToken);
        Task[] parts =
        [
            coordinator.RunAsync(ending.Token),
            transitions.RunAsync(ending.Token),
            TurnAsync(coordinator, ending.Token),
            new LeaseProblems(keeper, registry, problems, _options.Id).WatchAsync(_clock, ending.Token),
            PauseDetector.WatchAsync(_clock, _logger, ending.Token),
            registry.PublishAsync(ending.Token),
            registry.WatchPresenceAsync(ending.Token),
            register.WatchAsync(ending.Token),
            register.KeepAsync(ending.Token),
            outsider.KeepAsync(ending.Token),
            inbox.RunAsync(ending.Token),
            .. security.ZooKeeperAuth is null ? Array.Empty<Task>() : [rights.KeepAsync(zooKeeper, ending.Token)],
            LeadAsync(coordinator, registry, problemStore, register, keeper, abstention, ending.Token),
        ];
        try
        {
            // None of them ends before the monitor stops; one that fails takes the monitor down, loudly, so that another one leads.
            await await Task.WhenAny([.. parts, fault.Task]);
        }
        catch (OperationCanceledException) when (stoppingToken.IsCancellationRequested)
        {
            Log.Stops(_logger, _options.Id);
        }
        finally
        {
            await ending.CancelAsync();
            await Task.WhenAll(parts).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            if (stoppingToken.IsCancellationRequested)
            {
                await LeaveAsync(register);
            }

            await Task.WhenAll(_probers.Values.Select(p => p.DisposeAsync().AsTask()));
        }
    }

    /// <summary>
    /// A file of this monitor may contradict what holds for all: then its own settings hold, with the cluster's nodes, and it is said.
    /// </summary>
    private FailoverPolicy PolicyUnder(ClusterConfig config)
    {
        try
        {
            return _options.Under(config).Policy.With(config);
        }
        catch (OptionException e)
        {
            Log.ConfigNotUsable(_logger, e.Message);
            return _options.Policy.With(config);
        }
    }

    private static (TimeSpan Timeout, int Failures, NodeStrategy Strategy, WriteSafetyMode Safety) WhatProbersGoBy(FailoverPolicy policy)
        => (policy.ProbeTimeout, policy.MaxFailures, policy.NodeStrategy, policy.WriteSafety);

    private void Leave(NodeAddress node) => _ = _probers.TryRemove(node, out NodeProber? left) ? left.DisposeAsync().AsTask() : Task.CompletedTask;

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

    /// <summary>A monitor that stops in order is none of which a majority has to be: its name goes off the list.</summary>
    private async Task LeaveAsync(MemberRegister register)
    {
        using var farewell = new CancellationTokenSource(Farewell, _clock.Provider);
        try
        {
            await register.LeaveAsync(farewell.Token);
        }
        catch (Exception e) when (e is ZooKeeperException or OperationCanceledException)
        {
            // The others wait for it for registration-wait; the leader forgets it in the end.
        }
    }

    private void TellOfExclusion(Topology? topology, ProblemKeeper problems, OutsiderNote outsider)
        => Tell(
            problems,
            outsider,
            ProblemCatalogue.NotOurCluster,
            topology is null ? null : $"none of the nodes of monitor {_options.Id} ({string.Join(", ", _options.Nodes)}) is a member of the topology at {_options.ZnodePath} "
                + $"(its master: {topology.Master?.ToString() ?? "none"}): it neither leads nor votes");

    /// <summary>What this monitor tells from outside, as its view does not count; null: no longer.</summary>
    private void Tell(ProblemKeeper problems, OutsiderNote outsider, ProblemCode code, string? message)
    {
        Problem? problem = message is null ? null : Problem.OfMonitors(code, message, _options.Id);
        problems.Set(code, problem);
        outsider.Set(code, problem);
    }

    /// <summary>Once an outage, however often the client tries.</summary>
    private void TellOfZooKeeper(ZooKeeperClientState state)
    {
        if (state == ZooKeeperClientState.Connected)
        {
            if (_outageSince is { } since)
            {
                Log.ZooKeeperBack(_logger, (_clock.Now - since).TotalSeconds);
                _observations.Writer.TryWrite(new ZooKeeperBack(_clock.Now));
            }

            _outageSince = null;
        }
        else if (state != ZooKeeperClientState.Closed && _outageSince is null)
        {
            _outageSince = _clock.Now;
            Log.ZooKeeperGone(_logger);
            _observations.Writer.TryWrite(new ZooKeeperLost(_clock.Now));
        }
    }

    /// <summary>Campaigns, leads until the lead is lost, campaigns again; gives the lead up at once when the monitor stops.</summary>
    private async Task LeadAsync(
        Coordinator coordinator,
        MonitorRegistry registry,
        ProblemStore problems,
        MemberRegister register,
        LeaseKeeper keeper,
        ElectionBackoff abstention,
        CancellationToken cancellationToken)
    {
        var election = new LeaderElection(keeper, new LeaderElectionOptions
        {
            LeaderPath = _paths.Leader,
            TermPath = _paths.Term,
            CandidateId = _candidate,
            LeaderData = LeaderData,
            Admission = registry.EnteredAsync,
        });
        while (true)
        {
            await abstention.WaitAsync(cancellationToken);
            Leadership leadership = await election.CampaignAsync(cancellationToken);
            coordinator.Leadership = leadership;
            RenameConnections();
            _observations.Writer.TryWrite(new LeadershipGained(_clock.Now, leadership.Term));
            try
            {
                using var either = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken, leadership.Lost);
                registry.IsLeading = true;
                await Task.WhenAll(
                    registry.WatchViewsAsync(either.Token),
                    problems.WriteAsync(leadership, either.Token),
                    register.TendAsync(leadership, _options.MonitorAbsence, either.Token));
            }
            finally
            {
                registry.IsLeading = false;
                coordinator.Leadership = null;
                _observations.Writer.TryWrite(new LeadershipLost(_clock.Now));
                await ResignAsync(leadership);
            }

            cancellationToken.ThrowIfCancellationRequested();
        }
    }

    /// <summary>On every node that is reached, side by side: with a lead that begins this is the fence.</summary>
    private void RenameConnections()
    {
        foreach (NodeProber prober in _probers.Values)
        {
            prober.Rename();
        }
    }

    /// <summary>Gives the coordinator something to turn for where nobody else does, so that its silence means something.</summary>
    private async Task TurnAsync(Coordinator coordinator, CancellationToken cancellationToken)
    {
        while (true)
        {
            await Task.Delay(Stuck / 4, _clock.Provider, cancellationToken);
            if (coordinator.SinceTurn >= Stuck / 4)
            {
                _observations.Writer.TryWrite(new Tick(_clock.Now));
            }
        }
    }

    private async Task ResignAsync(Leadership leadership)
    {
        using var farewell = new CancellationTokenSource(Farewell, _clock.Provider);
        try
        {
            await leadership.ResignAsync(farewell.Token);
        }
        catch (Exception e) when (e is ZooKeeperException or OperationCanceledException)
        {
            // The znode goes with the session.
        }

        await leadership.DisposeAsync();
    }

    private ReadOnlyMemory<byte> LeaderData() => JsonSerializer.SerializeToUtf8Bytes(
        new LeaderZnode(_options.Id, Environment.MachineName, Environment.ProcessId, _clock.Provider.GetUtcNow().UtcDateTime), MonitorJson.Default.LeaderZnode);

    private static void Follow(WatchedValue value, Action<Znode?> tell)
    {
        value.Changed += tell;
        if (value.IsRead)
        {
            tell(value.Current);
        }
    }

    /// <summary>What the operator wrote; an empty znode asks for any replica.</summary>
    private static string? WishIn(Znode? znode)
        => znode is null ? null : System.Text.Encoding.UTF8.GetString(znode.Data.Span).Trim() is { Length: > 0 } text ? text : ZnodePaths.AnyReplica;
}
