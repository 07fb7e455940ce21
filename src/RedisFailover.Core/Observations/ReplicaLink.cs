using System.Globalization;

namespace RedisFailover;

/// <summary>A replica that is connected to a master, as the master says.</summary>
/// <param name="Replica">Its address; in the spelling of the configuration where the monitor could tell.</param>
/// <param name="State">"online", "wait_bgsave" or "send_bulk" (it is being copied to).</param>
/// <param name="Offset">The offset that it acknowledged last, in bytes.</param>
internal sealed record ReplicaLink(NodeAddress Replica, string State, long Offset)
{
    /// <summary>Seconds since it last told how far it is (lag); null where the master does not say.</summary>
    public int? Lag { get; init; }

    /// <summary>Whether its copy is complete and it follows.</summary>
    public bool IsOnline => State == "online";

    /// <summary>"ip=127.0.0.1,port=7002,state=online,offset=12,lag=0"; null for one that has not said yet where it listens.</summary>
    internal static ReplicaLink? Parse(ReadOnlySpan<char> text)
    {
        string host = "";
        string state = "";
        int port = 0;
        long offset = 0;
        int? lag = null;
        Span<Range> parts = stackalloc Range[16];
        foreach (Range part in parts[..text.Split(parts, ',', StringSplitOptions.TrimEntries)])
        {
            ReadOnlySpan<char> setting = text[part];
            if (setting.StartsWith("ip="))
            {
                host = setting[3..].ToString().ToLowerInvariant();
            }
            else if (setting.StartsWith("port="))
            {
                _ = int.TryParse(setting[5..], NumberStyles.None, CultureInfo.InvariantCulture, out port);
            }
            else if (setting.StartsWith("state="))
            {
                state = setting[6..].ToString();
            }
            else if (setting.StartsWith("offset="))
            {
                _ = long.TryParse(setting[7..], NumberStyles.None, CultureInfo.InvariantCulture, out offset);
            }
            else if (setting.StartsWith("lag=")
                && int.TryParse(setting[4..], NumberStyles.None, CultureInfo.InvariantCulture, out int seconds))
            {
                lag = seconds;
            }
        }

        return host.Length > 0 && port > 0 ? new ReplicaLink(new NodeAddress(host, port), state, offset) { Lag = lag } : null;
    }
}
