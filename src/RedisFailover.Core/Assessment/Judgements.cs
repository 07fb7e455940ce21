namespace RedisFailover;

/// <summary>Whether a node can be talked to, as this monitor finds.</summary>
internal enum Contact
{
    /// <summary>It has not answered yet, nor failed often enough to be judged.</summary>
    Unseen,

    /// <summary>It answers.</summary>
    Answering,

    /// <summary>It answered and fails now, not yet often enough to be judged.</summary>
    Failing,

    /// <summary>It failed max-failures times in a row.</summary>
    Unreachable,

    /// <summary>It answers that it is loading its data set.</summary>
    Loading,

    /// <summary>It answers that a script keeps it busy (BUSY).</summary>
    Busy,

    /// <summary>This monitor cannot try it: its name does not resolve, or there is no route. That tells nothing of the node.</summary>
    LocalFault,

    /// <summary>It refuses our credentials: it lives, and what it holds is not known.</summary>
    AuthRefused,

    /// <summary>What answers does not speak as Redis does, or is a server that is watched under another name.</summary>
    NotRedis,
}

/// <summary>How a node's data stand to those of the master that the topology names.</summary>
internal enum Lineage
{
    /// <summary>It has not said what it holds, or no master's data are known.</summary>
    Unknown,

    /// <summary>It holds no key and shares no history with the master.</summary>
    Empty,

    /// <summary>It shares the master's history.</summary>
    Same,

    /// <summary>It held this cluster's data once and shows another history now.</summary>
    Diverged,

    /// <summary>It holds data that were never this cluster's.</summary>
    Foreign,
}

/// <summary>Whether the process is the one that the topology knows as the master.</summary>
internal enum RunState
{
    /// <summary>It is not the master, or one of the two run ids is not known.</summary>
    Unknown,

    /// <summary>The same process.</summary>
    SameRun,

    /// <summary>Another process under the same address.</summary>
    Restarted,
}

/// <summary>Since which moments a node has said what it is and holds. What it said before proves nothing about the time since.</summary>
[Flags]
internal enum HeardSince
{
    /// <summary>Since none of them.</summary>
    None = 0,

    /// <summary>Since this monitor leads.</summary>
    Term = 1,

    /// <summary>Since the node itself last failed: it may have been restarted.</summary>
    LastFailure = 2,

    /// <summary>Since the change of master began, or this monitor took it over.</summary>
    Change = 4,

    /// <summary>Since the old master's failures began.</summary>
    Loss = 8,

    /// <summary>Since the old master confirmed that it holds its writes.</summary>
    WritesHeld = 16,

    /// <summary>Since the present master began to fail.</summary>
    MasterFailure = 32,

    /// <summary>Since the present master was back.</summary>
    MasterReturn = 64,

    /// <summary>Since the other monitors last said what they see.</summary>
    Votes = 128,
}

/// <summary>How many monitors cannot reach a node, and whether that is enough by the node strategy.</summary>
internal readonly record struct Votes(int Against, int Voters, bool Suffice)
{
    /// <summary>In words.</summary>
    public override string ToString() => $"{Against} of {Voters} monitors cannot reach it";
}
