using System.Globalization;
using System.Security.Cryptography;
using System.Text;

namespace RedisFailover.Monitor.Redis;

/// <summary>
/// Fencing at the node itself. The lease is looked at when a command is sent; a leader that freezes between that look and the sending
/// would send it when it wakes. So each leader names its connections after its term, and ends those of every other term before its
/// own first command: what a former leader sends on them when it wakes reaches nobody.
/// </summary>
internal static class FormerLeaders
{
    private const string Prefix = "redis-failover-leader:";

    /// <summary>With more clients than this their list is too long to ask for, and the lease has to do.</summary>
    private const int MostClients = 10_000;

    /// <summary>The name of the connections of the leader of a term, told apart by the cluster's root znode.</summary>
    internal static string Name(string root, int term)
        => string.Create(CultureInfo.InvariantCulture, $"{Prefix}{Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(root)))[..8]}:{term}");

    /// <summary>Names this connection, and ends those of the same cluster's other leaders. What the node does not allow is left undone.</summary>
    /// <exception cref="IOException">The connection ended.</exception>
    internal static async Task EndAsync(RedisConnection connection, string name)
    {
        Task<RespValue> named = connection.SendAsync("CLIENT", "SETNAME", name);
        RespValue clients = await connection.SendAsync("INFO", "clients");
        await named;
        if (clients.IsError || Count(clients.Text) is not ({ } count and <= MostClients))
        {
            return;
        }

        RespValue list = await connection.SendAsync("CLIENT", "LIST");
        if (!list.IsError)
        {
            await Task.WhenAll(Others(list.Text ?? "", name).Select(id => connection.SendAsync("CLIENT", "KILL", "ID", id)));
        }
    }

    /// <summary>The ids of the connections of this cluster's leaders of other terms, in the reply to CLIENT LIST.</summary>
    internal static IEnumerable<string> Others(string list, string name)
    {
        string ofThisCluster = name[..(name.LastIndexOf(':') + 1)];
        foreach (string line in list.Split('\n'))
        {
            string[] fields = line.Split(' ');
            string? who = Value(fields, "name=");
            if (who is not null && who != name && who.StartsWith(ofThisCluster, StringComparison.Ordinal) && Value(fields, "id=") is { } id)
            {
                yield return id;
            }
        }
    }

    private static string? Value(string[] fields, string key) => fields.FirstOrDefault(f => f.StartsWith(key, StringComparison.Ordinal))?[key.Length..];

    private static int? Count(string? info)
        => info?.Split('\n').FirstOrDefault(l => l.StartsWith("connected_clients:", StringComparison.Ordinal)) is { } line
            && int.TryParse(line.AsSpan("connected_clients:".Length).Trim(), NumberStyles.None, CultureInfo.InvariantCulture, out int count) ? count : null;
}
