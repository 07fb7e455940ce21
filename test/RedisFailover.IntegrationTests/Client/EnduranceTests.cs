using System.Diagnostics;
using System.Globalization;
using System.Runtime.CompilerServices;
using NUnit.Framework;
using RedisFailover.Client;
using RedisFailover.IntegrationTests.Harness;
using RedisFailover.ZooKeeper;
using StackExchange.Redis;

namespace RedisFailover.IntegrationTests.Client;

/// <summary>What a day of failovers would leave behind, in minutes.</summary>
[TestFixture]
[NonParallelizable]
public sealed class EnduranceTests
{
    [Test]
    [Category("Nightly")]
    [Explicit("Minutes")]
    public Task Many_of_them_leave_nothing_either()
        => Failovers_in_a_row_leave_no_socket_multiplexer_thread_watch_or_memory_behind(Endurance.Failovers);

    [TestCase(20)]
    public async Task Failovers_in_a_row_leave_no_socket_multiplexer_thread_watch_or_memory_behind(int failovers)
    {
        await using ZooKeeperServer zooKeeper = await ZooKeeperServer.StartAsync();
        await using ZooKeeperClient publisher =
            new(new ZooKeeperOptions { Connection = ZooKeeperConnectionString.Parse(zooKeeper.ConnectionString) });
        ZooKeeperSession session = await publisher.GetSessionAsync();
        await using RedisServer one = await RedisServer.StartAsync();
        await using RedisServer two = await RedisServer.StartAsync(new RedisServerOptions { ReplicaOf = one.Address });
        await Eventually.HoldsAsync("it follows", ct => two.InfoAsync("replication", ct), info => info["master_link_status"] == "up");
        string path = new ZnodePaths("/endurance").Nodes;
        await session.EnsurePathAsync("/endurance");
        await session.CreateAsync(path, TopologyJson.Write(PublishedTopology.Of(1, one.Address, two.Address)));
        await using FailoverConnection connection = await FailoverConnection.ConnectAsync(zooKeeper.ConnectionString + "/endurance");
        IDatabase database = connection.GetDatabase();

        // As SignalR, a cache and Aspire have it: a lease with a handler, one with a queue and an event, a multiplexer that is led.
        RedisChannel news = RedisChannel.Literal("news");
        await using IConnectionMultiplexer listening = connection.AsMultiplexer();
        int heard = -1;
        await listening.GetSubscriber().SubscribeAsync(news, (_, message) => Volatile.Write(ref heard, (int)message));
        await using IConnectionMultiplexer queueing = connection.AsMultiplexer();
        int restored = 0;
        queueing.ConnectionRestored += (_, _) => Interlocked.Increment(ref restored);
        ChannelMessageQueue queue = await queueing.GetSubscriber().SubscribeAsync(news);
        await using ConnectionMultiplexer led = await ConnectionMultiplexer.ConnectAsync(connection.ConfigurationOptions());
        List<WeakReference> multiplexers = [];
        (RedisServer old, RedisServer next) = (one, two);
        Left before = default;
        for (int i = 0; i <= failovers; i++)
        {
            // Each one drops the old master from the topology, so that its connection is closed, and takes it back.
            long epoch = i + 2;
            await session.SetDataAsync(path, TopologyJson.Write(PublishedTopology.Of(epoch, null, next.Address)));
            await Eventually.HoldsAsync("the announcement is known", () => connection.Topology.Master is null);
            await next.CommandAsync("REPLICAOF", "NO", "ONE");
            await session.SetDataAsync(path, TopologyJson.Write(PublishedTopology.Of(epoch, next.Address)));
            await database.StringSetAsync("failover", i);
            await old.CommandAsync("REPLICAOF", "127.0.0.1", next.Port.ToString(CultureInfo.InvariantCulture));
            await session.SetDataAsync(path, TopologyJson.Write(PublishedTopology.Of(epoch, next.Address, old.Address)));
            await Eventually.HoldsAsync("both are connected", () => connection.Nodes.Current is { Master: not null, Replicas.Length: 1 });
            await Eventually.HoldsAsync("it follows", ct => old.InfoAsync("replication", ct), info => info["master_link_status"] == "up");
            Remember(multiplexers, connection.Nodes.Current);
            int number = i;
            await Eventually.HoldsAsync("the handler hears", async _ =>
            {
                await database.PublishAsync(news, number);
                return Volatile.Read(ref heard) == number;
            }, isHeard => isHeard);
            while (queue.TryRead(out _))
            {
            }

            await Eventually.HoldsAsync("what is led writes", async _ =>
            {
                try
                {
                    return await led.GetDatabase().StringSetAsync("led", number);
                }
                catch (RedisException)
                {
                    // Its connection to the old master was in use.
                    return false;
                }
            }, isWritten => isWritten);
            (old, next) = (next, old);
            if (i == Math.Min(10, failovers / 2))
            {
                before = await LeftAsync();
            }
        }

        Left after = default;
        await Eventually.HoldsAsync(
            "what was closed is gone",
            async _ => after = await LeftAsync(),
            left => left.Sockets <= before.Sockets + 4 && left.Multiplexers <= 4 && left.Watches <= before.Watches,
            TimeSpan.FromSeconds(60));
        Assert.That(restored, Is.GreaterThan(failovers));
        TestContext.Out.WriteLine($"{failovers} failovers: before {before}; after {after}");
        Assert.That(after.Threads, Is.LessThan(before.Threads + 8));
        Assert.That(after.Bytes, Is.LessThan(before.Bytes + 2_000_000));

        async Task<Left> LeftAsync()
        {
            using var process = Process.GetCurrentProcess();
            int sockets = Directory.GetFiles("/proc/self/fd")
                .Count(file => new FileInfo(file).LinkTarget?.StartsWith("socket:", StringComparison.Ordinal) == true);
            string watches = (await zooKeeper.FourLetterAsync("wchs")).Split("Total watches:")[1];

            // The servers' own output is kept by the test and grows.
            long kept =
                new[] { one.Process, two.Process, zooKeeper.Process }.Sum(server => server.Log.Sum(line => (line.Length * 2L) + 40));
            long bytes = GC.GetTotalMemory(forceFullCollection: true) - kept;
            return new Left(sockets, multiplexers.Count(one => one.IsAlive), process.Threads.Count,
                int.Parse(watches, CultureInfo.InvariantCulture), bytes);
        }
    }

    /// <summary>In a method of its own, so that the caller's frame holds none of them.</summary>
    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void Remember(List<WeakReference> multiplexers, Snapshot snapshot)
        => multiplexers.AddRange(snapshot.Replicas.Append(snapshot.Master!)
            .Where(node => !multiplexers.TakeLast(4).Any(known => known.Target == node.Multiplexer))
            .Select(node => new WeakReference(node.Multiplexer)));

    private readonly record struct Left(int Sockets, int Multiplexers, int Threads, int Watches, long Bytes);
}
