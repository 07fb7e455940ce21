using System.Collections.Concurrent;
using Hangfire;
using Medallion.Threading.Redis;
using RedisFailover.Client;
using StackExchange.Redis;

namespace RedisFailover.Samples.Web;

/// <summary>
/// Orders are written under a lock and shipped by a job. Those that were acknowledged are remembered, so that losses can be told.
/// </summary>
internal sealed class Orders(IDatabase redis, IBackgroundJobClient jobs)
{
    private readonly ConcurrentDictionary<string, byte> _acknowledged = new(StringComparer.Ordinal);

    /// <summary>Writes an order. Null when it is acknowledged, otherwise why it is not.</summary>
    /// <param name="id">Its number.</param>
    /// <param name="safe">Whether a replica has to have it, too: with <c>--write-safety replicated</c> no failover loses it then.</param>
    /// <exception cref="NotAppliedException">No master took it in time.</exception>
    internal async Task<string?> PlaceAsync(string id, bool safe)
    {
        await using RedisDistributedLockHandle? taken =
            await new RedisDistributedLock($"order:{id}:lock", redis).TryAcquireAsync(TimeSpan.FromSeconds(30));
        if (taken is null)
        {
            return $"somebody else writes order {id}";
        }

        if (safe)
        {
            IBatch batch = redis.CreateBatch();
            Task<bool> written = batch.StringSetAsync($"order:{id}", "placed");
            Task<RedisResult> confirmed = batch.ExecuteAsync("WAIT", "1", "1000");
            batch.Execute();
            await written;
            if ((int)await confirmed < 1)
            {
                return $"no replica has confirmed order {id}; it may be lost with the master";
            }
        }
        else
        {
            // A SET of the same value may be applied twice.
            await redis.AsIdempotent().StringSetAsync($"order:{id}", "placed");
        }

        _acknowledged[id] = 0;
        jobs.Enqueue<Shipping>(shipping => shipping.ShipAsync(id));
        return null;
    }

    /// <summary>How many orders were acknowledged, and which of them the master does not have.</summary>
    internal async Task<(int Acknowledged, string[] Lost)> AccountAsync()
    {
        string[] ids = [.. _acknowledged.Keys];
        RedisValue[] found = await redis.StringGetAsync([.. ids.Select(id => (RedisKey)$"order:{id}")], CommandFlags.DemandMaster);
        return (ids.Length, [.. ids.Where((_, i) => found[i].IsNull).Order(StringComparer.Ordinal)]);
    }
}

/// <summary>The job.</summary>
public sealed class Shipping(IDatabase redis)
{
    /// <summary>Ships an order; may run twice.</summary>
    /// <param name="id">Its number.</param>
    public Task ShipAsync(string id) => redis.AsIdempotent().StringSetAsync($"order:{id}:shipped", "yes");
}
