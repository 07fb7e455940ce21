using System.Globalization;
using NUnit.Framework;
using RedisFailover.IntegrationTests.Harness;

namespace RedisFailover.IntegrationTests.Cases;

/// <summary>What a monitor cannot see is not down: cables, routes and names that fail on the monitors' side.</summary>
[TestFixture]
[Parallelizable(ParallelScope.All)]
public sealed class BlindMonitorsTests
{
    private static readonly string[] Names = ["alpha", "beta", "gamma"];

    [Test]
    public async Task A_healthy_master_stays_while_the_monitors_cable_to_all_nodes_is_cut()
    {
        await using Stage stage = await Stage.StartAsync();
        await Lab.CutAsync(stage.Monitors, stage.Nodes);
        await StaysAsync(stage);
        await Lab.MendAsync(stage.Monitors, stage.Nodes);
        await stage.Cluster.WaitUntilNotToldAsync("monitors-blind");
        Assert.That((await stage.Cluster.WaitUntilWholeAsync()).Epoch, Is.EqualTo(stage.Before.Epoch), stage.Cluster.Explain());
    }

    [Test]
    public async Task A_healthy_master_stays_while_the_monitors_have_no_route()
    {
        await using Stage stage = await Stage.StartAsync();
        await stage.Monitors.IpAsync("link set eth0 down");
        await StaysAsync(stage);
        await stage.Monitors.IpAsync("link set eth0 up");
        await stage.Cluster.WaitUntilNotToldAsync("monitors-blind");
        Assert.That((await stage.Cluster.WaitUntilWholeAsync()).Epoch, Is.EqualTo(stage.Before.Epoch), stage.Cluster.Explain());
    }

    [Test]
    public async Task A_healthy_master_stays_while_monitors_are_restarted_without_a_name_server()
    {
        await using Stage stage = await Stage.StartAsync(byName: true);
        stage.Monitors.SetHosts();
        await Task.WhenAll(stage.Cluster.Monitors.Select(monitor => monitor.TerminateAsync()));
        await Task.WhenAll(stage.Cluster.Monitors.Select(monitor => monitor.RestartAsync()));
        await StaysAsync(stage);
        stage.NameNodes();
        Topology after = await stage.Cluster.WaitUntilWholeAsync();
        Assert.That((after.Master, after.Epoch), Is.EqualTo((stage.Before.Master, stage.Before.Epoch)), stage.Cluster.Explain());
    }

    [Test]
    public async Task Nodes_are_watched_and_a_dead_one_is_known_while_the_name_server_hangs()
    {
        await using Stage stage = await Stage.StartAsync(byName: true);
        Cluster cluster = stage.Cluster;
        await stage.Monitors.SwallowAsync("10.98.0.53");
        stage.Monitors.SetNameServer("10.98.0.53");
        stage.Monitors.SetHosts();

        cluster.Redis[2].Kill();
        await cluster.WaitForAsync("A dead replica is known", t => t.Unavailable.Contains(cluster.Addresses[2]), TimeSpan.FromSeconds(8));
        cluster.Redis[0].Kill();
        Topology after = await cluster.WaitForOtherMasterAsync(stage.Before.Master!, TimeSpan.FromSeconds(8));
        Assert.That(after.Master, Is.EqualTo(cluster.Addresses[1]), cluster.Explain());
        Assert.That(cluster.Monitors.SelectMany(m => m.Process.Output), Has.None.Contains("resigning"));
    }

    [Test]
    public async Task A_name_with_two_addresses_the_first_of_which_swallows_packets_is_reached_by_the_second()
    {
        await using Stage stage = await Stage.StartAsync(byName: true, monitors: 0);
        Cluster cluster = stage.Cluster;
        await stage.Monitors.SwallowAsync("10.98.0.9");
        // Each name first leads nowhere.
        stage.Monitors.SetHosts([.. Names.Select(name => $"10.98.0.9 {name}"), .. Names.Select(name => $"{stage.Nodes.Address} {name}")]);
        await cluster.StartMonitorAsync();
        Topology whole = await cluster.WaitUntilWholeAsync();
        Assert.That(whole.Master, Is.EqualTo(cluster.Addresses[0]), cluster.Explain());
        await cluster.Redis[0].CommandAsync("CLIENT", "KILL", "TYPE", "normal");
        await Told.StaysAsync(
            "It stays available after a lost connection",
            async () => await cluster.TopologyAsync() is { State: TopologyState.Ok, Unavailable.Length: 0 } now && now.Epoch == whole.Epoch,
            TimeSpan.FromSeconds(5),
            cluster.Explain);
    }

    /// <summary>
    /// The topology stays as it is and clients go on, for longer than a failover would take to begin; the blindness is told.
    /// </summary>
    private static async Task StaysAsync(Stage stage)
    {
        Cluster cluster = stage.Cluster;
        await Told.StaysAsync(
            "The master stays and takes writes",
            async ()
                => await cluster.TopologyAsync() is { State: TopologyState.Ok } now && now.Master == stage.Before.Master
                    && now.Epoch == stage.Before.Epoch
                && await cluster.Redis[0].TakesWritesAsync(),
            TimeSpan.FromSeconds(6),
            cluster.Explain);
        await cluster.WaitUntilToldAsync("monitors-blind");
        Word word = await cluster.CheckAsync();
        Assert.That(word.WouldWork, Is.False, word.Text);
    }

    /// <summary>Monitors and ZooKeeper on one machine, the nodes on another.</summary>
    private sealed class Stage(Lab lab, Machine monitors, Machine nodes, Cluster cluster) : IAsyncDisposable
    {
        internal Machine Monitors => monitors;

        internal Machine Nodes => nodes;

        internal Cluster Cluster => cluster;

        internal Topology Before { get; private set; } = Topology.None;

        internal static async Task<Stage> StartAsync(bool byName = false, int monitors = 3)
        {
            Needs.Machines();
            Lab lab = await Lab.StartAsync();
            try
            {
                Machine watching = await lab.AddAsync("monitors");
                Machine watched = await lab.AddAsync("nodes");
                ClusterOptions options =
                    Told.Calm() with { Monitors = 0, MonitorMachine = watching, RedisMachine = watched, Names = byName ? [.. Names] : [] };
                Stage stage = new(lab, watching, watched, await Cluster.StartAsync(options));
                stage.NameNodes();
                for (int i = 0; i < monitors; i++)
                {
                    await stage.Cluster.StartMonitorAsync();
                }

                if (monitors > 0)
                {
                    stage.Before = await stage.Cluster.WaitUntilWholeAsync();
                    await stage.Cluster.WaitForAllViewsAsync();
                    await stage.Cluster.WaitUntilWouldWorkAsync();
                }

                return stage;
            }
            catch
            {
                await lab.DisposeAsync();
                throw;
            }
        }

        internal void NameNodes()
            => monitors.SetHosts([.. Names.Select(name => string.Create(CultureInfo.InvariantCulture, $"{nodes.Address} {name}"))]);

        public async ValueTask DisposeAsync()
        {
            await cluster.DisposeAsync();
            await lab.DisposeAsync();
        }
    }
}
