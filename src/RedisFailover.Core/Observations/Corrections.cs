namespace RedisFailover;

/// <summary>
/// Corrections of one node, in one run, towards one master, less than <see cref="Apart"/> from each other: no failover needs a second one,
/// so somebody else commands the node.
/// </summary>
/// <param name="RunId">The run.</param>
/// <param name="Master">The master.</param>
/// <param name="Times">How many there were.</param>
/// <param name="Since">When the first was done.</param>
/// <param name="LastAt">When the last was done.</param>
internal sealed record Corrections(string RunId, NodeAddress Master, int Times, TimeSpan Since, TimeSpan LastAt)
{
    /// <summary>Those that are further apart have nothing to do with each other.</summary>
    internal static readonly TimeSpan Apart = TimeSpan.FromMinutes(1);

    /// <summary>So many may be chance: an operator's mistake, and its repetition.</summary>
    internal const int Chance = 2;

    /// <summary>Whether somebody keeps commanding the node.</summary>
    internal bool IsContest(TimeSpan now) => Times > Chance && now - LastAt < Apart;

    internal static Corrections Counted(Corrections? before, string runId, NodeAddress master, TimeSpan at)
        => before is not null && before.RunId == runId && before.Master == master && at - before.LastAt < Apart
            ? before with { Times = before.Times + 1, LastAt = at }
            : new(runId, master, 1, at, at);
}
