using System.Collections.Immutable;

namespace RedisFailover;

/// <summary>How a change of master ends: the promoted node is published as the new master, or the old one goes on. Either is noted in the history.</summary>
internal static class Completion
{
    /// <summary>The new master is confirmed: publish it.</summary>
    internal static Decision Install(
        ClusterView view, FailoverPolicy policy, Topology topology, MasterChangeProgress progress, NodeView promoted)
    {
        NodeAddress? from = topology.Intent?.From;
        bool planned = topology.State == TopologyState.SwitchingOver
            && (progress.PausedAt is not null || (from is not null && !Verdict.IsUnavailable(view, policy, from, out _)));
        long? behind = topology.Identity is { } lost && promoted.Info!.CommonOffset(lost) is { } common
            ? Math.Max(0, LastOffset(view, from, lost, progress) - common)
            : null;
        // What a master took in office after a restart is not known where the new one goes by what was before: that is no "nothing lost".
        if (behind == 0 && topology.Identity is { RunId.Length: > 0 } judged && from is not null
            && view.Node(from) is { Info: { Role: NodeRole.Master, Keys: > 0 } word } old && word.RunId != judged.RunId && old.InfoAsked < progress.LostAt)
        {
            behind = null;
        }

        // "adopted" is the word for a cluster whose first master is made of a replica: there was nothing to fail over from.
        string occasion = Failover.Occasion(topology) + (progress.BegunBy is { } former ? $"; begun by {former}, which left it to its successor" : "")
            + (progress.PromotedDespite is { } despite ? $"; {promoted.Address} was promoted by the operator's order though {despite}: what it did not hold is lost" : "");
        string reason = $"{promoted.Address} replaces {from?.ToString() ?? "no master"}: {occasion}";
        // A switchover leaves the epoch to the old master until here.
        Topology next = InOffice(view, policy, topology, promoted, reason) with
        {
            Epoch = topology.Master is null ? topology.Epoch : Math.Max(topology.Epoch, view.LastEpoch) + 1,
            WriteQuorum = WriteSafety.UnderNewMaster(policy, topology, promoted.Address),
        };
        if (planned && from is not null && from != promoted.Address && view.Node(from).IsOnline && !next.Replicas.Contains(from)
            && !Verdict.IsUnavailable(view, policy, from, out _))
        {
            // It has all the data and is a replica in a moment: clients keep their connections to it, on which their held-back
            // writes are about to be answered with READONLY.
            next = next with { Replicas = [.. policy.Nodes.Where(n => n == from || next.Replicas.Contains(n))], Unavailable = next.Unavailable.Remove(from) };
        }

        var record = new HistoryEntry
        {
            Kind = planned && (behind is not > 0 || topology.Intent is { Forced: true }) ? HistoryKind.Switchover : HistoryKind.Failover,
            Epoch = next.Epoch,
            From = from,
            To = promoted.Address,
            Reason = occasion,
            BytesBehind = behind,
            Millis = Steps(progress),
        };
        var publication = new PublishTopology(next, view.Version, record, ClearsWish: view.ManualFailover is not null)
        {
            Request = Requests.Answer(view, topology, next, RequestOutcome.Done, record.Reason, record.Millis),
        };
        // What the old master of a switchover holds back need not wait for the publication, the new one is in office already; and it
        // must not wait for a successor if this monitor dies in between.
        Decision decision = planned && from is not null && view.Node(from) is { IsMaster: true, FailingSince: null }
            ? Decision.Do(
                reason,
                new Demote(from, promoted.Address, CutsClients: false) { MinReplicas = WriteSafety.AfterOffice(policy, topology, view.Node(from).Info!) },
                publication)
            : Decision.Do(reason, publication);
        return behind > 0
            ? decision with { Warning = $"{promoted.Address} lacks the last {behind} bytes that {from} was seen to have" }
            : decision;
    }

