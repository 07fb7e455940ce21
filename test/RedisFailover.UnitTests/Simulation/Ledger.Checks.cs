using RedisFailover.Monitor.ZooKeeper;
using RedisFailover.ZooKeeper;

namespace RedisFailover.UnitTests.Simulation;

internal sealed partial class Ledger
{
    /// <summary>Whoever has been in order for so long was heard, whatever happened before.</summary>
    private const long Long = 10 * World.Second;

    /// <summary>The silence limit and what answers need on top.</summary>
    private long Heard => configuration.Policy.SilenceLimit.Ticks + (2 * World.Second);

    /// <summary>A replica with less data is never promoted over one with more of the same history that could answer.</summary>
    private void CheckCandidate(SimulatedMonitor monitor, SimulatedRedis chosen)
    {
        ClusterView view = monitor.View;
        if (!_changes.TryGetValue(monitor, out (TimeSpan StartedAt, Dictionary<NodeAddress, Seen> Nodes) change) || !monitor.IsWell(Heard)
            || view.Wish is not null)
        {
            return;
        }

        foreach (SimulatedRedis other in _nodes.Values)
        {
            Seen seen = change.Nodes[other.Address];
            if (other == chosen || other.IsMaster || other.Address == view.Topology!.Intent?.From || !IsHeard(monitor, other)
                || seen.Life != other.Life
                || IsNeverPromoted(other) || !configuration.IsWatched(other.Address, Heard) || other.IsLoading || other.IsSyncing
                || world.Now - other.ChangedAt < Heard
                || other.ReplicationId != chosen.ReplicationId || seen.ReplicationId != other.ReplicationId
                || view.Failed.ContainsKey(new Promote(other.Address)))
            {
                continue;
            }

            Require(
                (seen.Data?.Depth ?? 0) <= (chosen.Data?.Depth ?? 0) || !Commit.Contains(seen.Data, chosen.Data),
                $"{monitor.Name} promotes {chosen.Name} with data {chosen.Data}, and {other.Name}, which answers, had {seen.Data} when "
                    + $"the change began");
        }
    }

    /// <summary>
    /// Never two nodes promoted in one epoch, unless the first could not be asked: a promotion whose answer was lost with the node
    /// must not keep the cluster without a master for ever.
    /// </summary>
    private void CheckSinglePromotion(SimulatedMonitor monitor, SimulatedRedis chosen)
    {
        foreach ((long epoch, SimulatedRedis node, int life) in _promotions)
        {
            Require(
                epoch != EpochOfPromotion(monitor.View.Topology!) || node == chosen || node.Life != life || !node.IsMaster
                    || world.Now - Server!.DeposedAt < Long || !IsHeard(monitor, node) || !monitor.IsWell(Heard),
                $"{monitor.Name} promotes {chosen.Name} in epoch {epoch}, in which {node.Name} was promoted, is a master and answers");
        }
    }

    /// <summary>
    /// No failover from a master that has been well, and well seen by so many monitors that those who are not are no majority.
    /// </summary>
    private void CheckNeed(SimulatedMonitor leader, SimulatedRedis master)
    {
        if (configuration.Policy.NodeStrategy == NodeStrategy.Single || !master.IsWell(Long) || !master.IsMaster || master.IsLoading
            || world.Now - master.ChangedAt < Long || !Server!.IsWell(Long))
        {
            return;
        }

        if (world.Now - Server.ResumedAt < Long)
        {
            // What would have been done during the pause is done now.
            return;
        }

        // Restarted while it refused the monitors, or while nobody led, it says only now what it came back with.
        if (_returned == (master, master.Life)
            && (IsRefusing(master, Long) || leader.Clock - leader.View.LeadingSince < TimeSpan.FromTicks(Heard)))
        {
            return;
        }

        string[] live = [leader.Name, .. leader.View.OtherMonitors.Keys];
        int doubtful = live.Count(name
                => !(_monitors[name] is var m && m.IsWell(Long) && network.IsCalm(m.Place, master.Place, Long)
                    && network.IsCalm(m.Place, Server.Place, Long)));
        Require(doubtful * 2 > live.Length,
            $"{leader.Name} began a failover from {master.Name}, which is well and which all but {doubtful} of {live.Length} monitors can "
                + $"reach");
    }

    /// <summary>Whoever comes into office, or back into it, stands in the history, and whom he replaces.</summary>
    private static void CheckHistory(Topology before, Topology after, HistoryEntry? record)
    {
        if (after is not { State: TopologyState.Ok, Master: { } master } || (before.State == TopologyState.Ok && before.Master == master))
        {
            return;
        }

        NodeAddress? from = before.Intent is { } intent ? intent.From : before.Master;
        Require(
            record is { Kind: HistoryKind.Adopted or HistoryKind.Failover or HistoryKind.Switchover or HistoryKind.Restored }
                && record.Epoch == after.Epoch && record.To == master && record.From == from
                && (record.Kind != HistoryKind.Restored || from == master),
            $"{master} is master in epoch {after.Epoch} after {from}, and the history says {record?.Kind} of epoch {record?.Epoch} from "
                + $"{record?.From} to {record?.To}");
    }

