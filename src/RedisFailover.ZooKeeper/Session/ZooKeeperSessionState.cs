namespace RedisFailover.ZooKeeper;

/// <summary>The states of a session.</summary>
public enum ZooKeeperSessionState
{
    /// <summary>Not established yet.</summary>
    Connecting,

    /// <summary>Connected to a server.</summary>
    Connected,

    /// <summary>Without a connection; the server still keeps the session for a while. New requests wait.</summary>
    Disconnected,

    /// <summary>
    /// Over: expired by the server, or without a connection for 4/3 of its timeout; or given up because of a defect, which exceptions with
    /// <see cref="ZooKeeperErrorCode.SystemError"/> name.
    /// </summary>
    Expired,

    /// <summary>Over: closed by this client.</summary>
    Closed,

    /// <summary>Over: a server refused its credentials. Operations fail with <see cref="ZooKeeperErrorCode.AuthFailed"/>.</summary>
    AuthFailed,
}
