using System.Collections.Immutable;
using static RedisFailover.ProblemCatalogue;

namespace RedisFailover;

/// <content>The rules on what the nodes themselves say: rights, links, files, versions, and who else commands them.</content>
internal static partial class ProblemRules
{
    private static readonly ImmutableArray<Func<Facts, IEnumerable<Problem>>> OfTheNodes =
    [
        BusyMaster, MasterThatFailsOver, Paused, TwoNames, RightsLacking, WithoutFence, Full, Shut, LinksDown, OldData,
            Divergences, LinksRefused, CopiesThatRepeat, Foreign, RolesNotKept, VersionsThatDiffer, MemoryTooSmall, OtherControllers,
            Contests, OtherModes,
    ];

    /// <summary>Those whose word is of the present, the master too.</summary>
    private static IEnumerable<NodeView> Speaking(Facts f) => f.Policy.Nodes.Select(f.View.Node).Where(n => n.IsAnswering);

    private static IEnumerable<NodeView> WithoutLink(Facts f)
        => f.Master is not { IsAnswering: true } master ? []
            : f.Others.Where(n => n is { IsReplica: true, IsAnswering: true, Info.LinkUp: false }
                && n.Info.MasterAddress == master.Address);

    private static IEnumerable<Problem> BusyMaster(Facts f)
        => f.Master is { BusySince: { } since } master
            ? [Problem.Of(
                MasterBusy,
                $"master {master.Address} is busy with a script and serves nobody (BUSY); after {Words.Lasting(f.Policy.BusyTimeout)} a "
                    + "fit replica takes over",
                master.Address) with { From = since }]
            : [];

    private static IEnumerable<Problem> MasterThatFailsOver(Facts f)
        => f.Master is { IsMaster: true, IsAnswering: true, FailsOverSince: { } since } master
            ? [Problem.Of(
                MasterFailsOver,
                $"master {master.Address} holds its writes for a FAILOVER that somebody sent it; after "
                    + $"{Words.Lasting(f.Policy.BusyTimeout)} a fit replica takes over",
                master.Address) with { From = since }]
            : [];

    /// <summary>A FAILOVER pauses them too, and says more. A replica that is paused applies nothing of what its master sends.</summary>
    private static IEnumerable<Problem> Paused(Facts f)
        => Speaking(f).Where(n => n is { FailsOverSince: null, WritesPausedSince: not null }).Select(n => n.Address == f.Topology.Master
            ? Problem.Of(WritesPaused, $"master {n.Address} holds its clients' writes (CLIENT PAUSE); after "
                + $"{Words.Lasting(f.Policy.BusyTimeout)} a fit replica takes over", n.Address) with { From = n.WritesPausedSince }
            : Problem.Of(WritesPaused, $"{n.Address} is paused (CLIENT PAUSE): it applies nothing, and what it has not applied is lost "
                + "with the master", n.Address) with { From = n.WritesPausedSince, Severity = ProblemSeverity.Warning });

    private static IEnumerable<Problem> MemoryTooSmall(Facts f)
        => f.Others.Where(n => n is { IsReplica: true, IsAnswering: true, Info.IsOverMaxMemory: true }).Select(n => Problem.Of(
            MaxMemoryTooSmall, $"replica {n.Address} holds more than its own maxmemory: as a master it would evict keys, or refuse writes",
                n.Address));

    private static IEnumerable<Problem> TwoNames(Facts f)
        => f.Policy.Nodes.Select(f.View.Node).Where(n => n.SameServerAs is not null).Select(n => n.LeadsAstray
            ? Problem.Of(SameServerTwice, $"{n.Address} leads to the server of {n.SameServerAs} (the same run id): nothing is known of the "
                + "node that is meant", n.Address) with
            {
                Advice = "Correct what the name or address leads to from the monitors' hosts (DNS, /etc/hosts, forwarded ports).",
            }
            : Problem.Of(SameServerTwice,
                $"{n.Address} and {n.SameServerAs} are one server (the same run id): it is used as {n.SameServerAs} alone", n.Address));

    /// <summary>Nodes on which the same is missing are one problem.</summary>
    private static IEnumerable<Problem> RightsLacking(Facts f)
        => Speaking(f).Where(n => n.Info!.MissingRights != NodeRights.None).GroupBy(n => n.Info!.MissingRights).Select(g =>
            Problem.Of(RightsMissing, $"the monitors may not run {string.Join(", ", NodeRight.Commands(g.Key))} on {Named(g)}",
                g.Select(n => n.Address)) with
            {
                Severity = g.Key.HasFlag(NodeRights.ChangeRole) ? ProblemSeverity.Critical : ProblemSeverity.Warning,
            });

    private static IEnumerable<Problem> WithoutFence(Facts f)
        => Speaking(f).Select(n => (n.Address, Why: WhyWithoutFence(n.Info!))).Where(n => n.Why is not null).Select(n
            => Problem.Of(FenceNotSet, $"{n.Address} {n.Why}", n.Address));

