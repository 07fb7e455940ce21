using System.Diagnostics.CodeAnalysis;
using System.Threading.Channels;
using Microsoft.Extensions.Logging;
using RedisFailover.Monitor.Options;
using RedisFailover.Monitor.ZooKeeper;
using RedisFailover.ZooKeeper;

namespace RedisFailover.Monitor.Hosting;

/// <summary>
/// One cluster: its probers, coordinator, election and znodes, put together, and taken apart so that leadership is handed over at once.
/// What it shares with other clusters of the process is in <see cref="SharedParts"/>.
/// </summary>
[SuppressMessage("Design", "CA1001", Justification = "RunAsync, which is called once, disposes of them at its end.")]
internal sealed class ClusterMonitor
{
    private static readonly TimeSpan TopologySettles = TimeSpan.FromMilliseconds(25);

    private readonly Channel<Observation> _observations = Channel.CreateUnbounded<Observation>(
        new UnboundedChannelOptions { SingleReader = true });
    private readonly MonitorOptions _options;
    private readonly SharedParts _shared;
    private readonly ILogger _logger;
    private readonly ZnodePaths _paths;
    private readonly MonitorRegistry _registry;
    private readonly MemberRegister _register;
    private readonly OutsiderNote _outsider;
    private readonly NodeProbers _probers;
    private readonly ConfigStore _config;
    private readonly RequestInbox _inbox;
    private readonly ClusterAdmission _admission;
    private readonly Transitions _transitions;
    private readonly Candidacy _candidacy;
    private readonly Coordinator _coordinator;
    private long _turnsSeen;

    internal ClusterMonitor(MonitorOptions options, SharedParts shared, ILogger logger)
    {
        (_options, _shared, _logger, _paths) = (options, shared, logger, new ZnodePaths(options.ZnodePath));
        (ZooKeeperClient zooKeeper, MonotonicClock clock, FailoverPolicy policy) = (shared.ZooKeeper, shared.Clock, options.Policy);
        string candidate = $"{options.Id}/{Guid.NewGuid():N}";
        _registry = new MonitorRegistry(zooKeeper, shared.Keeper, _paths, options.Id, _observations.Writer, clock, logger);
        _register = new MemberRegister(zooKeeper, _registry, _paths, options.Id, _observations.Writer, clock, logger);
        _outsider = new OutsiderNote(zooKeeper, _paths, options.Id, clock);
        _probers = new NodeProbers(options, candidate, _observations.Writer, clock)
        {
            IsLeading = () => _registry.IsLeading,
            Lead = () => _coordinator?.Leadership is { } lead ? (lead.Term, lead.Lease.IsHeld) : null,
        };
        _config = new ConfigStore(zooKeeper, _paths, options.Id, clock, options.FaultOf);
        _inbox = new RequestInbox(zooKeeper, _paths, _observations.Writer, clock);
        _admission = new ClusterAdmission(policy.Nodes) { Excluded = TellOfExclusion };
        _transitions = new Transitions(logger, options.Id);
        Problems = new ProblemKeeper(options.Id, policy, clock, logger);
        var problemStore = new ProblemStore(zooKeeper, _paths, Problems, clock, logger);
        Problems.ClusterChanged = problemStore.Put;
        _registry.Admission = _admission;
        _registry.ClockCompared = problem => Problems.Set(ProblemCatalogue.ClockDiffers, problem);
        _registry.IdTaken = TellOfId;
        var backoff = new ElectionBackoff(policy, clock, logger);
        _coordinator = NewCoordinator(policy, backoff);
        _candidacy = new Candidacy(options, shared, candidate, _coordinator, _observations.Writer)
        {
            Registry = _registry,
            Register = _register,
            Problems = problemStore,
            Backoff = backoff,
            Begins = _probers.Rename,
            Spread = new LeadSpread(options, shared, () => (_coordinator.View, Problems.Policy), logger),
        };
    }

    /// <summary>The cluster's name.</summary>
    internal string Name => _options.Name;

    /// <summary>What it was made with.</summary>
    internal MonitorOptions Options => _options;

    /// <summary>What this monitor knows of the cluster.</summary>
    internal ClusterView View => _coordinator.View;

    /// <summary>The problems that this monitor tells.</summary>
    internal ProblemKeeper Problems { get; }

