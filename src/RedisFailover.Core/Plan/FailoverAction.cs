namespace RedisFailover;

/// <summary>
/// Something that the leader has to do. Two actions are the same when their contents are; one that is under way is not asked for
/// again. Every action may be repeated without harm.
/// </summary>
internal abstract record FailoverAction
{
    /// <summary>The node whose connection it uses; null for the actions on ZooKeeper.</summary>
    public virtual NodeAddress? On => null;
}

/// <summary>Read <c>R/nodes</c>, after a sync.</summary>
internal sealed record ReadTopology : FailoverAction
{
    /// <inheritdoc/>
    public override string ToString() => "read the topology";
}

/// <summary>Write <c>R/nodes</c> under the fencing token, provided that its version is still the one given.</summary>
/// <param name="Next">What to write. The writer adds who and when.</param>
/// <param name="ExpectedVersion">The version that it replaces; -1: it does not exist yet.</param>
/// <param name="Record">An entry for <c>R/history</c>, or null.</param>
/// <param name="ClearsWish">Whether the wish in <c>R/manual_failover</c> is removed in the same transaction: it is fulfilled, or refused
/// by this.</param>
internal sealed record PublishTopology(Topology Next, int ExpectedVersion, HistoryEntry? Record = null,
    bool ClearsWish = false) : FailoverAction
{
    /// <summary>The operator's request that is taken up or answered in the same transaction; null for none.</summary>
    public RequestStep? Request { get; init; }

    /// <summary>
    /// What the master is told once this is written, and not before: as long as another may still be installed it takes no writes. Null
    /// for nothing.
    /// </summary>
    public ResumeWrites? Afterwards { get; init; }

    /// <summary>
    /// Of an intent: since when the old master is gone (<see cref="NodeView.GoneSince"/>), on the monotonic clock; null: with this
    /// decision.
    /// </summary>
    public TimeSpan? FailingSince { get; init; }

    /// <inheritdoc/>
    public override string ToString()
        => $"publish epoch {Next.Epoch} {TopologyJson.Name(Next.State)}: master {Next.Master?.ToString() ?? "none"}, "
            + $"replicas [{string.Join(' ', Next.Replicas)}], unavailable [{string.Join(' ', Next.Unavailable)}]"
            + (Next.WriteQuorum is { } safe
                ? $", WAIT {safe.Quorum} on [{string.Join(' ', safe.Replicas)}], at least {safe.MinReplicas} in step" : "");
}

/// <summary>
/// What a transaction does about an operator's request: it is answered, or, with no answer yet, the transaction goes through only
/// while the request is still as it was read. So one request never leads to two changes of master.
/// </summary>
/// <param name="Request">The request.</param>
/// <param name="Answer">Its answer; null: it is taken up.</param>
internal sealed record RequestStep(OperatorRequest Request, RequestAnswer? Answer = null);

/// <summary>Ask a node for INFO at once.</summary>
internal sealed record Inspect(NodeAddress Node) : FailoverAction
{
    /// <inheritdoc/>
    public override NodeAddress On => Node;

    /// <inheritdoc/>
    public override string ToString() => $"ask {Node} for INFO";
}

/// <summary>REPLICAOF NO ONE, confirmed by the node's own word that it is a master now.</summary>
/// <param name="Node">The node.</param>
/// <param name="Despite">How it comes about that one is promoted that is not fit: for the history; null where it is. Two promotions of a
/// node are the same.</param>
internal sealed record Promote(NodeAddress Node, string? Despite = null) : FailoverAction
{
    /// <summary>The min-replicas-to-write to set before; null: it is as it should be.</summary>
    public int? MinReplicas { get; init; }

    /// <summary>Compares the node.</summary>
    public bool Equals(Promote? other) => other is not null && Node == other.Node;

    /// <inheritdoc/>
    public override int GetHashCode() => HashCode.Combine(typeof(Promote), Node);

    /// <inheritdoc/>
    public override NodeAddress On => Node;

