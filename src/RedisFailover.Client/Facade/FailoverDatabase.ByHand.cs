namespace RedisFailover.Client;

/// <summary>The members that are more than one known command to one node.</summary>
internal sealed partial class FailoverDatabase
{
    IConnectionMultiplexer IRedisAsync.Multiplexer => Lease;

    /// <summary>Whether a read with these flags would find a node now; does not wait for one.</summary>
    bool IDatabaseAsync.IsConnected(RedisKey key, CommandFlags flags)
        => _nodes.Current.NodeFor(CommandClass.Either, flags) is { } node && node.Database(_db).IsConnected(key, flags.WithoutRole());

    RedisResult IDatabase.Execute(string command, params object[] args) => ((IDatabase)this).Execute(command, args, CommandFlags.None);

    RedisResult IDatabase.Execute(string command, ICollection<object>? args, CommandFlags flags)
        => Run(ClassOf(command, args, flags), Failures.ByName(command, flags), (target, sent) => target.Execute(command, args!, sent));

    Task<RedisResult> IDatabaseAsync.ExecuteAsync(string command, params object[] args)
        => ((IDatabaseAsync)this).ExecuteAsync(command, args, CommandFlags.None);

    Task<RedisResult> IDatabaseAsync.ExecuteAsync(string command, ICollection<object>? args, CommandFlags flags)
        => RunAsync<ExecuteAsyncCall2, RedisResult>(
            new ExecuteAsyncCall2(command, args, flags), ClassOf(command, args, flags), Failures.ByName(command, flags));

    RespResult IDatabase.ExecuteResp(string command, ReadOnlyMemory<RedisKeyOrValue> args, CommandFlags flags)
        => Run(ClassOf(command, SharedConnection.Words(args), flags), Failures.ByName(command, flags),
            (target, sent) => target.ExecuteResp(command, args, sent));

    Task<RespResult> IDatabaseAsync.ExecuteRespAsync(string command, ReadOnlyMemory<RedisKeyOrValue> args, CommandFlags flags)
        => RunAsync<ExecuteRespAsyncCall1, RespResult>(
            new ExecuteRespAsyncCall1(command, args, flags), ClassOf(command, SharedConnection.Words(args), flags),
            Failures.ByName(command, flags));

    RedisResult IDatabase.ScriptEvaluate(string script, RedisKey[]? keys, RedisValue[]? values, CommandFlags flags)
        => Run(ClassOfScript(flags), flags, (target, sent) => target.ScriptEvaluate(script, keys, values, sent));

    Task<RedisResult> IDatabaseAsync.ScriptEvaluateAsync(string script, RedisKey[]? keys, RedisValue[]? values, CommandFlags flags)
        => RunAsync<ScriptEvaluateAsyncCall1, RedisResult>(new ScriptEvaluateAsyncCall1(script, keys, values, flags), ClassOfScript(flags),
            flags);

    bool IDatabase.LockRelease(RedisKey key, RedisValue value, CommandFlags flags)
        => Waiting.For(((IDatabaseAsync)this).LockReleaseAsync(key, value, flags), _nodes.Options);

    Task<bool> IDatabaseAsync.LockReleaseAsync(RedisKey key, RedisValue value, CommandFlags flags)
        => RunAsync<LockCall, bool>(LockCall.Release(key, value), CommandClass.Write, flags);

    bool IDatabase.LockExtend(RedisKey key, RedisValue value, TimeSpan expiry, CommandFlags flags)
        => Waiting.For(((IDatabaseAsync)this).LockExtendAsync(key, value, expiry, flags), _nodes.Options);

    Task<bool> IDatabaseAsync.LockExtendAsync(RedisKey key, RedisValue value, TimeSpan expiry, CommandFlags flags)
        => RunAsync<LockCall, bool>(LockCall.Extend(key, value, expiry), CommandClass.Write, flags);

    IBatch IDatabase.CreateBatch(object? asyncState) => new FailoverBatch(this, asyncState);

    ITransaction IDatabase.CreateTransaction(object? asyncState) => new FailoverTransaction(this, asyncState);

    ITransactionAsync IDatabaseAsync.CreateTransaction(object? asyncState) => new FailoverTransaction(this, asyncState);

    bool IRedisAsync.TryWait(Task task) => Waiting.TryFor(task, _nodes.Options);

    void IRedisAsync.Wait(Task task) => Waiting.For(task, _nodes.Options);

    T IRedisAsync.Wait<T>(Task<T> task) => Waiting.For(task, _nodes.Options);

    void IRedisAsync.WaitAll(params Task[] tasks) => Waiting.For(Task.WhenAll(tasks), _nodes.Options);

    /// <summary>What the emitted members that block do, at the price of a closure for each call.</summary>
    private T Run<T>(CommandClass kind, CommandFlags flags, Func<IDatabase, CommandFlags, T> send)
    {
        BlockingCall call = Blocking(kind, flags);
        IDatabase first = call.Target(_db);
        try
        {
            return send(first, call.Flags);
        }
        catch (Exception failure)
        {
            // Whether it is sent again is judged in one place.
            return call.Again(failure, _db, send);
        }
    }

    private static CommandClass ClassOf(string command, IEnumerable<object>? args, CommandFlags flags)
    {
        SharedConnection.Refuse(command, args);
        CommandClass listed = RoutingTable.Of(command);
        return listed == CommandClass.Write && !RoutingTable.IsKnownWrite(command) ? ClassOfScript(flags) : listed;
    }

    // Only the caller knows that a script, or a command that is not in the table, reads. If it writes after all, the replica
    // refuses it and it goes to the master.
    private static CommandClass ClassOfScript(CommandFlags flags)
        => flags.Role() is CommandFlags.PreferReplica or CommandFlags.DemandReplica
            ? CommandClass.Unsure
            : CommandClass.Write;
}
