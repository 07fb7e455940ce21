using System.Collections.Immutable;

namespace RedisFailover.UnitTests.Simulation;

/// <summary>
/// One run: everything in it follows from the seed. Nodes, monitors, clients and ZooKeeper start, faults come, all is healed, and
/// then all must be well within a bound of virtual time.
/// </summary>
internal sealed partial class Simulation
{
    private const long Bound = 60 * World.Second;
    private const long Promptly = 25 * World.Second;
    private const long Quiet = 3 * World.Second;

    private readonly World _world;
    private readonly Network _network;
    private readonly Ledger _ledger;
    private readonly Dice _dice;
    private readonly FailoverPolicy _policy;
    private readonly Configuration _configuration;
    private readonly SimulatedZooKeeper _server;
    private readonly ImmutableArray<SimulatedRedis> _nodes;
    private readonly ImmutableArray<SimulatedMonitor> _monitors;
    private readonly ImmutableArray<SimulatedClient> _clients;
    private readonly bool _calm;
    private readonly bool _settles;
    private readonly SimulatedRedis? _foreign;

    internal Simulation(ulong seed, Mutant mutant, bool told, Func<ImmutableArray<Fault>, ImmutableArray<Fault>>? choose = null)
    {
        _dice = new Dice(seed * 7919);
        _world = new World(told);
        // Of their own, so that what came later does not shift what was there.
        var more = new Dice((seed * 104_729) + 3);
        var latest = new Dice((seed * 15_485_863) + 7);
        var newest = new Dice((seed * 32_452_843) + 11);
        var files = new Dice((seed * 49_979_687) + 13);
        _calm = _dice.Percent(25);
        int monitors = _dice.Of(1, 2, 3, 3, 3, 3, 5);
        int nodes = _dice.Of(2, 3, 3, 3, 4, 5);
        int clients = 1 + _dice.Next(3);
        long session = _dice.Of(2, 4, 4, 4, 6) * World.Second;
        var switchover = TimeSpan.FromSeconds(2);
        _policy = new FailoverPolicy
        {
            Nodes = [.. Enumerable.Range(0, nodes).Select(i => new NodeAddress($"r{i}", 6379))],
            ProbeTimeout = TimeSpan.FromMilliseconds(_dice.Of(1000, 1000, 1000, 300)),
            NodeStrategy =
                _dice.Of(NodeStrategy.Majority, NodeStrategy.Majority, NodeStrategy.Majority, NodeStrategy.Majority, NodeStrategy.Consensus,
                    monitors == 1 ? NodeStrategy.Single : NodeStrategy.Majority),
            FailoverStrategy = _dice.Of(FailoverStrategy.Offset, FailoverStrategy.Latency),
            FailoverInterval = _dice.Percent(20) ? TimeSpan.FromSeconds(8) : TimeSpan.Zero,
            RequiredMonitors = monitors > 2 && _dice.Percent(30) ? 2 : 1,
            SwitchoverTimeout = switchover,
            ViewLifetime = TimeSpan.FromTicks(session),
            PauseLimit = switchover + (2 * TimeSpan.FromTicks(session)) + TimeSpan.FromSeconds(2),
            WriteSafety = more.Percent(45) ? WriteSafetyMode.Replicated : WriteSafetyMode.None,
            WriteQuorum = nodes > 2 && more.Percent(30) ? 2 : 1,
            WriteMaxLag = more.Of(2, 5),
            MisconfTimeout = TimeSpan.FromSeconds(more.Of(2, 5)),
        };
        _policy = _policy with { NeverPromote = nodes > 2 && more.Percent(15) ? [_policy.Nodes[more.Next(nodes)]] : [] };
        _network = new Network(_world, _dice.Branch(), 1 + monitors + nodes + clients);
        _configuration = new Configuration(_world, _policy);
        _ledger = new Ledger(_world, _network, _configuration);
        var zooKeeper =
            new ZooKeeperSettings { SessionTimeout = session, NoFence = mutant.IgnoresFence, NoVersionCheck = mutant.IgnoresVersion };
        _server = _ledger.Server = new SimulatedZooKeeper(_world, _network, 0, _ledger, zooKeeper);
        var redis = new RedisSettings
        {
            BacklogBytes = _dice.Of(1_000_000, 1_000_000, 600),
            CopyDelay = _dice.Of(5 * World.Second, 5 * World.Second, 0),
            CopyTime = _dice.Of(World.Second / 20, World.Second / 2, 2 * World.Second),
            LoadTime = _dice.Of(World.Second / 100, World.Second / 5, 2 * World.Second),
            SaveInterval = _dice.Of(2, 7, 20) * World.Second,
            HasFile = _dice.Percent(60),
            RewriteTime = files.Of(World.Second / 10, World.Second, 4 * World.Second),
            RewriteFrom = files.Percent(30) ? 2000 : long.MaxValue,
            MinReplicas = new MinReplicas(_policy.WriteSafety == WriteSafetyMode.Replicated && more.Percent(20) ? 1 : 0, 10),
        };
        Persistence[] keeping = Keeping(files, nodes, mutant.Theme >= Fault.Files);
        _nodes = [.. _policy.Nodes.Select((address, i)
                => new SimulatedRedis(_world, _network, 1 + monitors + i, address, _dice.Branch(), redis, _ledger)
        {
            Priority = nodes > 2 && _dice.Percent(7) ? 0 : _dice.Of(100, 100, 50),
            Persistence = keeping[i],
        })];
        foreach (SimulatedRedis node in _nodes)
        {
            _ledger.Add(node);
        }

        var settings = new MonitorSettings(zooKeeper, mutant, told ? 1 : 16);
        _monitors = [.. Enumerable.Range(0, monitors).Select(i => new SimulatedMonitor(
            _world, _network, 1 + i, $"m{i}", _dice.Branch(), _configuration, _server, _ledger, settings))];
        long pace = _dice.Of(60, 150, 400) * World.Ms;
        _clients = [.. Enumerable.Range(0, clients).Select(i => new SimulatedClient(
            _world, _network, 1 + monitors + nodes + i, $"c{i}", _dice.Branch(), _server, _ledger, pace))];
        _foreign = nodes > 2 && _dice.Percent(10) ? _nodes[^1] : null;
        long end = _calm ? 60 * World.Second : _dice.Between(12, 30) * World.Second;
        ImmutableArray<Fault> faults =
            Fault.Draw(_dice.Branch(), more.Branch(), latest.Branch(), newest.Branch(), _calm, mutant.Theme, 7 * World.Second, end);
        if (_nodes.Any(n => n.Appends))
        {
            faults = Fault.WithFiles(faults, files, _calm, mutant.Theme, 7 * World.Second, end);
        }

        Faults = choose is null ? faults : choose(faults);
        _settles = _dice.Percent(30) && !_calm;
        _world.Within(Prepare);
    }

