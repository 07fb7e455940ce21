using System.Collections.Immutable;

namespace RedisFailover;

/// <summary>A node that may not become master, and why.</summary>
internal sealed record Rejection(NodeAssessment Node, Unfitness Code, string Why)
{
    /// <summary>"host:port: why".</summary>
    public override string ToString() => $"{Node.Address}: {Why}";
}

/// <summary>Who may become master for a purpose, who may not and why, and who of them is best.</summary>
internal sealed class Screening
{
    /// <summary>A replica sends so much in a moment.</summary>
    private const long LittleBehind = 1024 * 1024;

    private Screening(Assessment all, Purpose purpose, TimeSpan askedAt)
    {
        All = all;
        Purpose = purpose;
        AskedAt = askedAt;
        // While the master is there its own word is later than the topology's; readiness goes by what a failover would begin with.
        Lost = purpose switch
        {
            Purpose.Handover or Purpose.Switchover or Purpose.Replacement => Histories.LastKnownIdentity(all),
            Purpose.Readiness when all.Topology.Master is not null => Histories.OfTheLastRun(all) ?? Histories.LastKnownIdentity(all),
            _ => all.Topology.Identity,
        };
    }

    internal Assessment All { get; }

    internal Purpose Purpose { get; }

    /// <summary>Since when a living master is wanted replaced: who has not answered since hangs.</summary>
    internal TimeSpan AskedAt { get; }

    /// <summary>The master whose data a candidate has to hold; null where none is known.</summary>
    internal MasterIdentity? Lost { get; }

    /// <summary>Those who may, the best first.</summary>
    internal ImmutableArray<NodeAssessment> Fit { get; private set; } = [];

    /// <summary>Those who may not, in the order in which they were screened.</summary>
    internal ImmutableArray<Rejection> Unfit { get; private set; } = [];

    /// <summary>Why the others may not, in one line.</summary>
    internal string Objections => string.Join("; ", Unfit);

    /// <summary>Asks of each of these nodes whether it may become master.</summary>
    internal static Screening Of(Assessment all, Purpose purpose, IEnumerable<NodeAssessment> nodes, TimeSpan askedAt = default)
    {
        var screening = new Screening(all, purpose, askedAt);
        ILookup<bool, (NodeAssessment Node, Rejection? Rejection)> judged = nodes.Select(n => (n, screening.Reject(n)))
            .ToLookup(n => n.Item2 is null);
        screening.Unfit = [.. judged[false].Select(n => n.Rejection!)];
        screening.Fit = screening.Ranked(judged[true].Select(n => n.Node));
        return screening;
    }

    /// <summary>Why one node may not become master; null where it may.</summary>
    internal static string? WhyNot(Assessment all, Purpose purpose, NodeAssessment node)
        => new Screening(all, purpose, default).Reject(node)?.Why;

    private Rejection? Reject(NodeAssessment node)
    {
        foreach (CandidateRule rule in CandidateRules.All)
        {
            if ((rule.Purposes & Purpose) != 0 && rule.Why(this, node) is { } why)
            {
                return new Rejection(node, rule.Code, why);
            }
        }

        return null;
    }

    /// <summary>
    /// The best first: who has most of what the lost master had; then who has most at all, of what it took after it had parted from
    /// that master. Nothing comes before the data. Then those without a reservation, the one that the operator named, another one than
    /// the old master, the stable ones, by the strategy, and by address for a result that is always the same. A living master waits until
    /// its successor has everything: there a megabyte more or less decides, and not when each was asked.
    /// </summary>
    private ImmutableArray<NodeAssessment> Ranked(IEnumerable<NodeAssessment> fit)
    {
        long grain = (Purpose & (Purpose.Handover | Purpose.Switchover)) != 0 ? LittleBehind : 1;
        IOrderedEnumerable<NodeAssessment> byData = fit
            .OrderByDescending(n => (Lost is null ? n.Info!.Offset : n.Info!.CommonOffset(Lost) ?? -1) / grain)
            .ThenByDescending(n => n.Info!.Offset / grain)
            // A leader before this one may have promoted it already.
            .ThenByDescending(n => n.IsMaster)
            .ThenBy(n => CandidateRules.Reservation(n) is not null)
            .ThenByDescending(n => n.Address == All.Topology.Intent?.Target)
            // Somebody has made it a replica: another one is what was wanted.
            .ThenBy(n => n.Address == All.From?.Address)
            // The others have to read what it sends them.
            .ThenBy(n => n.Info!.Software.RdbVersion)
            .ThenBy(n => !n.IsStable);
        IOrderedEnumerable<NodeAssessment> ranked = All.Policy.FailoverStrategy == FailoverStrategy.Latency
            ? byData.ThenBy(n => n.View.Latency).ThenBy(All.PriorityOf)
            : byData.ThenBy(All.PriorityOf).ThenBy(n => n.View.Latency);
        return [.. ranked.ThenBy(n => n.Address)];
    }
}
