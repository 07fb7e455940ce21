using NUnit.Framework;
using RedisFailover.Cli;

namespace RedisFailover.UnitTests.Cli;

[TestFixture]
public sealed class CommandLineTests
{
    [TestCase("status --bogus", "'--bogus'")]
    [TestCase("load --zk h:1 --rate fast", "--rate is 'fast'; allowed: a number from")]
    [TestCase("load --zk h:1 --rate 0", "--rate is '0'; allowed: a number from")]
    [TestCase("status --zk h:1,:", "--zk: ':'")]
    [TestCase("failover --zk 127.0.0.1:1 nowhere", "'nowhere' is not a node address")]
    [TestCase("", "Required command")]
    public async Task Wrong_usage_is_told_in_one_line_with_exit_code_2(string arguments, string expected)
    {
        using StringWriter output = new();
        using StringWriter errors = new();
        int exitCode = await CommandLine.RunAsync(arguments.Split(' ', StringSplitOptions.RemoveEmptyEntries), output, errors, CancellationToken.None);
        Assert.That(exitCode, Is.EqualTo(2));
        Assert.That(errors.ToString(), Does.Contain(expected));
        Assert.That(errors.ToString().TrimEnd('\n').Split('\n'), Has.Length.EqualTo(1));
    }

    [Test]
    public async Task Help_goes_to_stdout_with_exit_code_0()
    {
        using StringWriter output = new();
        using StringWriter errors = new();
        int exitCode = await CommandLine.RunAsync(["load", "--help"], output, errors, CancellationToken.None);
        Assert.That(exitCode, Is.Zero);
        Assert.That(output.ToString(), Does.Contain("--rate"));
        Assert.That(errors.ToString(), Is.Empty);
    }
}
