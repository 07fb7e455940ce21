using RedisFailover.Shared;

namespace RedisFailover;

/// <summary>
/// Where a Redis server listens: a host name or IP address, and a port. Host names are kept in lower case, IPv6 addresses
/// without brackets. Two addresses are equal when host and port are; no name is resolved.
/// </summary>
/// <param name="Host">A host name, an IPv4 address or a bare IPv6 address.</param>
/// <param name="Port">A TCP port, 1 to 65535.</param>
public sealed record NodeAddress(string Host, int Port) : IComparable<NodeAddress>
{
    /// <summary>Reads "host:port", "10.0.0.1:6379" or "[::1]:6379".</summary>
    /// <exception cref="FormatException">The text is no such address; the message says what is allowed.</exception>
    public static NodeAddress Parse(string text)
        => TryParse(text, out NodeAddress? address)
            ? address
            : throw new FormatException($"'{text}' is not a node address; allowed: {HostPort.Allowed}.");

    /// <summary>Reads "host:port", "10.0.0.1:6379" or "[::1]:6379"; false when the text is none of these.</summary>
    public static bool TryParse(string? text, [System.Diagnostics.CodeAnalysis.NotNullWhen(true)] out NodeAddress? address)
    {
        address = HostPort.TryParse(text, defaultPort: null, out string host, out int port) ? new NodeAddress(host, port) : null;
        return address is not null;
    }

    /// <summary>Orders by host (ordinal), then by port: the last resort when candidates are equal in everything else.</summary>
    public int CompareTo(NodeAddress? other)
    {
        if (other is null)
        {
            return 1;
        }

        int byHost = string.CompareOrdinal(Host, other.Host);
        return byHost != 0 ? byHost : Port.CompareTo(other.Port);
    }

    /// <summary>"host:port", with brackets around an IPv6 address: what <see cref="Parse"/> reads.</summary>
    public override string ToString() => HostPort.Format(Host, Port);

#pragma warning disable CS1591 // Comparison operators that follow CompareTo.
    public static bool operator <(NodeAddress? left, NodeAddress? right) => Comparer<NodeAddress?>.Default.Compare(left, right) < 0;

    public static bool operator >(NodeAddress? left, NodeAddress? right) => Comparer<NodeAddress?>.Default.Compare(left, right) > 0;

    public static bool operator <=(NodeAddress? left, NodeAddress? right) => Comparer<NodeAddress?>.Default.Compare(left, right) <= 0;

    public static bool operator >=(NodeAddress? left, NodeAddress? right) => Comparer<NodeAddress?>.Default.Compare(left, right) >= 0;
#pragma warning restore CS1591
}
