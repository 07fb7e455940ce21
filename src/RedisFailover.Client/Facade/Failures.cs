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

/// <summary>Whether a call was applied (<see cref="Judge(Exception)"/>), and whether a write may go twice (<see cref="MayRepeat"/>). The
/// one place that reads StackExchange.Redis' exceptions; <see cref="Retries"/> carries it out.</summary>
internal static class Failures
{
    public static Outcome Judge(Exception failure) => failure switch
    {
        RedisServerException server => IsRefusal(server) ? Outcome.NotApplied : Outcome.CommandFailed,
        RedisConnectionException connection => Judge(connection),

        // Also one that was still waiting to be sent: it stays in the queue and may be sent after all.
        RedisTimeoutException => Outcome.Ambiguous,
        RedisCommandException command => IsRefusedForRole(command) ? Outcome.NotApplied : Outcome.CommandFailed,

        // A connection that is shut down while it is written to ends all that it had sent with that.
        ObjectDisposedException { ObjectName: "PhysicalConnection" } => Outcome.Ambiguous,
        InvalidOperationException { Message: var said } when said.StartsWith("Output has been completed", StringComparison.Ordinal)
            => Outcome.Ambiguous,

        // A closed multiplexer refuses before it sends, and cancels what it had sent; nobody else cancels its tasks.
        ObjectDisposedException => Outcome.NotApplied,
        NotAppliedException => Outcome.NotApplied,
        OperationCanceledException => Outcome.Ambiguous,

        // What a closed socket said, to a call that had been sent.
        IOException => Outcome.Ambiguous,
        _ => Outcome.CommandFailed,
    };

    public static bool IsReadOnly(Exception failure) => failure is RedisServerException server && IsReadOnly(server);

    /// <summary>EXEC was refused because a command before it was: nothing was applied.</summary>
    public static bool IsDiscarded(Exception failure) => failure is RedisServerException { Kind: RedisErrorKind.ExecAbort };

    /// <summary>Whether a write without a reply may be sent again, by the caller's own flags or by its category.</summary>
    public static bool MayRepeat(Exception failure, CommandFlags caller, RetryCategory repeated)
    {
        CommandFlags category = caller & CommandFlags.CommandRetryNever;
        if (category == CommandFlags.None)
        {
            category = CommandFlags.CommandRetryNever & failure switch
            {
                RedisConnectionException connection => connection.Flags,
                RedisTimeoutException timeout => timeout.Flags,
                _ => CommandFlags.None,
            };

            // Of a command that 3.4 does not know it says never: it may do anything, as what adds up may.
            category = category is CommandFlags.None or CommandFlags.CommandRetryNever
                ? CommandFlags.CommandRetryWriteAccumulating : category;
        }

        return category <= repeated switch
        {
            RetryCategory.None => CommandFlags.CommandRetryReadOnly,
            RetryCategory.Checked => CommandFlags.CommandRetryWriteChecked,
            RetryCategory.LastWins => CommandFlags.CommandRetryWriteLastWins,
            _ => CommandFlags.CommandRetryServerAdmin,
        };
    }

    /// <summary>For a call that removes by position: 3.4 takes it for one that checks, and it goes on with what is next.</summary>
    public static CommandFlags CountedFromAnEnd(CommandFlags caller) => WithCategory(caller, CommandFlags.CommandRetryWriteAccumulating);

    /// <summary>The flags of a command that is given by name: 3.4 goes by the name alone, and some write by their arguments.</summary>
    public static CommandFlags ByName(string command, CommandFlags caller) => command.Length switch
    {
        4 when Is(command, "SORT") => WithCategory(caller, CommandFlags.CommandRetryWriteLastWins),
        5 when Is(command, "GETEX") => WithCategory(caller, CommandFlags.CommandRetryWriteLastWins),
        5 when Is(command, "LTRIM") => CountedFromAnEnd(caller),
        6 when Is(command, "HGETEX") => WithCategory(caller, CommandFlags.CommandRetryWriteLastWins),
        6 when Is(command, "CLIENT") => WithCategory(caller, CommandFlags.CommandRetryNever),
        15 when Is(command, "ZREMRANGEBYRANK") => CountedFromAnEnd(caller),
        _ => caller,
    };

    private static bool Is(string command, string name) => command.Equals(name, StringComparison.OrdinalIgnoreCase);

    private static CommandFlags WithCategory(CommandFlags caller, CommandFlags category)
        => (caller & CommandFlags.CommandRetryNever) == CommandFlags.None ? caller | category : caller;

    private static Outcome Judge(RedisConnectionException failure)
        => failure.CommandStatus is CommandStatus.WaitingToBeSent or CommandStatus.WaitingInBacklog
            || failure.FailureType is ConnectionFailureType.UnableToResolvePhysicalConnection or ConnectionFailureType.UnableToConnect
            ? Outcome.NotApplied
            : Outcome.Ambiguous;

    // The node's state, not the command, is at fault: another node, or the same one later, takes the call.
    private static bool IsRefusal(RedisServerException failure)
        => failure.Kind is RedisErrorKind.Loading or RedisErrorKind.MasterDown or RedisErrorKind.NoReplicas or RedisErrorKind.Busy
            || IsReadOnly(failure)
            || failure.Message.StartsWith("UNBLOCKED", StringComparison.Ordinal);

    // Before Redis 7 what a command in a script was told stands in the middle of the script's own error.
    private static bool IsReadOnly(RedisServerException failure)
        => failure.Kind == RedisErrorKind.ReadOnly || failure.Message.Contains(": -READONLY ", StringComparison.Ordinal);

    /// <summary>What a multiplexer throws, before sending, for a write to a node that it believes to be a replica.</summary>
    private static bool IsRefusedForRole(RedisCommandException failure)
        => failure.Message.StartsWith("Command cannot be issued to a replica", StringComparison.Ordinal);
}
