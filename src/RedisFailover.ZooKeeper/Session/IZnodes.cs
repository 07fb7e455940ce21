namespace RedisFailover.ZooKeeper;

/// <summary>
/// The reads of one session, answered in the order in which they are asked: a <see cref="ZooKeeperSession"/>, or a simulated one.
/// </summary>
internal interface IZnodes
{
    /// <summary>A znode's data.</summary>
    /// <exception cref="ZooKeeperException">It is not there (NoNode), or the session or its connection is lost.</exception>
    ValueTask<Znode> GetDataAsync(string path, Action<WatchedEvent>? watcher = null, CancellationToken cancellationToken = default);

    /// <summary>A znode's children.</summary>
    /// <exception cref="ZooKeeperException">As <see cref="GetDataAsync"/>.</exception>
    Task<ZnodeChildren> GetChildrenAsync(
        string path, Action<WatchedEvent>? watcher = null, CancellationToken cancellationToken = default);

    /// <summary>What is read after it is as new as any write that was acknowledged before it.</summary>
    /// <exception cref="ZooKeeperException">The session or its connection is lost.</exception>
    Task SyncAsync(string path, CancellationToken cancellationToken = default);
}
