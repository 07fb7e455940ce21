using System.Collections.Immutable;
using static RedisFailover.ProblemCatalogue;

namespace RedisFailover;

/// <summary>
/// The problems that can be told from what a monitor knows: one table of rules. What only the decider or the host knows is reported
/// by them and added here.
/// </summary>
internal static partial class ProblemRules
{
    private static readonly ImmutableArray<Func<Facts, IEnumerable<Problem>>> OfTheCluster =
    [
        WithoutMaster, ChangeThatLasts, UnreachableMaster, MasterThatCannotBeAsked, LoadingMaster, MasterThatCannotSave,
            MasterWithoutMemory, ReplicasDemanded,
        ConfigThatCannotBeRead, Readiness, TooFew, MonitorsAway, Renewal, NodesAway, NodesThatCannotBeAsked, Disagreement,
    ];

    /// <summary>A master that has refused writes for want of memory so short a time ago does so still.</summary>
    private static readonly TimeSpan RefusalsApart = TimeSpan.FromSeconds(10);

    /// <summary>Of the leading monitor: all problems of the cluster that it knows of.</summary>
    /// <param name="view">All that it knows.</param>
    /// <param name="policy">What it goes by.</param>
    /// <param name="now">The time on its monotonic clock.</param>
    /// <param name="readiness">Whether a failover would work; null where that is not asked.</param>
    /// <param name="decision">What it has just decided.</param>
    public static ImmutableArray<Problem> OfCluster(ClusterView view, FailoverPolicy policy, TimeSpan now, Readiness? readiness,
        Decision decision)
    {
        ArgumentNullException.ThrowIfNull(view);
        ArgumentNullException.ThrowIfNull(policy);
        ArgumentNullException.ThrowIfNull(decision);
        if (view is not { Term: not null, TopologyKnown: true, Topology: { } topology })
        {
            return [];
        }

        if (policy.Nodes.Length > 1 && view.IsBlind)
        {
            // What it does not see is not the nodes' fault: it tells that of itself.
            return [];
        }

        var facts = new Facts(view, policy, now, topology, topology.Master is { } master ? view.Node(master) : null, readiness, decision);
        ImmutableArray<Problem> found = [.. OfTheCluster.Concat(OfTheNodes).SelectMany(rule => rule(facts))];
        found = [.. found, .. decision.Problems.Where(p => !found.Any(f => IsTheSame(f, p)))];
        return [.. found, .. NodesNotInUse(facts, found)];
    }

    /// <summary>Of any monitor: what is the matter with itself.</summary>
    public static ImmutableArray<Problem> OfMonitor(string id, ClusterView view, FailoverPolicy policy)
    {
        ArgumentNullException.ThrowIfNull(view);
        ArgumentNullException.ThrowIfNull(policy);
        ImmutableArray<Problem>.Builder found = ImmutableArray.CreateBuilder<Problem>();
        if (policy.Nodes.Length > 1 && policy.Nodes.All(n => view.Node(n).StaysOutOfSight(policy)))
        {
            NodeView first = policy.Nodes.Select(view.Node).MinBy(n => n.FailingSince ?? TimeSpan.MaxValue)!;
            found.Add(Problem.OfMonitors(MonitorsBlind, $"{id} reaches none of the {policy.Nodes.Length} nodes ({first.Detail})", id));
        }

        if (view is { Term: not null, CannotPublish: { } unwritten })
        {
            found.Add(Problem.OfMonitors(
                TopologyNotWritten, $"{id} leads and cannot write what a failover needs: {unwritten.Failure}", id) with
            {
                From = unwritten.At,
            });
        }

        if (view.ZooKeeperLostAt is { } lost)
        {
            found.Add(
                Problem.OfMonitors(ZooKeeperUnreachable, $"{id} cannot reach ZooKeeper: it replaces no master until it can",
                    id) with { From = lost });
        }

        return found.ToImmutable();
    }

    /// <summary>Whether the decider tells what is found here already: by its code, where that says enough.</summary>
    private static bool IsTheSame(Problem found, Problem decided)
        => found.IsSameAs(decided) || (decided.Code != NeedsOperator && found.Code == decided.Code);

    private static IEnumerable<Problem> WithoutMaster(Facts f)
        => f.Topology.State == TopologyState.NoMaster ? [Problem.Of(NoMaster, $"there is no master: {f.Topology.Reason}")] : [];

    private static IEnumerable<Problem> ChangeThatLasts(Facts f)
    {
        // The decider has a better name for most of what it waits for.
        if (f.Topology.IsChangingMaster && f.Decision.Problems.IsEmpty)
        {
            string what = f.Topology.State == TopologyState.FailingOver ? "failover" : "switchover";
            NodeAddress? from = f.Topology.Intent?.From;
            yield return Problem.Of(ChangeStalled,
                $"the {what} from {from?.ToString() ?? "no master"} is not done yet: {f.Topology.Reason}", from is null ? [] : [from]);
        }
    }

