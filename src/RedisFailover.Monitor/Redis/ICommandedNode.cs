namespace RedisFailover.Monitor.Redis;

/// <summary>A node as the leader's commands reach it: by a <see cref="NodeProber"/>'s connection, or a simulated one.</summary>
internal interface ICommandedNode
{
    /// <summary>"REPLICAOF", or "SLAVEOF" where only that may be used.</summary>
    string ReplicaOf { get; }

    /// <summary>
    /// Makes sure, once for each connection and term, that no former leader's connection to this node is left
    /// (<see cref="FormerLeaderFence"/>). Returns null where that is so already.
    /// </summary>
    /// <exception cref="IOException">There is no connection, or it ended.</exception>
    Task? EndFormerLeaders(int term, CancellationToken cancellationToken);

    /// <summary>
    /// Sends commands in one go, followed by INFO, and waits until all are answered or the probe time-out has passed. They are sent before
    /// this returns.
    /// </summary>
    /// <returns>The replies without INFO's; what INFO said, null when it was refused; when it was asked.</returns>
    /// <exception cref="IOException">
    /// There is no connection, or it ended: whether the commands were carried out is not known; or it is not the one that was fenced.
    /// </exception>
    /// <exception cref="TimeoutException">No answer in time: whether the commands were carried out is not known.</exception>
    Task<(RespValue[] Replies, NodeInfo? Info, TimeSpan Asked)> CommandAsync(
        IReadOnlyList<string[]> commands, CancellationToken cancellationToken);

    /// <summary>Sends MULTI … EXEC in one go, the last command before EXEC being INFO, and waits for the replies.</summary>
    /// <returns>All replies; what INFO said, null when it did not.</returns>
    /// <exception cref="IOException">As <see cref="CommandAsync"/>.</exception>
    /// <exception cref="TimeoutException">As <see cref="CommandAsync"/>.</exception>
    Task<(RespValue[] Replies, NodeInfo? Info)> TransactionAsync(
        IReadOnlyList<string[]> commands, CancellationToken cancellationToken);

    /// <summary>
    /// Waits while a replica reads on what has come over its link, as one does that was held up: until two answers say the same, the link
    /// is down, or half the probe time-out has passed. REPLICAOF would throw away what it has not read.
    /// </summary>
    /// <exception cref="IOException">As <see cref="CommandAsync"/>.</exception>
    /// <exception cref="TimeoutException">As <see cref="CommandAsync"/>.</exception>
    Task ReadOnAsync(CancellationToken cancellationToken);

    /// <summary>Asks for INFO now and reports the answer.</summary>
    /// <exception cref="IOException">
    /// As <see cref="CommandAsync"/>; or INFO is refused: to ask again at once would be of no use.
    /// </exception>
    /// <exception cref="TimeoutException">As <see cref="CommandAsync"/>.</exception>
    Task InspectAsync(CancellationToken cancellationToken);

    /// <summary>
    /// Ends the connections of applications that do not follow the topology by themselves. One that only publishes gets no error from a
    /// replica: its messages would reach nobody.
    /// </summary>
    Task CutApplicationsAsync(CancellationToken cancellationToken);

    /// <summary>Sends a command whose reply is of no interest.</summary>
    void Forget(params ReadOnlySpan<string> command);

    /// <summary>
    /// CONFIG REWRITE, so that a node which restarts has the role that it had. Nobody waits for it; what it says is carried on.
    /// </summary>
    void KeepRole();

    /// <summary>What min-replicas-to-write and min-replicas-max-lag have just been set to.</summary>
    void Learned(MinReplicas set);

    /// <summary>What min-replicas-to-write alone has just been set to; both settings as they are known now.</summary>
    MinReplicas LearnedCount(int count);
}
