using System.Diagnostics;
using System.Globalization;
using System.Net;
using System.Net.Sockets;
using NUnit.Framework;
using RedisFailover.IntegrationTests.Harness;

namespace RedisFailover.IntegrationTests.Failover;

[TestFixture]
[Category("Quick")]
[Parallelizable(ParallelScope.All)]
public sealed class MasterLossTests
{
    [Test]
    public async Task After_kill_9_of_the_master_a_replica_takes_over_and_no_acknowledged_write_is_lost()
    {
        await using Cluster cluster = await Cluster.StartAsync();
        Topology before = await cluster.WaitUntilWholeAsync();
        await using WritingClient client = await WritingClient.StartAsync(cluster);
        await client.WaitForWritesAsync(100);

        long killed = Stopwatch.GetTimestamp();
        cluster.Redis[0].Kill();
        Topology after = await cluster.WaitForAsync("A replica is master", topology
                => topology.State == TopologyState.Ok && topology.Master != before.Master);
        await client.WaitForWriteBegunAfterAsync(Stopwatch.GetTimestamp());
        TimeSpan took = Stopwatch.GetElapsedTime(killed);

        Assert.That(took, Is.LessThan(TimeSpan.FromSeconds(45)), cluster.Explain());
        Assert.That(after.Epoch, Is.EqualTo(before.Epoch + 1));
        Assert.That(before.Replicas, Does.Contain(after.Master));
        Assert.That(after.Unavailable, Is.EqualTo(new[] { before.Master }));
        Assert.That(await cluster.Node(after.Master!).RoleAsync(), Is.EqualTo("master"));
        RedisServer other = cluster.Redis.Single(node => node.Address != before.Master && node.Address != after.Master);
        await Eventually.HoldsAsync("The other replica follows the new master", other.MasterAsync, master
            => master == after.Master, explain: cluster.Explain);
        Assert.That(await client.StopAndCountLostAsync(), Is.Zero);
    }

    [Test]
    public async Task A_master_that_is_killed_while_it_saves_is_lost_by_its_port_though_its_connections_stay_open()
    {
        // By silence it would be lost after a minute.
        await using Cluster cluster = await Cluster.StartAsync(
            new ClusterOptions { MonitorOptions = new MonitorOptions { ProbeTimeout = TimeSpan.FromSeconds(20) } });
        Topology before = await cluster.WaitUntilWholeAsync(TimeSpan.FromSeconds(60));
        await cluster.SetDataAsync();
        // The process that saves has the connections too. It takes an hour.
        await cluster.Redis[0].CommandAsync("CONFIG", "SET", "rdb-key-save-delay", "2000000000");
        await cluster.Redis[0].CommandAsync("BGSAVE");
        string process = cluster.Redis[0].Process.Pid.ToString(CultureInfo.InvariantCulture);
        string saving = (await File.ReadAllTextAsync($"/proc/{process}/task/{process}/children")).Trim();
        try
        {
            cluster.Redis[0].Kill();
            await cluster.WaitForAsync("A replica is master", topology
                => topology.State == TopologyState.Ok && topology.Master != before.Master, TimeSpan.FromSeconds(40));
        }
        finally
        {
            using var child = Process.GetProcessById(int.Parse(saving, CultureInfo.InvariantCulture));
            child.Kill();
        }
    }

    [Test]
    public async Task A_killed_master_comes_back_as_a_replica()
    {
        await using Cluster cluster = await Cluster.StartAsync();
        Topology before = await cluster.WaitUntilWholeAsync();
        await cluster.Redis[0].CommandAsync("SET", "k", "old");
        await cluster.Redis[0].KillAsync();
        Topology after = await cluster.WaitForAsync("A replica is master", topology
                => topology.State == TopologyState.Ok && topology.Master != before.Master);
        await cluster.Node(after.Master!).CommandAsync("SET", "k", "new");

        await cluster.Redis[0].RestartAsync();
        Topology whole = await cluster.WaitUntilWholeAsync();
        Assert.That(whole.Master, Is.EqualTo(after.Master));
        Assert.That(whole.Epoch, Is.EqualTo(after.Epoch));
        Assert.That(await cluster.Redis[0].MasterAsync(), Is.EqualTo(after.Master));
        await Eventually.HoldsAsync("It has the new data", ct
            => cluster.Redis[0].CommandAsync(["GET", "k"], ct), reply => reply.Text == "new");
    }

