using System.Collections.Immutable;
using System.Threading.Channels;
using Microsoft.Extensions.Logging;

namespace RedisFailover.Monitor.Hosting;

/// <summary>
/// Tells an operator what has changed between two views; nothing else is logged about the nodes. The talking is done beside the
/// acting: writing a line to a console can take longer than a step of a failover.
/// </summary>
internal sealed class Transitions(ILogger logger, string id)
{
    /// <summary>What is tried again and again, and fails, is told so often.</summary>
    private static readonly TimeSpan Repeated = TimeSpan.FromSeconds(5);

    private readonly Channel<(ClusterView Before, ClusterView After, Decision Decision, TimeSpan Now)> _steps =
        Channel.CreateUnbounded<(ClusterView, ClusterView, Decision, TimeSpan)>(new UnboundedChannelOptions { SingleReader = true });
    private readonly Dictionary<string, TimeSpan> _told = new(StringComparer.Ordinal);
    private string? _lastReason;
    private string? _lastWarning;
    private string? _lastFault;
    private readonly Dictionary<string, string?> _defects = new(StringComparer.Ordinal);
    private int? _knownTerm;
    private PublishTopology? _announced;
    private string? _lossTold;
    private string? _notBegunTold;

    /// <summary>A part of a turn failed: told once as long as it fails in the same way; null: it did not.</summary>
    internal void TellDefect(string part, Exception? defect)
    {
        string? what = defect is null ? null : $"{defect.GetType()}: {defect.Message}";
        if (defect is not null && !Words.SameButForNumbers(_defects.GetValueOrDefault(part), what))
        {
            Log.Defect(logger, part, defect);
        }

        _defects[part] = what;
    }

    /// <summary>A step of the coordinator; told as soon as there is time, in order.</summary>
    internal void Tell(ClusterView before, ClusterView after, Decision decision, TimeSpan now)
        => _steps.Writer.TryWrite((before, after, decision, now));

    /// <summary>Tells all steps until it is cancelled, and then those that are left.</summary>
    internal async Task RunAsync(CancellationToken cancellationToken)
    {
        try
        {
            while (await _steps.Reader.WaitToReadAsync(cancellationToken))
            {
                TellAll();
            }
        }
        finally
        {
            TellAll();
        }
    }

    /// <summary>Tells the steps that have come so far.</summary>
    internal void TellAll()
    {
        while (_steps.Reader.TryRead(out (ClusterView Before, ClusterView After, Decision Decision, TimeSpan Now) step))
        {
            TellNow(step.Before, step.After, step.Decision, step.Now);
        }
    }

    /// <summary>Tells a step at once.</summary>
    internal void TellNow(ClusterView before, ClusterView after, Decision decision, TimeSpan now)
    {
        Changes(before, after, now);
        TellOfIntent(before, after);
        Decided(before, after, decision, now);
    }

    private void Changes(ClusterView before, ClusterView after, TimeSpan now)
    {
        if (!ReferenceEquals(before.Nodes, after.Nodes))
        {
            foreach (NodeView node in after.Nodes.Values)
            {
                NodeView old = before.Node(node.Address);
                if (!ReferenceEquals(old, node))
                {
                    Tell(old, node, after, now);
                }
            }
        }

        TellMonitors(before.OtherMonitors, after.OtherMonitors, after.LiveMonitors);
        if (after.Term != before.Term)
        {
            if (before.Term is { } lost)
            {
                Log.LeadLost(logger, lost);
            }

            if (after.Term is { } gained)
            {
                Log.Leads(logger, gained);
            }
        }

        if (after.Wish is { } wish && before.Wish != wish && IsNew(before, after))
        {
            Log.OperatorWish(logger, after.Term is null ? LogLevel.Debug
                : LogLevel.Information, wish == ZnodePaths.AnyReplica ? "any replica" : Words.Quoted(wish));
        }

        TellOfConfig(before, after);
        if (after.TopologyFault is { } fault && _lastFault != fault)
        {
            Log.TopologyNotUsable(logger, fault);
        }

        _lastFault = after.TopologyFault;
        if (after.Topology is { } topology && !SayTheSame(before.Topology, topology))
        {
            string by = topology.ChangedBy.Length > 0 ? topology.ChangedBy : "an unknown writer";
            // Only the leading monitor writes it.
            if (after.Term is not null && _knownTerm == after.Term && topology.ChangedBy != id)
            {
                Log.ForeignTopology(logger, after.Version, topology.Epoch, topology.Master?.ToString() ?? "none", by);
            }

            // The leading monitor has warned already, where there was a reason to.
            bool changesMaster = topology.Master != before.Topology?.Master
                && (topology.Master is null || before.Topology is { Master: not null } or { IsChangingMaster: true });
            // The leader's own doing is told by what it decides and what goes into the history.
            LogLevel level = after.Term is not null && topology.ChangedBy == id && before.Topology is not null ? LogLevel.Debug
                : changesMaster && after.Term is null ? LogLevel.Warning
                : LogLevel.Information;
            string state = TopologyJson.Name(topology.State);
            string master = topology.Master?.ToString() ?? "none";
            string replicas = string.Join(' ', topology.Replicas);
            string unavailable = string.Join(' ', topology.Unavailable);
            Log.TopologyChanged(logger, level, topology.Epoch, state, master, by, topology.Reason, replicas, unavailable);
        }

        _knownTerm = after is { Term: { } term, TopologyKnown: true } ? term : after.Term is null ? null : _knownTerm;
    }