    private static string? WhyWithoutFence(NodeInfo info)
        => info.ConnectedClients > NodeInfo.MostClientsSearched
            ? $"has {info.ConnectedClients} clients, too many to look for a former leader's connections (more than "
                + $"{NodeInfo.MostClientsSearched})"
            : NodeInfo.IsListTooLong(info.ConnectedClients, info.ReplyLimit)
            ? $"has {info.ConnectedClients} clients, and would end the connection over their list: its client-output-buffer-limit normal "
                + $"is {info.ReplyLimit} bytes; a former leader's connections are not looked for"
            : info.WithholdsClients
            ? "ended the connection, or did not answer in time, when it was asked for its clients (CLIENT LIST): a former leader's "
                + "connections are not looked for"
            : null;

    private static IEnumerable<Problem> Full(Facts f)
        => Speaking(f).Where(n => n.Info!.IsFull).Select(n => Problem.Of(
            ConnectionsExhausted,
            $"{n.Address} takes no more connections: {n.Info!.ConnectedClients + n.Info.Replicas.Length} of maxclients "
                + $"{n.Info.MaxClients} are in use",
            n.Address) with { Severity = n.Address == f.Topology.Master ? ProblemSeverity.Critical : ProblemSeverity.Warning });

    /// <summary>Who is connected goes on, and so do the monitors: nobody would notice before the next connection is made.</summary>
    private static IEnumerable<Problem> Shut(Facts f)
        => Speaking(f).Where(n => n is { RefusesConnections: not null, Info.IsFull: false }).Select(n =>
        {
            bool isMaster = n.Address == f.Topology.Master;
            (TimeSpan since, ProbeFailure failure, string detail) = n.RefusesConnections!.Value;
            return failure == ProbeFailure.AuthRefused
                ? Problem.Of(isMaster ? MasterNotWatched : NodeNotWatched,
                    $"{n.Address} refuses the monitors on a new connection ({detail}): once they lose the one that they have, they cannot "
                        + "ask it any more", n.Address) with { From = since }
                : Problem.Of(ConnectionsExhausted,
                    $"{n.Address} takes no new connection ({detail}), and serves those that it has alone", n.Address) with
                {
                    From = since,
                    Severity = isMaster ? ProblemSeverity.Critical : ProblemSeverity.Warning,
                    Advice = "Look at the firewall before it, its port (CONFIG GET port) and its backlog (tcp-backlog, net.core.somaxconn)."
                        + (isMaster ? " After busy-timeout it hands over, if most monitors find the same." : ""),
                };
        });

    private static IEnumerable<Problem> Divergences(Facts f)
        => f.Others.Where(n => n is { IsReplica: true, IsAnswering: true }).Select(n => f.Assessment.Node(n.Address))
            .Where(n => n is { Divergence: not null, IsLeftAlone: false })
            .Select(n => Problem.Of(
                ReplicaDiverges, $"replica {n.Address} differs from its master, though it is in step: {n.Divergence}", n.Address) with
            {
                From = n.View.RefusesStreamSince,
            });

    private static string Named(IEnumerable<NodeView> nodes) => string.Join(", ", nodes.Select(n => n.Address));

    private static IEnumerable<Problem> LinksDown(Facts f)
        => WithoutLink(f).Where(n => f.Assessment.Node(n.Address) is { IsBeingCopied: false, Refusal: null }
            // One word may be from just before the link came up; the next may be seconds away.
            && !(n.InfoAsked <= SinceMaster(f, n.LinkDownSince)) && !HasItsLinkSince(f, n)).Select(n =>
            Problem.Of(ReplicaLinkDown, $"replica {n.Address} has no link to master {n.Info!.MasterAddress}: its data is stale",
                n.Address) with { From = SinceMaster(f, n.LinkDownSince) });

    /// <summary>Whether the master, asked later, has it as online: its copy has only just ended, and it will say so itself.</summary>
    private static bool HasItsLinkSince(Facts f, NodeView replica)
        => f.Master!.InfoAsked >= replica.InfoAsked && f.Master.Info!.Replicas
            .Any(r => r.Replica == replica.Address && r is { IsOnline: true, Lag: null or <= 1 });

    /// <summary>To a new master it has had no link only since that became one.</summary>
    private static TimeSpan? SinceMaster(Facts f, TimeSpan? since) => since < f.Master!.RoleSince ? f.Master.RoleSince : since;

    private static IEnumerable<Problem> OldData(Facts f)
        => f.Others.Select(n => f.Assessment.Node(n.Address)).Where(n => n is { IsAnswering: true, IsStale: true }).Select(n => Problem.Of(
            ReplicaStale,
            $"the data of replica {n.Address} are older than max-replica-staleness ({Words.Lasting(f.Policy.MaxReplicaStaleness)}), and "
                + "not offered for reads",
            n.Address) with { From = n.BehindSince });

