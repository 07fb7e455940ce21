using NUnit.Framework;
using RedisFailover.IntegrationTests.Harness;

namespace RedisFailover.IntegrationTests.Cases;

/// <summary>The master is lost, and somebody has everything: nothing may wait for a person.</summary>
[TestFixture]
[Parallelizable(ParallelScope.All)]
public sealed class LostWithEverythingThereTests
{
    private static readonly ClusterOptions AppendOnly
        = Told.Calm() with { RedisOptions = new RedisServerOptions { Persistence = RedisPersistence.AppendOnlyFile } };

    [TestCase("DEL", "job")]
    [TestCase("FLUSHALL")]
    [TestCase("PEXPIRE", "job", "1")]
    public async Task A_queue_that_was_just_emptied_is_failed_over_like_any_other(params string[] emptied)
    {
        await using Cluster cluster = await Cluster.StartAsync(Told.Calm());
        NodeAddress master = (await cluster.WaitUntilWholeAsync()).Master!;
        await using RedisWire wire = await cluster.Redis[0].ConnectAsync();
        await wire.CommandAsync(["SET", "job", "1"]);
        // The monitors have counted one key.
        await cluster.WaitUntilWouldWorkAsync();
        await Task.Delay(1600);

        await wire.CommandAsync([.. emptied]);
        Assert.That((await wire.CommandAsync(["WAIT", "2", "5000"])).Text, Is.EqualTo("2"));
        cluster.Redis[0].Kill();

        Topology after = await cluster.WaitForOtherMasterAsync(master);
        Assert.That(await cluster.Node(after.Master!).TakesWritesAsync(), Is.True);
    }

    [Test]
    public async Task When_all_come_back_from_their_files_as_replicas_of_each_other_the_last_master_with_data_goes_on()
    {
        await using Cluster cluster = await Cluster.StartAsync(AppendOnly);
        await cluster.WaitUntilWholeAsync();
        await cluster.SetDataAsync();
        await cluster.WaitUntilWouldWorkAsync();
        Topology before = await cluster.TopologyAsync();
        await RestartAllAsync(cluster, i => cluster.Redis[(i + 1) % 3].Address);

        Topology after = await WaitForMasterAsync(cluster, before);
        Assert.That(after.Master, Is.EqualTo(before.Master), cluster.Explain());
        await cluster.WaitForDataEverywhereAsync();
        Assert.That(await cluster.Node(after.Master!).TakesWritesAsync(), Is.True);
    }

    [Test]
    public async Task A_cache_without_persistence_goes_on_at_once_with_the_first_when_all_were_restarted()
    {
        await using Cluster cluster = await Cluster.StartAsync(Told.Calm());
        await cluster.WaitUntilWholeAsync();
        await cluster.SetDataAsync();
        await cluster.WaitUntilWouldWorkAsync();
        Topology before = await cluster.TopologyAsync();
        await RestartAllAsync(cluster, i => i == 0 ? null : cluster.Redis[0].Address);

        Topology after = await WaitForMasterAsync(cluster, before);
        Assert.That(await cluster.Node(after.Master!).TakesWritesAsync(), Is.True);
    }

    [Test]
    public async Task Where_all_lost_what_they_should_have_kept_an_operator_decides()
    {
        await using Cluster cluster = await Cluster.StartAsync(AppendOnly);
        await cluster.WaitUntilWholeAsync();
        await cluster.SetDataAsync();
        await cluster.WaitUntilWouldWorkAsync();
        foreach (RedisServer redis in cluster.Redis)
        {
            redis.Kill();
        }

        // A master that is back before its loss is seen goes on, as nobody has more.
        await cluster.WaitForAsync("The loss is seen", topology => topology.Master is null);
        await Task.WhenAll(cluster.Redis.Select(redis => redis.RestartEmptyAsync()));
        Word word = await cluster.WaitUntilCriticalAsync();
        Assert.That(word.WouldWork, Is.False, word.Text);
        Assert.That((await cluster.TopologyAsync()).Master, Is.Null, cluster.Explain());
        CliResult forced =
            await CliProcess.RunAsync(["switchover", cluster.Redis[0].Address.ToString(), "--force", "--zk", cluster.ConnectionString]);
        Assert.That(forced.ExitCode, Is.Zero, $"{forced}\n{cluster.Explain()}");
        await cluster.WaitUntilWholeAsync();
    }

    /// <summary>All are restarted faster than anybody notices: the topology of before still stands then.</summary>
    private static Task<Topology> WaitForMasterAsync(Cluster cluster, Topology before)
        => cluster.WaitForAsync("There is a master again, restarted", topology
            => topology.State == TopologyState.Ok && topology.Replicas.Length == 2
                && topology.Identity?.RunId != before.Identity?.RunId);

    /// <summary>In one blow, each with what its file says then.</summary>
    private static async Task RestartAllAsync(Cluster cluster, Func<int, NodeAddress?> follows)
    {
        foreach (RedisServer redis in cluster.Redis)
        {
            redis.Kill();
        }

        foreach ((RedisServer redis, int i) in cluster.Redis.Select((redis, i) => (redis, i)))
        {
            await redis.Process.WaitForExitAsync();
            redis.SetInFile("replicaof", follows(i) is { } master ? $"{master.Host} {master.Port}" : null);
        }

        await Task.WhenAll(cluster.Redis.Select(redis => redis.RestartAsync()));
    }
}