    /// <summary>
    /// In the end: what was promoted in an epoch stands in the history with that epoch, or what became of it with a later one.
    /// </summary>
    internal void CheckHistory()
    {
        foreach ((long epoch, SimulatedRedis node, int _) in _promotions)
        {
            Require(_history.Any(h => h.Epoch >= epoch),
                $"{node.Name} was promoted in epoch {epoch}, and the history knows no such epoch");
        }

        NodeAddress? before = null;
        foreach ((long epoch, NodeAddress master) in _masters.OrderBy(m => m.Key))
        {
            // A switchover that was taken over has a new epoch, and the old master for as long as it lasts.
            Require(
                master == before || _history.Any(h => h.Epoch == epoch && h.To == master),
                $"{master} was master in epoch {epoch}, which is not in the history");
            before = master;
        }

        Znode? znode = Server!.Get(SimulatedZooKeeper.Paths.History);
        Require(
            TopologyStore.Unrecorded(Server.Topology!, znode is null ? [] : HistoryJson.Parse(znode.Data)) is null,
            $"the history does not tell of the last change of master, {Server.Topology!.LastChange}");
    }

    /// <summary>A planned switchover loses no acknowledged write.</summary>
    private void CheckHandover(Topology before, Topology after)
    {
        if (_handover is not { } handover || handover.Epoch != before.Epoch || handover.To.Address != after.Master
            || handover.From.Life != handover.Life)
        {
            return;
        }

        Switchovers++;
        foreach (SimulatedClient.Write write in Acknowledgements)
        {
            Require(
                write.On != handover.From || !Commit.Contains(handover.From.Data, write.Made)
                    || Commit.Contains(handover.To.Data, write.Made),
                $"the switchover from {handover.From.Name} to {handover.To.Name} lost write {write.Number}, which {handover.From.Name} "
                    + $"had acknowledged");
        }
    }

    /// <summary>
    /// A master that was restarted empty does not wipe its replicas, where a leader was there to see it in time: not while it is in
    /// office, and not while a failover from it waits.
    /// </summary>
    private void CheckWipe(SimulatedRedis node, SimulatedRedis master, string run)
    {
        // While failover is paused nobody is kept from a master.
        if (Server!.PausedSince is not null || world.Now - Server.ResumedAt < Long
            || Server.Topology is not { State: TopologyState.Ok or TopologyState.FailingOver } topology
            || (topology.Master ?? topology.Intent?.From) != master.Address || master.RunId != run
            || !configuration.IsWatched(node.Address, Long) || !configuration.IsWatched(master.Address, Long)
            || !master.IsWell(3 * World.Second) || IsNeverPromoted(node)
            || !node.IsWell(Long) || !Server.IsWell(Long) || _nodes.Values.Any(n => IsRefusing(n, Long)))
        {
            return;
        }

        SimulatedMonitor? leader = _monitors.Values.FirstOrDefault(m => m.Lead is not null && m.Lead.Term == Server.Term);
        bool saw = leader is not null && leader.IsWell(Long) && leader.Clock - leader.View.LeadingSince > TimeSpan.FromTicks(Long)
            && network.IsCalm(leader.Place, Server.Place, Long)
            && _nodes.Values.All(n => network.IsCalm(leader.Place, n.Place, Long));
        // What an operator forced had other data, which the returning ones of the old history do not have: that is what he ordered.
        Require(!saw || _returned != (master, master.Life) || WasForced, $"{master.Name} was restarted empty and wiped {node.Name}");
    }

