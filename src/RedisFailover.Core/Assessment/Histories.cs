namespace RedisFailover;

/// <summary>Who has how much of the master's data, as their replication histories tell; see also <see cref="AppendOnlyFiles"/>.</summary>
internal static class Histories
{
    /// <summary>
    /// What the master of the topology held: by its own last word, unless it was restarted since the topology was written.
    /// </summary>
    internal static MasterIdentity? LastKnownIdentity(Assessment a) => LastKnownIdentity(a.Master, a.Topology.Identity);

    /// <summary>
    /// How far in its history the master is known to have come: a replica that was asked later than it may have been seen further, and what
    /// that had the master had. It counts also where that replica was restarted since with less.
    /// </summary>
    internal static long FurthestSeen(Assessment a, MasterIdentity master)
        => a.Nodes.SelectMany(n => n.View.FormerRuns.Append(n.Info))
            .Where(word => word is { SyncInProgress: false, CopyBrokeOff: false }).Select(word => word!.CommonOffset(master) ?? -1)
            .Append(master.Offset).Max();

    /// <summary>
    /// Whether a node has come at least as far in the master's history as the master was known to be. Then its number of keys proves
    /// nothing: what it holds is what the master held, be that no key at all.
    /// </summary>
    internal static bool HasAllThatIsKnownOf(NodeInfo node, MasterIdentity master)
        => !node.CopyBrokeOff && node.CommonOffset(master) >= master.Offset;

    /// <summary>
    /// A node (a replica, or one that was restarted as a master) that has more than the restarted master; null where nobody has. Where that
    /// came back without its history, twice as many keys of any that this cluster once had are more: it may have taken some writes since.
    /// </summary>
    internal static NodeAssessment? NodeWithMore(Assessment a, MasterIdentity known, NodeAssessment restarted)
        => OtherMasters.MadeByOthers(a) is { } made ? made
        : OtherMasters.Moved(a, restarted) is { } moved ? moved
        : AppendOnlyFiles.KeptByFile(a, known, restarted) is { } kept ? kept
        : a.Nodes.FirstOrDefault(n => n.Address != restarted.Address && n.IsOnline && !n.CannotBeWatched
            && (HasMore(n, known, restarted) || (known.HasData
                && (restarted.Info!.Keys == 0
                    || (restarted.Info.CommonOffset(known) is null && AppendOnlyFiles.KeptUntil(restarted, known) is null))
                && !n.IsLeftAlone && n.Info!.Keys > 2 * restarted.Info.Keys
                && (a.OnceHad(n.Info) || (CameBackEmpty(restarted) && HeldOurs(a, n))))))
            ?? AppendOnlyFiles.MayHaveMore(a, known, restarted);

    /// <summary>What it holds it has taken since: nothing of it is of a file.</summary>
    private static bool CameBackEmpty(NodeAssessment node) => node.View.AtFirst is { Keys: 0 };

    /// <summary>A member back from its own file, which forgets the history, whether that has kept everything or not.</summary>
    private static bool HeldOurs(Assessment a, NodeAssessment node)
        => a.Topology.Members.Contains(node.Address) && node.View.BeforeRestart is { } before && a.OnceHad(before);

    /// <summary>
    /// Whether a node has data of the master as it was that the restarted one does not have. From a snapshot a master continues the history
    /// from where the snapshot was taken (second_repl_offset); a replica beyond that would be wiped down to it.
    /// </summary>
    internal static bool HasMore(NodeAssessment node, MasterIdentity known, NodeAssessment restarted)
    {
        (NodeInfo info, NodeInfo back) = (node.Info!, restarted.Info!);
        (long? held, long last) = (back.CommonOffset(known), LastOffset(restarted, known));
        long? kept = AppendOnlyFiles.KeptUntil(restarted, known);
        if (!info.SharesHistoryWith(known) || (info.Keys == 0 && !HasAllThatIsKnownOf(info, known with { Offset = last })))
        {
            return false;
        }

        if (info.CommonOffset(known) is not { } common)
        {
            // From where on the master alone went on is not known: the keys tell.
            return kept is null && info.Keys > back.Keys && !info.SharesHistoryWith(back.Identity);
        }

        // Where nothing tells what the restarted one has, one that lacks itself what the master was known to have, and shows no more keys,
        // is not taken to have more.
        return held is { } has ? common > has || (common == has && WentOnAlone(info, back, common))
            : kept is { } until ? common > until : common >= last || info.Keys > back.Keys;
    }

