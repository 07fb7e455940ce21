using System.Collections.Immutable;

namespace RedisFailover;

/// <summary>When a rule holds: in words, and until when it is given time.</summary>
internal sealed record Finding(string Reason, TimeSpan? Until = null)
{
    public static implicit operator Finding?(string? reason) => reason is null ? null : new Finding(reason);
}

/// <summary>One thing that can be the matter with a master.</summary>
internal sealed record MasterRule(MasterStatus Status, Remedy Remedy, Func<Assessment, Finding?> Test);

/// <summary>
/// When a master is lost, by the word of more than one witness, and when it is only in trouble. The first rule that holds is the verdict,
/// so the order is part of it: the master's own word comes before the votes, which may be from before it was restarted.
/// </summary>
/// <remarks>
/// LostRole and RestartedWithLess stand twice: before the votes by a word since the master's last failure, after them by an older one,
/// of a master that is neither voted out nor loading. A test <c>!(x &lt; y)</c> holds also where x or y is not known (null): what is not
/// known is no objection.
/// </remarks>
internal static class MasterRules
{
    internal static MasterRule[] All { get; } =
    [
        new(MasterStatus.LostRole, Remedy.FailOverAtOnce, a => a.Master.IsInOrder ? LostRole(a) : null),
        new(MasterStatus.Foreign, Remedy.FailOverAtOnce, Foreign),
        new(MasterStatus.RestartedWithLess, Remedy.FailOverAtOnce, a => a.Master.IsInOrder ? RestartedWithLess(a) : null),
        new(MasterStatus.RestartedWithLess, Remedy.FailOver, RestartedOutOfSight),
        new(MasterStatus.RestartedWithLess, Remedy.FailOver, RestartedWithoutHolders),
        new(MasterStatus.Outvoted, Remedy.HandOver, Outvoted),
        new(MasterStatus.Loading, Remedy.FailOverIfSomebodyIsFit, LoadingForTooLong),
        new(MasterStatus.Unreachable, Remedy.FailOver, VotedOut),
        new(MasterStatus.Unreachable, Remedy.FailOver, ConfirmedByReplicas),
        new(MasterStatus.Unreachable, Remedy.FailOver, NoRedisThere),
        new(MasterStatus.LostRole, Remedy.FailOverAtOnce, a => IsNeitherOutvotedNorLoading(a) ? LostRole(a) : null),
        new(MasterStatus.RestartedWithLess, Remedy.FailOverAtOnce, a => IsNeitherOutvotedNorLoading(a) ? RestartedWithLess(a) : null),
        new(MasterStatus.ShuttingDown, Remedy.HandOver, ShutsDown),
        new(MasterStatus.RefusesWrites, Remedy.HandOver, RefusesWritesForTooLong),
        new(MasterStatus.FailsOver, Remedy.HandOver, FailsOverForTooLong),
        new(MasterStatus.WritesPaused, Remedy.HandOver, WritesPausedForTooLong),
        new(MasterStatus.TakesNoConnections, Remedy.HandOver, TakesNoConnectionsForTooLong),
        new(MasterStatus.Busy, Remedy.FailOverIfSomebodyIsFit, BusyForTooLong),
        new(MasterStatus.Suspect, Remedy.Watch, OtherMonitorsAreAwaited),
        new(MasterStatus.Loading, Remedy.Watch, Loading),
        new(MasterStatus.RefusesWrites, Remedy.Watch, RefusesWrites),
        new(MasterStatus.FailsOver, Remedy.Watch, FailsOver),
        new(MasterStatus.WritesPaused, Remedy.Watch, WritesPaused),
        new(MasterStatus.TakesNoConnections, Remedy.Watch, TakesNoConnections),
        new(MasterStatus.Busy, Remedy.Watch, Busy),
        new(MasterStatus.Suspect, Remedy.Watch, OnlyThisMonitorCannotReachIt),
        new(MasterStatus.Unmonitored, Remedy.Watch, a => Unmonitored(a.Master)),
    ];

