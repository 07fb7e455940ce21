using System.Globalization;
using NUnit.Framework;
using RedisFailover.IntegrationTests.Harness;

namespace RedisFailover.IntegrationTests.Cases;

/// <summary>An address is not a node: other people's data under a member's address.</summary>
[TestFixture]
[Parallelizable(ParallelScope.All)]
public sealed class ForeignDataTests
{
    [Test]
    public async Task Another_clusters_master_under_a_members_address_keeps_its_data_until_an_operator_gives_it_up()
    {
        await using Cluster cluster = await Cluster.StartAsync(Told.Calm() with { Monitors = 1, Proxies = true });
        Topology before = await cluster.WaitUntilWholeAsync();
        await cluster.SetDataAsync();
        await using RedisServer theirs = await RedisServer.StartAsync();
        await using RedisServer replica = await RedisServer.StartAsync(new RedisServerOptions { ReplicaOf = theirs.Address });
        await using (RedisWire wire = await theirs.ConnectAsync())
        {
            for (int i = 0; i < 1000; i++)
            {
                await wire.CommandAsync(["SET", string.Create(CultureInfo.InvariantCulture, $"theirs{i}"), "x"]);
            }
        }

        await Eventually.HoldsAsync("Their replica has them", ct => replica.CommandAsync(["DBSIZE"], ct), reply => reply.Text == "1000");
        await cluster.Redis[2].KillAsync();
        cluster.Proxies[2].Cut();
        await cluster.WaitForAsync("Ours is gone", topology => topology.Unavailable.Contains(cluster.Addresses[2]));
        cluster.Proxies[2].Retarget(theirs.Address);
        cluster.Proxies[2].Heal();

        Problem told = await cluster.WaitUntilToldAsync("foreign-data", cluster.Addresses[2]);
        Assert.That(told.Advice, Does.Contain("nodes adopt").And.Contain("--discard-its-data"));
        await Told.StaysAsync(
            "It keeps what it has",
            async ()
                => (await theirs.CommandAsync("DBSIZE")).Text == "1000" && (await replica.CommandAsync("DBSIZE")).Text == "1000"
                    && await theirs.RoleAsync() == "master",
            TimeSpan.FromSeconds(3),
            cluster.Explain);
        Topology meanwhile = await cluster.TopologyAsync();
        Assert.That((meanwhile.Master, meanwhile.State), Is.EqualTo((before.Master, TopologyState.Ok)), cluster.Explain());
        Assert.That(meanwhile.Replicas, Does.Not.Contain(cluster.Addresses[2]));

        CliResult adopted = await CliProcess.RunAsync(
                ["nodes", "adopt", cluster.Addresses[2].ToString(), "--discard-its-data", "--zk", cluster.ConnectionString]);
        Assert.That(adopted.ExitCode, Is.Zero, $"{adopted}\n{cluster.Explain()}");
        await cluster.WaitForAsync("It is ours", topology => topology.Replicas.Contains(cluster.Addresses[2]));
        await cluster.WaitForDataAsync(theirs);
        await cluster.WaitUntilNotToldAsync("foreign-data");
    }

    [TestCase(null)]
    [TestCase("redis-new.conf", Description = "A package or an image gives its configuration file another name.")]
    public async Task Our_own_former_master_with_an_append_only_file_is_taken_back_though_the_file_forgets_the_history(string? renamed)
    {
        await using Cluster cluster = await Cluster.StartAsync(
            Told.Calm() with { Monitors = 1, RedisOptions = new RedisServerOptions { Persistence = RedisPersistence.AppendOnlyFile } });
        NodeAddress master = (await cluster.WaitUntilWholeAsync()).Master!;
        await cluster.SetDataAsync();
        await cluster.Redis[0].KillAsync();
        Topology after = await cluster.WaitForOtherMasterAsync(master);
        if (renamed is not null)
        {
            cluster.Redis[0].RenameConfFile(renamed);
        }

        await cluster.Redis[0].RestartAsync();
        await cluster.WaitUntilWholeAsync();
        Assert.That(await cluster.Redis[0].MasterAsync(), Is.EqualTo(after.Master), cluster.Explain());
    }
}
