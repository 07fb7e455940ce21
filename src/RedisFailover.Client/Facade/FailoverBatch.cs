namespace RedisFailover.Client;

/// <summary>A batch: its calls go to the master together, in their order. What was not applied goes again, in order.</summary>
internal sealed class FailoverBatch(FailoverDatabase database, object? asyncState) : QueuedCalls(database, asyncState), IBatch
{
    /// <summary>Sends the calls and returns; their tasks tell the rest. Without a master they are sent as soon as there is one.</summary>
    void IBatch.Execute()
    {
        List<QueuedCall> calls = Take();
        if (calls.Count > 0)
        {
            _ = ExecuteAsync(calls);
        }
    }

    private protected override void Refuse(string command, IEnumerable<object>? arguments) => SharedConnection.Refuse(command, arguments);

    private async Task ExecuteAsync(List<QueuedCall> calls)
    {
        Retries? retries = null;
        while (calls.Count > 0)
        {
            LiveNode? node = _nodes.Current.Master;
            try
            {
                node ??= await _nodes.NodeForAsync(CommandClass.Write, CommandFlags.None,
                    retries ??= new Retries(_nodes, CommandClass.Write)).ConfigureAwait(false);
                Send(calls, node);
            }
            catch (Exception failure) when (node is null || Failures.Judge(failure) == Outcome.CommandFailed)
            {
                // No master in time, or a call that cannot be made at all.
                calls.ForEach(call => call.Fail(failure));
                return;
            }
            catch (Exception failure)
            {
                // Whatever it is, the retries judge it: again, or each call is told.
                calls = await AgainAsync(calls, failure, node!, retries ??= new Retries(_nodes, CommandClass.Write)).ConfigureAwait(false);
                continue;
            }

            List<QueuedCall> unapplied = [];
            Exception? last = null;
            foreach (QueuedCall call in calls)
            {
                if (call.Confirms && unapplied.Count > 0)
                {
                    // Its number is of earlier writes: it goes again with those that it is to confirm.
                    await call.ForgetAsync().ConfigureAwait(false);
                    unapplied.Add(call);
                    continue;
                }

                Exception? failure = await call.ReplyAsync().ConfigureAwait(false);
                if (failure is not null && Failures.Judge(failure) == Outcome.NotApplied)
                {
                    unapplied.Add(call);
                    last = failure;
                }
                else if (failure is not null && call.Reads && Failures.Judge(failure) == Outcome.Ambiguous)
                {
                    unapplied.Add(call);
                    last ??= new NotAppliedException($"{node.Address} was lost before it answered a read", node.Address, failure);
                }
                else if (failure is not null)
                {
                    call.Fail(Told(failure, node));
                }
            }

            calls = last is null
                ? [] : await AgainAsync(unapplied, last, node, retries ??= new Retries(_nodes, CommandClass.Write)).ConfigureAwait(false);
        }
    }

    private void Send(List<QueuedCall> calls, LiveNode node)
    {
        IBatch batch = node.Database(_db).CreateBatch();
        calls.ForEach(call => call.Send(batch));
        batch.Execute();
    }

    private static async Task<List<QueuedCall>> AgainAsync(List<QueuedCall> calls, Exception failure, LiveNode node, Retries retries)
    {
        try
        {
            await retries.AfterAsync(failure, node).ConfigureAwait(false);
            return calls;
        }
        catch (Exception final)
        {
            // Nobody awaits the batch itself: its calls are the ones who hear of it.
            calls.ForEach(call => call.Fail(final));
            return [];
        }
    }
}
