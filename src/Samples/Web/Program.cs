using Microsoft.Extensions.Caching.Distributed;
using RedisFailover.Client;
using RedisFailover.Samples.Web;
using StackExchange.Redis;

// dotnet run --project src/Samples/Web -- --RedisFailover:ZooKeeper 127.0.0.1:2181/redis_failover --urls http://127.0.0.1:8080
WebApplicationBuilder builder = WebApplication.CreateBuilder(args);
builder.Services.AddRedisParts(builder.Configuration.GetSection("RedisFailover"));
builder.Services.AddSingleton<Orders>();
builder.Services.AddOutputCache();
WebApplication app = builder.Build();
// For whom it is: a session is loaded and saved at Redis, and what looks whether this application lives must not wait for that.
app.UseWhen(context => context.Request.Path == "/", session => session.UseSession());
app.UseOutputCache();

// What no master took in time was not applied: the caller may send it again. Of a write whose reply was lost the message says that it may
// have been: whether it may be sent again the caller has to know.
app.Use(async (context, next) =>
{
    try
    {
        await next(context);
    }
    catch (FailoverException failure) when (!context.Response.HasStarted)
    {
        await Results.Problem(failure.Message, statusCode: StatusCodes.Status503ServiceUnavailable).ExecuteAsync(context);
    }
});

app.MapHealthChecks("/health");
app.MapHub<ChatHub>("/chat");

app.MapGet("/topology", (FailoverConnection connection) => new
{
    connection.Topology.Epoch,
    Master = connection.Topology.Master?.ToString(),
    Replicas = connection.Topology.Replicas.Select(replica => replica.ToString()),
});

// The session is in the cache, and its cookie is protected by keys that are in Redis, too.
app.MapGet("/", (HttpContext context) =>
{
    int visits = (context.Session.GetInt32("visits") ?? 0) + 1;
    context.Session.SetInt32("visits", visits);
    return $"visit {visits}";
});

// From a replica; ?latest=true from the master.
app.MapGet("/keys/{key}", async (string key, bool? latest, IDatabase redis)
    => await redis.StringGetAsync(key, latest == true ? CommandFlags.DemandMaster : CommandFlags.None) is { HasValue: true } value
        ? Results.Text(value.ToString())
        : Results.NotFound());

// A SET may be applied twice, so it may be repeated; what remains is that no master came in time.
app.MapPut("/keys/{key}", async (string key, HttpRequest request, IDatabase redis) =>
{
    using StreamReader body = new(request.Body);
    await redis.AsIdempotent().StringSetAsync(key, await body.ReadToEndAsync());
    return Results.NoContent();
});

app.MapGet("/cached/{key}", async (string key, IDistributedCache cache)
    => await cache.GetStringAsync(key) is { } value ? Results.Text(value) : Results.NotFound());
app.MapPut("/cached/{key}", async (string key, HttpRequest request, IDistributedCache cache) =>
{
    using StreamReader body = new(request.Body);
    await cache.SetStringAsync(key, await body.ReadToEndAsync());
    return Results.NoContent();
});

app.MapPut("/orders/{id}", async (string id, bool? safe, Orders orders)
    => await orders.PlaceAsync(id, safe == true) is { } why
        ? Results.Problem(why, statusCode: StatusCodes.Status503ServiceUnavailable) : Results.NoContent());
app.MapGet("/orders/{id}", async (string id, IDatabase redis) => new
{
    Placed = await redis.KeyExistsAsync($"order:{id}", CommandFlags.DemandMaster),
    Shipped = await redis.KeyExistsAsync($"order:{id}:shipped", CommandFlags.DemandMaster),
});
app.MapGet("/orders", async (Orders orders) =>
{
    (int acknowledged, string[] lost) = await orders.AccountAsync();
    return new { Acknowledged = acknowledged, Lost = lost };
});
app.MapGet("/time", () => TimeProvider.System.GetUtcNow().ToString("O")).CacheOutput(policy => policy.Expire(TimeSpan.FromMinutes(1)));

app.Run();
