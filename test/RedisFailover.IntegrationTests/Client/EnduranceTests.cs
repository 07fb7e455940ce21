using System.Diagnostics;
using NUnit.Framework;
using RedisFailover.IntegrationTests.Harness;
using StackExchange.Redis;

namespace RedisFailover.IntegrationTests.Client;

/// <summary>What a day of failovers would leave behind, in minutes.</summary>
[TestFixture]
public sealed class EnduranceTests
{
    [TestCase(20)]
    [TestCase(1000, Category = "Nightly", Explicit = true, Reason = "Minutes")]
    public async Task Failovers_in_a_row_leave_no_socket_thread_or_memory_behind(int failovers)
    {
        await using ReplicatedRedis redis = await ReplicatedRedis.StartAsync(replicas: 1);
        IDatabase database = redis.Connection.GetDatabase();
        (int Sockets, int Threads, long Bytes) before = default;
        for (int i = 0; i <= failovers; i++)
        {
            // Each one drops the old master from the topology, so that its connection is closed, and takes it back.
            RedisServer old = redis.Master;
            RedisServer next = redis.Servers.Single(server => server != old);
            redis.AnnounceFailover();
            await Eventually.HoldsAsync("the announcement is known", () => redis.Connection.Topology.Master is null);
            await next.CommandAsync("REPLICAOF", "NO", "ONE");
            redis.Publish(next, old);
            await database.StringSetAsync("failover", i);
            await old.CommandAsync("REPLICAOF", "127.0.0.1", next.Port.ToString());
            redis.Publish(next);
            await Eventually.HoldsAsync("both are connected", () => redis.Connection.Nodes.Current is { Master: not null, Replicas.Length: 1 });
            await Eventually.HoldsAsync("it follows", ct => old.InfoAsync("replication", ct), info => info["master_link_status"] == "up");
            if (i == Math.Min(10, failovers / 2))
            {
                before = Counts();
            }
        }

        (int Sockets, int Threads, long Bytes) after = default;
        await Eventually.HoldsAsync("what was closed is gone", () => (after = Counts()).Sockets <= before.Sockets + 4, explain: () => $"{before} before, {after} now");
        TestContext.Out.WriteLine($"{failovers} failovers: {before} before, {after} after (sockets, threads, bytes)");
        Assert.That(after.Threads, Is.LessThan(before.Threads + 8));
        Assert.That(after.Bytes, Is.LessThan(before.Bytes + 8_000_000));
    }

    private static (int Sockets, int Threads, long Bytes) Counts()
    {
        using var process = Process.GetCurrentProcess();
        int sockets = Directory.GetFiles("/proc/self/fd").Count(file => new FileInfo(file).LinkTarget?.StartsWith("socket:", StringComparison.Ordinal) == true);
        return (sockets, process.Threads.Count, GC.GetTotalMemory(forceFullCollection: true));
    }
}
