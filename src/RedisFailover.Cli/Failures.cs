using System.Collections.Immutable;
using System.CommandLine;
using System.CommandLine.Parsing;
using RedisFailover.Cli.Commands;

namespace RedisFailover.Cli;

/// <summary>
/// A command that ends without its own answer: one line for people on stderr, and for programs (<c>--json</c>, <c>--nagios</c>) their
/// document on stdout. There is one place for all commands, so that none can be silent.
/// </summary>
internal static class Failures
{
    /// <summary>What is wrong with the command line, in one line: the word that is wrong, not what is missing because of it.</summary>
    internal static string? Usage(ParseResult parsed)
    {
        Command command = parsed.CommandResult.Command;
        if (parsed.Errors.Count > 0 && command.Subcommands.Count > 0)
        {
            string allowed = string.Join(", ", command.Subcommands.SelectMany(c => c.Aliases.Prepend(c.Name)));
            return parsed.UnmatchedTokens is [var unknown, ..]
                ? $"'{unknown}' is no command; allowed: {allowed}." : $"a command is missing; allowed: {allowed}.";
        }

        OptionResult? repeated = parsed.CommandResult.Children.OfType<OptionResult>()
            .FirstOrDefault(o => o.IdentifierTokenCount > 1 && o.Option.Arity.MaximumNumberOfValues <= 1);
        return repeated is not null ? $"{repeated.Option.Name} is given {repeated.IdentifierTokenCount} times; allowed: once."
            : parsed.Errors.Count > 0 ? parsed.Errors[0].Message.ReplaceLineEndings(" ").Replace(" \t", " ", StringComparison.Ordinal)
            : null;
    }

    /// <summary>The first of these that stands there more than once; null where each does once.</summary>
    internal static string? Repeated(IEnumerable<string> given) => given.GroupBy(g => g).FirstOrDefault(g => g.Skip(1).Any())?.Key;

    /// <summary>Tells it; the exit code.</summary>
    internal static async Task<int> TellAsync(
        ParseResult parsed, ImmutableArray<string> arguments, TextWriter output, TextWriter errors, string message, int exitCode)
    {
        if (CheckCommand.IsPlugin(parsed))
        {
            await output.WriteLineAsync($"REDIS_FAILOVER UNKNOWN - {message.Replace('|', '/')}");
            return CheckCommand.Unknown;
        }

        await errors.WriteLineAsync($"redis-failover: {message}");
        try
        {
            await output.WriteAsync(
                arguments.Contains("--json") ? Json(parsed.CommandResult.Command, message, exitCode) + output.NewLine : "");
        }
        catch (IOException)
        {
            // That stdout cannot be written to may be what was told.
        }

        return exitCode;
    }

    private static string Json(Command command, string reason, int exitCode)
    {
        string outcome = exitCode == ExitCodes.Refused ? "refused" : "failed";
        return command.Name is "switchover" or "failover"
            ? SwitchoverCommand.Json(outcome, reason) : ChangeRequest.Json(outcome, reason, ChangeRequest.Operator);
    }
}
