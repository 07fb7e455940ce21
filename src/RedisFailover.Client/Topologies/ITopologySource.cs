namespace RedisFailover.Client;

/// <summary>Where topologies come from: ZooKeeper, or a test.</summary>
internal interface ITopologySource : IAsyncDisposable
{
    /// <summary>Why there is no topology yet, as the end of a sentence.</summary>
    string Problem { get; }

    /// <summary>The topology in force, then each newer one, until cancelled.</summary>
    IAsyncEnumerable<Topology> TopologiesAsync(CancellationToken cancellationToken);

    /// <summary>Asks the monitors for another master; returns when they have done it and the topology that names it is known.</summary>
    /// <exception cref="InvalidOperationException">They refused it, or have undone it.</exception>
    Task AskFailoverAsync(NodeAddress? target, CancellationToken cancellationToken);

    /// <summary>The timeout of the session as the servers granted it; what was asked for before there was one.</summary>
    TimeSpan SessionTimeout { get; }

    /// <summary>How long ago ZooKeeper was last heard of; null for never.</summary>
    TimeSpan? SinceLastContact { get; }
}
