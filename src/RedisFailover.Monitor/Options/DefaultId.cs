using System.Globalization;
using System.Net.Sockets;
using System.Security.Cryptography;
using System.Text;

namespace RedisFailover.Monitor.Options;

/// <summary>
/// The id of a monitor that was given none: its host's, and a number where several run there. The same after a restart, because monitors
/// are registered by their ids; no two at a time, because each holds its own until the kernel sees it end.
/// </summary>
internal static class DefaultId
{
    private const int MostOnOneHost = 100;

    private static readonly Dictionary<string, (string Id, Socket[] Held)> Taken = new(StringComparer.Ordinal);

    /// <summary>This process' id among the monitors of a cluster.</summary>
    /// <param name="znodePaths">The cluster's root in ZooKeeper; of several clusters all of them, and first what they have in
    /// common.</param>
    internal static string Of(params string[] znodePaths)
    {
        string znodePath = znodePaths[0];
        lock (Taken)
        {
            if (!Taken.TryGetValue(znodePath, out (string Id, Socket[] Held) taken))
            {
                Taken[znodePath] = taken = Take([.. znodePaths.Distinct()]);
            }

            return taken.Id;
        }
    }

    private static (string Id, Socket[] Held) Take(string[] znodePaths)
    {
        string host = Host();
        for (int number = 1; number <= MostOnOneHost && OperatingSystem.IsLinux(); number++)
        {
            string id = number == 1 ? host : string.Create(CultureInfo.InvariantCulture, $"{host}-{number}");
            Socket?[] held = [.. znodePaths.Select(path => Hold($"redis-failover-monitor{path}/{number}"))];
            if (!held.Contains(null))
            {
                return (id, [.. held.OfType<Socket>()]);
            }

            foreach (Socket? part in held)
            {
                part?.Dispose();
            }
        }

        return (string.Create(CultureInfo.InvariantCulture, $"{host}-pid{Environment.ProcessId}"), []);
    }

    /// <summary>A name that one process on this host can have, without a file: a socket in Linux' abstract namespace.</summary>
    private static Socket? Hold(string name)
    {
        var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        try
        {
            byte[] hash = SHA256.HashData(Encoding.UTF8.GetBytes(name));
            socket.Bind(new UnixDomainSocketEndPoint("\0redis-failover-" + Convert.ToHexString(hash)));
            return socket;
        }
        catch (SocketException)
        {
            socket.Dispose();
            return null;
        }
    }

    /// <summary>Hosts may be called alike: what tells them apart is the machine's id, where there is one.</summary>
    private static string Host()
    {
        string name =
            new([.. Environment.MachineName.Select(c => char.IsAsciiLetterOrDigit(c) || c is '_' or '-' or '.' ? c : '-').Take(60)]);
        try
        {
            string machine = File.ReadAllText("/etc/machine-id").Trim();
            return machine.Length == 0 ? name : $"{name}-{Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(machine)))[..6]}";
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return name;
        }
    }
}
