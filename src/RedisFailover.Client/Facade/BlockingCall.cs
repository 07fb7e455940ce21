namespace RedisFailover.Client;

/// <summary>One call of a caller that blocks: where it goes, and whether it goes again. Emitted code drives it.</summary>
internal struct BlockingCall(NodeSet nodes, CommandClass kind, CommandFlags flags, RetryCategory repeated)
{
    private LiveNode? _node;
    private Retries? _retries;

    /// <summary>The caller's flags without the role: the node is chosen already.</summary>
    public readonly CommandFlags Flags => flags.WithoutRole();

    /// <summary>The node for the first attempt, which the caller makes in its own place.</summary>
    public IDatabase Target(int database)
    {
        _node = nodes.Current.NodeFor(kind, flags)
            ?? nodes.NodeForAsync(kind, flags, _retries = NewRetries()).GetAwaiter().GetResult();
        return _node.Database(database);
    }

    /// <summary>Makes further attempts after that one has failed; throws what the caller is to see when they end in vain.</summary>
    public readonly T Again<T>(Exception failure, int database, Func<IDatabase, CommandFlags, T> send)
    {
        Retries retries = (_retries ?? NewRetries()).After(_node);
        (CommandFlags wanted, CommandFlags sent) = (flags, Flags);
        T result = default!;

        // Complete, as whatever waits does so on this thread.
        RetryLoop.RunAsync(
            retries,
            failure,
            async () => result = send((await retries.NodeAsync(wanted).ConfigureAwait(false)).Database(database), sent))
            .GetAwaiter().GetResult();
        return result;
    }

    private readonly Retries NewRetries() => new(nodes, kind, repeated, flags) { Blocks = true };
}
