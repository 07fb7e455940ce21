using System.Collections.Immutable;
using System.Text;
using System.Text.Encodings.Web;
using System.Text.Json;
using RedisFailover.Cli.Cluster;

namespace RedisFailover.Cli.Commands;

/// <summary>
/// What <c>status --json</c> prints: the znodes as they are, fields unknown here included, and what the tool makes of them.
/// </summary>
internal static class StatusJson
{
    private static readonly JsonWriterOptions Indented = new() { Indented = true, Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    internal static string Of(ClusterState state)
        => Text(writer =>
        {
            writer.WriteStartObject();
            Raw(writer, "topology", state.TopologyJson);
            Raw(writer, "leader", state.LeaderJson);
            writer.WriteStartObject("monitors");
            foreach ((string id, ReadOnlyMemory<byte> json) in state.MonitorsJson)
            {
                Raw(writer, id, json);
            }

            writer.WriteEndObject();
            writer.WriteStartArray("members");
            foreach (string id in state.Members)
            {
                writer.WriteStringValue(id);
            }

            writer.WriteEndArray();
            Raw(writer, "config", state.ConfigJson);
            writer.WriteString("manualFailover", state.Wish);
            Failover(writer, state);
            Problems(writer, ClusterProblems.Of(state));
            writer.WriteEndObject();
        });

    /// <summary>An indented text that is written by the action.</summary>
    internal static string Text(Action<Utf8JsonWriter> write)
    {
        using MemoryStream buffer = new();
        using (Utf8JsonWriter writer = new(buffer, Indented))
        {
            write(writer);
        }

        return Encoding.UTF8.GetString(buffer.ToArray());
    }

    /// <summary>Whether a failover would work; also where no monitor says so: then why there is no saying.</summary>
    internal static void Failover(Utf8JsonWriter writer, ClusterState state)
    {
        (bool possible, string text) = ClusterProblems.Failover(state);
        bool told = state.IsLed && state.Failover is not null;
        writer.WriteStartObject("failover");
        writer.WriteBoolean("possible", possible);
        writer.WriteStartArray("candidates");
        foreach (NodeAddress candidate in told ? state.Failover!.Candidates : [])
        {
            writer.WriteStringValue(candidate.ToString());
        }

        writer.WriteEndArray();
        writer.WriteString("reason", told ? state.Failover!.Reason : text);
        writer.WriteEndObject();
    }

    internal static void Problems(Utf8JsonWriter writer, ImmutableArray<Problem> problems)
    {
        writer.WritePropertyName("problems");
        ProblemJson.Write(writer, problems);
    }

    internal static void Raw(Utf8JsonWriter writer, string name, ReadOnlyMemory<byte>? json)
    {
        writer.WritePropertyName(name);
        if (json is not { } value)
        {
            writer.WriteNullValue();
            return;
        }

        Json.WriteZnode(writer, value);
    }
}
