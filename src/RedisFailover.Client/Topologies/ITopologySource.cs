namespace RedisFailover.Client;

/// <summary>Where topologies come from: ZooKeeper, or a test.</summary>
internal interface ITopologySource : IAsyncDisposable
{
    /// <summary>Why there is no topology yet, as the end of a sentence.</summary>
    string Problem { get; }

    /// <summary>The topology in force, then each newer one, until cancelled.</summary>
    IAsyncEnumerable<Topology> TopologiesAsync(CancellationToken cancellationToken);
}
