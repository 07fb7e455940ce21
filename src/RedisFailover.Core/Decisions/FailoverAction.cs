namespace RedisFailover;

/// <summary>
/// Something that the leader has to do. Two actions are the same when their contents are; one that is under way is not asked for
/// again. Every action may be repeated without harm.
/// </summary>
public abstract record FailoverAction
{
    /// <summary>The node whose connection it uses; null for the actions on ZooKeeper.</summary>
    public virtual NodeAddress? On => null;
}

/// <summary>Read <c>R/nodes</c>, after a sync.</summary>
public sealed record ReadTopology : FailoverAction
{
    /// <inheritdoc/>
    public override string ToString() => "read the topology";
}

/// <summary>Write <c>R/nodes</c> under the fencing token, provided that its version is still the one given.</summary>
/// <param name="Next">What to write. The writer adds who and when.</param>
/// <param name="ExpectedVersion">The version that it replaces; -1: it does not exist yet.</param>
/// <param name="Record">An entry for <c>R/history</c>, or null.</param>
/// <param name="ClearsWish">Whether the operator's wish is removed in the same transaction: it is fulfilled, or refused by this.</param>
public sealed record PublishTopology(Topology Next, int ExpectedVersion, HistoryEntry? Record = null, bool ClearsWish = false) : FailoverAction
{
    /// <inheritdoc/>
    public override string ToString()
        => $"publish epoch {Next.Epoch} {TopologyJson.Name(Next.State)}: master {Next.Master?.ToString() ?? "none"}, "
            + $"replicas [{string.Join(' ', Next.Replicas)}], unavailable [{string.Join(' ', Next.Unavailable)}]";
}

/// <summary>Ask a node for INFO at once.</summary>
public sealed record Inspect(NodeAddress Node) : FailoverAction
{
    /// <inheritdoc/>
    public override NodeAddress On => Node;

    /// <inheritdoc/>
    public override string ToString() => $"ask {Node} for INFO";
}

/// <summary>REPLICAOF NO ONE, confirmed by the node's own word that it is a master now.</summary>
/// <param name="Node">The node.</param>
/// <param name="Despite">Why it is not fit, where an operator wants it all the same; two promotions of a node are the same.</param>
public sealed record Promote(NodeAddress Node, string? Despite = null) : FailoverAction
{
    /// <summary>Compares the node.</summary>
    public bool Equals(Promote? other) => other is not null && Node == other.Node;

    /// <inheritdoc/>
    public override int GetHashCode() => HashCode.Combine(typeof(Promote), Node);

    /// <inheritdoc/>
    public override NodeAddress On => Node;

    /// <inheritdoc/>
    public override string ToString() => $"promote {Node}";
}

/// <summary>Make a replica follow this master.</summary>
public sealed record Follow(NodeAddress Node, NodeAddress Master) : FailoverAction
{
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
public sealed record Demote(NodeAddress Node, NodeAddress Master, bool CutsClients, HistoryEntry? Record = null) : FailoverAction
{
    /// <summary>Compares node and master.</summary>
    public bool Equals(Demote? other) => other is not null && Node == other.Node && Master == other.Master;

    /// <inheritdoc/>
    public override int GetHashCode() => HashCode.Combine(Node, Master);

    /// <inheritdoc/>
    public override NodeAddress On => Node;

    /// <inheritdoc/>
    public override string ToString() => $"demote {Node}, let it follow {Master}";
}

/// <summary>CLIENT PAUSE … WRITE: the old master of a switchover holds its clients' writes.</summary>
/// <param name="Node">The node.</param>
/// <param name="For">How long at most; it is lifted earlier by the monitors.</param>
public sealed record PauseWrites(NodeAddress Node, TimeSpan For) : FailoverAction
{
    /// <inheritdoc/>
    public override NodeAddress On => Node;

    /// <inheritdoc/>
    public override string ToString() => $"pause writes on {Node}";
}

/// <summary>CLIENT UNPAUSE: a switchover was given up.</summary>
public sealed record ResumeWrites(NodeAddress Node) : FailoverAction
{
    /// <inheritdoc/>
    public override NodeAddress On => Node;

    /// <inheritdoc/>
    public override string ToString() => $"resume writes on {Node}";
}

/// <summary>Note in <c>R/history</c> why the operator's wish is refused, and remove it.</summary>
/// <param name="Wish">Its text.</param>
/// <param name="Record">The entry.</param>
public sealed record RefuseWish(string Wish, HistoryEntry Record) : FailoverAction
{
    /// <inheritdoc/>
    public override string ToString() => $"refuse the wish '{Wish}'";
}

/// <summary>
/// Give up the lead, so that a monitor which reaches more nodes takes over, and do not stand for election for a while. Two of them
/// are the same whatever the reason.
/// </summary>
/// <param name="Reason">Why, in plain words.</param>
public sealed record Resign(string Reason) : FailoverAction
{
    /// <summary>Any two are equal.</summary>
    public bool Equals(Resign? other) => other is not null;

    /// <inheritdoc/>
    public override int GetHashCode() => typeof(Resign).GetHashCode();

    /// <inheritdoc/>
    public override string ToString() => "give up the lead";
}