    /// <summary>
    /// A node that was promoted has every write that so many replicas had acknowledged, and may be promoted at all; unless an operator
    /// forced it. A master that was itself restarted and goes on may have lost some: no failover is to blame for that, and they are not
    /// missed any more.
    /// </summary>
    private void CheckOffice(Topology before, Topology after, SimulatedRedis node, long sentAt)
    {
        bool isNew = before.IsChangingMaster && after.Master != before.Intent?.From;
        // A successor finishes what was ordered of the leader before.
        bool isOrdered = before.Intent is { Forced: true, Target: { } target } && target == after.Master;
        if (isNew && !_forced.Contains(after.Epoch) && !isOrdered)
        {
            Require(!IsNeverPromoted(node) || node.IsOrderedByHand, $"{node.Name} is made the master, and is never to be promoted");
            // One that was restarted before it was published had what it was promoted with.
            Commit? held = _promoted.TryGetValue(node, out (long Epoch, int Life, Commit? Data) promotion)
                && promotion.Epoch == after.Epoch && promotion.Life != node.Life
                    ? promotion.Data : node.Data;
            // A switchover hands over what the old master has: where that came back without a write, it was lost before.
            SimulatedRedis? handsOver = before.State == TopologyState.SwitchingOver && before.Master is { } old ? _nodes[old] : null;
            // What a process acknowledged that came only when this was on its way to ZooKeeper nobody could know of, nor call it back.
            foreach (SimulatedClient.Write write in _safe.Where(w => w.RunBeganAt <= sentAt))
            {
                Require(
                    Commit.Contains(held, write.Made) || (handsOver is not null && !Commit.Contains(handsOver.Data, write.Made)),
                    $"{node.Name} becomes the master without write {write.Number}: {write.WaitFor} replicas of {write.On!.Name} had "
                        + $"acknowledged it");
            }
        }

        if (isNew || after.Identity?.RunId != before.Identity?.RunId)
        {
            _safe.RemoveAll(w => !Commit.Contains(node.Data, w.Made));
        }
    }

    /// <summary>
    /// A master is not another process than before, with less than a node that answers: one whose append-only file has kept all that the
    /// leader last saw of it; or one whose history shows what it has, beside one whose file is not the one that it had.
    /// </summary>
    private void CheckFiles(SimulatedMonitor monitor, Topology before, Topology after, SimulatedRedis chosen)
    {
        if (before.Identity is not { } lost || after.Identity?.RunId == lost.RunId || IsWriteSafe || WasForced || !monitor.IsWell(Heard)
            || Server!.PausedSince is not null || world.Now - Server.ResumedAt < Long || _nodes.Values.Any(n => n.IsOrderedByHand))
        {
            return;
        }

        Commit? held = _promoted.TryGetValue(chosen, out (long Epoch, int Life, Commit? Data) promotion)
            && promotion.Life == chosen.Life ? promotion.Data : chosen.Data;
        foreach (SimulatedRedis other in _nodes.Values)
        {
            if (other == chosen || !IsHeard(monitor, other) || IsNeverPromoted(other) || !configuration.IsWatched(other.Address, Heard)
                || other.IsLoading || other.IsSyncing || world.Now - other.ChangedAt < Heard
                || !after.Members.Contains(other.Address) || ReferenceEquals(other.Data, held) || !Commit.Contains(other.Data, held))
            {
                continue;
            }

            Require(
                chosen.IsFileShort || MayLackPingsAlone(monitor.View, lost, chosen)
                    || !HasKept(monitor.View.Node(other.Address), other, lost, held),
                $"{monitor.Name} makes {chosen.Name} with {held} the master, and the append-only file of {other.Name} has kept "
                    + $"{other.Data}");
            Require(
                other.Info().CommonOffset(lost) is null || !chosen.Appends || chosen.IsFileShort
                    || chosen.Info().SharesHistoryWith(lost),
                $"{monitor.Name} makes {chosen.Name} the master for its append-only file, which has {held}, and {other.Name} has "
                    + $"{other.Data}");
        }
    }

    /// <summary>What it lacks of all that was seen of the lost master may be pings: then it goes first.</summary>
    private static bool MayLackPingsAlone(ClusterView view, MasterIdentity lost, SimulatedRedis chosen)
        => chosen.Info().CommonOffset(lost) is { } has
            && DataLoss.MayBePings(view.Nodes.Values.SelectMany(n => n.FormerRuns.Append(n.Info))
                .Select(word => word?.CommonOffset(lost) ?? -1).Append(lost.Offset).Max() - has);

    /// <summary>Whether its append-only file has all that was last seen of it in the history of the lost master, more than held.</summary>
    private bool HasKept(NodeView view, SimulatedRedis node, MasterIdentity lost, Commit? held)
        => view.FormerRuns is [var last, ..] && last.AppendsAll && last.CommonOffset(lost) is not null
            && _said.TryGetValue((last.RunId, last.ReplicationId, last.Offset), out Commit? seen)
            && Commit.Contains(node.Data, seen) && !ReferenceEquals(seen, held) && Commit.Contains(seen, held);

    /// <summary>Whether there is a leader that sees and acts.</summary>
    private bool IsLed => _monitors.Values.Any(m => m.Lead is { } lead && lead.Term == Server!.Term && m.IsWell(Heard));

    private bool IsRefusing(SimulatedRedis node, long window) => node.IsRefusing || world.Now - node.RefusedAt < window;

    private bool IsHeard(SimulatedMonitor monitor, SimulatedRedis node)
        => node.IsWell(Heard) && !IsRefusing(node, Heard) && network.IsCalm(monitor.Place, node.Place, Heard);
}
