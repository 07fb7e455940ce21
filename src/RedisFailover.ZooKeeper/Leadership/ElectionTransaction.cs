using System.Collections.Immutable;

namespace RedisFailover.ZooKeeper;

/// <summary>What became of an attempt to be elected.</summary>
internal enum ElectionFailure
{
    /// <summary>Another was faster, the leader's znode came or went meanwhile, or the own heartbeat is gone: look again.</summary>
    Outrun,

    /// <summary>The heartbeat that was taken for silent has changed.</summary>
    HolderBeats,

    /// <summary>Somebody has deleted what is above the leader's znode; the term is looked after where it is read.</summary>
    NoParent,

    /// <summary>What stands in the place of the leader's znode has children, and so is no leader's: an ephemeral one has none.</summary>
    InTheWay,

    /// <summary>It failed for another reason, or it is not known what became of it.</summary>
    Other,
}

/// <summary>
/// The transaction that makes a candidate the leader: of an empty term, or of one whose holder is silent. It fails if the term (S3) or the
/// holder's heartbeat has changed since they were read. The own beat is its last operation (S2), added by <see cref="LeaseRenewal"/>.
/// </summary>
internal sealed class ElectionTransaction
{
    private readonly int _check = -1;
    private readonly int _delete = -1;

    /// <param name="options">The candidate.</param>
    /// <param name="state">The term and the leader's znode as they were read.</param>
    /// <param name="silent">The holder's heartbeat, if it is replaced because of its silence.</param>
    /// <param name="heartbeat">The path of the candidate's own.</param>
    /// <param name="lease">The length of its lease.</param>
    internal ElectionTransaction(LeaderElectionOptions options, ElectionState state, Sighting? silent, string heartbeat, TimeSpan lease)
    {
        var operations = ImmutableArray.CreateBuilder<ZnodeOperation>(4);
        operations.Add(ZnodeOperation.SetData(
            options.TermPath, new TermData(options.CandidateId, heartbeat, lease).ToBytes(), state.Term.Stat.Version));
        if (silent is { IsGone: false })
        {
            _check = operations.Count;
            operations.Add(ZnodeOperation.Check(silent.Path, silent.Version));
        }

        if (state.Leader is not null)
        {
            _delete = operations.Count;
            operations.Add(ZnodeOperation.Delete(options.LeaderPath));
        }

        operations.Add(ZnodeOperation.Create(options.LeaderPath, options.LeaderData(), CreateMode.Ephemeral));
        Operations = operations.ToImmutable();
    }

    internal ImmutableArray<ZnodeOperation> Operations { get; }

    /// <summary>The term that was won.</summary>
    internal static int Term(ImmutableArray<ZnodeOperationResult> results) => results[0].Stat!.Value.Version;

    /// <summary>What a failure of the transaction means.</summary>
    internal ElectionFailure Meaning(ZooKeeperException failure) => failure.FailedIndex switch
    {
        null => ElectionFailure.Other,
        { } index when index == _check => ElectionFailure.HolderBeats,
        { } index when index == _delete && failure.Code == ZooKeeperErrorCode.NotEmpty => ElectionFailure.InTheWay,
        { } index when index == Operations.Length - 1 && failure.Code == ZooKeeperErrorCode.NoNode => ElectionFailure.NoParent,
        _ when failure.Code is ZooKeeperErrorCode.NodeExists or ZooKeeperErrorCode.BadVersion or ZooKeeperErrorCode.NoNode
            => ElectionFailure.Outrun,
        _ => ElectionFailure.Other,
    };
}
