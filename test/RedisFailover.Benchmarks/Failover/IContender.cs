namespace RedisFailover.Benchmarks.Failover;

/// <summary>What happens to the master.</summary>
internal enum Fault
{
    /// <summary>kill -9: its port refuses at once.</summary>
    Kill,

    /// <summary>SIGSTOP: its connections stay open, nobody answers.</summary>
    Freeze,
}

/// <summary>A failover system with its three Redis nodes and a client that it tells about a new master.</summary>
internal interface IContender : IAsyncDisposable
{
    string Name { get; }

    /// <summary>Sets one key at the node that the client believes to be master. Completes when Redis has acknowledged it.</summary>
    Task WriteAsync(string value);

    /// <summary>Does it to the present master and returns the timestamp (Stopwatch) of just before.</summary>
    long Strike(Fault fault);

    /// <summary>Where the time of the last failover went, if the system tells.</summary>
    Task<string> ExplainAsync(CancellationToken ct);

    /// <summary>Brings the struck node back as a replica and waits until all is as before: two replicas, in step and known to be.</summary>
    Task RestoreAsync(CancellationToken ct);
}