    private void TellOfConfig(ClusterView before, ClusterView after)
    {
        if (after.ConfigFault is { } fault && before.ConfigFault != fault)
        {
            Log.ConfigNotUsable(logger, fault);
        }

        if (after.Config is not { } config || config.SaysTheSameAs(before.Config))
        {
            return;
        }

        if (config.Pause != before.Config?.Pause)
        {
            if (config.Pause is { } pause)
            {
                Log.Paused(logger, pause);
            }
            else if (before.Config?.Pause is not null)
            {
                Log.Resumed(logger, config.Reason);
            }
        }

        if (before.Config is null
            ? !(config.Nodes.IsEmpty && config.Settings.IsEmpty)
            : !(config with { Pause = null }).SaysTheSameAs(before.Config with { Pause = null }))
        {
            Log.ConfigTaken(logger, after.ConfigVersion, config.Reason);
        }
    }

    /// <summary>
    /// A failover that was announced in the log and did not begin, because leadership was lost, say: whoever reads of the one reads of the
    /// other. A leader that was frozen and is woken decides by what it saw, and only its lease tells it that this is out of date.
    /// </summary>
    private void TellOfIntent(ClusterView before, ClusterView after)
    {
        if (after.Topology?.Master is { } master && after.Node(master).IsAnswering)
        {
            _notBegunTold = null;
        }

        if (_announced is not { } intent || after.Running.Contains(intent))
        {
            return;
        }

        _announced = null;
        if (after.Topology is not { } known || known.Epoch != intent.Next.Epoch || known.ChangedBy != id)
        {
            string why = after.Unacknowledged?.Failure
                ?? (after.Term is not null && after.Term == before.Term ? "somebody else has written the topology" : "leadership was lost");
            if (_notBegunTold != why)
            {
                Log.FailoverNotBegun(logger, intent.Next.Epoch, why);
            }

            _notBegunTold = why;
            return;
        }

        _notBegunTold = null;
    }

    /// <summary>What was decided and what needs attention, each once, not with every observation that leads to the same again.</summary>
    private void Decided(ClusterView before, ClusterView after, Decision decision, TimeSpan now)
    {
        if (decision.Warning is { } warning && !Words.SameButForNumbers(warning, _lastWarning) && IsNews(warning, now))
        {
            Log.Attention(logger, warning);
        }

        // While something is being written nothing else is looked at: that is not the end of what was amiss.
        _lastWarning = decision.Warning ?? (after.Running.Any(a => a is PublishTopology) ? _lastWarning : null);
        string reason = decision.Reason;
        if (before.Topology is not { State: TopologyState.FailingOver }
            && decision.Actions.OfType<PublishTopology>().FirstOrDefault(p => p.Next.State == TopologyState.FailingOver) is { } intent)
        {
            _announced = intent;
            // A beginning that is tried again and again is one story.
            if (_notBegunTold is null || !Words.SameButForNumbers(_lossTold, reason))
            {
                Log.MasterLost(logger, intent.Next.Epoch, reason);
            }

            _lossTold = reason;
        }
        else if (decision.Actions.Any(a => a is not (Inspect or ReadTopology)) && reason != _lastReason && reason != decision.Warning
            && IsNews(reason, now))
        {
            // The choice of a master is a part of the story; the rest of what is done follows from it.
            bool tells = decision.Actions.Any(a => a is Promote or PublishTopology { Next.IsChangingMaster: true });
            Log.Decided(logger, tells ? LogLevel.Information : LogLevel.Debug, reason);
        }

        _lastReason = decision.Reason;
    }

