using System.Collections.Immutable;

namespace RedisFailover;

/// <summary>Whether a failover would work at this moment, as the leading monitor sees it.</summary>
/// <param name="Possible">Whether it would.</param>
/// <param name="Candidates">The nodes that could take over, sorted.</param>
/// <param name="Reason">Why, or why not, in plain words.</param>
internal sealed record Readiness(bool Possible, ImmutableArray<NodeAddress> Candidates, string Reason)
{
    /// <summary>How many monitors were alive; 0 where it was read from a znode, whose words say it.</summary>
    public int LiveMonitors { get; init; }

    /// <summary>Of what kind the hindrance is, for the list of problems; null where none is, or where it was read from a znode.</summary>
    public ProblemCode? Hindrance { get; init; }

    /// <summary>Whether both say the same; figures in the reason are left out, but for the number of monitors.</summary>
    internal static bool SayTheSame(Readiness? one, Readiness? other)
        => one == other || (one is not null && other is not null && one.Possible == other.Possible && one.LiveMonitors == other.LiveMonitors
            && one.Candidates.AsSpan().SequenceEqual(other.Candidates.AsSpan()) && Words.SameButForNumbers(one.Reason, other.Reason));

    /// <summary>Compares by content, the list included.</summary>
    public bool Equals(Readiness? other)
        => other is not null && Possible == other.Possible && Reason == other.Reason
            && Candidates.AsSpan().SequenceEqual(other.Candidates.AsSpan());

    /// <inheritdoc/>
    public override int GetHashCode() => HashCode.Combine(Possible, Reason);
}
