using System.Collections.Immutable;

namespace RedisFailover;

/// <summary>
/// Write safety <c>replicated</c>: no failover loses a write that <c>WAIT K</c> has acknowledged, and a master that is cut off from its
/// replicas stops taking writes by itself.
/// </summary>
/// <remarks>
/// <para><b>What is published.</b> <c>R/nodes</c> holds K and a set R of n nodes: those that may hold an acknowledged write. Claim, at
/// every instant: <i>every write that WAIT K has acknowledged is held by at least min(K, n) members of R</i>. Then any n - K + 1 of them
/// (one at least) include a holder, because K + (n - K + 1) > n; and whoever has the highest offset of one history among them has all that
/// they have. So a master is replaced only while n - K + 1 members of R answer whose data the candidate has. If n is less than K, each
/// member holds every such write, and one is enough.</para>
/// <para><b>Growing is always safe and comes first.</b> A larger R makes more nodes necessary, never fewer, and the new member need not
/// hold anything (K holders are in R as before). Only where n was less than K, so that each member holds everything, one more would be
/// taken for one that does too: it counts as absent until it has had all that the master had. A write can be acknowledged by a node only
/// once that node is attached to the master. Therefore a node is in the published R before this monitor lets it follow the master, and
/// every configured node that answers is in R whatever it follows.
/// </para>
/// <para><b>Shrinking is safe when K of those who stay have everything</b> (all, where no more than K stay). A member x leaves R when
/// the master itself does not list it as attached and the monitors, the leading one among them, find it unavailable (or it says that its
/// data were never this cluster's), and K members that stay have reached the offset that the master named in that same answer. Whatever x
/// has ever acknowledged lies below that offset, so those K hold it, and later writes are acknowledged by attached nodes, which are in R.
/// The word of a master that was restarted counts for nothing until it is known as that: it may have less than its members hold. The last
/// member never leaves: when no replica is left, no write can be acknowledged by WAIT any more, and the one that was last in R has all
/// that were.</para>
/// <para><b>A new master</b> b was in R, or held all that the reachable quorum held. Its R is every other configured node. Of the K
/// holders of a write at most one, b, is left out, and the old master, which holds every write of its own time, is in. Where there were
/// fewer than K, only those that were in R count, and the others once they have had everything, as above.</para>
/// <para><b>min-replicas-to-write</b> is a fence, not a part of the proof: with m of it a master cut off with fewer than m replicas
/// refuses writes after min-replicas-max-lag. The m that is published is never more than the master's own: lowered in the znode first and
/// on the master then, raised on the master first. It is min(K, replicas in step), 0 when the last one is gone: losing replicas does not
/// stop writes.</para>
/// <para><b>A member that was restarted</b> may have lost what it had acknowledged (an older snapshot, an append-only file that was not
/// synced), and an older snapshot even shows the same history. So the set names the run id of each member; one that shows another counts as
/// absent until it has had all that the master had when it was back, or until K members have: then it is as if it had left the set and come
/// back, and need not hold anything.</para>
/// <para><b>A member that was overwritten</b> by a full copy of a master that was restarted with less, or of a node that had less, is seen
/// by its offset, which went back in the same run: it counts as absent until it has as much of the lost master's history as it had. A copy
/// of that master itself takes nothing of it. A monitor that was started later does not know.</para>
/// <para><b>A master that was restarted with less</b> may have taken writes again before it was judged, and a member that had no more than
/// it goes on under it at once and acknowledges them: who lacks these does not have all that this member has. Where others have what the
/// restarted one lacks, nobody has all, and an operator chooses.</para>
/// <para><b>A member without anything</b> (of no history that the lost master knew, empty or at offset 0, and still in the run that the
/// set names, and not seen with a link in it: it may have been wiped by one) has never been this master's replica in that run and never
/// acknowledged anything: whoever is promoted has all that it has. So
/// a node that is still waiting for its first copy stands in nobody's way. One that was started from its append-only file is not empty, but
/// has taken no stream yet.</para>
/// <para><b>An empty member of the same history</b>, still in the run that the set names, is judged by its offset as others are: what it
/// acknowledged in that run lies below it. It may have been started from the snapshot of a first copy, when there was nothing yet. Where
/// its run is not known, it does not count.</para>
/// <para><b>Outside the claim:</b> Redis lets WAIT count any replica that is attached. One that is not configured is not in R. One that
/// had left R, attaches by itself, acknowledges and is lost again together with the master before the next INFO of the master (1 s) is not
/// in R either; nor does anybody know of what a new member acknowledged and lost in a run that ended before it was first seen, nor of
/// what a full copy of a restarted master overwrote while nobody led.</para>
/// <para>The idea, that the set known to the coordination service is always such that any acknowledged write is found in any sufficiently
/// large part of it, and the order of changes that follows, are those of Patroni's quorum commit, whose set PostgreSQL itself
/// enforces.</para>
/// </remarks>
internal static class WriteSafety
{
    /// <summary>The published set as it should be now, what to do on the nodes, and what an operator has to look after.</summary>
    internal static (WriteQuorum? Next, ImmutableArray<FailoverAction> Actions, Problem? Weakness) Maintain(Assessment a)
    {
        NodeAssessment master = a.Master;
        if (a.Policy.WriteSafety == WriteSafetyMode.None)
        {
            (WriteQuorum? kept, SetMinReplicas? restore) = PutBack(a, master);
            return (kept, restore is null ? [] : [restore], null);
        }

        WriteQuorum quorum = a.Topology.WriteQuorum ?? Beginning(a.Policy, null, master.Address, master.Info);
        // Fewer holders make more nodes necessary, at once. More of them make fewer necessary: only once all members have everything.
        quorum = quorum with { Quorum = Math.Min(quorum.Quorum, a.Policy.WriteQuorum) };
        if (a.Topology.WriteQuorum is not { } published)
        {
            return (WithRuns(a, quorum, quorum.Replicas, static (_, _) => false), [], null);
        }

        // One that was restarted, and may have less than before, is no measure of what the members hold.
        if (master is not { IsMaster: true, IsCurrent: true } || master.Run == RunState.Restarted)
        {
            return (quorum, [], null);
        }

        (quorum, ImmutableArray<FailoverAction> questions) = Membered(a, quorum);
        (quorum, SetMinReplicas? fence) = Fenced(a, quorum, published);
        return (quorum, fence is null ? questions : questions.Add(fence), master.Info!.MinReplicas is not null ? null
            : Problem.Of(
                ProblemCatalogue.RightsMissing,
                $"write-safety replicated cannot manage min-replicas-to-write: {master.Address} does not let CONFIG be used",
                master.Address));
    }

