using System.CommandLine;
using RedisFailover.Cli.Commands;
using RedisFailover.ZooKeeper;

namespace RedisFailover.Cli;

/// <summary>The tool from its arguments to its exit code.</summary>
internal static class CommandLine
{
    internal const int Done = ExitCodes.Done;
    internal const int Failed = ExitCodes.Failed;
    internal const int WrongUsage = ExitCodes.WrongUsage;
    internal const int Refused = ExitCodes.Refused;
    internal const int Undone = ExitCodes.Undone;

    internal static RootCommand Root() => new($"Looks at a Redis failover cluster, and asks it for another master. {ExitCodes.Text}")
    {
        StatusCommand.Create(),
        WatchCommand.Create(),
        CheckCommand.Create(),
        SwitchoverCommand.Create(),
        SwitchoverCommand.CreateFailover(),
        ConfigCommand.Create(),
        PauseCommand.Create(),
        PauseCommand.CreateResume(),
        HistoryCommand.Create(),
        NodesCommand.Create(),
        MonitorsCommand.Create(),
        RequestsCommand.Create(),
        ClustersCommand.Create(),
        LoadCommand.Create(),
        CompletionCommand.Create(),
    };

    internal static async Task<int> RunAsync(string[] args, TextWriter output, TextWriter errors, CancellationToken ct)
    {
        RootCommand root = Root();
        // @FILE is a value of --zk here, not more of the command line.
        ParseResult parsed = root.Parse(args, new ParserConfiguration { ResponseFileTokenReplacer = null });
        if (parsed.Errors.Count > 0)
        {
            await errors.WriteLineAsync($"redis-failover: {Problem(parsed)} (redis-failover --help)");
            return CheckCommand.IsPlugin(parsed) ? CheckCommand.Unknown : WrongUsage;
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
        catch (ZooKeeperException e)
        {
            await errors.WriteLineAsync($"redis-failover: ZooKeeper: {e.Message}");
            return Failed;
        }
        catch (OperationCanceledException) when (ct.IsCancellationRequested)
        {
            return Failed;
        }
    }

    /// <summary>What is wrong, in one line: the word that is wrong, not what is missing because of it.</summary>
    private static string Problem(ParseResult parsed)
    {
        Command command = parsed.CommandResult.Command;
        if (command.Subcommands.Count == 0)
        {
            return parsed.Errors[0].Message.ReplaceLineEndings(" ").Replace(" \t", " ", StringComparison.Ordinal);
        }

        string allowed = string.Join(", ", command.Subcommands.SelectMany(c => c.Aliases.Prepend(c.Name)));
        return parsed.UnmatchedTokens is [var unknown, ..]
            ? $"'{unknown}' is no command; allowed: {allowed}." : $"a command is missing; allowed: {allowed}.";
    }
}

/// <summary>The command cannot go on: one line for stderr, and the exit code.</summary>
internal sealed class CliException(string message, int exitCode = CommandLine.Failed, Exception? inner = null) : Exception(message, inner)
{
    internal int ExitCode => exitCode;
}