    /// <inheritdoc/>
    public override string ToString() => $"promote {Node}";
}

/// <summary>CONFIG REWRITE: the node has the role that it had when it is restarted. Nobody waits for it.</summary>
internal sealed record KeepRole(NodeAddress Node) : FailoverAction
{
    /// <inheritdoc/>
    public override NodeAddress On => Node;

    /// <inheritdoc/>
    public override string ToString() => $"have {Node} write its role into its file";
}

/// <summary>
/// REPLICAOF to where nothing listens (<see cref="NodeInfo.Nowhere"/>): the replica keeps its data, its offset and what it needs to go on
/// from there, and takes nothing any more from the master that it had: neither writes, nor its emptiness should it come back without
/// its data. INFO in the same go says what it has.
/// </summary>
internal sealed record Detach(NodeAddress Node) : FailoverAction
{
    /// <inheritdoc/>
    public override NodeAddress On => Node;

    /// <inheritdoc/>
    public override string ToString() => $"detach {Node} from its master";
}

/// <summary>Make a replica follow this master.</summary>
/// <param name="Node">The replica.</param>
/// <param name="Master">The master.</param>
/// <param name="Record">What to note in the history once it is done: that the node loses something by it; null for nothing.</param>
internal sealed record Follow(NodeAddress Node, NodeAddress Master, HistoryEntry? Record = null) : FailoverAction
{
    /// <summary>Compares node and master.</summary>
    public bool Equals(Follow? other) => other is not null && Node == other.Node && Master == other.Master;

    /// <inheritdoc/>
    public override int GetHashCode() => HashCode.Combine(Node, Master);

    /// <inheritdoc/>
    public override NodeAddress On => Node;

    /// <inheritdoc/>
    public override string ToString() => $"let {Node} follow {Master}";
}

/// <summary>Make a node that believes to be a master follow the real one and lift any pause of its clients.</summary>
/// <param name="Node">The node.</param>
/// <param name="Master">The real master.</param>
/// <param name="CutsClients">
/// Whether its clients' connections are closed, so that they look for the new master. After a switchover they are not: their
/// held-back writes are answered with READONLY, which says that nothing was applied.
/// </param>
/// <param name="Record">What to note in <c>R/history</c> afterwards, or null; two demotions of a node to one master are the same.</param>
internal sealed record Demote(NodeAddress Node, NodeAddress Master, bool CutsClients, HistoryEntry? Record = null) : FailoverAction
{
    /// <summary>The min-replicas-to-write to put back, now that it counts no more; null: it was not touched.</summary>
    public int? MinReplicas { get; init; }

    /// <summary>Whether a FAILOVER that somebody sent it is ended before: it refuses to become a replica until then.</summary>
    public bool EndsFailover { get; init; }

    /// <summary>Compares node and master.</summary>
    public bool Equals(Demote? other) => other is not null && Node == other.Node && Master == other.Master;

    /// <inheritdoc/>
    public override int GetHashCode() => HashCode.Combine(Node, Master);

    /// <inheritdoc/>
    public override NodeAddress On => Node;

    /// <inheritdoc/>
    public override string ToString()
        => $"demote {Node}, let it follow {Master}{(MinReplicas is { } count ? $" (min-replicas-to-write {count})" : "")}";
}

/// <summary>
/// The old master of a switchover holds its clients' writes, and says what its offset is then. CLIENT PAUSE … WRITE; a Redis before
/// 6.2 can only hold all commands, ours as well, and nothing lifts that: it is held for a short time, and refuses writes until told
/// otherwise.
/// </summary>
/// <param name="Node">The node.</param>
/// <param name="For">How long at most; it is lifted earlier by the monitors where they can.</param>
/// <param name="HoldsAll">Whether it is a Redis before 6.2. Two pauses of a node are the same.</param>
internal sealed record PauseWrites(NodeAddress Node, TimeSpan For, bool HoldsAll = false) : FailoverAction
{
    /// <summary>Compares the node.</summary>
    public bool Equals(PauseWrites? other) => other is not null && Node == other.Node;