    /// <summary>Whether the coordinator decides: observations are not left lying.</summary>
    internal bool IsTurning => _coordinator.SinceTurn < SharedParts.Stuck;

    /// <summary>Whether the coordinator has decided since this was last asked; gives it reason to do so until the next time.</summary>
    internal bool HasTurned()
    {
        long turns = _coordinator.Turns;
        bool turned = turns != _turnsSeen;
        _turnsSeen = turns;
        _observations.Writer.TryWrite(new Tick(_shared.Clock.Now));
        return turned;
    }

    /// <summary>ZooKeeper is away, or back.</summary>
    internal void TellOfZooKeeper(bool isAway)
        => _observations.Writer.TryWrite(isAway ? new ZooKeeperLost(_shared.Clock.Now) : new ZooKeeperBack(_shared.Clock.Now));

    /// <summary>Works until it is cancelled, and leaves in order; ends with the failure of a part that fails.</summary>
    internal async Task RunAsync(CancellationToken stoppingToken)
    {
        // Monitors write the topology, they are not led by it (a new leader reads it before it does anything): their reads keep out
        // of the way of the failover that is under way, and of the clients'.
        await using WatchedValue nodes = _shared.ZooKeeper.Watch(_paths.Nodes, TopologySettles);
        await using WatchedValue wish = _shared.ZooKeeper.Watch(_paths.ManualFailover);
        await using WatchedValue config = _shared.ZooKeeper.Watch(_paths.Config);
        Follow(nodes, See);
        Follow(config, znode => See(_config.Interpret(znode, synced: false)));
        Follow(wish, znode => _observations.Writer.TryWrite(new OperatorWished(_shared.Clock.Now, WishIn(znode))));
        foreach (NodeAddress node in _options.Nodes)
        {
            _probers.Watch(node);
        }

        using var ending = CancellationTokenSource.CreateLinkedTokenSource(stoppingToken);
        Task[] parts = Parts(ending.Token);
        try
        {
            // None of them ends before the monitor stops; one that fails takes the monitor down, loudly, so that another one leads.
            await await Task.WhenAny([.. parts, _probers.Fault]);
        }
        finally
        {
            await ending.CancelAsync();
            await Task.WhenAll(parts).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            if (stoppingToken.IsCancellationRequested)
            {
                await LeaveAsync();
            }

            await _probers.DisposeAsync();
            _inbox.Dispose();
            _admission.Dispose();
        }
    }

    /// <summary>The cluster is no longer this process' business, whose session lives on: takes away what would go with that.</summary>
    internal async Task WithdrawAsync()
    {
        using var farewell = new CancellationTokenSource(SharedParts.Farewell, _shared.Clock.Provider);
        try
        {
            await _registry.LeaveAsync(await _shared.ZooKeeper.GetSessionAsync(farewell.Token), farewell.Token);
            await _outsider.RemoveAsync(farewell.Token);
        }
        catch (Exception e) when (e is ZooKeeperException or OperationCanceledException)
        {
            // It goes with the session.
        }
    }

    private Task[] Parts(CancellationToken ending) =>
    [
        _coordinator.RunAsync(ending),
        _transitions.RunAsync(ending),
        TurnAsync(ending),
        new LeaseProblems(_shared.Keeper, _registry, Problems, _options.Id).WatchAsync(_shared.Clock, ending),
        _registry.PublishAsync(ending),
        _registry.WatchPresenceAsync(ending),
        _register.WatchAsync(ending),
        _register.KeepAsync(ending),
        _outsider.KeepAsync(ending),
        _inbox.RunAsync(ending),
        _candidacy.RunAsync(ending),
        .. _shared.HasMany
            ? [new PerClusterHeartbeat(_shared.Keeper, _paths.Heartbeats).KeepAsync(() => IsTurning, ending)]
            : Array.Empty<Task>(),
    ];

