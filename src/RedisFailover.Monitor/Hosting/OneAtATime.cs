namespace RedisFailover.Monitor.Hosting;

/// <summary>Lets one after the other in, in the order in which they came.</summary>
internal sealed class OneAtATime
{
    private readonly Lock _gate = new();
    private readonly Queue<TaskCompletionSource> _waiting = new();
    private bool _isTaken;

    /// <summary>Completes when it is the caller's turn, which lasts until <see cref="Leave"/>.</summary>
    /// <exception cref="OperationCanceledException">The token was cancelled before: then there is nothing to leave.</exception>
    internal async Task EnterAsync(CancellationToken cancellationToken)
    {
        cancellationToken.ThrowIfCancellationRequested();
        TaskCompletionSource turn;
        lock (_gate)
        {
            if (!_isTaken)
            {
                _isTaken = true;
                return;
            }

            turn = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
            _waiting.Enqueue(turn);
        }

        await using CancellationTokenRegistration stop =
            cancellationToken.UnsafeRegister(_ => turn.TrySetCanceled(cancellationToken), null);
        await turn.Task;
    }

    /// <summary>The next one's turn.</summary>
    internal void Leave()
    {
        lock (_gate)
        {
            while (_waiting.TryDequeue(out TaskCompletionSource? next))
            {
                // One that was cancelled meanwhile has left already.
                if (next.TrySetResult())
                {
                    return;
                }
            }

            _isTaken = false;
        }
    }
}