    internal ImmutableArray<Fault> Faults { get; }

    internal IReadOnlyList<string> Story => _world.Story;

    internal long Events => _world.Events;

    internal long Length => _world.Now;

    internal Ledger Ledger => _ledger;

    /// <summary>How the nodes keep their data: by snapshots in most runs, in the others all alike or each as it comes.</summary>
    private static Persistence[] Keeping(Dice dice, int nodes, bool isMixed)
    {
        int how = dice.Next(100);
        Persistence all = how < 12 ? dice.Of(Persistence.AppendsAlways, Persistence.AppendsEverySecond) : Persistence.Snapshots;
        return [.. Enumerable.Range(0, nodes).Select(_ => how is >= 12 and < 35 || isMixed
            ? dice.Of(Persistence.AppendsAlways, Persistence.AppendsEverySecond, Persistence.AppendsEverySecond, Persistence.Snapshots,
                Persistence.Snapshots, Persistence.Nothing)
            : all)];
    }

    /// <summary>Which faults came where, for people.</summary>
    internal string Describe()
        => $"{_monitors.Length} monitors, {_nodes.Length} nodes, {_clients.Length} clients, {_policy.NodeStrategy}, probe timeout "
            + $"{_policy.ProbeTimeout.TotalMilliseconds} ms, "
            + (_policy.WriteSafety == WriteSafetyMode.Replicated ? $"WAIT {_policy.WriteQuorum} is safe, " : "")
                + (_policy.NeverPromote is [var never, ..] ? $"{never.Host} is never promoted, " : "")
            + $"priorities {string.Join(' ', _nodes.Select(n => n.Priority))}"
            + (_nodes.Any(n => n.Appends) ? $", {string.Join(' ', _nodes.Select(n => n.Persistence))}" : "")
            + $"{(_foreign is null ? "" : $", {_foreign.Name} comes with foreign data")}{(_calm ? ", one fault at a time" : "")}";

    /// <summary>Runs to the end; a violation is thrown.</summary>
    internal void Run()
    {
        long last = 7 * World.Second;
        foreach (Fault fault in Faults)
        {
            _world.At(fault.At, () => Begin(fault));
            last = Math.Max(last, fault.At + Math.Min(fault.For, 10 * World.Second));
        }

        _world.Run(last);
        // What follows from it goes on in the simulation's own time.
        _world.Within(() =>
        {
            if (_foreign is { IsUp: false })
            {
                _foreign.Start();
            }

            Heal();
            Operator();
        });
        if (_settles)
        {
            _world.Within(_nodes[_dice.Next(_nodes.Length)].Kill);
            Await(IsWritable, "writable with all but one node up");
            _world.Within(Heal);
        }

        // The only waiting that is longer is for an operator, who is asked only where that is necessary.
        long asked = _asked;
        Await(() => IsWritable() || _asked > asked, "writable after all faults were healed", Promptly);
        Await(IsWell, "well after all faults were healed");
        foreach (SimulatedClient client in _clients)
        {
            client.IsQuiet = true;
        }

        Await(() => IsWell() && _world.Now - _ledger.LastActionAt > Quiet, "at rest after all faults were healed");
        Durable();
        _ledger.CheckHistory();
    }

    private void Await(Func<bool> condition, string what, long bound = Bound)
    {
        long begun = _world.Now;
        while (!condition())
        {
            // While failover is paused nothing begins.
            if (_server.PausedSince is null && _world.Now >= Math.Max(begun, _server.ResumedAt) + bound)
            {
                throw new Violation($"not {what} within {bound / World.Second} s: {Ailment()}");
            }

            _world.Run(_world.Now + (200 * World.Ms));
        }
    }
}
