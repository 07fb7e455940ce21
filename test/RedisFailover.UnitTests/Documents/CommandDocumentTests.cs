using System.CommandLine;
using NUnit.Framework;
using RedisFailover.Cli;

namespace RedisFailover.UnitTests.Documents;

/// <summary>The tool's help, what the Tab key completes, and the documents name the same commands and options.</summary>
[TestFixture]
public sealed class CommandDocumentTests
{
    [Test]
    public void Every_command_and_option_stands_in_the_document()
    {
        string document = string.Join('\n', Document.Read(Path.Combine("docs", "operations.md")).Lines);
        (string Command, string[] Options)[] all = [.. Leaves(CommandLine.Root())
            .Select(c => (c.Name, c.Options.Where(o => o.Name is not ("--help" or "--version")).Select(o => o.Name).ToArray()))];
        Assert.That(all.Select(c => c.Command).Where(name => !document.Contains(name, StringComparison.Ordinal)), Is.Empty);
        Assert.That(all.SelectMany(c => c.Options).Distinct().Where(o => !document.Contains(o, StringComparison.Ordinal)), Is.Empty);
    }

    /// <summary>Lines that show what may be left out or chosen are no commands.</summary>
    [Test]
    public void Every_command_in_the_documents_is_one()
    {
        string[] shown =
        [
            .. Document.All.Where(d => d.Path != "CHANGELOG.md").SelectMany(d => d.Lines)
                .Where(line => line.StartsWith("redis-failover ", StringComparison.Ordinal)).Select(line => line.Split(" #")[0])
                .Where(line => line.IndexOfAny(['[', '|', '<']) < 0),
        ];
        Assert.That(shown, Has.Length.GreaterThan(20), "they are still found");
        Assert.That(
            shown.Select(line => (line, CommandLine.Root().Parse(line["redis-failover ".Length..]).Errors))
                .Where(c => c.Errors.Count > 0).Select(c => $"{c.line}: {c.Errors[0].Message}"),
            Is.Empty);
    }

    [Test]
    public void The_Tab_key_completes_what_the_help_shows() => Assert.Multiple(() =>
    {
        foreach (Command command in Leaves(CommandLine.Root()))
        {
            string line = string.Join(' ', command.Parents.OfType<Command>().TakeWhile(c => c is not RootCommand).Select(c => c.Name)
                .Append(command.Name));
            Assert.That(
                CommandLine.Root().Parse($"{line} --").GetCompletions().Select(c => c.Label),
                Is.SupersetOf(command.Options.Select(o => o.Name)), line);
        }

        Assert.That(CommandLine.Root().Parse("").GetCompletions().Select(c => c.Label),
            Is.SupersetOf(CommandLine.Root().Subcommands.Select(c => c.Name)).And.No.Member("/h"));
        Assert.That(
            CommandLine.Root().Parse("config get max-f").GetCompletions().Select(c => c.Label), Is.EqualTo(new[] { "max-failures" }));
    });

    private static IEnumerable<Command> Leaves(Command command)
        => command.Subcommands.Count == 0 ? [command] : command.Subcommands.SelectMany(Leaves);
}
