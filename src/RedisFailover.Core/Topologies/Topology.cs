using System.Collections.Immutable;

namespace RedisFailover;

/// <summary>What the monitors are doing about the master. In the znode: "ok", "failing-over", "switching-over", "no-master".</summary>
public enum TopologyState
{
    /// <summary>There is a master, and it serves.</summary>
    Ok,

    /// <summary>The master was lost and a replica is being promoted: <see cref="Topology.Master"/> is null, writes wait.</summary>
    FailingOver,

    /// <summary>
    /// The old master, alive, is handing over. Where an operator asked for it <see cref="Topology.Master"/> still names it: it holds the
    /// writes itself, for as short as can be, and what it has held is answered by it or sent to the new one. Where the monitors began it
    /// because the master serves nobody, there is none, and the intent names the old one.
    /// </summary>
    SwitchingOver,

    /// <summary>No master was ever found, or an operator has to choose one; <see cref="Topology.Reason"/> says why.</summary>
    NoMaster,
}

/// <summary>
/// Who is master, who are replicas, who is unavailable: the content of the znode <c>R/nodes</c>.
/// Of two topologies the one with the higher <see cref="Epoch"/> holds; within an epoch the one written later (by zxid).
/// </summary>
public sealed record Topology
{
    /// <summary>A process that lived through more losses of the store than these has been restarted since.</summary>
    private const int MaxFormerIncarnations = 8;

    /// <summary>A node whose file is of more changes of master ago than these make has been copied anew since.</summary>
    private const int MaxReplicationIds = 32;

    internal const int MaxOtherReplicas = 16;

    private readonly MasterIdentity? _identity;

    /// <summary>The topology before the first was written: epoch 0, no nodes, no master.</summary>
    public static Topology None { get; } = new();

    /// <summary>The node that takes writes, or null while there is none.</summary>
    public NodeAddress? Master { get; init; }

    /// <summary>The nodes that follow the master and may be read from. "slaves" in the znode, as redis_failover wrote it.</summary>
    public ImmutableArray<NodeAddress> Replicas { get; init; } = [];

    /// <summary>The configured nodes that may not be used at present.</summary>
    public ImmutableArray<NodeAddress> Unavailable { get; init; } = [];

    /// <summary>Counts the changes of master, from 1; never goes back. 0 in a znode that redis_failover (Ruby) wrote.</summary>
    public long Epoch { get; init; }

    /// <summary>
    /// Which life of the store it belongs to: a random id, made by the writer of the first topology and kept by every other. Epochs are
    /// compared within one only; a leader that finds the store lost or put back begins a new one. Null as older monitors wrote it.
    /// </summary>
    public string? Incarnation { get; init; }

    /// <summary>
    /// The incarnations that this one went on from, the latest last, by the leader that lived through the loss of the store: who is left
    /// from them belongs to this cluster. Empty where nobody did.
    /// </summary>
    public ImmutableArray<string> FormerIncarnations { get; init; } = [];

    /// <summary>What is being done about the master.</summary>
    public TopologyState State { get; init; } = TopologyState.NoMaster;

    /// <summary>Why it was changed, in plain words. For people; nothing is decided by it.</summary>
    public string Reason { get; init; } = "";

    /// <summary>What keeps the monitors from going on; null while nothing does.</summary>
    public WaitCause? Waiting { get; init; }

    /// <summary>When it was changed, by the writer's wall clock (UTC). For people; nothing is decided by it.</summary>
    public DateTimeOffset ChangedAt { get; init; }

    /// <summary>The id of the monitor that wrote it.</summary>
    public string ChangedBy { get; init; } = "";

    /// <summary>
    /// Every node that has held this cluster's data, as master or as replica. A node outside this set that turns up as a master
    /// with data is not made a replica, which would wipe it, but reported.
    /// </summary>
    public ImmutableArray<NodeAddress> Members { get; init; } = [];

    /// <summary>
    /// Who else has copied the master, as it named them: replicas that are not configured, a backup say. That they copy a node does not
    /// make it somebody else's. Sorted, at most 16.
    /// </summary>
    internal ImmutableArray<NodeAddress> OtherReplicas { get; init; } = [];

    /// <summary>The configured nodes that are never promoted: by the monitors' configuration, or by their own replica-priority 0.</summary>
    public ImmutableArray<NodeAddress> NeverPromoted { get; init; } = [];

    /// <summary>The nodes that are not to be read from while they are replicas, by their tag.</summary>
    public ImmutableArray<NodeAddress> NeverRead { get; init; } = [];

    /// <summary>Where nodes stand, by their tag; nodes without one are not in it.</summary>
    public ImmutableSortedDictionary<NodeAddress, string> Zones { get; init; } = ImmutableSortedDictionary<NodeAddress, string>.Empty;

