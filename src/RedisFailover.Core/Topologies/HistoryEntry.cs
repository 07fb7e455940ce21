using System.Buffers;
using System.Collections.Immutable;
using System.Globalization;
using System.Text.Json;

namespace RedisFailover;

/// <summary>What kind of change a <see cref="HistoryEntry"/> tells of.</summary>
internal enum HistoryKind
{
    /// <summary>The first master was found or made.</summary>
    Adopted,

    /// <summary>A lost master was replaced.</summary>
    Failover,

    /// <summary>A living master handed over to another.</summary>
    Switchover,

    /// <summary>A failover or switchover was given up and the master before it is master again.</summary>
    Restored,

    /// <summary>An operator's wish was refused.</summary>
    Refused,

    /// <summary>A former master came back and was made a replica; its writes beyond the promoted replica's offset are gone.</summary>
    Demoted,

    /// <summary>The master was restarted and stays master, though it lacks some of what it held, or nobody can tell how much.</summary>
    Restarted,

    /// <summary>Failover was switched off by an operator.</summary>
    Paused,

    /// <summary>Failover was switched on again, by an operator or because its time was up.</summary>
    Resumed,

    /// <summary>Nodes were added, removed or tagged by an operator.</summary>
    Nodes,

    /// <summary>Settings that hold for all monitors were changed by an operator.</summary>
    Config,

    /// <summary>Somebody who does not lead had written the topology, or removed it: it was put right.</summary>
    Overwritten,

    /// <summary>ZooKeeper's data had been lost or put back from a backup: the topology goes on as a new incarnation.</summary>
    Renewed,
}

/// <summary>One line of <c>R/history</c>.</summary>
internal sealed record HistoryEntry
{
    /// <summary>What happened.</summary>
    public required HistoryKind Kind { get; init; }

    /// <summary>The epoch that it led to.</summary>
    public long Epoch { get; init; }

    /// <summary>When, by the writer's wall clock (UTC); set by the writer.</summary>
    public DateTimeOffset At { get; init; }

    /// <summary>The monitor that did it; set by the writer.</summary>
    public string By { get; init; } = "";

    /// <summary>The master before.</summary>
    public NodeAddress? From { get; init; }

    /// <summary>The master after.</summary>
    public NodeAddress? To { get; init; }

    /// <summary>Why, in plain words.</summary>
    public required string Reason { get; init; }

    /// <summary>How long each step took, in milliseconds, in order; the last one is the total.</summary>
    public ImmutableArray<KeyValuePair<string, double>> Millis { get; init; } = [];

    /// <summary>
    /// Bytes of replication stream that the old master had been seen to produce and the new one did not hold; 0 when it held all
    /// that was seen, null when it is not known. What the old master took after it was last asked comes on top.
    /// </summary>
    public long? BytesBehind { get; init; }

    /// <summary>Compares by content, lists included.</summary>
    public bool Equals(HistoryEntry? other)
        => other is not null && Kind == other.Kind && Epoch == other.Epoch && At == other.At && By == other.By && From == other.From
            && To == other.To && Reason == other.Reason && BytesBehind == other.BytesBehind
            && Millis.AsSpan().SequenceEqual(other.Millis.AsSpan());

    /// <inheritdoc/>
    public override int GetHashCode() => HashCode.Combine(Kind, Epoch, At, From, To, Reason);
}

/// <summary>The znode <c>R/history</c>: a JSON list, the oldest first.</summary>
internal static class HistoryJson
{
    /// <summary>How many entries are kept.</summary>
    public const int Limit = 100;

    /// <summary>How many refusals are kept among them: they must not push out what happened.</summary>
    public const int RefusalLimit = 10;

    private const string What = "The history";

    /// <summary>Reads the list.</summary>
    /// <exception cref="FormatException">It is no such list.</exception>
    public static ImmutableArray<HistoryEntry> Parse(ReadOnlyMemory<byte> utf8)
    {
        if (utf8.IsEmpty)
        {
            return [];
        }

        try
        {
            using JsonDocument document = JsonDocument.Parse(utf8);
            return [.. document.RootElement.EnumerateArray().Select(Entry)];
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException or ArgumentException or OverflowException)
        {
            throw new FormatException($"{What} is not readable: {e.Message}", e);
        }
    }

    /// <summary>Writes the last <see cref="Limit"/> entries as UTF-8, one line each.</summary>
    public static byte[] Write(ImmutableArray<HistoryEntry> entries)
    {
        var buffer = new ArrayBufferWriter<byte>(4096);
        buffer.Write("["u8);
        bool first = true;
        int tooMany = entries.Count(e => e.Kind == HistoryKind.Refused) - RefusalLimit;
        ImmutableArray<HistoryEntry> kept = [.. entries.Where(e => e.Kind != HistoryKind.Refused || --tooMany < 0)];
        foreach (HistoryEntry entry in kept.Skip(Math.Max(0, kept.Length - Limit)))
        {
            buffer.Write(first ? "\n"u8 : ",\n"u8);
            first = false;
            using var writer = new Utf8JsonWriter(buffer, Json.Indented with { Indented = false });
            Write(writer, entry);
        }

        buffer.Write("\n]\n"u8);
        return buffer.WrittenSpan.ToArray();
    }

    internal static void Write(Utf8JsonWriter writer, HistoryEntry entry)
    {
        writer.WriteStartObject();
        writer.WriteString("at", Json.Iso(entry.At));
        writer.WriteNumber("epoch", entry.Epoch);
        // Older monitors and clients know no other kinds; to them it is one after which the master is who it was.
        bool isNew = entry.Kind is HistoryKind.Overwritten or HistoryKind.Renewed;
        writer.WriteString("kind", Name(isNew ? HistoryKind.Restored : entry.Kind));
        if (isNew)
        {
            writer.WriteString("cause", Name(entry.Kind));
        }

        writer.WriteString("from", entry.From?.ToString());
        writer.WriteString("to", entry.To?.ToString());
        writer.WriteString("reason", entry.Reason);
        Json.Write(writer, "millis", entry.Millis);
        if (entry.BytesBehind is { } behind)
        {
            writer.WriteNumber("bytesBehind", behind);
        }

        writer.WriteString("by", entry.By);
        writer.WriteEndObject();
    }

    /// <summary>The name of a kind in the znode and in the output of the operator's tool.</summary>
    public static string Name(HistoryKind kind) => kind.ToString().ToLowerInvariant();

    private static HistoryKind? Kind(string? name) => Enum.TryParse(name, ignoreCase: true, out HistoryKind kind) ? kind : null;

    internal static HistoryEntry Entry(JsonElement entry) => new()
    {
        Kind = Kind(Json.Text(entry, "cause", What)) ?? Kind(Json.Text(entry, "kind", What))
            ?? throw new FormatException($"{What}: an entry has the kind '{Json.Text(entry, "kind", What)}'."),
        Epoch = Json.Number(entry, "epoch", What),
        At = DateTimeOffset.TryParse(
            Json.Text(entry, "at", What), CultureInfo.InvariantCulture, DateTimeStyles.AssumeUniversal, out DateTimeOffset at)
                ? at : default,
        By = Json.Text(entry, "by", What) ?? "",
        From = Json.Address(entry, "from", What),
        To = Json.Address(entry, "to", What),
        Reason = Json.Text(entry, "reason", What) ?? "",
        BytesBehind = entry.TryGetProperty("bytesBehind", out _) ? Json.Number(entry, "bytesBehind", What) : null,
        Millis = Json.Millis(entry, "millis", What),
    };
}
