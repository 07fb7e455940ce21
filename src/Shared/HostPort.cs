using System.Globalization;

namespace RedisFailover.Shared;

/// <summary>
/// The one parser of "host:port" in this project. Compiled into Core and ZooKeeper, which may not refer to each other.
/// </summary>
internal static class HostPort
{
    /// <summary>What <see cref="TryParse"/> accepts, for error messages.</summary>
    internal const string Allowed = "host:port, 10.0.0.1:6379 or [::1]:6379, with a port from 1 to 65535";

    /// <summary>
    /// Reads "name:port", "1.2.3.4:port" or "[v6]:port". A bare IPv6 address followed by ":port" ("::1:6379", as Ruby's client
    /// wrote it) is ambiguous and refused. With <paramref name="defaultPort"/> the port may be left out.
    /// </summary>
    internal static bool TryParse(ReadOnlySpan<char> text, int? defaultPort, out string host, out int port)
    {
        host = "";
        port = defaultPort ?? 0;
        text = text.Trim();
        ReadOnlySpan<char> portText;
        if (text is ['[', ..])
        {
            int close = text.IndexOf(']');
            if (close < 0 || !System.Net.IPAddress.TryParse(text[1..close], out System.Net.IPAddress? v6)
                || v6.AddressFamily != System.Net.Sockets.AddressFamily.InterNetworkV6)
            {
                return false;
            }

            host = text[1..close].ToString().ToLowerInvariant();
            ReadOnlySpan<char> rest = text[(close + 1)..];
            if (rest.IsEmpty)
            {
                return defaultPort is not null;
            }

            if (rest[0] != ':')
            {
                return false;
            }

            portText = rest[1..];
        }
        else
        {
            int colon = text.IndexOf(':');
            if (colon != text.LastIndexOf(':'))
            {
                return false;
            }

            ReadOnlySpan<char> name = colon < 0 ? text : text[..colon];
            if (!IsHostName(name))
            {
                return false;
            }

            host = name.ToString().ToLowerInvariant();
            if (colon < 0)
            {
                return defaultPort is not null;
            }

            portText = text[(colon + 1)..];
        }

        return int.TryParse(portText, NumberStyles.None, CultureInfo.InvariantCulture, out port) && port is > 0 and <= 65535;
    }

    /// <summary>The inverse of <see cref="TryParse"/>: brackets around an IPv6 address.</summary>
    internal static string Format(string host, int port)
        => host.Contains(':', StringComparison.Ordinal)
            ? string.Create(CultureInfo.InvariantCulture, $"[{host}]:{port}")
            : string.Create(CultureInfo.InvariantCulture, $"{host}:{port}");

    private static bool IsHostName(ReadOnlySpan<char> name)
    {
        if (name.IsEmpty || name.Length > 253)
        {
            return false;
        }

        foreach (char c in name)
        {
            if (!char.IsAsciiLetterOrDigit(c) && c is not ('.' or '-' or '_'))
            {
                return false;
            }
        }

        return true;
    }
}
