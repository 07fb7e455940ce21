namespace RedisFailover.Client;

/// <summary>
/// What a call ends with when no node could be brought to answer it. Errors of the command itself (WRONGTYPE, OOM, NOSCRIPT …)
/// are not among these: they arrive as StackExchange.Redis throws them.
/// </summary>
public abstract class FailoverException : Exception
{
    private protected FailoverException(string message, NodeAddress? node, Exception? inner)
        : base(message, inner)
        => Node = node;

    /// <summary>The node that was tried last; null when there was none to try.</summary>
    public NodeAddress? Node { get; }
}

/// <summary>
/// The call was not applied to any node: repeating it is safe. Thrown when no suitable node was found within
/// <see cref="FailoverOptions.WriteWait"/>; the inner exception is the last failure, if there was one.
/// </summary>
public sealed class NotAppliedException : FailoverException
{
    internal NotAppliedException(string message, NodeAddress? node = null, Exception? inner = null)
        : base(message, node, inner)
    {
    }
}

/// <summary>
/// The connection was lost, or the deadline passed, after the call had been sent and before its reply: it may have been applied,
/// once, or not at all. Only the caller knows whether repeating it does harm; see <see cref="FailoverOptions.RetryAmbiguous"/>.
/// </summary>
public sealed class MayHaveBeenAppliedException : FailoverException
{
    internal MayHaveBeenAppliedException(NodeAddress node, Exception inner)
        : base($"The connection to {node} ended before the reply: the call may have been applied, or not.", node, inner)
    {
    }
}

/// <summary>
/// The node was lost in the middle of a scan (HashScan, SetScan, SortedSetScan). A scan's cursor belongs to one node and means nothing
/// to another: what was enumerated so far stays true, the rest needs a new scan.
/// </summary>
public sealed class ScanInterruptedException : FailoverException
{
    internal ScanInterruptedException(NodeAddress node, Exception inner)
        : base($"{node} was lost in the middle of a scan, whose cursor belongs to that node: begin a new scan.", node, inner)
    {
    }
}

/// <summary>
/// Connecting did not find what it needs in time;
/// the message says what was missing.
/// </summary>
public sealed class FailoverConnectException : Exception
{
    internal FailoverConnectException(string message)
        : base(message)
    {
    }
}
