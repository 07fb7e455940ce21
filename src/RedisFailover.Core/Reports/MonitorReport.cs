using System.Collections.Immutable;
using System.Text.Json;

namespace RedisFailover;

/// <summary>
/// What one monitor sees: the content of <c>R/monitors/&lt;id&gt;</c>. A node in neither set is one that the monitor has no opinion
/// on yet; it does not count against the node.
/// </summary>
/// <param name="Available">The nodes that answer, with the time of their last answer in seconds.</param>
/// <param name="Unavailable">The nodes that failed max-failures times in a row.</param>
internal sealed record MonitorReport(ImmutableSortedDictionary<NodeAddress, double> Available, ImmutableSortedSet<NodeAddress> Unavailable)
{
    private const string What = "The monitor's view";

    /// <summary>Of the leading monitor: whether a failover would work now; null from the others.</summary>
    public Readiness? Failover { get; init; }

    /// <summary>
    /// Of the leading monitor: what an operator has to look after, once it has lasted for a second; null for nothing, and from the
    /// others.
    /// </summary>
    public string? Attention { get; init; }

    /// <summary>What is the matter with the monitor itself, the worst first; the cluster's problems stand in <c>R/problems</c>.</summary>
    public ImmutableArray<Problem> Problems { get; init; } = [];

    /// <summary>The version of <c>R/config</c> that the monitor goes by; -1 for none.</summary>
    public int ConfigVersion { get; init; } = -1;

    /// <summary>What it decides by while it leads (<see cref="PolicySettings"/>); empty from a monitor before 0.2.</summary>
    public ImmutableSortedDictionary<string, string> Settings { get; init; } = ImmutableSortedDictionary<string, string>.Empty;

    /// <summary>Whether the monitor reaches no node at all: then what it says of them tells of itself, and counts for nothing.</summary>
    public bool IsBlind { get; init; }

    /// <summary>The nodes that answer over the connections that there are, and take no new ones.</summary>
    public ImmutableSortedSet<NodeAddress> Shut { get; init; } = [];

    /// <summary>The nodes that it cannot ask what they are, and why: by its own fault or the configuration's.</summary>
    public ImmutableSortedDictionary<NodeAddress, string> Unwatched { get; init; } =
        ImmutableSortedDictionary<NodeAddress, string>.Empty;

    /// <summary>Of the leading monitor: how each node stands; empty from the others.</summary>
    public ImmutableSortedDictionary<NodeAddress, NodeReport> Nodes { get; init; } =
        ImmutableSortedDictionary<NodeAddress, NodeReport>.Empty;

    /// <summary>No opinion on any node.</summary>
    public static MonitorReport None { get; } = new(ImmutableSortedDictionary<NodeAddress, double>.Empty, []);

    /// <summary>Whether both say the same; the times are left out, and the figures in what is said.</summary>
    public bool SaysTheSameAs(MonitorReport other)
    {
        ArgumentNullException.ThrowIfNull(other);
        return ConfigVersion == other.ConfigVersion && IsBlind == other.IsBlind && Shut.SetEquals(other.Shut)
            && Settings.SequenceEqual(other.Settings)
            && Unwatched.Count == other.Unwatched.Count
            && Unwatched.All(n => Words.SameButForNumbers(n.Value, other.Unwatched.GetValueOrDefault(n.Key)))
            && Readiness.SayTheSame(Failover, other.Failover) && Words.SameButForNumbers(Attention, other.Attention)
            && Problem.SayTheSame(Problems, other.Problems)
            && Nodes.Count == other.Nodes.Count
            && Nodes.All(n => other.Nodes.TryGetValue(n.Key, out NodeReport? there) && n.Value.SaysTheSameAs(there))
            && Unavailable.SetEquals(other.Unavailable) && Available.Keys.SequenceEqual(other.Available.Keys);
    }

    /// <summary>Reads <c>{"available":{"h:p":latencySeconds},"unavailable":["h:p"]}</c>; fields that are unknown are skipped.</summary>
    /// <exception cref="FormatException">It is no such view.</exception>
    public static MonitorReport Parse(ReadOnlyMemory<byte> utf8) => Json.Read(utf8, What, Parse);

