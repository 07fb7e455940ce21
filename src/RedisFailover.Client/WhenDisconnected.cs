namespace RedisFailover.Client;

/// <summary>What a client does that has lost ZooKeeper, and so would not learn of another master.</summary>
public enum WhenDisconnected
{
    /// <summary>Goes on with what it knows. The default: an outage of ZooKeeper alone stops nobody.</summary>
    Serve,

    /// <summary>
    /// Holds writes, and reads that demand the master, from half of <see cref="FailoverOptions.SessionTimeout"/> after ZooKeeper was last
    /// heard of until it is heard of again. Other reads go on. Narrows the time in which a client that is cut off together with an
    /// old master writes to it; a process that was suspended may write for a moment after it resumes.
    /// </summary>
    FenceWrites,
}
