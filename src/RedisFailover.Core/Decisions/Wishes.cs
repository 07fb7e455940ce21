using System.Collections.Immutable;

namespace RedisFailover;

/// <summary>An operator wants another master while one is in office: a switchover begins, or the wish is refused with the reason.</summary>
internal static class Wishes
{
    /// <summary>How often the replicas are asked while an operator's wish waits for one to be in step.</summary>
    private static readonly TimeSpan PatienceInterval = TimeSpan.FromMilliseconds(50);

    internal static Decision Fulfil(string wish, ClusterView view, FailoverPolicy policy, TimeSpan now, Topology topology)
    {
        NodeAddress from = topology.Master!;
        NodeAddress? target = null;
        OperatorRequest? request = view.Request;
        TimeSpan timeout = request?.Timeout ?? policy.SwitchoverTimeout;
        if (Requests.IsBeingRefused(view))
        {
            return Decision.Nothing("waiting until the refusal is written");
        }

        if (request?.Fault is { } fault)
        {
            return Requests.Refuse(view, topology, fault);
        }

        if (wish.Length > 0 && wish != ZnodePaths.AnyReplica && !NodeAddress.TryParse(wish, out target))
        {
            return Requests.Refuse(view, topology, $"'{Words.Quoted(wish)}' is neither host:port nor {ZnodePaths.AnyReplica}");
        }

        if (target == from)
        {
            return Requests.Refuse(view, topology, $"{target} is the master already");
        }

        if (target is not null && !policy.Nodes.Contains(target))
        {
            return Requests.Refuse(view, topology, $"{Words.Quoted(target.ToString())} is not among the configured nodes");
        }

        // It would not obey either: the switchover would begin, only to be undone at its deadline.
        if (Verdict.Unwatched(view.Node(from)) is { } unwatched)
        {
            return Requests.Refuse(view, topology, unwatched);
        }

        // What was asked before the wish came may be a second old, and a replica that has only just been told whom to follow needs
        // a second to get there.
        ImmutableArray<NodeView> asked = [.. (target is null ? policy.Nodes : [target]).Where(n => n != from).Select(view.Node).Where(n => n.IsReplica)];
        if (Candidates.Unheard(asked, view.WishedAt, policy, now) is { IsEmpty: false } questions)
        {
            return new Decision(questions, view.WishedAt + policy.ProbeTimeout, "asking the replicas before the operator's wish is heard");
        }

        // Who refuses our credentials is no candidate, and will not become one by waiting.
        asked = [.. asked.Where(n => n.Evidence is not (Evidence.Denied or Evidence.Nonsense))];
        if (now < view.WishedAt + timeout && !asked.IsEmpty && asked.All(n => !n.Info!.LinkUp || n.Info.SyncInProgress))
        {
            // One that is loading answers at once and says nothing new: it will be heard when it is done. Each has its own pace: one that does not
            // answer must not let the others be asked as fast as they do.
            ImmutableArray<NodeView> talking = [.. asked.Where(n => n.Evidence != Evidence.Loading)];
            ImmutableArray<FailoverAction> due = [.. talking.Where(n => n.InfoAsked + PatienceInterval <= now).Select(n => new Inspect(n.Address))];
            TimeSpan next = talking.Select(n => n.InfoAsked + PatienceInterval).Where(at => at > now).DefaultIfEmpty(now + PatienceInterval).Min();
            return new Decision(due, next, "waiting until a replica is in step with the master");
        }

        MasterIdentity? identity = Incumbency.LastKnownIdentity(view.Node(from), topology.Identity);
        List<string> unfit = [];
        List<NodeView> fit = [];
        foreach (NodeAddress address in target is null ? policy.Nodes.AsEnumerable() : [target])
        {
            NodeView node = view.Node(address);
            string? why = address == from
                ? "it is the master"
                : Candidates.Unfit(node, identity, view, policy, now) ?? Candidates.Hangs(node, view.WishedAt, now) ?? (node.Info!.LinkUp ? null : "its link to the master is down");
            if (why is null)
            {
                fit.Add(node);
            }
            else if (address != from)
            {
                unfit.Add($"{address}: {why}");
            }
        }

        NodeView? forced = fit.Count == 0 && request is { Force: true } && target is not null && view.Node(target).IsReplica && Candidates.CanBePromoted(view.Node(target)) && Candidates.Hangs(view.Node(target), view.WishedAt, now) is null ? view.Node(target) : null;
        if (fit.Count == 0 && forced is null)
        {
            string why = (unfit.Count > 0 ? string.Join("; ", unfit) : "there is none")
                + (request is { Force: true } && target is not null && !view.Node(target).IsReplica ? "; by force a replica is taken that answers, whatever it lacks" : "");
            return Requests.Refuse(view, topology, target is null ? $"no replica can take over: {why}" : $"the node that was asked for cannot take over: {why}");
        }

        NodeAddress to = forced?.Address ?? Candidates.Ranked(fit, identity, view, policy, now)[0].Address;
        string reason = forced is null
            ? $"switchover from {from} to {to}, as the operator asked"
            : $"forced switchover from {from} to {to}, as the operator asked; data may be lost: {string.Join("; ", unfit)}";
        // The master stays in office and is named until another one is: clients go on, and only the master itself holds them up.
        Topology intent = topology with
        {
            State = TopologyState.SwitchingOver,
            Reason = reason,
            Identity = identity,
            Intent = new FailoverIntent(from, to) { Request = request?.Id, Timeout = request?.Timeout, Forced = forced is not null },
        };
        return Decision.Do(reason, new PublishTopology(intent, view.Version) { Request = request is null ? null : new RequestStep(request) });
    }
}
