namespace RedisFailover.Client;

/// <summary>Why writes are held although the master may be connected.</summary>
[Flags]
internal enum WriteHold
{
    /// <summary>They are not.</summary>
    None = 0,

    /// <summary>ZooKeeper cannot be reached: <see cref="WhenDisconnected.FenceWrites"/>.</summary>
    ZooKeeperSilent = 1,

    /// <summary>A topology of another incarnation names another master of our data, and whether it is that is not known yet.</summary>
    OtherIncarnation = 2,
}

/// <summary>What every call looks at, once: the topology and the nodes that are connected. Immutable; replaced as a whole.</summary>
internal sealed class Snapshot
{
    [ThreadStatic]
    private static uint t_turn;

    private readonly TaskCompletionSource _superseded = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly LiveNode[] _readers;
    private readonly LiveNode[] _replicaReaders;

    /// <summary>Of what is connected; fresh are the replicas whose lag is within bounds, null for all.</summary>
    public Snapshot(
        Topology topology, LiveNode? master, LiveNode[] replicas, ReadFrom readFrom, LiveNode[]? fresh = null,
            WriteHold hold = WriteHold.None)
    {
        Topology = topology;
        ConnectedMaster = master;
        Master = hold == WriteHold.None ? master : null;
        Hold = hold;
        Replicas = replicas;
        _replicaReaders = Preferred(fresh ?? replicas);
        _readers = Readers(readFrom, fresh ?? replicas);
    }

    public Topology Topology { get; }

    /// <summary>The master, once its multiplexer lets writes through; null while writes have to wait.</summary>
    public LiveNode? Master { get; }

    /// <summary>The same, also while writes are held.</summary>
    public LiveNode? ConnectedMaster { get; }

    /// <summary>Why writes are held.</summary>
    public WriteHold Hold { get; }

    /// <summary>The replicas that are connected.</summary>
    public LiveNode[] Replicas { get; }

    /// <summary>Completes when a newer snapshot has taken this one's place.</summary>
    public Task Superseded => _superseded.Task;

    /// <summary>The node for a call, or null when it has to wait for one.</summary>
    /// <exception cref="ArgumentException">A write that demands a replica.</exception>
    public LiveNode? NodeFor(CommandClass kind, CommandFlags flags)
    {
        CommandFlags role = flags.Role();
        if (role == CommandFlags.None)
        {
            return kind == CommandClass.Write ? Master : InTurn(_readers);
        }

        if (role == CommandFlags.DemandMaster)
        {
            return Master;
        }

        if (kind == CommandClass.Write)
        {
            return role == CommandFlags.DemandReplica
                ? throw new ArgumentException(
                    "This call writes and its flags demand a replica; allowed: no role, DemandMaster, or a preference.", nameof(flags))
                : Master;
        }

        LiveNode? replica = InTurn(_replicaReaders);
        return role == CommandFlags.DemandReplica ? replica : replica ?? (kind == CommandClass.Unsure ? Master : ConnectedMaster);
    }

    public bool Uses(LiveNode node) => ConnectedMaster == node || Array.IndexOf(Replicas, node) >= 0;

    public void Supersede() => _superseded.TrySetResult();

    public bool SameNodes(Snapshot other)
        => Master == other.Master && ConnectedMaster == other.ConnectedMaster && Hold == other.Hold
            && Replicas.AsSpan().SequenceEqual(other.Replicas)
            && _readers.AsSpan().SequenceEqual(other._readers) && _replicaReaders.AsSpan().SequenceEqual(other._replicaReaders);

    private static LiveNode? InTurn(LiveNode[] nodes) => nodes.Length switch
    {
        0 => null,
        1 => nodes[0],
        _ => nodes[(int)(((ulong)NextTurn() * (uint)nodes.Length) >> 32)],
    };

    // A sequence per thread: callers share no counter to contend for. Scattered, not a plain count: callers whose own calls
    // alternate, a large one and a small one, would send all the large ones to the same replica.
    private static uint NextTurn()
    {
        uint turn = t_turn;
        if (turn == 0)
        {
            turn = (uint)Environment.CurrentManagedThreadId * 2654435769;
        }

        return t_turn = (turn * 1664525) + 1013904223;
    }

    private LiveNode[] Readers(ReadFrom readFrom, LiveNode[] fresh)
    {
        LiveNode[] master = ConnectedMaster is null ? [] : [ConnectedMaster];
        return readFrom switch
        {
            ReadFrom.Master => Hold == WriteHold.None ? master : [],
            ReadFrom.Replica => _replicaReaders,
            ReadFrom.Nearest => [.. Preferred([.. fresh, .. master]).OrderBy(node => node.Latency).Take(1)],
            _ => _replicaReaders.Length > 0 ? _replicaReaders : master,
        };
    }

    private static LiveNode[] Preferred(LiveNode[] nodes)
        => Array.FindAll(nodes, node => node.IsPreferred) is { Length: > 0 } preferred ? preferred : nodes;
}
