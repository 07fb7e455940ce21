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

    /// <summary>Its caller says that it reads, and it may write: a script, or a command that is not listed.</summary>
    Unsure,
}

/// <summary>routing.txt at run time: for Execute, which is given a command, and for the tests.</summary>
internal static partial class RoutingTable
{
    private static readonly FrozenDictionary<string, CommandClass> s_commands = Rows()
        .Where(row => row.Class != CommandClass.Write)
        .SelectMany(row => row.Commands.Select(command => (command, row.Class)))
        .DistinctBy(pair => pair.command)
        .ToFrozenDictionary(pair => pair.command, pair => pair.Class, StringComparer.OrdinalIgnoreCase);

    // EVAL and EVALSHA are listed for their members' sake: what a script does the table cannot know.
    private static readonly FrozenSet<string> s_writes = Rows()
        .Where(row => row.Class == CommandClass.Write && row.Member != "ScriptEvaluate")
        .SelectMany(row => row.Commands)
        .Where(command => !s_commands.ContainsKey(command))
        .ToFrozenSet(StringComparer.OrdinalIgnoreCase);

    /// <summary>The rows of the table, in its order.</summary>
    public static IReadOnlyList<(CommandClass Class, string Member, string[] Commands)> All { get; } = Rows();

    /// <summary>The class of a Redis command; what is not listed writes.</summary>
    public static CommandClass Of(string command) => s_commands.GetValueOrDefault(command, CommandClass.Write);

    /// <summary>Whether it is known to write, or to belong to the master; false for what is not listed, and for scripts.</summary>
    public static bool IsKnownWrite(string command) => s_writes.Contains(command);

    private static partial (CommandClass Class, string Member, string[] Commands)[] Rows();
}
