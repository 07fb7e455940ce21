namespace RedisFailover.Client;

/// <summary>A call of a batch or transaction, kept until it is sent, and its task, which outlives the node.</summary>
internal abstract class QueuedCall
{
    /// <summary>Whether it tells of the writes before it (WAIT).</summary>
    public bool Confirms { get; init; }

    /// <summary>Whether it changes nothing: without a reply it is sent again.</summary>
    public bool Reads { get; init; }

    public abstract void Send(IDatabaseAsync target);

    /// <summary>Waits for the reply, which is nobody's.</summary>
    public abstract Task ForgetAsync();

    /// <summary>Waits for the reply and hands it on; returns the failure instead when there was one.</summary>
    public abstract Task<Exception?> ReplyAsync();

    public abstract void Fail(Exception failure);
}

/// <inheritdoc cref="QueuedCall"/>
internal sealed class QueuedCall<TCall, T>(TCall call, CommandFlags flags, object? asyncState) : QueuedCall
    where TCall : struct, ICall<T>
{
    // The caller continues elsewhere: these are completed wherever replies are read.
    private readonly TaskCompletionSource<T> _result = new(asyncState, TaskCreationOptions.RunContinuationsAsynchronously);
    private Task<T>? _sent;

    public Task<T> Result => _result.Task;

    public override void Send(IDatabaseAsync target)
    {
        Forget();
        _sent = call.SendAsync(target, flags.WithoutRole());
    }

    public override async Task ForgetAsync()
        => await ((Task)_sent!).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);

    public override async Task<Exception?> ReplyAsync()
    {
        try
        {
            _result.TrySetResult(await _sent!.ConfigureAwait(false));
            return null;
        }
        catch (Exception failure)
        {
            // For whoever judges whether it is sent again.
            return failure;
        }
    }

    /// <summary>What was sent to the lost node is nobody's any more.</summary>
    private void Forget()
    {
        if (_sent is not null)
        {
            Waiting.Forget(_sent);
        }
    }

    public override void Fail(Exception failure)
    {
        Forget();
        if (failure is OperationCanceledException)
        {
            _result.TrySetCanceled();
        }
        else
        {
            _result.TrySetException(failure);

            // Seen: whoever executes the transaction hears of it, and may never look at the tasks in it.
            _ = _result.Task.Exception;
        }
    }
}