    /// <summary>What the topology of a new master says.</summary>
    internal static WriteQuorum? UnderNewMaster(Assessment a, NodeAddress master)
    {
        if (a.Policy.WriteSafety == WriteSafetyMode.None)
        {
            return a.Topology.WriteQuorum;
        }

        WriteQuorum next = Beginning(a.Policy, a.Topology.WriteQuorum, master, null);
        if (a.Topology.Intent?.From is { } lost && lost != master && !next.Replicas.Contains(lost))
        {
            // It holds what it took, though it is not configured any more; it leaves as others do.
            next = next with { Replicas = [.. next.Replicas.Append(lost).Order()] };
        }

        next = a.Topology.WriteQuorum is { } before ? WithNewcomers(next, before, next.Replicas) : next;
        // As long as it runs, the old master has all that it ever took.
        return a.Topology is { Intent.From: { } from, Identity.RunId: { Length: > 0 } run } && next.Replicas.Contains(from)
            ? next with { Runs = next.Runs.SetItem(from, run) }
            : next;
    }

    /// <summary>Whether a node may be told to follow the master: it could acknowledge writes at once.</summary>
    internal static bool MayAttach(Assessment a, NodeAddress node)
        => a.Policy.WriteSafety == WriteSafetyMode.None || a.Topology.WriteQuorum?.Replicas.Contains(node) == true;

    /// <summary>The min-replicas-to-write that a node gets when it is no longer master; null: it was not touched.</summary>
    internal static int? AfterServing(Assessment a, NodeInfo info)
        => a.Policy.WriteSafety == WriteSafetyMode.Replicated ? a.Topology.WriteQuorum?.Before.Count ?? 0
            : info.PausesWritesAlone ? null
            : info.MinReplicas is { Count: < MinReplicas.Refusing } own ? own.Count
            : a.Topology.Intent?.MinReplicas ?? info.MinReplicasBefore ?? 0;

    /// <summary>What an intent says of the min-replicas-to-write of the master that it replaces.</summary>
    internal static int? ToPutBack(NodeInfo? from)
        => from is { PausesWritesAlone: false, MinReplicas: { Count: > 0 and < MinReplicas.Refusing } own } ? own.Count : null;

    /// <summary>
    /// The min-replicas-to-write that a node is promoted with: its replicas are not there yet, and writes shall not wait for them.
    /// </summary>
    internal static int? AtPromotion(Assessment a, NodeAssessment node)
        => a.Policy.WriteSafety == WriteSafetyMode.Replicated && node.Info?.MinReplicas is not { Count: 0 } ? 0 : null;