    /// <summary>The old master goes on.</summary>
    internal static Decision Restore(
        ClusterView view, FailoverPolicy policy, TimeSpan now, Topology topology, MasterChangeProgress progress, NodeView from, string reason)
    {
        var record = new HistoryEntry
        {
            Kind = HistoryKind.Restored,
            Epoch = topology.Epoch,
            From = from.Address,
            To = from.Address,
            Reason = reason,
            BytesBehind = topology.Identity is { } held && Shortfall.Of(from, held) is (_, var bytes) ? bytes : null,
            Millis = Steps(progress, givenUpAt: now),
        };
        // Where a node may have been promoted after all, the epoch is used up.
        Topology next = InOffice(view, policy, topology, from, reason);
        if (topology is { State: TopologyState.SwitchingOver, Identity: { RunId.Length: > 0 } office } && from.Info!.RunId != office.RunId)
        {
            // It was restarted since, and nobody has judged yet whether others have more: that goes by what it was.
            next = next with { Identity = office };
        }

        if (topology.Master is not null && (progress.Inherited || view.Failed.Keys.Any(a => a is Promote)))
        {
            next = next with { Epoch = Math.Max(topology.Epoch, view.LastEpoch) + 1 };
        }

        var publication = new PublishTopology(next, view.Version, record with { Epoch = next.Epoch }, ClearsWish: view.ManualFailover is not null)
        {
            Request = Requests.Answer(view, topology, next, RequestOutcome.Undone, reason, record.Millis),
        };
        if (topology.State != TopologyState.SwitchingOver && !progress.HoldsWrites)
        {
            return Decision.Do(reason, publication);
        }

        // What it takes before this is written would be lost if another monitor installed the one that was promoted after all.
        var resumption = new ResumeWrites(from.Address, from.Info!.PausesWritesAlone ? null : WriteSafety.AfterOffice(policy, topology, from.Info));
        return next.Epoch != topology.Epoch
            ? Decision.Do(reason, publication with { Afterwards = resumption })
            : Decision.Do(reason, publication, resumption);
    }

    /// <summary>A promotion whose answer was lost may have been done: the node is asked before the old master goes on.</summary>
    internal static ImmutableArray<FailoverAction> UncertainPromotions(ClusterView view, FailoverPolicy policy)
        => [.. view.Failed.Where(f => f.Key is Promote promote && view.Node(promote.Node) is { IsAnswering: true } node
                && node.InfoAsked < f.Value.RetryAt - policy.RetryDelay)
            .Select(f => f.Key.On!).Order().Select(n => new Inspect(n))];

    /// <summary>The topology with this node as the master in office.</summary>
    internal static Topology InOffice(ClusterView view, FailoverPolicy policy, Topology topology, NodeView master, string reason)
        => Membership.WithLists(
            topology with
            {
                Master = master.Address,
                State = TopologyState.Ok,
                Reason = reason,
                Identity = master.Info!.Identity,
                Intent = null,
            },
            view,
            policy);

    /// <summary>How far the old master had come: by its own word while it held its writes, where there is one.</summary>
    private static long LastOffset(ClusterView view, NodeAddress? from, MasterIdentity lost, MasterChangeProgress progress)
        => from is not null && view.Node(from) is { IsMaster: true } old && old.InfoAsked >= progress.PausedAt && old.Info!.ReplicationId == lost.ReplicationId
            ? Math.Max(old.Info.Offset, lost.Offset)
            : lost.Offset;

    /// <summary>
    /// How long each step took, from the first failure on, or from the last answer of a master that hangs; what happens after the promotion
    /// is measured by the writer. What another monitor did of it is one step, and where nobody knows how long that took there is no
    /// total. The wait is the time until a replica was chosen, or, of a change that was given up, until then.
    /// </summary>
    private static ImmutableArray<KeyValuePair<string, double>> Steps(MasterChangeProgress progress, TimeSpan? givenUpAt = null)
    {
        ImmutableArray<KeyValuePair<string, double>>.Builder steps = ImmutableArray.CreateBuilder<KeyValuePair<string, double>>();
        TimeSpan last = progress.CountedFrom;
        if (progress.Before == TimeSpan.Zero)
        {
            Add("verdict", progress.StartedAt);
            Add("intent", progress.IntentAt);
        }
        else if (progress.Before is { } before)
        {
            steps.Add(KeyValuePair.Create("takeover", before.TotalMilliseconds));
        }

        Add("pause", progress.PausedAt);
        // Mostly nothing has to be waited for.
        Add("wait", givenUpAt ?? (progress.ChosenAt is { } chosen && chosen - last >= TimeSpan.FromMilliseconds(1) ? chosen : null));
        Add("promotion", progress.PromotedAt);
        if (progress.Before is { } age)
        {
            steps.Add(KeyValuePair.Create("total", (age + last - progress.CountedFrom).TotalMilliseconds));
        }

        return steps.ToImmutable();

        void Add(string step, TimeSpan? at)
        {
            if (at is { } time)
            {
                steps.Add(KeyValuePair.Create(step, (time - last).TotalMilliseconds));
                last = time;
            }
        }
    }
}
