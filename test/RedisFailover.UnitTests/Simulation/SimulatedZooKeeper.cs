using System.Collections.Immutable;

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
/// The ensemble as one: linearizable, expires sessions, and while it has no quorum answers nobody and expires nobody.
/// </summary>
internal sealed class SimulatedZooKeeper(World world, Network network, int place, Ledger ledger, ZooKeeperSettings settings)
    : Process(world, network, place, "zk")
{
    private readonly List<SimulatedSession> _sessions = [];
    private readonly SortedDictionary<string, (SimulatedSession Owner, MonitorReport Report)> _monitors = new(StringComparer.Ordinal);
    private readonly List<SimulatedClient> _clients = [];

    internal byte[]? Nodes { get; private set; }

    internal int Version { get; private set; } = -1;

    internal string? Wish { get; private set; }

    /// <summary>What operators ask for and nobody has answered yet, the oldest first.</summary>
    internal ImmutableArray<OperatorRequest> Requests { get; private set; } = [];

    internal ClusterConfig? Config { get; private set; }

    internal int ConfigVersion { get; private set; } = -1;

    /// <summary>Since when failover is switched off; null while it is on.</summary>
    internal long? PausedSince { get; private set; }

    /// <summary>When it was last switched on again.</summary>
    internal long ResumedAt { get; private set; } = long.MinValue / 2;

    internal bool IsFailoverPaused => Config?.Pause is { } pause && !(pause.Until <= Wall);

    internal int Term { get; private set; }

    internal SimulatedSession? Leader { get; private set; }

    internal long LeaderSince { get; private set; }

    internal long HistoryEpoch { get; private set; }

    internal List<HistoryEntry> History { get; } = [];

    /// <summary>What the znode holds, read again from its bytes.</summary>
    internal Topology? Topology { get; private set; }

    /// <summary>What the clocks on everybody's walls show.</summary>
    internal DateTimeOffset Wall => DateTimeOffset.UnixEpoch + TimeSpan.FromTicks(World.Now);

    internal void Subscribe(SimulatedClient client) => _clients.Add(client);

    internal SimulatedSession Open(SimulatedZooKeeperClient owner)
    {
        var session = new SimulatedSession(owner) { HeardAt = World.Now };
        _sessions.Add(session);
        return session;
    }

    /// <summary>One multi: all or nothing. The znode's new version, or the error's name.</summary>
    internal (int Version, string? Error) Publish(SimulatedSession session, int term, PublishTopology publication, string by)
    {
        bool fenced = !settings.NoFence && term != Term;
        if (fenced)
        {
            return (-1, "fence");
        }

        if (!settings.NoVersionCheck && publication.ExpectedVersion != Version)
        {
            return (-1, "BadVersion");
        }

        if (publication.Request is { } step && !IsPending(step))
        {
            return (-1, "BadVersion");
        }

        Topology next = publication.Next with { ChangedBy = by };
        next = next.Intent is { Since: null } intent ? next with { Intent = intent with { Since = Wall } } : next;
        byte[] bytes = TopologyJson.Write(next);
        Topology before = Topology ?? Topology.None;
        Nodes = bytes;
        Topology = TopologyJson.Parse(bytes);
        Version++;
        if (publication.ClearsWish)
        {
            SetWish(null);
        }

        if (publication.Record is { } record)
        {
            History.Add(record);
            HistoryEpoch = Math.Max(HistoryEpoch, record.Epoch);
        }

        if (publication.Request is { Answer: not null } answered)
        {
            Answer(answered);
        }

        ledger.Published(session.Owner.Monitor, term, Version - 1, before, Topology, publication);
        TellOfNodes();
        return (Version, null);
    }

    /// <summary>Somebody writes the topology again as it is: another version, the same content.</summary>
    internal void Touch()
    {
        if (Nodes is not null)
        {
            Version++;
            TellOfNodes();
        }
    }

    internal void SetWish(string? wish)
    {
        if (Wish != wish)
        {
            Wish = wish;
            TellAll(s => s.Tell(o => o.WishChanged));
        }
    }

    internal void Ask(OperatorRequest request)
    {
        Requests = Requests.Add(request);
        TellAll(s => s.Tell(o => o.RequestsChanged));
    }

    /// <summary>The answer to a request; false where it has one already.</summary>
    internal bool Answer(RequestStep step)
    {
        if (!IsPending(step))
        {
            return false;
        }

        Tell($"{step.Request.Id} is answered: {step.Answer!.Outcome}, {step.Answer.Reason}");
        Requests = Requests.RemoveAll(r => r.Id == step.Request.Id);
        Ledger.Answered(step, Topology);
        TellAll(s => s.Tell(o => o.RequestsChanged));
        return true;
    }

    /// <summary>The configuration's new version; null where it was not read, or the request has been answered.</summary>
    internal (int Version, ClusterConfig Written)? Publish(PublishConfig publication)
    {
        if (publication.ExpectedVersion != ConfigVersion || (publication.Request is { } step && !Answer(step)))
        {
            return null;
        }

        ClusterConfig next = publication.Next.Pause is { Since: var since } pause && since == default
            ? publication.Next with { Pause = pause with { Since = Wall, Until = Wall + pause.For } } : publication.Next;
        ResumedAt = PausedSince is not null && next.Pause is null ? World.Now : ResumedAt;
        PausedSince = next.Pause is null ? null : PausedSince ?? World.Now;
        Config = next;
        ConfigVersion++;
        TellAll(s => s.Tell(o => o.ConfigChanged));
        return (ConfigVersion, next);
    }

    private bool IsPending(RequestStep step) => Requests.Any(r => r.Id == step.Request.Id);

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
