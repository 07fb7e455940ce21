using System.CommandLine;
using System.CommandLine.Help;
using RedisFailover.Cli.Cluster;
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

    internal static RootCommand Root()
    {
        RootCommand root = Commands();
        // Those of another system: here /h is a path, and the Tab key would offer it.
        foreach (HelpOption help in root.Options.OfType<HelpOption>())
        {
            help.Aliases.Remove("/h");
            help.Aliases.Remove("/?");
        }

        return root;
    }

    private static RootCommand Commands() => new($"Looks at a Redis failover cluster, and asks it for another master. {ExitCodes.Text}")
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
        if (Failures.Usage(parsed) is { } wrong)
        {
            return await FailAsync($"{wrong} (redis-failover --help)", WrongUsage);
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
            return await FailAsync(e.Message, e.ExitCode);
        }
        catch (ZooKeeperException e) when (e.Code == ZooKeeperErrorCode.NoAuth)
        {
            return await FailAsync(
                $"ZooKeeper refuses the right to it ({e.Message}): give user:password in the file that "
                    + $"{ZooKeeperAccess.Variables[0]} names (monitors: --zk-readers).",
                Refused);
        }
        catch (ZooKeeperException e)
        {
            return await FailAsync($"ZooKeeper: {e.Message}", Failed);
        }
        catch (OperationCanceledException) when (ct.IsCancellationRequested)
        {
            return await FailAsync("interrupted", Failed);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return await FailAsync(e.Message, Failed);
        }

        Task<int> FailAsync(string message, int exitCode)
            => Failures.TellAsync(parsed, [.. args], output, errors, message, exitCode);
    }
}

/// <summary>The command cannot go on: one line for stderr, and the exit code.</summary>
internal sealed class CliException(string message, int exitCode = CommandLine.Failed, Exception? inner = null) : Exception(message, inner)
{
    internal int ExitCode => exitCode;
}
