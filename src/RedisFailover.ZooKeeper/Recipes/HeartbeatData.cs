using System.Buffers;
using System.Text.Json;

namespace RedisFailover.ZooKeeper;

/// <summary>What stands in a heartbeat: who beats, how long its leases last, and how long its writes take.</summary>
/// <param name="Owner">Its owner's name, for people.</param>
/// <param name="Lease">How long after a beat was sent its owner may act by it.</param>
/// <param name="Write">The longest of its owner's recent writes.</param>
internal sealed record HeartbeatData(string Owner, TimeSpan Lease, TimeSpan Write)
{
    /// <summary>As <c>{"owner":"m1","leaseMs":500,"writeMs":3.2}</c>.</summary>
    internal byte[] ToBytes()
    {
        var buffer = new ArrayBufferWriter<byte>(128);
        using (var writer = new Utf8JsonWriter(buffer))
        {
            writer.WriteStartObject();
            writer.WriteString("owner", Owner);
            writer.WriteNumber("leaseMs", (long)Math.Ceiling(Lease.TotalMilliseconds));
            writer.WriteNumber("writeMs", Math.Round(Write.TotalMilliseconds, 1));
            writer.WriteEndObject();
        }

        return buffer.WrittenSpan.ToArray();
    }

    /// <summary>Null if it is no such thing.</summary>
    internal static HeartbeatData? Read(ReadOnlyMemory<byte> data)
    {
        try
        {
            using var document = JsonDocument.Parse(data);
            JsonElement root = document.RootElement;
            return root.ValueKind == JsonValueKind.Object && Text(root, "owner") is { } owner && Millis(root, "leaseMs") is { } lease
                ? new HeartbeatData(owner, lease, Millis(root, "writeMs") ?? TimeSpan.Zero)
                : null;
        }
        catch (JsonException)
        {
            return null;
        }
    }

    private static string? Text(JsonElement root, string name)
        => root.TryGetProperty(name, out JsonElement value) && value.ValueKind == JsonValueKind.String ? value.GetString() : null;

    private static TimeSpan? Millis(JsonElement root, string name)
        => root.TryGetProperty(name, out JsonElement value) && value.ValueKind == JsonValueKind.Number && value.TryGetDouble(out double millis) && millis is >= 0 and < 1e9
            ? TimeSpan.FromMilliseconds(millis)
            : null;
}

/// <summary>What stands in the term: who leads, and by which heartbeat.</summary>
/// <param name="Candidate">The leader's candidate id; empty: nobody, anybody may stand at once.</param>
/// <param name="Heartbeat">Its heartbeat's path; null: a leader of a release without leases, which leads for as long as its session lives.</param>
internal sealed record TermData(string Candidate, string? Heartbeat)
{
    /// <summary>Whether the last leader has ended its lead itself, or there was none.</summary>
    internal bool IsVacant => Candidate.Length == 0;

    /// <summary>As <c>{"candidate":"m1/...","heartbeat":"/redis_failover/heartbeats/m1-..."}</c>.</summary>
    internal byte[] ToBytes()
    {
        var buffer = new ArrayBufferWriter<byte>(256);
        using (var writer = new Utf8JsonWriter(buffer))
        {
            writer.WriteStartObject();
            writer.WriteString("candidate", Candidate);
            writer.WriteString("heartbeat", Heartbeat);
            writer.WriteEndObject();
        }

        return buffer.WrittenSpan.ToArray();
    }

    /// <summary>What is no such object is an older release's candidate id.</summary>
    internal static TermData Read(ReadOnlyMemory<byte> data)
    {
        if (!data.IsEmpty && data.Span[0] == '{')
        {
            try
            {
                using var document = JsonDocument.Parse(data);
                if (document.RootElement.TryGetProperty("candidate", out JsonElement candidate) && candidate.GetString() is { Length: > 0 } id
                    && document.RootElement.TryGetProperty("heartbeat", out JsonElement heartbeat) && heartbeat.GetString() is { Length: > 0 } path
                    && ZnodePath.Fault(path) is null)
                {
                    return new TermData(id, path);
                }
            }
            catch (Exception e) when (e is JsonException or InvalidOperationException)
            {
                // Not ours.
            }
        }

        return new TermData(System.Text.Encoding.UTF8.GetString(data.Span), null);
    }
}
