using System.Diagnostics.CodeAnalysis;
using System.Threading.Channels;
using Microsoft.Extensions.Logging;
using RedisFailover.Monitor.Options;
using RedisFailover.Monitor.Redis;
using RedisFailover.Monitor.ZooKeeper;
using RedisFailover.ZooKeeper;

namespace RedisFailover.Monitor.Hosting;

/// <summary>
/// One cluster: its loop, probers, election and znodes, put together, and taken apart so that leadership is handed over at once.
/// What it shares with other clusters of the process is in <see cref="SharedParts"/>.
/// </summary>
[SuppressMessage("Design", "CA1001", Justification = "RunAsync, which is called once, disposes of them at its end.")]
internal sealed class ClusterMonitor : IClusterHost
{
    private static readonly TimeSpan TopologySettles = TimeSpan.FromMilliseconds(25);

    /// <summary>Longer than it takes to hear of each node, that it answers or that it does not.</summary>
    private static readonly TimeSpan Beginning = TimeSpan.FromSeconds(5);

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
    private readonly ClusterAdmission _admission;
    private readonly ExclusionProblem _exclusion;
    private readonly ClusterLoop _loop;
    private readonly Candidacy _candidacy;
    private long _turnsSeen;

    internal ClusterMonitor(MonitorOptions options, SharedParts shared, ILogger logger)
    {
        (_options, _shared, _logger, _paths) = (options, shared, logger, new ZnodePaths(options.ZnodePath));
        (ZooKeeperClient zooKeeper, MonotonicClock clock, FailoverPolicy policy) = (shared.ZooKeeper, shared.Clock, options.Policy);
        string candidate = $"{options.Id}/{Guid.NewGuid():N}";
        _registry = new MonitorRegistry(
            new RegistryZnodes(zooKeeper, shared.Keeper, _paths, options.Id, _observations.Writer, clock), logger);
        _register = new MemberRegister(zooKeeper, _registry.Seat, _paths, options.Id, _observations.Writer, clock, logger);
        _outsider = new OutsiderNote(zooKeeper, _paths, options.Id, clock);
        _probers = new NodeProbers(options, candidate, _observations.Writer, clock)
        {
            IsLeading = () => _registry.IsLeading,
            Lead = () => _loop?.Coordinator.Leadership is { } lead ? (lead.Term, lead.MayAct) : null,
        };
        _loop = new ClusterLoop(
            options.Id, _paths, policy, this, _observations, DecisionRules.Own,
            shared.Turned is { } told ? (before, after) => told(Name, before, after) : null);
        _exclusion = new ExclusionProblem(options, Problems, _outsider, () => View);
        _admission = new ClusterAdmission(policy.Nodes) { Excluded = _exclusion.Excluded };
        var problemStore = new ProblemStore(zooKeeper, _paths, Problems, clock, logger)
        {
            Inherited = told => _probers.Inherit(told, View),
        };
        Problems.ClusterChanged = problemStore.Put;
        _registry.Own.Admission = _admission;
        _registry.Own.ClockCompared = problem => Problems.Set(ProblemCatalogue.ClockDiffers, problem);
        _registry.Own.RightsRefused = _loop.Refusals.Seat;
        _registry.Seat.IdTaken = TellOfId;
        _candidacy = new Candidacy(options, shared, candidate, _loop)
        {
            Registry = _registry,
            Register = _register,
            Problems = problemStore,
            Right = new TopologyRight(zooKeeper, _paths, shared.Keeper.HeartbeatsPath, _observations.Writer, clock)
            {
                Asked = _loop.Refusals.Leading,
            },
            Spread = new LeadSpread(options, shared, () => (View, Problems.Policy), logger),
        };
    }

    /// <summary>The cluster's name.</summary>
    internal string Name => _options.Name;

    /// <summary>What it was made with.</summary>
    internal MonitorOptions Options => _options;

    /// <summary>What this monitor knows of the cluster.</summary>
    internal ClusterView View => _loop.Coordinator.View;

    /// <summary>What was known of the cluster when it was begun anew, and when that was; null: it was not.</summary>
    internal (ClusterView View, TimeSpan At)? Before { get; init; }

    /// <summary>
    /// By what checks of nodes are answered: until each node has been heard of after a new beginning, by what was known before it.
    /// </summary>
    internal ClusterView Answers
        => Before is { } before && _shared.Clock.Now - before.At < Beginning && View is var view
            && (view.Topology is null || view.Nodes.Values.Any(n => n.Info is null && n.Detail.Length == 0)) ? before.View : View;

    /// <summary>The problems that this monitor tells.</summary>
    internal ProblemKeeper Problems => _loop.Problems;

    /// <summary>Why this monitor counts for nothing in the cluster; null while it has its place among the monitors.</summary>
    internal string? Absence
        => _registry.Seat.IsEntered ? null
            : (Problems.Raised(ProblemCatalogue.ZooKeeperRightsMissing) ?? Problems.Raised(ProblemCatalogue.NotOurCluster))?.Message
                ?? (_registry.Seat.IsIdTaken ? $"another living monitor has the id {_options.Id}: this one neither votes nor leads"
                    : "this monitor has no place among the monitors yet");

    /// <summary>Whether the coordinator decides: observations are not left lying.</summary>
    internal bool IsTurning => _loop.Coordinator.SinceTurn < SharedParts.Stuck;

    /// <summary>Whether the coordinator has decided since this was last asked; gives it reason to do so until the next time.</summary>
    internal bool HasTurned()
    {
        long turns = _loop.Coordinator.Turns;
        bool turned = turns != _turnsSeen;
        _turnsSeen = turns;
        _loop.Observe(new Tick(_shared.Clock.Now));
        return turned;
    }

