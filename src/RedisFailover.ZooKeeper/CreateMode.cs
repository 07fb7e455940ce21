namespace RedisFailover.ZooKeeper;

/// <summary>The kinds of znodes; the numbers are the flags of ZooKeeper's create request.</summary>
public enum CreateMode
{
    /// <summary>Stays until it is deleted.</summary>
    Persistent = 0,

    /// <summary>Is deleted by the server when the session that created it ends.</summary>
    Ephemeral = 1,

    /// <summary>Persistent; the server appends a ten-digit counter of the parent to the name.</summary>
    PersistentSequential = 2,

    /// <summary>Ephemeral; the server appends a ten-digit counter of the parent to the name.</summary>
    EphemeralSequential = 3,

    /// <summary>Persistent; the server deletes it some time after its last child is gone. Servers from 3.5.3 on.</summary>
    Container = 4,

    /// <summary>
    /// Persistent; the server deletes it when it has no children and was not written for its time to live. Servers from 3.5.3 on that
    /// enable it.
    /// </summary>
    PersistentWithTtl = 5,

    /// <summary>As <see cref="PersistentWithTtl"/>, with a counter appended to the name.</summary>
    PersistentSequentialWithTtl = 6,
}
