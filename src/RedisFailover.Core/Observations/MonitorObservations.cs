using System.Collections.Immutable;

namespace RedisFailover;

/// <summary>What the coming and going of the other monitors changes, and what they see; whether this one sees anything itself.</summary>
internal static class MonitorObservations
{
    internal static ClusterView Came(this ClusterView view, MonitorCame came) => view.OtherMonitors.ContainsKey(came.MonitorId) ? view
        : view with
        {
            OtherMonitors = view.OtherMonitors.Add(came.MonitorId, MonitorReport.None),
            Awaited = view.Awaited.Remove(came.MonitorId),
        };

    /// <summary>Who is here is told by coming and leaving alone: the last words of one that left are no monitor.</summary>
    internal static ClusterView Reported(this ClusterView view, MonitorReported told)
        => !view.OtherMonitors.ContainsKey(told.MonitorId) ? view : view with
        {
            OtherMonitors = view.OtherMonitors.SetItem(told.MonitorId, told.Report),
            VotesHeardAt = told.At,
        };

    internal static ClusterView Left(this ClusterView view, MonitorLeft left, FailoverPolicy policy) => view with
    {
        OtherMonitors = view.OtherMonitors.Remove(left.MonitorId),
        Awaited = view.AwaitedAt(left.At, policy).SetItem(left.MonitorId, left.At),
    };

    /// <summary>Who went away longer ago than a session time-out was not here under the leader before.</summary>
    internal static ImmutableDictionary<string, TimeSpan> AwaitedAt(this ClusterView view, TimeSpan at, FailoverPolicy policy)
        => view.Awaited.RemoveRange(view.Awaited.Where(m => m.Value <= at - policy.ViewLifetime).Select(m => m.Key));

    /// <summary>Who is waited for no longer, as his time is up.</summary>
    internal static ClusterView WithWaits(this ClusterView view, TimeSpan at, FailoverPolicy policy)
    {
        if (view.Term is null)
        {
            return view;
        }

        ClusterView next = view.Awaited.IsEmpty || at < view.LeadingSince + policy.ViewLifetime
            ? view : view with { Awaited = view.Awaited.Clear() };
        return view.WaitsForRegistered && at >= view.LeadingSince + policy.RegistrationWait
            ? next with { WaitsForRegistered = false } : next;
    }

    /// <summary>Whether this monitor reaches nobody, and since when.</summary>
    internal static ClusterView WithSight(this ClusterView view, TimeSpan at, FailoverPolicy policy)
    {
        ClusterView next = view;
        if (view.BlindSince is { } since && !view.IsBlind)
        {
            // What was counted in the dark says nothing of a node: which is found first is chance. One that was gone before stays so.
            next = next with
            {
                Nodes = view.Nodes.SetItems(view.Nodes.Values.Where(n => n.IsOutOfSight && n.FailingSince >= since - policy.ProbeTimeout)
                    .Select(n => KeyValuePair.Create(n.Address, n.CountedAnew(at)))),
            };
        }

        next = next.IsBlind != view.BlindSince is not null ? next with { BlindSince = next.IsBlind ? at : null } : next;
        return next.IsBlind ? next with { BlindAt = at }
            : next.BlindAt is not null && next.SeesTheSameMaster ? next with { BlindAt = null } : next;
    }

    /// <summary>Whether another monitor sees more than the leader, and since when.</summary>
    /// <param name="after">The view after the observation.</param>
    /// <param name="before">The view before it.</param>
    /// <param name="observation">The observation.</param>
    /// <param name="policy">The policy.</param>
    internal static ClusterView WithReach(this ClusterView after, ClusterView before, Observation observation, FailoverPolicy policy)
    {
        if (after.Term is null)
        {
            return after.OutseenSince is null ? after : after with { OutseenSince = null };
        }

        bool same = after.Term == before.Term && ReferenceEquals(after.OtherMonitors, before.OtherMonitors)
            && after.Topology?.Master == before.Topology?.Master
            && (ReferenceEquals(after.Nodes, before.Nodes) || observation is not (NodeAnswered or NodeBeat or NodeFailed or ActionFinished)
                || SameReach(observation, before, after));
        return same ? after
            : Reachability.Better(after, policy) is null ? after with { OutseenSince = null }
            : after with { OutseenSince = after.OutseenSince ?? observation.At };
    }

    private static bool SameReach(Observation observation, ClusterView before, ClusterView after)
    {
        NodeAddress? node = observation switch
        {
            NodeAnswered o => o.Node,
            NodeBeat o => o.Node,
            NodeFailed o => o.Node,
            ActionFinished o => o.Action.On,
            _ => null,
        };
        if (node is null)
        {
            return true;
        }

        (NodeView was, NodeView now) = (before.Node(node), after.Node(node));
        return was.Condition == now.Condition && was.ProbeFailure == now.ProbeFailure
            && was.Info?.Replicas.Length == now.Info?.Replicas.Length;
    }
}