    /// <summary>A replica says in whole seconds since when its link is down, and two clocks are read.</summary>
    private static readonly TimeSpan LinkClockSlack = TimeSpan.FromSeconds(2);

    internal static MasterVerdict Judge(Assessment a)
    {
        foreach (MasterRule rule in All)
        {
            if (rule.Test(a) is { } finding)
            {
                return new MasterVerdict(rule.Status, rule.Remedy, finding.Reason, finding.Until);
            }
        }

        return MasterVerdict.Healthy;
    }

    /// <summary>
    /// Why the monitors learn nothing of the master, or null. It lives, so nothing follows from that: a death is still seen, by the port;
    /// that it has lost its role, its data or its ability to write is not.
    /// </summary>
    internal static string? Unmonitored(NodeAssessment master)
        => master.CannotBeWatched
            ? $"the monitors cannot ask master {master.Address}: {master.View.Detail}; {UntilWhenNoFailover(master.View)}"
            : master.Contact == Contact.LocalFault
            ? $"the leading monitor cannot try master {master.Address}: {master.View.Detail}; no failover and no switchover works"
            : null;

    /// <summary>Of a master that cannot be asked: what does not work, and when a failover would.</summary>
    internal static string UntilWhenNoFailover(NodeView master)
        => "no switchover works, and a failover only once "
            + (master.ProbeFailure == ProbeFailure.NotRedis ? "every replica has lost its link to it" : "it stops answering altogether");

    /// <summary>Why a living master cannot be made to hand over: the monitors lack a right on it. Null where they have all.</summary>
    internal static string? WhyNoHandover(NodeAssessment master)
    {
        NodeRights needed =
            NodeRights.ChangeRole | (master.Info is { PausesWritesAlone: false } ? NodeRights.ChangeSettings : NodeRights.HoldWrites);
        return master.Info is { } info && (info.MissingRights & needed) != NodeRights.None
            ? $"master {master.Address} cannot hand over: {CandidateRules.Forbidden(master, needed)}"
            // Before 6.2 it holds writes by demanding more replicas than there are, and demands none with a max-lag of 0.
            : master.Info is { PausesWritesAlone: false, MinReplicas.MaxLag: 0 }
            ? $"master {master.Address} cannot hand over: with min-replicas-max-lag 0 it cannot be made to refuse writes; set it to 10"
            : null;
    }

    /// <summary>Another process than it was may be another node's, whose own name has not been heard yet.</summary>
    private static Finding? LostRole(Assessment a)
        => a.Master.IsReplica && a.Master.Has(HeardSince.Term)
            && !(a.Master.Run == RunState.Restarted && a.Now < a.View.LeadingSince + a.Policy.SilenceLimit
                && a.Nodes.Any(n => n.Contact == Contact.Unseen))
            ? $"master {a.Master.Address} says that it is a replica of {a.Master.Info!.MasterAddress}" : null;

    /// <summary>
    /// The same address with another run id: the process was restarted faster than the probes could tell. Its replicas are about
    /// to copy what it has now; where it came back without its history, one of them, which has it, takes its place.
    /// </summary>
    private static Finding? RestartedWithLess(Assessment a)
        => a.Master is { IsMaster: true, Run: RunState.Restarted } own && own.Has(HeardSince.Term)
            && Histories.NodeWithMore(a, a.Topology.Identity!, own) is not null
            ? $"master {own.Address} was restarted and came back with another history ({own.Info!.Keys} keys)"
            : null;

    /// <summary>Under the master's address answers a server of somebody else: nobody's writes may go there.</summary>
    private static Finding? Foreign(Assessment a)
        => a.Master is { IsCurrent: true, Run: RunState.Restarted, IsForeign: true } own
            ? $"another server answers under the master's address {own.Address}: {own.ForeignSign} ({own.Described})"
            : null;