    private static IEnumerable<Problem> UnreachableMaster(Facts f)
        => f is { Topology.State: TopologyState.Ok, Master: { Condition: NodeCondition.Unavailable } master }
            ? [Problem.Of(MasterUnreachable, $"the leading monitor cannot reach master {master.Address} ({master.Detail})", master.Address)]
            : [];

    private static IEnumerable<Problem> MasterThatCannotBeAsked(Facts f)
        => f.Master is { ProbeFailure: ProbeFailure.AuthRefused or ProbeFailure.NotRedis } master
            ? [Problem.Of(MasterNotWatched,
                $"the monitors cannot ask master {master.Address}: {master.Detail}; {MasterRules.UntilWhenNoFailover(master)}",
                master.Address)]
            : f is { Master: { ProbeFailure: ProbeFailure.Local } untried, View.IsBlind: false }
            ? [Problem.Of(MasterNotWatched,
                $"the leading monitor cannot try master {untried.Address}: {untried.Detail}; no failover and no switchover works",
                    untried.Address) with
                {
                    Advice = ForOneThatIsAway(untried)
                        + " If the master is gone for good: redis-failover failover REPLICA --force.",
                }]
            : [];

    private static IEnumerable<Problem> LoadingMaster(Facts f)
        => f.Master is { LoadingSince: { } since, Condition: not NodeCondition.Unavailable } master
            ? [Problem.Of(MasterLoading,
                $"master {master.Address} is loading its data set; after {Words.Lasting(f.Policy.LoadingTimeout)} a fit replica takes over",
                    master.Address) with { From = since }]
            : [];

    private static IEnumerable<Problem> MasterThatCannotSave(Facts f)
        => f.Master is { IsMaster: true, ProbeFailure: null, RefusesWritesSince: { } since, Info: { } info } master
            ? [Problem.Of(
                MasterMisconf,
                $"master {master.Address} refuses writes: "
                    + $"{(info.AppendFailed ? "it cannot write its append-only file" : "its last save failed")} (MISCONF)",
                master.Address) with { From = since }]
            : [];

    private static IEnumerable<Problem> MasterWithoutMemory(Facts f)
        => f.Master is { IsMaster: true, IsAnswering: true } master
            && (master.Info!.IsOutOfMemory || f.Now - master.OutOfMemoryAt < RefusalsApart)
            ? [Problem.Of(MasterOutOfMemory, $"master {master.Address} refuses writes: its memory is full and nothing can be evicted (OOM)",
                master.Address)]
            : [];

    private static IEnumerable<Problem> ReplicasDemanded(Facts f)
        => f is { Topology.State: TopologyState.Ok,
            Master: { IsMaster: true, IsAnswering: true, Info: { MinReplicas: { Count: > 0 } demanded, GoodReplicas: { } good } } master }
            && good < demanded.Count
            ? [Problem.Of(
                MinReplicasUnmet,
                $"master {master.Address} refuses writes: {Words.Count(good, "replica is", "replicas are")} in step, "
                    + $"min-replicas-to-write is {demanded.Count}",
                master.Address)]
            : [];

    private static IEnumerable<Problem> ConfigThatCannotBeRead(Facts f)
        => f.View is { ConfigFault: { } fault, Config: null }
            ? [Problem.Of(ZnodeUnreadable, $"the znode config cannot be read, the monitors go by what they had: {fault}")] : [];

    /// <summary>
    /// What stands in the way of a failover, by the failover's own judgement. What has a rule of its own is told by that.
    /// </summary>
    private static IEnumerable<Problem> Readiness(Facts f)
    {
        if (f.Topology.State != TopologyState.Ok || f.Readiness is not { Possible: false, Hindrance: { } code } not)
        {
            return [];
        }

        IEnumerable<NodeAddress> replicas = f.Policy.Nodes.Where(n => n != f.Topology.Master);
        return code == NoCandidate ? [Problem.Of(NoCandidate, $"if master {f.Topology.Master} were lost now, {not.Reason}", replicas)]
            : code == FailoverHeldBack ? [Problem.Of(FailoverHeldBack, $"no failover would take place now: {not.Reason}")]
            // Where the master itself is short of replicas that is said already.
            : code == CandidateRefusesWrites || (code == MinReplicasUnmet && !ReplicasDemanded(f).Any())
                ? [Problem.Of(code, not.Reason, not.Candidates)]
            : [];
    }

    private static IEnumerable<Problem> TooFew(Facts f)
        => f.View.LiveMonitors < f.Policy.RequiredMonitors
            ? [new Problem(TooFewMonitors, [],
                $"{Words.Count(f.View.LiveMonitors, "monitor is", "monitors are")} alive, {f.Policy.RequiredMonitors} are required "
                    + $"(required-monitors): no failover takes place")]
            : [];

