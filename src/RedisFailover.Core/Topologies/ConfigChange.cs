using System.Collections.Immutable;
using System.Globalization;
using System.Text.Json;

namespace RedisFailover;

/// <summary>What an operator asks to be changed in <c>R/config</c>; a request of another kind than "switchover".</summary>
internal abstract record ConfigChange
{
    /// <summary>The kinds of requests that hold one.</summary>
    public static ImmutableArray<string> Kinds { get; } = ["pause", "resume", "nodes", "adopt", "config"];

    /// <summary>The request's kind.</summary>
    public abstract string Kind { get; }

    /// <summary>Reads what a request of this kind asks for.</summary>
    /// <exception cref="FormatException">It makes no sense.</exception>
    internal static ConfigChange Read(string kind, JsonElement root, string what) => kind switch
    {
        "pause" => ReadPause(root, what),
        "resume" => new ResumeFailover(),
        "nodes" => ReadNodes(root, what),
        "adopt" => new AdoptNode(
            Json.Address(root, "node", what)
                ?? throw new FormatException($"{what} has no \"node\"."), Json.Flag(root, "discardItsData", what)),
        _ => new ChangeSettings(
            Json.Object(root, "settings", what) is { } settings
                ? settings.EnumerateObject()
                    .ToImmutableSortedDictionary(s => s.Name, s => Json.Text(settings, s.Name, what), StringComparer.Ordinal)
                : throw new FormatException($"{what} has no \"settings\"."))
        {
            ExpectedVersion = root.TryGetProperty("version", out _) ? (int)Json.Number(root, "version", what) : null,
        },
    };

    private static PauseFailover ReadPause(JsonElement root, string what)
    {
        long millis = Json.Number(root, "forMillis", what);
        return new PauseFailover(millis switch
        {
            0 => null,
            >= 1000 and <= 2_678_400_000 => TimeSpan.FromMilliseconds(millis),
            _ => throw new FormatException($"{what}: \"forMillis\" is {millis}; allowed: 1000 to 2678400000 (31 days), or left out."),
        })
        {
            Note = Json.Text(root, "note", what) ?? "",
        };
    }

    private static ChangeNodes ReadNodes(JsonElement root, string what)
    {
        ImmutableSortedDictionary<NodeAddress, NodeTags> tags = Json.Object(root, "tags", what) is { } byNode
            ? byNode.EnumerateObject().ToImmutableSortedDictionary(
                n => NodeAddress.TryParse(n.Name, out NodeAddress? node) ? node
                    : throw new FormatException($"{what}: \"tags\" holds '{Words.Quoted(n.Name)}', which is not host:port."),
                n => NodeTags.Read(n.Value.ValueKind == JsonValueKind.Object
                    ? n.Value : throw Json.Wrong(what, n.Name, n.Value, "an object"), what))
            : ImmutableSortedDictionary<NodeAddress, NodeTags>.Empty;
        return new ChangeNodes(Json.Addresses(root, "add", what), Json.Addresses(root, "remove", what), tags);
    }

    /// <summary>Its own properties of the request.</summary>
    internal abstract void Write(Utf8JsonWriter writer);
}

/// <summary>Switch failover off.</summary>
/// <param name="For">For how long; null: until it is resumed.</param>
internal sealed record PauseFailover(TimeSpan? For) : ConfigChange
{
    /// <summary>What for, in the operator's words.</summary>
    public string Note { get; init; } = "";

    /// <inheritdoc/>
    public override string Kind => "pause";

    internal override void Write(Utf8JsonWriter writer)
    {
        if (For is { } time)
        {
            writer.WriteNumber("forMillis", (long)time.TotalMilliseconds);
        }

        writer.WriteString("note", Note);
    }
}

/// <summary>Switch failover on again.</summary>
internal sealed record ResumeFailover : ConfigChange
{
    /// <inheritdoc/>
    public override string Kind => "resume";

    internal override void Write(Utf8JsonWriter writer)
    {
    }
}

/// <summary>Add, remove and tag nodes; all of it or nothing.</summary>
/// <param name="Add">The nodes to add.</param>
/// <param name="Remove">The nodes to take out.</param>
/// <param name="Tags">What to change about nodes that are there, or are added.</param>
internal sealed record ChangeNodes(
    ImmutableArray<NodeAddress> Add, ImmutableArray<NodeAddress> Remove,
        ImmutableSortedDictionary<NodeAddress, NodeTags> Tags) : ConfigChange
{
    /// <inheritdoc/>
    public override string Kind => "nodes";

    /// <summary>Compares by content, lists included.</summary>
    public bool Equals(ChangeNodes? other)
        => other is not null && Add.AsSpan().SequenceEqual(other.Add.AsSpan()) && Remove.AsSpan().SequenceEqual(other.Remove.AsSpan())
            && Tags.SequenceEqual(other.Tags);

    /// <inheritdoc/>
    public override int GetHashCode() => HashCode.Combine(Add.Length, Remove.Length, Tags.Count);

    internal override void Write(Utf8JsonWriter writer)
    {
        Json.Write(writer, "add", Add);
        Json.Write(writer, "remove", Remove);
        writer.WriteStartObject("tags");
        foreach ((NodeAddress node, NodeTags tags) in Tags)
        {
            writer.WriteStartObject(node.ToString());
            NodeTags.Write(writer, tags);
            writer.WriteEndObject();
        }

        writer.WriteEndObject();
    }
}

/// <summary>Take in a node that is left alone because it holds somebody else's data.</summary>
/// <param name="Node">The node.</param>
/// <param name="DiscardsItsData">Whether what it holds may be thrown away; refused without.</param>
internal sealed record AdoptNode(NodeAddress Node, bool DiscardsItsData) : ConfigChange
{
    /// <inheritdoc/>
    public override string Kind => "adopt";

    internal override void Write(Utf8JsonWriter writer)
    {
        writer.WriteString("node", Node.ToString());
        writer.WriteBoolean("discardItsData", DiscardsItsData);
    }
}

/// <summary>Change settings; all of them or none.</summary>
/// <param name="Values">The new values by name; null takes a setting out, so that each monitor's own file holds again.</param>
internal sealed record ChangeSettings(ImmutableSortedDictionary<string, string?> Values) : ConfigChange
{
    /// <summary>The version of <c>R/config</c> that the operator has seen; null: whatever stands there.</summary>
    public int? ExpectedVersion { get; init; }

    /// <inheritdoc/>
    public override string Kind => "config";

    /// <summary>Compares by content.</summary>
    public bool Equals(ChangeSettings? other)
        => other is not null && ExpectedVersion == other.ExpectedVersion && Values.SequenceEqual(other.Values);

    /// <inheritdoc/>
    public override int GetHashCode() => HashCode.Combine(Values.Count, ExpectedVersion);

    /// <summary>In one line: "max-failures=5, max-lag back to the file".</summary>
    public override string ToString()
        => string.Join(", ",
            Values.Select(v
                => v.Value is null
                    ? $"{v.Key} back to the monitors' own" : string.Create(CultureInfo.InvariantCulture, $"{v.Key}={v.Value}")));

    internal override void Write(Utf8JsonWriter writer)
    {
        if (ExpectedVersion is { } version)
        {
            writer.WriteNumber("version", version);
        }

        writer.WriteStartObject("settings");
        foreach ((string name, string? value) in Values)
        {
            writer.WriteString(name, value);
        }

        writer.WriteEndObject();
    }
}
