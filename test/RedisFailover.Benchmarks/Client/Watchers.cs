using System.Diagnostics;
using System.Globalization;
using RedisFailover.Client;
using RedisFailover.IntegrationTests.Harness;
using RedisFailover.ZooKeeper;
using StackExchange.Redis;

namespace RedisFailover.Benchmarks.Client;

/// <summary>
/// From the moment when the topology's setData is sent until a write that waits for it is acknowledged by the new master, with 1, 10
/// and 100 clients that all wait: each has a ZooKeeper session and connections of its own, as a process would have.
/// "watchers [count ...]".
/// </summary>
internal static class Watchers
{
    private const int Rounds = 6;

    public static async Task RunAsync(int[] counts)
    {
        await using ZooKeeperServer zooKeeper = await ZooKeeperServer.StartAsync();
        await using RedisServer one = await RedisServer.StartAsync();
        await using RedisServer two = await RedisServer.StartAsync(new RedisServerOptions { ReplicaOf = one.Address });
        await Eventually.HoldsAsync("the replica is in sync", ct => two.InfoAsync("replication", ct), info => info["master_link_status"] == "up");
        await using ZooKeeperClient publisher = new(new ZooKeeperOptions { Connection = ZooKeeperConnectionString.Parse(zooKeeper.ConnectionString) });
        ZooKeeperSession session = await publisher.GetSessionAsync();
        Console.WriteLine("setData of the topology sent until the acknowledged write on the new master, ms, medians of " + (Rounds - 1) + " rounds (the first warms up)");
        Console.WriteLine($"{"clients",8}{"first",9}{"median",9}{"p99",9}{"last",9}{"topology",10}");
        foreach (int count in counts)
        {
            await MeasureAsync(count, zooKeeper.ConnectionString, session, one, two);
        }
    }

    private static async Task MeasureAsync(int count, string connectionString, ZooKeeperSession session, RedisServer one, RedisServer two)
    {
        string root = "/watchers" + count.ToString(CultureInfo.InvariantCulture);
        ZnodePaths paths = new(root);
        long epoch = 1;
        (RedisServer master, RedisServer replica) = (await two.InfoAsync("replication"))["role"] == "slave" ? (one, two) : (two, one);
        await session.EnsurePathAsync(root);
        await session.CreateAsync(paths.Nodes, Topology(epoch, master.Address, replica.Address));
        FailoverConnection[] clients = await Task.WhenAll(Enumerable.Range(0, count).Select(_ => FailoverConnection.ConnectAsync(connectionString + root)));
        List<double[]> rounds = [];
        List<double> told = [];
        try
        {
            IDatabase[] databases = [.. clients.Select(client => client.GetDatabase())];
            await Task.WhenAll(databases.Select(database => database.StringSetAsync("key", 0)));
            for (int round = 0; round < Rounds; round++)
            {
                epoch++;
                await session.SetDataAsync(paths.Nodes, Topology(epoch, null, master.Address, replica.Address));
                await Eventually.HoldsAsync("all know that there is no master", () => clients.All(client => client.Topology.Epoch == epoch));
                await replica.CommandAsync("REPLICAOF", "NO", "ONE");
                Task<double>[] writes = [.. databases.Select(AcknowledgedAsync)];
                TaskCompletionSource<long> known = new();
                clients[0].TopologyChanged += Known;
                byte[] next = Topology(epoch, replica.Address, master.Address);
                long sent = Stopwatch.GetTimestamp();
                await session.SetDataAsync(paths.Nodes, next);
                double[] times = await Task.WhenAll(writes);
                rounds.Add([.. times.Select(time => time - Milliseconds(sent)).Order()]);
                told.Add(Milliseconds(await known.Task) - Milliseconds(sent));
                clients[0].TopologyChanged -= Known;
                await master.CommandAsync("REPLICAOF", "127.0.0.1", replica.Port.ToString(CultureInfo.InvariantCulture));
                await Eventually.HoldsAsync("the old master follows", ct => master.InfoAsync("replication", ct), info => info.GetValueOrDefault("master_link_status") == "up");
                (master, replica) = (replica, master);

                void Known(Topology topology) => known.TrySetResult(Stopwatch.GetTimestamp());
            }
        }
        finally
        {
            await Task.WhenAll(clients.Select(client => client.DisposeAsync().AsTask()));
        }

        rounds.RemoveAt(0);
        told.RemoveAt(0);
        Console.WriteLine(string.Create(
            CultureInfo.InvariantCulture,
            $"{count,8}{Median(rounds.Select(r => r[0])),9:0.0}{Median(rounds.Select(r => r[r.Length / 2])),9:0.0}{Median(rounds.Select(r => r[(int)((r.Length - 1) * 0.99)])),9:0.0}{Median(rounds.Select(r => r[^1])),9:0.0}{Median(told),10:0.0}"));
    }

    private static async Task<double> AcknowledgedAsync(IDatabase database)
    {
        await database.StringSetAsync("key", 1);
        return Milliseconds(Stopwatch.GetTimestamp());
    }

    private static double Milliseconds(long timestamp) => timestamp * 1000d / Stopwatch.Frequency;

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
