namespace RedisFailover.UnitTests.Simulation;

/// <summary>What has to be true in the end, and what an operator does about what no machine may decide.</summary>
internal sealed partial class Simulation
{
    private const long Patience = 12 * World.Second;

    /// <summary>How long the relief of a master that refuses writes may take where nothing else is amiss.</summary>
    private const long Relieved = 8 * World.Second;

    /// <summary>How long a failover may take where a replica is fit: what it takes without anybody who refuses the monitors.</summary>
    private const long TakenOver = World.Second;

    private long? _stuckSince;
    private int _asked;

    /// <summary>How many failovers were held to that.</summary>
    internal int Expected { get; private set; }

    /// <summary>Looks in now and then and chooses, where nobody can be promoted without the loss of data.</summary>
    private void Operator() => _world.At(_world.Now + World.Second, () =>
    {
        if (_server.Topology is not { Master: null } topology || Fit(topology))
        {
            _stuckSince = null;
        }
        else
        {
            _stuckSince ??= _world.Now;
            if (_world.Now - _stuckSince > Patience && Choice(topology) is { } choice && _server.Wish != choice.Address.ToString())
            {
                _world.Tell("human", $"chooses {choice.Name}, because: {topology.Reason}");
                _asked++;
                if (Needless(topology) is { } why)
                {
                    throw new Violation($"an operator has to choose, and need not, because {why}: {topology.Reason}");
                }

                if (topology.State == TopologyState.NoMaster && !choice.IsMaster)
                {
                    Ask(new OperatorRequest(NextRequest()) { Target = choice.Address, Force = true, By = "human" });
                    _stuckSince = null;
                }
                else
                {
                    _server.SetWish(choice.Address.ToString());
                }
            }
        }

        Operator();
    });

    /// <summary>Whether somebody could be made master without an operator.</summary>
    private bool Fit(Topology topology)
    {
        if (topology.State == TopologyState.NoMaster)
        {
            return !topology.Reason.StartsWith("nothing is touched", StringComparison.Ordinal);
        }

        return !topology.Reason.Contains("an operator has to choose", StringComparison.Ordinal)
            && !topology.Reason.Contains("alone may hold a write", StringComparison.Ordinal)
            && _nodes.Any(n => n.IsUp && (n.IsLoading || n.IsSyncing || CanRule(n, topology)));
    }

    /// <summary>
    /// Why no operator should have to choose; null where one has to. All nodes are up and reached, and have been for some time.
    /// </summary>
    private string? Needless(Topology topology)
    {
        if (topology is not { State: TopologyState.FailingOver, Intent.From: { } from, Identity: { } lost }
            || _nodes.Any(n => !n.IsWell(Patience / 2) || n.IsRefusing))
        {
            return null;
        }

        SimulatedRedis master = _ledger.Node(from);
        if (master.IsMaster && master.RunId == lost.RunId)
        {
            return $"{master.Name} is as it was";
        }

        // Whom others follow beside the lost master somebody may have made one. Between that, back with far less, and one with more an
        // operator chooses.
        if (!_ledger.IsWriteSafe && !(master.IsMaster && _nodes.Any(n => n != master && n.Info().Keys > 2 * master.Info().Keys))
            && !_nodes.Any(n => n.IsLinked && n.MasterAddress != from)
            && _nodes.All(n => !n.IsLoading && !n.IsSyncing && !IsForeign(n) && !_ledger.IsNeverPromoted(n)
                && !n.IsOrderedByHand && !n.Info().SharesHistoryWith(lost))
            && _nodes.Any(n => n.Data is not null))
        {
            return "all nodes are here, and none has the history of the lost master";
        }

        // Who is never promoted may have more than all others, and then only an operator can help.
        if (topology.WriteQuorum is not { } quorum || !_ledger.IsWriteSafe || _nodes.Any(n => _ledger.IsNeverPromoted(n) || IsForeign(n)))
        {
            return null;
        }

        SimulatedRedis[] proven = [.. quorum.Replicas.Select(_ledger.Node)
                .Where(n
                    => n.IsUp && !n.IsLoading && !n.IsSyncing && (!quorum.Runs.TryGetValue(n.Address, out string? run) || run == n.RunId)
                        && n.Info().SharesHistoryWith(lost) && n.Info().Keys > 0 && !_ledger.WasOverwritten(n))];
        // What one took of the lost master's next run, and what another has of the last one, may both have been acknowledged.
        return proven.Length >= quorum.Needed && !proven.Any(n => _ledger.WentOnUnderAnotherRun(n, lost)
                && proven.Any(m => !Commit.Contains(m.Data, n.Data) && !Commit.Contains(n.Data, m.Data)))
            ? $"{string.Join(" and ", proven.Select(n => n.Name))} were not restarted and are enough" : null;
    }

