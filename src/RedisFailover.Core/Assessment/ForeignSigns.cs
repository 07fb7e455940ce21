namespace RedisFailover;

/// <summary>One thing by which a server shows that it belongs to somebody else.</summary>
/// <param name="Name">What it is called in tests.</param>
/// <param name="Shows">Why it speaks against a server, in words, or null.</param>
/// <param name="IsGuess">Whether it is a guess from what was known at the address, which other signs outweigh.</param>
/// <param name="IsOfWork">Whether it shows that the server is at work for somebody: then it counts for an empty one too.</param>
internal sealed record ForeignSign(
    string Name, Func<Assessment, NodeAssessment, string?> Shows, bool IsGuess = false, bool IsOfWork = false);

/// <summary>
/// Whose a server is that holds data without a common history. At an address that is no member's it is somebody else's. At a member's it
/// is ours, since an append-only file forgets the history, unless one of these signs speaks against it; then the address is a member's no
/// longer (<see cref="NodeLists"/>), so that a sign which passes, as a replica that reconnects, is not forgotten.
/// </summary>
internal static class ForeignSigns
{
    internal static ForeignSign[] All { get; } =
    [
        new("OwnReplicas", (a, n) => OwnReplicas(a, n) is [_, ..] theirs
            ? $"{string.Join(", ", theirs.AsEnumerable())} replicates from it and is not configured" : null, IsOfWork: true),
        new("FollowsAnother", (a, n)
            => FollowsAnother(a, n) ? $"it replicates from {n.Info!.MasterAddress}, which is not configured" : null, IsOfWork: true),
        new("OtherController", (a, n)
            => n.Info!.Controllers.FirstOrDefault(c => !CommandsOurs(a, n, c)) is { } other ? $"{Described(other)} manages it" : null,
            IsOfWork: true),
        // By two clocks, of which either may have been put right, or have stood still, since: what was started from the same says more.
        new("RanAlready", (_, n)
            => n.View is { RanBesideFormer: true, BeforeRestart: { } before }
                && !(n.Info!.ConfigFile == before.ConfigFile && IsWhereItWas(n, before, 0))
            ? "it ran already when the node known at this address still answered" : null, IsGuess: true),
        // That it loaded a file tells nothing: a replica without a disk of its own keeps the file of its last full copy.
        new("KeepsData", (_, n) => n is { View.BeforeRestart.Persists: false, Info.Persists: true }
            ? "it keeps its data on disk, and the node known at this address did not" : null, IsGuess: true),
        // To a replica nobody writes: what was no copy and came from no disk was somebody else's.
        new("CameWithData", (_, n) => n is { View.BeforeRestart.Role: NodeRole.Replica }
            && n is { IsMaster: true, Info: { LoadedKeys: 0, AppendsOnly: false } }
            ? "it holds data that it loaded from no file, and the node known at this address was a replica"
            : null, IsGuess: true),
        new("OtherFile", (_, n)
            => n.View.BeforeRestart is { } before && n.Info!.ConfigFile != before.ConfigFile && !IsWhereItWas(n, before, FewKeys)
            ? $"it was started from {File(n.Info)}, and the node known at this address from {File(before)}" : null, IsGuess: true),
        new("NoMember", (a, n) => a.Topology.Members.Contains(n.Address) ? null : "no member of this cluster is known at this address"),
    ];

    /// <summary>
    /// A package or an image may give the file another name: the data then are where they were, and about as many. In containers all
    /// directories may have the same name.
    /// </summary>
    private static bool IsWhereItWas(NodeAssessment node, NodeInfo before, int fewKeys)
        => node.Info!.SnapshotFile is { } file && file == before.SnapshotFile
            && node.View.AtFirst is { Keys: var keys } && keys <= (2 * before.Keys) + fewKeys && before.Keys <= (2 * keys) + fewKeys;

    /// <summary>So many may have come or gone since a node last spoke.</summary>
    private const int FewKeys = 100;

    private static string File(NodeInfo info) => info.ConfigFile.Length > 0 ? Words.Quoted(info.ConfigFile) : "no configuration file";

