using System.Collections.Immutable;

namespace RedisFailover;

/// <summary>Redis' two settings by which a master without replicas in step refuses writes.</summary>
/// <param name="Count">min-replicas-to-write: how many replicas have to be in step. 0: none.</param>
/// <param name="MaxLag">min-replicas-max-lag: for how many seconds a replica may be silent and still counts.</param>
public sealed record MinReplicas(int Count, int MaxLag)
{
    /// <summary>What Redis has unless told otherwise.</summary>
    public static MinReplicas Default { get; } = new(0, 10);

    /// <summary>More replicas than anybody has: what makes a Redis before 6.2, which cannot pause writes alone, refuse them.</summary>
    internal const int Refusing = 1_000_000;
}

/// <summary>
/// Which nodes may hold a write that clients were told is safe (<c>WAIT K</c>): what a failover has to find again. Part of the
/// topology under write safety <c>replicated</c>.
/// </summary>
/// <param name="Quorum">K: how many replicas hold a write before it counts as safe.</param>
/// <param name="Replicas">The n nodes of which at least K hold each such write, sorted.</param>
/// <param name="MinReplicas">A master that is cut off with fewer replicas than this refuses writes by itself.</param>
/// <param name="Before">What the operator had set on the first master that was managed; put back when this is switched off.</param>
public sealed record WriteQuorum(int Quorum, ImmutableArray<NodeAddress> Replicas, int MinReplicas, MinReplicas Before)
{
    /// <summary>In <see cref="Runs"/>: whatever run it shows, it does not count before it has had all that the master had.</summary>
    internal const string Unproven = "";

    /// <summary>
    /// The run id of each of <see cref="Replicas"/>, as far as known. One that shows another was restarted: what it had acknowledged may be
    /// gone, and it does not count, and its new run id does not stand here, before it has had all that the master had. Empty for one that
    /// came while there were fewer than K: it is told in the same way.
    /// </summary>
    public ImmutableSortedDictionary<NodeAddress, string> Runs { get; init; } = ImmutableSortedDictionary<NodeAddress, string>.Empty;

    /// <summary>
    /// How many of <see cref="Replicas"/> have to answer so that each such write is on one of them: n - K + 1, 1 at least.
    /// </summary>
    public int Needed => Math.Max(1, Replicas.Length - Quorum + 1);

    /// <summary>Compares by content, the list included.</summary>
    public bool Equals(WriteQuorum? other)
        => other is not null && Quorum == other.Quorum && MinReplicas == other.MinReplicas && Before == other.Before
            && Replicas.AsSpan().SequenceEqual(other.Replicas.AsSpan()) && Runs.SequenceEqual(other.Runs);

    /// <inheritdoc/>
    public override int GetHashCode() => HashCode.Combine(Quorum, Replicas.Length, MinReplicas);
}