    /// <summary>
    /// The replication identity of the master when this was written; during a failover that of the master that is being replaced,
    /// so that a monitor which takes over in the middle knows whose history a candidate must share.
    /// </summary>
    public MasterIdentity? Identity
    {
        get => _identity;
        init
        {
            _identity = value is null ? null : _identity?.Then(value) ?? value;
            string[] ids = value is null
                ? [] : [.. new[] { value.PreviousReplicationId ?? "", value.ReplicationId }.Where(id => id.Length > 0)];
            ReplicationIds = [.. ReplicationIds.Except(ids).Concat(ids).TakeLast(MaxReplicationIds)];
        }
    }

    /// <summary>
    /// The replication ids of all masters that this cluster has had, the latest last, at most 32: a node that was started from an older
    /// file goes on from one of them, and so is known as this cluster's. Each <see cref="Identity"/> adds its own.
    /// </summary>
    public ImmutableArray<string> ReplicationIds { get; init; } = [];

    /// <summary>The failover under way; null in any other state than failing-over and switching-over.</summary>
    public FailoverIntent? Intent { get; init; }

    /// <summary>Which nodes may hold acknowledged writes; null without write safety.</summary>
    public WriteQuorum? WriteQuorum { get; init; }

    /// <summary>
    /// The last change of master as it stands in the history, or will in a moment; put in by the writer. A leader whose predecessor died
    /// between the two writes it into the history from here. Null where none is known.
    /// </summary>
    internal HistoryEntry? LastChange { get; init; }

    /// <summary>What keeps a configured node that answers from being used, in plain words. Sorted by address.</summary>
    public ImmutableSortedDictionary<NodeAddress, string> Remarks { get; init; } = ImmutableSortedDictionary<NodeAddress, string>.Empty;

    /// <summary>True while a new master is being made.</summary>
    public bool IsChangingMaster => State is TopologyState.FailingOver or TopologyState.SwitchingOver;

    /// <summary>Whether any of these nodes is one of this cluster's; also where it knows no node at all.</summary>
    internal bool KnowsAnyOf(IEnumerable<NodeAddress> nodes)
    {
        ImmutableHashSet<NodeAddress> known = [.. Members, .. Replicas, .. Unavailable];
        known = Master is null ? known : known.Add(Master);
        return known.IsEmpty || nodes.Any(known.Contains);
    }

    /// <summary>The same in a store that was lost or put back; who writes it gives the new incarnation its id.</summary>
    internal Topology AsNewIncarnation() => Incarnation is not { } former ? this : this with
    {
        Incarnation = null, FormerIncarnations = [.. FormerIncarnations.Append(former).TakeLast(MaxFormerIncarnations)],
    };

    /// <summary>Compares by content, lists included.</summary>
    public bool Equals(Topology? other)
        => other is not null
            && Master == other.Master
            && Epoch == other.Epoch
            && Incarnation == other.Incarnation
            && FormerIncarnations.AsSpan().SequenceEqual(other.FormerIncarnations.AsSpan())
            && State == other.State
            && Reason == other.Reason
            && Waiting == other.Waiting
            && ChangedAt == other.ChangedAt
            && ChangedBy == other.ChangedBy
            && Identity == other.Identity
            && ReplicationIds.AsSpan().SequenceEqual(other.ReplicationIds.AsSpan())
            && Intent == other.Intent
            && WriteQuorum == other.WriteQuorum
            && LastChange == other.LastChange
            && Remarks.SequenceEqual(other.Remarks)
            && Zones.SequenceEqual(other.Zones)
            && NeverRead.AsSpan().SequenceEqual(other.NeverRead.AsSpan())
            && Replicas.AsSpan().SequenceEqual(other.Replicas.AsSpan())
            && Unavailable.AsSpan().SequenceEqual(other.Unavailable.AsSpan())
            && Members.AsSpan().SequenceEqual(other.Members.AsSpan())
            && OtherReplicas.AsSpan().SequenceEqual(other.OtherReplicas.AsSpan())
            && NeverPromoted.AsSpan().SequenceEqual(other.NeverPromoted.AsSpan());

    /// <inheritdoc/>
    public override int GetHashCode() => HashCode.Combine(Master, Epoch, State, ChangedAt, ChangedBy, Replicas.Length, Unavailable.Length);
}

/// <summary>Which data set a master holds. Redis: INFO replication and INFO server.</summary>
/// <param name="RunId">Redis' run id: another one means that the process was restarted.</param>
/// <param name="ReplicationId">master_replid: the history that replicas of this master share.</param>
/// <param name="PreviousReplicationId">master_replid2: the history that it continued when it was promoted itself; null when none.</param>
/// <param name="Offset">The replication offset, in bytes, when it was last seen.</param>
/// <param name="HasData">Whether it held any key when it was last seen.</param>
public sealed record MasterIdentity(string RunId, string ReplicationId, string? PreviousReplicationId, long Offset, bool HasData)
{
    /// <summary>
    /// second_repl_offset: the offset up to which the previous history is its own, plus 1; -1 when there is none or it is not known. A node
    /// that went on with the previous history beyond it has nothing of this master's from there on.
    /// </summary>
    public long PreviousHistoryEnd { get; init; } = -1;