    /// <summary>The set under a new master, which has no replicas in step yet.</summary>
    private static WriteQuorum Beginning(FailoverPolicy policy, WriteQuorum? before, NodeAddress master, NodeInfo? info) => new(
        Math.Min(policy.WriteQuorum, before?.Quorum ?? policy.WriteQuorum),
        [.. policy.Nodes.Concat(before?.Replicas ?? []).Where(n => n != master).Distinct().Order()],
        MinReplicas: 0,
        before?.Before
            ?? new MinReplicas(info?.MinReplicas?.Count ?? MinReplicas.Default.Count, info?.MinReplicas?.MaxLag
            ?? MinReplicas.Default.MaxLag))
    {
        Runs = before?.Runs.Remove(master) ?? ImmutableSortedDictionary<NodeAddress, string>.Empty,
    };

    private static (WriteQuorum Quorum, ImmutableArray<FailoverAction> Questions) Membered(Assessment a, WriteQuorum quorum)
    {
        ImmutableArray<NodeAddress> wanted = [.. quorum.Replicas
            .Concat(a.Configured.Where(n => IsAttached(a, n) || IsHere(n)).Select(n => n.Address))
            .Where(n => n != a.Master.Address).Distinct().Order()];
        quorum = WithRuns(a, WithNewcomers(quorum, quorum, wanted), wanted, HasAll);
        quorum = quorum.Quorum < a.Policy.WriteQuorum && wanted.All(n => HasAll(a, a.Node(n)))
            ? quorum with { Quorum = a.Policy.WriteQuorum } : quorum;
        // Who is here stays, though the others' votes may not have caught up with its return: the set would change to and fro till then.
        ImmutableArray<NodeAddress> stay = [.. wanted.Where(n => Stays(a, a.Node(n)))];
        stay = stay.IsEmpty ? wanted : stay;
        ImmutableArray<NodeAssessment> restarted = [.. stay.Select(a.Node).Where(n => IsRestarted(a, quorum, n))];
        // What the master names after the return of a restarted one lets that count again: it may be lost before its next INFO.
        ImmutableArray<FailoverAction> questions = stay.Select(a.Node)
            .Any(n => IsOfAnotherRun(quorum, n) && !a.MasterWasHeardSinceReturnOf(n)) ? [new Inspect(a.Master.Address)] : [];
        if (stay.Length == wanted.Length && restarted.IsEmpty)
        {
            return (quorum with { Replicas = wanted }, questions);
        }

        ImmutableArray<NodeAssessment> behind = [.. stay.Select(a.Node).Where(n => !HasAll(a, n))];
        if (stay.Length - behind.Length < Math.Min(quorum.Quorum, stay.Length))
        {
            return (quorum with { Replicas = wanted }, [.. questions, .. Questions(a, behind)]);
        }

        quorum = WithRuns(a, quorum, stay, HasAll);
        return (quorum with
        {
            Replicas = stay,
            Runs = quorum.Runs.SetItems(restarted.Select(n => KeyValuePair.Create(n.Address, n.Info!.RunId))),
        }, questions);
    }

    /// <summary>A member of another run than the set names, back before the master named the offset that its holders have.</summary>
    private static bool IsRestarted(Assessment a, WriteQuorum quorum, NodeAssessment node)
        => IsOfAnotherRun(quorum, node) && a.MasterWasHeardSinceReturnOf(node);

    private static bool IsOfAnotherRun(WriteQuorum quorum, NodeAssessment node)
        => node.IsInOrder && quorum.Runs.TryGetValue(node.Address, out string? run) && run != node.Info!.RunId;

    private static bool IsHere(NodeAssessment node) => node is { IsOnline: true, IsLeftAlone: false };

    private static bool IsAttached(Assessment a, NodeAssessment node) => UnknownCopies.IsAttached(a, node);

    /// <summary>
    /// One with data that were never this cluster's never held anything of it, and would be missing for ever: at every failover, and
    /// where K grows. While somebody is attached whom nobody knows it may be the one that is away.
    /// </summary>
    private static bool Stays(Assessment a, NodeAssessment node)
        => IsAttached(a, node) || UnknownCopies.MayBeOneOfOurs(a)
            || (node.IsConfigured && node is not { IsCurrent: true, IsLeftAlone: true } && (IsHere(node) || !node.IsVotedOut));

    /// <summary>
    /// It has all that the master named; what the master named before this one was away is not all that it may have acknowledged since.
    /// </summary>
    private static bool HasAll(Assessment a, NodeAssessment node)
        => node.IsReplica && node.Info!.MasterAddress == a.Master.Address && !node.Info.SyncInProgress
        && node.Info.ReplicationId == a.Master.Info!.ReplicationId && node.Info.Offset >= a.Master.Info.Offset
        && a.MasterWasHeardSinceReturnOf(node);

