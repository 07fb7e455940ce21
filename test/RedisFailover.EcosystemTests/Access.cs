using RedisFailover.Client;
using StackExchange.Redis;

namespace RedisFailover.EcosystemTests;

/// <summary>How the libraries get to Redis.</summary>
/// <param name="Connect">Gives a library its multiplexer.</param>
/// <param name="Configure">For a library that makes its multiplexer itself.</param>
/// <param name="ConnectionString">What stands in that library's configuration.</param>
internal sealed record Access(Func<IConnectionMultiplexer> Connect, Action<ConfigurationOptions> Configure,
    string ConnectionString)
{
    /// <summary>A lease of this client's connection for each.</summary>
    public static Access Through(FailoverConnection connection)
        => new(connection.AsMultiplexer, connection.Configure, "led.to.the.master");

    /// <summary>A multiplexer of its own for each, over all nodes: without this client.</summary>
    public static Access Bare(IEnumerable<NodeAddress> nodes)
    {
        string connection = string.Join(',', nodes) + ",abortConnect=false";
        return new Access(() => ConnectionMultiplexer.Connect(connection), static _ => { }, connection);
    }
}
