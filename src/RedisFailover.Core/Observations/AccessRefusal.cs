namespace RedisFailover;

/// <summary>Somebody whom a node has refused, as its ACL LOG says.</summary>
/// <param name="User">As whom.</param>
/// <param name="Command">The command that the user may not run, in lower case; null: the login itself was refused.</param>
/// <param name="Host">From where, as the node sees it; "" where it does not say.</param>
internal sealed record AccessRefusal(string User, string? Command, string Host);
