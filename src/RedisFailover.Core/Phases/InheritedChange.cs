namespace RedisFailover;

/// <summary>
/// A change of master that another leader began and left half done. Whoever takes it over begins a new epoch, always: the leader before may
/// have promoted a node in its own, which nobody here can know. So an epoch is one leader's, and no two nodes are promoted in one.
/// </summary>
internal static class InheritedChange
{
    /// <summary>
    /// The change in an epoch of this leader's own; null where it is that already. The replicas are kept from the old master meanwhile.
    /// </summary>
    internal static PlanBuilder? Decide(Assessment a)
        => a.Progress.InheritedEpoch != a.Topology.Epoch ? null
            : PlanBuilder.Because(
                    $"the {(a.Topology.State == TopologyState.FailingOver ? "failover" : "switchover")} of epoch {a.Topology.Epoch} is "
                        + $"taken over as epoch {a.NextEpoch}")
                // What an operator was asked stands, whoever asked it.
                .Do(new PublishTopology(a.Topology with
                {
                    Epoch = a.NextEpoch,
                    Waiting = a.Topology.Waiting is { } asked && asked.Code == ProblemCatalogue.NeedsOperator.Name ? asked : null,
                }, a.View.Version))
                .Do(a.Topology.State == TopologyState.FailingOver ? Isolating.WithoutAChoice(a) : []);
}
