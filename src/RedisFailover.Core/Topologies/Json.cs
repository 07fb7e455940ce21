using System.Buffers;
using System.Collections.Immutable;
using System.Globalization;
using System.Text;
using System.Text.Encodings.Web;
using System.Text.Json;

namespace RedisFailover;

/// <summary>What the znodes' readers and writers share: strict reading with errors that name the field, indented writing.</summary>
internal static class Json
{
    internal static readonly JsonWriterOptions Indented = new()
    {
        Indented = true,
        // The znode is read by people with zkCli.sh: no \u0027 for an apostrophe.
        Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping,
    };

    /// <summary>
    /// Reads an object; whatever is wrong with it is a <see cref="FormatException"/> that begins with <paramref name="what"/>: also half a
    /// surrogate pair, two names for one node, a number that is no time.
    /// </summary>
    internal static T Read<T>(ReadOnlyMemory<byte> utf8, string what, Func<JsonElement, T> read)
    {
        try
        {
            using JsonDocument document = JsonDocument.Parse(utf8);
            return document.RootElement.ValueKind == JsonValueKind.Object
                ? read(document.RootElement)
                : throw new FormatException($"{what} is a JSON {document.RootElement.ValueKind}, not an object.");
        }
        catch (JsonException e)
        {
            throw new FormatException($"{what} is not JSON: {e.Message}", e);
        }
        catch (Exception e) when (e is InvalidOperationException or ArgumentException or OverflowException)
        {
            throw new FormatException($"{what} is not readable: {e.Message}", e);
        }
    }

    /// <summary>What is written, as UTF-8, indented.</summary>
    internal static byte[] Bytes(Action<Utf8JsonWriter> write)
    {
        var buffer = new ArrayBufferWriter<byte>(1024);
        using (var writer = new Utf8JsonWriter(buffer, Indented))
        {
            write(writer);
        }

        return buffer.WrittenSpan.ToArray();
    }

    /// <summary>An object of what is written, as UTF-8, indented.</summary>
    internal static byte[] ObjectBytes(Action<Utf8JsonWriter> members) => Bytes(writer =>
    {
        writer.WriteStartObject();
        members(writer);
        writer.WriteEndObject();
    });

    /// <summary>Writes what a znode holds at the writer's place; as a text where somebody mangled it.</summary>
    internal static void WriteZnode(Utf8JsonWriter writer, ReadOnlyMemory<byte> utf8)
    {
        try
        {
            // Through a document, not raw: the znode's own indentation would be in the way of ours.
            using JsonDocument document = JsonDocument.Parse(utf8);
            using (var trial = new Utf8JsonWriter(Stream.Null))
            {
                // Half a surrogate pair shows only in writing, and what has been written cannot be taken back.
                document.RootElement.WriteTo(trial);
            }

            document.RootElement.WriteTo(writer);
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException or ArgumentException)
        {
            writer.WriteStringValue(Encoding.UTF8.GetString(utf8.Span));
        }
    }

    internal static string? Text(JsonElement parent, string field, string what)
        => !parent.TryGetProperty(field, out JsonElement value) || value.ValueKind == JsonValueKind.Null
            ? null
            : value.ValueKind == JsonValueKind.String
                ? value.GetString()
                : throw Wrong(what, field, value, "a string or null");

    internal static long Number(JsonElement parent, string field, string what)
        => !parent.TryGetProperty(field, out JsonElement value)
            ? 0
            : value.ValueKind == JsonValueKind.Number && value.TryGetInt64(out long number)
                ? number
                : throw Wrong(what, field, value, "a whole number");

    internal static bool Flag(JsonElement parent, string field, string what)
        => parent.TryGetProperty(field, out JsonElement value)
            && value.ValueKind switch
            {
                JsonValueKind.True => true,
                JsonValueKind.False => false,
                _ => throw Wrong(what, field, value, "true or false"),
            };

    internal static JsonElement? Object(JsonElement parent, string field, string what)
        => !parent.TryGetProperty(field, out JsonElement value) || value.ValueKind == JsonValueKind.Null
            ? null
            : value.ValueKind == JsonValueKind.Object
                ? value
                : throw Wrong(what, field, value, "an object or null");

    internal static NodeAddress? Address(JsonElement parent, string field, string what)
        => Text(parent, field, what) is not { } text
            ? null
            : NodeAddress.TryParse(text, out NodeAddress? address)
                ? address
                : throw new FormatException($"{what}: \"{field}\" holds '{Words.Quoted(text)}', which is not host:port.");

