using System.Collections.Immutable;

namespace RedisFailover.ZooKeeper;

/// <summary>Leadership as whoever acts by it sees it: a <see cref="Leadership"/>, or a simulated one.</summary>
internal interface ILeadership
{
    /// <summary>The fencing token; grows with every change of leader.</summary>
    int Term { get; }

    /// <summary>Whether the lease holds at this moment. Ask at the action, every time.</summary>
    bool MayAct { get; }

    /// <summary>Cancelled once, when leadership is over for good.</summary>
    CancellationToken Lost { get; }

    /// <summary>Whether it was won in that session, which has seen all that was written before the election.</summary>
    bool IsOf(IZnodes session);

    /// <summary>Applies the operations, all or none, if nobody else was elected meanwhile.</summary>
    /// <param name="operations">What to do, in order.</param>
    /// <param name="cancellationToken">Stops the waiting; what was sent may be applied.</param>
    /// <returns>One result per operation.</returns>
    /// <exception cref="ZooKeeperException">As <see cref="Leadership.CommitAsync"/>.</exception>
    Task<ImmutableArray<ZnodeOperationResult>> CommitAsync(
        ImmutableArray<ZnodeOperation> operations, CancellationToken cancellationToken = default);

    /// <summary>Gives leadership up.</summary>
    /// <param name="cancellationToken">Stops the waiting.</param>
    /// <exception cref="ZooKeeperException">It is not known whether the term is empty.</exception>
    Task ResignAsync(CancellationToken cancellationToken = default);
}
