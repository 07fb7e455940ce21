namespace RedisFailover;

/// <summary>Masters that the topology does not name: made by somebody else, or moved to another address.</summary>
internal static class OtherMasters
{
    /// <summary>
    /// A member that somebody else has made a master: another node has a link to it, and what it holds is of no history that is known,
    /// while nobody has a link to the master of the topology. Which of the two is older nobody can tell. Null where there is none.
    /// </summary>
    internal static NodeAssessment? MadeByOthers(Assessment a)
        => a.OldMasterAddress is not { } old
            || a.Configured.Any(n => n is { IsReplica: true, IsInOrder: true, Info.LinkUp: true } && n.Info.MasterAddress == old) ? null
            : a.Configured.FirstOrDefault(n => n.Address != old
                && n is { IsMaster: true, IsInOrder: true, Lineage: Lineage.Diverged } && a.Topology.Members.Contains(n.Address)
                && !IsReplacedMaster(a, n)
                && a.Configured.Any(r => HasLinkTo(r, n)));

    /// <summary>
    /// The one that the last failover replaced comes back as a master by its own file, with replicas by theirs. With more keys than the
    /// present one it may have been made that again, unless that one is back with all that was seen of it.
    /// </summary>
    private static bool IsReplacedMaster(Assessment a, NodeAssessment node)
        => a.Topology is { LastChange.From: { } replaced, Identity: { } known } && replaced == node.Address
            && a.Node(a.OldMasterAddress!) is { Info: { } present } master
            && (node.Info!.Keys <= present.Keys || (master.IsInOrder && AppendOnlyFiles.KeptUntil(master, known) is not null));

    /// <summary>Whether a node is a replica in step with this master.</summary>
    internal static bool HasLinkTo(NodeAssessment replica, NodeAssessment master)
        => replica is { IsReplica: true, IsInOrder: true, Info: { LinkUp: true } info } && info.MasterAddress == master.Address
            && info.ReplicationId == master.Info!.ReplicationId;

    /// <summary>
    /// Who answers now from the configuration file from which the process before at the master's address was started, where both answered
    /// from other files: the addresses have moved, and this is the master that was, with its data. Null where that is not so. In containers
    /// all files may have the same name, which tells nothing.
    /// </summary>
    internal static NodeAssessment? Moved(Assessment a, NodeAssessment master)
        => master is { View.BeforeRestart.ConfigFile: { Length: > 0 } file, Info.ConfigFile: { Length: > 0 } now } && now != file
            && a.Configured.Where(n => n is { IsInOrder: true, Info: { } info } && info.ConfigFile == file).ToArray() is [var moved]
            && moved is { View.BeforeRestart.ConfigFile: { Length: > 0 } other, Info.Keys: > 0, IsLeftAlone: false } && other != file
            ? moved : null;
}
