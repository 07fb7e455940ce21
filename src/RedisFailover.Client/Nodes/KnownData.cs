namespace RedisFailover.Client;

/// <summary>Whether a topology of another incarnation may be followed.</summary>
/// <param name="Followed">Its master answers as master of the data that are known.</param>
/// <param name="HoldsWrites">
/// Whether our data may have another master by now, so that nothing is to be written to the one that is known before that is clear.
/// </param>
/// <param name="Reason">Why it is not followed, as the end of a sentence.</param>
internal readonly record struct IncarnationVerdict(bool Followed, bool HoldsWrites, string Reason);

/// <summary>The data set that this client works with, known by the ids of the masters that it followed. It tells a cluster whose store was
/// lost from somebody else's under the same path. Thread-safe.</summary>
internal sealed class KnownData
{
    private const int Kept = 16;
    private readonly List<MasterIdentity> _masters = [];

    /// <summary>A master that was followed, as it or its topology describes it.</summary>
    public void Add(MasterIdentity? master)
    {
        if (master is null)
        {
            return;
        }

        // What grows with each write tells nothing here.
        MasterIdentity ids = master with { Offset = 0, HasData = false, PreviousHistoryEnd = -1, Former = null };
        lock (_masters)
        {
            if (_masters.Contains(ids))
            {
                return;
            }

            _masters.Add(ids);
            if (_masters.Count > Kept)
            {
                _masters.RemoveAt(0);
            }
        }
    }

    /// <summary>By what its master and the one in force say; null where one does not answer.</summary>
    public IncarnationVerdict Judge(Topology next, NodeInfo? named, Topology inForce, NodeInfo? serving)
    {
        bool isClaimed = next.Identity is { } claimed && Knows(claimed);
        bool isElsewhere = next.Master != inForce.Master;
        if (named is not { Role: NodeRole.Master })
        {
            string reason = next.Master is not { } master ? "it names no master"
                : named is null ? $"{master} does not answer"
                : $"{master} answers as a replica";
            return new IncarnationVerdict(false, isElsewhere && isClaimed, reason);
        }

        if (!isElsewhere || HoldsWhatIsServed(named, serving))
        {
            return new IncarnationVerdict(true, false, "");
        }

        if (!Knows(named.Identity))
        {
            return new IncarnationVerdict(false, false, $"{next.Master} holds other data (replication id {named.ReplicationId})");
        }

        // It lacks what was written since the two parted; and the one that is written to may be demoted at any moment.
        return new IncarnationVerdict(false, true, $"{inForce.Master} is master as well, and {next.Master} does not continue its history");
    }

    private bool HoldsWhatIsServed(NodeInfo named, NodeInfo? serving) => serving switch
    {
        { Role: NodeRole.Master } => Related(named.Identity, serving.Identity with { PreviousReplicationId = null }),
        { Role: NodeRole.Replica } when serving.ReplicationId == named.ReplicationId && named.ReplicationId.Length > 0 => true,
        _ => Knows(named.Identity),
    };

    private bool Knows(MasterIdentity master)
    {
        lock (_masters)
        {
            return _masters.Exists(known => Related(known, master));
        }
    }

    private static bool Related(MasterIdentity one, MasterIdentity other)
        => IsSame(one.RunId, other.RunId)
            || IsSame(one.ReplicationId, other.ReplicationId)
            || IsSame(one.ReplicationId, other.PreviousReplicationId)
            || IsSame(one.PreviousReplicationId, other.ReplicationId)
            || IsSame(one.PreviousReplicationId, other.PreviousReplicationId);

    private static bool IsSame(string? one, string? other) => one is { Length: > 0 } && one == other;
}
