using System.Collections.Immutable;

namespace RedisFailover.UnitTests.Simulation;

/// <summary>
/// Sees everything that no process of the simulation can see, and objects: the invariants that must hold at every step. Where a
/// guarantee needs a precondition (the node could have answered), it is judged by what was really so, not by what a monitor believed.
/// </summary>
internal sealed partial class Ledger(World world, Network network, Configuration configuration)
{
    /// <summary>More actions of one monitor within a second are a loop that spins.</summary>
    private const int MostActions = 600;

    private readonly Dictionary<NodeAddress, SimulatedRedis> _nodes = [];
    private readonly Dictionary<string, SimulatedMonitor> _monitors = [];
    private readonly Dictionary<long, NodeAddress> _masters = [];
    private readonly List<(long Epoch, SimulatedRedis Node, int Life)> _promotions = [];
    private readonly Dictionary<SimulatedMonitor, (TimeSpan StartedAt, Dictionary<NodeAddress, Seen> Nodes)> _changes = [];
    private readonly Dictionary<SimulatedMonitor, (long Second, int Actions)> _pace = [];
    private readonly List<SimulatedClient.Write> _safe = [];
    private readonly Dictionary<SimulatedRedis, (long Epoch, int Life, Commit? Data)> _promoted = [];
    private readonly HashSet<long> _forced = [];
    private readonly Dictionary<SimulatedRedis, Commit?> _overwritten = [];
    private readonly Dictionary<SimulatedMonitor, long> _sentAt = [];
    private readonly Dictionary<SimulatedRedis, (int Life, NodeAddress Master, string RunId)> _wentOn = [];
    private readonly List<HistoryEntry> _history = [];
    private readonly Dictionary<(string RunId, string ReplicationId, long Offset), Commit?> _said = [];
    private int _ids;
    private (SimulatedRedis Node, int Life)? _returned;
    private (long Epoch, SimulatedRedis From, SimulatedRedis To, int Life, long Until)? _handover;

    internal SimulatedZooKeeper? Server { get; set; }

    internal int Foreign { get; set; } = -1;

    internal List<SimulatedClient.Write> Acknowledgements { get; } = [];

    internal bool IsWriteSafe => configuration.Policy.WriteSafety == WriteSafetyMode.Replicated;

    /// <summary>K of WAIT K.</summary>
    internal int WaitFor => configuration.WaitFor;

    /// <summary>Whether an operator had a node promoted whatever it lacked.</summary>
    internal bool WasForced => _forced.Count > 0;

    /// <summary>Writes that were safe, and that a promotion had to preserve.</summary>
    internal int SafeWrites { get; private set; }

    internal int Failovers { get; private set; }

    internal int Switchovers { get; private set; }

    internal int Actions { get; private set; }

    internal long LastActionAt { get; private set; }

    internal IEnumerable<SimulatedRedis> Nodes => _nodes.Values;

    internal IEnumerable<SimulatedMonitor> Monitors => _monitors.Values;

    internal SimulatedRedis Node(NodeAddress address) => _nodes[address];

    internal void Add(SimulatedRedis node) => _nodes[node.Address] = node;

    internal int NextId() => ++_ids;

    internal bool IsNeverPromoted(SimulatedRedis node) => node.Priority == 0 || configuration.Policy.NeverPromote.Contains(node.Address);

    internal void Watched(SimulatedMonitor monitor)
    {
        _monitors[monitor.Name] = monitor;
        _changes.Remove(monitor);
    }

    internal void Reborn(SimulatedRedis node)
    {
        Gone(node);
        _returned = Server?.Topology is { Identity.HasData: true } topology && (topology.Master ?? topology.Intent?.From) == node.Address
            ? (node, node.Life) : _returned;
    }

    internal void Gone(SimulatedRedis node)
    {
        // What either loses by its own end is not the switchover's doing.
        if (_handover is { } handover && (handover.From == node || handover.To == node))
        {
            _handover = null;
        }
    }

    /// <summary>All is healed: what could not be done before may follow.</summary>
    internal void Healed() => LastActionAt = world.Now;

    internal void Elected(SimulatedMonitor monitor, int term)
    {
        LastActionAt = world.Now;
        world.Tell("zk", $"elects {monitor.Name} for term {term}");
    }

    /// <summary>The decider is a function: the same view gives the same decision, and the view is as it was.</summary>
    internal void Repeats(ClusterView view, FailoverPolicy by, TimeSpan now, Decision first, Mutant mutant)
    {
        ClusterView copy = view with { };
        Decision second = mutant.Decide(view, by, now);
        Require(
            first.Actions.SequenceEqual(second.Actions) && first.WakeAt == second.WakeAt && first.Reason == second.Reason
                && first.Warning == second.Warning,
            $"the same view was decided in two ways: {first.Reason} / {second.Reason}");
        Require(copy == view, "a decision changed the view");
    }

