using System.Collections.Immutable;
using System.Globalization;
using NUnit.Framework;
using RedisFailover.IntegrationTests.Harness;

namespace RedisFailover.IntegrationTests.Cases;

/// <summary>Who counts as a monitor of this cluster.</summary>
[TestFixture]
[Parallelizable(ParallelScope.All)]
public sealed class MonitorIdentityTests
{
    [Test]
    public async Task Of_two_monitors_with_one_id_the_second_has_no_say_and_takes_the_place_when_the_first_is_killed()
    {
        await using Cluster cluster = await Cluster.StartAsync(Told.Calm() with { Monitors = 1, Proxies = true });
        Topology before = await cluster.WaitUntilWholeAsync();
        MonitorProcess second = await cluster.StartMonitorAsync(options => options with { Id = "m1" });
        Problem told = await cluster.WaitUntilToldAsync("monitor-id-taken");
        Assert.That(told.Subjects, Does.Contain("m1"));

        // It misses the master alone.
        cluster.Proxies[0].CutOff(second.Pid);
        await Told.StaysAsync(
            "The master stays",
            async () => await cluster.TopologyAsync() is { State: TopologyState.Ok } now && now.Master == before.Master,
            TimeSpan.FromSeconds(5),
            cluster.Explain);
        cluster.Proxies[0].Reconnect(second.Pid);

        // Killed and started again it is the old one, at once: within less than a session.
        await second.KillAsync();
        MonitorProcess first = cluster.Monitors[0];
        await first.KillAsync();
        await first.RestartAsync();
        // How long a process takes to start is the machine's affair.
        await first.Process.WaitForLineAsync(line => line.Contains(" starts: ", StringComparison.Ordinal));
        await Eventually.HoldsAsync(
            "It leads again", _
                => Task.FromResult(first.Process.Log), log
                    => log.Any(line => line.Contains("leads", StringComparison.Ordinal)), TimeSpan.FromSeconds(10), cluster.Explain);
        await cluster.WaitUntilNotToldAsync("monitor-id-taken");
    }

    [Test]
    public async Task Without_an_id_each_monitor_has_one_of_its_own_that_it_keeps_over_a_restart()
    {
        await using Cluster cluster = await Cluster.StartAsync(Told.Calm() with { Monitors = 0 });
        using TemporaryDirectory one = new("monitor-1");
        using TemporaryDirectory two = new("monitor-2");
        MonitorProcess first = await cluster.StartMonitorAsync(options
                => options with { Id = null, More = ["--http", $"http://127.0.0.1:{FreePorts.Next()}"] });
        await cluster.StartMonitorAsync(options => options with { Id = null, More = ["--http", $"http://127.0.0.1:{FreePorts.Next()}"] });
        ImmutableArray<string> ids = await IdsAsync(cluster, 2);
        Assert.That(await first.TerminateAsync(), Is.Zero);
        await IdsAsync(cluster, 1);
        await first.RestartAsync();
        Assert.That(await IdsAsync(cluster, 2), Is.EqualTo(ids), cluster.Explain());
    }

    [Test]
    public async Task Another_clusters_monitor_on_our_path_touches_no_node_and_never_leads()
    {
        await using Cluster ours = await Cluster.StartAsync(Told.Calm() with { Monitors = 1 });
        Topology before = await ours.WaitUntilWholeAsync();
        await using RedisServer theirs = await RedisServer.StartAsync();
        await using RedisServer replica = await RedisServer.StartAsync(new RedisServerOptions { ReplicaOf = theirs.Address });
        await theirs.CommandAsync("SET", "theirs", "precious");

        MonitorProcess stray =
            await ours.StartMonitorAsync(options => options with { Id = "stray", Nodes = [theirs.Address, replica.Address] });
        await ours.WaitUntilToldAsync("not-our-cluster");
        Assert.That(await ours.TopologyAsync(), Has.Property("Master").EqualTo(before.Master));

        // Alone it does not begin to lead.
        await ours.Monitors[0].TerminateAsync();
        await Told.StaysAsync(
            "Nothing is touched",
            async () => !await ours.ExistsAsync("/leader") && (await ours.TopologyAsync()).Master == before.Master
                && await theirs.RoleAsync() == "master" && (await theirs.CommandAsync("GET", "theirs")).Text == "precious"
                && await ours.Redis[0].RoleAsync() == "master",
            TimeSpan.FromSeconds(6),
            ours.Explain);
        Word word = await ours.CheckAsync();
        Assert.That(word.WouldWork, Is.False, word.Text);
        Assert.That(stray.Process.IsRunning, Is.True, "the topology may come to know it");
    }

