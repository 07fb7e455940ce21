using System.Net;
using System.Net.Sockets;
using System.Text;
using NUnit.Framework;
using RedisFailover.IntegrationTests.Harness;

namespace RedisFailover.IntegrationTests.Failover;

/// <summary>Starts at which a wrong step wipes data.</summary>
[TestFixture]
[Parallelizable(ParallelScope.All)]
public sealed class DangerousStartTests
{
    [Test]
    [Category("Quick")]
    public async Task A_master_that_restarts_empty_before_its_replicas_notice_does_not_wipe_them()
    {
        await using Cluster cluster = await Cluster.StartAsync(new ClusterOptions { Proxies = true });
        Topology before = await cluster.WaitUntilWholeAsync();
        await cluster.SetDataAsync();
        // The replicas cannot copy from it meanwhile; the monitors reach it.
        cluster.Proxies[0].CutOff(cluster.Redis[1].Process.Pid);
        cluster.Proxies[0].CutOff(cluster.Redis[2].Process.Pid);
        await cluster.Redis[0].KillAsync();
        await cluster.Redis[0].RestartEmptyAsync();

        Topology after = await cluster.WaitForAsync(
            "A replica is master", topology
                => topology.State == TopologyState.Ok && topology.Master != before.Master, TimeSpan.FromSeconds(60));
        await cluster.WaitForDataAsync(cluster.Node(after.Master!));
        await cluster.WaitForDataEverywhereAsync();
    }

    [Test]
    public async Task When_everything_is_restarted_at_once_the_data_are_there_and_all_nodes_are_in_use_again()
    {
        await using Cluster cluster = await Cluster.StartAsync(
            new ClusterOptions { RedisOptions = new RedisServerOptions { Persistence = RedisPersistence.AppendOnlyFile } });
        await cluster.WaitUntilWholeAsync();
        await cluster.SetDataAsync();
        foreach (RedisServer redis in cluster.Redis)
        {
            redis.Kill();
        }

        await Task.WhenAll(cluster.Redis.Select(redis => redis.RestartAsync()));
        await cluster.WaitUntilOneMasterAsync();
        await cluster.WaitForDataEverywhereAsync();
    }

    [Test]
    public async Task Nodes_that_are_all_replicas_of_each_other_get_a_master_and_keep_their_data()
    {
        await using Cluster cluster = await Cluster.StartAsync(new ClusterOptions { Monitors = 0 });
        await cluster.SetDataAsync();
        for (int i = 0; i < 3; i++)
        {
            NodeAddress next = cluster.Addresses[(i + 1) % 3];
            await cluster.Redis[i]
                .CommandAsync("REPLICAOF", next.Host, next.Port.ToString(System.Globalization.CultureInfo.InvariantCulture));
        }

        await cluster.StartMonitorAsync();
        await cluster.WaitUntilOneMasterAsync();
        await cluster.WaitForDataEverywhereAsync();
    }

    [Test]
    public async Task Of_two_masters_with_data_neither_is_touched_until_the_operator_chooses()
    {
        await using Cluster cluster = await Cluster.StartAsync(new ClusterOptions { Monitors = 0, Redis = 2 });
        await cluster.Redis[1].CommandAsync("REPLICAOF", "NO", "ONE");
        await cluster.Redis[0].CommandAsync("SET", "k", "zero");
        await cluster.Redis[1].CommandAsync("SET", "k", "one");
        await cluster.StartMonitorAsync();
        Topology waiting = await cluster.WaitForAsync(
            "The znode asks the operator", topology
                => topology.State == TopologyState.NoMaster
                    && topology.Reason.Contains("several masters hold data", StringComparison.Ordinal));
        Assert.That(waiting.Reason,
            Does.Contain($"{cluster.Addresses[0]} (master, 1 keys").And.Contain($"{cluster.Addresses[1]} (master, 1 keys"));
        Assert.That((await cluster.Redis[0].CommandAsync("GET", "k")).Text, Is.EqualTo("zero"));
        Assert.That((await cluster.Redis[1].CommandAsync("GET", "k")).Text, Is.EqualTo("one"));

        await cluster.CreateAsync("/manual_failover", cluster.Addresses[1].ToString());
        await cluster.WaitForAsync("The chosen one is master", topology => topology.Master == cluster.Addresses[1]);
        Assert.That((await cluster.Redis[1].CommandAsync("GET", "k")).Text, Is.EqualTo("one"));
    }

    [Test]
    public async Task Of_empty_nodes_that_stand_alone_the_first_becomes_master()
    {
        await using Cluster cluster = await Cluster.StartAsync(new ClusterOptions { Monitors = 0 });
        await cluster.Redis[1].CommandAsync("REPLICAOF", "NO", "ONE");
        await cluster.Redis[2].CommandAsync("REPLICAOF", "NO", "ONE");
        await cluster.StartMonitorAsync(options => options with { Nodes = [.. cluster.Addresses.Reverse()] });
        Topology topology = await cluster.WaitUntilOneMasterAsync();
        Assert.That(topology.Master, Is.EqualTo(cluster.Addresses[2]));
    }