    /// <summary>What must hold of every decision.</summary>
    internal void Checked(ClusterView view, FailoverPolicy by, TimeSpan now, Decision decision)
    {
        ImmutableArray<string> broken = Invariants.Broken(view, by, now, decision);
        Require(broken.IsEmpty,
            $"a decision breaks: {string.Join("; ", broken)} ({decision.Reason}: {string.Join("; ", decision.Actions)})");
    }

    /// <summary>What is begun.</summary>
    internal void Decided(SimulatedMonitor monitor, ClusterView view, Decision decision)
    {
        if (world.IsTold && !decision.Actions.IsEmpty)
        {
            world.Tell(monitor.Name, $"decides: {decision.Reason}");
            foreach (FailoverAction action in decision.Actions)
            {
                world.Tell(monitor.Name, $"  -> {action}");
            }
        }

        if (view.Progress is not { } progress)
        {
            _changes.Remove(monitor);
        }
        else if (!_changes.TryGetValue(monitor, out (TimeSpan StartedAt, Dictionary<NodeAddress, Seen> Nodes) known)
            || known.StartedAt != progress.StartedAt)
        {
            _changes[monitor] =
                (progress.StartedAt, _nodes.Values.ToDictionary(n => n.Address, n => new Seen(n.Data, n.ReplicationId, n.Life)));
        }

        if (decision.Actions is [Promote promote] && decision.Reason.Contains("it has all of", StringComparison.Ordinal)
            && view.Topology is { Intent.From: { } from } topology)
        {
            _handover =
                (topology.Epoch, Node(from), Node(promote.Node), Node(from).Life, world.Now + configuration.Policy.PauseLimit.Ticks / 2);
        }
    }

    /// <summary>An action leaves a monitor.</summary>
    internal void Begun(SimulatedMonitor monitor, Lead lead, FailoverAction action)
    {
        Actions++;
        LastActionAt = world.Now;
        long second = world.Now / World.Second;
        int count = _pace.TryGetValue(monitor, out (long Second, int Actions) pace) && pace.Second == second ? pace.Actions + 1 : 1;
        _pace[monitor] = (second, count);
        Require(count <= MostActions, $"{monitor.Name} spins: {count} actions within a second, the last: {action}");
        Require(action is not PublishTopology || lead.Lease.IsHeld, $"{monitor.Name} sends a publication ({action}) without a lease");
        if (action is PublishTopology)
        {
            _sentAt[monitor] = world.Now;
        }

        if (action is PublishTopology { Next.State: TopologyState.FailingOver })
        {
            Require(
                monitor.View is not { ZooKeeperLostAt: not null, Topology.State: TopologyState.Ok },
                $"{monitor.Name} begins a failover ({action}), and knows that ZooKeeper cannot be reached");
        }

        if (action.On is null)
        {
            return;
        }

        Require(
            !Server!.IsFailoverPaused || world.Now - Server.PausedSince < 2 * World.Second
                || Server.Topology is not { IsChangingMaster: false }
                || action is Inspect or ResumeWrites or SetMinReplicas,
            $"{monitor.Name} sends a command ({action}), and failover is paused");

        Require(
            (lead.Term == Server!.Term && Server.Leader is not null) || world.Now - Server.DeposedAt < Long,
            $"{monitor.Name} sends a command ({action}) under term {lead.Term}, and term {Server.Term} has begun: it held no valid lease");
        if (action is Promote promote)
        {
            if (Node(promote.Node).Data?.Beginning == Foreign && promote.Despite?.Contains("operator", StringComparison.Ordinal) == true)
            {
                // Somebody who may has said whose data these are from here on.
                Foreign = -1;
            }

            CheckCandidate(monitor, Node(promote.Node));
            CheckSinglePromotion(monitor, Node(promote.Node));
            Require(
                monitor.View.Node(promote.Node).ProbeFailure is not (ProbeFailure.AuthRefused or ProbeFailure.NotRedis),
                $"{monitor.Name} promotes {promote.Node}, which refuses it, by what it said before");
            Require(
                promote.Despite is not null || !IsNeverPromoted(Node(promote.Node)),
                $"{monitor.Name} promotes {promote.Node}, which is never to be promoted");
            Require(
                monitor.View is not { ZooKeeperLostAt: not null, Topology.State: TopologyState.Ok },
                $"{monitor.Name} promotes {promote.Node}, and no change of master has begun");
        }
        else if (action is Follow or Demote)
        {
            NodeAddress master = action is Follow follow ? follow.Master : ((Demote)action).Master;
            SimulatedRedis node = Node(action.On);
            Require(
                !IsWriteSafe || Server.Topology is not { State: TopologyState.Ok } topology || topology.Master != master
                    || topology.WriteQuorum?.Replicas.Contains(node.Address) == true,
                $"{monitor.Name} lets {node.Name} follow {master}, and the topology does not name it among the holders of writes");
            Require(
                node.Data?.Beginning != Foreign || Foreign < 0,
                $"{monitor.Name} lets {node.Name} follow {master}: its data were never this cluster's and are wiped");
        }
    }

