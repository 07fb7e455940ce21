using System.Collections.Immutable;

namespace RedisFailover;

/// <summary>
/// What holds for all monitors of a cluster and changes while they run: the content of the znode <c>R/config</c>. The leading monitor
/// alone writes it, when an operator asks; what it says wins over the monitors' own files.
/// </summary>
internal sealed record ClusterConfig
{
    /// <summary>No settings, compared without regard to culture.</summary>
    public static ImmutableSortedDictionary<string, string> NoSettings { get; } =
        ImmutableSortedDictionary.Create<string, string>(StringComparer.Ordinal);

    /// <summary>Nothing is changed: every monitor goes by its own file.</summary>
    public static ClusterConfig Empty { get; } = new();

    /// <summary>
    /// The nodes, in their order; empty until an operator first changes them. Till then each monitor goes by the nodes of its own file,
    /// from then on by these alone.
    /// </summary>
    public ImmutableArray<ConfiguredNode> Nodes { get; init; } = [];

    /// <summary>Settings by their name ("max-failures"), as they would stand on the command line.</summary>
    public ImmutableSortedDictionary<string, string> Settings { get; init; } = NoSettings;

    /// <summary>
    /// Nodes with somebody else's data that an operator has given up (nodes adopt), each with the run id of the server that held them:
    /// another one that comes up at the address is not meant.
    /// </summary>
    public ImmutableSortedDictionary<NodeAddress, string> Adopted { get; init; } = ImmutableSortedDictionary<NodeAddress, string>.Empty;

    /// <summary>
    /// The nodes that an operator has removed, the latest last, at most <see cref="MaxRemoved"/>: a monitor whose own file still names them
    /// belongs to this cluster.
    /// </summary>
    public ImmutableArray<NodeAddress> Removed { get; init; } = [];

    /// <summary>Whether an operator has had the cluster, one of several below a root, monitored no longer.</summary>
    public bool IsGivenUp { get; init; }

    /// <summary>How many removed nodes are remembered.</summary>
    internal const int MaxRemoved = 64;

    /// <summary>While it is there and not over, nothing is promoted, demoted or repointed; null: failover is on.</summary>
    public FailoverPause? Pause { get; init; }

    /// <summary>When it was last changed, by the writer's wall clock (UTC); set by the writer.</summary>
    public DateTimeOffset ChangedAt { get; init; }

    /// <summary>The monitor that wrote it; set by the writer.</summary>
    public string ChangedBy { get; init; } = "";

    /// <summary>What was changed last, and for whom, in plain words.</summary>
    public string Reason { get; init; } = "";

    /// <summary>The entry of a node; null where it has none.</summary>
    public ConfiguredNode? Node(NodeAddress address) => Nodes.FirstOrDefault(n => n.Node == address);

    /// <summary>
    /// Whether a monitor has the same settings by both: who wrote it and when, and what concerns a leader alone, is left out.
    /// </summary>
    public bool SaysTheSameAs(ClusterConfig? other)
        => other is not null && Pause == other.Pause && Nodes.AsSpan().SequenceEqual(other.Nodes.AsSpan())
            && Settings.SequenceEqual(other.Settings);

    /// <summary>Compares by content, lists included.</summary>
    public bool Equals(ClusterConfig? other)
        => SaysTheSameAs(other) && ChangedAt == other!.ChangedAt && ChangedBy == other.ChangedBy && Reason == other.Reason
            && Adopted.SequenceEqual(other.Adopted)
            && Removed.AsSpan().SequenceEqual(other.Removed.AsSpan());

    /// <inheritdoc/>
    public override int GetHashCode() => HashCode.Combine(ChangedAt, ChangedBy, Reason, Pause, Nodes.Length, Settings.Count);
}

/// <summary>A node of the cluster with what the operator has said about it.</summary>
/// <param name="Node">Where it listens.</param>
internal sealed record ConfiguredNode(NodeAddress Node)
{
    /// <summary>It is never made master. Default false.</summary>
    public bool NeverPromote { get; init; }

    /// <summary>Clients do not read from it while it is a replica. Default false.</summary>
    public bool NeverRead { get; init; }

    /// <summary>Where it stands, in the operator's own words: clients of the same zone prefer it for reads. Default null.</summary>
    public string? Zone { get; init; }

    /// <summary>
    /// In place of its own replica-priority: of replicas with equally much data the lowest is promoted, 0 never. Default null, 0 to
    /// 1000.
    /// </summary>
    public int? Priority { get; init; }

    /// <summary>Its tags as they are written: "never-promote zone=a priority=10"; "" for none.</summary>
    public string Tags => string.Join(' ', new[]
    {
        NeverPromote ? "never-promote" : null,
        NeverRead ? "never-read" : null,
        Zone is { } zone ? $"zone={zone}" : null,
        Priority is { } priority ? string.Create(System.Globalization.CultureInfo.InvariantCulture, $"priority={priority}") : null,
    }.OfType<string>());

    /// <summary>The node and its tags.</summary>
    public override string ToString() => Tags.Length == 0 ? Node.ToString() : $"{Node} ({Tags})";
}

/// <summary>An operator has switched failover off for a while.</summary>
internal sealed record FailoverPause
{
    /// <summary>Who asked for it.</summary>
    public string By { get; init; } = "";

    /// <summary>What for, in the operator's words; "" where nothing was said.</summary>
    public string Note { get; init; } = "";

    /// <summary>How long it was asked for; null: until it is ended.</summary>
    public TimeSpan? For { get; init; }

    /// <summary>When it began, by the writer's wall clock (UTC); set by the writer.</summary>
    public DateTimeOffset Since { get; init; }

    /// <summary>When it ends by itself, by the writer's wall clock (UTC); set by the writer. Null: not by itself.</summary>
    public DateTimeOffset? Until { get; init; }

    /// <summary>In one sentence, without an end: "failover is paused until 2026-11-29T04:00:00Z, by ann@host: switch replaced".</summary>
    public override string ToString()
        => $"failover is paused {(Until is { } until ? $"until {until.UtcDateTime:yyyy-MM-dd'T'HH:mm:ss'Z'}" : "until it is resumed")}"
            + $"{(By.Length > 0 ? $", by {By}" : "")}{(Note.Length > 0 ? $": {Words.Quoted(Note)}" : "")}";
}
