using System.Collections.Immutable;
using System.Text.Json;

namespace RedisFailover;

/// <summary>The znode <c>R/config</c>: indented JSON. Fields that are unknown are skipped.</summary>
internal static class ClusterConfigJson
{
    private const string What = "The cluster's configuration";

    /// <summary>Reads it; nothing at all is an empty one.</summary>
    /// <exception cref="FormatException">It is none; the message names the field and what is allowed.</exception>
    public static ClusterConfig Parse(ReadOnlyMemory<byte> utf8) => utf8.IsEmpty ? ClusterConfig.Empty : Json.Read(utf8, What, Parse);

    private static ClusterConfig Parse(JsonElement root) => new()
    {
        Nodes = Nodes(root),
        Settings = Json.Object(root, "settings", What) is { } settings
            ? settings.EnumerateObject()
                .ToImmutableSortedDictionary(s => s.Name, s => Json.Text(settings, s.Name, What) ?? "", StringComparer.Ordinal)
            : ClusterConfig.NoSettings,
        Pause = Json.Object(root, "pause", What) is { } pause
            ? new FailoverPause
            {
                By = Json.Text(pause, "by", What) ?? "",
                Note = Json.Text(pause, "note", What) ?? "",
                Since = Json.Time(pause, "since", What) ?? default,
                Until = Json.Time(pause, "until", What),
            }
            : null,
        Adopted = Json.Object(root, "adopted", What) is { } adopted
            ? adopted.EnumerateObject()
                .ToImmutableSortedDictionary(n => Address(n.Name, "adopted"), n => Json.Text(adopted, n.Name, What) ?? "")
            : ImmutableSortedDictionary<NodeAddress, string>.Empty,
        Removed = Json.Addresses(root, "removed", What),
        IsGivenUp = Json.Flag(root, "givenUp", What),
        ChangedAt = Json.Time(root, "changedAt", What) ?? default,
        ChangedBy = Json.Text(root, "changedBy", What) ?? "",
        Reason = Json.Text(root, "reason", What) ?? "",
    };

    private static ImmutableArray<ConfiguredNode> Nodes(JsonElement root)
    {
        if (Json.Object(root, "nodes", What) is not { } nodes)
        {
            return [];
        }

        ImmutableArray<ConfiguredNode>.Builder entries = ImmutableArray.CreateBuilder<ConfiguredNode>();
        foreach (JsonProperty node in nodes.EnumerateObject())
        {
            NodeAddress address = Address(node.Name, "nodes");
            entries.Add(node.Value.ValueKind == JsonValueKind.Object ? NodeTags.Read(node.Value, What).On(new ConfiguredNode(address))
                : throw Json.Wrong(What, node.Name, node.Value, "an object"));
        }

        return entries.DrainToImmutable();
    }

    private static NodeAddress Address(string name, string field) => NodeAddress.TryParse(name, out NodeAddress? address)
        ? address
        : throw new FormatException($"{What}: \"{field}\" holds '{Words.Quoted(name)}', which is not host:port.");

    /// <summary>Writes it as UTF-8, indented.</summary>
    public static byte[] Write(ClusterConfig config)
    {
        ArgumentNullException.ThrowIfNull(config);
        return Json.ObjectBytes(writer =>
        {
            Json.WriteAny(writer, "nodes", config.Nodes.Select(n => KeyValuePair.Create(n.Node, n)), node =>
            {
                writer.WriteStartObject();
                NodeTags.Write(writer, node);
                writer.WriteEndObject();
            });
            Write(writer, config.Settings);
            Json.WriteAny(writer, "adopted", config.Adopted, writer.WriteStringValue);
            Json.WriteAny(writer, "removed", config.Removed);
            if (config.IsGivenUp)
            {
                writer.WriteBoolean("givenUp", true);
            }

            Write(writer, config.Pause);
            writer.WriteString("reason", config.Reason);
            writer.WriteString("changedAt", Json.Iso(config.ChangedAt));
            writer.WriteString("changedBy", config.ChangedBy);
        });
    }

    private static void Write(Utf8JsonWriter writer, ImmutableSortedDictionary<string, string> settings)
    {
        if (settings.IsEmpty)
        {
            return;
        }

        writer.WriteStartObject("settings");
        foreach ((string name, string value) in settings)
        {
            writer.WriteString(name, value);
        }

        writer.WriteEndObject();
    }

    private static void Write(Utf8JsonWriter writer, FailoverPause? pause)
    {
        if (pause is null)
        {
            return;
        }

        writer.WriteStartObject("pause");
        writer.WriteString("by", pause.By);
        writer.WriteString("note", pause.Note);
        writer.WriteString("since", Json.Iso(pause.Since));
        writer.WriteString("until", pause.Until is { } until ? Json.Iso(until) : null);
        writer.WriteEndObject();
    }
}