    /// <summary>A command is carried out by a node.</summary>
    internal void Executed(SimulatedMonitor monitor, Lead lead, FailoverAction action, SimulatedRedis node, string? error)
    {
        if (world.IsTold)
        {
            world.Tell(node.Name,
                $"carries out for {monitor.Name}: "
                    + $"{action}{(error is null ? "" : ": " + error)}{(lead.Term == Server!.Term ? "" : " (late, of a former leader)")}");
        }

        if (action is Promote && error is null && node.ChangedAt == world.Now && monitor.View.Topology is { } topology)
        {
            // An epoch is one leader's: what a former one had sent, and comes late, is of none that is known here.
            if (lead.Term == Server!.Term)
            {
                _promotions.Add((EpochOfPromotion(topology), node, node.Life));
            }

            _promoted[node] = (EpochOfPromotion(topology), node.Life, node.Data);
        }

        if (action is Promote { Despite: not null } && error is null && monitor.View.Topology is { } forced)
        {
            _forced.Add(EpochOfPromotion(forced));
        }
    }

    /// <summary>A request was answered, together with the topology as it is now.</summary>
    internal static void Answered(OperatorRequest request, Topology? topology)
        => Require(request is not { IsSwitchover: true, Target: { } target, Answer.Outcome: RequestOutcome.Done }
            || topology?.Master == target,
            $"{request.Id} is answered to be done, and {topology?.Master} is the master, not {request.Wish}");

    /// <summary>So many replicas as write safety asks for have a write.</summary>
    internal void Replicated(SimulatedRedis node, SimulatedClient.Write write, NodeAddress[] holders)
    {
        // A node that had left the set and attached itself again is not in it before the master's next INFO is published: that is outside
        // the claim.
        if (IsWriteSafe && Server!.Topology is { WriteQuorum: { } quorum } topology
            && (topology.Master ?? topology.Intent?.From) == node.Address
            && holders.Count(quorum.Replicas.Contains) >= Math.Min(Math.Max(quorum.Quorum, configuration.Claimed), quorum.Replicas.Length))
        {
            _safe.Add(write);
            SafeWrites++;
        }
    }

    /// <summary>The znode was written.</summary>
    /// <param name="monitor">By whom.</param>
    /// <param name="term">In which term.</param>
    /// <param name="isOverRead">Whether it was as the writer knew it.</param>
    /// <param name="before">What it held.</param>
    /// <param name="after">What it holds.</param>
    internal void Published(SimulatedMonitor monitor, int term, bool isOverRead, Topology before, Topology after)
    {
        if (world.IsTold)
        {
            world.Tell("zk",
                $"{monitor.Name} wrote {TopologyJson.Name(after.State)}, master {after.Master}, epoch {after.Epoch}: {after.Reason}");
        }

        Require(term == Server!.Term, $"{monitor.Name} of term {term} wrote the topology in term {Server.Term}");
        Require(isOverRead, $"{monitor.Name} overwrote a topology that it had not read");
        Require(after.Epoch >= before.Epoch, $"the epoch went back from {before.Epoch} to {after.Epoch}");
        if (after.Master is { } master)
        {
            Require(
                _masters.TryAdd(after.Epoch, master) || _masters[after.Epoch] == master,
                $"epoch {after.Epoch} has two masters: {_masters[after.Epoch]} and {master}");
        }

        HistoryEntry? record = after.LastChange == before.LastChange ? null : after.LastChange;
        CheckHistory(before, after, record);
        if (record is not null)
        {
            _history.Add(record);
        }

        if (before.State == TopologyState.Ok && after.State == TopologyState.FailingOver)
        {
            Failovers++;
            CheckNeed(monitor, Node(after.Intent!.From!));
        }

        if (before.State == TopologyState.SwitchingOver && after.Master is not null)
        {
            CheckHandover(before, after);
        }

        if (after is { State: TopologyState.Ok, Master: { } inOffice })
        {
            CheckOffice(before, after, Node(inOffice), _sentAt[monitor]);
            CheckFiles(monitor, before, after, Node(inOffice));
        }
    }

    /// <summary>A node says how far it has come: this is what it has.</summary>
    internal void Said(SimulatedRedis node, NodeInfo info) => _said[(info.RunId, info.ReplicationId, info.Offset)] = node.Data;