    private static MonitorReport Parse(JsonElement root)
    {
        ImmutableSortedDictionary<NodeAddress, double>.Builder available = ImmutableSortedDictionary.CreateBuilder<NodeAddress, double>();
        if (Json.Object(root, "available", What) is { } nodes)
        {
            foreach (JsonProperty node in nodes.EnumerateObject())
            {
                available[NodeAddress.TryParse(node.Name, out NodeAddress? address)
                    ? address
                    : throw new FormatException($"{What}: \"available\" holds '{node.Name}', which is not host:port.")]
                    = node.Value.ValueKind == JsonValueKind.Number
                        ? node.Value.GetDouble()
                        : throw Json.Wrong(What, node.Name, node.Value, "seconds");
            }
        }

        return new MonitorReport(available.ToImmutable(), [.. Json.Addresses(root, "unavailable", What)])
        {
            Failover = Json.Object(root, "failover", What) is { } failover
                ? new Readiness(Json.Flag(failover, "possible", What), Json.Addresses(failover, "candidates", What),
                    Json.Text(failover, "reason", What) ?? "")
                : null,
            Attention = Json.Text(root, "attention", What),
            IsBlind = root.TryGetProperty("blind", out _) && Json.Flag(root, "blind", What),
            Shut = root.TryGetProperty("shut", out _) ? [.. Json.Addresses(root, "shut", What)] : [],
            Problems = root.TryGetProperty("problems", out JsonElement problems) ? ProblemJson.Parse(problems, What) : [],
            Nodes = Json.Object(root, "nodes", What) is { } reports
                ? reports.EnumerateObject().Where(n => NodeAddress.TryParse(n.Name, out _) && n.Value.ValueKind == JsonValueKind.Object)
                    .ToImmutableSortedDictionary(n => NodeAddress.Parse(n.Name), n => NodeReport.Read(n.Value, What))
                : ImmutableSortedDictionary<NodeAddress, NodeReport>.Empty,
            Settings = Texts(root, "settings").ToImmutableSortedDictionary(s => s.Name, s => s.Text, StringComparer.Ordinal),
            Unwatched = Texts(root, "unwatched").Where(n => NodeAddress.TryParse(n.Name, out _))
                .ToImmutableSortedDictionary(n => NodeAddress.Parse(n.Name), n => n.Text),
            ConfigVersion = root.TryGetProperty("configVersion", out _) ? (int)Json.Number(root, "configVersion", What) : -1,
        };
    }

    private static IEnumerable<(string Name, string Text)> Texts(JsonElement root, string field)
        => Json.Object(root, field, What) is not { } texts ? []
            : texts.EnumerateObject().Where(t => t.Value.ValueKind == JsonValueKind.String).Select(t => (t.Name, t.Value.GetString()!));

    /// <summary>Writes the view as UTF-8, indented.</summary>
    public byte[] Write() => Json.ObjectBytes(writer =>
    {
        writer.WriteStartObject("available");
        foreach ((NodeAddress node, double seconds) in Available)
        {
            writer.WriteNumber(node.ToString(), Math.Round(seconds, 6));
        }

        writer.WriteEndObject();
        Json.Write(writer, "unavailable", [.. Unavailable]);
        if (IsBlind)
        {
            writer.WriteBoolean("blind", true);
        }

        if (!Shut.IsEmpty)
        {
            Json.Write(writer, "shut", [.. Shut]);
        }

        Write(writer, Failover);
        if (Attention is { } attention)
        {
            writer.WriteString("attention", attention);
        }

        Write(writer, Problems);
        Json.WriteAny(writer, "nodes", Nodes, report => report.Write(writer));
        if (ConfigVersion >= 0)
        {
            writer.WriteNumber("configVersion", ConfigVersion);
        }

        Write(writer, "settings", Settings);
        Write(writer, "unwatched", Unwatched);
    });

    private static void Write(Utf8JsonWriter writer, ImmutableArray<Problem> problems)
    {
        if (!problems.IsEmpty)
        {
            writer.WritePropertyName("problems");
            ProblemJson.Write(writer, problems);
        }
    }

    private static void Write<TKey>(Utf8JsonWriter writer, string field, ImmutableSortedDictionary<TKey, string> texts)
        where TKey : notnull
    {
        if (!texts.IsEmpty)
        {
            writer.WriteStartObject(field);
            foreach ((TKey name, string value) in texts)
            {
                writer.WriteString(name.ToString()!, value);
            }

            writer.WriteEndObject();
        }
    }

    private static void Write(Utf8JsonWriter writer, Readiness? failover)
    {
        if (failover is not null)
        {
            writer.WriteStartObject("failover");
            writer.WriteBoolean("possible", failover.Possible);
            Json.Write(writer, "candidates", failover.Candidates);
            writer.WriteString("reason", failover.Reason);
            writer.WriteEndObject();
        }
    }
}
