namespace RedisFailover.Client;

/// <summary>Which node answers a read, unless the call's own flags say otherwise.</summary>
public enum ReadFrom
{
    /// <summary>A replica, each in turn; the master when no replica is connected. The default.</summary>
    PreferReplica,

    /// <summary>A replica, each in turn; a read waits (<see cref="FailoverOptions.WriteWait"/>) while none is connected.</summary>
    Replica,

    /// <summary>The master: every read sees every acknowledged write, and waits while there is no master.</summary>
    Master,

    /// <summary>The node, master or replica, that answers this client's pings fastest.</summary>
    Nearest,
}
