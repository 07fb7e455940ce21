namespace RedisFailover.ZooKeeper;

/// <summary>What happened to a watched znode. The numbers are ZooKeeper's.</summary>
public enum WatchedEventType
{
    /// <summary>The session ended: the watch will never fire.</summary>
    SessionEnded = -1,

    /// <summary>The znode was created.</summary>
    Created = 1,

    /// <summary>The znode was deleted.</summary>
    Deleted = 2,

    /// <summary>The znode's data was written.</summary>
    DataChanged = 3,

    /// <summary>A child was created or deleted.</summary>
    ChildrenChanged = 4,

    /// <summary>The data watch was removed on request.</summary>
    DataWatchRemoved = 5,

    /// <summary>The watch on the children was removed on request.</summary>
    ChildWatchRemoved = 6,
}

/// <summary>The one message that a watch delivers: after it the watch is used up.</summary>
/// <param name="Type">What happened.</param>
/// <param name="Path">The znode (without the chroot).</param>
public readonly record struct WatchedEvent(WatchedEventType Type, string Path);
