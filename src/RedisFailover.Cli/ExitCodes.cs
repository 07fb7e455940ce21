using System.Collections.Immutable;

namespace RedisFailover.Cli;

/// <summary>One table of exit codes for all commands; docs/operations.md has it too, and a test compares the two.</summary>
internal static class ExitCodes
{
    internal const int Done = 0;
    internal const int Failed = 1;
    internal const int WrongUsage = 2;
    internal const int Refused = 3;
    internal const int Undone = 4;

    /// <summary>What each means, in the words of the help.</summary>
    internal static ImmutableArray<(int Code, string Meaning)> All { get; } =
    [
        (Done, "done; status: there is a master; check: a failover would work now, and there is no problem"),
        (Failed,
            "no answer in time; status: no master; check: a problem, or no failover possible; config get: not changed; "
                + "load: writes lost, or none acknowledged"),
        (WrongUsage, "wrong usage"),
        (Refused, "refused: what was asked for was not done"),
        (Undone, "begun and rolled back: the master has not changed"),
    ];

    /// <summary>In one line, for the help.</summary>
    internal static string Text => "Exit codes: " + string.Join(". ", All.Select(c => $"{c.Code} {c.Meaning}")) + ".";
}