    private Coordinator NewCoordinator(FailoverPolicy policy, ElectionBackoff backoff)
    {
        var store = new TopologyStore(_shared.ZooKeeper, _paths, _options.Id, _shared.Clock, _logger) { Seen = _probers.Learn };
        var executor = new ActionExecutor(
            _probers.All, store, _inbox, backoff, _observations.Writer, _shared.Clock, _logger, _shared.FaultPoint, _config);
        return new Coordinator(policy, executor, _observations, _shared.Clock, _transitions)
        {
            Problems = Problems,
            Turned = _shared.Turned is { } told ? (before, after) => told(Name, before, after) : null,
            NodeNeeded = _probers.Watch,
            PolicyUnder = PolicyUnder,
            PolicyChanged = (changed, watched) =>
            {
                Problems.Policy = changed;
                _probers.Change(changed, watched);
            },
            ReportChanged = (report, urgent) =>
            {
                backoff.Sees(Problems.Policy.Nodes.Count(report.Available.ContainsKey));
                _registry.Publish(report, urgent);
            },
        };
    }

    private void See(Znode? znode)
    {
        TopologyRead read = TopologyStore.Interpret(_shared.Clock.Now, _shared.Clock.Provider.GetUtcNow(), znode, synced: false);
        _admission.See(read.Topology);
        _probers.Learn(read.Topology);
        _observations.Writer.TryWrite(read);
    }

    private void See(ConfigRead read)
    {
        if (read.Config is { } config)
        {
            _admission.See(config);
        }

        _observations.Writer.TryWrite(read);
    }

    /// <summary>
    /// A file of this monitor may contradict what holds for all: then its own settings hold, with the cluster's nodes, and it is said.
    /// </summary>
    private FailoverPolicy PolicyUnder(ClusterConfig config)
    {
        if (config.IsGivenUp)
        {
            // It names no nodes any more, and nothing is done by those of the file.
            return _coordinator.Policy;
        }

        try
        {
            FailoverPolicy policy = _options.Under(config).Policy.With(config);
            Problems.Set(ProblemCatalogue.MonitorsDisagree, null);
            return policy;
        }
        catch (OptionException e)
        {
            Log.ConfigNotUsable(_logger, e.Message);
            Problems.Set(ProblemCatalogue.MonitorsDisagree, Problem.OfMonitors(ProblemCatalogue.MonitorsDisagree,
                $"{_options.Id} goes by its own settings and not by those in R/config, which contradict them: {Words.Quoted(e.Message)}",
                _options.Id));
            return _options.Policy.With(config);
        }
    }

    /// <summary>Gives the coordinator something to turn for where nobody else does, so that its silence means something.</summary>
    private async Task TurnAsync(CancellationToken cancellationToken)
    {
        while (true)
        {
            await Task.Delay(SharedParts.Stuck / 4, _shared.Clock.Provider, cancellationToken);
            if (_coordinator.SinceTurn >= SharedParts.Stuck / 4)
            {
                _observations.Writer.TryWrite(new Tick(_shared.Clock.Now));
            }
        }
    }

    /// <summary>A monitor that stops in order is none of which a majority has to be: its name goes off the list.</summary>
    private async Task LeaveAsync()
    {
        using var farewell = new CancellationTokenSource(SharedParts.Farewell, _shared.Clock.Provider);
        try
        {
            await _register.LeaveAsync(farewell.Token);
        }
        catch (Exception e) when (e is ZooKeeperException or OperationCanceledException)
        {
            // The others wait for it for registration-wait; the leader forgets it in the end.
        }
    }

    private void TellOfId(string? taken)
        => _outsider.Set(
            ProblemCatalogue.MonitorIdTaken,
            taken is null ? null : Problem.OfMonitors(
                ProblemCatalogue.MonitorIdTaken,
                $"another living monitor has the id {taken}: the one on {Environment.MachineName}, pid {Environment.ProcessId}, "
                    + "neither leads nor votes",
                taken));

    /// <summary>What this monitor tells from outside, as its view does not count; null: no longer.</summary>
    private void TellOfExclusion(Topology? topology)
    {
        Problem? problem = topology is null ? null : Problem.OfMonitors(
            ProblemCatalogue.NotOurCluster,
            $"none of the nodes of monitor {_options.Id} ({string.Join(", ", _options.Nodes)}) is a member of the topology at "
                + $"{_options.ZnodePath} (its master: {topology.Master?.ToString() ?? "none"}): it neither leads nor votes",
            _options.Id);
        Problems.Set(ProblemCatalogue.NotOurCluster, problem);
        _outsider.Set(ProblemCatalogue.NotOurCluster, problem);
    }

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
        => znode is null ? null
            : System.Text.Encoding.UTF8.GetString(znode.Data.Span).Trim() is { Length: > 0 } text ? text : ZnodePaths.AnyReplica;
}
