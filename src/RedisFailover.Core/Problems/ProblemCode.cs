namespace RedisFailover;

/// <summary>How bad a problem is.</summary>
internal enum ProblemSeverity
{
    /// <summary>Redundancy or freshness is reduced; a failover would still work.</summary>
    Warning,

    /// <summary>No failover would work, or writes fail.</summary>
    Critical,
}

/// <summary>
/// What kind of problem it is. The name is stable from release to release: znodes, <c>--json</c>, metrics and alerts go by it.
/// The kinds that this version knows are properties of <see cref="ProblemCatalogue"/>; a later monitor may write others.
/// </summary>
/// <param name="Name">Lower case with hyphens, such as "replica-link-down".</param>
/// <param name="Severity">How bad it is unless a problem says otherwise.</param>
/// <param name="Advice">What to do, in general.</param>
internal sealed record ProblemCode(string Name, ProblemSeverity Severity, string Advice)
{
    /// <summary>
    /// How long it has to last before it is told, and how long it has to be gone before its end is. Default 1 s: what is over in a
    /// moment, as in each failover, needs nobody, and what goes to and fro is told once.
    /// </summary>
    public TimeSpan Patience { get; init; } = TimeSpan.FromSeconds(1);

    /// <summary>Two codes are the same when their names are.</summary>
    public bool Equals(ProblemCode? other) => other is not null && Name == other.Name;

    /// <inheritdoc/>
    public override int GetHashCode() => Name.GetHashCode(StringComparison.Ordinal);

    /// <summary>The name.</summary>
    public override string ToString() => Name;
}
