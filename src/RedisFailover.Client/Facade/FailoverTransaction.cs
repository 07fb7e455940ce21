using StackExchange.Redis;

namespace RedisFailover.Client;

/// <summary>
/// A transaction: MULTI … EXEC on the master of the moment when it is executed, and again on the next one when it is known not to
/// have been applied. With conditions it is bound to the master that the first of them was added under, whose connection watches
/// the keys; if that is master no more when it is executed, it ends with <see cref="NotAppliedException"/>.
/// </summary>
[GenerateFacade(queues: true)]
internal sealed partial class FailoverTransaction(NodeSet nodes, int db, object? asyncState) : QueuedCalls(nodes, db, asyncState), ITransaction
{
    private (LiveNode Node, ITransaction Transaction)? _bound;
    private ITransaction? _last;
    private LiveNode? _sentTo;

    ConditionResult ITransaction.AddCondition(Condition condition)
    {
        if (_bound is null)
        {
            LiveNode master = _nodes.Master();
            _bound = (master, master.Database(_db).CreateTransaction());
        }

        return _bound.Value.Transaction.AddCondition(condition);
    }

    bool ITransaction.Execute(CommandFlags flags)
    {
        Task<bool> executing = ExecuteAsync(Take(), flags);
        if (!Waiting.TryFor(executing, _nodes.Options) && Volatile.Read(ref _sentTo) is { } node)
        {
            // What becomes of it later nobody asks any more.
            _ = executing.ContinueWith(static late => _ = late.Exception, CancellationToken.None, TaskContinuationOptions.OnlyOnFaulted, TaskScheduler.Default);
            throw new MayHaveBeenAppliedException(node.Address, new TimeoutException("There was no reply in time."));
        }

        // What was not sent by then ends when WriteWait is over.
        return executing.GetAwaiter().GetResult();
    }

    Task<bool> ITransaction.ExecuteAsync(CommandFlags flags) => ExecuteAsync(Take(), flags);

    void IBatch.Execute() => ((ITransaction)this).Execute(CommandFlags.None);

    Task<RedisResult> IDatabaseAsync.ExecuteAsync(string command, params object[] args)
        => ((IDatabaseAsync)this).ExecuteAsync(command, args, CommandFlags.None);

    Task<RedisResult> IDatabaseAsync.ExecuteAsync(string command, ICollection<object>? args, CommandFlags flags)
    {
        SharedConnection.RefuseChange(command, args);
        return RunAsync<ExecuteAsyncCall2, RedisResult>(new ExecuteAsyncCall2(command, args, flags), CommandClass.Write, flags);
    }

    private async Task<bool> ExecuteAsync(List<QueuedCall> calls, CommandFlags flags)
    {
        Retries? retries = null;
        bool discarded = false;
        while (true)
        {
            LiveNode? node = null;
            try
            {
                node = _nodes.Current.Master
                    ?? await _nodes.NodeForAsync(CommandClass.Write, CommandFlags.None, retries ??= new Retries(_nodes, CommandClass.Write)).ConfigureAwait(false);
                return await ExecuteAsync(calls, node, flags & ~StackExchangeVersion.RoleMask).ConfigureAwait(false);
            }
            catch (Exception failure) when (node is not null && _bound is null && (Failures.Judge(failure) == Outcome.NotApplied || (!discarded && Failures.IsDiscarded(failure))))
            {
                // Discarded, and the node takes writes when it is asked why: it may have begun to in this moment. Once more; a
                // command that is wrong will be refused again.
                discarded |= Failures.IsDiscarded(failure);
                try
                {
                    await (retries ??= new Retries(_nodes, CommandClass.Write)).AfterAsync(failure, node).ConfigureAwait(false);
                }
                catch (Exception final)
                {
                    // The queued calls have tasks of their own, which would wait for ever.
                    calls.ForEach(call => call.Fail(final));
                    throw;
                }
            }
            catch (Exception failure)
            {
                Exception told = node is null ? failure : Told(failure, node);
                calls.ForEach(call => call.Fail(told));
                System.Runtime.ExceptionServices.ExceptionDispatchInfo.Throw(told);
            }
        }
    }

    private async Task<bool> ExecuteAsync(List<QueuedCall> calls, LiveNode node, CommandFlags flags)
    {
        if (_bound is { } bound && bound.Node != node)
        {
            throw new NotAppliedException(
                $"The transaction's conditions were added under the master {bound.Node.Address}, and {node.Address} is master now. It was not applied; build it again.",
                node.Address);
        }

        Volatile.Write(ref _sentTo, node);
        ITransaction transaction = _last = _bound?.Transaction ?? node.Database(_db).CreateTransaction();
        calls.ForEach(call => call.Send(transaction));
        bool committed;
        try
        {
            committed = await node.EndsAsync(transaction.ExecuteAsync(flags), _nodes.Options.TimeProvider).ConfigureAwait(false);
        }
        catch (RedisServerException failure) when (Failures.IsDiscarded(failure))
        {
            // The reason was in the reply to one of its commands, which the library keeps to itself.
            if (await IsReplicaAsync(node).ConfigureAwait(false))
            {
                throw new NotAppliedException($"{node.Address} is master no more and discarded the transaction. It was not applied.", node.Address, failure);
            }

            if (await RefusalAsync(node).ConfigureAwait(false) is { } refusal)
            {
                throw new NotAppliedException($"{node.Address} takes no writes ({refusal.Message}) and discarded the transaction. It was not applied.", node.Address, failure);
            }

            throw;
        }

        // This may be the socket's reader: the caller continues elsewhere.
        await Task.CompletedTask.ConfigureAwait(ConfigureAwaitOptions.ForceYielding);

        foreach (QueuedCall call in calls)
        {
            if (await call.ReplyAsync().ConfigureAwait(false) is { } failure)
            {
                // A condition that does not hold cancels them; that is no loss.
                call.Fail(committed ? Told(failure, node) : failure);
            }
        }

        return committed;
    }

    private static async Task<bool> IsReplicaAsync(LiveNode node)
    {
        RedisResult role = await node.Database(0).ExecuteAsync("ROLE").ConfigureAwait(false);
        return (string?)((RedisResult[])role!)[0] == "slave";
    }

    /// <summary>
    /// What a master says to a write when it takes none (NOREPLICAS); null otherwise. The write deletes a key that does not exist,
    /// which neither lacks memory nor reaches a replica.
    /// </summary>
    private static async Task<RedisServerException?> RefusalAsync(LiveNode node)
    {
        try
        {
            await node.Database(0).KeyDeleteAsync($"redis-failover:{Guid.NewGuid():N}").ConfigureAwait(false);
            return null;
        }
        catch (RedisServerException refusal)
        {
            return Failures.Judge(refusal) == Outcome.NotApplied ? refusal : null;
        }
    }
}
