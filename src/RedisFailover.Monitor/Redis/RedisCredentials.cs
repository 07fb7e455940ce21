using System.Collections.Immutable;
using RedisFailover.Shared;

namespace RedisFailover.Monitor.Redis;

/// <summary>
/// How the monitor presents itself to the nodes: by user and password, and by TLS. A password that stands in a file is read anew for each
/// login, so that it can be changed while the monitor runs; while the file cannot be read the last one known is used.
/// </summary>
internal sealed class RedisCredentials(string? username, string? password, string? passwordFile = null)
{
    private readonly SecretFile? _file = passwordFile is null ? null : new SecretFile(passwordFile);

    /// <summary>How connections are secured; null: not at all.</summary>
    internal TlsFiles? Tls { get; init; }

    /// <summary>
    /// The AUTH commands to try in this order: of several lines in the file the first that a node accepts counts. None without a
    /// password.
    /// </summary>
    internal IEnumerable<string[]> Commands => Passwords().Select(p => username is null ? (string[])["AUTH", p] : ["AUTH", username, p]);

    /// <summary>The AUTH command that is tried first, or null where there is no password.</summary>
    internal string[]? Command => Commands.FirstOrDefault();

    /// <summary>Never the password.</summary>
    public override string ToString() => $"user {username ?? "default"}{(Tls is null ? "" : ", TLS")}";

    private ImmutableArray<string> Passwords()
        => _file?.Lines is { IsEmpty: false } lines ? lines : password is null ? [] : [password];
}
