using System.Collections.Concurrent;
using System.Diagnostics.Metrics;
using RedisFailover.ZooKeeper;

namespace RedisFailover.Monitor.Hosting;

/// <summary>
/// What a monitor measures, for whoever listens: Prometheus by <c>--http</c>, OTLP where the environment names a collector. The names
/// are stable; docs/operations.md lists them.
/// </summary>
internal sealed class MonitorMetrics : IDisposable
{
    internal const string MeterName = "RedisFailover.Monitor";

    private readonly Meter _meter = new(MeterName, MonitorService.Version);
    private readonly Counter<long> _changes;
    private readonly Histogram<double> _steps;
    private readonly ConcurrentDictionary<string, long> _sessions = new(StringComparer.Ordinal);
    private readonly MonitorService _monitor;

    internal MonitorMetrics(MonitorService monitor)
    {
        _monitor = monitor;
        _changes = _meter.CreateCounter<long>("redis_failover_changes", null, "Changes of master that this monitor has seen, by kind.");
        _steps = _meter.CreateHistogram(
            "redis_failover_step_duration", "s", "How long each step of a change of master took.", null,
            new InstrumentAdvice<double> { HistogramBucketBoundaries = [.001, .002, .005, .01, .02, .05, .1, .2, .5, 1, 2, 5, 10] });
        Gauge("redis_failover_epoch", "Changes of master since the cluster began.",
            view => view.Topology is { } topology ? One(topology.Epoch) : []);
        Gauge("redis_failover_state", "1 for the state that the cluster is in.", States);
        Gauge("redis_failover_node_role", "1 for the role that the topology gives to a node.", Roles);
        Gauge("redis_failover_node_up", "Whether a node answers this monitor.", view => view.Nodes.Values.Select(
            node => Of(node.Condition == NodeCondition.Online ? 1 : 0, node.Address)));
        Gauge("redis_failover_node_latency_seconds", "How long the last answer of a node took.", view => view.Nodes.Values
            .Where(node => node.Condition == NodeCondition.Online).Select(node => Of(node.Latency.TotalSeconds, node.Address)));
        Gauge("redis_failover_replica_link_up", "Whether a replica's link to its master is up.", view => view.Nodes.Values
            .Where(node => node.IsReplica).Select(node => Of(node.Info!.LinkUp ? 1 : 0, node.Address)));
        Gauge("redis_failover_replica_lag_bytes", "How far a replica was behind when both were last asked.", view => view.Nodes.Keys
            .Select(node => (Node: node, Lag: Http.NodeCheck.Lag(view, node))).Where(x => x.Lag is not null)
            .Select(x => Of(x.Lag!.Value, x.Node)));
        Gauge("redis_failover_replica_lag_seconds", "How long ago a replica last told its master how far it is, by the master's word.",
            view => view.Topology?.Master is { } master && view.Node(master) is { IsMaster: true, Info: { } info }
                ? info.Replicas.Where(r => r.Lag is not null && view.Nodes.ContainsKey(r.Replica)).Select(r => Of(r.Lag!.Value, r.Replica))
                : []);
        Gauge("redis_failover_node_votes", "Monitors that find a node unavailable; told by the leading one.", view => view.Term is null
            ? []
            : view.Nodes.Values.Select(node => Of(Votes(view, node), node.Address)));
        Gauge("redis_failover_leading", "Whether this monitor leads.", view => One(view.Term is null ? 0 : 1));
        Gauge("redis_failover_monitors", "Live monitors; told by the leading one.",
            view => view.Term is null ? [] : One(view.LiveMonitors));
        _meter.CreateObservableGauge(
            "redis_failover_zookeeper_connected", ()
                => One(_monitor.ZooKeeper?.IsConnected == true ? 1 : 0), null, "Whether ZooKeeper answers.");
        OfTheProcess("redis_failover_lease_length_seconds", "For how long leadership holds without another write.",
            lease => lease.Length.TotalSeconds);
        OfTheProcess("redis_failover_zookeeper_write_seconds", "The longest recent write to ZooKeeper.", lease => lease.Write.TotalSeconds);
        OfTheProcess("redis_failover_lease_not_held_seconds", "For how long this monitor leads without a lease; 0 while it does not.",
            lease => lease.NotHeldFor?.TotalSeconds ?? 0);
        // Counted here: the first of them come before anybody listens.
        _meter.CreateObservableCounter(
            "redis_failover_zookeeper_session_events",
            () => _sessions.Select(one => new Measurement<long>(one.Value, new KeyValuePair<string, object?>("event", one.Key))), null,
            "What became of the ZooKeeper session, by event.");
        GaugeOf("redis_failover_problem", "1 for each open problem: the cluster's by the leading monitor, each monitor's own.", Problems);
    }

