using System.Globalization;

namespace RedisFailover.Client;

/// <summary>Refuses what is none for <c>Execute</c>, and says what to use: commands that block the connection that all callers share, or
/// change it, or make another node master.</summary>
internal static class SharedConnection
{
    private const string Publishing = "ISubscriber, from FailoverConnection.GetSubscriber";
    private const string Transacting = "IDatabase.CreateTransaction, with AddCondition in the place of WATCH";
    private const string Configuring = "FailoverOptions (Password, User, ConfigureNode)";

    private static readonly HashSet<string> s_blocking = new(StringComparer.OrdinalIgnoreCase)
    {
        "BLPOP", "BRPOP", "BRPOPLPUSH", "BLMOVE", "BLMPOP", "BZPOPMIN", "BZPOPMAX", "BZMPOP",
    };

    private static readonly Dictionary<string, string> s_changing = new(StringComparer.OrdinalIgnoreCase)
    {
        ["SUBSCRIBE"] = Publishing,
        ["PSUBSCRIBE"] = Publishing,
        ["SSUBSCRIBE"] = Publishing,
        ["UNSUBSCRIBE"] = Publishing,
        ["PUNSUBSCRIBE"] = Publishing,
        ["SUNSUBSCRIBE"] = Publishing,
        ["MULTI"] = Transacting,
        ["EXEC"] = Transacting,
        ["DISCARD"] = Transacting,
        ["WATCH"] = Transacting,
        ["UNWATCH"] = Transacting,
        ["SELECT"] = "FailoverConnection.GetDatabase with its number",
        ["AUTH"] = Configuring,
        ["HELLO"] = Configuring,
        ["CLIENT SETNAME"] = Configuring,
        ["CLIENT REPLY"] = "CommandFlags.FireAndForget",
        ["CLIENT TRACKING"] = "a connection of your own",
        ["CLIENT CACHING"] = "a connection of your own",
        ["CLIENT NO-TOUCH"] = "a connection of your own",
        ["MONITOR"] = "a connection of your own",
        ["SYNC"] = "a connection of your own",
        ["PSYNC"] = "a connection of your own",
        ["QUIT"] = "FailoverConnection.DisposeAsync",
        ["RESET"] = "FailoverConnection.DisposeAsync",
    };

    private static readonly HashSet<string> s_deciding = new(StringComparer.OrdinalIgnoreCase) { "REPLICAOF", "SLAVEOF", "FAILOVER" };

    /// <summary>Arguments as <c>Execute</c> has them.</summary>
    public static IEnumerable<object> Words(ReadOnlyMemory<RedisKeyOrValue> arguments)
    {
        for (int i = 0; i < arguments.Length; i++)
        {
            yield return arguments.Span[i].ToString() ?? "";
        }
    }

    /// <exception cref="NotSupportedException">The command blocks the connection, or changes it or who is master.</exception>
    public static void Refuse(string command, IEnumerable<object>? arguments)
    {
        RefuseChange(command, arguments);
        if (s_blocking.Contains(command) || (IsStreamRead(command) && arguments is not null && Blocks(arguments)))
        {
            throw new NotSupportedException(
                $"{command} blocks the connection that all callers share; use a connection of your own for it, or poll.");
        }
    }

    /// <summary>What an application that wants another master is told: one made past the monitors would be a second.</summary>
    public static NotSupportedException Decides(string command)
        => new($"{command} changes who is master, which the monitors decide; use FailoverConnection.FailoverAsync.");

    /// <summary>For a transaction, in which nothing blocks.</summary>
    /// <exception cref="NotSupportedException">The command changes the connection, or who is master.</exception>
    public static void RefuseChange(string command, IEnumerable<object>? arguments)
    {
        if (s_deciding.Contains(command))
        {
            throw Decides(command.ToUpperInvariant());
        }

        string whole = command.Equals("CLIENT", StringComparison.OrdinalIgnoreCase) && arguments?.FirstOrDefault() is { } sub
            ? $"{command} {Text(sub)}" : command;
        if (s_changing.TryGetValue(whole, out string? instead))
        {
            throw new NotSupportedException($"{whole.ToUpperInvariant()} changes the connection that all callers share; use {instead}.");
        }
    }

    private static bool IsStreamRead(string command)
        => command.Equals("XREAD", StringComparison.OrdinalIgnoreCase) || command.Equals("XREADGROUP", StringComparison.OrdinalIgnoreCase);

    /// <summary>Whether BLOCK is among the options: groups, consumers and streams may bear that name.</summary>
    private static bool Blocks(IEnumerable<object> arguments)
    {
        using IEnumerator<object> words = arguments.GetEnumerator();
        while (words.MoveNext())
        {
            switch (Text(words.Current).ToUpperInvariant())
            {
                case "BLOCK":
                    return true;
                case "STREAMS":
                    return false;
                case "GROUP":
                    _ = words.MoveNext() && words.MoveNext();
                    break;
                case "COUNT":
                    _ = words.MoveNext();
                    break;
            }
        }

        return false;
    }

    private static string Text(object? word) => Convert.ToString(word, CultureInfo.InvariantCulture) ?? "";
}