    /// <summary>
    /// Both have the same of what they had in common, and since then this one alone has taken something: it was promoted by hand while the
    /// other was away.
    /// </summary>
    private static bool WentOnAlone(NodeInfo info, NodeInfo back, long common)
        => info.ReplicationId != back.ReplicationId && info.Offset > common && back.Offset <= common;

    /// <summary>
    /// Whether the lost master, back after a restart, keeps more than this node: it goes on then. Not where the node has all that is known,
    /// and as much as the master has now.
    /// </summary>
    internal static bool KeepsMoreThan(NodeAssessment restarted, MasterIdentity known, NodeAssessment node)
    {
        bool hasAll = node.Info!.CommonOffset(known) is { } has && has >= LastOffset(restarted, known)
            && AppendOnlyFiles.KeptUntil(restarted, known) is null && !(restarted.Info!.CommonOffset(known) > has);
        return !hasAll && !HasMore(node, known, restarted);
    }

    /// <summary>
    /// What the master became when it was restarted, where it went on as that, nobody who is here has more, and somebody has copied it:
    /// that one has all that was taken since, which those who know only what was before have not. With write safety only where it would
    /// have gone on, having all that its replicas had acknowledged. Null elsewhere.
    /// </summary>
    internal static MasterIdentity? OfTheLastRun(Assessment a)
        => a.Master is { Run: RunState.Restarted, Info: { Role: NodeRole.Master, Keys: > 0 } info } master && master.Has(HeardSince.Term)
            && NodeWithMore(a, a.Topology.Identity!, master) is null
            && a.Nodes.Any(n => n.Address != master.Address && n is { IsReplica: true, Info: { Keys: > 0, SyncInProgress: false } copy }
            && copy.CommonOffset(info.Identity) is not null)
            && WriteHolders.Missing(a, master, Purpose.Readiness) is null
                ? info.Identity
                : null;

    /// <summary>
    /// Whether the offset in the znode is of the loss: this monitor saw the master then, or the one that began the failover had. Else it
    /// may be of long ago.
    /// </summary>
    internal static bool IsOfTheLoss(Assessment a, MasterIdentity lost)
        => a.Topology.Intent is { MasterWasHeard: true } || (a.OldMasterAddress is { } master && HasHeard(a.Node(master), lost));

    /// <summary>Whether this monitor has heard that run of a master itself.</summary>
    internal static bool HasHeard(NodeAssessment master, MasterIdentity? run)
        => run is not null && (master.Info?.RunId == run.RunId || master.View.BeforeRestart?.RunId == run.RunId);

    /// <summary>
    /// Whether a node has come as far in the history of the master as anybody was seen, pings aside: then it lacks nothing, be it without a
    /// key because all have expired, or were deleted.
    /// </summary>
    internal static bool HasCome(Assessment a, NodeAssessment node, MasterIdentity known)
        => (node.Info!.CommonOffset(known) ?? AppendOnlyFiles.KeptUntil(node, known)) is { } common
            && FurthestSeen(a, known) is var furthest && (common >= furthest || DataLoss.MayBePings(furthest - common));

    /// <summary>Whether a node has come at least as far as the lost master was seen, at its loss.</summary>
    internal static bool HasAllThatWasSeen(Assessment a, MasterIdentity lost, NodeInfo node)
        => IsOfTheLoss(a, lost) && HasAllThatIsKnownOf(node, lost with { Offset = FurthestSeen(a, lost) });

    /// <summary>How far the master had come before it was restarted.</summary>
    private static long LastOffset(NodeAssessment restarted, MasterIdentity known)
        => FurthestSeen(restarted.All, LastKnownIdentity(restarted, known)!);

    private static MasterIdentity? LastKnownIdentity(NodeAssessment master, MasterIdentity? published)
        => master.Info is { Role: NodeRole.Master } info && (published is null || published.RunId == info.RunId)
            ? published?.Then(info.Identity) ?? info.Identity
            : published is not null && (master.View.AsMaster ?? master.View.BeforeRestart) is { } last && last.RunId == published.RunId
                && last.Offset > published.Offset
                ? published with { Offset = last.Offset }
                : published;
}
