namespace RedisFailover.ZooKeeper;

internal static class TaskExtensions
{
    /// <summary>For a task that may still fail when nobody waits for it any more: its exception is not reported as unobserved.</summary>
    /// <returns>The task itself.</returns>
    internal static TTask MayFailUnseen<TTask>(this TTask task)
        where TTask : Task
    {
        _ = task.ContinueWith(
            static failed => _ = failed.Exception,
            CancellationToken.None,
            TaskContinuationOptions.OnlyOnFaulted | TaskContinuationOptions.ExecuteSynchronously,
            TaskScheduler.Default);
        return task;
    }
}
