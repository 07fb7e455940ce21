using System.Globalization;
using RedisFailover.Monitor.Redis;

namespace RedisFailover.UnitTests.Simulation;

/// <summary>
/// A Redis node, as far as failovers go: run id, replication ids and offsets, backlog, full and partial resynchronisation, snapshots,
/// older ones, append-only files, loading, CLIENT PAUSE, WAIT, min-replicas-to-write, MISCONF. Modelled on Redis 7.0.
/// </summary>
internal sealed partial class SimulatedRedis(World world, Network network, int place, NodeAddress address, Dice dice,
    RedisSettings settings, Ledger ledger)
    : Process(world, network, place, address.Host)
{
    private readonly List<(long Offset, SimulatedClient.Write Write, NodeConnection Connection)> _waits = [];
    private readonly List<(NodeConnection Connection, Action Run)> _held = [];
    private MinReplicas _minReplicas = settings.MinReplicas;
    private MinReplicas _configuredMinReplicas = settings.MinReplicas;
    private NodeAddress? _configuredMaster;

    internal NodeAddress Address => address;

    internal HashSet<NodeConnection> Connections { get; } = [];

    internal string RunId { get; private set; } = "";

    internal string ReplicationId { get; private set; } = "";

    /// <summary>When it was last told whom to follow.</summary>
    internal long OrderedAt { get; private set; }

    /// <summary>When its run began.</summary>
    internal long StartedAt { get; private set; }

    internal Commit? Data { get; private set; }

    internal long Offset { get; private set; }

    internal bool IsMaster => _master is null && !_isDetached;

    internal NodeAddress? MasterAddress => _isDetached ? NodeInfo.Nowhere : _master?.Address;

    internal bool IsLoading { get; private set; }

    internal bool IsSyncing => _state == LinkState.Copying;

    internal bool IsLinked => _state == LinkState.Up;

    internal int Priority { get; init; } = 100;

    internal long PausedUntil { get; private set; }

    /// <summary>When it last became what it is: promoted, told to follow, or copied a data set.</summary>
    internal long ChangedAt { get; private set; }

    private string? Previous { get; set; }

    private long PreviousEnd { get; set; } = -1;

    /// <summary>Whom it refuses for their credentials.</summary>
    internal HashSet<Process> Denied { get; } = [];

    /// <summary>Whether it takes no more connections (maxclients); those that are there are served.</summary>
    internal bool IsFull { get; private set; }

    /// <summary>When it last refused somebody his word, or let him in again.</summary>
    internal long RefusedAt { get; private set; } = long.MinValue / 2;

    internal bool IsRefusing => Denied.Count > 0 || IsFull;

    /// <summary>Whether its disk is full: no snapshot, and no writes as a master.</summary>
    internal bool CannotSave { get; set; }

    internal int MinReplicasToWrite => _minReplicas.Count;

    /// <summary>Why it takes no writes, but for a pause; null when it does.</summary>
    internal string? Refusal => IsLoading ? "LOADING"
        : !IsMaster ? "READONLY"
        : CannotSave ? "MISCONF"
        : _minReplicas.Count > 0
            && _replicas.Count(r => r.IsAttached && World.Now - r.HeardByMaster <= _minReplicas.MaxLag * World.Second) < _minReplicas.Count
                ? "NOREPLICAS"
        : null;

    internal void Deny(IEnumerable<Process> whom, bool endsConnections)
    {
        Process[] those = [.. whom];
        Denied.UnionWith(those);
        if (endsConnections)
        {
            Close(c => those.Contains(c.Owner));
        }
    }

    internal void Allow(IEnumerable<Process> whom)
    {
        Denied.ExceptWith(whom);
        RefusedAt = World.Now;
    }

    internal void Fill(bool endsConnections)
    {
        IsFull = true;
        if (endsConnections)
        {
            Close(_ => true);
        }
    }

    internal void Empty()
    {
        IsFull = false;
        RefusedAt = World.Now;
    }

    /// <summary>A command of a monitor, as Redis answers it.</summary>
    internal RespValue Execute(string[] command, NodeConnection from)
    {
        string? error = null;
        switch (command)
        {
            case ["REPLICAOF", "NO", "ONE"]:
                error = ReplicaOf(null);
                break;
            case ["REPLICAOF", var host, var port]:
                var master = new NodeAddress(host, Number(port));
                error = master == NodeInfo.Nowhere ? Detach() : ReplicaOf(ledger.Node(master));
                break;
            case ["CONFIG", "SET", "min-slaves-to-write", var count]:
                _minReplicas = _minReplicas with { Count = Number(count) };
                break;
            case ["CONFIG", "SET", "min-slaves-max-lag", var seconds]:
                _minReplicas = _minReplicas with { MaxLag = Number(seconds) };
                break;
            case ["CONFIG", "REWRITE"]:
                RewriteConfiguration();
                break;
            case ["CLIENT", "PAUSE", var millis, "WRITE"]:
                PauseWrites(Number(millis) * World.Ms);
                break;
            case ["CLIENT", "UNPAUSE"]:
                ResumeWrites();
                break;
            case ["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]:
                Close(c => c != from);
                break;
            case ["PUBLISH", ..]:
                break;
            default:
                throw new InvalidOperationException($"the simulated Redis does not know {string.Join(' ', command)}");
        }

        return error is null ? RespValue.String("OK") : RespValue.Error(error);

        static int Number(string text) => int.Parse(text, CultureInfo.InvariantCulture);
    }

    /// <summary>Ends the connections of former leaders; see FormerLeaderFence.</summary>
    internal void EndFormerLeaders(NodeConnection from, int term)
    {
        from.Term = term;
        Close(c => c != from && c.Term > 0 && c.Term < term);
    }

    internal NodeInfo Info()
    {
        NodeInfo info = Said();
        ledger.Said(this, info);
        return info;
    }

    private NodeInfo Said() => new()
    {
        Role = IsMaster ? NodeRole.Master : NodeRole.Replica,
        RunId = RunId,
        ReplicationId = ReplicationId,
        PreviousReplicationId = Previous,
        PreviousHistoryEnd = PreviousEnd,
        Offset = Offset,
        MasterAddress = MasterAddress,
        LinkUp = IsLinked,
        SyncInProgress = IsSyncing,
        Priority = Priority,
        Loading = IsLoading,
        Keys = Data?.Depth ?? 0,
        Attached = IsMaster && ledger.IsWriteSafe
            ? [.. _replicas.Where(r => r.IsAttached).Select(r => r.Replica.Address).Distinct().Order()] : [],
        MinReplicas = _minReplicas,
        SaveFailed = CannotSave && !Appends,
        StopsWritesOnSaveError = true,
        AppendFailed = CannotSave && Appends,
        AppendsOnly = Appends,
        AppendsAll = HasAllInItsFile,
        AppendedBytes = Appends ? _file.Bytes : null,
        AppendedBase = Appends ? _file.Base : null,
        SavePoints = Persistence switch { Persistence.Snapshots => null, _ => "" },
        Version = "7.0.15",
    };

    internal void Write(SimulatedClient.Write write, NodeConnection connection, Action<string?> answer)
    {
        if ((IsLoading || !IsMaster || PausedUntil <= World.Now) && Refusal is { } refusal)
        {
            answer(refusal);
            return;
        }

        if (PausedUntil > World.Now)
        {
            _held.Add((connection, () => Write(write, connection, answer)));
            return;
        }

        var made = new Commit(Data, write.Number);
        write.Made = made;
        write.On = this;
        write.RunBeganAt = StartedAt;
        write.Answer = answer;
        Append(Offset + (HasBacklog ? 60 : 1), made, write.Waits);
        ledger.Written(this, write);
        if (!write.Waits)
        {
            Acknowledge(write, false);
            return;
        }

        _waits.Add((Offset, write, connection));
        After(World.Second / 2, () =>
        {
            if (_waits.RemoveAll(w => ReferenceEquals(w.Write, write)) > 0)
            {
                Acknowledge(write, false);
            }
        });
    }

    private void PauseWrites(long length)
    {
        PausedUntil = Math.Max(PausedUntil, World.Now + length);
        After(length, LetGo);
    }

    private void ResumeWrites()
    {
        PausedUntil = 0;
        LetGo();
    }

    private void RewriteConfiguration()
    {
        if (settings.HasFile && !_isDetached)
        {
            _configuredMaster = _master?.Address;
            _configuredMinReplicas = _minReplicas;
        }
    }

    private void Close(Func<NodeConnection, bool> which)
    {
        foreach (NodeConnection connection in Connections.Where(which).OrderBy(c => c.Owner.Place).ToArray())
        {
            Connections.Remove(connection);
            connection.Close();
        }
    }

    protected override void Started()
    {
        (Commit? Data, string? ReplicationId, long Offset)? disk = FromDisk();
        _minReplicas = _configuredMinReplicas;
        RunId = NewId("run");
        StartedAt = World.Now;
        ReplicationId = NewId("repl");
        (Previous, PreviousEnd, Offset, Data, PausedUntil) = (null, -1, 0, null, 0);
        NoBacklog();
        IsOrderedByHand = _isDetached = false;
        _master = _configuredMaster is { } configured ? ledger.Node(configured) : null;
        ChangedAt = World.Now;
        ledger.Reborn(this);
        if (disk is { } saved)
        {
            IsLoading = true;
            After(dice.Between(0, 2 * settings.LoadTime), () =>
            {
                IsLoading = false;
                Data = saved.Data;
                if (saved.ReplicationId is { } id)
                {
                    Continue(id, saved.Offset);
                }

                Tell($"loaded its {(Appends ? "append-only file" : "snapshot")}, offset {Offset}, data {Data}");
                TryLink();
            });
        }
        else
        {
            IsLoading = false;
            TryLink();
        }

        Tell($"starts as {(IsMaster ? "a master" : $"a replica of {_master!.Name}")}{(disk is null ? ", empty" : "")}");
        After(World.Second, Cron);
    }

    /// <summary>A snapshot tells whose history it goes on; an append-only file does not.</summary>
    private void Continue(string id, long offset)
    {
        Offset = offset;
        if (IsMaster)
        {
            (Previous, PreviousEnd) = (id, offset + 1);
        }
        else
        {
            ReplicationId = id;
        }

        BeginBacklog();
    }

    protected override void Ended()
    {
        LoseWhatIsNotSynced();
        foreach (NodeConnection connection in Connections.OrderBy(c => c.Owner.Place).ToArray())
        {
            connection.Close();
        }

        Connections.Clear();
        _waits.Clear();
        _held.Clear();
        CloseLink(tellMaster: true);
        DropReplicas();
        ledger.Gone(this);
    }

    private void Cron()
    {
        Save();
        CheckLinks();
        After(World.Second, Cron);
    }

    private void LetGo()
    {
        if (PausedUntil > World.Now)
        {
            return;
        }

        (NodeConnection Connection, Action Run)[] held = [.. _held];
        _held.Clear();
        foreach ((NodeConnection connection, Action run) in held)
        {
            if (Connections.Contains(connection))
            {
                run();
            }
        }
    }

    private void Acknowledge(SimulatedClient.Write write, bool replicated)
    {
        write.Replicated = replicated;
        write.Answer!(null);
    }

    private string NewId(string kind) => $"{kind}-{Name}-{ledger.NextId()}";
}
