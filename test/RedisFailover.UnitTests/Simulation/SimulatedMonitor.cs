using System.Collections.Immutable;
using RedisFailover.Monitor.Hosting;
using Lease = global::RedisFailover.ZooKeeper.Lease;

namespace RedisFailover.UnitTests.Simulation;

/// <summary>A lead that was won, with the product's own lease.</summary>
internal sealed class Lead(TimeProvider time, int term)
{
    internal int Term => term;

    internal Lease Lease { get; } = new(time, static () => TimeSpan.MaxValue);

    internal bool IsOver { get; set; }

    /// <summary>What has to be told that leadership is lost.</summary>
    internal List<Action> Lost { get; } = [];
}

/// <summary>A clock as a process sees it.</summary>
internal sealed class ProcessTime(Process process) : TimeProvider
{
    private static readonly DateTimeOffset Beginning = new(2026, 1, 1, 0, 0, 0, TimeSpan.Zero);

    /// <summary>How far its wall clock is off.</summary>
    internal long WallError { get; set; }

    public override long TimestampFrequency => TimeSpan.TicksPerSecond;

    public override long GetTimestamp() => process.Clock.Ticks;

    public override DateTimeOffset GetUtcNow() => Beginning.AddTicks(process.World.Now + WallError);
}

/// <summary>
/// A monitor: the real view and the real decider in a loop with the semantics of the Coordinator, an election, a lease, probers.
/// </summary>
internal sealed partial class SimulatedMonitor(
    World world, Network network, int place, string name, Dice dice, Configuration configuration, SimulatedZooKeeper server, Ledger ledger,
        MonitorSettings settings)
    : Process(world, network, place, name)
{
    private readonly List<Observation> _observations = [];
    private readonly SortedDictionary<NodeAddress, SimulatedProber> _probers = [];
    private readonly HashSet<string> _present = new(StringComparer.Ordinal);
    private SimulatedZooKeeperClient? _client;
    private MonitorReport _report = MonitorReport.None;
    private long _reportedAt;
    private TimeSpan? _alarmAt;
    private int _alarm;
    private bool _isScheduled;
    private bool _isEntered;
    private int _decisions;
    private TimeSpan _restsUntil;
    private TimeSpan? _abstainedAt;
    private TimeSpan _abstention;
    private bool _abstains;
    private bool _isWithoutZooKeeper;
    private int _saw;

    internal ClusterView View { get; private set; } = new();

    internal Lead? Lead { get; private set; }

    internal ProcessTime? Time { get; private set; }

    internal bool IsStopping { get; private set; }

    /// <summary>As it was configured when it started.</summary>
    internal FailoverPolicy Policy { get; private set; } = configuration.Policy;

    /// <summary>The clock that decisions see.</summary>
    internal void Observe(Observation observation)
    {
        _observations.Add(observation);
        if (!_isScheduled)
        {
            _isScheduled = true;
            After(dice.Next(50) == 0 ? dice.Between(0, 5 * World.Ms) : dice.Between(0, World.Ms / 5), Coordinate);
        }
    }

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
        IsStopping = false;
        Policy = configuration.Policy;
        View = new ClusterView { Nodes = Policy.Nodes.ToImmutableSortedDictionary(n => n, n => new NodeView(n)) };
        (Lead, _report, _reportedAt, _alarmAt, _isScheduled, _isEntered) = (null, MonitorReport.None, -1, null, false, false);
        (_abstainedAt, _abstains, _isWithoutZooKeeper) = (null, false, false);
        _restsUntil = TimeSpan.MinValue;
        _observations.Clear();
        _present.Clear();
        _probers.Clear();
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
        _probers[node] = new SimulatedProber(this, ledger.Node(node));
        _probers[node].Start();
    }

    private void Coordinate()
    {
        _isScheduled = false;
        ClusterView before = View;
        ClusterView view = before;
        bool isNews = false;
        bool rests = Clock < _restsUntil;
        foreach (Observation observation in _observations)
        {
            isNews |= !view.HasHeard(observation) && !(rests && view.HasHeardAlmost(observation));
            view = settings.Mutant.Apply(view, observation, Policy);
            _alarmAt = observation is Tick ? null : _alarmAt;
        }

        _observations.Clear();
        if (!isNews)
        {
            View = view;
            return;
        }

        TimeSpan now = Clock;
        Decision decision = settings.Mutant.Decide(view, Policy, now);
        if (++_decisions % settings.CheckEvery == 0)
        {
            ledger.Repeats(view, Policy, now, decision, settings.Mutant);
        }

        ledger.Checked(view, Policy, now, decision);
        view = view.Start(decision.Actions, now);
        View = view;
        _restsUntil = view.IsAtRestAfter(decision, Policy) ? now + Coordinator.AtRest : TimeSpan.MinValue;
        ledger.Decided(this, before, view, decision);
        foreach (FailoverAction action in decision.Actions)
        {
            Begin(action);
        }

        if (_abstains && Reached() > _saw)
        {
            _abstains = false;
            Campaign();
        }

        if (view.Topology?.Master is { } master && !_probers.ContainsKey(master))
        {
            Watch(master);
        }

        Publish(view);
        Wake(decision.WakeAt, now);
    }

    private void Publish(ClusterView view)
    {
        MonitorReport report = view.Report();
        if (_reportedAt >= 0 && report.SaysTheSameAs(_report) && Clock.Ticks - _reportedAt <= 10 * World.Second)
        {
            return;
        }

        _report = report;
        _reportedAt = Clock.Ticks;
        After(Lead is null ? 0 : 50 * World.Ms, Enter);
    }

    private void Wake(TimeSpan? at, TimeSpan now)
    {
        if (at == _alarmAt)
        {
            return;
        }

        _alarmAt = at;
        int alarm = ++_alarm;
        if (at is { } time)
        {
            After(time > now ? time.Ticks - now.Ticks + World.Ms : 0, () =>
            {
                if (alarm == _alarm)
                {
                    Observe(new Tick(Clock));
                }
            });
        }
    }
}

/// <summary>How a monitor is set up, and how it may be broken.</summary>
internal sealed record MonitorSettings(ZooKeeperSettings ZooKeeper, Mutant Mutant, int CheckEvery);
