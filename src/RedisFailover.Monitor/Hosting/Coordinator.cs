using System.Collections.Immutable;
using System.Threading.Channels;
using RedisFailover.ZooKeeper;

namespace RedisFailover.Monitor.Hosting;

/// <summary>
/// The single reader of all observations and the only owner of what the monitor knows: applies them to the view, asks the decider,
/// starts the actions. It waits for nothing but the next observation, and has no other time than its clock's.
/// </summary>
internal sealed class Coordinator(
    FailoverPolicy seed, ActionExecutor executor, Channel<Observation> observations, MonotonicClock clock, Transitions transitions)
{
    /// <summary>
    /// A leader looks for what the others might be told no more often: in a failover observations come by the dozen, each is acted upon at
    /// once, and nobody waits for what it tells. An alarm brings what was left out.
    /// </summary>
    private static readonly TimeSpan LeaderReports = TimeSpan.FromMilliseconds(50);

    /// <summary>And while all stays as it is, no more often than this: figures alone change then.</summary>
    private static readonly TimeSpan QuietReports = TimeSpan.FromMilliseconds(400);

    /// <summary>
    /// While nothing is to be done, figures alone are looked at no more often: with a hundred clusters that is most of a monitor's work.
    /// </summary>
    internal static readonly TimeSpan AtRest = TimeSpan.FromMilliseconds(1900);

    /// <summary>What has not changed is told again so often: who is alive is known by the heartbeats.</summary>
    private static readonly TimeSpan ReportsAnew = TimeSpan.FromSeconds(60);

    /// <summary>How far a replica is behind is told so often, where that has changed at all.</summary>
    private static readonly TimeSpan FiguresAnew = TimeSpan.FromSeconds(5);

    /// <summary>After this a leader that cannot decide gives its lead to another.</summary>
    private static readonly TimeSpan Undecided = TimeSpan.FromSeconds(3);

    /// <summary>For how long something has to need an operator before the others are told.</summary>
    private static readonly TimeSpan LastingAttention = TimeSpan.FromSeconds(1);

    /// <summary>A name that leads to another node's server is looked up again so often.</summary>
    private static readonly TimeSpan LookedUpAnew = TimeSpan.FromSeconds(5);

    private const string OfDeciding = "a decision", OfTelling = "what is told";

    private readonly Transitions _transitions = transitions;
    private ClusterView _view = new()
    {
        Nodes = seed.Nodes.ToImmutableSortedDictionary(n => n, n => new NodeView(n)),
    };

    private FailoverPolicy _policy = seed;
    private ImmutableSortedDictionary<string, string> _settings = PolicySettings.Of(seed);

    private MonitorReport _report = MonitorReport.None;
    private TimeSpan _reportedAt = TimeSpan.MinValue;
    private TimeSpan _lookedAt = TimeSpan.MinValue;
    private string? _lookedFor;
    private (string? Words, TimeSpan Since) _attention;
    private ITimer? _alarm;
    private TimeSpan? _alarmAt;
    private NodeAddress[] _outside = [];
    private TimeSpan _doubtedAt = TimeSpan.MinValue;
    private TimeSpan _restsUntil = TimeSpan.MinValue;
    private TimeSpan? _undecidedSince;
    private volatile ILeadership? _leadership;
    private long _turnedAt = clock.Now.Ticks;
    private long _turns;

    /// <summary>How it decides.</summary>
    internal DecisionRules Rules { get; init; } = DecisionRules.Own;

    /// <summary>Told of each turn: what was known before it, and after.</summary>
    internal Action<ClusterView, ClusterView>? Turned { get; init; }

    /// <summary>How often it has decided: what a watchdog goes by.</summary>
    internal long Turns => Volatile.Read(ref _turns);

    /// <summary>What the monitor knows at this moment.</summary>
    internal ClusterView View => Volatile.Read(ref _view);

    /// <summary>How long ago it last took what it had been told, on the monitor's clock.</summary>
    internal TimeSpan SinceTurn => clock.Now - TimeSpan.FromTicks(Volatile.Read(ref _turnedAt));

    /// <summary>Told when this monitor's view of the nodes has changed, and whether a verdict may depend on that.</summary>
    internal Action<MonitorReport, bool>? ReportChanged { get; set; }

    /// <summary>Keeps what needs a person; null where nobody wants to know.</summary>
    internal ProblemKeeper? Problems { get; set; }

    /// <summary>Told, now and then, of a node whose name leads to another node's server.</summary>
    internal Action<NodeAddress>? Doubted { get; set; }

    /// <summary>What this monitor goes by under a configuration of the cluster; null: its own file, whatever that says.</summary>
    internal Func<ClusterConfig, FailoverPolicy>? PolicyUnder { get; set; }

    /// <summary>
    /// Told, before anything is decided by it, what this monitor goes by from now on, and which nodes that has to do with.
    /// </summary>
    internal Action<FailoverPolicy, IReadOnlyCollection<NodeAddress>>? PolicyChanged { get; set; }

    /// <summary>Leadership under which actions are carried out; null while another monitor leads.</summary>
    internal ILeadership? Leadership
    {
        get => _leadership;
        set => _leadership = value;
    }

    /// <summary>What it goes by now.</summary>
    internal FailoverPolicy Policy => Volatile.Read(ref _policy);

    internal async Task RunAsync(CancellationToken cancellationToken)
    {
        try
        {
            while (await observations.Reader.WaitToReadAsync(cancellationToken))
            {
                Turn();
            }
        }
        finally
        {
            _alarm?.Dispose();
        }
    }

    /// <summary>
    /// One turn: takes all that was observed, decides, and begins what follows. Nothing of it waits; a host in virtual time calls it
    /// when it pleases.
    /// </summary>
    internal void Turn()
    {
        ClusterView before = _view;
        ClusterView view = before;
        bool isNews = false;
        bool rests = clock.Now < _restsUntil;
        while (observations.Reader.TryRead(out Observation? observation))
        {
            isNews |= !view.HasHeard(observation) && !(rests && view.HasHeardAlmost(observation));
            view = WithPolicyOf(Rules.Apply(view, observation, _policy), view.Config);
            _alarmAt = observation is Tick ? null : _alarmAt;
        }

        if (!isNews)
        {
            Volatile.Write(ref _view, view);
            Volatile.Write(ref _turnedAt, clock.Now.Ticks);
            return;
        }

        TimeSpan now = clock.Now;
        Decision decision = WithLease(Decide(view, now), view.Term, now);
        view = view.Start(decision.Actions, now);
        _restsUntil = view.IsAtRestAfter(decision, _policy) && Problems is not { IsQuiet: false } ? now + AtRest : TimeSpan.MinValue;
        Volatile.Write(ref _view, view);
        Start(decision.Actions, view.Term);
        TimeSpan? reportAt = TryReport(view, decision, now);
        _transitions.Tell(before, view, decision, now);
        WakeAt(decision.WakeAt is { } wakeAt && !(reportAt < wakeAt) ? wakeAt : reportAt, now);
        Turned?.Invoke(before, view);
        Volatile.Write(ref _turns, _turns + 1);
        Volatile.Write(ref _turnedAt, clock.Now.Ticks);
    }

    private ClusterView WithPolicyOf(ClusterView view, ClusterConfig? before)
    {
        if (ReferenceEquals(view.Config, before) || view.Config is not { } config || PolicyUnder is null || config.SaysTheSameAs(before))
        {
            return view;
        }

        _policy = PolicyUnder(config);
        _settings = PolicySettings.Of(_policy);
        view = view.WithNodesOf(_policy);
        PolicyChanged?.Invoke(_policy, [.. view.Nodes.Keys]);
        return view;
    }

    /// <summary>
    /// A defect in a rule would end every monitor that leads, one after the other, and nobody would watch the nodes any more. Nothing is
    /// begun, it is told, and tried again: what brought it about may pass. A leader for whom it does not lets another try.
    /// </summary>
    private Decision Decide(ClusterView view, TimeSpan now)
    {
        try
        {
            Decision decision = Rules.Decide(view, _policy, now);
            _undecidedSince = null;
            _transitions.TellDefect(OfDeciding, null);
            return decision;
        }
#pragma warning disable CA1031 // Whatever it is, it is a defect of a pure function.
        catch (Exception e)
#pragma warning restore CA1031
        {
            _transitions.TellDefect(OfDeciding, e);
            _undecidedSince ??= now;
            string what = $"the leading monitor decides nothing, by a defect ({e.GetType().Name}: {Words.Quoted(e.Message)})";
            bool resigns = view.Term is not null && now - _undecidedSince >= Undecided;
            return new Decision(resigns ? [new Resign(what)] : [], now + _policy.RetryDelay, what, what)
            {
                Problems = [Problem.Of(ProblemCatalogue.NeedsOperator, what)],
            };
        }
    }

    /// <summary>
    /// A leader that was frozen and is woken decides by what it saw before: while its lease has run out nothing of that would be done, and
    /// so nothing is begun, nor said to be. Whoever has the lease again decides anew.
    /// </summary>
    private Decision WithLease(Decision decision, int? term, TimeSpan now)
    {
        if (decision.Actions.IsEmpty || _leadership is not { } leadership || leadership.Term != term || leadership.MayAct)
        {
            return decision;
        }

        TimeSpan later = now + _policy.RetryDelay;
        return decision with { Actions = [], WakeAt = decision.WakeAt is { } at && at < later ? at : later };
    }

    private void Start(ImmutableArray<FailoverAction> actions, int? term)
    {
        ILeadership? leadership = _leadership;
        foreach (FailoverAction action in actions)
        {
            // What was decided as the leader of one term is not done as that of the next, which has to look anew first.
            if (leadership is null || leadership.Term != term)
            {
                observations.Writer.TryWrite(new ActionFinished(clock.Now, action, "leadership was lost"));
            }
            else
            {
                _ = executor.StartAsync(action, leadership, leadership.Lost);
            }
        }
    }

    /// <summary>What is told goes by the same rules as what is decided, and fails as little of the rest.</summary>
    private TimeSpan? TryReport(ClusterView view, Decision decision, TimeSpan now)
    {
        try
        {
            TimeSpan? again = Report(view, decision, now);
            _transitions.TellDefect(OfTelling, null);
            return again;
        }
#pragma warning disable CA1031 // As in Decide.
        catch (Exception e)
#pragma warning restore CA1031
        {
            _transitions.TellDefect(OfTelling, e);
            return now + _policy.RetryDelay;
        }
    }

    /// <summary>Which nodes outside the configuration are watched, and whose names have to be looked up again.</summary>
    private void WatchAsMeant(ClusterView view, TimeSpan now)
    {
        NodeAddress[] outside = [.. view.Outside(_policy)];
        if (!outside.AsSpan().SequenceEqual(_outside))
        {
            _outside = outside;
            PolicyChanged?.Invoke(_policy, [.. _policy.Nodes, .. outside]);
        }

        if (view.Nodes.Values.Any(n => n.LeadsAstray) && _doubtedAt <= now - LookedUpAnew)
        {
            _doubtedAt = now;
            foreach (NodeView node in view.Nodes.Values.Where(n => n.LeadsAstray))
            {
                Doubted?.Invoke(node.Address);
            }
        }
    }

    /// <summary>Tells what has changed; null, or when to look again.</summary>
    private TimeSpan? Report(ClusterView view, Decision decision, TimeSpan now)
    {
        WatchAsMeant(view, now);
        TimeSpan apart = decision.Actions.IsEmpty && decision.Reason == _lookedFor ? QuietReports : LeaderReports;
        if (view.Term is not null && _lookedAt > now - apart)
        {
            return _lookedAt + apart;
        }

        (_lookedAt, _lookedFor) = (now, decision.Reason);
        // What is over in a moment needs nobody, and would only be one more thing to write just when there is most to do.
        string? attention = view.Term is null ? null : decision.Warning;
        _attention = Words.SameButForNumbers(_attention.Words, attention) ? _attention with { Words = attention } : (attention, now);

        Readiness? readiness = ReadinessCheck.Of(view, _policy, now, Problems?.Raised(ProblemCatalogue.LeaseNotHeld));
        Problems?.See(view, readiness, decision, now);

        // Latencies are refreshed now and then; a change of opinion goes out at once.
        MonitorReport report = view.Report() with
        {
            Failover = readiness,
            Attention = now - _attention.Since >= LastingAttention ? _attention.Words : null,
            Problems = Problems?.Own ?? [],
            Settings = _settings,
            Nodes = view.Term is null ? MonitorReport.None.Nodes : NodeReports.Of(view, _policy, now, clock.Provider.GetUtcNow()),
        };
        TimeSpan anew = report.Nodes.Values.Select(n => (n.LagBytes, n.LagSeconds))
            .SequenceEqual(_report.Nodes.Values.Select(n => (n.LagBytes, n.LagSeconds)))
            ? ReportsAnew : FiguresAnew;
        if (_reportedAt == TimeSpan.MinValue || !report.SaysTheSameAs(_report) || now - _reportedAt > anew)
        {
            bool urgent = report.Unavailable.Except(_report.Unavailable).Any(n => view.VotesDecide(n, _policy));
            _report = report;
            _reportedAt = now;
            ReportChanged?.Invoke(report, urgent);
        }

        return null;
    }

    private void WakeAt(TimeSpan? at, TimeSpan now)
    {
        if (at == _alarmAt)
        {
            return;
        }

        _alarmAt = at;
        _alarm?.Dispose();
        _alarm = at is not { } time
            ? null
            : clock.Provider.CreateTimer(
                _ => observations.Writer.TryWrite(new Tick(clock.Now)), null, time > now
                    ? time - now + TimeSpan.FromMilliseconds(1) : TimeSpan.Zero, Timeout.InfiniteTimeSpan);
    }
}