    /// <inheritdoc/>
    public override int GetHashCode() => Node.GetHashCode();

    /// <inheritdoc/>
    public override NodeAddress On => Node;

    /// <inheritdoc/>
    public override string ToString()
        => HoldsAll ? $"pause everything on {Node} for {For.TotalMilliseconds:0} ms, and refuse writes then" : $"pause writes on {Node}";
}

/// <summary>CLIENT UNPAUSE: a switchover was given up.</summary>
/// <param name="Node">The node.</param>
/// <param name="MinReplicas">The min-replicas-to-write to put back where a Redis before 6.2 was made to refuse writes; null: it was not
/// touched.</param>
internal sealed record ResumeWrites(NodeAddress Node, int? MinReplicas = null) : FailoverAction
{
    /// <inheritdoc/>
    public override NodeAddress On => Node;

    /// <inheritdoc/>
    public override string ToString() => $"resume writes on {Node}{(MinReplicas is { } count ? $" (min-replicas-to-write {count})" : "")}";
}

/// <summary>CONFIG SET min-replicas-to-write and min-replicas-max-lag, on a master.</summary>
internal sealed record SetMinReplicas(NodeAddress Node, MinReplicas Value) : FailoverAction
{
    /// <inheritdoc/>
    public override NodeAddress On => Node;

    /// <inheritdoc/>
    public override string ToString() => $"let {Node} take writes only with {Value.Count} replicas in step (max-lag {Value.MaxLag} s)";
}

/// <summary>
/// Refuse an operator's request: it is answered in its place; a text in <c>R/manual_failover</c> is noted in the history and removed.
/// </summary>
/// <param name="Wish">Its text.</param>
/// <param name="Record">The entry.</param>
internal sealed record RefuseWish(string Wish, HistoryEntry Record) : FailoverAction
{
    /// <summary>The request that it was made by, with its answer; null: it stands in <c>R/manual_failover</c>.</summary>
    public RequestStep? Request { get; init; }

    /// <inheritdoc/>
    public override string ToString() => $"refuse the request '{Words.Quoted(Wish)}'";
}

/// <summary>Write <c>R/config</c> under the fencing token, provided that its version is still the one given.</summary>
/// <param name="Next">What to write. The writer adds who and when, and checks the settings.</param>
/// <param name="ExpectedVersion">The version that it replaces; -1: it does not exist yet.</param>
internal sealed record PublishConfig(ClusterConfig Next, int ExpectedVersion) : FailoverAction
{
    /// <summary>An entry for <c>R/history</c>, or null.</summary>
    public HistoryEntry? Record { get; init; }

    /// <summary>The operator's request that is answered in the same transaction; null for none.</summary>
    public RequestStep? Request { get; init; }

    /// <inheritdoc/>
    public override string ToString() => $"write the cluster's configuration: {Next.Reason}";
}

/// <summary>Answer an operator's request that changes nothing.</summary>
/// <param name="Step">The request and its answer.</param>
internal sealed record AnswerRequest(RequestStep Step) : FailoverAction
{
    /// <inheritdoc/>
    public override string ToString() => $"answer {Step.Request.Id} of {Step.Request.By}: {Step.Answer?.Reason}";
}

/// <summary>
/// Give up leadership, so that a monitor which reaches more nodes takes over, and do not stand for election for a while. Two of them
/// are the same whatever the reason.
/// </summary>
/// <param name="Reason">Why, in plain words.</param>
internal sealed record Resign(string Reason) : FailoverAction
{
    /// <summary>Any two are equal.</summary>
    public bool Equals(Resign? other) => other is not null;

    /// <inheritdoc/>
    public override int GetHashCode() => typeof(Resign).GetHashCode();

    /// <inheritdoc/>
    public override string ToString() => "give up leadership";
}