    private bool CanRule(SimulatedRedis node, Topology topology)
    {
        NodeInfo info = node.Info();
        bool hasData = topology.Identity is not { HasData: true } || info.Keys > 0;
        return hasData && ((!_ledger.IsNeverPromoted(node) && (topology.Identity is not { } lost || info.SharesHistoryWith(lost)))
            || (topology.Intent?.From == node.Address && info.Role == NodeRole.Master));
    }

    private SimulatedRedis? Choice(Topology topology) => _nodes
        .Where(n => n.IsUp && !n.IsLoading && (!IsForeign(n)
                || (topology.State == TopologyState.NoMaster && _nodes.All(m => m.Data is null || IsForeign(m))))
            && (topology.State != TopologyState.NoMaster || n.IsMaster || !_nodes.Any(m => m.IsUp && m.IsMaster && !IsForeign(m))))
        .OrderByDescending(n => n.Data?.Depth ?? 0).ThenBy(n => n.Name, StringComparer.Ordinal).FirstOrDefault();

    private bool IsForeign(SimulatedRedis node) => node.Data is not null && node.Data.Beginning == _ledger.Foreign;

    private bool IsWritable()
        => _server.Topology is { State: TopologyState.Ok, Master: { } master }
            && _ledger.Node(master) is { IsUp: true, IsPaused: false, IsMaster: true, IsLoading: false } node
        && node.PausedUntil <= _world.Now && node.Refusal is null;

    /// <summary>Whether a replica has been well long enough to relieve the master.</summary>
    private bool IsReplaceable(SimulatedRedis master)
        => _server.IsWell(Relieved) && _server.Topology is { State: TopologyState.Ok } topology && topology.Master == master.Address
        && _nodes.Any(n => n != master && !_ledger.IsNeverPromoted(n) && IsFit(n) && topology.Replicas.Contains(n.Address))
        && _monitors.All(m => m.IsWell(2 * Relieved));

    private bool IsFit(SimulatedRedis node)
        => node.IsWell(2 * Relieved) && node.IsLinked && !node.IsLoading && !node.IsRefusing && _world.Now - node.RefusedAt > Relieved
            && _world.Now - node.ChangedAt > Relieved / 4;

    /// <summary>
    /// A master was killed while nothing else is amiss but that nodes refuse the monitors: another takes over in time, unless those that
    /// refuse are needed to know where acknowledged writes are; and unless it refused them itself and was restarted meanwhile: nobody knows
    /// whose data its replicas have copied then, and an operator has to choose.
    /// </summary>
    private void Expect(SimulatedRedis master)
    {
        int life = master.Life;
        if (!_calm || master.IsUp || _policy.FailoverInterval > TimeSpan.Zero || !IsReplaceable(master) || _server.Leader is null
            || _world.Now - _server.LeaderSince < Relieved / 2
            || Everyone().Any(p => Everyone().Any(q => !_network.IsCalm(p.Place, q.Place, Relieved)))
            || (master.IsRefusing && _server.Topology!.Identity is { } known
                && !_nodes.Any(n => n != master && IsFit(n) && n.Info().SharesHistoryWith(known)))
            || (_server.Topology!.WriteQuorum is { } quorum
                && quorum.Replicas.Count(r => _ledger.Node(r) is var n && IsFit(n)
                && quorum.Runs.GetValueOrDefault(r) == n.RunId) < quorum.Needed))
        {
            return;
        }

        Expected++;
        // Whether one that refuses us listens at all is tried once a second.
        long bound = TakenOver + (master.IsRefusing || _world.Now - master.RefusedAt < 2 * World.Second ? World.Second : 0);
        _world.At(_world.Now + bound, ()
            => Unless(master.IsUp || master.Life != life
                || (_server.Topology is { State: TopologyState.Ok, Master: { } next } && next != master.Address)
            // It was replaced, and the next one was killed as well.
            || (_server.Topology is { State: TopologyState.FailingOver, Intent.From: { } lost } && lost != master.Address), ()
                => Unreplaced(master)));
    }

