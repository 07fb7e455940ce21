using System.Globalization;

namespace RedisFailover.Monitor.Redis;

/// <summary>Who is connected to a node.</summary>
internal static class ClientList
{
    /// <summary>With more clients than this their list is too long to ask for, and the lease has to do.</summary>
    internal const int Most = NodeInfo.MostClientsSearched;

    /// <summary>The reply to CLIENT LIST; null where the node does not allow it, or has more clients than given.</summary>
    /// <exception cref="IOException">The connection ended.</exception>
    internal static async Task<string?> ReadAsync(RedisConnection connection, int most)
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
