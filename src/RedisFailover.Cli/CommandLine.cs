using System.CommandLine;
using RedisFailover.Cli.Commands;

namespace RedisFailover.Cli;

/// <summary>The tool from its arguments to its exit code: 0 done, 1 failed, 2 used wrongly; of a switchover (failover) also 3 refused, 4 undone.</summary>
internal static class CommandLine
{
    internal const int Done = 0;
    internal const int Failed = 1;
    internal const int WrongUsage = 2;
    internal const int Refused = 3;
    internal const int Undone = 4;

    internal static RootCommand Root() => new("Looks at a Redis failover cluster, and asks it for another master.")
    {
        StatusCommand.Create(),
        WatchCommand.Create(),
        SwitchoverCommand.Create(),
        LoadCommand.Create(),
    };

    internal static async Task<int> RunAsync(string[] args, TextWriter output, TextWriter errors, CancellationToken ct)
    {
        RootCommand root = Root();
        ParseResult parsed = root.Parse(args);
        if (parsed.Errors.Count > 0)
        {
            // The word that is wrong, not what is missing because of it.
            string problem = parsed.CommandResult.Command == root && parsed.UnmatchedTokens is [var unknown, ..]
                ? $"'{unknown}' is no command; allowed: {string.Join(", ", root.Subcommands.SelectMany(c => c.Aliases.Prepend(c.Name)))}."
                : parsed.Errors[0].Message;
            await errors.WriteLineAsync($"redis-failover: {problem} (redis-failover --help)");
            return WrongUsage;
        }

        InvocationConfiguration invocation = new()
        {
            Output = output,
            Error = errors,
            EnableDefaultExceptionHandler = false,
            // Program listens to the signals itself.
            ProcessTerminationTimeout = null,
        };
        try
        {
            return await parsed.InvokeAsync(invocation, ct);
        }
        catch (CliException e)
        {
            await errors.WriteLineAsync($"redis-failover: {e.Message}");
            return e.ExitCode;
        }
        catch (OperationCanceledException) when (ct.IsCancellationRequested)
        {
            return Failed;
        }
    }
}

/// <summary>The command cannot go on: one line for stderr, and the exit code.</summary>
internal sealed class CliException(string message, int exitCode = CommandLine.Failed, Exception? inner = null) : Exception(message, inner)
{
    internal int ExitCode => exitCode;
}
