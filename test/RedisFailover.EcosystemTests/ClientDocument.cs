using Hangfire;
using Hangfire.Redis.StackExchange;
using Medallion.Threading.Redis;
using Microsoft.AspNetCore.DataProtection;
using Microsoft.AspNetCore.OutputCaching.StackExchangeRedis;
using Microsoft.AspNetCore.SignalR.StackExchangeRedis;
using Microsoft.Extensions.Caching.StackExchangeRedis;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using RedisFailover.Client;
using RedisFailover.Client.Extensions;
using RedLockNet.SERedis;
using RedLockNet.SERedis.Configuration;
using StackExchange.Redis;
using ZiggyCreatures.Caching.Fusion.Backplane.StackExchangeRedis;

namespace RedisFailover.EcosystemTests;

/// <summary>
/// What the table at the head of docs/client.md says to write, as it stands there: that it is compiled here is the test, and that nothing
/// is missing <see cref="ClientDocumentTests"/> sees to.
/// </summary>
internal static class ClientDocument
{
    internal static object[] Itself(FailoverConnection connection)
        => [connection.GetDatabase(), connection.GetSubscriber(), connection.AsMultiplexer()];

    internal static void Host(IServiceCollection services, IConfiguration configuration)
    {
        services.AddRedisFailover(configuration.GetSection("RedisFailover"));
        IConfigurationSection section = configuration.GetSection("Orders");
        services.AddRedisFailover("orders", section);
    }

    internal static IDatabase Keyed([FromKeyedServices("orders")] IDatabase database) => database;

    internal static void Configure(FailoverConnection connection, RedisCacheOptions options)
        => options.ConnectionMultiplexerFactory = () => Task.FromResult(connection.AsMultiplexer());

    internal static void Configure(FailoverConnection connection, RedisOutputCacheOptions options)
        => options.ConnectionMultiplexerFactory = () => Task.FromResult(connection.AsMultiplexer());

    internal static void Configure(FailoverConnection connection, RedisBackplaneOptions options)
        => options.ConnectionMultiplexerFactory = () => Task.FromResult(connection.AsMultiplexer());

    internal static void Configure(FailoverConnection connection, RedisOptions options)
        => options.ConnectionFactory = _ => Task.FromResult(connection.AsMultiplexer());

    internal static IDataProtectionBuilder Configure(FailoverConnection connection, IDataProtectionBuilder builder)
        => builder.PersistKeysToStackExchangeRedis(() => connection.GetDatabase(), "keys");

    internal static JobStorage Jobs(FailoverConnection connection) => new RedisStorage(connection.AsMultiplexer());

    internal static object[] Locks(FailoverConnection connection)
        => [
            RedLockFactory.Create([new RedLockMultiplexer(connection.AsMultiplexer())]),
            new RedisDistributedLock("name", connection.GetDatabase()),
        ];

    internal static IHealthChecksBuilder Configure(IHealthChecksBuilder builder)
        => builder.AddRedis(services => services.GetRequiredService<IConnectionMultiplexer>());

    internal static ConfigurationOptions Configure(FailoverConnection connection, IHostApplicationBuilder builder)
    {
        builder.AddRedisClient("redis", configureOptions: connection.Configure);
        return connection.ConfigurationOptions();
    }
}
