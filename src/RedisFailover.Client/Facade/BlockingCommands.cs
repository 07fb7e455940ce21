namespace RedisFailover.Client;

/// <summary>A multiplexer has one connection for all its callers: a command that blocks it, or changes what it is, stops them all.</summary>
internal static class BlockingCommands
{
    private static readonly HashSet<string> s_always = new(StringComparer.OrdinalIgnoreCase)
    {
        "BLPOP", "BRPOP", "BRPOPLPUSH", "BLMOVE", "BLMPOP", "BZPOPMIN", "BZPOPMAX", "BZMPOP", "SUBSCRIBE", "PSUBSCRIBE", "SSUBSCRIBE", "MONITOR",
    };

    /// <exception cref="NotSupportedException">The command blocks.</exception>
    public static void Refuse(string command, IEnumerable<object>? arguments)
    {
        if (s_always.Contains(command) || (IsStreamRead(command) && arguments is not null && arguments.Any(IsBlock)))
        {
            throw new NotSupportedException($"{command} blocks the connection that all callers share; use a connection of your own for it, or poll.");
        }
    }

    private static bool IsStreamRead(string command)
        => command.Equals("XREAD", StringComparison.OrdinalIgnoreCase) || command.Equals("XREADGROUP", StringComparison.OrdinalIgnoreCase);

    private static bool IsBlock(object argument) => "BLOCK".Equals(argument?.ToString(), StringComparison.OrdinalIgnoreCase);
}