    /// <summary>ZooKeeper is away, or back.</summary>
    internal void TellOfZooKeeper(bool isAway)
        => _loop.Observe(isAway ? new ZooKeeperLost(_shared.Clock.Now) : new ZooKeeperBack(_shared.Clock.Now));

    /// <summary>Works until it is cancelled, and leaves in order; ends with the failure of a part that fails.</summary>
    internal async Task RunAsync(CancellationToken stoppingToken)
    {
        // Monitors write the topology, they are not led by it (a new leader reads it before it does anything): their reads keep out
        // of the way of the failover that is under way, and of the clients'.
        await using WatchedValue nodes = _shared.ZooKeeper.Watch(_paths.Nodes, TopologySettles);
        await using WatchedValue wish = _shared.ZooKeeper.Watch(_paths.ManualFailover);
        await using WatchedValue config = _shared.ZooKeeper.Watch(_paths.Config);
        Follow(nodes, See);
        Follow(config, znode => See(_loop.Config.Interpret(znode, synced: false)));
        // Until then a pause has no end.
        _registry.Own.StoreClock.Known = () =>
        {
            if (config.Current is { } znode)
            {
                See(_loop.Config.Interpret(znode, synced: false));
            }
        };
        Follow(wish, _loop.SeeWish);
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
            _admission.Dispose();
        }
    }

    /// <summary>The cluster is no longer this process' business, whose session lives on: takes away what would go with that.</summary>
    internal async Task WithdrawAsync()
    {
        using var farewell = new CancellationTokenSource(SharedParts.Farewell, _shared.Clock.Provider);
        try
        {
            await _registry.Seat.LeaveAsync(await _shared.ZooKeeper.GetSessionAsync(farewell.Token), farewell.Token);
            await _outsider.RemoveAsync(farewell.Token);
        }
        catch (Exception e) when (e is ZooKeeperException or OperationCanceledException)
        {
            // It goes with the session.
        }
    }

    MonotonicClock IClusterHost.Clock => _shared.Clock;

    DateTimeOffset? IClusterHost.StoreTime => _registry.Own.StoreClock.Now;

    ILogger IClusterHost.Logger => _logger;

    async ValueTask<IZnodes> IClusterHost.GetSessionAsync(CancellationToken cancellationToken)
        => await _shared.ZooKeeper.GetSessionAsync(cancellationToken);

    ICommandedNode? IClusterHost.Node(NodeAddress node) => _probers.All.GetValueOrDefault(node);

    void IClusterHost.Change(FailoverPolicy policy, IReadOnlyCollection<NodeAddress> watched) => _probers.Change(policy, watched);

    void IClusterHost.Reconnect(NodeAddress node) => _probers.Reconnect(node);

    /// <summary>
    /// A file of this monitor may contradict what holds for all: then its own settings hold, with the cluster's nodes, and it is said.
    /// </summary>
    FailoverPolicy IClusterHost.PolicyUnder(ClusterConfig config)
    {
        if (config.IsGivenUp)
        {
            // It names no nodes any more, and nothing is done by those of the file.
            return _loop.Coordinator.Policy;
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

    string? IClusterHost.FaultOf(ClusterConfig config) => _options.FaultOf(config);

    void IClusterHost.Learn(Topology topology) => _probers.Learn(topology);

    void IClusterHost.Rename() => _probers.Rename();

    void IClusterHost.Publish(MonitorReport report, bool urgent) => _registry.Own.Publish(report, urgent);

    void IClusterHost.Reached(string moment, FailoverAction action) => _shared.FaultPoint?.Reached(moment, action);

    private Task[] Parts(CancellationToken ending) =>
    [
        _loop.Coordinator.RunAsync(ending),
        _loop.Transitions.RunAsync(ending),
        TurnAsync(ending),
        new LeaseProblems(_shared.Keeper, _registry, Problems, _loop.Refusals, _options.Id).WatchAsync(_shared.Clock, ending),
        _exclusion.WatchAsync(_shared.Clock, ending),
        _registry.Own.KeepAsync(ending),
        _registry.Presence.WatchAsync(ending),
        _register.WatchAsync(ending),
        _register.KeepAsync(ending),
        _outsider.KeepAsync(ending),
        _loop.Inbox.RunAsync(_shared.ZooKeeper, ending),
        _candidacy.RunAsync(ending),
        .. _shared.HasMany
            ? [new PerClusterHeartbeat(_shared.Keeper, _paths.Heartbeats).KeepAsync(() => IsTurning, ending)]
            : Array.Empty<Task>(),
    ];

    private void See(Znode? znode)
    {
        TopologyRead read = _loop.Interpret(znode);
        _admission.See(read.Topology);
        _probers.Learn(read.Topology);
        _loop.Observe(read);
    }

    private void See(ConfigRead read)
    {
        if (read.Config is { } config)
        {
            _admission.See(config);
        }

        _loop.Observe(read);
    }

    /// <summary>Gives the coordinator something to turn for where nobody else does, so that its silence means something.</summary>
    private async Task TurnAsync(CancellationToken cancellationToken)
    {
        while (true)
        {
            await Task.Delay(SharedParts.Stuck / 4, _shared.Clock.Provider, cancellationToken);
            if (_loop.Coordinator.SinceTurn >= SharedParts.Stuck / 4)
            {
                _loop.Observe(new Tick(_shared.Clock.Now));
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

    private static void Follow(WatchedValue value, Action<Znode?> tell)
    {
        value.Changed += tell;
        if (value.IsRead)
        {
            tell(value.Current);
        }
    }
}