    /// <summary>The histories before <see cref="PreviousReplicationId"/>: no node tells them, so they are kept. Null for none.</summary>
    internal FormerHistory? Former { get; init; }

    /// <summary>
    /// What is known when the master is heard again, or the next one for the first time. One that was without replicas for repl-backlog-ttl
    /// draws another replication id and names none before it, though its data go on: a replica that was away shares its history. Up to
    /// where is not known, as before Redis 7.2 the offset stands still while nobody copies it, and writes go on.
    /// </summary>
    internal MasterIdentity Then(MasterIdentity heard)
    {
        MasterIdentity next = heard.RunId != RunId || heard.PreviousReplicationId is not null ? heard
            : heard.ReplicationId == ReplicationId
                ? heard with { PreviousReplicationId = PreviousReplicationId, PreviousHistoryEnd = PreviousHistoryEnd }
                : heard with { PreviousReplicationId = ReplicationId, PreviousHistoryEnd = -1 };
        return next.Former is not null || next.PreviousReplicationId is not { } previous ? next : next with
        {
            Former = previous == PreviousReplicationId ? Former
                : previous == ReplicationId && PreviousReplicationId is { } before
                    ? new FormerHistory(before, PreviousHistoryEnd) { Before = Former?.Latest(FormerHistory.Most - 1) }
                    : null,
        };
    }
}

/// <summary>A history that masters before had: two changes of master in a row leave replicas that never followed the one between.</summary>
/// <param name="Id">The replication id.</param>
/// <param name="End">The first offset beyond it, as second_repl_offset; -1 where that is not known.</param>
internal sealed record FormerHistory(string Id, long End)
{
    /// <summary>A replica that was away for more changes of master than these is copied anew.</summary>
    internal const int Most = 8;

    /// <summary>The one that it continued; null where that is not known.</summary>
    internal FormerHistory? Before { get; init; }

    /// <summary>This one and those before it, the latest first.</summary>
    internal IEnumerable<FormerHistory> All()
    {
        for (FormerHistory? history = this; history is not null; history = history.Before)
        {
            yield return history;
        }
    }

    /// <summary>The latest of them, one at least.</summary>
    internal FormerHistory Latest(int count) => this with { Before = count <= 1 ? null : Before?.Latest(count - 1) };
}

/// <summary>A change of master that has been announced and is not finished. Written before the first command of a failover.</summary>
/// <param name="From">The master that is being replaced; null when there was none.</param>
/// <param name="Target">The replica that the operator named; null when any will do.</param>
public sealed record FailoverIntent(NodeAddress? From, NodeAddress? Target)
{
    /// <summary>Why the change began, in plain words: for the history when it ends.</summary>
    public string Occasion { get; init; } = "";

    /// <summary>The epoch in which it began: whoever takes it over begins another. 0 where a monitor before 0.2 wrote it.</summary>
    internal long BegunIn { get; init; }

    /// <summary>
    /// Whether the monitor that began it had heard the master itself, so that what the topology says of it is of its end, not of long ago.
    /// False where a monitor of before this was known wrote it.
    /// </summary>
    internal bool MasterWasHeard { get; init; }

    /// <summary>The operator's request that it fulfils (the name of its znode); null when there is none.</summary>
    public string? Request { get; init; }

    /// <summary>Of a switchover: how long writes may be held; null: as the monitors are configured.</summary>
    public TimeSpan? Timeout { get; init; }

    /// <summary>Whether the operator takes the target as it is, whatever it lacks.</summary>
    public bool Forced { get; init; }

    /// <summary>
    /// Of a switchover from a Redis before 6.2: its operator's min-replicas-to-write, which is raised to make it refuse writes and has to
    /// be put back, whoever does that. Null where it was 0, is not touched, or is not known.
    /// </summary>
    public int? MinReplicas { get; init; }

    /// <summary>
    /// When the change began, by the wall clock (UTC) of the monitor that began it: with the lost master's first failure, or with
    /// the decision. Put in by the writer; null where it is not known. For people; nothing is decided by it.
    /// </summary>
    public DateTimeOffset? Since { get; init; }
}

/// <summary>What a change of master, or its beginning, waits for.</summary>
/// <param name="Code">The code of the problem that it is: "no-candidate", "write-quorum-unmet", "failover-held-back" and others.</param>
/// <param name="Nodes">The nodes that would end it, or are concerned; sorted.</param>
public sealed record WaitCause(string Code, ImmutableArray<NodeAddress> Nodes)
{
    /// <summary>The code while failover-interval holds the next failover back.</summary>
    internal const string HeldBack = "failover-held-back";

    /// <summary>Compares by content, the list included.</summary>
    public bool Equals(WaitCause? other) => other is not null && Code == other.Code && Nodes.AsSpan().SequenceEqual(other.Nodes.AsSpan());

    /// <inheritdoc/>
    public override int GetHashCode() => HashCode.Combine(Code, Nodes.Length);
}
