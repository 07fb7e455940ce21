using System.Text.Json;

namespace RedisFailover.ZooKeeper;

/// <summary>Reads what somebody else may have written.</summary>
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
