using System.Globalization;

namespace RedisFailover.IntegrationTests.Harness;

/// <content>What the nodes hold and whom they follow, by their own word.</content>
public sealed partial class Cluster
{
    private const string Key = "k", Value = "v";

    /// <summary>One key, written to the first node, copied by all others, and seen by the leading monitor: it asks once a second.</summary>
    public async Task SetDataAsync()
    {
        await _redis[0].CommandAsync("SET", Key, Value);
        foreach (RedisServer replica in _redis.Skip(1))
        {
            await WaitForDataAsync(replica);
        }

        if (_monitors.Any(monitor => monitor.Process.IsRunning))
        {
            await WaitForAsync("The leading monitor knows of the data", topology => topology.Identity is { HasData: true });
        }
    }

    /// <summary>Waits until the node has what <see cref="SetDataAsync"/> wrote.</summary>
    public Task WaitForDataAsync(RedisServer redis)
        => Eventually.HoldsAsync($"{redis.Address} has the data", ct => redis.CommandAsync(["GET", Key], ct), reply
            => reply.Text == Value, explain: Explain);

    /// <summary>Whether the node has now what <see cref="SetDataAsync"/> wrote.</summary>
    public static async Task<bool> HasDataAsync(RedisServer redis) => (await redis.CommandAsync("GET", Key)).Text == Value;

    /// <summary>Waits until every node that was started has it.</summary>
    public async Task WaitForDataEverywhereAsync()
    {
        foreach (RedisServer redis in _redis)
        {
            await WaitForDataAsync(redis);
        }
    }

    public Task WaitUntilDetachedAsync(RedisServer redis)
        => Eventually.HoldsAsync($"{redis.Address} follows nobody", redis.MasterAsync, master
            => master == NodeInfo.Nowhere, explain: Explain);

    public Task WaitUntilFollowingAsync(RedisServer redis, RedisServer master)
        => Eventually.HoldsAsync(
            $"{redis.Address} follows {master.Address}",
            async ct => await redis.InfoAsync("replication", ct),
            info => info["role"] == "slave" && info["master_port"] == master.Port.ToString(CultureInfo.InvariantCulture)
                && info["master_link_status"] == "up",
            explain: Explain);

    /// <summary>Waits until the znode says so and the nodes, asked themselves, say the same.</summary>
    public async Task<Topology> WaitUntilOneMasterAsync()
    {
        Topology topology = await WaitUntilWholeAsync(Eventually.DefaultDeadline);
        foreach (RedisServer redis in _redis.Where(redis => redis != Node(topology.Master!)))
        {
            await Eventually.HoldsAsync($"{redis.Address} follows the master", redis.MasterAsync, master
                => master == topology.Master, explain: Explain);
        }

        return topology;
    }

    /// <summary>Waits until the published set of write safety is as wished.</summary>
    public async Task<WriteQuorum> WaitForSafetyAsync(string what, Func<WriteQuorum, bool> holds)
        => (await WaitForAsync(what, topology => topology.WriteQuorum is { } safety && holds(safety), Eventually.DefaultDeadline))
            .WriteQuorum!;

    /// <summary>Waits until both replicas may hold what WAIT acknowledged, and one of them has to.</summary>
    public Task<WriteQuorum> WaitUntilSafeAsync()
        => WaitForSafetyAsync("Both replicas are in the set, and one at least is asked for", safety
            => safety is { Replicas.Length: 2, MinReplicas: 1 });
}
