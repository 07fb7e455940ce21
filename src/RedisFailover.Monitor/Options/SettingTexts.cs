using RedisFailover.Shared;
using RedisFailover.ZooKeeper;

namespace RedisFailover.Monitor.Options;

/// <summary>Settings that are texts of a form of their own.</summary>
internal static class SettingTexts
{
    internal const string PathAllowed = "an absolute path such as /redis_failover, of letters, digits and _ - . /";

    internal const string HttpAllowed = "http://IP:port or http://localhost:port (0.0.0.0 for all addresses); https:// with http-cert-file";

    internal const string IdAllowed = "1 to 100 letters, digits and _ - .";

    internal static ZooKeeperConnectionString Servers(GivenOption given)
    {
        try
        {
            var servers = ZooKeeperConnectionString.Parse(given.Value);
            return servers.Chroot.Length == 0
                ? servers
                : throw given.Wrong("host[:port], separated by commas; the path goes into --znode-path");
        }
        catch (FormatException e)
        {
            throw new OptionException($"--{given.Name} (from {given.Source}): {e.Message}");
        }
    }

    internal static string Path(GivenOption given)
        => given.Value.Length > 1 && given.Value[0] == '/' && given.Value[^1] != '/'
            && !given.Value.Contains("//", StringComparison.Ordinal)
            && given.Value.All(c => IsOfName(c) || c == '/')
            && !given.Value.Split('/').Any(part => part is "." or "..")
                ? given.Value
                : throw given.Wrong(PathAllowed);

    internal static string Id(GivenOption given)
        => given.Value.Length is > 0 and <= 100 && given.Value.All(IsOfName) && given.Value.Trim('.').Length > 0
            ? given.Value
            : throw given.Wrong(IdAllowed);

    /// <summary>A file that holds a secret now, and is read again.</summary>
    internal static SecretFile Secret(GivenOption given)
    {
        _ = FirstLine(given);
        return new SecretFile(given.Value);
    }

    internal static string FirstLine(GivenOption given)
    {
        try
        {
            return new SecretFile(given.Value).Read() is [var first, ..]
                ? first
                : throw given.Unusable("it is empty; allowed: the secret in its first line");
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or ArgumentException)
        {
            throw given.Unusable(e.Message);
        }
    }

    internal static string? OrNull(GivenOption given) => given.Value.Length > 0 ? given.Value : null;

    internal static Uri Http(GivenOption given)
        => Uri.TryCreate(given.Value, UriKind.Absolute, out Uri? uri) && uri.Scheme is "http" or "https" && uri.PathAndQuery == "/"
            // Kestrel would listen on every address for any other name.
            && (uri.HostNameType is UriHostNameType.IPv4 or UriHostNameType.IPv6 || uri.Host == "localhost")
            ? uri
            : throw given.Wrong(HttpAllowed);

    private static bool IsOfName(char c) => char.IsAsciiLetterOrDigit(c) || c is '_' or '-' or '.';
}
