namespace RedisFailover.UnitTests.Simulation;

/// <summary>What has to be true in the end, and what an operator does about what no machine may decide.</summary>
internal sealed partial class Simulation
{
    private const long Patience = 12 * World.Second;

    /// <summary>How long the relief of a master that refuses writes may take where nothing else is amiss.</summary>
    private const long Relieved = 8 * World.Second;

    private long? _stuckSince;

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
                _server.SetWish(choice.Address.ToString());
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

        return !topology.Reason.Contains("an operator has to choose", StringComparison.Ordinal) && !topology.Reason.Contains("alone may hold a write", StringComparison.Ordinal) && _nodes.Any(n => n.IsUp && (n.IsLoading || n.IsSyncing || CanRule(n, topology)));
    }

    private bool CanRule(SimulatedRedis node, Topology topology)
    {
        NodeInfo info = node.Info();
        bool hasData = topology.Identity is not { HasData: true } || info.Keys > 0;
        return hasData && ((!_ledger.IsNeverPromoted(node) && (topology.Identity is not { } lost || info.SharesHistoryWith(lost)))
            || (topology.Intent?.From == node.Address && info.Role == NodeRole.Master));
    }

    private SimulatedRedis? Choice(Topology topology) => _nodes
        .Where(n => n.IsUp && !n.IsLoading && !IsForeign(n) && (topology.State != TopologyState.NoMaster || n.IsMaster))
        .OrderByDescending(n => n.Data?.Depth ?? 0).ThenBy(n => n.Name, StringComparer.Ordinal).FirstOrDefault();

    private bool IsForeign(SimulatedRedis node) => node.Data is not null && node.Data.Beginning == _ledger.Foreign;

    private bool IsWritable() => _server.Topology is { State: TopologyState.Ok, Master: { } master } && _ledger.Node(master) is { IsUp: true, IsPaused: false, IsMaster: true, IsLoading: false } node
        && node.PausedUntil <= _world.Now && node.Refusal is null;

    /// <summary>Whether a replica has been well long enough to relieve the master.</summary>
    private bool IsReplaceable(SimulatedRedis master) => _server.IsWell(Relieved) && _server.Topology is { State: TopologyState.Ok } topology && topology.Master == master.Address
        && _nodes.Any(n => n != master && !_ledger.IsNeverPromoted(n) && n.IsWell(2 * Relieved) && n.IsLinked && !n.IsLoading && _world.Now - n.ChangedAt > 2 * Relieved && topology.Replicas.Contains(n.Address))
        && _monitors.All(m => m.IsWell(2 * Relieved));

    private static void Unrelieved(SimulatedRedis master) => throw new Violation($"master {master.Name} refuses writes and is not relieved");

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
                return $"{node.Name} {(node.IsMaster ? "is a master" : $"follows {node.MasterAddress}, linked: {node.IsLinked}")} beside master {topology.Master}";
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
            : _clients.FirstOrDefault(c => c.KnownVersion != _server.Version)?.Name is { } late ? $"{late} does not know the topology"
            : null;
    }

    /// <summary>With write safety: every replica is known as a possible holder of writes, and the master is fenced. Null when it is so.</summary>
    private string? Unsafe(Topology topology)
    {
        // An operator may have forced a node whose data were never this cluster's: then the others' are not.
        if (_policy.WriteSafety != WriteSafetyMode.Replicated || IsForeign(_ledger.Node(topology.Master!)))
        {
            return null;
        }

        int replicas = _nodes.Count(n => n.Address != topology.Master && !IsForeign(n));
        int fence = Math.Min(_policy.WriteQuorum, replicas);
        return topology.WriteQuorum is not { } quorum ? "the topology names no holders of writes"
            : _nodes.FirstOrDefault(n => n.Address != topology.Master && !IsForeign(n) && !quorum.Replicas.Contains(n.Address)) is { } missing ? $"{missing.Name} follows, and is not known as a holder of writes"
            : _ledger.Node(topology.Master!).MinReplicasToWrite != fence ? $"the master's min-replicas-to-write is {_ledger.Node(topology.Master!).MinReplicasToWrite}, not {fence}"
            : null;
    }

    /// <summary>
    /// Where one thing failed at a time, no write is lost that a client knew to be on two nodes and that was acknowledged before the
    /// change was announced.
    /// </summary>
    private void Durable()
    {
        if (!_calm || _nodes.Any(_ledger.IsNeverPromoted) || _ledger.WasForced)
        {
            return;
        }

        SimulatedRedis master = _ledger.Node(_server.Topology!.Master!);
        foreach (SimulatedClient.Write write in _ledger.Acknowledgements)
        {
            if (write is { WasCurrent: true, Replicated: true } && !Commit.Contains(master.Data, write.Made))
            {
                throw new Violation($"write {write.Number} was on two nodes, {write.On!.Name} acknowledged it, and {master.Name} does not have it");
            }
        }
    }
}
