using System.Buffers;
using System.Text.Json;

namespace RedisFailover.ZooKeeper;

/// <summary>Writes objects, and reads what somebody else may have written.</summary>
internal static class Json
{
    /// <summary>An object of what is written, as UTF-8.</summary>
    internal static byte[] ObjectBytes(Action<Utf8JsonWriter> members)
    {
        var buffer = new ArrayBufferWriter<byte>(256);
        using (var writer = new Utf8JsonWriter(buffer))
        {
            writer.WriteStartObject();
            members(writer);
            writer.WriteEndObject();
        }

        return buffer.WrittenSpan.ToArray();
    }

    internal static string? Text(JsonElement root, string name)
        => root.TryGetProperty(name, out JsonElement value) && value.ValueKind == JsonValueKind.String ? value.GetString() : null;

    internal static TimeSpan? Millis(JsonElement root, string name)
        => root.TryGetProperty(name, out JsonElement value) && value.ValueKind == JsonValueKind.Number
            && value.TryGetDouble(out double millis) && millis is >= 0 and < 1e9
                ? TimeSpan.FromMilliseconds(millis)
                : null;
}
