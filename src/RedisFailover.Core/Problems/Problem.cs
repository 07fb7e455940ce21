using System.Collections.Immutable;

namespace RedisFailover;

/// <summary>
/// Something that needs a person. Whoever finds it says what it is; since when is added where it is kept (<see cref="Since"/>), so
/// that the decider needs no wall clock.
/// </summary>
/// <param name="Code">What kind it is.</param>
/// <param name="Subjects">The nodes ("host:port") or monitors (ids) concerned, sorted.</param>
/// <param name="Message">One sentence: what is wrong, with whom. Figures in it may change without its being another problem.</param>
internal sealed record Problem(ProblemCode Code, ImmutableArray<string> Subjects, string Message)
{
    /// <summary>How bad it is; as the catalogue says unless set.</summary>
    public ProblemSeverity Severity { get; init; } = Code.Severity;

    /// <summary>What to do; as the catalogue says unless set.</summary>
    public string Advice { get; init; } = Code.Advice;

    /// <summary>Since when, in UTC; null until whoever keeps the list has added it.</summary>
    public DateTimeOffset? Since { get; init; }

    /// <summary>
    /// Since when, on the monotonic clock of the monitor that found it; null: since it was first found. Not written anywhere.
    /// </summary>
    public TimeSpan? From { get; init; }

    /// <summary>A problem of some nodes.</summary>
    public static Problem Of(ProblemCode code, string message, params IEnumerable<NodeAddress> nodes)
        => new(code, [.. nodes.Order().Select(n => n.ToString())], message);

    /// <summary>A problem of some monitors.</summary>
    public static Problem OfMonitors(ProblemCode code, string message, params IEnumerable<string> monitors)
        => new(code, [.. monitors.Order(StringComparer.Ordinal)], message);

    /// <summary>Whether both are the same problem: the same kind with the same subjects, whatever the figures are by now.</summary>
    public bool IsSameAs(Problem other)
    {
        ArgumentNullException.ThrowIfNull(other);
        return Code == other.Code && Subjects.AsSpan().SequenceEqual(other.Subjects.AsSpan());
    }

    /// <summary>Whether two lists are the same for a reader: the same problems, figures in their sentences aside.</summary>
    public static bool SayTheSame(ImmutableArray<Problem> one, ImmutableArray<Problem> other)
        => one.Length == other.Length
            && one.Zip(other).All(p => p.First.IsSameAs(p.Second) && p.First.Severity == p.Second.Severity
                && Words.SameButForNumbers(p.First.Message, p.Second.Message));

    /// <summary>Compares by content, the list included.</summary>
    public bool Equals(Problem? other)
        => other is not null && IsSameAs(other) && Message == other.Message && Severity == other.Severity && Advice == other.Advice
            && Since == other.Since;

    /// <inheritdoc/>
    public override int GetHashCode() => HashCode.Combine(Code, Message, Since);
}
