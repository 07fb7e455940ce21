using RedisFailover.Shared;
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

    /// <summary>The node did not accept it.</summary>
    internal void Refused() => Interlocked.Increment(ref _next);
}
