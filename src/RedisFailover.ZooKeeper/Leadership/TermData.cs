using System.Text.Json;

namespace RedisFailover.ZooKeeper;

/// <summary>What stands in the term: who leads, and by which heartbeat.</summary>
/// <param name="Candidate">The leader's candidate id; empty: nobody, anybody may stand at once.</param>
/// <param name="Heartbeat">Its heartbeat's path; null: a leader of a release without leases, which leads while its session lives.</param>
/// <param name="Lease">How long its lease was when it was elected: for those who never see its heartbeat, because it is gone.</param>
internal sealed record TermData(string Candidate, string? Heartbeat, TimeSpan Lease = default)
{
    /// <summary>Whether the last leader has ended leadership itself, or there was none.</summary>
    internal bool IsVacant => Candidate.Length == 0;

    /// <summary>As <c>{"candidate":"m1/...","heartbeat":"/redis_failover/heartbeats/m1-...","leaseMs":500}</c>.</summary>
    internal byte[] ToBytes() => Json.ObjectBytes(writer =>
    {
        writer.WriteString("candidate", Candidate);
        writer.WriteString("heartbeat", Heartbeat);
        writer.WriteNumber("leaseMs", (long)Math.Ceiling(Lease.TotalMilliseconds));
    });

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
