namespace RedisFailover.ZooKeeper;

/// <summary>What an election is about.</summary>
public sealed record LeaderElectionOptions
{
    /// <summary>The ephemeral znode that the leader holds, for people and for older releases. Missing parents are created.</summary>
    public required string LeaderPath { get; init; }

    /// <summary>
    /// The persistent znode that names the leader and its heartbeat, and whose version is the fencing token. Created when missing; never
    /// delete it.
    /// </summary>
    public required string TermPath { get; init; }

    /// <summary>
    /// This candidate; unique among all processes, past ones included, and per process start. A client has one candidate for a pair of
    /// paths: a second one takes the first one's lead for an earlier one of its own.
    /// </summary>
    public required string CandidateId { get; init; }

    /// <summary>Makes the content of <see cref="LeaderPath"/>; called once per attempt.</summary>
    public required Func<ReadOnlyMemory<byte>> LeaderData { get; init; }

    /// <summary>Completes when this process may stand for election in that session; asked before each attempt. Default: at once.</summary>
    public Func<ZooKeeperSession, CancellationToken, Task>? Admission { get; init; }

    /// <summary>
    /// How long an empty term is left to others who should rather have it; asked once for each. A silent leader is replaced without regard
    /// to this. Default: not at all.
    /// </summary>
    public Func<TimeSpan>? Deference { get; init; }

    /// <summary>
    /// Told of each attempt that failed and is made again after a second, as where the server refuses the candidate's rights. Default:
    /// it is logged alone.
    /// </summary>
    public Action<ZooKeeperException>? Failed { get; init; }

    /// <summary>
    /// Asked before each beat, on the beats' own thread: false when what acts by this lead has stopped working, which ends it. Default:
    /// it works.
    /// </summary>
    public Func<bool>? IsAlive { get; init; }
}
