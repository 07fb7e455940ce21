namespace RedisFailover.ZooKeeper;

/// <summary>
/// Why an operation failed. Numbers and names are those of ZooKeeper's <c>KeeperException.Code</c>; <see cref="Closing"/> is the C
/// client's. A newer server may send a number that is not listed here: the cast value is kept.
/// </summary>
public enum ZooKeeperErrorCode
{
    /// <summary>No error.</summary>
    Ok = 0,

    /// <summary>The server failed in an unexpected way.</summary>
    SystemError = -1,

    /// <summary>In a multi: this operation was not looked at, because an earlier one failed.</summary>
    RuntimeInconsistency = -2,

    /// <summary>
    /// The connection was lost before the reply. Whether a write was applied is unknown unless the exception says otherwise.
    /// </summary>
    ConnectionLoss = -4,

    /// <summary>The request or the reply could not be encoded or decoded, or the request is larger than the server accepts.</summary>
    MarshallingError = -5,

    /// <summary>The server does not know this operation.</summary>
    Unimplemented = -6,

    /// <summary>The server gave up on the operation.</summary>
    OperationTimeout = -7,

    /// <summary>The server refused the arguments.</summary>
    BadArguments = -8,

    /// <summary>The znode, or the parent of the one to create, does not exist.</summary>
    NoNode = -101,

    /// <summary>The znode's access control list does not allow it.</summary>
    NoAuth = -102,

    /// <summary>The znode has another version than expected.</summary>
    BadVersion = -103,

    /// <summary>An ephemeral znode cannot have children.</summary>
    NoChildrenForEphemerals = -108,

    /// <summary>The znode exists already.</summary>
    NodeExists = -110,

    /// <summary>The znode has children and cannot be deleted.</summary>
    NotEmpty = -111,

    /// <summary>The session is over: expired by the server, or given up locally after 4/3 of its timeout without a connection.</summary>
    SessionExpired = -112,

    /// <summary>The access control list is empty or malformed.</summary>
    InvalidAcl = -114,

    /// <summary>The server refused the credentials.</summary>
    AuthFailed = -115,

    /// <summary>The session was closed by this client.</summary>
    Closing = -116,

    /// <summary>The session has moved to another server; this request came too late.</summary>
    SessionMoved = -118,

    /// <summary>A write reached a read-only server.</summary>
    NotReadOnly = -119,

    /// <summary>A local session cannot create ephemeral znodes.</summary>
    EphemeralOnLocalSession = -120,

    /// <summary>There was no such watch to remove.</summary>
    NoWatcher = -121,

    /// <summary>The server did not finish the request in time.</summary>
    RequestTimeout = -122,

    /// <summary>Reconfiguration is disabled.</summary>
    ReconfigDisabled = -123,

    /// <summary>The server wants SASL authentication, which this client does not speak.</summary>
    SessionClosedRequireSaslAuth = -124,

    /// <summary>A quota of the path is exceeded.</summary>
    QuotaExceeded = -125,

    /// <summary>The server, or this client with too many requests pending, refused more work for now.</summary>
    Throttled = -127,
}
