using System.Diagnostics;
using System.Globalization;
using RedisFailover.IntegrationTests.Harness;
using RedisFailover.ZooKeeper;

namespace RedisFailover.Benchmarks.Client;

/// <summary>
/// From the moment when the topology's setData is sent until a write that waits for it is acknowledged by the new master, with so many
/// clients that all wait, each with a ZooKeeper session and connections of its own, in so many processes. "watchers [count[xprocesses]
/// ...]".
/// </summary>
internal static class Watchers
{
    private const int Rounds = 6;

    public static async Task RunAsync(string[] counts)
    {
        await using ZooKeeperServer zooKeeper = await ZooKeeperServer.StartAsync();
        await using RedisServer one = await RedisServer.StartAsync();
        await using RedisServer two = await RedisServer.StartAsync(new RedisServerOptions { ReplicaOf = one.Address });
        await Eventually.HoldsAsync("the replica is in sync", ct
            => two.InfoAsync("replication", ct), info => info["master_link_status"] == "up");
        await using ZooKeeperClient publisher =
            new(new ZooKeeperOptions { Connection = ZooKeeperConnectionString.Parse(zooKeeper.ConnectionString) });
        ZooKeeperSession session = await publisher.GetSessionAsync();
        Console.WriteLine("setData of the topology sent until the acknowledged write on the new master, ms, medians of " + (Rounds - 1)
            + " rounds (the first warms up)");
        Console.WriteLine($"{"clients",8}{"processes",11}{"first",9}{"median",9}{"p99",9}{"last",9}");
        foreach (string count in counts)
        {
            string[] parts = count.Split('x');
            await MeasureAsync(int.Parse(parts[0], CultureInfo.InvariantCulture), parts.Length > 1
                ? int.Parse(parts[1], CultureInfo.InvariantCulture) : 1, zooKeeper.ConnectionString, session, one, two);
        }
    }

    // That many clients in each of the processes.
    private static async Task MeasureAsync(int count, int processes, string connectionString, ZooKeeperSession session, RedisServer one,
        RedisServer two)
    {
        string root = string.Create(CultureInfo.InvariantCulture, $"/watchers-{count}-{processes}");
        ZnodePaths paths = new(root);
        long epoch = 1;
        (RedisServer master, RedisServer replica) = (await two.InfoAsync("replication"))["role"] == "slave" ? (one, two) : (two, one);
        await session.EnsurePathAsync(root);
        await session.CreateAsync(paths.Nodes, Topology(epoch, master.Address, replica.Address));
        List<WatcherProcess> watchers = [];
        List<double[]> rounds = [];
        try
        {
            for (int i = 0; i < processes; i++)
            {
                watchers.Add(WatcherProcess.Start(connectionString + root, count));
            }

            await AllAsync(watchers, watcher => watcher.AnswerAsync());
            for (int round = 0; round < Rounds; round++)
            {
                epoch++;
                await session.SetDataAsync(paths.Nodes, Topology(epoch, null, master.Address, replica.Address));
                await AllAsync(watchers, watcher => watcher.AskAsync("epoch " + epoch.ToString(CultureInfo.InvariantCulture)));
                await replica.CommandAsync("REPLICAOF", "NO", "ONE");
                await AllAsync(watchers, watcher => watcher.AskAsync("write"));
                byte[] next = Topology(epoch, replica.Address, master.Address);
                long sent = Stopwatch.GetTimestamp();
                await session.SetDataAsync(paths.Nodes, next);
                string[] times = await AllAsync(watchers, watcher => watcher.AnswerAsync());
                rounds.Add(
                    [.. times.SelectMany(line => line.Split(' '))
                        .Select(time => (long.Parse(time, CultureInfo.InvariantCulture) - sent) * 1000d / Stopwatch.Frequency).Order()]);
                await master.CommandAsync("REPLICAOF", "127.0.0.1", replica.Port.ToString(CultureInfo.InvariantCulture));
                await Eventually.HoldsAsync("the old master follows", ct
                    => master.InfoAsync("replication", ct), info => info.GetValueOrDefault("master_link_status") == "up");
                (master, replica) = (replica, master);
            }
        }
        finally
        {
            foreach (WatcherProcess watcher in watchers)
            {
                await watcher.DisposeAsync();
            }
        }

        rounds.RemoveAt(0);
        Console.WriteLine(string.Create(
            CultureInfo.InvariantCulture,
            $"{count * processes,8}{processes,11}{Median(rounds.Select(r => r[0])),9:0.0}{Median(rounds.Select(r => r[r.Length / 2])),9:0.0}{Median(rounds.Select(r => r[(int)((r.Length - 1) * 0.99)])),9:0.0}{Median(rounds.Select(r => r[^1])),9:0.0}"));
    }

    private static Task<string[]> AllAsync(List<WatcherProcess> watchers, Func<WatcherProcess, Task<string>> ask)
        => Task.WhenAll(watchers.Select(ask));

    private static double Median(IEnumerable<double> values) => values.Order().ToArray() is var sorted ? sorted[sorted.Length / 2] : 0;

    private static byte[] Topology(long epoch, NodeAddress? master, params NodeAddress[] replicas) => TopologyJson.Write(new Topology
    {
        Epoch = epoch,
        Master = master,
        Replicas = [.. replicas],
        State = master is null ? TopologyState.FailingOver : TopologyState.Ok,
        Reason = "measured",
    });
}
