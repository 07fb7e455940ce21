using System.Collections.Immutable;

namespace RedisFailover;

/// <summary>
/// What the view means, worked out once per decision: every node's facts, the master's status, the topology that all of it is judged by.
/// The phases ask this first; what they compare themselves is two nodes with each other, or a step with its deadline.
/// </summary>
internal sealed class Assessment
{
    private readonly Dictionary<NodeAddress, NodeAssessment> _nodes = [];
    private MasterVerdict? _verdict;

    private Assessment(ClusterView view, FailoverPolicy policy, TimeSpan now, Topology topology)
    {
        View = view;
        Policy = policy;
        Now = now;
        Topology = topology;
        Progress = view.Progress ?? new MasterChangeProgress(now, now, Inherited: true) { InheritedEpoch = topology.Epoch };
    }

    internal ClusterView View { get; }

    internal FailoverPolicy Policy { get; }

    internal TimeSpan Now { get; }

    internal Topology Topology { get; }

    /// <summary>The change of master under way; where none is known, one that was taken over just now.</summary>
    internal MasterChangeProgress Progress { get; }

    /// <summary>All nodes that are watched, by address.</summary>
    internal ImmutableArray<NodeAssessment> Nodes => field.IsDefault ? field = [.. View.Nodes.Keys.Select(Node)] : field;

    /// <summary>The configured nodes, in the order of the configuration.</summary>
    internal ImmutableArray<NodeAssessment> Configured => field.IsDefault ? field = [.. Policy.Nodes.Select(Node)] : field;

    /// <summary>The master that the topology names. Only where it names one.</summary>
    internal NodeAssessment Master => Node(Topology.Master!);

    /// <summary>The master that is being replaced; null where none is.</summary>
    internal NodeAssessment? From => Topology.Intent?.From is { } from ? Node(from) : null;

    internal NodeAddress? OldMasterAddress => Topology.Master ?? Topology.Intent?.From;

    /// <summary>What is the matter with the master, and what has to be done about it.</summary>
    internal MasterVerdict Verdict => _verdict ??= MasterRules.Judge(this);

    /// <summary>The epoch of the next change of master.</summary>
    internal long NextEpoch => Math.Max(Topology.Epoch, View.LastEpoch) + 1;

    internal static Assessment Of(ClusterView view, FailoverPolicy policy, TimeSpan now)
        => new(view, policy, now, view.Topology ?? Topology.None);

    /// <summary>The same, judged by another topology: by one that is about to be published.</summary>
    internal Assessment Under(Topology topology) => new(View, Policy, Now, topology);

    internal NodeAssessment Node(NodeAddress address)
        => _nodes.TryGetValue(address, out NodeAssessment? node) ? node : Judged(View.Node(address));

    internal bool IsConfigured(NodeAddress node) => Policy.Nodes.Contains(node);

    /// <summary>The failure of an action that is not to be tried again yet, or was not since; null where it did not fail.</summary>
    internal string? FailureOf(FailoverAction action)
        => View.Failed.GetValueOrDefault(action)?.Why;

    /// <summary>Whether the node itself has said no to an action: to wait for another answer is of no use.</summary>
    internal bool WasRefused(FailoverAction action) => View.Failed.GetValueOrDefault(action) is { Refused: true };

    /// <summary>
    /// When an action that failed may be tried again; null where it may now. A publication that failed once is tried at once, as ZooKeeper
    /// may have changed its leader; then ever later, whatever is to be published.
    /// </summary>
    internal TimeSpan? RetryOf(FailoverAction action)
    {
        TimeSpan? at = action is PublishTopology ? PublishAgainAt
            : View.Failed.GetValueOrDefault(action)?.RetryAt;
        return at > Now ? at : null;
    }

    private TimeSpan? PublishAgainAt
        => View.Unpublished is { Times: > 1 and var times, At: var failedAt } ? failedAt + (Math.Min(times, 20) * Policy.RetryDelay) : null;

    /// <summary>
    /// The priority of a node that has said what it is; the lowest is promoted, 0 never. A master does not say it: who was never to be
    /// promoted is that still.
    /// </summary>
    internal int PriorityOf(NodeAssessment node) => Policy.PriorityOf(
        node.Address, node.IsMaster && node.Address != Topology.Master && Topology.NeverPromoted.Contains(node.Address)
            && !Policy.NeverPromote.Contains(node.Address) ? 0 : node.Info!.Priority);

    /// <summary>
    /// Whether it goes on from a history that this cluster once had. Redis 7 tells so of a master that was started from a file too, older
    /// ones of a replica alone.
    /// </summary>
    internal bool OnceHad(NodeInfo info)
        => Topology.ReplicationIds.Contains(info.ReplicationId)
            || (info.PreviousReplicationId is { } previous && Topology.ReplicationIds.Contains(previous));

    /// <summary>How the monitors vote on a node. One that reaches no node at all keeps its seat and has no opinion.</summary>
    internal Votes VotesOn(NodeAddress node)
        => Count(View.Node(node).Condition == NodeCondition.Unavailable, m => m.Unavailable.Contains(node));

    /// <summary>How the monitors vote on whether a node that answers takes no new connection.</summary>
    internal Votes VotesOnConnections(NodeAddress node) => Count(View.Node(node).TakesNoConnections, m => m.Shut.Contains(node));

    private Votes Count(bool own, Func<MonitorReport, bool> another)
    {
        int against = View.OtherMonitors.Values.Count(m => !m.IsBlind && another(m)) + (own && !View.IsBlind ? 1 : 0);
        return new Votes(against, View.Voters, Suffices(against, View.Voters));
    }

    /// <summary>A monitor without an opinion counts as one that sees it: a tie, and any doubt, mean available.</summary>
    internal bool Suffices(int against, int voters) => Policy.NodeStrategy switch
    {
        NodeStrategy.Consensus => against == voters,
        NodeStrategy.Single => against > 0,
        _ => against * 2 > voters,
    };

    /// <summary>
    /// Whether the master has said, since this node was back, how far it has come: what it said before is not all that it may have
    /// acknowledged.
    /// </summary>
    internal bool MasterWasHeardSinceReturnOf(NodeAssessment node)
        => Master.View.InfoAsked >= node.View.OnlineSince && Master.View.InfoAsked > node.View.LastFailedAt;

    private NodeAssessment Judged(NodeView view) => _nodes[view.Address] = new NodeAssessment(this, view);
}
