using Hangfire;
using Hangfire.Redis.StackExchange;
using Microsoft.AspNetCore.DataProtection.KeyManagement;
using Microsoft.AspNetCore.DataProtection.StackExchangeRedis;
using Microsoft.AspNetCore.OutputCaching.StackExchangeRedis;
using Microsoft.AspNetCore.SignalR.StackExchangeRedis;
using Microsoft.Extensions.Caching.StackExchangeRedis;
using RedisFailover.Client;
using RedisFailover.Client.Extensions;

namespace RedisFailover.Samples.Web;

/// <summary>What of ASP.NET Core is kept in Redis. Each part gets a lease of the one connection, a line each.</summary>
internal static class RedisParts
{
    internal static void AddRedisParts(this IServiceCollection services, IConfiguration settings)
    {
        services.AddRedisFailover(settings);

        services.AddStackExchangeRedisCache(_ => { });
        services.AddOptions<RedisCacheOptions>().Configure<FailoverConnection>(
            (options, redis) => options.ConnectionMultiplexerFactory = () => Task.FromResult(redis.AsMultiplexer()));
        services.AddSession();

        services.AddStackExchangeRedisOutputCache(_ => { });
        services.AddOptions<RedisOutputCacheOptions>().Configure<FailoverConnection>(
            (options, redis) => options.ConnectionMultiplexerFactory = () => Task.FromResult(redis.AsMultiplexer()));

        services.AddDataProtection();
        services.AddOptions<KeyManagementOptions>().Configure<FailoverConnection>(
            (options, redis) => options.XmlRepository = new RedisXmlRepository(() => redis.GetDatabase(), "data-protection"));

        services.AddSignalR().AddStackExchangeRedis();
        services.AddOptions<RedisOptions>().Configure<FailoverConnection>(
            (options, redis) => options.ConnectionFactory = _ => Task.FromResult(redis.AsMultiplexer()));

        services.AddHangfire((provider, hangfire) => hangfire.UseStorage(
            new RedisStorage(
                provider.GetRequiredService<FailoverConnection>().AsMultiplexer(),
                // Workers hear of a job by a message, which is missed in a failover; by default they look for themselves after 3 min.
                new RedisStorageOptions { FetchTimeout = TimeSpan.FromSeconds(1) })));
        services.AddHangfireServer(options => options.SchedulePollingInterval = TimeSpan.FromSeconds(1));
    }
}
