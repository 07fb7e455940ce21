using System.Threading.Channels;
using RedisFailover.IntegrationTests.Harness;
using RedisFailover.Monitor.Hosting;
using RedisFailover.Monitor.Redis;

namespace RedisFailover.IntegrationTests.Redis;

/// <summary>A node that is watched as a monitor does it, without ZooKeeper: what it says, and what it is told.</summary>
internal sealed class Watched : IAsyncDisposable
{
    private readonly Channel<Observation> _observations = Channel.CreateUnbounded<Observation>();
    private readonly NodeProber _prober;
    private readonly MonotonicClock _clock = new(TimeProvider.System);

    internal Watched(NodeAddress address, string? user = null, string? password = null, FailoverPolicy? policy = null)
    {
        Address = address;
        policy ??= new FailoverPolicy { Nodes = [address], ProbeTimeout = TimeSpan.FromMilliseconds(300) };
        View = new NodeView(address);
        Policy = policy;
        _prober = new NodeProber(
            address, new RedisCredentials(user, password), policy, new NodeNames(policy.Nodes, TimeProvider.System), _observations.Writer,
                _clock);
        Commands = new NodeCommands(_ => _prober, _clock);
    }

    internal NodeAddress Address { get; }

    internal FailoverPolicy Policy { get; }

    internal NodeCommands Commands { get; }

    /// <summary>What is known of it, as of the last observation that was read.</summary>
    internal NodeView View { get; private set; }

    internal List<Observation> Seen { get; } = [];

    internal Task<ActionFinished> RunAsync(FailoverAction action) => Commands.RunAsync(action, 1, () => true, default);

    /// <summary>Reads observations until one of them fits.</summary>
    internal async Task<T> UntilAsync<T>(string what, Func<T, bool> fits)
        where T : Observation
    {
        using var deadline = new CancellationTokenSource(Eventually.DefaultDeadline);
        try
        {
            while (true)
            {
                Observation observation = await _observations.Reader.ReadAsync(deadline.Token);
                Seen.Add(observation);
                var view = new ClusterView { Nodes = new ClusterView().Nodes.Add(Address, View) };
                View = view.Apply(observation, Policy).Node(Address);
                if (observation is T wanted && fits(wanted))
                {
                    return wanted;
                }
            }
        }
        catch (OperationCanceledException)
        {
            throw new TimeoutException($"{what}: not in time; last seen: {Seen.LastOrDefault()}");
        }
    }

    /// <summary>Waits until it says of itself what is wished.</summary>
    internal async Task<NodeInfo> SaysAsync(string what, Func<NodeInfo, bool> fits)
        => (await UntilAsync<NodeAnswered>(what, answer => fits(answer.Info))).Info;

    public ValueTask DisposeAsync() => _prober.DisposeAsync();
}
