using System.Buffers;
using System.Text.Json;

namespace RedisFailover.ZooKeeper;

/// <summary>What stands in a heartbeat: who beats, how long its leases last, and how long its writes take.</summary>
/// <param name="Owner">Its owner's name, for people.</param>
/// <param name="Lease">How long after a beat was sent its owner may act by it.</param>
/// <param name="Write">The longest of its owner's recent writes.</param>
/// <param name="Home">Where its owner's first heartbeat stands, by which it leads; null: this is the first.</param>
internal sealed record HeartbeatData(string Owner, TimeSpan Lease, TimeSpan Write, string? Home = null)
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
            if (Home is not null)
            {
                writer.WriteString("home", Home);
            }

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
            return root.ValueKind == JsonValueKind.Object && Json.Text(root, "owner") is { } owner
                && Json.Millis(root, "leaseMs") is { } lease
                ? new HeartbeatData(owner, lease, Json.Millis(root, "writeMs") ?? TimeSpan.Zero, Json.Text(root, "home"))
                : null;
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException)
        {
            return null;
        }
    }
}

/// <summary>What stands in the term: who leads, and by which heartbeat.</summary>
/// <param name="Candidate">The leader's candidate id; empty: nobody, anybody may stand at once.</param>
/// <param name="Heartbeat">Its heartbeat's path; null: a leader of a release without leases, which leads while its session lives.</param>
/// <param name="Lease">How long its lease was when it was elected: for those who never see its heartbeat, because it is gone.</param>
internal sealed record TermData(string Candidate, string? Heartbeat, TimeSpan Lease = default)
{
    /// <summary>Whether the last leader has ended leadership itself, or there was none.</summary>
    internal bool IsVacant => Candidate.Length == 0;

    /// <summary>As <c>{"candidate":"m1/...","heartbeat":"/redis_failover/heartbeats/m1-...","leaseMs":500}</c>.</summary>
    internal byte[] ToBytes()
    {
        var buffer = new ArrayBufferWriter<byte>(256);
        using (var writer = new Utf8JsonWriter(buffer))
        {
            writer.WriteStartObject();
            writer.WriteString("candidate", Candidate);
            writer.WriteString("heartbeat", Heartbeat);
            writer.WriteNumber("leaseMs", (long)Math.Ceiling(Lease.TotalMilliseconds));
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
                JsonElement root = document.RootElement;
                if (Json.Text(root, "candidate") is { Length: > 0 } id && Json.Text(root, "heartbeat") is { Length: > 0 } path
                    && ZnodePath.Fault(path) is null)
                {
                    return new TermData(id, path, Json.Millis(root, "leaseMs") ?? TimeSpan.Zero);
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

internal static class Json
{
    internal static string? Text(JsonElement root, string name)
        => root.TryGetProperty(name, out JsonElement value) && value.ValueKind == JsonValueKind.String ? value.GetString() : null;

    internal static TimeSpan? Millis(JsonElement root, string name)
        => root.TryGetProperty(name, out JsonElement value) && value.ValueKind == JsonValueKind.Number
            && value.TryGetDouble(out double millis) && millis is >= 0 and < 1e9
                ? TimeSpan.FromMilliseconds(millis)
                : null;
}