    [Test]
    public async Task Znodes_that_somebody_left_among_the_monitors_have_no_vote()
    {
        await using Cluster cluster = await Cluster.StartAsync(Told.Calm() with { Monitors = 3 });
        Topology before = await cluster.WaitUntilWholeAsync();
        await cluster.WaitForAllViewsAsync();
        for (int i = 1; i <= 4; i++)
        {
            await cluster.CreateAsync($"/monitors/ghost{i}", "5");
        }

        Problem told = await cluster.WaitUntilToldAsync("stray-znode");
        Assert.That(told.Message, Does.Contain("ghost1"));
        Assert.That((await cluster.CheckAsync()).WouldWork, Is.True);
        cluster.Redis[0].Freeze();
        try
        {
            await cluster.WaitForOtherMasterAsync(before.Master!, TimeSpan.FromSeconds(20));
        }
        finally
        {
            cluster.Redis[0].Thaw();
        }
    }

    [Test]
    public async Task A_node_that_was_exchanged_for_another_is_watched_by_nobody_any_more()
    {
        await using Cluster cluster = await Cluster.StartAsync(Told.Calm() with { Monitors = 2 });
        Topology before = await cluster.WaitUntilWholeAsync();
        await using RedisServer fourth = await RedisServer.StartAsync(new RedisServerOptions { ReplicaOf = cluster.Redis[0].Address });
        ImmutableArray<NodeAddress> nodes = [cluster.Addresses[0], cluster.Addresses[1], fourth.Address];
        foreach (MonitorProcess monitor in cluster.Monitors.ToArray())
        {
            await monitor.TerminateAsync();
            await cluster.StartMonitorAsync(options => options with { Id = monitor.Id, Nodes = nodes });
        }

        Topology after = await cluster.WaitForAsync(
            "The new node is in use and the old one gone",
            topology
                => topology.State == TopologyState.Ok && topology.Replicas.Contains(fourth.Address)
                    && !topology.Replicas.Contains(cluster.Addresses[2]));
        Assert.That((after.Master, after.Epoch), Is.EqualTo((before.Master, before.Epoch)));
        await Eventually.HoldsAsync(
            "Nobody watches the node that left",
            async ct
                => await Task.WhenAll(((string[])["m1", "m2"])
                    .Select(async id => MonitorReport.Parse(await cluster.ReadAsync($"/monitors/{id}", ct)))),
            views
                => views.All(view => !view.Available.ContainsKey(cluster.Addresses[2]) && !view.Unavailable.Contains(cluster.Addresses[2])),
            TimeSpan.FromSeconds(15),
            cluster.Explain);
        await cluster.WaitUntilNotToldAsync("monitors-disagree");
    }

    [Test]
    public async Task Two_clusters_over_the_same_nodes_are_told()
    {
        await using Cluster one = await Cluster.StartAsync(Told.Calm() with { Monitors = 1 });
        await one.WaitUntilWholeAsync();
        await using MonitorProcess other =
            await MonitorProcess.StartAsync(one.Monitors[0].Options with { Id = "other", ZnodePath = SharedZooKeeper.NewRoot("other") });
        Problem told = await one.WaitUntilToldAsync("foreign-controller");
        Assert.That(told.Advice, Is.Not.Empty);
        // Failover goes on working: a stray monitor must not be able to stop it.
        one.Redis[0].Kill();
        await one.WaitForAsync("A replica is master", topology
            => topology.State == TopologyState.Ok && topology.Master != one.Addresses[0]);
    }

    [Test]
    public async Task A_script_that_commands_a_replica_again_and_again_is_told()
    {
        await using Cluster cluster = await Cluster.StartAsync(Told.Calm() with { Monitors = 1 });
        await cluster.WaitUntilWholeAsync();
        NodeAddress[] wanted = [cluster.Addresses[1], cluster.Addresses[0]];
        for (int i = 0; i < 3; i++)
        {
            await cluster.Redis[2].CommandAsync("REPLICAOF", wanted[0].Host, wanted[0].Port.ToString(CultureInfo.InvariantCulture));
            await Eventually.HoldsAsync(
                "It is put right", cluster.Redis[2].MasterAsync, master => master == wanted[1], explain: cluster.Explain);
        }

        Problem told = await cluster.WaitUntilToldAsync("foreign-controller", cluster.Addresses[2]);
        Assert.That(told.Advice, Does.Contain("REPLICAOF"));
    }

    private static async Task<ImmutableArray<string>> IdsAsync(Cluster cluster, int count) => await Eventually.HoldsAsync(
        $"{count} monitors are here",
        async ct => (await cluster.ChildrenAsync("/monitors", ct)).Sort(StringComparer.Ordinal),
        ids => ids.Length == count,
        explain: cluster.Explain);
}