    /// <summary>Told by the coordinator of each of its turns.</summary>
    internal void Turned(string cluster, ClusterView before, ClusterView after)
    {
        if (after.Topology?.LastChange is not { } change || before.Topology is not { } known || known.LastChange == change)
        {
            return;
        }

        string kind = change.Kind.ToString().ToLowerInvariant();
        _changes.Add(1, Cluster(cluster), new KeyValuePair<string, object?>("kind", kind));
        foreach ((string step, double millis) in change.Millis)
        {
            _steps.Record(
                millis / 1000, Cluster(cluster), new KeyValuePair<string, object?>("step", step),
                    new KeyValuePair<string, object?>("kind", kind));
        }
    }

    /// <summary>Told of each change of the ZooKeeper session.</summary>
    internal void SessionChanged(ZooKeeperClientState state)
        => _sessions.AddOrUpdate(state.ToString().ToLowerInvariant(), 1, (_, times) => times + 1);

    /// <inheritdoc/>
    public void Dispose() => _meter.Dispose();

    private void OfTheProcess(string name, string description, Func<LeaseStatus, double> measure)
        => _meter.CreateObservableGauge(
            name, () => _monitor.Lease is { } lease ? One(measure(lease)) : [], null, description);

    private void Gauge(string name, string description, Func<ClusterView, IEnumerable<Measurement<double>>> measure)
        => GaugeOf(name, description, cluster => measure(cluster.View));

    private void GaugeOf(string name, string description, Func<ClusterMonitor, IEnumerable<Measurement<double>>> measure)
        => _meter.CreateObservableGauge(
            name,
            () => _monitor.Clusters.SelectMany(cluster => measure(cluster).Select(
                one => new Measurement<double>(one.Value, [Cluster(cluster.Name), .. one.Tags]))),
            null,
            description);

    private static KeyValuePair<string, object?> Cluster(string name) => new("cluster", name);

    private static IEnumerable<Measurement<double>> One(double value) => [new Measurement<double>(value)];

    private static Measurement<double> Of(double value, NodeAddress node)
        => new(value, new KeyValuePair<string, object?>("node", node.ToString()));

    private static IEnumerable<Measurement<double>> States(ClusterView view)
        => Enum.GetValues<TopologyState>().Select(state => new Measurement<double>(
            view.Topology?.State == state ? 1 : 0, new KeyValuePair<string, object?>("state", TopologyJson.Name(state))));

    private static IEnumerable<Measurement<double>> Roles(ClusterView view)
    {
        if (view.Topology is not { } topology)
        {
            yield break;
        }

        foreach (NodeAddress node in view.Nodes.Keys)
        {
            string role = topology.Master == node ? "master" : topology.Replicas.Contains(node) ? "replica" : "unavailable";
            yield return new Measurement<double>(
                1, new KeyValuePair<string, object?>("node", node.ToString()), new KeyValuePair<string, object?>("role", role));
        }
    }

    /// <summary>As the verdict counts them: who reaches no node at all has no vote.</summary>
    private static int Votes(ClusterView view, NodeView node)
        => view.OtherMonitors.Values.Count(report => !report.IsBlind && report.Unavailable.Contains(node.Address))
            + (node.Condition == NodeCondition.Unavailable && !view.IsBlind ? 1 : 0);

    private static IEnumerable<Measurement<double>> Problems(ClusterMonitor cluster)
        => cluster.Problems.Own.Concat(cluster.Problems.Cluster).Select(problem => new Measurement<double>(
            1,
            new KeyValuePair<string, object?>("code", problem.Code.Name),
            new KeyValuePair<string, object?>("severity", ProblemJson.Name(problem.Severity)),
            new KeyValuePair<string, object?>("subjects", string.Join(',', problem.Subjects))));
}
