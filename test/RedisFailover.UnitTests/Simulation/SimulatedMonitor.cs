using System.Collections.Immutable;
using System.Diagnostics.CodeAnalysis;
using Microsoft.Extensions.Logging;
using RedisFailover.Monitor.Hosting;
using RedisFailover.Monitor.Redis;
using RedisFailover.ZooKeeper;
using Lease = global::RedisFailover.ZooKeeper.Lease;

namespace RedisFailover.UnitTests.Simulation;

/// <summary>A lead that was won, with the product's own lease.</summary>
[SuppressMessage("Design", "CA1001", Justification = "It waits for nothing that would have to be disposed of.")]
internal sealed class Lead(SimulatedMonitor monitor, TimeProvider time, SimulatedSession session, int term) : ILeadership
{
    private readonly CancellationTokenSource _lost = new();

    public int Term => term;

    public bool MayAct => monitor.Mutant.IgnoresLease || Lease.IsHeld;

    public CancellationToken Lost => _lost.Token;

    public bool IsOf(IZnodes session) => SimulatedMonitor.IsIn(session, Session);

    internal SimulatedSession Session => session;

    internal Lease Lease { get; } = new(time, static () => TimeSpan.MaxValue);

    internal bool IsOver { get; set; }

    public Task<ImmutableArray<ZnodeOperationResult>> CommitAsync(
        ImmutableArray<ZnodeOperation> operations, CancellationToken cancellationToken = default)
        => monitor.CommitAsync(this, operations, cancellationToken);

    public Task ResignAsync(CancellationToken cancellationToken = default) => monitor.ResignAsync(this);

    /// <summary>Whoever waits for the end of leadership goes on.</summary>
    internal void Lose() => _lost.Cancel();
}

