using Microsoft.Extensions.Logging;

namespace RedisFailover.ZooKeeper;

/// <summary>Every message of this project. Transitions only: what goes on as before is not logged.</summary>
internal static partial class Log
{
    internal const string Category = "RedisFailover.ZooKeeper";

    [LoggerMessage(1, LogLevel.Information, "ZooKeeper session 0x{Session:x} established through {Server}, timeout {TimeoutMs} ms")]
    internal static partial void SessionEstablished(ILogger logger, long session, string server, double timeoutMs);

    [LoggerMessage(2, LogLevel.Information, "ZooKeeper session 0x{Session:x} reconnected through {Server} after {DownMs:0} ms")]
    internal static partial void SessionReconnected(ILogger logger, long session, string server, double downMs);

    [LoggerMessage(3, LogLevel.Warning, "ZooKeeper session 0x{Session:x} lost its connection to {Server}: {Why}")]
    internal static partial void ConnectionLost(ILogger logger, long session, string server, string why);

    [LoggerMessage(4, LogLevel.Warning, "ZooKeeper cannot be reached, still trying: {Why}")]
    internal static partial void Unreachable(ILogger logger, string why);

    [LoggerMessage(5, LogLevel.Warning, "ZooKeeper session 0x{Session:x} expired: {Server} says so")]
    internal static partial void SessionExpired(ILogger logger, long session, string server);

    [LoggerMessage(6, LogLevel.Error,
        "ZooKeeper session 0x{Session:x} given up: no connection for {DownMs:0} ms, more than 4/3 of its timeout")]
    internal static partial void SessionExpiredLocally(ILogger logger, long session, double downMs);

    [LoggerMessage(7, LogLevel.Error,
        "ZooKeeper session 0x{Session:x} given up after {DownMs:0} ms: the servers take connections and close them again. Either they "
            + "have no quorum, or their data are older than zxid 0x{Zxid:x}, which this client has seen: wiped?")]
    internal static partial void SessionRefused(ILogger logger, long session, double downMs, long zxid);

    [LoggerMessage(23, LogLevel.Error,
        "ZooKeeper session 0x{Session:x} is over: {Server} refused it and does not know it any more; if its data are older than zxid "
            + "0x{Zxid:x}, which this client has seen, they were lost or put back")]
    internal static partial void SessionUnknown(ILogger logger, long session, string server, long zxid);

    [LoggerMessage(8, LogLevel.Error, "ZooKeeper refused the credentials of scheme {Scheme}")]
    internal static partial void AuthFailed(ILogger logger, string scheme);

    [LoggerMessage(9, LogLevel.Information, "ZooKeeper session 0x{Session:x} closed")]
    internal static partial void SessionClosed(ILogger logger, long session);

    [LoggerMessage(10, LogLevel.Error, "A callback given to the ZooKeeper client threw")]
    internal static partial void CallbackFailed(ILogger logger, Exception exception);

    [LoggerMessage(11, LogLevel.Warning, "Cannot read {Path}: {Why}; trying again")]
    internal static partial void WatchFailed(ILogger logger, string path, string why);

    [LoggerMessage(12, LogLevel.Debug, "{Candidate} leads, term {Term}")]
    internal static partial void Elected(ILogger logger, string candidate, int term);

    [LoggerMessage(13, LogLevel.Warning, "{Candidate} no longer leads (term {Term}): {Why}")]
    internal static partial void LeadershipLost(ILogger logger, string candidate, int term, string why);

    [LoggerMessage(14, LogLevel.Warning, "{Candidate} cannot renew its lease (term {Term}): {Why}")]
    internal static partial void LeaseRenewalFailed(ILogger logger, string candidate, int term, string why);

    [LoggerMessage(15, LogLevel.Warning, "The ZooKeeper session ended ({Why}); connecting anew with a new session")]
    internal static partial void SessionReplaced(ILogger logger, string why);

    [LoggerMessage(16, LogLevel.Warning, "The election cannot go on for now: {Why}; trying again")]
    internal static partial void ElectionFailed(ILogger logger, string why);

    [LoggerMessage(28, LogLevel.Warning, "{Path} is no leader's and had children: they are deleted, so that a leader can be elected")]
    internal static partial void Cleared(ILogger logger, string path);

    [LoggerMessage(21, LogLevel.Warning, "{Candidate} takes over leadership from {Former}: no heartbeat from there for {Millis:0} ms")]
    internal static partial void TookOver(ILogger logger, string candidate, string former, double millis);

    [LoggerMessage(22, LogLevel.Warning, "The heartbeat {Path} cannot be kept for now: {Why}; trying again")]
    internal static partial void HeartbeatFailed(ILogger logger, string path, string why);

    [LoggerMessage(19, LogLevel.Information,
        "ZooKeeper session 0x{Session:x}, given up before, was still kept by {Server}: closed, its ephemeral znodes are gone")]
    internal static partial void FormerSessionClosed(ILogger logger, long session, string server);

    [LoggerMessage(20, LogLevel.Warning, "{Count} lines of the ZooKeeper client are missing here: the logger was busy")]
    internal static partial void LinesDropped(ILogger logger, int count);

    [LoggerMessage(18, LogLevel.Critical, "ZooKeeper session 0x{Session:x} given up because of a defect in the client")]
    internal static partial void SessionFailed(ILogger logger, long session, Exception exception);

    [LoggerMessage(17, LogLevel.Debug, "{Candidate} gave up leadership (term {Term})")]
    internal static partial void Resigned(ILogger logger, string candidate, int term);
}
