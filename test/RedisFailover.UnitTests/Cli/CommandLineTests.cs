using System.CommandLine;
using NUnit.Framework;
using RedisFailover.Cli;
using RedisFailover.Cli.Cluster;
using RedisFailover.ZooKeeper;

namespace RedisFailover.UnitTests.Cli;

[TestFixture]
public sealed class CommandLineTests
{
    [TestCase("status --bogus", "'--bogus'")]
    [TestCase("load --zk h:1 --rate fast", "--rate is 'fast'; allowed: a number from")]
    [TestCase("load --zk h:1 --rate 0", "--rate is '0'; allowed: a number from")]
    [TestCase("status --zk h:1,:", "--zk: ':'")]
    [TestCase("failover --zk 127.0.0.1:1 nowhere", "'nowhere' is not a node address")]
    [TestCase("status --zk h:1/x/", "'/x/' of the ZooKeeper connection string 'h:1/x/' is wrong: it must not end with /.")]
    [TestCase("switchover --zk 127.0.0.1:1 nowhere", "'nowhere' is not a node address")]
    [TestCase("failover --zk h:1 --timeout 2m", "--timeout is '2m'; allowed: a time from 100ms to 60s, such as 500ms, 2s or 1m.")]
    [TestCase("failover --zk h:1 --wait 3h", "--wait is '3h'; allowed: a time from 100ms to 3600s, such as 500ms, 2s or 1m.")]
    [TestCase("status --zk h:1 --timeout 0", "--timeout is '0'; allowed: a time from 100ms")]
    [TestCase("load --zk h:1 --duration -1", "--duration is '-1'; allowed: a time from 100ms")]
    [TestCase("load --zk h:1 --gap 2d", "--gap is '2d'; allowed: a time from 1ms to 60s")]
    [TestCase("bogus", "'bogus' is no command; allowed: status, watch,")]
    [TestCase("bogus --zk h:1", "'bogus' is no command; allowed: status, watch,")]
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

    [TestCase("500ms", 500)]
    [TestCase("2s", 2000)]
    [TestCase("1.5s", 1500)]
    [TestCase("1m", 60_000)]
    [TestCase("3", 3000)]
    public void Every_time_is_given_in_the_same_forms(string text, double millis)
    {
        foreach (string option in (string[])["switchover --wait", "switchover --timeout", "status --timeout", "watch --timeout", "load --timeout", "load --duration"])
        {
            string[] words = option.Split(' ');
            ParseResult parsed = CommandLine.Root().Parse([words[0], "--zk", "h:1", words[1], text]);
            Assert.That(parsed.Errors, Is.Empty, option);
            Assert.That(parsed.GetValue<TimeSpan?>(words[1]), Is.EqualTo(TimeSpan.FromMilliseconds(millis)), option);
        }

        // A bare number of this one has always been milliseconds.
        bool bare = text == "3";
        Assert.That(CommandLine.Root().Parse(["load", "--gap", text]).GetValue<TimeSpan?>("--gap"), Is.EqualTo(TimeSpan.FromMilliseconds(bare ? 3 : millis)));
    }

    [Test]
    public async Task Silence_of_ZooKeeper_is_told_after_a_second_and_not_before()
    {
        ZooKeeperConnectionString connection = ZooKeeperConnectionString.Parse("zk1:1,zk2:2/x");
        using StringWriter errors = new();
        Assert.That(await ClusterReader.NotSilentAsync(Task.FromResult(1), connection, errors), Is.EqualTo(1));
        Assert.That(errors.ToString(), Is.Empty);

        TaskCompletionSource<int> late = new();
        Task<int> waiting = ClusterReader.NotSilentAsync(late.Task, connection, errors);
        while (errors.ToString().Length == 0)
        {
            Assert.That(waiting.IsCompleted, Is.False);
            await Task.Delay(10);
        }

        late.SetResult(2);
        Assert.That(await waiting, Is.EqualTo(2));
        Assert.That(errors.ToString(), Is.EqualTo($"redis-failover: waiting for ZooKeeper at zk1:1,zk2:2{Environment.NewLine}"));
    }

    [Test]
    public async Task The_help_of_failover_shows_its_target_as_optional()
    {
        using StringWriter output = new();
        await CommandLine.RunAsync(["failover", "--help"], output, TextWriter.Null, CancellationToken.None);
        Assert.That(output.ToString(), Does.Contain("[<host:port>]"));
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