    /// <summary>A client was told of a topology.</summary>
    internal static void Told(SimulatedClient client, Topology topology, int version)
        => Require(version <= client.KnownVersion
            || topology.Epoch >= client.Known.Epoch, $"{client.Name} sees the epoch go back from {client.Known.Epoch} to {topology.Epoch}");

    /// <summary>A node took a write.</summary>
    internal void Written(SimulatedRedis node, SimulatedClient.Write write)
    {
        if (_handover is { } handover && handover.From == node && !node.IsOrderedByHand && node.Life == handover.Life
            && world.Now < handover.Until
            && handover.To.IsMaster
            && Server!.Topology is { } topology && (topology.State == TopologyState.SwitchingOver ? topology.Epoch == handover.Epoch
                : topology.Master == handover.To.Address && topology.Epoch <= handover.Epoch + 1))
        {
            Fail($"{node.Name}, the old master of a switchover to {handover.To.Name}, took write {write.Number} of {write.By.Name}");
        }
    }

    /// <summary>A client was told that its write is done.</summary>
    internal void Acknowledged(SimulatedClient client, SimulatedClient.Write write)
    {
        write.WasCurrent = client.KnownVersion == Server!.Version && client.Known.Epoch == write.KnownEpoch;
        Acknowledgements.Add(write);
        if (write.WasCurrent)
        {
            Require(
                _masters.TryGetValue(write.KnownEpoch, out NodeAddress? master) && master == write.On!.Address,
                $"{write.On!.Name} acknowledged a write in epoch {write.KnownEpoch}, whose master is {master}");
        }
    }

    /// <summary>A node took another one's data for its own.</summary>
    internal void Replaced(SimulatedRedis node, Commit? old, Commit? data, SimulatedRedis master, string run)
    {
        Require(old is null || Foreign < 0
            || old.Beginning != Foreign, $"{node.Name} held data that were never this cluster's, and {master.Name} wiped them");
        bool isByHand = node.IsOrderedByHand || master.IsOrderedByHand;
        bool isPaused = Server!.PausedSince is not null;
        if ((isByHand || isPaused || node.IsRefusing || !IsLed) && !Commit.Contains(data, old) && !Lacks(node, old))
        {
            _overwritten[node] = old;
        }

        if (isByHand)
        {
            // Somebody who is no monitor ordered it.
            _safe.RemoveAll(w => Commit.Contains(old, w.Made) && !Commit.Contains(data, w.Made));
            return;
        }

        // Of two histories the longer one is the cluster's: what a node took beside it, restarted empty, is not missed.
        if (old is not null && (data is null || (data.Beginning != old.Beginning && old.Depth > data.Depth)))
        {
            CheckWipe(node, master, run);
        }

        if ((!IsLed || isPaused) && master.StartedAt > node.OrderedAt)
        {
            // Redis itself threw away the last copy of these, from a master that was restarted since a monitor last gave this node an
            // order, with nobody there to prevent it, or nobody who may: no failover is to blame for that.
            _safe.RemoveAll(w => !_nodes.Values.Any(n => n.Keeps(w.Made)) && !Commit.Contains(data, w.Made));
        }
    }

    /// <summary>
    /// Whether it lost something to a full copy that somebody ordered past the monitors, while failover was paused or nobody led, or while
    /// it refused the monitors, and does not have it again: then nobody can keep it from a master with less.
    /// </summary>
    internal bool WasOverwritten(SimulatedRedis node) => Lacks(node, node.Data);

    /// <summary>A replica goes on under this master from where it stands.</summary>
    internal void WentOn(SimulatedRedis node, SimulatedRedis master) => _wentOn[node] = (node.Life, master.Address, master.RunId);

    /// <summary>Whether it last went on under a process that came after the lost master at its address.</summary>
    internal bool WentOnUnderAnotherRun(SimulatedRedis node, MasterIdentity lost)
        => _wentOn.TryGetValue(node, out (int Life, NodeAddress Master, string RunId) last) && last.Life == node.Life
            && Server!.Topology?.Intent?.From == last.Master && last.RunId != lost.RunId;

    /// <summary>An operator's switchover leaves the epoch to the old master until the new one is published.</summary>
    private static long EpochOfPromotion(Topology topology)
        => topology is { State: TopologyState.SwitchingOver, Master: not null } ? topology.Epoch + 1 : topology.Epoch;

    private bool Lacks(SimulatedRedis node, Commit? data) => _overwritten.TryGetValue(node, out Commit? had) && !Commit.Contains(data, had);

    private static void Require(bool condition, string otherwise)
    {
        if (!condition)
        {
            Fail(otherwise);
        }
    }

    private static void Fail(string why) => throw new Violation(why);

    private sealed record Seen(Commit? Data, string ReplicationId, int Life);
}
