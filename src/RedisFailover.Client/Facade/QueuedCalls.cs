using StackExchange.Redis;

namespace RedisFailover.Client;

/// <summary>
/// What batches and transactions share: calls are kept in their order until they are executed, on the master of that moment.
/// </summary>
internal abstract partial class QueuedCalls(FailoverDatabase database, object? asyncState) : IRedisAsync
{
    private protected readonly NodeSet _nodes = database.Nodes;
    private protected readonly int _db = database.Number;
    private protected readonly object? _asyncState = asyncState;
    private readonly Lock _gate = new();
    private List<QueuedCall> _calls = [];

    private protected int DatabaseNumber => _nodes.DatabaseNumber(_db);

    IConnectionMultiplexer IRedisAsync.Multiplexer => database.Lease;

    Task<TimeSpan> IRedisAsync.PingAsync(CommandFlags flags)
        => RunAsync<PingAsyncCall1, TimeSpan>(new PingAsyncCall1(flags), CommandClass.Write, flags);

    bool IRedisAsync.TryWait(Task task) => Waiting.TryFor(task, _nodes.Options);

    void IRedisAsync.Wait(Task task) => Waiting.For(task, _nodes.Options);

    T IRedisAsync.Wait<T>(Task<T> task) => Waiting.For(task, _nodes.Options);

    void IRedisAsync.WaitAll(params Task[] tasks) => Waiting.For(Task.WhenAll(tasks), _nodes.Options);

    // They share one node, so one class fits all: the master can answer the reads among them too.
    private protected Task<T> RunAsync<TCall, T>(TCall call, CommandClass kind, CommandFlags flags, bool confirms = false)
        where TCall : struct, ICall<T>
    {
        ThrowIfClosed();
        var queued = new QueuedCall<TCall, T>(call, flags, _asyncState)
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

    private protected BlockingCall Blocking(CommandClass kind, CommandFlags flags) => new(_nodes, kind, flags, RetryCategory.None);

    private protected static IAsyncEnumerable<T> ScanAsync<T>(
        CommandClass kind, CommandFlags flags, Func<IDatabase, CommandFlags, IAsyncEnumerable<T>> begin)
        => throw new NotSupportedException("A scan cannot be part of a batch or transaction.");

    private protected static IDatabase Direct(CommandClass kind, ref CommandFlags flags, out LiveNode node)
        => throw new NotSupportedException("A scan cannot be part of a batch or transaction.");

    private protected static IDatabase Direct(CommandClass kind, out LiveNode node)
        => throw new NotSupportedException("A scan cannot be part of a batch or transaction.");

    private protected static IDatabase Direct(CommandClass kind, ref CommandFlags flags)
        => throw new NotSupportedException("This call cannot be part of a batch or transaction.");

    private protected static IDatabase Direct(CommandClass kind)
        => throw new NotSupportedException("This call cannot be part of a batch or transaction.");

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
