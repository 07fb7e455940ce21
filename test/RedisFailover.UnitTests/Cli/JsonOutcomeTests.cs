using System.CommandLine;
using System.Text.Json;
using NUnit.Framework;
using RedisFailover.Cli;

namespace RedisFailover.UnitTests.Cli;

/// <summary>Every command with <c>--json</c> prints a document, also where it fails: a program must not have to read stderr.</summary>
[TestFixture]
public sealed class JsonOutcomeTests
{
    /// <summary>What each command needs beside its options.</summary>
    private static readonly Dictionary<string, string> Needed = new(StringComparer.Ordinal)
    {
        ["config get"] = "max-lag",
        ["config set"] = "max-lag=1",
        ["nodes add"] = "a:1",
        ["nodes remove"] = "a:1",
        ["nodes tag"] = "a:1 never-read",
        ["nodes adopt"] = "a:1 --discard-its-data",
        ["monitors forget"] = "m1",
        ["requests withdraw"] = "request-1",
        ["clusters add"] = "orders --nodes a:1",
        ["clusters remove"] = "orders",
    };

    private static IEnumerable<string> Commands() => Leaves(CommandLine.Root(), "")
        .Where(c => c.Command.Options.Any(o => o.Name == "--json")).Select(c => c.Name);

    [TestCaseSource(nameof(Commands))]
    public async Task Wrong_usage_is_told_as_JSON_too(string command)
        => Told(await RunAsync($"{command} {Needed.GetValueOrDefault(command)} --json --zk 127.0.0.1:1 --bogus"), command, 2, "'--bogus'");

    [TestCaseSource(nameof(Commands))]
    public async Task An_error_is_told_as_JSON_too(string command)
        => Told(await RunAsync($"{command} {Needed.GetValueOrDefault(command)} --json --zk 127.0.0.1:1"), command, 1,
            "ZooKeeper cannot be reached: 127.0.0.1:1: connection refused");

    [TestCaseSource(nameof(Commands))]
    public async Task Without_it_nothing_is_on_stdout_where_a_command_fails(string command)
    {
        (int exitCode, string output, string errors) =
            await RunAsync($"{command} {Needed.GetValueOrDefault(command)} --zk 127.0.0.1:1");
        Assert.That((exitCode, output), Is.EqualTo((1, "")));
        Assert.That(errors.TrimEnd('\n').Split('\n'), Has.Length.EqualTo(1), errors);
    }

    [Test]
    public void Every_command_but_completion_takes_it()
        => Assert.That(Leaves(CommandLine.Root(), "").Select(c => c.Name).Except(Commands()), Is.EqualTo(new[] { "completion" }));

    [TestCase("--nagios --json --zk 127.0.0.1:1", "--nagios and --json are given; allowed: one of them.")]
    [TestCase("--nagios --zk 127.0.0.1:1", "ZooKeeper cannot be reached: 127.0.0.1:1: connection refused")]
    [TestCase("--nagios --bogus", "'--bogus'")]
    public async Task A_plugin_is_told_on_stdout_alone(string options, string expected)
    {
        (int exitCode, string output, string errors) = await RunAsync("check " + options);
        Assert.That((exitCode, errors), Is.EqualTo((3, "")));
        Assert.That(output, Does.StartWith("REDIS_FAILOVER UNKNOWN - ").And.Contain(expected));
    }

    private static void Told((int ExitCode, string Output, string Errors) result, string command, int exitCode, string reason)
    {
        Assert.That(result.ExitCode, Is.EqualTo(exitCode), result.Errors);
        using JsonDocument document = JsonDocument.Parse(result.Output);
        Assert.That(document.RootElement.GetProperty("outcome").GetString(), Is.EqualTo("failed"));
        Assert.That(document.RootElement.GetProperty("reason").GetString(), Does.Contain(reason));
        string[] names = [.. document.RootElement.EnumerateObject().Select(p => p.Name)];
        Assert.That(names, Is.EqualTo(command is "switchover" or "failover"
            ? new[] { "outcome", "reason", "from", "master", "epoch", "bytesBehind", "millis" } : new[] { "outcome", "reason", "by" }));
        Assert.That(result.Output.TrimEnd('\n'), Does.Not.Contain('\n'), "watch and load print a document a line");
    }

    private static async Task<(int ExitCode, string Output, string Errors)> RunAsync(string arguments)
    {
        using StringWriter output = new() { NewLine = "\n" };
        using StringWriter errors = new() { NewLine = "\n" };
        int exitCode = await CommandLine.RunAsync(
            arguments.Split(' ', StringSplitOptions.RemoveEmptyEntries), output, errors, CancellationToken.None);
        return (exitCode, output.ToString(), errors.ToString());
    }

    private static IEnumerable<(string Name, Command Command)> Leaves(Command command, string above)
        => command.Subcommands.Count == 0 ? [(above, command)]
            : command.Subcommands.SelectMany(c => Leaves(c, $"{above} {c.Name}".Trim()));
}
