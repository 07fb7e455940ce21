using StackExchange.Redis.Configuration;

namespace RedisFailover.Client;

/// <summary>The password as the file holds it at each login; where it was refused, the next line of the file.</summary>
internal sealed class LoginProvider(SecretFile file) : DefaultOptionsProvider
{
    private int _next;

    /// <summary>The file.</summary>
    internal string File => file.Path;

    /// <inheritdoc/>
    public override string? Password
        => file.Lines is { IsEmpty: false } lines ? lines[(int)((uint)Volatile.Read(ref _next) % (uint)lines.Length)] : null;

    /// <summary>How many lines the file has.</summary>
    internal int Count => file.Lines.Length;

    /// <summary>Which line is used next; counts on from line to line.</summary>
    internal int Next => Volatile.Read(ref _next);

    /// <summary>A node did not accept that line: the next one is used, unless another node has said so before.</summary>
    internal void Refused(int used) => Interlocked.CompareExchange(ref _next, used + 1, used);
}
