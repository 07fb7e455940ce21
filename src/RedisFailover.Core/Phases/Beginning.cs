namespace RedisFailover;

/// <summary>
/// How a failover begins: the intent is published before the first command, and the replicas are kept from the lost master.
/// </summary>
internal static class Beginning
{
    /// <summary>The intent to replace a master that is lost; also when it was just handing over.</summary>
    internal static PlanBuilder Failover(Assessment a, string loss)
    {
        NodeAddress from = a.Topology.Master!;
        // One that answers is not lost for being gone: what counts is what it was before.
        MasterIdentity? lost = (a.Master.IsAnswering ? null : Histories.OfTheLastRun(a)) ?? Histories.LastKnownIdentity(a);
        Topology intent = NodeLists.Of(a, a.Topology with
        {
            Master = null,
            State = TopologyState.FailingOver,
            Epoch = a.NextEpoch,
            Reason = loss,
            Waiting = null,
            Identity = lost,
            Intent = new FailoverIntent(from, Target: null)
            {
                Occasion = loss,
                BegunIn = a.NextEpoch,
                MasterWasHeard = Histories.HasHeard(a.Master, lost),
                Request = a.Topology.Intent?.Request,
                MinReplicas = a.Topology.Intent?.MinReplicas,
            },
        });
        return PlanBuilder.Because(loss)
            // Who was asked for while the master lived is not who an operator wants at any price.
            .Do(new PublishTopology(intent, a.View.Version, ClearsWish: a.View.ManualFailover is not null)
            {
                FailingSince = a.Master.View.GoneSince,
            })
            .Do(Isolating.AtTheBeginning(a.Under(intent)));
    }
}
