using System.Collections.Immutable;

namespace RedisFailover;

/// <summary>
/// What must hold of every decision, whatever phase made it. The tests check it at every step of every scenario and simulation; the
/// reasons stand in docs/architecture.md.
/// </summary>
internal static class Invariants
{
    private static readonly ImmutableArray<(string Name, Func<Assessment, Decision, bool> Holds)> All =
    [
        ("only a leader acts", (a, d) => a.View.Term is not null || d.Actions.IsEmpty),
        ("nobody is promoted before the intent is published", (a, d)
            => Promoted(d).IsEmpty || (a.View.TopologyKnown && a.Topology.IsChangingMaster)),
        ("one promotion at a time", (a, d)
            => Promoted(d).Length + (Promoted(d).IsEmpty ? 0 : a.View.Running.Count(x => x is Promote)) <= 1),
        ("one promotion an epoch", (a, d)
            => Promoted(d).All(p => a.Progress.Promoted is null || a.Progress.Promoted == p.Node || HasDenied(a, a.Progress.Promoted))),
        ("nobody is promoted whose offset is not final, except by force", (a, d)
            => Promoted(d).All(p => p.Despite is not null || IsFinal(a, a.Node(p.Node)))),
        ("nobody follows a master that is not current", (a, d)
            => Attached(d).All(x => a.Node(x.Master) is { IsMaster: true, IsCurrent: true })),
        ("nobody is attached before it stands in the published set", (a, d) => Attached(d).All(x => StandsInTheSet(a, d, x.Node))),
        ("an epoch is one leader's", (a, d) => !a.Topology.IsChangingMaster || a.Progress.InheritedEpoch != a.Topology.Epoch
            || (Promoted(d).IsEmpty && Attached(d).IsEmpty)),
        ("the epoch never falls", (a, d) => Published(d).All(p => p.Next.Epoch >= a.Topology.Epoch)),
        ("another master is in a later epoch", (a, d) => Published(d).All(p => IsSameMaster(a, p.Next) || p.Next.Epoch > a.Topology.Epoch)),
        ("a node with foreign data is never written to, except by order",
            (a, d)
                => d.Actions.All(x => x is Inspect or Promote { Despite: not null } || x.On is not { } node || node == a.OldMasterAddress
                    || !a.Node(node).IsLeftAlone)),
        ("K + needed > n", (_, d)
            => Published(d).All(p => p.Next.WriteQuorum is not { } set || set.Quorum + set.Needed > set.Replicas.Length)),
    ];

    /// <summary>Which of them a decision breaks; empty for none.</summary>
    /// <param name="before">What was known when it was made.</param>
    /// <param name="policy">What it went by.</param>
    /// <param name="now">When it was made.</param>
    /// <param name="decision">The decision.</param>
    public static ImmutableArray<string> Broken(ClusterView before, FailoverPolicy policy, TimeSpan now, Decision decision)
    {
        ArgumentNullException.ThrowIfNull(before);
        ArgumentNullException.ThrowIfNull(policy);
        ArgumentNullException.ThrowIfNull(decision);
        if (decision.Actions.IsEmpty)
        {
            return [];
        }

        var assessment = Assessment.Of(before, policy, now);
        return [.. All.Where(i => !i.Holds(assessment, decision)).Select(i => i.Name)];
    }

    private static ImmutableArray<Promote> Promoted(Decision decision) => [.. decision.Actions.OfType<Promote>()];

    private static ImmutableArray<PublishTopology> Published(Decision decision) => [.. decision.Actions.OfType<PublishTopology>()];

    private static ImmutableArray<(NodeAddress Node, NodeAddress Master)> Attached(Decision decision) =>
    [
        .. decision.Actions.OfType<Follow>().Select(f => (f.Node, f.Master)),
        .. decision.Actions.OfType<Demote>().Select(d => (d.Node, d.Master)),
    ];

    /// <summary>It was promoted in this change and says now that it is no master: it was restarted, or somebody took it back.</summary>
    private static bool HasDenied(Assessment a, NodeAddress promoted) => !a.Node(promoted).IsAnswering || a.Node(promoted).IsReplica;

    /// <summary>Nobody sends it anything any more, or it has all that a master has which holds its writes.</summary>
    private static bool IsFinal(Assessment a, NodeAssessment node)
        => node.OffsetIsFinal || (a.Topology.State == TopologyState.SwitchingOver
            && a.From is { } from && from.Has(HeardSince.WritesHeld) && node.Info?.Offset >= from.Info?.Offset);

    /// <summary>Or will in the transaction that makes its new master known: nobody writes to that before.</summary>
    private static bool StandsInTheSet(Assessment a, Decision decision, NodeAddress node)
        => WriteSafety.MayAttach(a, node) || Published(decision).Any(p => p.Next.WriteQuorum?.Replicas.Contains(node) == true);

    private static bool IsSameMaster(Assessment a, Topology next)
        => next.Master is null ? a.Topology.Master is null : a.OldMasterAddress == next.Master || a.Topology.Master is null;
}
