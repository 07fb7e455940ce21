using StackExchange.Redis;

namespace RedisFailover.Client;

/// <summary>What a failure says about the call.</summary>
internal enum Outcome
{
    /// <summary>The node executed the command and it failed, or the call itself is wrong: nothing to do with the connection.</summary>
    CommandFailed,

    /// <summary>The call has changed nothing: it was never sent, or was refused whole.</summary>
    NotApplied,

    /// <summary>It was sent and no reply came.</summary>
    Ambiguous,
}

/// <summary>The one place that reads StackExchange.Redis' exceptions.</summary>
internal static class Failures
{
    // The node's state, not the command, is at fault: another node, or the same one later, takes the call.
    private static readonly string[] s_refusals = ["READONLY", "LOADING", "MASTERDOWN", "NOREPLICAS", "UNBLOCKED"];

    public static Outcome Judge(Exception failure) => failure switch
    {
        RedisServerException server => Array.Exists(s_refusals, word => Starts(server, word)) ? Outcome.NotApplied : Outcome.CommandFailed,
        RedisConnectionException connection => Judge(connection),

        // Also one that was still waiting to be sent: it stays in the queue and may be sent after all.
        RedisTimeoutException => Outcome.Ambiguous,
        RedisCommandException command => StackExchangeVersion.IsRefusedForRole(command) ? Outcome.NotApplied : Outcome.CommandFailed,

        // A closed multiplexer refuses before it sends (1.2.6) and cancels what it had sent (3.x); nobody else cancels its tasks.
        ObjectDisposedException => Outcome.NotApplied,
        NotAppliedException => Outcome.NotApplied,
        OperationCanceledException => Outcome.Ambiguous,

        // 3.x hands on what its closed socket said, to a call that it had sent.
        IOException => Outcome.Ambiguous,
        _ => Outcome.CommandFailed,
    };

    public static bool IsReadOnly(Exception failure) => failure is RedisServerException server && Starts(server, "READONLY");

    /// <summary>EXEC was refused because a command before it was: nothing was applied.</summary>
    public static bool IsDiscarded(Exception failure) => failure is RedisServerException server && Starts(server, "EXECABORT");

    /// <summary>
    /// The same for a call that is no transaction of the caller's: one that the library wraps in MULTI and EXEC (LockRelease, LockExtend)
    /// was not applied when EXEC is refused. Why it was is lost; it is the node's state in all likelihood, such a call is never malformed.
    /// </summary>
    public static Outcome JudgeCall(Exception failure)
        => IsDiscarded(failure) ? Outcome.NotApplied : Judge(failure);

    private static Outcome Judge(RedisConnectionException failure)
        => failure.CommandStatus == CommandStatus.WaitingToBeSent
            || failure.FailureType is ConnectionFailureType.UnableToResolvePhysicalConnection or ConnectionFailureType.UnableToConnect
            ? Outcome.NotApplied
            : Outcome.Ambiguous;

    private static bool Starts(RedisServerException failure, string word) => failure.Message.StartsWith(word, StringComparison.Ordinal);
}
