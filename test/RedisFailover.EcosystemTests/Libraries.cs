using System.Collections.Concurrent;
using System.Globalization;
using System.Text;
using System.Xml.Linq;
using Hangfire;
using Hangfire.Redis.StackExchange;
using HealthChecks.Redis;
using Medallion.Threading.Redis;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.DataProtection.StackExchangeRedis;
using Microsoft.AspNetCore.OutputCaching;
using Microsoft.AspNetCore.SignalR;
using Microsoft.AspNetCore.SignalR.Client;
using Microsoft.AspNetCore.TestHost;
using Microsoft.Extensions.Caching.Distributed;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Diagnostics.HealthChecks;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using NRedisStack;
using NRedisStack.RedisStackCommands;
using RedLockNet.SERedis;
using RedLockNet.SERedis.Configuration;
using StackExchange.Redis;
using ZiggyCreatures.Caching.Fusion;
using ZiggyCreatures.Caching.Fusion.Backplane.StackExchangeRedis;

namespace RedisFailover.EcosystemTests;

/// <summary>The libraries, each as its own documents configure it, unmodified.</summary>
internal static class Libraries
{
    private static readonly ConcurrentDictionary<string, byte> s_ran = [];

    public static async Task<Library[]> AllAsync(Access access) =>
    [
        Caching(access),
        DataProtection(access),
        await SignalRAsync(access),
        OutputCaching(access),
        Hangfire(access),
        await FusionCacheAsync(access),
        RedLock(access),
        DistributedLock(access),
        RedisStack(access),
        HealthChecks(access),
        Aspire(access),
    ];

    /// <summary>A job of Hangfire's.</summary>
    public static void Run(string job) => s_ran[job] = 0;

    private static Task<IConnectionMultiplexer> Lease(Access access) => Task.FromResult(access.Connect());

    public static Library Caching(Access access)
    {
        ServiceProvider services = new ServiceCollection()
            .AddStackExchangeRedisCache(options => options.ConnectionMultiplexerFactory = () => Lease(access)).BuildServiceProvider();
        IDistributedCache cache = services.GetRequiredService<IDistributedCache>();
        return new Library(
            "Caching.StackExchangeRedis",
            (number, stop) => cache.SetStringAsync(Key("cache", number), Text(number), stop),
            done => CountAsync(done, async number => await cache.GetStringAsync(Key("cache", number)) == Text(number)))
        { EndAsync = services.DisposeAsync };
    }

    private static Library DataProtection(Access access)
    {
        // It asks for its database at each call.
        IDatabase database = access.Connect().GetDatabase();
        var keys = new RedisXmlRepository(() => database, "protection");
        return new Library(
            "DataProtection.StackExchangeRedis",
            (number, _) => Task.Run(() => keys.StoreElement(new XElement("key", number), Text(number)), CancellationToken.None),
            done =>
            {
                HashSet<string> kept = [.. keys.GetAllElements().Select(element => element.Value)];
                return Task.FromResult(done.Count(number => !kept.Contains(Text(number))));
            });
    }

    public static async Task<Library> SignalRAsync(Access access)
    {
        WebApplicationBuilder builder = WebApplication.CreateBuilder();
        builder.Logging.ClearProviders();
        builder.WebHost.UseTestServer();
        builder.Services.AddSignalR().AddStackExchangeRedis(options => options.ConnectionFactory = _ => Lease(access));
        WebApplication application = builder.Build();
        application.MapHub<ChatHub>("/chat");
        await application.StartAsync();
        TestServer server = application.GetTestServer();
        var heard = new ConcurrentDictionary<int, byte>();
        HubConnection listener = new HubConnectionBuilder()
            .WithUrl("http://localhost/chat", options => options.HttpMessageHandlerFactory = _ => server.CreateHandler())
            .Build();
        listener.On<int>("said", number => heard[number] = 0);
        await listener.StartAsync();
        IHubContext<ChatHub> hub = application.Services.GetRequiredService<IHubContext<ChatHub>>();
        return new Library(
            "SignalR.StackExchangeRedis",
            (number, stop) => hub.Clients.All.SendAsync("said", number, stop),
            async done =>
            {
                await UntilAsync(() => done.All(heard.ContainsKey), TimeSpan.FromSeconds(2));
                return done.Count(number => !heard.ContainsKey(number));
            })
        {
            MayMiss = true,
            EndAsync = async () =>
            {
                await listener.DisposeAsync();
                await application.DisposeAsync();
            },
        };
    }

    private static Library OutputCaching(Access access)
    {
        ServiceProvider services = new ServiceCollection().AddLogging()
            .AddStackExchangeRedisOutputCache(options => options.ConnectionMultiplexerFactory = () => Lease(access))
                .BuildServiceProvider();
        IOutputCacheStore store = services.GetRequiredService<IOutputCacheStore>();
        return new Library(
            "OutputCaching.StackExchangeRedis",
            async (number, stop)
                => await store.SetAsync(Key("page", number), Encoding.UTF8.GetBytes(Text(number)), null, TimeSpan.FromHours(1), stop),
            done => CountAsync(done, async number => await store.GetAsync(Key("page", number), CancellationToken.None) is { } page
                && Encoding.UTF8.GetString(page) == Text(number)))
        { EndAsync = services.DisposeAsync };
    }

