namespace RedisFailover;

/// <summary>What is the matter with the master.</summary>
internal enum MasterStatus
{
    /// <summary>Nothing.</summary>
    Healthy,

    /// <summary>This monitor cannot reach it, and too few others say the same, or they have not spoken yet.</summary>
    Suspect,

    /// <summary>It is loading its data set.</summary>
    Loading,

    /// <summary>It lives, and the monitors learn nothing of it: it refuses their credentials, or speaks no Redis.</summary>
    Unmonitored,

    /// <summary>It answers this monitor, and enough others cannot reach it.</summary>
    Outvoted,

    /// <summary>It refuses writes because it cannot save (MISCONF).</summary>
    RefusesWrites,

    /// <summary>A script keeps it busy (BUSY): it serves nobody.</summary>
    Busy,

    /// <summary>It holds its writes for a FAILOVER that somebody sent it.</summary>
    FailsOver,

    /// <summary>It holds its writes for somebody's CLIENT PAUSE.</summary>
    WritesPaused,

    /// <summary>It serves those who are connected, and takes no new connection.</summary>
    TakesNoConnections,

    /// <summary>It is shutting down and waits for its replicas.</summary>
    ShuttingDown,

    /// <summary>A server of somebody else answers under its address.</summary>
    Foreign,

    /// <summary>Enough monitors cannot reach it, or its replicas confirm that nothing listens there.</summary>
    Unreachable,

    /// <summary>It says that it is a replica.</summary>
    LostRole,

    /// <summary>It was restarted, and another node has more of its data than it has now.</summary>
    RestartedWithLess,
}

/// <summary>What has to be done about the master.</summary>
internal enum Remedy
{
    /// <summary>Nothing, for now.</summary>
    Watch,

    /// <summary>It is gone: a replica is promoted.</summary>
    FailOver,

    /// <summary>It is there without its data or without its role: a replica is promoted before the replicas copy what it has now.</summary>
    FailOverAtOnce,

    /// <summary>It lives and serves nobody: a replica is promoted if one is fit; otherwise it is waited for.</summary>
    FailOverIfSomebodyIsFit,

    /// <summary>It lives and answers this monitor: it hands over without loss if a replica is fit; otherwise it stays.</summary>
    HandOver,
}

/// <summary>What is the matter with the master, in words, and what is done about it.</summary>
/// <param name="Status">What.</param>
/// <param name="Remedy">What is done.</param>
/// <param name="Reason">In words; empty where nobody needs to be told.</param>
/// <param name="Until">When to look again at the latest; null: not needed.</param>
internal sealed record MasterVerdict(MasterStatus Status, Remedy Remedy, string Reason, TimeSpan? Until = null)
{
    internal static MasterVerdict Healthy { get; } = new(MasterStatus.Healthy, Remedy.Watch, "");

    /// <summary>Whether it is replaced, whoever is there to replace it.</summary>
    internal bool IsLost => Remedy is Remedy.FailOver or Remedy.FailOverAtOnce;
}
