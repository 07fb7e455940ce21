using StackExchange.Redis;

namespace RedisFailover.Client;

/// <summary>
/// What every call looks at, once: the topology and the nodes that are connected. Immutable; replaced as a whole.
/// </summary>
internal sealed class Snapshot
{
    [ThreadStatic]
    private static uint t_turn;

    private readonly TaskCompletionSource _superseded = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly LiveNode[] _readers;

    public Snapshot(Topology topology, LiveNode? master, LiveNode[] replicas, ReadFrom readFrom, bool fenced = false)
    {
        Topology = topology;
        Master = fenced ? null : master;
        Fenced = fenced;
        Replicas = replicas;
        _readers = Readers(readFrom, master);
    }

    public Topology Topology { get; }

    /// <summary>The master, once its multiplexer lets writes through; null while writes have to wait.</summary>
    public LiveNode? Master { get; }

    /// <summary>Whether writes are held because ZooKeeper cannot be reached.</summary>
    public bool Fenced { get; }

    /// <summary>The replicas that are connected.</summary>
    public LiveNode[] Replicas { get; }

    /// <summary>Completes when a newer snapshot has taken this one's place.</summary>
    public Task Superseded => _superseded.Task;

    /// <summary>The node for a call, or null when it has to wait for one.</summary>
    /// <exception cref="ArgumentException">A write that demands a replica.</exception>
    public LiveNode? NodeFor(CommandClass kind, CommandFlags flags)
    {
        CommandFlags role = flags & StackExchangeVersion.RoleMask;
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
            return role == StackExchangeVersion.DemandReplica
                ? throw new ArgumentException("This call writes and its flags demand a replica; allowed: no role, DemandMaster, or a preference.", nameof(flags))
                : Master;
        }

        LiveNode? replica = InTurn(Replicas);
        return role == StackExchangeVersion.DemandReplica ? replica : replica ?? Master;
    }

    public bool Uses(LiveNode node) => Master == node || Array.IndexOf(Replicas, node) >= 0;

    public void Supersede() => _superseded.TrySetResult();

    public bool SameNodes(Snapshot other)
        => Master == other.Master && Fenced == other.Fenced && Replicas.AsSpan().SequenceEqual(other.Replicas) && _readers.AsSpan().SequenceEqual(other._readers);

    // A turn per thread: callers share no counter to contend for.
    private static LiveNode? InTurn(LiveNode[] nodes) => nodes.Length switch
    {
        0 => null,
        1 => nodes[0],
        _ => nodes[(int)(++t_turn % (uint)nodes.Length)],
    };

    private LiveNode[] Readers(ReadFrom readFrom, LiveNode? connectedMaster)
    {
        LiveNode[] master = connectedMaster is null ? [] : [connectedMaster];
        return readFrom switch
        {
            ReadFrom.Master => Fenced ? [] : master,
            ReadFrom.Replica => Replicas,
            ReadFrom.Nearest => [.. Replicas.Concat(master).OrderBy(node => node.Latency).Take(1)],
            _ => Replicas.Length > 0 ? Replicas : master,
        };
    }
}
