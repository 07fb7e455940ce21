using System.Collections.Immutable;
using System.Globalization;
using System.Text.Json;

namespace RedisFailover;

/// <summary>
/// The znode <c>R/problems</c>: a JSON list, the worst first. Monitors' own problems stand in their views in the same form.
/// </summary>
internal static class ProblemJson
{
    private const string What = "The list of problems";

    /// <summary>Reads the list; nothing at all is an empty one.</summary>
    /// <exception cref="FormatException">It is no such list.</exception>
    public static ImmutableArray<Problem> Parse(ReadOnlyMemory<byte> utf8)
    {
        if (utf8.IsEmpty)
        {
            return [];
        }

        try
        {
            using JsonDocument document = JsonDocument.Parse(utf8);
            return Parse(document.RootElement, What);
        }
        catch (JsonException e)
        {
            throw new FormatException($"{What} is not JSON: {e.Message}", e);
        }
        catch (Exception e) when (e is InvalidOperationException or ArgumentException)
        {
            throw new FormatException($"{What} is not readable: {e.Message}", e);
        }
    }

    /// <summary>Writes the list as UTF-8, indented.</summary>
    public static byte[] Write(ImmutableArray<Problem> problems) => Json.Bytes(writer => Write(writer, problems));

    /// <summary>Writes the list as a JSON array at the writer's place.</summary>
    public static void Write(Utf8JsonWriter writer, ImmutableArray<Problem> problems)
    {
        ArgumentNullException.ThrowIfNull(writer);
        writer.WriteStartArray();
        foreach (Problem problem in problems)
        {
            Write(writer, problem, cluster: null);
        }

        writer.WriteEndArray();
    }

    /// <summary>Writes one as a JSON object at the writer's place.</summary>
    /// <param name="writer">The writer.</param>
    /// <param name="problem">The problem.</param>
    /// <param name="cluster">Whose it is, where several clusters stand in one list; null: that is not said.</param>
    public static void Write(Utf8JsonWriter writer, Problem problem, string? cluster)
    {
        ArgumentNullException.ThrowIfNull(writer);
        ArgumentNullException.ThrowIfNull(problem);
        writer.WriteStartObject();
        if (cluster is not null)
        {
            writer.WriteString("cluster", cluster);
        }

        writer.WriteString("code", problem.Code.Name);
        writer.WriteString("severity", Name(problem.Severity));
        writer.WriteString("since", problem.Since is { } since ? Json.Iso(since) : null);
        writer.WriteStartArray("subjects");
        foreach (string subject in problem.Subjects)
        {
            writer.WriteStringValue(subject);
        }

        writer.WriteEndArray();
        writer.WriteString("message", problem.Message);
        writer.WriteString("advice", problem.Advice);
        writer.WriteEndObject();
    }

    /// <summary>"warning" or "critical".</summary>
    public static string Name(ProblemSeverity severity) => severity == ProblemSeverity.Critical ? "critical" : "warning";

    internal static ImmutableArray<Problem> Parse(JsonElement list, string what)
        => list.ValueKind == JsonValueKind.Array
            ? [.. list.EnumerateArray()
                .Select(item
                    => item.ValueKind == JsonValueKind.Object ? One(item, what) : throw Json.Wrong(what, "problems", item, "an object"))]
            : throw new FormatException($"{what} is a JSON {list.ValueKind}, not a list.");

    private static Problem One(JsonElement item, string what)
    {
        string name = Json.Text(item, "code", what) ?? throw new FormatException($"{what}: an entry has no \"code\".");
        ProblemSeverity severity = Json.Text(item, "severity", what) switch
        {
            "critical" => ProblemSeverity.Critical,
            // Whatever a later version calls it: it is told.
            _ => ProblemSeverity.Warning,
        };
        string advice = Json.Text(item, "advice", what) ?? "";
        ProblemCode code = ProblemCatalogue.Find(name) ?? new ProblemCode(name, severity, advice);
        return new Problem(code, Subjects(item, what), Json.Text(item, "message", what) ?? "")
        {
            Severity = severity,
            Advice = advice,
            Since = DateTimeOffset.TryParse(
                Json.Text(item, "since", what), CultureInfo.InvariantCulture, DateTimeStyles.AssumeUniversal, out DateTimeOffset since)
                    ? since : null,
        };
    }

    private static ImmutableArray<string> Subjects(JsonElement item, string what)
        => !item.TryGetProperty("subjects", out JsonElement list) || list.ValueKind == JsonValueKind.Null ? []
            : list.ValueKind == JsonValueKind.Array && list.EnumerateArray().All(s => s.ValueKind == JsonValueKind.String)
                ? [.. list.EnumerateArray().Select(s => s.GetString()!)]
                : throw Json.Wrong(what, "subjects", list, "a list of strings");
}
