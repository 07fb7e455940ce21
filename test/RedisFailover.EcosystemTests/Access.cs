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
    public static Access Bare(IEnumerable<NodeAddress> nodes) => Bare(string.Join(',', nodes) + ",abortConnect=false");

    /// <summary>A multiplexer of its own for each, without this client: over all nodes, or by sentinels.</summary>
    public static Access Bare(string connection)
        => new(() => ConnectionMultiplexer.Connect(connection), static _ => { }, connection);
}