    [Test]
    public async Task A_master_that_is_no_longer_configured_stays_until_it_is_lost()
    {
        await using Cluster cluster = await Cluster.StartAsync(new ClusterOptions { Monitors = 1 });
        Topology before = await cluster.WaitUntilWholeAsync();
        MonitorProcess old = cluster.Monitors[0];
        await old.TerminateAsync();
        MonitorProcess monitor =
            await cluster.StartMonitorAsync(options => options with { Nodes = [cluster.Addresses[1], cluster.Addresses[2]] });
        await monitor.Process.WaitForLineAsync(line => line.Contains("is not among the configured nodes", StringComparison.Ordinal));
        Assert.That((await cluster.TopologyAsync()).Master, Is.EqualTo(before.Master));

        await cluster.Redis[0].KillAsync();
        Topology after = await cluster.WaitForAsync("A configured node is master", topology
                => topology.State == TopologyState.Ok && topology.Master != before.Master);
        Assert.That(before.Replicas, Does.Contain(after.Master));
    }

    [Test]
    public async Task Monitors_that_disagree_on_the_nodes_change_the_lists_and_never_the_master()
    {
        await using Cluster cluster = await Cluster.StartAsync(new ClusterOptions { Monitors = 1 });
        Topology before = await cluster.WaitUntilWholeAsync();
        MonitorProcess old = cluster.Monitors[0];
        // The second knows the first two nodes alone; the third node is about to be taken out.
        MonitorProcess other =
            await cluster.StartMonitorAsync(options => options with { Nodes = [cluster.Addresses[0], cluster.Addresses[1]] });
        await other.Process.WaitForLineAsync(line => line.Contains($"{cluster.Addresses[1]} answers", StringComparison.Ordinal));
        await old.TerminateAsync();
        Topology smaller = await cluster.WaitForAsync("The third is off the lists", topology
                => topology.Replicas.Length == 1 && topology.Unavailable.IsEmpty);
        await old.RestartAsync();
        await old.Process.WaitForLineAsync(line => line.Contains("topology of epoch", StringComparison.Ordinal));
        // Both are here, the one of the smaller configuration leads and goes on working.
        await cluster.Redis[1].KillAsync();
        Topology without =
            await cluster.WaitForAsync("A dead replica is taken note of", topology => topology.Unavailable.Contains(cluster.Addresses[1]));
        await cluster.Redis[1].RestartAsync();
        await cluster.WaitForAsync("It is back", topology => topology.Replicas.Contains(cluster.Addresses[1]));
        await other.TerminateAsync();
        Topology whole = await cluster.WaitUntilWholeAsync();
        Assert.That(((Topology[])[smaller, without, whole]).Select(t => (t.Master, t.Epoch)), Is.All.EqualTo((before.Master, before.Epoch)),
            cluster.Explain());
    }

    [Test]
    public async Task A_topology_znode_that_is_mangled_is_written_again()
    {
        await using Cluster cluster = await Cluster.StartAsync();
        Topology before = await cluster.WaitUntilWholeAsync();
        await cluster.WriteAsync("/nodes", "{\"master\": oops");
        Topology after = await cluster.WaitUntilWholeAsync();
        Assert.That((after.Master, after.Epoch), Is.EqualTo((before.Master, before.Epoch)));
        Assert.That(after.Reason, Does.Contain("written again as the leading monitor knows it"));
        Assert.That(await cluster.Redis[0].RoleAsync(), Is.EqualTo("master"));
    }

    [Test]
    public async Task A_topology_that_somebody_writes_by_hand_is_written_again_and_no_node_is_touched()
    {
        await using Cluster cluster = await Cluster.StartAsync();
        Topology before = await cluster.WaitUntilWholeAsync();
        await cluster.SetDataAsync();
        await cluster.WriteAsync("/nodes", WithAnotherMaster(before));
        MonitorProcess leader = await cluster.LeaderAsync();
        await leader.Process.WaitForLineAsync(line => line.Contains("was written by somebody who does not lead", StringComparison.Ordinal));
        Topology after = await cluster.WaitForAsync("The truth is written again", topology => topology.Master == before.Master);
        Assert.That((after.Epoch, after.State), Is.EqualTo((before.Epoch, TopologyState.Ok)), cluster.Explain());
        await cluster.WaitUntilOneMasterAsync();
        await cluster.WaitForHistoryAsync("It is recorded", entry => entry.Kind == HistoryKind.Overwritten);
        Assert.That((await cluster.HistoryAsync()).Select(entry => entry.Kind).Distinct(),
            Is.EqualTo(new[] { HistoryKind.Adopted, HistoryKind.Overwritten }));
    }

