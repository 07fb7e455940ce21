using System.Globalization;

namespace RedisFailover.Monitor.Redis;

/// <summary>
/// Fencing at the node itself. The lease is looked at when a command is sent; a leader that freezes between that look and the sending
/// would send it when it wakes. So each leader names its connections after its term. On every node that it reaches, at once and in any
/// case before its first command, it ends those of other leaders: what one sends on them when it wakes reaches nobody.
/// </summary>
internal static class NodeFence
{
    /// <summary>With more clients than this their list is too long to ask for, and the lease has to do.</summary>
    internal const int MostClients = NodeInfo.MostClientsSearched;

    /// <summary>
    /// Names this connection, and ends those of the same cluster's other leaders. What the node does not allow is left undone.
    /// </summary>
    /// <exception cref="IOException">The connection ended.</exception>
    internal static async Task EndFormerLeadersAsync(RedisConnection connection, ClientNames names, string name)
    {
        Task<RespValue> named = connection.SendAsync("CLIENT", "SETNAME", name);
        string? list = await ListAsync(connection, MostClients);
        await named;
        if (list is not null)
        {
            await Task.WhenAll(names.FormerLeaders(list, name).Select(id => connection.SendAsync("CLIENT", "KILL", "ID", id)));
        }
    }

    /// <summary>The reply to CLIENT LIST; null where the node does not allow it, or has more clients than given.</summary>
    /// <exception cref="IOException">The connection ended.</exception>
    internal static async Task<string?> ListAsync(RedisConnection connection, int most)
    {
        RespValue clients = await connection.SendAsync("INFO", "clients");
        if (clients.IsError || Count(clients.Text) is not { } count || count > most)
        {
            return null;
        }

        RespValue list = await connection.SendAsync("CLIENT", "LIST");
        return list.IsError ? null : list.Text;
    }

    private static int? Count(string? info)
        => info?.Split('\n').FirstOrDefault(l => l.StartsWith("connected_clients:", StringComparison.Ordinal)) is { } line
            && int.TryParse(line.AsSpan("connected_clients:".Length).Trim(), NumberStyles.None, CultureInfo.InvariantCulture, out int count)
                ? count : null;
}
