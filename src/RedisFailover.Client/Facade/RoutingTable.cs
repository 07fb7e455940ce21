using System.Collections.Frozen;

namespace RedisFailover.Client;

/// <summary>What a command does, and so where it may go.</summary>
internal enum CommandClass
{
    /// <summary>Changes something, or must see the latest: the master.</summary>
    Write,

    /// <summary>Reads: as <see cref="ReadFrom"/> says.</summary>
    Read,

    /// <summary>Depends on no key: any node, chosen as for a read.</summary>
    Either,
}

/// <summary>routing.txt at run time: for Execute, which is given a command, and for the tests.</summary>
internal static partial class RoutingTable
{
    private static readonly FrozenDictionary<string, CommandClass> s_commands = Rows()
        .Where(row => row.Class != CommandClass.Write)
        .SelectMany(row => row.Commands.Select(command => (command, row.Class)))
        .DistinctBy(pair => pair.command)
        .ToFrozenDictionary(pair => pair.command, pair => pair.Class, StringComparer.OrdinalIgnoreCase);

    /// <summary>The rows of the table, in its order. The oldest StackExchange.Redis that the client compiles against lacks the later members.</summary>
    public static IReadOnlyList<(CommandClass Class, string Member, bool IsLater, string[] Commands)> All { get; } = Rows();

    /// <summary>The class of a Redis command; what is not listed writes.</summary>
    public static CommandClass Of(string command) => s_commands.GetValueOrDefault(command, CommandClass.Write);

    private static partial (CommandClass Class, string Member, bool IsLater, string[] Commands)[] Rows();
}