    private static IEnumerable<Problem> MonitorsAway(Facts f)
        => f.View.Registered.Where(m => !f.View.OtherMonitors.ContainsKey(m))
            .Select(m => Problem.OfMonitors(
                MonitorMissing, $"monitor {m} is registered and has no session with ZooKeeper: it was stopped, or is cut off", m));

    private static IEnumerable<Problem> Renewal(Facts f)
        => f.Topology.LastChange is { Kind: HistoryKind.Renewed } change
            ? [new Problem(StoreRenewed, [],
                $"the topology began a new incarnation at epoch {change.Epoch}: ZooKeeper's data had been lost or put back")]
            : [];

    private static IEnumerable<Problem> NodesAway(Facts f)
        => f.Others.Where(n
            => n is { Condition: NodeCondition.Unavailable, ProbeFailure: not (ProbeFailure.AuthRefused or ProbeFailure.NotRedis) })
            .Select(n
                => Problem.Of(NodeUnavailable, $"{n.Address} is unavailable ({n.Detail})", n.Address) with { From = n.GoneSince,
                    Advice = ForOneThatIsAway(n) });

    /// <summary>Nodes that answer and serve no reads all the same, for a reason that no other rule tells.</summary>
    private static IEnumerable<Problem> NodesNotInUse(Facts f, ImmutableArray<Problem> told)
    {
        if (f.Topology is not { State: TopologyState.Ok, Master: { } master })
        {
            return [];
        }

        var a = Assessment.Of(f.View, f.Policy, f.Now);
        return f.Topology.Unavailable.Where(n
            => f.Policy.Nodes.Contains(n) && n != master && !told.Any(p => p.Subjects.Contains(n.ToString()) && p.Code != NoCandidate))
            .Select(a.Node)
            .Where(n => n.Info is not null || n.Contact is Contact.Busy or Contact.Loading)
            .Select(n => Problem.Of(NodeUnavailable, $"{n.Address} {n.WhyNotInUse}", n.Address) with
            {
                Advice = n.IsOutvotedAlone ? "Look at the network between it and the monitors that cannot reach it: a firewall, a route."
                    : ForOneThatIsAway(n.View),
            });
    }

    private static string ForOneThatIsAway(NodeView node) => node.ProbeFailure switch
    {
        ProbeFailure.Busy => "End its script: SCRIPT KILL; one that has written ends with SHUTDOWN NOSAVE alone.",
        ProbeFailure.Loading => "Wait until it has loaded its data.",
        ProbeFailure.Silent => "It hangs, or the network loses its packets: look at its process (frozen, paused, swapping) and its host.",
        ProbeFailure.Local => "Look at the leading monitor's host: its name server, routes and limits.",
        null => "Wait for its copy or its new role; if it stays, see the node's own log.",
        _ => NodeUnavailable.Advice,
    };

    private static IEnumerable<Problem> NodesThatCannotBeAsked(Facts f)
        => f.Others.Where(n => n is { ProbeFailure: ProbeFailure.AuthRefused or ProbeFailure.NotRedis, SameServerAs: null })
            .Select(n => f.Topology.LastChange?.From != n.Address || n.Info is { Role: NodeRole.Replica }
                ? Problem.Of(NodeNotWatched, $"the monitors cannot ask {n.Address}: {n.Detail}", n.Address)
                : Problem.Of(
                    NodeNotWatched,
                    $"the monitors cannot ask {n.Address}, which was the master before: {n.Detail}; it may still take writes", n.Address)
                    with { Severity = ProblemSeverity.Critical })
            .Concat(
                f.Others.Where(n => n is { ProbeFailure: ProbeFailure.Local, Condition: not NodeCondition.Unavailable } && !f.View.IsBlind)
                .Select(n
                    => Problem.Of(NodeNotWatched, $"the leading monitor cannot try {n.Address}: {n.Detail}",
                        n.Address) with { Advice = ForOneThatIsAway(n) }));

    private static IEnumerable<Problem> Disagreement(Facts f)
        => MonitorDisagreement.Of(f.Assessment) is { } difference ? [difference] : [];

    private sealed record Facts(ClusterView View, FailoverPolicy Policy, TimeSpan Now, Topology Topology, NodeView? Master,
        Readiness? Readiness, Decision Decision)
    {
        internal Assessment Assessment { get; } = Assessment.Of(View, Policy, Now);

        /// <summary>The configured nodes but for the master, and for one that is being replaced.</summary>
        internal IEnumerable<NodeView> Others
            => Policy.Nodes.Where(n => n != Master?.Address && n != Topology.Intent?.From).Select(View.Node);
    }
}
