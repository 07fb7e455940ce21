namespace RedisFailover.Client;

/// <summary>What batches and transactions share: calls are kept until they are executed, on the master of that moment.</summary>
[GenerateFacade(FacadeKind.Queue)]
internal abstract partial class QueuedCalls(FailoverDatabase database, object? asyncState) : IDatabaseAsync
{
    private protected readonly NodeSet _nodes = database.Nodes;
    private protected readonly int _db = database.Number;
    private readonly Lock _gate = new();
    private List<QueuedCall> _calls = [];

    IConnectionMultiplexer IRedisAsync.Multiplexer => database.Lease;

    int IDatabaseAsync.Database => _nodes.DatabaseNumber(_db);

    bool IDatabaseAsync.IsConnected(RedisKey key, CommandFlags flags) => ((IDatabaseAsync)database).IsConnected(key, flags);

    Task<RedisResult> IDatabaseAsync.ExecuteAsync(string command, params object[] args)
        => ((IDatabaseAsync)this).ExecuteAsync(command, args, CommandFlags.None);

    Task<RedisResult> IDatabaseAsync.ExecuteAsync(string command, ICollection<object>? args, CommandFlags flags)
    {
        Refuse(command, args);
        return RunAsync<ExecuteAsyncCall2, RedisResult>(new(command, args, flags), CommandClass.Write, flags, Confirms(command));
    }

    Task<RespResult> IDatabaseAsync.ExecuteRespAsync(string command, ReadOnlyMemory<RedisKeyOrValue> args, CommandFlags flags)
    {
        Refuse(command, SharedConnection.Words(args));
        return RunAsync<ExecuteRespAsyncCall1, RespResult>(new(command, args, flags), CommandClass.Write, flags, Confirms(command));
    }

    Task<bool> IDatabaseAsync.LockReleaseAsync(RedisKey key, RedisValue value, CommandFlags flags)
        => RunAsync<LockCall, bool>(LockCall.Release(key, value), CommandClass.Write, flags);

    Task<bool> IDatabaseAsync.LockExtendAsync(RedisKey key, RedisValue value, TimeSpan expiry, CommandFlags flags)
        => RunAsync<LockCall, bool>(LockCall.Extend(key, value, expiry), CommandClass.Write, flags);

    ITransactionAsync IDatabaseAsync.CreateTransaction(object? asyncState)
        => throw new NotSupportedException("A transaction cannot be part of a batch or transaction.");

    Task<TimeSpan> IRedisAsync.PingAsync(CommandFlags flags)
        => RunAsync<PingAsyncCall1, TimeSpan>(new PingAsyncCall1(flags), CommandClass.Write, flags);

    bool IRedisAsync.TryWait(Task task) => Waiting.TryFor(task, _nodes.Options);

    void IRedisAsync.Wait(Task task) => Waiting.For(task, _nodes.Options);

    T IRedisAsync.Wait<T>(Task<T> task) => Waiting.For(task, _nodes.Options);

    void IRedisAsync.WaitAll(params Task[] tasks) => Waiting.For(Task.WhenAll(tasks), _nodes.Options);

    /// <exception cref="NotSupportedException">The command is none for the connection that all callers share.</exception>
    private protected abstract void Refuse(string command, IEnumerable<object>? arguments);

    // They share one node, so one class fits all: the master can answer the reads among them too.
    private Task<T> RunAsync<TCall, T>(TCall call, CommandClass kind, CommandFlags flags, bool confirms = false)
        where TCall : struct, ICall<T>
    {
        ThrowIfClosed();
        var queued = new QueuedCall<TCall, T>(call, flags, asyncState)
        {
            Confirms = confirms,
            Reads = kind is CommandClass.Read or CommandClass.Either,
        };
        lock (_gate)
        {
            _calls.Add(queued);
        }

        return queued.Result;
    }

    private static IAsyncEnumerable<T> ScanAsync<T>(
        CommandClass kind, CommandFlags flags, Func<IDatabase, CommandFlags, IAsyncEnumerable<T>> begin)
        => throw new NotSupportedException("A scan cannot be part of a batch or transaction.");

    private static bool Confirms(string command) => command.StartsWith("WAIT", StringComparison.OrdinalIgnoreCase);

    private protected void ThrowIfClosed() => database.ThrowIfClosed();

    /// <summary>The calls so far; the next ones begin a new list.</summary>
    private protected List<QueuedCall> Take()
    {
        ThrowIfClosed();
        lock (_gate)
        {
            List<QueuedCall> taken = _calls;
            _calls = [];
            return taken;
        }
    }

    /// <summary>What the caller is told of a failure that is not tried again.</summary>
    private protected Exception Told(Exception failure, LiveNode node) => Failures.Judge(failure) switch
    {
        _ when failure is FailoverException told => Measures.Counted(told, _nodes.Options),
        Outcome.Ambiguous => Measures.Counted(new MayHaveBeenAppliedException(node.Address, failure), _nodes.Options),
        Outcome.NotApplied => Measures.Counted(
            new NotAppliedException($"{node.Address} did not take it: {failure.Message}. It was not applied.", node.Address, failure),
            _nodes.Options),
        _ => failure,
    };
}
