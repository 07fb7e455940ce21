using StackExchange.Redis;

namespace RedisFailover.Client;

/// <summary>The members that are more than one command to one node.</summary>
internal sealed partial class FailoverDatabase
{
    /// <summary>The multiplexer of the node that is master now, or of any node; not to be kept, it does not follow a failover.</summary>
    ConnectionMultiplexer IRedisAsync.Multiplexer => (_nodes.Current.Master ?? Direct()).Multiplexer;

    bool IRedisAsync.TryWait(Task task) => task.Wait(_nodes.Options.OperationTimeout + _nodes.Options.WriteWait);

    void IRedisAsync.Wait(Task task)
    {
        Await(task);
        task.GetAwaiter().GetResult();
    }

    T IRedisAsync.Wait<T>(Task<T> task)
    {
        Await(task);
        return task.GetAwaiter().GetResult();
    }

    void IRedisAsync.WaitAll(params Task[] tasks)
    {
        foreach (Task task in tasks)
        {
            ((IRedisAsync)this).Wait(task);
        }
    }

    IBatch IDatabase.CreateBatch(object? asyncState) => Direct().Database(_db).CreateBatch(asyncState);

    ITransaction IDatabase.CreateTransaction(object? asyncState) => Direct().Database(_db).CreateTransaction(asyncState);

    private LiveNode Direct() => _nodes.NodeFor(CommandClass.Write, CommandFlags.None, new Retries(_nodes, CommandClass.Write));

    private void Await(Task task)
    {
        // Not Wait: a failure is to surface as itself, not in an AggregateException.
        TimeSpan limit = _nodes.Options.OperationTimeout + _nodes.Options.WriteWait;
        if (!((IAsyncResult)task).AsyncWaitHandle.WaitOne(limit))
        {
            throw new TimeoutException($"The task was not done within {limit.TotalMilliseconds:0} ms.");
        }
    }
}