    /// <summary>Those who were not asked since the master named its offset, and may have reached it.</summary>
    private static ImmutableArray<FailoverAction> Questions(Assessment a, IEnumerable<NodeAssessment> behind)
        => [.. behind.Where(n => n is { IsReplica: true, IsAnswering: true, Info: { LinkUp: true, SyncInProgress: false } }
                && !n.WasAskedSince(a.Master.View.InfoAsked))
            .Select(n => new Inspect(n.Address))];

    /// <summary>Those who are not in the set that was too small for K holders have to prove themselves.</summary>
    private static WriteQuorum WithNewcomers(WriteQuorum quorum, WriteQuorum before, ImmutableArray<NodeAddress> members)
        => before.Replicas.Length >= before.Quorum ? quorum
            : quorum with { Runs =
                quorum.Runs.SetItems(members.Except(before.Replicas).Select(n => KeyValuePair.Create(n, WriteQuorum.Unproven))) };

    /// <summary>
    /// A new member need not hold anything, whatever its run; one that was restarted gets its new run when it has everything.
    /// </summary>
    private static WriteQuorum WithRuns(
        Assessment a, WriteQuorum quorum, ImmutableArray<NodeAddress> members, Func<Assessment, NodeAssessment, bool> hasAll) => quorum with
    {
        Runs = quorum.Runs.RemoveRange(quorum.Runs.Keys.Except(members))
            .SetItems(members.Select(a.Node)
                .Where(n => n is { IsOnline: true, View.FailingSince: null } && (!quorum.Runs.ContainsKey(n.Address) || hasAll(a, n)))
                .Select(n => KeyValuePair.Create(n.Address, n.Info!.RunId))),
    };

    private static (WriteQuorum Quorum, SetMinReplicas? Action) Fenced(Assessment a, WriteQuorum quorum, WriteQuorum published)
    {
        NodeAssessment master = a.Master;
        if (master.Info!.MinReplicas is not { } actual)
        {
            return (quorum, null);
        }

        ImmutableArray<NodeAssessment> alive = [.. a.Configured.Where(n => n.Address != master.Address && !n.IsVotedOut)];
        int most = Math.Min(a.Policy.WriteQuorum, alive.Count(n => IsAttached(a, n) || Follows(n)));
        int least = Math.Min(a.Policy.WriteQuorum, alive.Count(n => IsAttached(a, n) && Follows(n) && n.View.FailingSince is null));
        int wanted = actual.Count > most ? most : actual.Count < least ? least : actual.Count;
        // Lower in the znode before on the master, higher on the master before in the znode.
        quorum = quorum with { MinReplicas = Math.Min(wanted, actual.Count) };
        bool mayBeSet = wanted >= actual.Count || published.MinReplicas <= wanted;
        return (quorum, (wanted != actual.Count && mayBeSet) || actual.MaxLag != a.Policy.WriteMaxLag
            ? new SetMinReplicas(master.Address, new MinReplicas(mayBeSet ? wanted : actual.Count, a.Policy.WriteMaxLag))
            : null);

        bool Follows(NodeAssessment node) => node.IsReplica && node.Info!.LinkUp && node.Info.MasterAddress == master.Address;
    }

    /// <summary>It is switched off, or was never on: the master gets its operator's setting back, then the znode forgets it.</summary>
    private static (WriteQuorum? Next, SetMinReplicas? Action) PutBack(Assessment a, NodeAssessment master)
    {
        WriteQuorum? published = a.Topology.WriteQuorum;
        MinReplicas? actual = master is { IsMaster: true, IsAnswering: true } ? master.Info!.MinReplicas : null;
        if (published is null && a.View.Resumption is { MinReplicas: not null })
        {
            // It is about to be put back to what it was.
            return (null, null);
        }

        if (published is null)
        {
            // A switchover of a Redis before 6.2 broke off at its worst moment.
            return (null, actual is { Count: MinReplicas.Refusing } refusing
                ? new SetMinReplicas(master.Address, refusing with { Count = master.Info!.MinReplicasBefore ?? 0 })
                : null);
        }

        // While write safety is off nobody asks for the setting. Forgotten unseen, the fence would stay, with nobody to lower it when the
        // replicas are gone.
        if (master.IsMaster && actual is null && (published.MinReplicas > 0 || published.Before.Count > 0))
        {
            return (published, master.IsAnswering ? new SetMinReplicas(master.Address, published.Before) : null);
        }

        return actual is not null && actual != published.Before
            ? (published, new SetMinReplicas(master.Address, published.Before))
            : (master.IsMaster ? null : published, null);
    }
}
