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
    [TestCase("failover --zk h:1 --timeout 2m", "--timeout is '2m'; allowed: a time from 100ms to 60s")]
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
