using System.Collections.Immutable;
using System.Text.Encodings.Web;
using System.Text.Json;

namespace RedisFailover.Monitor.Http;

/// <summary>What HTTP tells of a cluster. The shape is stable: fields are added only.</summary>
internal static class ClusterJson
{
    internal static readonly JsonWriterOptions Options = new() { Indented = true, Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    internal static void Names(Utf8JsonWriter json, IEnumerable<string> names)
    {
        json.WriteStartArray();
        foreach (string name in names)
        {
            json.WriteStringValue(name);
        }

        json.WriteEndArray();
    }

    internal static void Cluster(
        Utf8JsonWriter json, string name, ClusterView? view, ClusterReading? reading, ImmutableArray<Problem> own)
    {
        json.WriteStartObject();
        json.WriteString("name", name);
        json.WriteBoolean("zooKeeperAnswers", reading is not null);
        json.WritePropertyName("topology");
        Raw(json, view?.Topology is { } topology ? TopologyJson.Write(topology) : null);
        json.WritePropertyName("leader");
        Raw(json, reading?.Leader);
        json.WriteStartObject("monitors");
        foreach ((string id, ReadOnlyMemory<byte> report) in reading is null ? [] : reading.Monitors.ToArray())
        {
            json.WritePropertyName(id);
            Raw(json, report);
        }

        json.WriteEndObject();
        json.WriteStartObject("nodes");
        foreach (NodeView node in view?.Nodes.Values ?? [])
        {
            Node(json, view!, node);
        }

        json.WriteEndObject();
        json.WritePropertyName("problems");
        Problems(json, reading, own);
        json.WriteEndObject();
    }

    /// <summary>The cluster's, and after them this monitor's own that are not among them.</summary>
    internal static void Problems(Utf8JsonWriter json, ClusterReading? reading, ImmutableArray<Problem> own)
        => ProblemJson.Write(json, All(reading, own));

    /// <summary>The problems of several clusters, each with its cluster's name.</summary>
    internal static void Problems(Utf8JsonWriter json,
        IEnumerable<(string? Cluster, ClusterReading? Reading, ImmutableArray<Problem> Own)> clusters)
    {
        json.WriteStartArray();
        foreach ((string? name, ClusterReading? reading, ImmutableArray<Problem> own) in clusters)
        {
            foreach (Problem problem in All(reading, own))
            {
                ProblemJson.Write(json, problem, name);
            }
        }

        json.WriteEndArray();
    }

    private static ImmutableArray<Problem> All(ClusterReading? reading, ImmutableArray<Problem> own)
    {
        // Without a leader the list in the znode is of the past.
        ImmutableArray<Problem> cluster = reading is { Leader: null }
            ? [new Problem(ProblemCatalogue.NoLeader, [], "no monitor leads: nobody replaces the master")]
            : Parse(reading?.Problems);
        return [.. cluster, .. own.Where(problem => !cluster.Any(problem.IsSameAs))];
    }

    /// <summary>A znode that holds JSON; as a text where somebody mangled it.</summary>
    internal static void Raw(Utf8JsonWriter json, ReadOnlyMemory<byte>? znode)
    {
        if (znode is not { IsEmpty: false } value)
        {
            json.WriteNullValue();
            return;
        }

        Json.WriteZnode(json, value);
    }

    /// <summary>A node as this monitor sees it.</summary>
    private static void Node(Utf8JsonWriter json, ClusterView view, NodeView node)
    {
        json.WriteStartObject(node.Address.ToString());
        json.WriteString("condition", node.Condition.ToString().ToLowerInvariant());
        json.WriteString("role", node.Info is null ? null : node.Info.Role.ToString().ToLowerInvariant());
        json.WriteNumber("latencyMillis", Math.Round(node.Latency.TotalMilliseconds, 3));
        json.WriteString("version", node.Info?.Version);
        if (node.Info is { } info)
        {
            json.WriteNumber("offset", info.Offset);
            json.WriteBoolean("linkUp", info.Role == NodeRole.Master || info.LinkUp);
        }

        if (NodeCheck.Lag(view, node.Address) is { } lag)
        {
            json.WriteNumber("lagBytes", lag);
        }

        if (node.Detail.Length > 0)
        {
            json.WriteString("detail", node.Detail);
        }

        json.WriteEndObject();
    }

    private static ImmutableArray<Problem> Parse(ReadOnlyMemory<byte>? znode)
    {
        try
        {
            return znode is { } value ? ProblemJson.Parse(value) : [];
        }
        catch (FormatException)
        {
            // That R/problems is mangled is told by the leading monitor, which writes it anew.
            return [];
        }
    }
}
