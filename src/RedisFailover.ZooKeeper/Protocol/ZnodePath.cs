namespace RedisFailover.ZooKeeper;

/// <summary>The rules of znode paths (ZooKeeper's <c>PathUtils</c>) and the prefix that a chroot adds.</summary>
internal static class ZnodePath
{
    /// <summary>Returns the path, or throws an <see cref="ArgumentException"/> that says what is wrong with it.</summary>
    internal static string Validate(string path, bool sequential = false)
    {
        ArgumentException.ThrowIfNullOrEmpty(path);
        return Fault(path, sequential) is { } fault
            ? throw new ArgumentException($"'{path}' is not a znode path: {fault}.", nameof(path)) : path;
    }

    /// <summary>What is wrong with a path that is not empty; null when nothing is.</summary>
    internal static string? Fault(string path, bool sequential = false)
    {
        if (path[0] != '/')
        {
            return "it must start with /";
        }

        // A sequential create may name only the directory: the server appends the counter.
        int length = sequential && path.Length > 1 && path[^1] == '/' ? path.Length - 1 : path.Length;
        if (length > 1 && path[length - 1] == '/')
        {
            return "it must not end with /";
        }

        int start = 1;
        for (int i = 1; i <= length && length > 1; i++)
        {
            if (i < length && path[i] != '/')
            {
                if (IsForbidden(path[i]))
                {
                    return "it holds a forbidden character";
                }

                continue;
            }

            ReadOnlySpan<char> name = path.AsSpan(start, i - start);
            if (name.IsEmpty || name is "." or "..")
            {
                return "a name in it is empty, . or ..";
            }

            start = i + 1;
        }

        return null;
    }

    internal static string Prefix(string chroot, string path) => chroot.Length == 0 ? path : path.Length == 1 ? chroot : chroot + path;

    internal static string Strip(string chroot, string path)
        => chroot.Length == 0 || !path.StartsWith(chroot, StringComparison.Ordinal) ? path
            : path.Length == chroot.Length ? "/" : path[chroot.Length..];

    private static bool IsForbidden(char c) => c is < ' ' or (>= '\u007f' and <= '\u009f') or (>= '\ud800' and <= '\uf8ff') or >= '\ufff0';
}

internal static class CreateModes
{
    internal static bool IsSequential(CreateMode mode)
        => mode is CreateMode.PersistentSequential or CreateMode.EphemeralSequential or CreateMode.PersistentSequentialWithTtl;

    internal static bool HasTtl(CreateMode mode) => mode is CreateMode.PersistentWithTtl or CreateMode.PersistentSequentialWithTtl;
}