/// <summary>
/// A monitor: the product's own loop (<see cref="ClusterLoop"/>) in a host of virtual time, with an election, a lease and probers of its
/// own.
/// </summary>
internal sealed partial class SimulatedMonitor(
    World world, Network network, int place, string name, Dice dice, Configuration configuration, SimulatedZooKeeper server, Ledger ledger,
        MonitorSettings settings)
    : Process(world, network, place, name), IClusterHost
{
    /// <summary>See MonitorRegistry: how long a view waits that no verdict depends on.</summary>
    private const long PatientDelay = 50 * World.Ms;

    private readonly SortedDictionary<NodeAddress, SimulatedProber> _probers = [];
    private readonly HashSet<string> _present = new(StringComparer.Ordinal);
    private readonly SimulatedLog _log = new(world);
    private ClusterLoop? _loop;
    private MonotonicClock? _clock;
    private SimulatedZooKeeperClient? _client;
    private MonitorReport _report = MonitorReport.None;
    private FailoverAction? _sending;
    private bool _isScheduled;
    private bool _isEntered;
    private int _decisions;
    private bool _isWithoutZooKeeper;
    private bool _isStanding;

    internal ClusterView View => _loop?.Coordinator.View ?? new ClusterView();

    internal Lead? Lead { get; private set; }

    /// <summary>The last lead that it had.</summary>
    internal Lead? LastLead { get; private set; }

    internal ProcessTime? Time { get; private set; }

    internal bool IsStopping { get; private set; }

    /// <summary>As it was configured when it started.</summary>
    internal FailoverPolicy Policy { get; private set; } = configuration.Policy;

    internal Ledger Ledger => ledger;

    internal Mutant Mutant => settings.Mutant;

    MonotonicClock IClusterHost.Clock => _clock!;

    DateTimeOffset? IClusterHost.StoreTime => World.Beginning.AddTicks(World.Now);

    ILogger IClusterHost.Logger => _log;

    internal void Observe(Observation observation) => _loop!.Observe(observation);

    /// <summary>The action whose commands are being sent to a node; null where it is another's.</summary>
    internal FailoverAction? Sending(NodeAddress node) => _sending?.On == node ? _sending : null;

    internal void JumpWallClock(long by) => Time?.WallError += by;

    /// <summary>Stops as a service stops: gives leadership up and closes the session.</summary>
    internal void Stop()
    {
        IsStopping = true;
        if (Lead is { } lead)
        {
            End(lead);
        }

        _client?.Call(s =>
        {
            server.End(s);
            return true;
        }, _ => { }, _ => { });
        After(20 * World.Ms, Kill);
    }

    protected override void Started()
    {
        Time = new ProcessTime(this);
        _clock = new MonotonicClock(Time);
        IsStopping = false;
        Policy = configuration.Policy;
        (Lead, LastLead, _report, _isScheduled, _isEntered, _isStanding) = (null, null, MonitorReport.None, false, false, false);
        (_isWithoutZooKeeper, _sending) = (false, null);
        _present.Clear();
        _probers.Clear();
        _sessions.Clear();
        _loop = new ClusterLoop(
            Name, SimulatedZooKeeper.Paths, Policy, this, new Arrivals(Arrived), new DecisionRules(settings.Mutant.Apply, Decide));
        foreach (NodeAddress node in Policy.Nodes)
        {
            Watch(node);
        }

        _client = new SimulatedZooKeeperClient(this, server, dice.Branch(), settings.ZooKeeper);
        _client.Start();
        ledger.Watched(this);
    }

    protected override void Ended()
    {
        if (Lead is { } lead)
        {
            lead.IsOver = true;
        }

        foreach (SimulatedProber prober in _probers.Values)
        {
            prober.Abandon();
        }

        Lead = null;
    }

    private void Watch(NodeAddress node)
    {
        if (!_probers.ContainsKey(node))
        {
            _probers[node] = new SimulatedProber(this, ledger.Node(node));
            _probers[node].Start();
        }
    }

    void IClusterHost.Change(FailoverPolicy policy, IReadOnlyCollection<NodeAddress> watched)
    {
        foreach (NodeAddress node in watched)
        {
            Watch(node);
        }

        foreach (NodeAddress node in _probers.Keys.Except(watched).ToArray())
        {
            _probers[node].Abandon();
            _probers.Remove(node);
        }
    }

    void IClusterHost.Reconnect(NodeAddress node)
    {
        // Every name leads to its own node here.
    }

    FailoverPolicy IClusterHost.PolicyUnder(ClusterConfig config) => Policy.With(config);

    string? IClusterHost.FaultOf(ClusterConfig config) => null;

    ICommandedNode? IClusterHost.Node(NodeAddress node) => _probers.GetValueOrDefault(node);

    void IClusterHost.Learn(Topology topology)
    {
        // Connections are told apart by their terms alone.
    }

    void IClusterHost.Rename()
    {
        foreach (SimulatedProber prober in _probers.Values)
        {
            prober.Rename();
        }
    }

    void IClusterHost.Publish(MonitorReport report, bool urgent)
    {
        _report = report;
        After(urgent && Lead is null ? 0 : PatientDelay, Enter);
    }

    void IClusterHost.Reached(string moment, FailoverAction action)
    {
        if (moment == FaultPoint.Before)
        {
            _sending = action;
            try
            {
                ledger.Begun(this, LastLead!, action);
            }
            catch (Violation violation)
            {
                World.Fail(violation);
            }
        }
        else
        {
            _sending = null;
        }
    }

    /// <summary>Something was observed: the coordinator's thread takes its time, now and then.</summary>
    private void Arrived()
    {
        if (!_isScheduled)
        {
            _isScheduled = true;
            After(dice.Next(50) == 0 ? dice.Between(0, 5 * World.Ms) : dice.Between(0, World.Ms / 5), Turn);
        }
    }

    private void Turn()
    {
        _isScheduled = false;
        _loop!.Coordinator.Turn();
        _loop.Transitions.TellAll();
    }

    private Decision Decide(ClusterView view, FailoverPolicy policy, TimeSpan now)
    {
        Decision decision = settings.Mutant.Decide(view, policy, now);
        if (++_decisions % settings.CheckEvery == 0)
        {
            ledger.Repeats(view, policy, now, decision, settings.Mutant);
        }

        ledger.Checked(view, policy, now, decision);
        bool begins = Lead is { MayAct: true } lead && lead.Term == view.Term;
        ledger.Decided(this, view.Start(decision.Actions, now), begins ? decision : decision with { Actions = [] });
        return decision;
    }

    /// <summary>Something that goes on by itself; how it ends is of interest only where that is a defect.</summary>
    private void Run(Func<Task> what)
    {
        _ = RunAsync();

        async Task RunAsync()
        {
            try
            {
                await what();
            }
#pragma warning disable CA1031 // Whatever the product throws is a finding.
            catch (Exception e)
#pragma warning restore CA1031
            {
                World.Fail(e);
            }
        }
    }
}

/// <summary>How a monitor is set up, and how it may be broken.</summary>
internal sealed record MonitorSettings(ZooKeeperSettings ZooKeeper, Mutant Mutant, int CheckEvery);
