using System.Threading.Channels;

namespace RedisFailover.Client;

/// <summary>The topologies of the <see cref="Warmup"/>, each as it would stand in ZooKeeper.</summary>
internal sealed class WarmupTopologies : ITopologySource
{
    private readonly Channel<Topology> _published = Channel.CreateUnbounded<Topology>();

    public string Problem => "";

    public TimeSpan SessionTimeout => TimeSpan.FromSeconds(1);

    public TimeSpan? SinceLastContact => TimeSpan.Zero;

    public void Publish(Topology topology) => _published.Writer.TryWrite(TopologyJson.Parse(TopologyJson.Write(topology)));

    public IAsyncEnumerable<Topology> TopologiesAsync(CancellationToken cancellationToken)
        => _published.Reader.ReadAllAsync(cancellationToken);

    public Task AskFailoverAsync(NodeAddress? target, CancellationToken cancellationToken) => throw new NotSupportedException();

    public ValueTask DisposeAsync() => ValueTask.CompletedTask;
}