    /// <summary>
    /// While this monitor reached no node nothing could be decided, and now the master is another process: what would have been done then
    /// is done now. It goes on where nobody has more.
    /// </summary>
    private static Finding? RestartedOutOfSight(Assessment a)
        => a.Master is { IsMaster: true, IsCurrent: true, Run: RunState.Restarted } own && a.View.BlindAt <= own.View.OnlineSince
            ? $"master {own.Address} was restarted while no monitor reached any node"
            : null;

    /// <summary>
    /// Write safety: it went on after a restart, faster than anybody could judge it or with nobody there, and may lack a write that WAIT
    /// acknowledged: until those who may hold that are here it counts as one with less. It is replaced, or waits as any lost master does.
    /// Where all of them have copied what it has there is nobody to wait for.
    /// </summary>
    private static Finding? RestartedWithoutHolders(Assessment a)
        => a.Master is { IsMaster: true, IsCurrent: true, Run: RunState.Restarted } own
            && WriteHolders.Missing(a, own, Purpose.Readiness) is { } missing
            && !(own.Info!.Keys > 0 && WriteHolders.Away(a, own).All(n => n == own.Address || OtherMasters.HasLinkTo(a.Node(n), own)))
            ? $"master {own.Address} was restarted, and {missing}"
            : null;

    /// <summary>It waits for replicas that lag, and takes no writes meanwhile (shutdown-timeout, Redis 7).</summary>
    private static Finding? ShutsDown(Assessment a)
        => a.Master.Info?.ShutsDownIn is { } left && AnswersHere(a.Master)
            ? $"master {a.Master.Address} is shutting down and waits up to {left.TotalSeconds:0} s for its replicas"
            : null;

    private static Finding? FailsOverForTooLong(Assessment a)
        => HoldsWritesForTooLong(a, a.Master.View.FailsOverSince, "for a FAILOVER that does not end");

    private static Finding? WritesPausedForTooLong(Assessment a)
        => HoldsWritesForTooLong(a, a.Master.View.WritesPausedSince, "for somebody's CLIENT PAUSE");

    private static Finding? HoldsWritesForTooLong(Assessment a, TimeSpan? since, string what)
        => AnswersHere(a.Master) && a.Now - since >= a.Policy.BusyTimeout
            ? $"master {a.Master.Address} has held its writes for {(a.Now - since)!.Value.TotalSeconds:0} s, {what}"
            : null;

    private static Finding? FailsOver(Assessment a) => GivenTime(a, a.Master.View.FailsOverSince);

    private static Finding? WritesPaused(Assessment a) => GivenTime(a, a.Master.View.WritesPausedSince);

    /// <summary>It is told as a problem once it lasts; here it has its time.</summary>
    private static Finding? GivenTime(Assessment a, TimeSpan? since)
        => AnswersHere(a.Master) && since + a.Policy.BusyTimeout is { } until && a.Now < until ? new Finding("", until) : null;

    /// <summary>Who is connected is served, who connects anew is not: a firewall, a full backlog, another port.</summary>
    private static Finding? TakesNoConnectionsForTooLong(Assessment a)
        => AnswersHere(a.Master) && a.Master.View is { TakesNoConnections: true, RefusesConnections: (var since, _, var detail) }
            && a.VotesOnConnections(a.Master.Address) is { Suffice: true } votes && a.Now - since >= a.Policy.BusyTimeout
            // A load that fills each new master in turn must not move it on and on.
            && !(a.Now < a.Master.View.RoleSince + a.Policy.HandoverInterval)
            ? $"master {a.Master.Address} has taken no new connection for {(a.Now - since).TotalSeconds:0} s ({detail}), as "
                + $"{votes.Against} of {votes.Voters} monitors find"
            : null;

    private static Finding? TakesNoConnections(Assessment a)
        => a.Master.View.TakesNoConnections ? GivenTime(a, a.Master.View.RefusesConnections?.Since) : null;

