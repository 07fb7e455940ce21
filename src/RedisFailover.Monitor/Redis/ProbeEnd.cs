using RedisFailover.Shared;

namespace RedisFailover.Monitor.Redis;

/// <summary>What the end of a connection to a node, or the attempt to make one, tells of the node.</summary>
internal static class ProbeEnd
{
    /// <summary>A connection ended for this reason.</summary>
    internal static (ProbeFailure ProbeFailure, string Detail) Of(Exception reason) => reason switch
    {
        RedisRefusedException => (ProbeFailure.AuthRefused, reason.Message),
        IOException { InnerException: RedisRefusedException refused } => (ProbeFailure.AuthRefused, refused.Message),
        RedisProtocolException => (ProbeFailure.NotRedis, reason.Message),
        IOException { InnerException: RedisProtocolException protocol } => (ProbeFailure.NotRedis, protocol.Message),
        // With TLS 1.3 a node that does not accept our certificate says so only after the handshake.
        _ when Alert(reason) is { } alert => (ProbeFailure.AuthRefused, $"it does not accept our certificate: {Words.Quoted(alert)}"),
        _ => (ProbeFailure.Closed, "connection closed by the node"),
    };

    /// <summary>No connection was made.</summary>
    internal static ProbeFailure Of(DialFault fault) => fault switch
    {
        DialFault.Refused => ProbeFailure.Refused,
        DialFault.Closed => ProbeFailure.Closed,
        DialFault.Silent => ProbeFailure.Silent,
        DialFault.Unreachable => ProbeFailure.Unreachable,
        _ => ProbeFailure.Local,
    };

    /// <summary>What TLS says, if it is that.</summary>
    private static string? Alert(Exception? reason)
        => reason is null ? null
            : reason.Message.Contains("alert", StringComparison.OrdinalIgnoreCase)
                && reason.Message.Contains("SSL", StringComparison.OrdinalIgnoreCase) ? reason.Message
            : Alert(reason.InnerException);
}
