using System.Collections.Immutable;
using System.Runtime.CompilerServices;
using System.Threading.Channels;
using RedisFailover.Client;

namespace RedisFailover.IntegrationTests.Client;

/// <summary>A topology that the test publishes by hand, in the place of ZooKeeper.</summary>
public sealed class PublishedTopology : ITopologySource
{
    private readonly Channel<Topology> _topologies = Channel.CreateUnbounded<Topology>();

    public string Problem => "the test has published none";

    private int _timesAsked;

    /// <summary>How often the client looked whether ZooKeeper had been heard of.</summary>
    public int TimesAsked => Volatile.Read(ref _timesAsked);

    public TimeSpan? SinceLastContact
    {
        get
        {
            Interlocked.Increment(ref _timesAsked);
            return field;
        }

        set;
    } = TimeSpan.Zero;

    public TimeSpan SessionTimeout { get; set; } = TimeSpan.FromSeconds(4);

    public Task AskFailoverAsync(NodeAddress? target, CancellationToken cancellationToken) => throw new NotSupportedException();

    public void Publish(Topology topology) => _topologies.Writer.TryWrite(topology);

    public async IAsyncEnumerable<Topology> TopologiesAsync([EnumeratorCancellation] CancellationToken cancellationToken)
    {
        await foreach (Topology topology in _topologies.Reader.ReadAllAsync(cancellationToken))
        {
            yield return topology;
        }
    }

    public ValueTask DisposeAsync() => default;

    public static Topology Of(long epoch, NodeAddress? master, params ImmutableArray<NodeAddress> replicas) => new()
    {
        Epoch = epoch,
        Master = master,
        Replicas = replicas,
        State = master is null ? TopologyState.FailingOver : TopologyState.Ok,
        Reason = "the test says so",
    };
}
