using System.Collections.Immutable;
using System.Text;
using RedisFailover.ZooKeeper;

namespace RedisFailover.UnitTests.Simulation;

/// <summary>A session as the ensemble knows it.</summary>
internal sealed class SimulatedSession(SimulatedZooKeeperClient owner)
{
    internal SimulatedZooKeeperClient Owner => owner;

    internal long HeardAt { get; set; }

    internal bool HasEnded { get; set; }

    /// <summary>The connection that it was last taken up with: an older one's requests are refused.</summary>
    internal int Connection { get; set; }

    /// <summary>Sends a watch event.</summary>
    internal void Tell(Func<SimulatedZooKeeperClient, Action> what) => owner.Told(this, what);
}

/// <summary>
/// The ensemble as one: znodes and multis, linearizable; expires sessions, and while it has no quorum answers nobody and expires nobody.
/// </summary>
internal sealed class SimulatedZooKeeper(World world, Network network, int place, Ledger ledger, ZooKeeperSettings settings)
    : Process(world, network, place, "zk")
{
    private readonly List<SimulatedSession> _sessions = [];
    private readonly SortedDictionary<string, (SimulatedSession Owner, MonitorReport Report)> _monitors = new(StringComparer.Ordinal);
    private readonly List<SimulatedClient> _clients = [];
    private readonly SortedDictionary<string, Znode> _znodes = new(StringComparer.Ordinal);

    internal static ZnodePaths Paths { get; } = new(ZnodePaths.DefaultRoot);

    internal int Version => Get(Paths.Nodes)?.Stat.Version ?? -1;

    internal string? Wish => Get(Paths.ManualFailover) is { } znode ? Encoding.UTF8.GetString(znode.Data.Span) : null;

    /// <summary>What operators ask for and nobody has answered yet, the oldest first.</summary>
    internal ImmutableArray<OperatorRequest> Requests => [.. Children(Paths.Requests)
        .Select(id => Get(Paths.Request(id)) is { } znode ? OperatorRequest.Parse(id, znode.Data, znode.Stat.Version) : null)
        .OfType<OperatorRequest>().Where(r => r.Answer is null)];

    internal ClusterConfig? Config { get; private set; }

    /// <summary>Since when failover is switched off; null while it is on.</summary>
    internal long? PausedSince { get; private set; }

    /// <summary>When it was last switched on again.</summary>
    internal long ResumedAt { get; private set; } = long.MinValue / 2;

    internal bool IsFailoverPaused => Config?.Pause is { } pause && !(pause.Until <= Wall);

    internal int Term { get; private set; }

    internal SimulatedSession? Leader { get; private set; }

    internal long LeaderSince { get; private set; }

    /// <summary>What the znode holds, read again from its bytes.</summary>
    internal Topology? Topology { get; private set; }

    /// <summary>What the clocks on everybody's walls show.</summary>
    internal DateTimeOffset Wall => World.Beginning + TimeSpan.FromTicks(World.Now);

    internal void Subscribe(SimulatedClient client) => _clients.Add(client);

    internal SimulatedSession Open(SimulatedZooKeeperClient owner)
    {
        var session = new SimulatedSession(owner) { HeardAt = World.Now };
        _sessions.Add(session);
        return session;
    }

    internal Znode? Get(string path) => _znodes.GetValueOrDefault(path);

    internal ImmutableArray<string> Children(string path)
        => [.. _znodes.Keys.Where(k => k.StartsWith(path + "/", StringComparison.Ordinal)).Select(k => k[(path.Length + 1)..])];

    /// <summary>All or nothing; which operation failed, and how, or null.</summary>
    internal (ImmutableArray<ZnodeOperationResult> Results, (int Index, ZooKeeperErrorCode Code)? Failure) Multi(
        SimulatedSession session, ImmutableArray<ZnodeOperation> operations)
    {
        for (int i = 0; i < operations.Length; i++)
        {
            if (Refusal(operations[i]) is { } code)
            {
                return ([], (i, code));
            }
        }

        // Whoever writes the topology does it with the fence before it.
        int term = operations is [{ Kind: ZnodeOperationKind.Check } fence, ..] && fence.Path == Paths.Term ? fence.Version : Term;
        return ([.. operations.Select(o => new ZnodeOperationResult(o.Kind, o.Path, Apply(session, term, o)))], null);
    }

    private ZooKeeperErrorCode? Refusal(ZnodeOperation operation)
    {
        if (operation.Path == Paths.Term)
        {
            return settings.NoFence || operation.Version == Term ? null : ZooKeeperErrorCode.BadVersion;
        }

        bool isUnchecked = settings.NoVersionCheck && operation.Path == Paths.Nodes;
        return (operation.Kind, Get(operation.Path)) switch
        {
            (ZnodeOperationKind.Create, { }) => isUnchecked ? null : ZooKeeperErrorCode.NodeExists,
            (ZnodeOperationKind.Create, null) => null,
            (_, null) => isUnchecked ? null : ZooKeeperErrorCode.NoNode,
            (_, { } znode) => operation.Version == -1 || operation.Version == znode.Stat.Version || isUnchecked
                ? null : ZooKeeperErrorCode.BadVersion,
        };
    }

    private ZnodeStat? Apply(SimulatedSession? session, int term, ZnodeOperation operation)
    {
        string path = operation.Path;
        Znode? before = Get(path);
        switch (operation.Kind)
        {
            case ZnodeOperationKind.Check:
                return null;
            case ZnodeOperationKind.Delete:
                _znodes.Remove(path);
                break;
            default:
                _znodes[path] = new Znode(operation.Data, new ZnodeStat { Version = (before?.Stat.Version ?? -1) + 1 });
                break;
        }

        if (path == Paths.Nodes)
        {
            bool isOverRead = operation.Kind == ZnodeOperationKind.Create ? before is null : operation.Version == before?.Stat.Version;
            Topology last = Topology ?? Topology.None;
            Topology = TopologyJson.Parse(operation.Data);
            if (session is not null)
            {
                ledger.Published(session.Owner.Monitor, term, isOverRead, last, Topology);
            }

            TellOfNodes();
        }
        else if (path == Paths.Config)
        {
            Configured(ClusterConfigJson.Parse(operation.Data));
        }
        else if (path == Paths.ManualFailover)
        {
            TellAll(s => s.Tell(o => o.WishChanged));
        }
        else if (path.StartsWith(Paths.Requests, StringComparison.Ordinal))
        {
            Requested(path, operation);
        }

        return Get(path)?.Stat;
    }

    private void Configured(ClusterConfig next)
    {
        ResumedAt = PausedSince is not null && next.Pause is null ? World.Now : ResumedAt;
        PausedSince = next.Pause is null ? null : PausedSince ?? World.Now;
        Config = next;
        TellAll(s => s.Tell(o => o.ConfigChanged));
    }

    /// <summary>Only who comes and goes is told of; an answer is read by whoever waits for it.</summary>
    private void Requested(string path, ZnodeOperation operation)
    {
        if (operation.Kind == ZnodeOperationKind.SetData)
        {
            var request = OperatorRequest.Parse(path[(Paths.Requests.Length + 1)..], operation.Data, 0);
            Tell($"{request.Id} is answered: {request.Answer?.Outcome}, {request.Answer?.Reason}");
            Ledger.Answered(request, Topology);
        }
        else
        {
            TellAll(s => s.Tell(o => o.RequestsChanged));
        }
    }

    /// <summary>Somebody writes the topology again as it is: another version, the same content.</summary>
    internal void Touch()
    {
        if (Get(Paths.Nodes) is { } nodes)
        {
            Apply(null, Term, ZnodeOperation.SetData(Paths.Nodes, nodes.Data));
        }
    }

    internal void SetWish(string wish)
    {
        if (Wish != wish)
        {
            Apply(null, Term, ZnodeOperation.SetData(Paths.ManualFailover, Encoding.UTF8.GetBytes(wish)));
        }
    }

    internal void Ask(OperatorRequest request) => Apply(null, Term, ZnodeOperation.Create(Paths.Request(request.Id), request.Write()));

    /// <summary>The multi that wins the election, or finds it held already; null when another has it.</summary>
    internal (int Term, bool Already)? TryLead(SimulatedSession session)
    {
        if (Leader is not null)
        {
            return Leader == session ? (Term, true) : null;
        }

        Leader = session;
        LeaderSince = World.Now;
        Term++;
        ledger.Elected(session.Owner.Monitor, Term);
        return (Term, false);
    }

    internal void GiveUpLead(SimulatedSession session)
    {
        if (Leader == session)
        {
            Leader = null;
            TellAll(s => s.Tell(o => o.LeadVacant));
        }
    }

    /// <summary>An operator's deed: the next leader is elected at once, whatever lease the last one has.</summary>
    internal void DeleteLeader()
    {
        DeposedAt = World.Now;
        if (Leader is { } leader)
        {
            GiveUpLead(leader);
        }
    }

    /// <summary>When an operator last deposed a leader that did not know.</summary>
    internal long DeposedAt { get; private set; } = long.MinValue / 2;

    /// <summary>False while the znode of an earlier life of the same monitor is there.</summary>
    internal bool Enter(SimulatedSession session, string name, MonitorReport report)
    {
        if (_monitors.TryGetValue(name, out (SimulatedSession Owner, MonitorReport Report) present) && present.Owner != session)
        {
            return false;
        }

        bool came = !_monitors.ContainsKey(name);
        _monitors[name] = (session, report);
        TellAll(s => s.Tell(o => came ? o.MonitorsChanged : o.ReportChanged(name)));
        return true;
    }

    internal IEnumerable<string> Monitors => _monitors.Keys;

    internal MonitorReport? Report(string name)
        => _monitors.TryGetValue(name, out (SimulatedSession Owner, MonitorReport Report) found) ? found.Report : null;

    /// <summary>After a time without a quorum every session gets its full time again.</summary>
    internal void Recover()
    {
        foreach (SimulatedSession session in _sessions)
        {
            session.HeardAt = World.Now;
        }
    }

    internal void End(SimulatedSession session)
    {
        session.HasEnded = true;
        _sessions.Remove(session);
        foreach (string name in _monitors.Where(m => m.Value.Owner == session).Select(m => m.Key).ToArray())
        {
            _monitors.Remove(name);
            TellAll(s => s.Tell(o => o.MonitorsChanged));
        }

        GiveUpLead(session);
    }

    protected override void Started() => Expire();

    private void Expire()
    {
        foreach (SimulatedSession session in _sessions.Where(s => World.Now - s.HeardAt > settings.SessionTimeout).ToArray())
        {
            Tell($"expires the session of {session.Owner.Monitor.Name}");
            End(session);
        }

        After(settings.SessionTimeout / 10, Expire);
    }

    /// <summary>After a connect everything that changed meanwhile is told.</summary>
    internal static void Watch(SimulatedSession session)
    {
        session.Tell(o => o.NodesChanged);
        session.Tell(o => o.WishChanged);
        session.Tell(o => o.RequestsChanged);
        session.Tell(o => o.ConfigChanged);
        session.Tell(o => o.MonitorsChanged);
        session.Tell(o => o.LeadVacant);
        session.Tell(o => o.ReportChanged(null));
    }

    private void TellOfNodes()
    {
        TellAll(s => s.Tell(o => o.NodesChanged));
        foreach (SimulatedClient client in _clients)
        {
            client.Told(Topology!, Version);
        }
    }

    private void TellAll(Action<SimulatedSession> tell)
    {
        foreach (SimulatedSession session in _sessions)
        {
            tell(session);
        }
    }
}

/// <summary>How the ensemble is set up, and how it may be broken.</summary>
internal sealed record ZooKeeperSettings
{
    internal long SessionTimeout { get; init; } = 4 * World.Second;

    /// <summary>A mutant: writes of a deposed leader go through.</summary>
    internal bool NoFence { get; init; }

    /// <summary>A mutant: the topology's version is not compared.</summary>
    internal bool NoVersionCheck { get; init; }
}
