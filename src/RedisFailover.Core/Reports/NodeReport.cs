using System.Text.Json;

namespace RedisFailover;

/// <summary>How a node stands, as the leading monitor tells it in its view: for people and tools, nothing is decided by it.</summary>
internal sealed record NodeReport
{
    /// <summary>Up to so many bytes, and so many seconds, a replica that is in step may lack between two answers.</summary>
    private const int InStepBytes = 1 << 16, InStepSeconds = 2;

    /// <summary>"master", "replica", or "unknown" before it has said.</summary>
    public string Role { get; init; } = "unknown";

    /// <summary>
    /// Of a replica, its link to its master: "up", "down", "copying" (a full copy), "detached" (it follows nobody); empty of others.
    /// </summary>
    public string Link { get; init; } = "";

    /// <summary>Of a replica: the master that it follows; null where it follows none.</summary>
    public NodeAddress? Master { get; init; }

    /// <summary>Of a replica: the bytes of the master's stream that it lacks; null where that cannot be told.</summary>
    public long? LagBytes { get; init; }

    /// <summary>Of a replica with a link: the seconds since the master last heard how far it is; null where that cannot be told.</summary>
    public int? LagSeconds { get; init; }

    /// <summary>
    /// Since when it has been as it is (role, link, or away), by the leading monitor's wall clock; null where that is not known.
    /// </summary>
    public DateTimeOffset? Since { get; init; }

    /// <summary>"redis 7.0.15".</summary>
    public string Server { get; init; } = "";

    /// <summary>Whether both say the same, small differences of a replica in step aside.</summary>
    internal bool SaysTheSameAs(NodeReport other)
        => Role == other.Role && Link == other.Link && Master == other.Master && Server == other.Server
            && Step(LagBytes, InStepBytes) == Step(other.LagBytes, InStepBytes)
            && Step(LagSeconds, InStepSeconds) == Step(other.LagSeconds, InStepSeconds);

    internal static NodeReport Read(JsonElement node, string what) => new()
    {
        Role = Json.Text(node, "role", what) ?? "unknown",
        Link = Json.Text(node, "link", what) ?? "",
        Master = Json.Address(node, "master", what),
        LagBytes = node.TryGetProperty("lagBytes", out _) ? Json.Number(node, "lagBytes", what) : null,
        LagSeconds = node.TryGetProperty("lagSeconds", out _) ? (int)Json.Number(node, "lagSeconds", what) : null,
        Since = DateTimeOffset.TryParse(Json.Text(node, "since", what), System.Globalization.CultureInfo.InvariantCulture,
                out DateTimeOffset since) ? since : null,
        Server = Json.Text(node, "server", what) ?? "",
    };

    internal void Write(Utf8JsonWriter writer)
    {
        writer.WriteStartObject();
        writer.WriteString("role", Role);
        if (Link.Length > 0)
        {
            writer.WriteString("link", Link);
            writer.WriteString("master", Master?.ToString());
        }

        if (LagBytes is { } bytes)
        {
            writer.WriteNumber("lagBytes", bytes);
        }

        if (LagSeconds is { } seconds)
        {
            writer.WriteNumber("lagSeconds", seconds);
        }

        if (Since is { } since)
        {
            writer.WriteString("since",
                since.UtcDateTime.ToString("yyyy-MM-dd'T'HH:mm:ss'Z'", System.Globalization.CultureInfo.InvariantCulture));
        }

        writer.WriteString("server", Server);
        writer.WriteEndObject();
    }

    /// <summary>0 for none to speak of, then how often it has doubled beyond: a lag that grows is told anew, not every byte.</summary>
    private static int Step(long? lag, int inStep)
        => lag is not { } behind ? -1 : behind <= inStep ? 0 : (int)Math.Log2((double)behind / inStep) + 1;
}
