namespace RedisFailover;

/// <summary>What is found in <c>R/nodes</c>: a leader's own work, another's, somebody's who does not lead, or an older one.</summary>
internal static class TopologyObservations
{
    internal static ClusterView Read(this ClusterView view, TopologyRead found)
    {
        // A monitor of an older release leaves it out.
        TopologyRead read = found.Topology is { Incarnation: null } bare && view.Topology is { Incarnation: not null } kept
            && bare.Epoch >= view.LastEpoch
            ? found with { Topology = bare with { Incarnation = kept.Incarnation, FormerIncarnations = kept.FormerIncarnations } }
            : found;
        if (view.Term is not null && !read.Synced)
        {
            return view with { TopologyKnown = view.TopologyKnown && read.Version == view.Version, VersionHeard = read.Version };
        }

        return view.Topology is { } ours && read.Topology is { } foreign && view.IsForeign(read.Version, foreign)
                ? view.KeptOver(read, ours, foreign)
            : view.Topology is { } known && read.Topology is { } back && back.Epoch < view.LastEpoch ? view.KeptOverOlder(read, known, back)
            : view.Taken(read);
    }

    /// <summary>
    /// Whether this topology, which follows the one that is known, ends a failover: to another master, and not by a planned switchover.
    /// </summary>
    internal static bool IsFailover(this ClusterView view, Topology next, HistoryKind? change)
        => view.Topology is { Epoch: > 0 } known && next is { State: TopologyState.Ok, Master: { } master }
            && (known.State == TopologyState.FailingOver ? known.Intent?.From is { } from && from != master
                : (next.Epoch > known.Epoch || known.State == TopologyState.SwitchingOver) && change == HistoryKind.Failover
                    && master != (known.Intent?.From ?? known.Master));

    /// <summary>
    /// What is known holds, and is written again: at an epoch that those follow who have followed the foreign one.
    /// </summary>
    private static ClusterView KeptOver(this ClusterView view, TopologyRead read, Topology ours, Topology foreign) => view with
    {
        TopologyKnown = true,
        Version = read.Version,
        TopologyFault = $"what the znode holds was written by somebody who does not lead: epoch {foreign.Epoch}, "
                + $"{TopologyJson.Name(foreign.State)}, master {foreign.Master?.ToString() ?? "none"}; {WriterOf(foreign)}",
        LastEpoch = Math.Max(Math.Max(view.LastEpoch, read.LastEpoch), foreign.Epoch),
        Progress = ours.IsChangingMaster ? view.Progress : null,
        Unacknowledged = null,
    };

    /// <summary>
    /// Clients refuse it: what is known holds, and a leader writes it again. A watch may be late and tell of the past.
    /// </summary>
    private static ClusterView KeptOverOlder(this ClusterView view, TopologyRead read, Topology known, Topology back) => view with
    {
        TopologyKnown = view.Term is not null,
        Version = read.Version,
        StoreWentBack = read.Synced && !view.TopologyIsOurs,
        TopologyFault = read.Synced
            ? $"the epoch in the znode went back from {view.LastEpoch} to {back.Epoch}, which no monitor writes; {WriterOf(back)}"
            : view.TopologyFault,
        LastEpoch = Math.Max(view.LastEpoch, read.LastEpoch),
        Progress = known.IsChangingMaster
            ? view.Progress ?? new MasterChangeProgress(read.At, read.At, Inherited: true) { Before = null, InheritedEpoch = known.Epoch }
            : null,
    };

    private static ClusterView Taken(this ClusterView view, TopologyRead read)
    {
        ClusterView next = view with
        {
            TopologyKnown = view.Term is not null,
            Version = read.Version,
            Topology = read.Topology ?? view.Topology,
            FailedOverAt = read.Topology is { } found && view.IsFailover(found, found.LastChange?.Kind) ? read.At : view.FailedOverAt,
            TopologyFault = read.Fault ?? (read.Topology is null && view.Topology is not null ? "the znode is missing" : null),
            LastEpoch = Math.Max(Math.Max(view.LastEpoch, read.LastEpoch), read.Topology?.Epoch ?? 0),
            StoreWentBack = read.Version < 0 && view.Topology is not null && !view.TopologyIsOurs && read.Synced,
            TopologyIsOurs = view.Term is not null,
            Unacknowledged = null,
            // It was written after all: what failed was the reply.
            Unpublished = view.Unacknowledged is not null && read.Version > view.Version ? null : view.Unpublished,
            Resumption = read.Version > view.Version && view.Unacknowledged?.Afterwards is { } resume
                && read.Topology is { State: TopologyState.Ok } ok
                && ok.Master == resume.Node ? resume : view.Resumption,
        };
        return next.Topology is { IsChangingMaster: true }
            ? next with
            {
                // The intent stands there, also where the answer to it was lost: nobody was asked before it.
                Progress = next.Progress is { } ours ? ours with { IntentAt = ours.IntentAt ?? read.At }
                    : new MasterChangeProgress(read.At, read.At, Inherited: true)
                    {
                        InheritedEpoch = next.Topology.Epoch,
                        Before = read.ChangeAge,
                        BegunBy = next.Topology.ChangedBy is { Length: > 0 } by ? by : null,
                    },
            }
            : next with { Progress = null };
    }

    private static string WriterOf(Topology topology)
        => topology.ChangedBy.Length > 0 ? $"it names '{topology.ChangedBy}' as its writer" : "it names no writer";

    /// <summary>
    /// Whether somebody wrote it who does not lead: a leader that has read the znode once knows all that came after, and what it wrote
    /// without hearing of it. With a lower epoch it is said so, in other words.
    /// </summary>
    private static bool IsForeign(this ClusterView view, int version, Topology read)
        => view.Term is not null && view.TopologyIsOurs && version != view.Version && read.Epoch >= view.LastEpoch
            && !(view.Unacknowledged is { Next: var ours }
            && (ours.Epoch, ours.State, ours.Master, ours.Reason) == (read.Epoch, read.State, read.Master, read.Reason));
}