    [Test]
    public async Task A_new_leader_goes_by_the_nodes_where_the_topology_was_written_by_hand()
    {
        await using Cluster cluster = await Cluster.StartAsync(new ClusterOptions { Monitors = 1 });
        Topology before = await cluster.WaitUntilWholeAsync();
        await cluster.SetDataAsync();
        await cluster.Monitors[0].TerminateAsync();
        await cluster.WriteAsync("/nodes", WithAnotherMaster(before));
        await cluster.StartMonitorAsync();
        Topology after =
            await cluster.WaitForAsync("The real master is named", topology => topology is { State: TopologyState.Ok, Epoch: > 1 });
        Assert.That(after.Master, Is.EqualTo(before.Master), cluster.Explain());
        HistoryEntry entry = await cluster.WaitForHistoryAsync("The history says so", entry
                => entry.Epoch == after.Epoch && entry.Kind != HistoryKind.Overwritten);
        Assert.That((entry.Kind, entry.To), Is.EqualTo((HistoryKind.Restored, before.Master)));
        await cluster.WaitUntilOneMasterAsync();
    }

    [Test]
    public async Task A_node_that_speaks_nonsense_is_reported_and_harms_nobody()
    {
        await using Cluster cluster = await Cluster.StartAsync(new ClusterOptions { Monitors = 0 });
        using TcpListener other = new(IPAddress.Loopback, 0);
        other.Start();
        using CancellationTokenSource stop = new();
        Task answering = WebServer.AnswerAsync(other, stop.Token);
        var stranger = new NodeAddress("127.0.0.1", ((IPEndPoint)other.LocalEndpoint).Port);
        MonitorProcess monitor = await cluster.StartMonitorAsync(options => options with { Nodes = options.Nodes.Add(stranger) });
        Topology before = await cluster.WaitUntilWholeAsync();
        Assert.That(before.Unavailable, Is.EqualTo(new[] { stranger }));
        await monitor.Process.WaitForLineAsync(line => line.Contains($"{stranger} cannot be asked", StringComparison.Ordinal));

        await cluster.Redis[0].KillAsync();
        await cluster.WaitForAsync("A replica is master", topology
            => topology.State == TopologyState.Ok && topology.Master != before.Master);
        await stop.CancelAsync();
        await answering;
    }

    [Test]
    public async Task Another_clusters_master_that_is_put_in_by_mistake_keeps_its_data()
    {
        await using Cluster cluster = await Cluster.StartAsync(new ClusterOptions { Monitors = 1 });
        Topology before = await cluster.WaitUntilWholeAsync();
        await cluster.SetDataAsync();
        await cluster.Monitors[0].TerminateAsync();
        await using RedisServer stranger = await RedisServer.StartAsync();
        await stranger.CommandAsync("SET", "theirs", "precious");

        MonitorProcess monitor = await cluster.StartMonitorAsync(options => options with { Nodes = options.Nodes.Add(stranger.Address) });
        await monitor.Process.WaitForLineAsync(
            line => line.Contains("left alone", StringComparison.Ordinal)
                && line.Contains(stranger.Address.ToString(), StringComparison.Ordinal));
        // Nor when the master is lost and a candidate is sought.
        await cluster.Redis[0].KillAsync();
        Topology after = await cluster.WaitForAsync("A replica is master", topology
                => topology.State == TopologyState.Ok && topology.Master != before.Master);
        Assert.That(before.Replicas, Does.Contain(after.Master));
        Assert.That((await stranger.CommandAsync("GET", "theirs")).Text, Is.EqualTo("precious"));
        Assert.That(await stranger.RoleAsync(), Is.EqualTo("master"));
    }

    [Test]
    public async Task A_wish_with_something_below_it_stops_nothing()
    {
        await using Cluster cluster = await Cluster.StartAsync(new ClusterOptions { Monitors = 0 });
        await cluster.CreateAsync("/", "x");
        await cluster.CreateAsync("/manual_failover", cluster.Addresses[0].ToString());
        await cluster.CreateAsync("/manual_failover/below", "x");
        await cluster.StartMonitorAsync();
        Topology before = await cluster.WaitUntilWholeAsync();
        Assert.That(before.Master, Is.EqualTo(cluster.Addresses[0]));
        await cluster.Redis[0].KillAsync();
        await cluster.WaitForAsync("A replica is master", topology
            => topology.State == TopologyState.Ok && topology.Master != before.Master);
    }

    private static string WithAnotherMaster(Topology topology)
        => Encoding.UTF8.GetString(
            TopologyJson.Write(topology with { Master = topology.Replicas[0], Replicas = [topology.Master!, topology.Replicas[1]] }));
}