    [Test]
    public async Task A_frozen_master_is_replaced_after_its_deadline_and_a_replica_when_it_is_thawed()
    {
        await using Cluster cluster = await Cluster.StartAsync();
        Topology before = await cluster.WaitUntilWholeAsync();
        await using WritingClient client = await WritingClient.StartAsync(cluster);
        await client.WaitForWritesAsync(100);
        TimeSpan deadline = 3 * cluster.Options.MonitorOptions.ProbeTimeout!.Value;

        long frozen = Stopwatch.GetTimestamp();
        cluster.Redis[0].Freeze();
        Topology after = await cluster.WaitForAsync("A replica is master", topology
                => topology.State == TopologyState.Ok && topology.Master != before.Master);
        await client.WaitForWriteBegunAfterAsync(Stopwatch.GetTimestamp());
        TimeSpan took = Stopwatch.GetElapsedTime(frozen);
        // Silence may also be a short pause: it must not be judged early. One probe may have been answered just before.
        Assert.That(took, Is.GreaterThan(deadline - cluster.Options.MonitorOptions.ProbeTimeout!.Value));
        Assert.That(took, Is.LessThan(deadline + TimeSpan.FromSeconds(45)), cluster.Explain());

        cluster.Redis[0].Thaw();
        Topology whole = await cluster.WaitUntilWholeAsync();
        Assert.That(whole.Master, Is.EqualTo(after.Master));
        Assert.That(await cluster.Redis[0].MasterAsync(), Is.EqualTo(after.Master));
        Assert.That(await client.StopAndCountLostAsync(), Is.Zero);
    }

    [Test]
    public async Task A_replica_that_dies_is_unavailable_and_in_use_again_when_it_returns()
    {
        await using Cluster cluster = await Cluster.StartAsync();
        Topology before = await cluster.WaitUntilWholeAsync();
        NodeAddress replica = cluster.Redis[2].Address;

        await cluster.Redis[2].KillAsync();
        Topology without = await cluster.WaitForAsync("The replica is unavailable", topology => topology.Unavailable.Contains(replica));
        Assert.That(without.Master, Is.EqualTo(before.Master));
        Assert.That(without.Epoch, Is.EqualTo(before.Epoch));
        Assert.That(without.Replicas, Is.EqualTo(new[] { cluster.Redis[1].Address }));

        await cluster.Redis[2].RestartAsync();
        Topology whole = await cluster.WaitUntilWholeAsync();
        Assert.That(whole.Epoch, Is.EqualTo(before.Epoch));
        Assert.That(await cluster.Redis[2].MasterAsync(), Is.EqualTo(before.Master));
    }

    [Test]
    public async Task A_master_whose_port_another_program_takes_is_replaced()
    {
        await using Cluster cluster = await Cluster.StartAsync(new ClusterOptions { Proxies = true });
        Topology before = await cluster.WaitUntilWholeAsync();
        await cluster.SetDataAsync();
        using TcpListener other = new(IPAddress.Loopback, 0);
        other.Start();
        using CancellationTokenSource stop = new();
        Task answering = WebServer.AnswerAsync(other, stop.Token);

        cluster.Proxies[0].Retarget(new NodeAddress("127.0.0.1", ((IPEndPoint)other.LocalEndpoint).Port));
        await cluster.Redis[0].KillAsync();
        Topology after = await cluster.WaitForAsync("A replica is master", topology
            => topology.State == TopologyState.Ok && topology.Master != before.Master);
        HistoryEntry entry = await cluster.WaitForHistoryAsync("The history says so", entry => entry.Kind == HistoryKind.Failover);
        Assert.That(entry.Reason, Does.Contain("no Redis answers there").And.Contain("400 Bad Request"));
        Assert.That(await Cluster.HasDataAsync(cluster.Node(after.Master!)));
        await stop.CancelAsync();
        await answering;
    }

    [Test]
    public async Task A_master_that_hangs_soon_after_its_promotion_has_taken_nothing_when_it_wakes()
    {
        // It is judged only after the monitors would have announced it once more.
        await using Cluster cluster = await Cluster.StartAsync(new ClusterOptions
        {
            MonitorOptions = new MonitorOptions { SessionTimeout = TimeSpan.FromSeconds(2), ProbeTimeout = TimeSpan.FromSeconds(1) },
        });
        Topology before = await cluster.WaitUntilWholeAsync();
        await cluster.Redis[0].KillAsync();
        Topology promoted = await cluster.WaitForAsync("A replica is master", topology
            => topology.State == TopologyState.Ok && topology.Master != before.Master);
        RedisServer hangs = cluster.Node(promoted.Master!);
        await cluster.WaitUntilFollowingAsync(cluster.Redis.Single(redis => redis != hangs && redis != cluster.Redis[0]), hangs);
        // A command on its way when it is frozen would be carried out when it wakes.
        await Eventually.HoldsAsync("It was announced", ct => hangs.InfoAsync("commandstats", ct), info
            => info.ContainsKey("cmdstat_publish"), explain: cluster.Explain);
        hangs.Freeze();
        await cluster.WaitForAsync("The other replica is master", topology
            => topology.State == TopologyState.Ok && topology.Master != promoted.Master);
        hangs.Thaw();
        HistoryEntry entry = await cluster.WaitForHistoryAsync("It is a replica again", entry
            => entry.Kind == HistoryKind.Demoted && entry.From == hangs.Address);
        Assert.That(entry.BytesBehind, Is.Zero, entry.Reason);
    }
}