    private static Finding? BusyForTooLong(Assessment a)
        => a.Master.View.BusySince is { } since && a.Now - since >= a.Policy.BusyTimeout
            ? $"master {a.Master.Address} has served nobody for {(a.Now - since).TotalSeconds:0} s: a script keeps it busy (BUSY)"
            : null;

    private static Finding? Busy(Assessment a)
        => a.Master.View.BusySince is { } since
            ? new Finding(
                $"master {a.Master.Address} serves nobody: a script keeps it busy (BUSY); after "
                    + $"{Words.Lasting(a.Policy.BusyTimeout)} a fit replica takes over",
                since + a.Policy.BusyTimeout)
            : null;

    private static bool IsNeitherOutvotedNorLoading(Assessment a) => !a.Master.IsVotedOut && a.Master.Contact != Contact.Loading;

    private static bool AnswersHere(NodeAssessment master)
        => master is { IsMaster: true, IsAnswering: true } && master.Has(HeardSince.Term);

    private static Finding? Outvoted(Assessment a)
        => a.Master.IsOutvoted && AnswersHere(a.Master)
            ? $"master {a.Master.Address} has to go: {a.Master.Votes}, though it answers this one"
            : null;

    private static Finding? LoadingForTooLong(Assessment a)
        => a.Master is { IsVotedOut: true, Contact: Contact.Loading, View.LoadingSince: { } since }
            ? $"master {a.Master.Address} has been loading its data set for {(a.Now - since).TotalSeconds:0} s: {a.Master.Votes}"
            : null;

    private static Finding? VotedOut(Assessment a)
        => !a.Master.IsVotedOut || AnswersHere(a.Master) ? null
            : $"master {a.Master.Address} is lost: {a.Master.Votes}"
                + (a.Master.View is { ProbeFailure: { } evidence, Condition: NodeCondition.Unavailable } own
                    ? $" ({evidence.ToString().ToLowerInvariant()}: {own.Detail})" : "");

    /// <summary>
    /// The fast path: the leader's own finding that the port refuses (never silence, which a partition shows too), confirmed by
    /// every replica that answers, one at least, asked after the failure began. Saves the round trip of the votes.
    /// </summary>
    private static Finding? ConfirmedByReplicas(Assessment a)
    {
        if (a.Policy.NodeStrategy == NodeStrategy.Consensus || a.Master.IsVotedOut
            || a.Master.View is not { Condition: NodeCondition.Unavailable, ProbeFailure: ProbeFailure.Refused })
        {
            return null;
        }

        // Who refuses our credentials says nothing of its link; nor does one say anything that had none before.
        NodeAssessment[] witnesses = [.. a.Nodes.Where(n
                => n.Address != a.Master.Address && n.IsReplica && !n.CannotBeWatched && !WasWithoutLink(n, a.Master.View))];
        return witnesses.Length > 0 && witnesses.All(n => !n.Info!.LinkUp && !(n.View.InfoAsked < a.Master.View.FailingSince))
            ? $"master {a.Master.Address} is lost: nothing listens there, and every replica that answers has lost its link to it"
            : null;
    }

    /// <summary>
    /// Another program has taken the master's port. A Redis that does not let itself be asked keeps its replicas' links: they are down for
    /// as long as silence is judged, on every replica that answers, and most monitors get no answer from a Redis either.
    /// </summary>
    private static Finding? NoRedisThere(Assessment a)
    {
        if (a.Master is not { Contact: Contact.NotRedis } master || !a.Suffices(1 + a.View.OtherMonitors.Values
            .Count(m => !m.IsBlind && !m.Available.IsEmpty && !m.Available.ContainsKey(master.Address)), a.View.Voters))
        {
            return null;
        }

        NodeAssessment[] witnesses = [.. a.Nodes.Where(n => n is { IsReplica: true, IsCurrent: true })];
        return witnesses.Length > 0 && witnesses.All(n => a.Now - n.View.LinkDownSince >= a.Policy.SilenceLimit)
            ? $"master {master.Address} is lost: no Redis answers there ({master.View.Detail}), and every replica that answers has lost "
                + "its link to it"
            : null;
    }

