namespace RedisFailover;

/// <summary>One thing by which a server shows that it belongs to somebody else; why, in words, or null.</summary>
internal sealed record ForeignSign(string Name, Func<Assessment, NodeAssessment, string?> Shows);

/// <summary>
/// Whose a server is that holds data without a common history. At an address that was never a member's it is somebody else's. At a member's it is
/// ours, since an append-only file forgets the history, unless one of these signs speaks against it.
/// </summary>
internal static class ForeignSigns
{
    internal static ForeignSign[] All { get; } =
    [
        new("NoMember", (a, n) => a.Topology.Members.Contains(n.Address) ? null : "it was never a member"),
        new("OwnReplicas", (a, n) => n.Info!.Replicas.Where(r => IsOutside(a, r.Replica)).Select(r => r.Replica).ToArray() is [_, ..] theirs
            ? $"{string.Join(", ", theirs.AsEnumerable())} replicates from it and is not configured" : null),
        new("FollowsAnother", (a, n) => n.Info is { Role: NodeRole.Replica, LinkUp: true, MasterAddress: { } master } && IsOutside(a, master)
            ? $"it replicates from {master}, which is not configured" : null),
        new("OtherController", (_, n) => n.Info!.Controllers is [var controller, ..] ? $"{Described(controller)} manages it" : null),
        new("RanAlready", (_, n) => n.View.RanBesideFormer ? "it ran already when the node known at this address still answered" : null),
        new("KeepsData", (_, n) => n is { View.BeforeRestart.Persists: false } and ({ Info.Persists: true } or { Info.LoadedKeys: > 0 })
            ? "it keeps its data on disk, and the node known at this address did not" : null),
    ];

    /// <summary>The first sign that a node without a common history is not ours; null where there is none.</summary>
    internal static string? Of(Assessment a, NodeAssessment node) => All.Select(s => s.Shows(a, node)).FirstOrDefault(s => s is not null);

    private static bool IsOutside(Assessment a, NodeAddress node)
        => !a.IsConfigured(node) && !a.Topology.Members.Contains(node) && node != NodeInfo.Nowhere;

    private static string Described(Controller controller)
        => controller.Kind == ControllerKind.Sentinel ? $"a Sentinel ({controller.Address})" : $"another cluster's monitor ({controller.Name})";
}
