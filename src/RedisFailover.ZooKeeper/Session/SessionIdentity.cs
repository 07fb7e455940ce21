namespace RedisFailover.ZooKeeper;

/// <summary>
/// What a session shows to each server that it comes to: what proves that it is the same one, and how far it has seen the servers' history.
/// Written by the session's loop alone.
/// </summary>
internal sealed class SessionIdentity(TimeSpan timeout, int lastXid, Moment now)
{
    /// <summary>The id that the first server gave; 0 until then.</summary>
    internal long Id { get; private set; }

    /// <summary>The timeout T that the server granted; until then the one that is asked for.</summary>
    internal TimeSpan Timeout { get; private set; } = timeout;

    /// <summary>What proves to a server that a connection belongs to this session. Never logged.</summary>
    internal byte[] Password { get; private set; } = new byte[16];

    /// <summary>The last transaction that this session has seen.</summary>
    internal long LastZxid { get; set; }

    /// <summary>The number of its last request.</summary>
    internal int LastXid { get; set; } = lastXid;

    /// <summary>When a server last answered, as long as there is no connection.</summary>
    internal Moment LastContact { get; set; } = now;

    /// <summary>
    /// Set when this side has given the session up by itself: the servers may keep it, and its ephemeral znodes, for a while yet.
    /// </summary>
    internal FormerSession? LeftBehind { get; private set; }

    /// <summary>A server has accepted the session.</summary>
    internal void Accepted(ConnectResponse response)
        => (Id, Timeout, Password) = (response.SessionId, TimeSpan.FromMilliseconds(response.TimeoutMs), response.Password);

    /// <summary>This side gives the session up.</summary>
    /// <param name="refusedScheme">The scheme whose credentials were refused, if that is why.</param>
    internal void LeaveBehind(string? refusedScheme = null)
        => LeftBehind = Id == 0 ? null : new FormerSession(Id, Password, refusedScheme);
}
