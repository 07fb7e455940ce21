namespace RedisFailover.Monitor.Redis;

/// <summary>
/// How the monitor logs in to the nodes. A password that stands in a file is read anew for each login, so that it can be changed
/// while the monitor runs; while the file cannot be read the last one known is used.
/// </summary>
internal sealed class RedisCredentials(string? username, string? password, string? passwordFile = null)
{
    private volatile string? _password = password;

    /// <summary>The AUTH command, or null where there is no password.</summary>
    internal string[]? Command => Password is not { } current ? null : username is null ? ["AUTH", current] : ["AUTH", username, current];

    private string? Password
    {
        get
        {
            if (passwordFile is not null)
            {
                try
                {
                    _password = File.ReadAllText(passwordFile).TrimEnd('\r', '\n') is { Length: > 0 } current ? current : _password;
                }
                catch (Exception e) when (e is IOException or UnauthorizedAccessException)
                {
                    // It is being replaced, or somebody took it away: whether the last one still works the node says.
                }
            }

            return _password;
        }
    }

    /// <summary>Never the password.</summary>
    public override string ToString() => _password is null ? "no credentials" : $"user {username ?? "default"}";
}
