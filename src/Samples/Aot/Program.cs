// An application that is compiled to native code: dotnet publish src/Samples/Aot, then the program with a ZooKeeper connection string.
using RedisFailover.Client;
using StackExchange.Redis;

if (args is not [var zooKeeper])
{
    Console.Error.WriteLine("usage: RedisFailover.Samples.Aot ZK1:2181,ZK2:2181/redis_failover");
    return 2;
}

await using FailoverConnection connection = await FailoverConnection.ConnectAsync(zooKeeper);
IDatabase redis = connection.GetDatabase();
await redis.StringSetAsync("greeting", "hello");
Console.WriteLine(await redis.StringGetAsync("greeting", CommandFlags.DemandMaster));
Console.WriteLine(await connection.AsMultiplexer().GetDatabase().StringLengthAsync("greeting"));
return 0;