    private static Library Hangfire(Access access)
    {
        string run = Guid.NewGuid().ToString("N");
        var storage = new RedisStorage(access.Connect(), new RedisStorageOptions { Prefix = $"{{{run}}}:" });
        var server =
            new BackgroundJobServer(new BackgroundJobServerOptions { WorkerCount = 4, SchedulePollingInterval = TimeSpan.FromSeconds(1) },
                storage);
        var client = new BackgroundJobClient(storage);
        return new Library(
            "Hangfire.Redis.StackExchange",
            (number, _) => Task.Run(() => client.Enqueue(() => Run(Key(run, number))), CancellationToken.None),
            async done =>
            {
                await UntilAsync(() => done.All(number => s_ran.ContainsKey(Key(run, number))), TimeSpan.FromSeconds(15));
                return done.Count(number => !s_ran.ContainsKey(Key(run, number)));
            })
        {
            EndAsync = () =>
            {
                server.SendStop();
                return default;
            },
        };
    }

    private static async Task<Library> FusionCacheAsync(Access access)
    {
        FusionCache here = New();
        FusionCache there = New();
        var heard = new ConcurrentDictionary<string, byte>();
        there.Events.Backplane.MessageReceived += (_, received) => heard[received.Message.CacheKey ?? ""] = 0;
        await here.SetAsync("first", 0);
        return new Library(
            "FusionCache.Backplane",
            async (number, stop) => await here.SetAsync(Key("fusion", number), number, token: stop),
            async done =>
            {
                await UntilAsync(() => done.All(number => heard.ContainsKey(Key("fusion", number))), TimeSpan.FromSeconds(5));
                return done.Count(number => !heard.ContainsKey(Key("fusion", number)));
            })
        {
            MayMiss = true,
            EndAsync = () =>
            {
                here.Dispose();
                there.Dispose();
                return default;
            },
        };

        FusionCache New()
        {
            var options = new FusionCacheOptions { CacheName = "fusion", WaitForInitialBackplaneSubscribe = true };
            var cache = new FusionCache(options);
            cache.DefaultEntryOptions.AllowBackgroundBackplaneOperations = false;
            cache.SetupBackplane(new RedisBackplane(new RedisBackplaneOptions { ConnectionMultiplexerFactory = () => Lease(access) }));
            return cache;
        }
    }

    private static Library RedLock(Access access)
    {
        RedLockFactory factory = RedLockFactory.Create([new RedLockMultiplexer(access.Connect())]);
        return new Library(
            "RedLock.net",
            async (number, stop) =>
            {
                await using RedLockNet.IRedLock taken = await factory.CreateLockAsync(Key("redlock", number), TimeSpan.FromSeconds(30));
                if (!taken.IsAcquired)
                {
                    throw new InvalidOperationException($"not acquired: {taken.Status}");
                }
            },
            _ => Task.FromResult(0))
        {
            EndAsync = () =>
            {
                factory.Dispose();
                return default;
            },
        };
    }

    private static Library DistributedLock(Access access)
    {
        IDatabase database = access.Connect().GetDatabase();
        return new Library(
            "DistributedLock.Redis",
            async (number, stop) =>
            {
                await using RedisDistributedLockHandle? taken = await new RedisDistributedLock(Key("lock", number), database)
                    .TryAcquireAsync(TimeSpan.FromSeconds(5), stop);
                _ = taken ?? throw new InvalidOperationException("not acquired");
            },
            _ => Task.FromResult(0));
    }

    private static Library RedisStack(Access access)
    {
        IDatabase database = access.Connect().GetDatabase();
        return new Library(
            "NRedisStack",
            (number, _)
                => database.ExecuteAsync(
                    new SerializedCommand(CommandFlags.CommandRetryWriteLastWins, "SET", Key("stack", number), Text(number))),
            done => CountAsync(done, async number
                => await database.StringGetAsync(Key("stack", number), CommandFlags.DemandMaster) == Text(number)));
    }

    private static Library HealthChecks(Access access)
    {
        var check = new RedisHealthCheck(access.Connect());
        var context = new HealthCheckContext { Registration = new HealthCheckRegistration("redis", check, HealthStatus.Unhealthy, null) };
        return new Library(
            "AspNetCore.HealthChecks.Redis",
            async (_, stop) =>
            {
                HealthCheckResult result = await check.CheckHealthAsync(context, stop);
                if (result.Status != HealthStatus.Healthy)
                {
                    throw new InvalidOperationException($"{result.Status}: {result.Description ?? result.Exception?.Message}");
                }
            },
            _ => Task.FromResult(0));
    }

    private static Library Aspire(Access access)
    {
        HostApplicationBuilder builder = Host.CreateEmptyApplicationBuilder(null);
        builder.Configuration["ConnectionStrings:redis"] = access.ConnectionString;
        builder.AddRedisClient("redis", configureOptions: access.Configure);
        IHost host = builder.Build();
        IDatabase database = host.Services.GetRequiredService<IConnectionMultiplexer>().GetDatabase();
        return new Library(
            "Aspire.StackExchange.Redis",
            (number, _) => database.StringSetAsync(Key("aspire", number), Text(number)),
            done => CountAsync(done, async number => await database.StringGetAsync(Key("aspire", number)) == Text(number)))
        {
            EndAsync = () =>
            {
                host.Dispose();
                return default;
            },
        };
    }

    private static async Task<int> CountAsync(IReadOnlyCollection<int> done, Func<int, Task<bool>> isThere)
    {
        int lost = 0;
        foreach (int number in done)
        {
            lost += await isThere(number) ? 0 : 1;
        }

        return lost;
    }

    private static async Task UntilAsync(Func<bool> holds, TimeSpan within)
    {
        using var limit = new CancellationTokenSource(within);
        while (!holds() && !limit.IsCancellationRequested)
        {
            await Task.Delay(TimeSpan.FromMilliseconds(20), CancellationToken.None);
        }
    }

    private static string Key(string kind, int number) => $"{kind}:{Text(number)}";

    private static string Text(int number) => number.ToString(CultureInfo.InvariantCulture);

    private sealed class ChatHub : Hub;
}
