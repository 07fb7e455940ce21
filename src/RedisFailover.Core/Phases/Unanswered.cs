namespace RedisFailover;

/// <summary>
/// Replicas that follow the master by what a leader has sent them, though its answer was lost. What follows upon an answer was not done:
/// their role is not in their file, their clients are not cut off, what is lost is not noted. They are told once more.
/// </summary>
internal static class Unanswered
{
    internal static IEnumerable<FailoverAction> Of(Assessment a)
        => a.Master is not { IsMaster: true, IsCurrent: true } ? []
            : a.View.Failed.Where(f => !f.Value.Refused && MasterOf(f.Key) == a.Topology.Master
                && IsSeen(a.View.Node(f.Key.On!), a.Topology.Master!, f.Value.RetryAt)).Select(f => f.Key).OrderBy(x => x.On);

    private static NodeAddress? MasterOf(FailoverAction action) => action switch
    {
        Follow follow => follow.Master,
        Demote demotion => demotion.Master,
        _ => null,
    };

    /// <summary>By the run that it was sent to: another has its role from a file.</summary>
    private static bool IsSeen(NodeView node, NodeAddress master, TimeSpan retryAt)
        => node is { IsInOrder: true, IsReplica: true } && node.Info!.MasterAddress == master && node.RunSince < retryAt;
}
