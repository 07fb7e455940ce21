using System.Globalization;

namespace RedisFailover.IntegrationTests.Harness;

/// <summary>Whose socket it is, as Linux' /proc tells.</summary>
internal static class SocketOwner
{
    /// <summary>Whether the process holds the loopback TCP socket with this local port.</summary>
    internal static bool Holds(int pid, int localPort)
    {
        string port = localPort.ToString("X4", CultureInfo.InvariantCulture);
        // "sl local_address rem_address st tx:rx tr:tm retrnsmt uid timeout inode"; .NET connects over IPv6 sockets, too.
        HashSet<string> sockets = [.. ((string[])["/proc/net/tcp", "/proc/net/tcp6"])
            .SelectMany(File.ReadLines)
            .Select(line => line.Split(' ', StringSplitOptions.RemoveEmptyEntries))
            .Where(words => words.Length > 9 && words[1].EndsWith($":{port}", StringComparison.Ordinal))
            .Select(words => $"socket:[{words[9]}]")];
        try
        {
            return Directory.EnumerateFiles($"/proc/{pid}/fd").Any(fd => Target(fd) is { } name && sockets.Contains(name));
        }
        catch (IOException)
        {
            // The process has ended.
            return false;
        }
    }

    /// <summary>Null for one that was closed since it was listed: a busy process closes some all the time, and the others count.</summary>
    private static string? Target(string descriptor)
    {
        try
        {
            return File.ResolveLinkTarget(descriptor, returnFinalTarget: false)?.Name;
        }
        catch (IOException)
        {
            return null;
        }
    }
}
