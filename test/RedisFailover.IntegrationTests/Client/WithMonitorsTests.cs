using System.Diagnostics;
using NUnit.Framework;
using RedisFailover.Client;
using RedisFailover.IntegrationTests.Harness;
using StackExchange.Redis;

namespace RedisFailover.IntegrationTests.Client;

/// <summary>The client together with ZooKeeper and monitors that are real.</summary>
[TestFixture]
public sealed class WithMonitorsTests
{
    [Test]
    public async Task A_switchover_that_the_client_asks_for_and_a_killed_master_both_leave_it_writing()
    {
        await using Cluster cluster = await Cluster.StartAsync(new ClusterOptions { Monitors = 1 });
        await using FailoverConnection connection = await FailoverConnection.ConnectAsync(
            cluster.ConnectionString, new FailoverOptions { ConnectTimeout = TimeSpan.FromSeconds(30) });
        await Eventually.HoldsAsync("a master and its replicas are known", ()
            => connection.Topology is { Master: not null, Replicas.Length: 2 });
        IDatabase database = connection.GetDatabase();
        await database.StringSetAsync("count", 0);

        NodeAddress first = connection.Topology.Master!;
        NodeAddress target = connection.Topology.Replicas[0];
        using var deadline = new CancellationTokenSource(TimeSpan.FromSeconds(20));
        Task<Topology> asked = connection.FailoverAsync(target, deadline.Token);
        int written = 0;
        while (!asked.IsCompleted)
        {
            await database.StringIncrementAsync("count");
            written++;
        }

        Assert.That((await asked).Master, Is.EqualTo(target));
        Assert.That((int)await database.StringGetAsync("count", CommandFlags.DemandMaster), Is.EqualTo(written),
            "a switchover loses nothing");
        await Eventually.HoldsAsync("the old master follows", () => connection.Topology.Replicas.Contains(first));

        using var patience = new CancellationTokenSource(TimeSpan.FromMinutes(1));
        InvalidOperationException refused = await Failing.WithAsync<InvalidOperationException>(
            () => connection.FailoverAsync(NodeAddress.Parse("127.0.0.1:1"), patience.Token));
        Assert.That(refused.Message, Does.StartWith("The monitors refused it: ").And.Contain("127.0.0.1:1"));
        Assert.That(connection.Topology.Master, Is.EqualTo(target));

        long start = Stopwatch.GetTimestamp();
        cluster.Redis.Single(redis => redis.Address == target).Kill();
        int ambiguous = 0;
        while (connection.Topology.Master == target || connection.Topology.Master is null)
        {
            try
            {
                await database.StringSetAsync("after", 1);
            }
            catch (MayHaveBeenAppliedException)
            {
                ambiguous++;
            }
        }

        await database.StringSetAsync("after", 2);
        TestContext.Out.WriteLine(
            $"{written} writes during the switchover; kill to first write {Stopwatch.GetElapsedTime(start).TotalMilliseconds:0} ms, "
                + $"{ambiguous} ambiguous");
        Assert.That(ambiguous, Is.LessThanOrEqualTo(1));
    }
}
