using RedisFailover.Client;
using RedisFailover.Client.Extensions;
using StackExchange.Redis;

// dotnet run --project src/Samples/Web -- --RedisFailover:ZooKeeper 127.0.0.1:2181/redis_failover --urls http://127.0.0.1:8080
WebApplicationBuilder builder = WebApplication.CreateBuilder(args);
builder.Services.AddRedisFailover(builder.Configuration.GetSection("RedisFailover"));
WebApplication app = builder.Build();

app.MapHealthChecks("/health");

app.MapGet("/topology", (FailoverConnection connection) => new
{
    connection.Topology.Epoch,
    Master = connection.Topology.Master?.ToString(),
    Replicas = connection.Topology.Replicas.Select(replica => replica.ToString()),
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
    try
    {
        await redis.AsIdempotent().StringSetAsync(key, await body.ReadToEndAsync());
        return Results.NoContent();
    }
    catch (NotAppliedException failure)
    {
        return Results.Problem(failure.Message, statusCode: StatusCodes.Status503ServiceUnavailable);
    }
});

app.Run();
