namespace RedisFailover.Client;

/// <summary>The IDatabase that callers hold, bound to no node. The generator emits its members, routed by routing.txt.</summary>
[GenerateFacade(FacadeKind.Calls)]
[System.Diagnostics.CodeAnalysis.SuppressMessage("Design", "CA1001",
    Justification = "A lease holds nothing until somebody subscribes on it, who also ends it.")]
internal sealed partial class FailoverDatabase : IDatabase
{
    private readonly NodeSet _nodes;
    private readonly int _db;
    private readonly object? _asyncState;
    private readonly RetryCategory _repeated;
    private readonly FailoverMultiplexer? _lease;
    private FailoverMultiplexer? _own;

    public FailoverDatabase(NodeSet nodes, int db, object? asyncState, FailoverMultiplexer? lease = null)
        : this(nodes, db, asyncState, lease, nodes.Options.RetryAmbiguous)
    {
    }

    private FailoverDatabase(NodeSet nodes, int db, object? asyncState, FailoverMultiplexer? lease, RetryCategory repeated)
    {
        _nodes = nodes;
        _db = db;
        _asyncState = asyncState;
        _lease = lease;
        _repeated = repeated;
    }

    public NodeSet Nodes => _nodes;

    public int Number => _db;

    /// <summary>The lease that it was made by; from the connection one of its own, and another once that is closed.</summary>
    public FailoverMultiplexer Lease
    {
        get
        {
            if (_lease is null && _own is not { IsClosed: false })
            {
                _own = new FailoverMultiplexer(_nodes);
            }

            return _lease ?? _own!;
        }
    }

    int IDatabase.Database => _nodes.DatabaseNumber(_db);

    int IDatabaseAsync.Database => _nodes.DatabaseNumber(_db);

    /// <summary>The same database for calls that may be applied twice.</summary>
    public FailoverDatabase Idempotent()
        => _repeated == RetryCategory.All ? this : new FailoverDatabase(_nodes, _db, _asyncState, _lease, RetryCategory.All);

    private Task<T> RunAsync<TCall, T>(TCall call, CommandClass kind, CommandFlags flags)
        where TCall : struct, ICall<T>
    {
        if (_lease is { IsClosed: true })
        {
            return Task.FromException<T>(Closed());
        }

        LiveNode? node = _nodes.Current.NodeFor(kind, flags);
        if (node is null)
        {
            Task<T> waiting = WithState(AgainAsync<T>(call, kind, flags, null, null));
            if (flags.HasFlag(CommandFlags.FireAndForget))
            {
                Waiting.Forget(waiting);
            }

            return waiting;
        }

        Task<T> sent = Send<TCall, T>(in call, node, flags);
        return sent.IsCompletedSuccessfully ? sent : WithState(FollowAsync(call, kind, flags, node, sent));
    }

    /// <summary>Waits for the reply. All that a call allocates here is this task: a failure is for <see cref="AgainAsync"/>.</summary>
    private async Task<T> FollowAsync<TCall, T>(TCall call, CommandClass kind, CommandFlags flags, LiveNode node, Task<T> sent)
        where TCall : struct, ICall<T>
    {
        await ((Task)sent).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        if (!sent.IsCompletedSuccessfully)
        {
            // This may be the thread that closes a multiplexer.
            await Task.CompletedTask.ConfigureAwait(ConfigureAwaitOptions.ForceYielding);
            sent = AgainAsync<T>(call, kind, flags, node, sent);
            await ((Task)sent).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        }

        // Completed: this blocks nothing, and throws the failure as it is.
        return sent.GetAwaiter().GetResult();
    }

    /// <summary>Sends it until it is answered, or judged. The call is boxed here: a copy of this for each kind of call would have to be
    /// compiled in the middle of the first failover, and one for each type of result has been by then, see <see cref="Warmup"/>.</summary>
    private async Task<T> AgainAsync<T>(ICall<T> call, CommandClass kind, CommandFlags flags, LiveNode? node, Task<T>? sent)
    {
        Retries retries = new Retries(_nodes, kind, _repeated, flags).After(node);
        await RetryLoop.RunAsync(
            retries,
            sent is null ? null : sent.Exception?.InnerException ?? new TaskCanceledException(sent),
            async () =>
            {
                LiveNode next = await retries.NodeAsync(flags).ConfigureAwait(false);
                sent = Send<ICall<T>, T>(call, next, flags);
                await ((Task)sent).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);

                // This may be the thread that closes a multiplexer.
                await Task.CompletedTask.ConfigureAwait(ConfigureAwaitOptions.ForceYielding);
                await sent.ConfigureAwait(false);
            }).ConfigureAwait(false);
        return await sent!.ConfigureAwait(false);
    }

    private Task<T> Send<TCall, T>(in TCall call, LiveNode node, CommandFlags flags)
        where TCall : ICall<T>
    {
        try
        {
            return call.SendAsync(node.Database(_db), flags.WithoutRole());
        }
        catch (Exception failure)
        {
            // Thrown or returned, a refusal is judged in one place.
            return Task.FromException<T>(failure);
        }
    }

    private Task<T> WithState<T>(Task<T> task) => _asyncState is null ? task : task.ContinueWith(
        static (done, _) => done.GetAwaiter().GetResult(), _asyncState, CancellationToken.None,
        TaskContinuationOptions.ExecuteSynchronously | TaskContinuationOptions.RunContinuationsAsynchronously, TaskScheduler.Default);

    /// <exception cref="ObjectDisposedException">The lease that it was made by is closed.</exception>
    public void ThrowIfClosed() => ObjectDisposedException.ThrowIf(_lease is { IsClosed: true }, typeof(IConnectionMultiplexer));

    private static ObjectDisposedException Closed() => new(nameof(IConnectionMultiplexer));

    private BlockingCall Blocking(CommandClass kind, CommandFlags flags)
        => _lease is { IsClosed: true } ? throw Closed() : new(_nodes, kind, flags, _repeated);

    /// <summary>The node for a call that stays on it from beginning to end: a scan.</summary>
    private IDatabase Direct(CommandClass kind, ref CommandFlags flags, out LiveNode node)
    {
        node = _lease is { IsClosed: true } ? throw Closed() : _nodes.NodeFor(kind, flags, _repeated);
        flags = flags.WithoutRole();
        return node.Database(_db);
    }

    /// <summary>A scan that waits for its node, if it has to, where the first item is awaited: not in the call.</summary>
    private IAsyncEnumerable<T> ScanAsync<T>(
        CommandClass kind, CommandFlags flags, Func<IDatabase, CommandFlags, IAsyncEnumerable<T>> begin)
        => _lease is { IsClosed: true } ? throw Closed() : Scan.Of(
            async () => _nodes.Current.NodeFor(kind, flags)
                ?? await _nodes.NodeForAsync(kind, flags, new Retries(_nodes, kind, _repeated)).ConfigureAwait(false),
            node => begin(node.Database(_db), flags.WithoutRole()));
}
