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
    internal byte[] ToBytes() => Json.ObjectBytes(writer =>
    {
        writer.WriteString("owner", Owner);
        writer.WriteNumber("leaseMs", (long)Math.Ceiling(Lease.TotalMilliseconds));
        writer.WriteNumber("writeMs", Math.Round(Write.TotalMilliseconds, 1));
        if (Home is not null)
        {
            writer.WriteString("home", Home);
        }
    });

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
