namespace RedisFailover.Monitor.Redis;

/// <summary>
/// Fencing of former leaders at the node itself. The lease is looked at when a command is sent; a leader that freezes between that look and
/// the sending would send it when it wakes. So each leader names its connections after its term. On every node that it reaches, at once and
/// in any case before its first command, it ends those of other leaders: what one sends on them when it wakes reaches nobody.
/// </summary>
internal static class FormerLeaderFence
{
    /// <summary>
    /// Names this connection, and ends those of the same cluster's other leaders. What the node does not allow is left undone, and so is
    /// what its list of clients would be needed for where that cannot be had: it must not keep the leader from acting for ever.
    /// </summary>
    /// <exception cref="IOException">The connection ended.</exception>
    /// <exception cref="TimeoutException">The list did not come in time, which may be an accident.</exception>
    internal static async Task EndAsync(RedisConnection connection, ClientList clients, ClientNames names, string name)
    {
        Task<RespValue> named = connection.SendAsync("CLIENT", "SETNAME", name);
        string? list = await clients.ReadAsync(connection, ClientList.Most, isAwaited: true);
        await named;
        if (list is not null)
        {
            await Task.WhenAll(names.FormerLeaders(list, name).Select(id => connection.SendAsync("CLIENT", "KILL", "ID", id)));
        }
    }
}