    private bool IsNews(string text, TimeSpan now)
    {
        foreach (string old in _told.Where(t => now - t.Value >= Repeated).Select(t => t.Key).ToArray())
        {
            _told.Remove(old);
        }

        return _told.TryAdd(text, now);
    }

    private void Tell(NodeView before, NodeView after, ClusterView view, TimeSpan now)
    {
        if (after.ProbeFailure is ProbeFailure.AuthRefused or ProbeFailure.NotRedis)
        {
            if (before.ProbeFailure != after.ProbeFailure || before.Detail != after.Detail)
            {
                if (after.SameServerAs is { } other)
                {
                    Log.NodeHasTwoNames(logger, after.Address, after.Detail, other);
                }
                else
                {
                    Log.NodeMisconfigured(logger, after.Address, after.Detail);
                }
            }
        }
        else if (after.Condition == NodeCondition.Unavailable && before.Condition != NodeCondition.Unavailable)
        {
            double millis = (now - (after.GoneSince ?? now)).TotalMilliseconds;
            // The leader tells it as a problem, or as the loss of the master.
            LogLevel level = view.Term is null ? LogLevel.Warning : LogLevel.Debug;
            // It answers: no failure is counted, its time is up.
            if (after.ProbeFailure == ProbeFailure.Loading)
            {
                Log.NodeLoadsTooLong(logger, level, after.Address, after.Detail, millis);
            }
            else
            {
                Log.NodeUnavailable(logger, level, after.Address, after.Failures, millis, after.Detail);
            }
        }
        else if (after.Condition == NodeCondition.Online && before.Condition != NodeCondition.Online && after.Info is { } info)
        {
            Log.NodeOnline(logger, after.Address, Role(info), info.Keys, info.Offset, info.Software.ToString());
        }
        else if (after.ProbeFailure is ProbeFailure.Loading or ProbeFailure.Busy && before.ProbeFailure != after.ProbeFailure)
        {
            Log.NodeServesNobody(logger, after.Address, after.Detail);
        }
        else if (after.Failures == 1 && before.Failures == 0 && after.Condition == NodeCondition.Online)
        {
            Log.NodeFails(logger, after.Address, after.Detail);
        }
        else if (before.Info is { } old && after.Info is { } current && Role(old) != Role(current))
        {
            TellRole(after.Address, old, current, view);
        }
    }

    private void TellRole(NodeAddress node, NodeInfo before, NodeInfo after, ClusterView view)
    {
        if (before.Role != NodeRole.Replica || after.Role != NodeRole.Replica || before.MasterAddress != after.MasterAddress)
        {
            Log.NodeRoleChanged(logger, node, Role(before), Role(after));
            return;
        }

        // That the replicas of a dead master have lost their link says nothing new.
        bool tells = after.MasterAddress is { } master && view.Topology?.Master == master && view.Node(master).IsAnswering;
        LogLevel level = tells ? LogLevel.Information : LogLevel.Debug;
        if (after.LinkUp)
        {
            Log.LinkBack(logger, level, node, after.MasterAddress);
        }
        else
        {
            Log.LinkLost(logger, level, node, after.MasterAddress);
        }
    }

    private void TellMonitors(ImmutableDictionary<string, MonitorReport> before, ImmutableDictionary<string, MonitorReport> after, int live)
    {
        if (ReferenceEquals(before, after))
        {
            return;
        }

        foreach (string came in after.Keys.Except(before.Keys))
        {
            Log.MonitorCame(logger, came, Words.Count(live, "monitor is", "monitors are"));
        }

        foreach (string went in before.Keys.Except(after.Keys))
        {
            Log.MonitorWent(logger, went, Words.Count(live, "monitor is", "monitors are"));
        }
    }

    /// <summary>
    /// A wish that can be read and has only just come. Who does not lead is not told when a request is answered: what it heard of before is
    /// not asked once more because the wish that came before it is gone.
    /// </summary>
    private static bool IsNew(ClusterView before, ClusterView after)
        => after.Request is not { } request
            || (request.Fault is null && (after.Term is not null || before.Requests.All(r => r.Id != request.Id)));

    private static bool SayTheSame(Topology? before, Topology after)
        => before is not null && before.Epoch == after.Epoch && before.State == after.State && before.Master == after.Master
            && before.Replicas.SequenceEqual(after.Replicas) && before.Unavailable.SequenceEqual(after.Unavailable)
            && Words.SameButForNumbers(before.Reason, after.Reason);

    private static string Role(NodeInfo info)
        => info.Role == NodeRole.Master ? "master" : $"replica of {info.MasterAddress}{(info.LinkUp ? "" : ", link down")}";
}
