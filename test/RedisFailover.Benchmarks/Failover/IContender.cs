namespace RedisFailover.Benchmarks.Failover;

/// <summary>What happens to the master.</summary>
internal enum Fault
{
    /// <summary>kill -9: its port refuses at once.</summary>
    Kill,

    /// <summary>SIGSTOP: its connections stay open, nobody answers.</summary>
    Freeze,

    /// <summary>Nothing happens to it: an operator asks for another one.</summary>
    Switchover,
}

/// <summary>What else the fault of the master takes along.</summary>
internal enum Along
{
    /// <summary>The master alone.</summary>
    Nothing,

    /// <summary>The leading monitor; of Sentinel, one of the three, which have no leader until a master is lost.</summary>
    Leader,

    /// <summary>
    /// A whole host: the leading monitor and the ZooKeeper server that leads its ensemble; of Sentinel, one of the three.
    /// </summary>
    Host,
}

/// <summary>A failover system with its three Redis nodes and a client that it tells about a new master.</summary>
internal interface IContender : IAsyncDisposable
{
    string Name { get; }

    /// <summary>Sets one key at the node that the client believes to be master. Completes when Redis has acknowledged it.</summary>
    Task WriteAsync(string value);

    /// <summary>Whether it lets an operator's switchover be measured: writes go on while it is done, and none may fail.</summary>
    bool SwitchesOver { get; }

    /// <summary>Finds out what the next fault takes along.</summary>
    Task AimAsync(Along along, CancellationToken ct);

    /// <summary>Does it to the present master, and to what was aimed at, and returns the timestamp (Stopwatch) of just before.</summary>
    long Strike(Fault fault);

    /// <summary>Asks for another master and returns when it is there, with what was said.</summary>
    Task<string> SwitchOverAsync(CancellationToken ct);

    /// <summary>Where the time of the last failover went, if the system tells.</summary>
    Task<string> ExplainAsync(CancellationToken ct);

    /// <summary>
    /// Brings back all that was struck, the node as a replica, and waits until all is as before: two replicas, in step and known to be.
    /// </summary>
    Task RestoreAsync(CancellationToken ct);
}
