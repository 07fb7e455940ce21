using System.Collections.Immutable;
using NUnit.Framework;
using RedisFailover.IntegrationTests.Harness;

namespace RedisFailover.IntegrationTests.Failover;

[TestFixture]
[Parallelizable(ParallelScope.All)]
public sealed class StartTests
{
    [Test]
    public async Task Monitors_that_start_without_ZooKeeper_wait_for_it_and_say_so_once()
    {
        await using Cluster cluster = await Cluster.StartAsync(new ClusterOptions { Monitors = 0, OwnZooKeeper = true });
        await cluster.ZooKeeper.Servers[0].KillAsync();
        MonitorProcess monitor = await cluster.StartMonitorAsync();
        await monitor.Process.WaitForLineAsync(Says("ZooKeeper cannot be reached"));
        await cluster.ZooKeeper.Servers[0].StartAsync();
        Topology topology = await cluster.WaitUntilWholeAsync();
        Assert.That(topology.Master, Is.EqualTo(cluster.Redis[0].Address));
        // Once for each reason: a server that is just starting may accept a connection and close it.
        Assert.That(
            monitor.Process.Log.Count(line => Says("ZooKeeper cannot be reached")(line) && Says("Connection refused")(line)), Is.EqualTo(1),
                monitor.Process.Tail());
    }

    [Test]
    public async Task Monitors_that_start_without_any_Redis_wait_for_it_and_say_so_once()
    {
        await using Cluster cluster = await Cluster.StartAsync(new ClusterOptions { Monitors = 0 });
        foreach (RedisServer redis in cluster.Redis)
        {
            await redis.KillAsync();
        }

        MonitorProcess monitor = await cluster.StartMonitorAsync();
        foreach (RedisServer redis in cluster.Redis)
        {
            await monitor.Process.WaitForLineAsync(Says($"{redis.Address} is unavailable"));
        }

        foreach (RedisServer redis in cluster.Redis)
        {
            await redis.RestartAsync();
        }

        await cluster.WaitUntilWholeAsync();
        foreach (RedisServer redis in cluster.Redis)
        {
            // Once as what this monitor sees, and in the leader's log as a problem, where it lasts.
            int said = monitor.Process.Log.Where(line => !line.Contains("PROBLEM", StringComparison.Ordinal))
                .Count(Says($"{redis.Address} is unavailable"));
            Assert.That(said, Is.EqualTo(1), monitor.Process.Tail());
        }
    }

    [Test]
    public async Task Nodes_with_a_password_are_watched_and_failed_over_and_the_password_is_never_logged()
    {
        await using Cluster cluster = await Cluster.StartAsync(
                new ClusterOptions { Monitors = 1, RedisOptions = new RedisServerOptions { Password = "s3cret-word" } });
        Topology before = await cluster.WaitUntilWholeAsync();
        await cluster.Redis[0].KillAsync();
        await cluster.WaitForAsync("A replica is master", topology
            => topology.State == TopologyState.Ok && topology.Master != before.Master);
        await cluster.Redis[0].RestartAsync();
        await cluster.WaitUntilWholeAsync();
        Assert.That(cluster.Monitors[0].Process.Log, Has.None.Contains("s3cret-word"));
    }

    [Test]
    public async Task The_example_settings_are_accepted_and_the_command_line_wins_over_them()
    {
        string example = Path.Combine(Programs.RepositoryRoot, "config", "monitor.json");
        string http = $"http://127.0.0.1:{FreePorts.Next()}";
        await using MonitorProcess monitor = await MonitorProcess.StartAsync(
            new MonitorOptions { Id = "example", Nodes = [new NodeAddress("127.0.0.1", FreePorts.Next())],
                More = ["--config", example, "--http", http] });
        string started = await monitor.Process.WaitForLineAsync(Says("monitor example"));
        Assert.That(started, Does.Contain($"nodes {monitor.Options.Nodes[0]}; ZooKeeper zk1:2181,zk2:2181,zk3:2181"));
        Assert.That(await monitor.TerminateAsync(), Is.Zero, monitor.Process.Tail());
    }

    [TestCase("--zkservers 127.0.0.1:1", "--nodes is missing")]
    [TestCase("--nodes 127.0.0.1:1", "--zkservers is missing")]
    [TestCase("--nodes here --zkservers 127.0.0.1:1", "--nodes")]
    [TestCase("--nodes 127.0.0.1:1 --zkservers 127.0.0.1:1 --max-failures none", "--max-failures")]
    [TestCase("--nodes 127.0.0.1:1 --zkservers 127.0.0.1:1 --node-strategy guess", "--node-strategy")]
    [TestCase("--nodes 127.0.0.1:1 --zkservers 127.0.0.1:1 --bogus", "--bogus")]
    public async Task A_missing_or_wrong_option_ends_with_2_and_one_line_that_names_it(string arguments, string expected)
    {
        ImmutableArray<string> words = [.. arguments.Split(' ')];
        await using MonitorProcess monitor = await MonitorProcess.StartAsync(new MonitorOptions { More = words });
        Assert.That(await monitor.Process.WaitForExitAsync(), Is.EqualTo(2), monitor.Process.Tail());
        Assert.That(monitor.Process.Errors, Has.Length.EqualTo(1), monitor.Process.Tail());
        Assert.That(monitor.Process.Errors[0], Does.Contain(expected));
        Assert.That(monitor.Process.Output, Is.Empty);
    }

    private static Func<string, bool> Says(string text) => line => line.Contains(text, StringComparison.Ordinal);
}