    /// <summary>The first sign that a node without a common history is not ours; null where there is none.</summary>
    internal static string? Of(Assessment a, NodeAssessment node)
        => IsOurMasterStill(a, node) ? null
            : All.Where(s => node.Info!.Keys > 0 ? !(s.IsGuess && IsOutweighed(a, node, s)) : s.IsOfWork).Select(s => s.Shows(a, node))
                .FirstOrDefault(s => s is not null);

    /// <summary>
    /// Whether a guess counts for nothing: the node goes on from a history of ours, it follows one of our nodes by itself, or none of our
    /// nodes is here that does not show the same, as when all were restarted after their configuration had moved.
    /// </summary>
    private static bool IsOutweighed(Assessment a, NodeAssessment node, ForeignSign guess)
        => a.OnceHad(node.Info!)
            || (node is { IsReplica: true, Info.MasterAddress: { } master } && a.IsConfigured(master))
            || !a.Configured.Any(n => n.Address != node.Address && n.IsInOrder && guess.Shows(a, n) is null);

    /// <summary>
    /// Whether a member is what a former master of ours was when it was replaced, in the same run: who is started from a copy of that draws
    /// an id of its own.
    /// </summary>
    private static bool IsOurMasterStill(Assessment a, NodeAssessment node)
        => node.IsMaster && a.Topology.ReplicationIds.Contains(node.Info!.ReplicationId) && a.Topology.Members.Contains(node.Address);

    /// <summary>Whether it follows a master that is none of ours. One that is only just started has no link yet.</summary>
    internal static bool FollowsAnother(Assessment a, NodeAssessment node)
        => node.Info is { Role: NodeRole.Replica, MasterAddress: { } master } && IsOutside(a, master);

    /// <summary>
    /// Whether it commands a node of ours too, or commanded the node known at this address: a Sentinel that was left over, or a stray
    /// monitor, must not make our own nodes somebody else's. Of a stray monitor that holds while one node has our history.
    /// </summary>
    private static bool CommandsOurs(Assessment a, NodeAssessment node, Controller controller)
        => Commands(node.View.BeforeRestart, controller)
            || a.Nodes.Any(n => n.Address != node.Address && n.IsCurrent && Commands(n.Info, controller)
                // After a restart of everything from append-only files nobody has the history, and a Sentinel is left over on all of them.
                && (n.IsOfLineage || (controller.Kind == ControllerKind.Sentinel
                    && !a.Nodes.Any(other => other is { IsCurrent: true, IsOfLineage: true }))));

    private static bool Commands(NodeInfo? info, Controller controller)
        => info?.Controllers.Any(c => c.Kind == controller.Kind && c.Name == controller.Name) == true;

    private static bool IsOutside(Assessment a, NodeAddress node)
        => !a.IsConfigured(node) && !a.Topology.Members.Contains(node) && node != NodeInfo.Nowhere;

    /// <summary>
    /// Who copies it, but for those that copied the node known at this address, or our master, too: a backup that is not managed, say. At
    /// the master's address our own replicas attach by themselves, in a new pod under an IP that no name is known for yet: as many as there
    /// are names not accounted for prove nothing.
    /// </summary>
    private static NodeAddress[] OwnReplicas(Assessment a, NodeAssessment node)
    {
        NodeAddress[] outside = [.. node.Info!.Replicas.Select(r => r.Replica)
            .Except(node.View.BeforeRestart?.Replicas.Select(r => r.Replica) ?? []).Except(a.Topology.OtherReplicas)
            .Where(r => IsOutside(a, r))];
        int unaccounted = node.Address == a.OldMasterAddress ? a.Configured.Count(n => IsUnaccounted(n, node)) : 0;
        return unaccounted >= outside.Length && Array.TrueForAll(outside, IsIp) ? [] : outside;
    }

    private static bool IsIp(NodeAddress node) => System.Net.IPAddress.TryParse(node.Host, out _);

    /// <summary>Whether a node may be one of those that copy the master under an address that is not known.</summary>
    private static bool IsUnaccounted(NodeAssessment node, NodeAssessment master)
        => node.Address != master.Address && !IsIp(node.Address) && !master.Info!.Replicas.Any(r => r.Replica == node.Address)
            && !(node.IsInOrder && (node.IsMaster || node.Info!.MasterAddress != master.Address));

    private static string Described(Controller controller)
        => controller.Kind == ControllerKind.Sentinel
            ? $"a Sentinel ({controller.Address})" : $"another cluster's monitor ({controller.Name})";
}
