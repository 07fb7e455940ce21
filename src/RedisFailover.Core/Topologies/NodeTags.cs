using System.Text.Json;

namespace RedisFailover;

/// <summary>A change of a node's tags. What is null stays as it is; an empty zone and a negative priority take the tag away.</summary>
internal sealed record NodeTags
{
    /// <summary>The highest priority that can be given.</summary>
    public const int MaxPriority = 1000;

    /// <summary>What a tag may be, for people.</summary>
    public const string Allowed =
        "never-promote, never-read, zone=NAME, priority=0..1000; never-promote=false, never-read=false, zone= and priority= take them away";

    private const int MostZone = 64;

    /// <summary><see cref="ConfiguredNode.NeverPromote"/>.</summary>
    public bool? NeverPromote { get; init; }

    /// <summary><see cref="ConfiguredNode.NeverRead"/>.</summary>
    public bool? NeverRead { get; init; }

    /// <summary><see cref="ConfiguredNode.Zone"/>.</summary>
    public string? Zone { get; init; }

    /// <summary><see cref="ConfiguredNode.Priority"/>.</summary>
    public int? Priority { get; init; }

    /// <summary>Reads tags as an operator writes them: "never-promote", "zone=a".</summary>
    /// <exception cref="FormatException">One is none, or is given twice; the message says what is allowed.</exception>
    public static NodeTags Parse(IEnumerable<string> tags)
    {
        ArgumentNullException.ThrowIfNull(tags);
        var change = new NodeTags();
        HashSet<string> names = new(StringComparer.Ordinal);
        foreach (string tag in tags)
        {
            int equals = tag.IndexOf('=', StringComparison.Ordinal);
            string name = equals < 0 ? tag : tag[..equals];
            string? value = equals < 0 ? null : tag[(equals + 1)..];
            change = (name, value) switch
            {
                ("never-promote", null or "true") => change with { NeverPromote = true },
                ("never-promote", "false") => change with { NeverPromote = false },
                ("never-read", null or "true") => change with { NeverRead = true },
                ("never-read", "false") => change with { NeverRead = false },
                ("zone", { } zone) when IsZone(zone) => change with { Zone = zone },
                ("priority", "") => change with { Priority = -1 },
                ("priority", { } number) when int.TryParse(number, out int priority) && priority is >= 0 and <= MaxPriority
                    => change with { Priority = priority },
                _ => throw new FormatException($"the tag '{Words.Quoted(tag)}' is not allowed; allowed: {Allowed}."),
            };
            if (!names.Add(name))
            {
                throw new FormatException($"the tag {name} is given more than once; allowed: once.");
            }
        }

        return change;
    }

    /// <summary>The node with these changes.</summary>
    public ConfiguredNode On(ConfiguredNode node)
    {
        ArgumentNullException.ThrowIfNull(node);
        return node with
        {
            NeverPromote = NeverPromote ?? node.NeverPromote,
            NeverRead = NeverRead ?? node.NeverRead,
            Zone = Zone is null ? node.Zone : Zone.Length == 0 ? null : Zone,
            Priority = Priority is not { } priority ? node.Priority : priority < 0 ? null : priority,
        };
    }

    internal static NodeTags Read(JsonElement tags, string what) => new()
    {
        NeverPromote = tags.TryGetProperty("never-promote", out _) ? Json.Flag(tags, "never-promote", what) : null,
        NeverRead = tags.TryGetProperty("never-read", out _) ? Json.Flag(tags, "never-read", what) : null,
        Zone = Json.Text(tags, "zone", what) is not { } zone || IsZone(zone) ? Json.Text(tags, "zone", what)
            : throw new FormatException($"{what}: \"zone\" is '{Words.Quoted(zone)}'; allowed: up to {MostZone} letters, digits and _ - ."),
        Priority = !tags.TryGetProperty("priority", out _) ? null
            : Json.Number(tags, "priority", what) is >= -1 and <= MaxPriority and var priority ? (int)priority
            : throw new FormatException($"{what}: \"priority\" is {Json.Number(tags, "priority", what)}; allowed: 0 to {MaxPriority}."),
    };

    /// <summary>The tags that a node has, as the properties of an object.</summary>
    internal static void Write(Utf8JsonWriter writer, ConfiguredNode node) => Write(writer, new NodeTags
    {
        NeverPromote = node.NeverPromote ? true : null,
        NeverRead = node.NeverRead ? true : null,
        Zone = node.Zone,
        Priority = node.Priority,
    });

    internal static void Write(Utf8JsonWriter writer, NodeTags tags)
    {
        if (tags.NeverPromote is { } neverPromote)
        {
            writer.WriteBoolean("never-promote", neverPromote);
        }

        if (tags.NeverRead is { } neverRead)
        {
            writer.WriteBoolean("never-read", neverRead);
        }

        if (tags.Zone is { } zone)
        {
            writer.WriteString("zone", zone);
        }

        if (tags.Priority is { } priority)
        {
            writer.WriteNumber("priority", priority);
        }
    }

    private static bool IsZone(string zone)
        => zone.Length <= MostZone && zone.All(c => char.IsAsciiLetterOrDigit(c) || c is '_' or '-' or '.');
}
