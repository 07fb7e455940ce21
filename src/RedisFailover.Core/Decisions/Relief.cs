using System.Collections.Immutable;

namespace RedisFailover;

/// <summary>
/// The master lives and yet cannot go on: the other monitors cannot reach it, it refuses writes, or it loads without end. It is
/// relieved by a replica that is better in this, and stays where there is none: a lame master is more than none.
/// </summary>
internal static class Relief
{
    /// <summary>The relief, or what has to be known before; null when the master stays, and then <paramref name="warning"/> says why.</summary>
    internal static Decision? Decide(ClusterView view, FailoverPolicy policy, TimeSpan now, Topology topology, Loss loss, out string warning)
    {
        NodeView master = view.Node(topology.Master!);
        warning = loss.Reason;
        if (view.GaveUpAt is { } gaveUp && now < gaveUp + policy.ReliefInterval)
        {
            warning = $"{loss.Reason}; to replace it has failed, and is tried again {policy.ReliefInterval.TotalSeconds:0} s later";
            return null;
        }

        TimeSpan since = WantedSince(view, policy, now, master);
        if (loss.Remedy == Remedy.HandOver)
        {
            ImmutableArray<FailoverAction> questions = Candidates.Unheard(policy.Nodes.Select(view.Node).Where(n => n.IsReplica), since, policy, now);
            // The others may have seen its end a moment earlier than this monitor: it is asked after their word was heard.
            if (master.InfoAsked < view.VotesHeardAt)
            {
                return new Decision([new Inspect(master.Address), .. questions], now + policy.InspectRetryDelay, $"{loss.Reason}; it is asked once more");
            }

            if (!questions.IsEmpty)
            {
                return new Decision(questions, since + policy.ProbeTimeout, $"{loss.Reason}; the replicas are asked before it holds its writes");
            }
        }

        MasterIdentity? identity = Incumbency.LastKnownIdentity(master, topology.Identity);
        List<string> unfit = [];
        List<NodeView> fit = [];
        foreach (NodeView node in policy.Nodes.Where(n => n != master.Address).Select(view.Node))
        {
            string? why = Candidates.Unfit(node, identity, view, policy, now)
                ?? Candidates.Reservation(node, view, policy)
                ?? (loss.Remedy == Remedy.HandOver ? Candidates.Hangs(node, since, now) ?? (node.Info!.LinkUp ? null : "its link to the master is down") : Candidates.TooFarBehind(node, identity, policy));
            if (why is null)
            {
                fit.Add(node);
            }
            else
            {
                unfit.Add($"{node.Address}: {why}");
            }
        }

        if (fit.Count == 0)
        {
            warning = $"{loss.Reason}; it stays, because nobody can take over: {(unfit.Count > 0 ? string.Join("; ", unfit) : "there is no other node")}";
            return null;
        }

        if (loss.Remedy != Remedy.HandOver)
        {
            return Incumbency.BeginFailover(view, policy, topology, loss.Reason);
        }

        Topology intent = topology with
        {
            Master = null,
            State = TopologyState.SwitchingOver,
            Epoch = Math.Max(topology.Epoch, view.LastEpoch) + 1,
            Reason = loss.Reason,
            Identity = identity,
            Intent = new FailoverIntent(master.Address, Candidates.Ranked(fit, identity, view, policy, now)[0].Address),
        };
        // Nobody asked for it, and what is wrong with the master is still to be mended.
        return Decision.Do(loss.Reason, new PublishTopology(intent, view.Version)) with { Warning = loss.Reason };
    }

    /// <summary>
    /// The moment from which the master is to be relieved: the last vote, or the end of the time that it was given to save, or to wait after a
    /// relief that failed. Of these, the last that has passed.
    /// </summary>
    private static TimeSpan WantedSince(ClusterView view, FailoverPolicy policy, TimeSpan now, NodeView master)
        => new[] { view.VotesHeardAt, master.RefusesWritesSince + policy.MisconfTimeout, view.GaveUpAt + policy.ReliefInterval }
            .Max(at => at is { } time && time <= now ? time : TimeSpan.Zero);
}
