namespace RedisFailover.Client;

/// <summary>One asynchronous call with its arguments, for one node or another: a struct that is emitted for each member.</summary>
internal interface ICall<T>
{
    Task<T> SendAsync(IDatabaseAsync target, CommandFlags flags);
}

/// <summary>The result of a call that has none.</summary>
internal readonly struct Nothing
{
    public static async Task<Nothing> After(Task task)
    {
        await task.ConfigureAwait(false);
        return default;
    }
}
