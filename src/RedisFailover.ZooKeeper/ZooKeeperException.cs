namespace RedisFailover.ZooKeeper;

/// <summary>
/// The one exception of failed ZooKeeper operations: says which operation, on which path, why, and whether it may have been applied.
/// </summary>
public sealed class ZooKeeperException : Exception
{
    internal ZooKeeperException(
        ZooKeeperErrorCode code,
        string operation,
        string? path,
        bool mayHaveBeenApplied = false,
        int? failedIndex = null,
        string? detail = null,
        Exception? inner = null)
        : base(Describe(code, operation, path, mayHaveBeenApplied, failedIndex, detail), inner)
    {
        Code = code;
        Operation = operation;
        Path = path;
        MayHaveBeenApplied = mayHaveBeenApplied;
        FailedIndex = failedIndex;
    }

    /// <summary>Why it failed.</summary>
    public ZooKeeperErrorCode Code { get; }

    /// <summary>The operation in ZooKeeper's words: <c>create</c>, <c>setData</c>, <c>multi</c> ...</summary>
    public string Operation { get; }

    /// <summary>The path as the caller gave it (without the chroot), or null where there is none.</summary>
    public string? Path { get; }

    /// <summary>
    /// True when the operation is a write whose reply was lost: it may have been applied, or may still be. Never true for a read, nor for
    /// an error that the server itself reported.
    /// </summary>
    public bool MayHaveBeenApplied { get; }

    /// <summary>
    /// For a multi that the server refused: the index of the operation that failed, from 0; -1 for the fence of
    /// <see cref="Leadership.CommitAsync"/>. Otherwise null.
    /// </summary>
    public int? FailedIndex { get; }

    private static string Describe(ZooKeeperErrorCode code, string operation, string? path, bool mayHaveBeenApplied, int? failedIndex,
        string? detail)
    {
        string where = path is null ? operation : $"{operation} {path}";
        string index = failedIndex switch
        {
            null => "",
            -1 when code == ZooKeeperErrorCode.BadVersion => " (the fence: another was elected)",
            -1 => " (the fence)",
            _ => $" (operation {failedIndex} of the multi)",
        };
        string more = detail is null ? "" : $": {detail}";
        string applied = mayHaveBeenApplied ? "; it may have been applied" : "";
        return $"{where}: {code}{index}{more}{applied}";
    }
}
