using NUnit.Framework;
using RedisFailover.IntegrationTests.Harness;

namespace RedisFailover.IntegrationTests.Cases;

/// <summary>Replication that is broken is told, and nobody reads what is old.</summary>
[TestFixture]
[Parallelizable(ParallelScope.All)]
public sealed class BrokenReplicationTests
{
    [Test]
    public async Task Replicas_without_a_link_are_told_and_not_offered_for_reads_once_they_are_stale()
    {
        ClusterOptions options = Told.Calm("--max-replica-staleness", "2000") with
        {
            Monitors = 1, Proxies = true,
                RedisOptions = new RedisServerOptions { ConfLines = ["repl-timeout 2", "repl-ping-replica-period 1"] },
        };
        await using Cluster cluster = await Cluster.StartAsync(options);
        Topology before = await cluster.WaitUntilWholeAsync();
        // Not empty ones: these are not read from at once, as the master is not empty.
        await cluster.SetDataAsync();
        foreach (RedisServer replica in cluster.Redis.Skip(1))
        {
            cluster.Proxies[0].CutOff(replica.Process.Pid);
        }

        await cluster.Redis[0].CommandAsync("SET", "k", "what the replicas lack");
        await cluster.WaitUntilToldAsync("replica-stale", cluster.Addresses[1]);
        Topology without =
            await cluster.WaitForAsync("They are not offered", topology => topology.Replicas.IsEmpty, TimeSpan.FromSeconds(15));
        Assert.That((without.Master, without.Epoch, without.State), Is.EqualTo((before.Master, before.Epoch, TopologyState.Ok)),
            cluster.Explain());
        foreach (RedisServer replica in cluster.Redis.Skip(1))
        {
            cluster.Proxies[0].Reconnect(replica.Process.Pid);
        }

        await cluster.WaitUntilWholeAsync();
        await cluster.WaitUntilNotToldAsync("replica-stale");
        await cluster.WaitUntilNotToldAsync("replica-link-down");
    }

    [TestCase(true)]
    [TestCase(false)]
    public async Task A_replica_that_refuses_a_part_of_the_stream_is_told_and_a_sound_one_takes_over(bool hasFewerDatabases)
    {
        Needs.Redis("7.0", "unexpected_error_replies");
        await using Cluster cluster = await Cluster.StartAsync(Told.Calm() with { Monitors = 1 });
        NodeAddress master = (await cluster.WaitUntilWholeAsync()).Master!;
        await cluster.SetDataAsync();
        RedisServer refusing = cluster.Redis[1];
        RedisServer sound = cluster.Redis[2];
        await sound.CommandAsync("CONFIG", "SET", "replica-priority", "200");
        if (hasFewerDatabases)
        {
            refusing.SetInFile("databases", "4");
            await refusing.KillAsync();
            await refusing.RestartAsync();
        }
        else
        {
            // It has another type there than the master.
            await refusing.CommandAsync("CONFIG", "SET", "replica-read-only", "no");
            await refusing.CommandAsync("SET", "hash", "no hash");
            await refusing.CommandAsync("CONFIG", "SET", "replica-read-only", "yes");
            await cluster.Redis[0].CommandAsync("HSET", "hash", "field", "value");
        }

        Problem told = await cluster.WaitUntilToldAsync("replica-diverges", refusing.Address);
        Assert.That(told.Message, Does.Contain(hasFewerDatabases ? "4 databases" : "unexpected_error_replies: 1"));
        Word word = await cluster.WaitUntilWouldWorkAsync();
        Assert.That(word.Tells("replica-diverges", sound.Address.ToString()), Is.False, word.Text);
        CliResult refused = await CliProcess.RunAsync(
            ["switchover", refusing.Address.ToString(), "--zk", cluster.ConnectionString, "--wait", "10"]);
        Assert.That(refused.ExitCode, Is.EqualTo(3), refused.ToString());
        cluster.Node(master).Kill();
        Topology after = await cluster.WaitForOtherMasterAsync(master);
        Assert.That(after.Master, Is.EqualTo(sound.Address), cluster.Explain());
    }

    [Test]
    public async Task A_former_master_that_cannot_log_in_at_the_new_one_is_told_by_name_and_why()
    {
        await using Cluster cluster = await Cluster.StartAsync(
            Told.Calm() with { Monitors = 1, Redis = 2, RedisOptions = new RedisServerOptions { Password = "secret" } });
        NodeAddress master = (await cluster.WaitUntilWholeAsync()).Master!;
        await cluster.Redis[0].KillAsync();
        await cluster.WaitForOtherMasterAsync(master);
        cluster.Redis[0].SetInFile("masterauth", null);
        await cluster.Redis[0].RestartAsync();

        Problem told = await cluster.WaitUntilToldAsync("replication-refused", cluster.Addresses[0]);
        Assert.That(told.Message + told.Advice, Does.Contain("masterauth"));
        Assert.That((await cluster.TopologyAsync()).Replicas, Is.Empty);
    }

    [Test]
    public async Task A_node_that_cannot_write_its_file_is_told_when_it_first_fails_and_its_role_is_written_once_it_can()
    {
        Needs.Root();
        await using Cluster cluster = await Cluster.StartAsync(
            Told.Calm() with { Monitors = 1, Redis = 2, RedisOptions = new RedisServerOptions { CannotWriteItsFile = true } });
        NodeAddress master = (await cluster.WaitUntilWholeAsync()).Master!;
        await cluster.Redis[0].KillAsync();
        Topology after = await cluster.WaitForOtherMasterAsync(master);
        await cluster.WaitUntilToldAsync("role-not-persisted", after.Master);

        cluster.Redis[1].LetItWriteItsFile();
        await cluster.WaitUntilNotToldAsync("role-not-persisted");
    }
}