    internal static ImmutableArray<NodeAddress> Addresses(JsonElement parent, string field, string what)
    {
        if (!parent.TryGetProperty(field, out JsonElement value) || value.ValueKind == JsonValueKind.Null)
        {
            return [];
        }

        if (value.ValueKind != JsonValueKind.Array)
        {
            throw Wrong(what, field, value, "a list of host:port");
        }

        ImmutableArray<NodeAddress>.Builder addresses = ImmutableArray.CreateBuilder<NodeAddress>(value.GetArrayLength());
        foreach (JsonElement item in value.EnumerateArray())
        {
            addresses.Add(item.ValueKind == JsonValueKind.String && NodeAddress.TryParse(item.GetString(), out NodeAddress? address)
                ? address
                : throw new FormatException($"{what}: \"{field}\" holds {item.GetRawText()}, which is not host:port."));
        }

        return addresses.DrainToImmutable();
    }

    internal static ImmutableArray<string> Texts(JsonElement parent, string field, string what)
        => !parent.TryGetProperty(field, out JsonElement value) || value.ValueKind == JsonValueKind.Null
            ? []
            : value.ValueKind == JsonValueKind.Array && value.EnumerateArray().All(item => item.ValueKind == JsonValueKind.String)
                ? [.. value.EnumerateArray().Select(item => item.GetString()!)]
                : throw Wrong(what, field, value, "a list of strings");

    internal static ImmutableArray<JsonElement> Objects(JsonElement parent, string field, string what)
        => !parent.TryGetProperty(field, out JsonElement value) || value.ValueKind == JsonValueKind.Null
            ? []
            : value.ValueKind == JsonValueKind.Array && value.EnumerateArray().All(item => item.ValueKind == JsonValueKind.Object)
                ? [.. value.EnumerateArray()]
                : throw Wrong(what, field, value, "a list of objects");

    /// <summary>An ISO 8601 time; null where there is none.</summary>
    internal static DateTimeOffset? Time(JsonElement parent, string field, string what)
        => Text(parent, field, what) is not { } text ? null
            : DateTimeOffset.TryParse(text, CultureInfo.InvariantCulture, DateTimeStyles.AssumeUniversal, out DateTimeOffset at) ? at
            : throw new FormatException($"{what}: \"{field}\" is '{Words.Quoted(text)}'; allowed: an ISO 8601 time.");

    internal static string Iso(DateTimeOffset at) => at.UtcDateTime.ToString("yyyy-MM-dd'T'HH:mm:ss.fff'Z'", CultureInfo.InvariantCulture);

    /// <summary>How long each step took, in milliseconds; nothing where that is not said.</summary>
    internal static ImmutableArray<KeyValuePair<string, double>> Millis(JsonElement parent, string field, string what)
        => Object(parent, field, what) is { } steps
            ? [.. steps.EnumerateObject().Select(step => KeyValuePair.Create(step.Name, step.Value.GetDouble()))]
            : [];

    internal static void Write(Utf8JsonWriter writer, string field, ImmutableArray<KeyValuePair<string, double>> millis)
    {
        writer.WriteStartObject(field);
        foreach ((string step, double took) in millis)
        {
            writer.WriteNumber(step, Math.Round(took, 2));
        }

        writer.WriteEndObject();
    }

    internal static void Write(Utf8JsonWriter writer, string field, ImmutableArray<NodeAddress> addresses)
    {
        writer.WriteStartArray(field);
        foreach (NodeAddress address in addresses)
        {
            writer.WriteStringValue(address.ToString());
        }

        writer.WriteEndArray();
    }

    /// <summary>Nothing where there are none: most clusters have none.</summary>
    internal static void WriteAny(Utf8JsonWriter writer, string field, ImmutableArray<NodeAddress> addresses)
    {
        if (!addresses.IsEmpty)
        {
            Write(writer, field, addresses);
        }
    }

    /// <summary>An object with a member for each; nothing where there are none.</summary>
    internal static void WriteAny<T>(
        Utf8JsonWriter writer, string field, IEnumerable<KeyValuePair<NodeAddress, T>> members, Action<T> write)
    {
        bool isBegun = false;
        foreach ((NodeAddress node, T value) in members)
        {
            if (!isBegun)
            {
                writer.WriteStartObject(field);
                isBegun = true;
            }

            writer.WritePropertyName(node.ToString());
            write(value);
        }

        if (isBegun)
        {
            writer.WriteEndObject();
        }
    }

    internal static FormatException Wrong(string what, string field, JsonElement value, string allowed)
        => new($"{what}: \"{field}\" is {value.GetRawText()}; allowed: {allowed}.");
}
