namespace RedisFailover.Monitor.Redis;

/// <summary>How the monitor logs in to the nodes.</summary>
internal sealed class RedisCredentials(string? username, string? password)
{
    /// <summary>The AUTH command, or null where there is no password.</summary>
    internal string[]? Command => password is null ? null : username is null ? ["AUTH", password] : ["AUTH", username, password];

    /// <summary>Never the password.</summary>
    public override string ToString() => password is null ? "no credentials" : $"user {username ?? "default"}";
}
