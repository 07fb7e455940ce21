using System.Collections.Immutable;

namespace RedisFailover;

/// <summary>
/// Write safety: whether enough of the nodes that may hold an acknowledged write are here, and a candidate has all that they have. The
/// proof stands at <c>WriteSafety</c>.
/// </summary>
internal sealed class WriteHolders
{
    private readonly Assessment _all;
    private readonly WriteQuorum _quorum;
    private readonly NodeAssessment _candidate;
    private readonly bool _wordsAreFinal;

    private WriteHolders(Assessment all, WriteQuorum quorum, NodeAssessment candidate, Purpose purpose)
    {
        _all = all;
        _quorum = quorum;
        _candidate = candidate;
        _wordsAreFinal = purpose != Purpose.Failover;
    }

    private MasterIdentity? Lost => _all.Topology.Identity;

    /// <summary>
    /// Why the lost master cannot be replaced by this node without possibly losing an acknowledged write; null when it can. For readiness,
    /// as if everybody's answer were final.
    /// </summary>
    internal static string? Missing(Assessment a, NodeAssessment candidate, Purpose purpose)
        => a.Policy.WriteSafety == WriteSafetyMode.None || a.Topology.WriteQuorum is not { Replicas.IsEmpty: false } quorum
            ? null
            : new WriteHolders(a, quorum, candidate, purpose).Missing();

    /// <summary>Whose data the candidate may lack, of those that may hold an acknowledged write.</summary>
    internal static ImmutableArray<NodeAddress> Away(Assessment a, NodeAssessment candidate)
        => a.Topology.WriteQuorum is not { } quorum ? []
            : [.. new WriteHolders(a, quorum, candidate, Purpose.Failover).NotCounted().Select(n => n.Address)];

    private ImmutableArray<NodeAssessment> NotCounted() => [.. _quorum.Replicas.Select(_all.Node).Where(n => !Counts(n))];

    private string? Missing()
    {
        ImmutableArray<NodeAssessment> away = NotCounted();
        int present = _quorum.Replicas.Length - away.Length;
        return present >= _quorum.Needed
            ? null
            : $"{string.Join(" or ", away.Select(Named))} alone may hold a write that WAIT {_quorum.Quorum} acknowledged "
                + $"({present} of [{string.Join(' ', _quorum.Replicas)}] count, {_quorum.Needed} are needed)";
    }

    private string Named(NodeAssessment node) => node is not { IsAnswering: true, Info: { } info } ? node.Address.ToString()
        : WasRestarted(node) && _quorum.Runs[node.Address] == WriteQuorum.Unproven
            ? $"{node.Address} (which was not seen to have everything)"
        : info.Keys == 0 && Lost is { HasData: true } ? $"{node.Address} (which is empty: what it held is gone)"
        : WasOverwritten(node) ? $"{node.Address} (which a full copy has overwritten, and what it held may be gone)"
        : WasRestarted(node) ? $"{node.Address} (which was restarted with {info.Keys} keys, and what it held may be gone)"
        : Lost is null ? node.Address.ToString()
        : !info.SharesHistoryWith(Lost) ? $"{node.Address} (which has data of another history)"
        : CandidateHasAllOf(info, Lost) ? node.Address.ToString()
        : $"{node.Address} (which has data that {_candidate.Address} lacks)";

    /// <summary>Whether all that it may hold is in the candidate as well.</summary>
    private bool Counts(NodeAssessment node) => !WasRestarted(node) && !WasOverwritten(node)
        && (node.Address == _candidate.Address || SaysThatItHasNoMore(node) || HasNeverHeldAnything(node));

    private bool SaysThatItHasNoMore(NodeAssessment node)
        => node is { IsAnswering: true, Info: { SyncInProgress: false, Loading: false } info } && IsFinal(node)
            && (Lost is null || (info.SharesHistoryWith(Lost) && (CandidateHasAllOf(info, Lost) || BothFollow(node))))
            && (Lost is not { HasData: true } || info.Keys > 0 || _quorum.Runs.ContainsKey(node.Address));

    /// <summary>
    /// While the master serves, the words of its replicas are from different moments, up to a second apart: those that both follow it have
    /// the same as far as anybody can tell.
    /// </summary>
    private bool BothFollow(NodeAssessment node) => _wordsAreFinal && Follows(node) && Follows(_candidate);

    private bool Follows(NodeAssessment node)
        => node.Info is { LinkUp: true, SyncInProgress: false } info && info.MasterAddress == _all.Topology.Master
            && info.ReplicationId == _all.Master.Info?.ReplicationId;

    private bool HasNeverHeldAnything(NodeAssessment node)
        => Lost is not null && node is { IsAnswering: true, Info: { Loading: false } info, View.HasFollowed: false }
            && (info.Keys == 0 || info.Offset == 0)
            && _quorum.Runs.GetValueOrDefault(node.Address) == info.RunId && !info.SharesHistoryWith(Lost) && IsFinal(node);

    private bool IsFinal(NodeAssessment node) => _wordsAreFinal || node.OffsetIsFinal;

    /// <summary>
    /// Whether it has had more of the lost master's data than it has: a full copy of somebody else has replaced them, and what it had
    /// acknowledged may be gone, in the same run. A master that was restarted with less does that to its replicas where nobody can detach
    /// them in time. A copy of the lost master itself takes nothing of them.
    /// </summary>
    private bool WasOverwritten(NodeAssessment node)
        => Lost is { } lost && node.View.Overwritten.Any(had => had.CommonOffset(lost) > (node.Info!.CommonOffset(lost) ?? -1));

    private bool WasRestarted(NodeAssessment node)
        => _quorum.Runs.TryGetValue(node.Address, out string? run) && node.Info is { } info && info.RunId != run;

    /// <summary>
    /// Whether the candidate has all that the other has of the lost master's data. What the other took after the two had parted counts for
    /// nothing: what was safe of it, the new master had by then. Where it is not known when that was, all that it has counts.
    /// </summary>
    private bool CandidateHasAllOf(NodeInfo info, MasterIdentity lost)
        => (info.CommonOffset(lost) is { } common ? _candidate.Info!.CommonOffset(lost) >= common : info.Offset <= _candidate.Info!.Offset)
            && CandidateHasAllOfTheNextRun(info);

    /// <summary>
    /// Restarted with less, the lost master may have taken writes again before it was judged, and one that had no more than it, and so
    /// goes on under it at once, may have acknowledged them. What it had before is of the history that it was restarted from.
    /// </summary>
    private bool CandidateHasAllOfTheNextRun(NodeInfo info)
    {
        if (_all.OldMasterAddress is not { } address || address == _candidate.Address
            || _all.Node(address) is not { Run: RunState.Restarted, Info: { Role: NodeRole.Master } next })
        {
            return true;
        }

        long had = Math.Max(next.PreviousHistoryEnd - 1, _candidate.Info!.CommonOffset(next.Identity) ?? 0);
        return info.CommonOffset(next.Identity with { PreviousReplicationId = null, Former = null }) is not { } has
            || DataLoss.Writes(has - had) == 0;
    }
}
