using System.Collections.Immutable;

namespace RedisFailover;

/// <summary>Whether a failover would work at this moment, as the leading monitor sees it.</summary>
/// <param name="Possible">Whether it would.</param>
/// <param name="Candidates">The nodes that could take over, sorted.</param>
/// <param name="Reason">Why, or why not, in plain words.</param>
public sealed record Readiness(bool Possible, ImmutableArray<NodeAddress> Candidates, string Reason)
{
    /// <summary>How many monitors were alive; 0 where it was read from a znode, whose words say it.</summary>
    public int LiveMonitors { get; init; }

    /// <summary>The same questions as in a failover, asked while the master is in office; null when it is not, or another monitor leads.</summary>
    public static Readiness? Of(ClusterView view, FailoverPolicy policy, TimeSpan now)
    {
        ArgumentNullException.ThrowIfNull(view);
        ArgumentNullException.ThrowIfNull(policy);
        if (view.Term is null || view.Topology is not { Master: { } master } topology)
        {
            return null;
        }

        List<string> remarks = [];
        List<NodeView> fit = [];
        foreach (NodeView node in policy.Nodes.Where(n => n != master).Select(view.Node))
        {
            string? why = RedisFailover.Candidates.Unfit(node, topology.Identity, view, policy, now)
                ?? RedisFailover.Candidates.TooFarBehind(node, topology.Identity, policy);
            if (why is not null)
            {
                remarks.Add($"{node.Address}: {why}");
            }
            else
            {
                fit.Add(node);
            }
        }

        if (fit.Any(n => RedisFailover.Candidates.IsStable(n, policy, now)))
        {
            remarks.AddRange(fit.Where(n => !RedisFailover.Candidates.IsStable(n, policy, now))
                .Select(n => $"{n.Address}: after others with as much, as it is back for less than stable-time ({policy.StableTime.TotalSeconds:0} s)"));
        }

        remarks.AddRange(fit.Where(n => RedisFailover.Candidates.Reservation(n, view, policy) is not null)
            .Select(n => $"{n.Address}: after others with as much, as {RedisFailover.Candidates.Reservation(n, view, policy)}"));
        ImmutableArray<NodeAddress> candidates = [.. fit.Select(n => n.Address).Order()];
        if (Verdict.Unwatched(view.Node(master)) is { } unwatched)
        {
            return new Readiness(false, candidates, unwatched) { LiveMonitors = view.LiveMonitors };
        }

        string others = remarks.Count > 0 ? $" ({string.Join("; ", remarks)})" : "";
        if (view.LiveMonitors < policy.RequiredMonitors)
        {
            return new Readiness(false, candidates, $"{Words.Count(view.LiveMonitors, "monitor is", "monitors are")} alive, {policy.RequiredMonitors} are required")
            {
                LiveMonitors = view.LiveMonitors,
            };
        }

        if (Incumbency.HeldBackUntil(view, policy, now) is not null)
        {
            return new Readiness(false, candidates, $"the last one was less than failover-interval ({policy.FailoverInterval.TotalMilliseconds:0} ms) ago{others}") { LiveMonitors = view.LiveMonitors };
        }

        if (fit.Count == 0)
        {
            return new Readiness(false, candidates, $"nobody could take over{others}") { LiveMonitors = view.LiveMonitors };
        }

        // As if all were asked now: answers are a second old at most.
        NodeView best = RedisFailover.Candidates.Ranked(fit, topology.Identity, view, policy, now)[0];
        if (WriteSafety.Missing(view, policy, topology, progress: null, best) is { } missing)
        {
            return new Readiness(false, candidates, missing) { LiveMonitors = view.LiveMonitors };
        }

        if (fit.All(n => n.Info!.RefusesWrites))
        {
            return new Readiness(false, candidates, $"{best.Address} would take over and refuse writes, because it cannot save{others}") { LiveMonitors = view.LiveMonitors };
        }

        int witnesses = policy.NodeStrategy switch
        {
            NodeStrategy.Consensus => view.LiveMonitors,
            NodeStrategy.Single => 1,
            _ => (view.LiveMonitors / 2) + 1,
        };
        return new Readiness(true, candidates, $"{string.Join(", ", candidates)} could take over{others}; {(view.LiveMonitors == 1 ? "the one monitor that is alive decides" : $"{witnesses} of {view.LiveMonitors} monitors have to agree")}")
        {
            LiveMonitors = view.LiveMonitors,
        };
    }

    /// <summary>Whether both say the same; figures in the reason are left out, but for the number of monitors.</summary>
    internal static bool SayTheSame(Readiness? one, Readiness? other)
        => one == other || (one is not null && other is not null && one.Possible == other.Possible && one.LiveMonitors == other.LiveMonitors
            && one.Candidates.AsSpan().SequenceEqual(other.Candidates.AsSpan()) && Words.SameButForNumbers(one.Reason, other.Reason));

    /// <summary>Compares by content, the list included.</summary>
    public bool Equals(Readiness? other)
        => other is not null && Possible == other.Possible && Reason == other.Reason && Candidates.AsSpan().SequenceEqual(other.Candidates.AsSpan());

    /// <inheritdoc/>
    public override int GetHashCode() => HashCode.Combine(Possible, Reason);
}
