using RedisFailover.Monitor.Options;
using RedisFailover.Monitor.ZooKeeper;

namespace RedisFailover.Monitor.Hosting;

/// <summary>Tells why this monitor is not taken for one of the cluster: its nodes are others, or have other names.</summary>
internal sealed class ExclusionProblem(MonitorOptions options, ProblemKeeper problems, OutsiderNote outsider, Func<ClusterView> view)
{
    private static readonly TimeSpan Interval = TimeSpan.FromSeconds(1);

    private readonly Lock _gate = new();
    private Topology? _topology;
    private Problem? _told;

    /// <summary>None of its nodes is a member of this topology; null: one is.</summary>
    internal void Excluded(Topology? topology)
    {
        lock (_gate)
        {
            _topology = topology;
        }

        Tell();
    }

    /// <summary>Which server answers under a name is known a moment later.</summary>
    internal async Task WatchAsync(MonotonicClock clock, CancellationToken cancellationToken)
    {
        while (true)
        {
            await Task.Delay(Interval, clock.Provider, cancellationToken);
            Tell();
        }
    }

    private void Tell()
    {
        lock (_gate)
        {
            Problem? problem = _topology is { } topology ? Of(options, topology, view()) : null;
            if (problem == _told)
            {
                return;
            }

            _told = problem;
            problems.Set(ProblemCatalogue.NotOurCluster, problem);
            outsider.Set(ProblemCatalogue.NotOurCluster, problem);
        }
    }

    /// <summary>The problem of a monitor none of whose nodes is a member of this topology.</summary>
    internal static Problem Of(MonitorOptions options, Topology topology, ClusterView view)
    {
        foreach (NodeAddress own in options.Nodes)
        {
            if (OtherName(own, topology, view) is { } other)
            {
                return Problem.OfMonitors(
                    ProblemCatalogue.NotOurCluster,
                    $"monitor {options.Id} knows the nodes by other names than the topology at {options.ZnodePath}: {own} is the same "
                        + $"server as {other}, by its run id; it neither leads nor votes",
                    options.Id) with
                {
                    Advice = "Give all monitors the same node list, letter by letter: each node under one name or address (--nodes).",
                };
            }
        }

        return Problem.OfMonitors(
            ProblemCatalogue.NotOurCluster,
            $"none of the nodes of monitor {options.Id} ({string.Join(", ", options.Nodes)}) is a member of the topology at "
                + $"{options.ZnodePath} (its master: {topology.Master?.ToString() ?? "none"}): it neither leads nor votes",
            options.Id);
    }

    /// <summary>Under which name the topology has the server that answers under this one; null where it has none of the kind.</summary>
    private static NodeAddress? OtherName(NodeAddress own, Topology topology, ClusterView view)
        => view.Node(own).SameServerAs is { } same && topology.KnowsAnyOf([same]) ? same
            : view.Nodes.Values.FirstOrDefault(n => n.SameServerAs == own && topology.KnowsAnyOf([n.Address]))?.Address;
}
