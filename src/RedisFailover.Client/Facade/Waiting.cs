namespace RedisFailover.Client;

/// <summary>Blocking on a task, as StackExchange.Redis' Wait does it: bounded, and failures surface as themselves.</summary>
internal static class Waiting
{
    public static bool TryFor(Task task, FailoverOptions options) => ((IAsyncResult)task).AsyncWaitHandle.WaitOne(Limit(options));

    public static void For(Task task, FailoverOptions options) => For(task, Limit(options));

    public static void For(Task task, TimeSpan limit)
    {
        if (!((IAsyncResult)task).AsyncWaitHandle.WaitOne(limit))
        {
            throw new TimeoutException($"The task was not done within {limit.TotalMilliseconds:0} ms.");
        }

        // Completed, and so in the overload below: this throws the failure as it is.
        task.GetAwaiter().GetResult();
    }

    public static T For<T>(Task<T> task, FailoverOptions options) => For(task, Limit(options));

    public static T For<T>(Task<T> task, TimeSpan limit)
    {
        For((Task)task, limit);
        return task.GetAwaiter().GetResult();
    }

    /// <summary>What becomes of it nobody asks any more: its failure counts as seen.</summary>
    public static void Forget(Task task) => task.ContinueWith(
        static failed => _ = failed.Exception, CancellationToken.None, TaskContinuationOptions.OnlyOnFaulted, TaskScheduler.Default);

    // Longer than a call takes that waits for a master and then in vain for its reply: it shall end first, and say more.
    private static TimeSpan Limit(FailoverOptions options) => options.WriteWait + (2 * options.OperationTimeout);
}
