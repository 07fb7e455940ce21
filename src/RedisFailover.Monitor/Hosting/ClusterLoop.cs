using System.Text;
using System.Threading.Channels;
using RedisFailover.Monitor.Redis;
using RedisFailover.Monitor.ZooKeeper;
using RedisFailover.ZooKeeper;

namespace RedisFailover.Monitor.Hosting;

/// <summary>
/// The loop of one cluster, put together: what is observed, what is known, what is decided, carried out and told. It has no socket, thread
/// or clock of its own, all of that is its <see cref="IClusterHost"/>'s: given the same observations at the same times it does the same.
/// </summary>
internal sealed class ClusterLoop
{
    private readonly IClusterHost _host;
    private readonly ChannelWriter<Observation> _observations;

    /// <param name="id">The monitor.</param>
    /// <param name="paths">The cluster's znodes.</param>
    /// <param name="policy">What it goes by until it has read <c>R/config</c>.</param>
    /// <param name="host">What is around it.</param>
    /// <param name="observations">Where observations wait for the next turn.</param>
    /// <param name="rules">How it decides.</param>
    /// <param name="turned">Told of each turn: what was known before it, and after.</param>
    internal ClusterLoop(
        string id, ZnodePaths paths, FailoverPolicy policy, IClusterHost host, Channel<Observation> observations, DecisionRules rules,
        Action<ClusterView, ClusterView>? turned = null)
    {
        (_host, _observations) = (host, observations.Writer);
        MonotonicClock clock = host.Clock;
        Backoff = new ElectionBackoff(policy, clock, host.Logger);
        Problems = new ProblemKeeper(id, policy, clock, host.Logger);
        Transitions = new Transitions(host.Logger, id);
        Config = new ConfigStore(host.GetSessionAsync, paths, id, clock, () => host.StoreTime, host.FaultOf);
        Inbox = new RequestInbox(host.GetSessionAsync, paths, _observations, clock);
        Refusals = new ZooKeeperRefusals(Problems, id, clock);
        var store = new TopologyStore(host.GetSessionAsync, paths, id, clock, host.Logger)
        {
            Seen = host.Learn, HistoryFailed = Refusals.History,
        };
        var commands = new NodeCommands(host.Node, clock, host.Reached);
        var executor = new ActionExecutor(
            commands, store, Inbox, Backoff, _observations, clock, host.Logger, host.Reached, Config);
        Coordinator = new Coordinator(policy, executor, observations, clock, Transitions)
        {
            Rules = rules,
            Problems = Problems,
            Turned = turned,
            Doubted = host.Reconnect,
            PolicyUnder = host.PolicyUnder,
            PolicyChanged = (changed, watched) =>
            {
                Problems.Policy = changed;
                host.Change(changed, watched);
            },
            ReportChanged = (report, urgent) =>
            {
                Backoff.Sees(Problems.Policy.Nodes.Count(report.Available.ContainsKey));
                host.Publish(report, urgent);
            },
        };
    }

    internal Coordinator Coordinator { get; }

    /// <summary>The problems that this monitor tells.</summary>
    internal ProblemKeeper Problems { get; }

    /// <summary>What ZooKeeper refuses this monitor, which makes some of them.</summary>
    internal ZooKeeperRefusals Refusals { get; }

    internal Transitions Transitions { get; }

    /// <summary>When not to stand for election, after leadership was given up.</summary>
    internal ElectionBackoff Backoff { get; }

    internal RequestInbox Inbox { get; }

    internal ConfigStore Config { get; }

    /// <summary>Something was observed: it is taken at the next turn, in order.</summary>
    internal void Observe(Observation observation) => _observations.TryWrite(observation);

    /// <summary>What a value of <c>R/nodes</c> means that a watch has brought.</summary>
    internal TopologyRead Interpret(Znode? nodes)
        => TopologyStore.Interpret(_host.Clock.Now, _host.Clock.Provider.GetUtcNow(), nodes, synced: false);

    /// <summary>A value of <c>R/manual_failover</c>; an empty one asks for any replica.</summary>
    internal void SeeWish(Znode? znode) => Observe(new OperatorWished(
        _host.Clock.Now,
        znode is null ? null : Encoding.UTF8.GetString(znode.Data.Span).Trim() is { Length: > 0 } text ? text : ZnodePaths.AnyReplica));

    /// <summary>This monitor was elected, and acts as the leader from now on.</summary>
    internal void BeginLeading(ILeadership lead)
    {
        Coordinator.Leadership = lead;
        _host.Rename();
        Observe(new LeadershipGained(_host.Clock.Now, lead.Term));
    }

    /// <summary>It does not lead any more.</summary>
    internal void EndLeading()
    {
        Coordinator.Leadership = null;
        Refusals.NotLeading();
        Observe(new LeadershipLost(_host.Clock.Now));
    }
}
