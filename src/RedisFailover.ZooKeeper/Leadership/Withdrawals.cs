namespace RedisFailover.ZooKeeper;

/// <summary>
/// What undoes a candidate's campaigns that were cancelled, and leads given up: its next campaign waits for that, since it finds the same
/// znode.
/// </summary>
internal sealed class Withdrawals
{
    private Task _pending = Task.CompletedTask;

    /// <summary>Completes when all is undone; with its session at the latest. Does not fail.</summary>
    internal Task Pending => Volatile.Read(ref _pending);

    internal void Add(Task withdrawal)
    {
        Task before;
        do
        {
            before = Volatile.Read(ref _pending);
        }
        while (
            Interlocked.CompareExchange(ref _pending, before.IsCompleted
                ? withdrawal : Task.WhenAll(before, withdrawal), before) != before);
    }
}