    private static IEnumerable<Problem> LinksRefused(Facts f)
        => WithoutLink(f).Select(n => f.Assessment.Node(n.Address)).Where(n => n.Refusal is not null).Select(n => Problem.Of(
            ReplicationRefused, $"master {f.Master!.Address} refuses the replication of {n.Address}: {n.Refusal!.Why}", n.Address) with
        {
            From = SinceMaster(f, n.View.LinkDownSince), Advice = n.Refusal.Advice,
        });

    /// <summary>More than one copy for each replica and another: some replica begins again and again.</summary>
    private static IEnumerable<Problem> CopiesThatRepeat(Facts f)
    {
        ImmutableArray<NodeView> behind = [.. WithoutLink(f)];
        if (f.Master is { FullCopiesInARow: var copies, LastFullCopyAt: { } last } master
            && copies > Math.Max(3, 2 * (f.Policy.Nodes.Length - 1))
            && f.Now - last < NodeView.CopiesApart && !behind.IsEmpty)
        {
            yield return Problem.Of(
                FullCopyRepeats,
                $"master {master.Address} has begun {copies} full copies one after the other, and "
                    + $"{string.Join(", ", behind.Select(n => n.Address))} still has no link",
                behind.Select(n => n.Address)) with { From = master.FullCopiesSince };
        }
    }

    /// <summary>While a master serves, the decider tells it with what it does about the others.</summary>
    private static IEnumerable<Problem> Foreign(Facts f)
        => !f.Topology.IsChangingMaster || f.Topology.Members.IsEmpty ? []
            : Correcting.LeftAlone(
                f.Assessment, f.Policy.Nodes.Select(f.Assessment.Node).Where(n => n is { IsInOrder: true, IsLeftAlone: true }));

    private static IEnumerable<Problem> RolesNotKept(Facts f)
        // Where the monitors may not have it written, that is told.
        => Speaking(f).Where(n => n.Info!.RoleNotKept is not null && !n.Info.MissingRights.HasFlag(NodeRights.KeepRole))
            .GroupBy(n => n.Info!.RoleNotKept).Select(g => Problem.Of(
            RoleNotPersisted, $"{Named(g)} cannot keep {(g.Count() == 1 ? "its role" : "their roles")} over a restart: {g.Key}",
                g.Select(n => n.Address)));

    private static IEnumerable<Problem> VersionsThatDiffer(Facts f)
    {
        ImmutableArray<NodeView> speaking = [.. Speaking(f)];
        ImmutableArray<NodeView> older = [.. speaking.Where(n => speaking.Any(other => !n.Info!.Software.CanRead(other.Info!.Software)))];
        if (!older.IsEmpty)
        {
            IEnumerable<string> versions = speaking.Select(n => $"{n.Address} {n.Info!.Software.Name} {n.Info.Software.Version}");
            NodeAddress[] apart = [.. f.Policy.Nodes.Where(n => f.Assessment.Node(n) is { IsInOrder: true, CannotCopyMaster: true })];
            string kept = apart.Length == 0 ? ""
                : $"; {string.Join(", ", apart.AsEnumerable())} cannot copy master {f.Topology.Master} and keeps its own data, unused";
            yield return Problem.Of(
                VersionsDiffer,
                $"{string.Join(", ", older.Select(n => n.Address))} cannot read a full copy of a newer node "
                    + $"({string.Join(", ", versions)}){kept}",
                older.Select(n => n.Address));
        }
    }

    private static IEnumerable<Problem> OtherControllers(Facts f)
        => Speaking(f).Where(n => !n.Info!.Controllers.IsEmpty).Select(n => Problem.Of(
            ForeignController,
            $"somebody else commands {n.Address} too: "
                + $"{string.Join(", ", n.Info!.Controllers.Select(c => $"{Kind(c.Kind)} '{Words.Quoted(c.Name)}' from {c.Address}"))}",
            n.Address) with { Severity = n.Info!.Controllers.All(c => c.Kind == ControllerKind.Monitor)
                ? ProblemSeverity.Warning : ProblemSeverity.Critical });

    private static IEnumerable<Problem> Contests(Facts f)
        => Speaking(f).Where(n => n.Corrected?.IsContest(f.Now) == true && n.Info!.Controllers.IsEmpty).Select(n => Problem.Of(
            ForeignController,
            $"somebody else keeps telling {n.Address} not to follow master {n.Corrected!.Master}, and each time it is made to follow it "
                + "again",
            n.Address) with
        {
            From = n.Corrected!.Since,
            Advice = $"Find who sends {n.Address} REPLICAOF (a script, another tool: CLIENT LIST and SLOWLOG GET there), and stop that.",
        });

    private static string Kind(ControllerKind kind) => kind switch
    {
        ControllerKind.Leader => "another cluster's leading monitor",
        ControllerKind.Monitor => "another cluster's monitor",
        _ => "a Sentinel",
    };

    private static IEnumerable<Problem> OtherModes(Facts f)
        => Speaking(f).Where(n => n.Info!.Mode is not ("standalone" or ""))
            .Select(n => Problem.Of(UnsupportedMode, $"{n.Address} runs in {n.Info!.Mode} mode, which is not supported", n.Address));
}
