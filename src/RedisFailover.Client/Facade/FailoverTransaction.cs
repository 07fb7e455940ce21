namespace RedisFailover.Client;

/// <summary>MULTI … EXEC on the master of the moment when it is executed, and again on the next one when it was not applied. With
/// conditions it is bound to the master that they were added under, whose connection watches the keys.</summary>
internal sealed class FailoverTransaction(FailoverDatabase database, object? asyncState) : QueuedCalls(database, asyncState), ITransaction
{
    private (LiveNode Node, ITransaction Transaction)? _bound;
    private ITransaction? _last;
    private LiveNode? _sentTo;

    ConditionResult ITransaction.AddCondition(Condition condition)
    {
        ThrowIfClosed();
        if (_bound is null)
        {
            LiveNode master = _nodes.NodeFor(CommandClass.Write, CommandFlags.None);
            _bound = (master, master.Database(_db).CreateTransaction());
        }

        return _bound.Value.Transaction.AddCondition(condition);
    }

    ConditionResult ITransactionAsync.AddCondition(Condition condition) => ((ITransaction)this).AddCondition(condition);

    Task<bool> ITransactionAsync.ExecuteAsync(CommandFlags flags) => ((ITransaction)this).ExecuteAsync(flags);

    bool ITransactionAsync.WasWatchConflict => _last?.WasWatchConflict ?? false;

    bool ITransaction.Execute(CommandFlags flags)
    {
        Task<bool> executing = ((ITransaction)this).ExecuteAsync(flags);
        if (!Waiting.TryFor(executing, _nodes.Options) && Volatile.Read(ref _sentTo) is { } node)
        {
            Waiting.Forget(executing);
            throw Measures.Counted(
                new MayHaveBeenAppliedException(node.Address, new TimeoutException("There was no reply in time.")), _nodes.Options);
        }

        // What was not sent by then ends when WriteWait is over.
        return executing.GetAwaiter().GetResult();
    }

    /// <summary>Not 3.4's fire and forget, which drops EXEC with a connection that breaks: the calls would wait for ever.</summary>
    Task<bool> ITransaction.ExecuteAsync(CommandFlags flags)
    {
        Task<bool> executing = ExecuteAsync(Take(), flags & ~CommandFlags.FireAndForget);
        if ((flags & CommandFlags.FireAndForget) == CommandFlags.None)
        {
            return executing;
        }

        Waiting.Forget(executing);
        return Task.FromResult(false);
    }

    void IBatch.Execute() => ((ITransaction)this).Execute(CommandFlags.None);

    // Inside MULTI nothing blocks.
    private protected override void Refuse(string command, IEnumerable<object>? arguments)
        => SharedConnection.RefuseChange(command, arguments);

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
                    ?? await _nodes.NodeForAsync(CommandClass.Write, CommandFlags.None, retries ??= new Retries(_nodes, CommandClass.Write))
                        .ConfigureAwait(false);
                return await ExecuteAsync(calls, node, flags.WithoutRole()).ConfigureAwait(false);
            }
            catch (Exception failure) when (node is not null && _bound is null
                && (Failures.Judge(failure) == Outcome.NotApplied || (!discarded && Failures.IsDiscarded(failure))))
            {
                // Discarded, and the node takes writes when it is asked why: it may have begun to in this moment. Once more; a
                // command that is wrong will be refused again.
                discarded |= Failures.IsDiscarded(failure);
                try
                {
                    Exception judged = Failures.IsDiscarded(failure)
                        ? new NotAppliedException($"{node.Address} discarded it: {failure.Message}", node.Address, failure) : failure;
                    await (retries ??= new Retries(_nodes, CommandClass.Write)).AfterAsync(judged, node).ConfigureAwait(false);
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
                $"The transaction's conditions were added under the master {bound.Node.Address}, and {node.Address} is master now. It was "
                    + $"not applied; build it again.",
                node.Address);
        }

        Volatile.Write(ref _sentTo, node);
        ITransaction transaction = _last = _bound?.Transaction ?? node.Database(_db).CreateTransaction();
        calls.ForEach(call => call.Send(transaction));
        bool committed;
        try
        {
            committed = _bound is null
                ? await transaction.ExecuteAsync(flags).ConfigureAwait(false)
                : await ConditionalAsync(transaction, node, flags).ConfigureAwait(false);
        }
        catch (RedisServerException failure) when (Failures.IsDiscarded(failure))
        {
            if (await WhyDiscardedAsync(node).ConfigureAwait(false) is { } why)
            {
                throw new NotAppliedException(
                    $"{node.Address} {why} and discarded the transaction. It was not applied.", node.Address, failure);
            }

            throw;
        }

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

    /// <summary>3.4 waits for the replies to the conditions on the thread that sends, for SyncTimeout at most, and takes none for one that
    /// does not hold: it answers False, and nothing was applied.</summary>
    private async Task<bool> ConditionalAsync(ITransaction transaction, LiveNode node, CommandFlags flags)
    {
        TimeProvider time = _nodes.Options.TimeProvider;
        long since = time.GetTimestamp();
        bool committed = await Task.Run(() => transaction.ExecuteAsync(flags)).ConfigureAwait(false);
        return committed || (time.GetElapsedTime(since) < _nodes.Options.OperationTimeout * 0.9 && !node.Broken.IsCompleted)
            ? committed
            : throw new NotAppliedException($"{node.Address} did not say whether the conditions hold. The transaction was not applied.",
                node.Address);
    }

    /// <summary>Why the node takes no transaction, which 3.4 keeps to itself; null where its commands are at fault.</summary>
    private static async Task<string?> WhyDiscardedAsync(LiveNode node)
    {
        try
        {
            return await IsReplicaAsync(node).ConfigureAwait(false) ? "is master no more"
                : await RefusalAsync(node).ConfigureAwait(false) is { } refusal ? $"takes no writes ({refusal.Message})" : null;
        }
        catch (RedisServerException said)
        {
            // It may not be asked, or says itself that it takes nothing at present.
            return Failures.Judge(said) == Outcome.NotApplied ? $"takes no writes ({said.Message})" : null;
        }
        catch (Exception lost) when (lost is RedisException or OperationCanceledException or ObjectDisposedException or IOException)
        {
            return "was lost";
        }
    }

    private static async Task<bool> IsReplicaAsync(LiveNode node)
    {
        RedisResult role = await node.Database(0).ExecuteAsync("ROLE").ConfigureAwait(false);
        return (string?)((RedisResult[])role!)[0] == "slave";
    }

    /// <summary>What a master says to a write, of a key that does not exist, when it takes none (NOREPLICAS).</summary>
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