    private static void Unreplaced(SimulatedRedis master)
        => throw new Violation($"master {master.Name} was killed, and nobody takes over in time");

    private static void Unrelieved(SimulatedRedis master)
        => throw new Violation($"master {master.Name} refuses writes and is not relieved");

    private bool IsWell() => Ailment() is null;

    /// <summary>What is not as it should be; null when all is well.</summary>
    private string? Ailment()
    {
        if (_server.Topology is not { } topology)
        {
            return "there is no topology";
        }

        if (!IsWritable())
        {
            return $"not writable: {TopologyJson.Name(topology.State)}, master {topology.Master}, {topology.Reason}";
        }

        // Whoever is elected may have something to note, or to put right.
        if (!_monitors.Any(m => m.Lead is not null))
        {
            return "no monitor leads";
        }

        foreach (SimulatedRedis node in _nodes)
        {
            if (node.Address == topology.Master)
            {
                continue;
            }

            if (IsForeign(node))
            {
                continue;
            }

            if (node.MasterAddress != topology.Master || !node.IsLinked || node.IsLoading)
            {
                return $"{node.Name} {(node.IsMaster ? "is a master" : $"follows {node.MasterAddress}, linked: {node.IsLinked}")} beside "
                    + $"master {topology.Master}";
            }

            if (!topology.Replicas.Contains(node.Address))
            {
                return $"{node.Name} follows {topology.Master} and is not listed as a replica";
            }
        }

        if (Unsafe(topology) is { } unsafely)
        {
            return unsafely;
        }

        return _server.Leader is null ? "nobody leads"
            : _server.Wish is { } wish ? $"the wish '{wish}' is not answered"
            : _server.Requests is [var pending, ..] ? $"{pending.Id} is not answered"
            : _server.PausedSince is not null ? "failover is paused"
            : _clients.FirstOrDefault(c => c.KnownVersion != _server.Version)?.Name is { } late ? $"{late} does not know the topology"
            : null;
    }

    /// <summary>
    /// With write safety: every replica is known as a possible holder of writes, and the master is fenced. Null when it is so.
    /// </summary>
    private string? Unsafe(Topology topology)
    {
        // An operator may have forced a node whose data were never this cluster's: then the others' are not.
        if (_policy.WriteSafety != WriteSafetyMode.Replicated || IsForeign(_ledger.Node(topology.Master!)))
        {
            return null;
        }

        int replicas = _nodes.Count(n => n.Address != topology.Master && !IsForeign(n));
        int fence = Math.Min(_configuration.Policy.WriteQuorum, replicas);
        return topology.WriteQuorum is not { } quorum ? "the topology names no holders of writes"
            : quorum.Quorum != _configuration.Policy.WriteQuorum
                ? $"WAIT {quorum.Quorum} is in force, not {_configuration.Policy.WriteQuorum}"
            : _nodes.FirstOrDefault(n => n.Address != topology.Master && !IsForeign(n)
                && !quorum.Replicas.Contains(n.Address)) is { } missing ? $"{missing.Name} follows, and is not known as a holder of writes"
            : _ledger.Node(topology.Master!).MinReplicasToWrite != fence
                ? $"the master's min-replicas-to-write is {_ledger.Node(topology.Master!).MinReplicasToWrite}, not {fence}"
            : null;
    }

    /// <summary>
    /// Where one thing failed at a time, no write is lost that a client knew to be on two nodes and that was acknowledged before the
    /// change was announced.
    /// </summary>
    private void Durable()
    {
        if (!_calm || Faults.Any(f => f.Kind is FaultKind.Deny or FaultKind.DenyOneMonitor or FaultKind.FillConnections)
            || _nodes.Any(_ledger.IsNeverPromoted) || _ledger.WasForced)
        {
            return;
        }

        SimulatedRedis master = _ledger.Node(_server.Topology!.Master!);
        foreach (SimulatedClient.Write write in _ledger.Acknowledgements)
        {
            if (write is { WasCurrent: true, Replicated: true } && !Commit.Contains(master.Data, write.Made))
            {
                throw new Violation(
                    $"write {write.Number} was on two nodes, {write.On!.Name} acknowledged it, and {master.Name} does not have it");
            }
        }
    }
}