    /// <summary>
    /// Whether a replica had lost its link before the master was gone, by whole seconds: Redis tells them; or has had none since it was
    /// started.
    /// </summary>
    private static bool WasWithoutLink(NodeAssessment replica, NodeView master)
        => replica is { Info: { LinkUp: false, LinkDownFor: null }, View.HasFollowed: false }
            || replica.View.LinkDownSince is { } down && master.GoneSince is { } gone && down < gone - LinkClockSlack;

    private static Finding? RefusesWritesForTooLong(Assessment a)
        => !a.Master.IsVotedOut && AnswersHere(a.Master) && a.Master.View.RefusesWritesSince is { } since
            && a.Now - since >= a.Policy.MisconfTimeout
            ? $"master {a.Master.Address} has refused writes for {(a.Now - since).TotalSeconds:0} s, because {Cannot(a.Master.Info!)} "
                + $"(MISCONF)"
            : null;

    /// <summary>Those that are here would reach a verdict; others that were here under the leader before are waited for.</summary>
    private static Finding? OtherMonitorsAreAwaited(Assessment a)
    {
        Votes votes = a.Master.Votes;
        if (votes.Suffice || !a.Suffices(votes.Against, a.View.LiveMonitors))
        {
            return null;
        }

        ImmutableSortedSet<string> missing = a.View.MissingVoters;
        bool registered = missing.Any(m => !a.View.Awaited.ContainsKey(m));
        TimeSpan wait = registered ? a.Policy.RegistrationWait : a.Policy.ViewLifetime;
        return new Finding(
            $"master {a.Master.Address} cannot be reached by {votes.Against} of {votes.Voters} monitors; {string.Join(" and ", missing)}, "
                + $"which {(registered ? "are registered" : "were here under the leader before")}, are waited for, up to "
                + $"{Words.Lasting(wait)} from the election",
            a.View.LeadingSince + wait);
    }

    private static Finding? Loading(Assessment a)
        => a.Master.View is { LoadingSince: { } since, Condition: not NodeCondition.Unavailable }
            ? new Finding(
                $"master {a.Master.Address} is loading its data set; after {Words.Lasting(a.Policy.LoadingTimeout)} a fit replica "
                    + "takes over",
                since + a.Policy.LoadingTimeout)
            : null;

    private static Finding? RefusesWrites(Assessment a)
        => a.Master.View is { IsMaster: true, ProbeFailure: null, RefusesWritesSince: { } since }
            ? new Finding(
                $"master {a.Master.Address} refuses writes, because {Cannot(a.Master.Info!)} (MISCONF); "
                    + $"after {Words.Lasting(a.Policy.MisconfTimeout)} a fit replica takes over",
                since + a.Policy.MisconfTimeout)
            : null;

    /// <summary>Told once it has lasted for longer than the others need to find the same.</summary>
    private static Finding? OnlyThisMonitorCannotReachIt(Assessment a)
    {
        if (a.Master.View is not { Condition: NodeCondition.Unavailable, FailingSince: { } since } own)
        {
            return null;
        }

        TimeSpan lasting = since + a.Policy.SilenceLimit + a.Policy.ProbeTimeout;
        string others = string.Join(
            " and ",
                a.View.OtherMonitors.Where(m => !m.Value.Unavailable.Contains(own.Address)).Select(m => m.Key)
                    .Order(StringComparer.Ordinal));
        return a.Now < lasting ? new Finding("", lasting)
            : new Finding(others.Length == 0 ? ""
            : $"no failover: this monitor cannot reach master {own.Address} ({own.Detail}), which {others} did not find unavailable");
    }

    private static string Cannot(NodeInfo info) => info.AppendFailed ? "it cannot write its append-only file" : "its last save failed";
}
