using System.Collections.Immutable;
using System.Globalization;

namespace RedisFailover.Monitor.Redis;

/// <summary>Reads ACL LOG: whom a node has refused.</summary>
internal static class AclLog
{
    /// <summary>A replica that is refused tries again each second, and the node counts it in the same entry.</summary>
    private const double RecentSeconds = 10;

    /// <summary>What was refused within the last seconds; none where the node knows no ACL LOG or may not be asked.</summary>
    internal static ImmutableArray<AccessRefusal> Recent(RespValue log)
        => log.Kind != RespKind.Array ? [] : [.. log.Items.Select(Read).OfType<AccessRefusal>().Distinct()];

    private static AccessRefusal? Read(RespValue entry)
    {
        Dictionary<string, string> fields = new(StringComparer.Ordinal);
        for (int i = 0; entry.Kind == RespKind.Array && i + 1 < entry.Items.Length; i += 2)
        {
            fields[entry.Items[i].Text ?? ""] = entry.Items[i + 1].Text ?? "";
        }

        string? age = fields.GetValueOrDefault("age-seconds");
        bool isRecent = double.TryParse(age, NumberStyles.Float, CultureInfo.InvariantCulture, out double seconds)
            && seconds <= RecentSeconds;
        string? user = fields.GetValueOrDefault("username");
        return !isRecent || user is null ? null : fields.GetValueOrDefault("reason") switch
        {
            "auth" => new AccessRefusal(user, null, Host(fields)),
            "command" when fields.GetValueOrDefault("object")?.ToLowerInvariant() is "psync" or "sync"
                => new AccessRefusal(user, "psync", Host(fields)),
            _ => null,
        };
    }

    /// <summary>"id=7 addr=127.0.0.1:50122 laddr=…": the host alone.</summary>
    private static string Host(Dictionary<string, string> fields)
    {
        string[] client = fields.GetValueOrDefault("client-info")?.Split(' ') ?? [];
        string? address = client.FirstOrDefault(p => p.StartsWith("addr=", StringComparison.Ordinal))?[5..];
        return address is null || address.LastIndexOf(':') is not (> 0 and var colon) ? "" : address[..colon].Trim('[', ']');
    }
}
