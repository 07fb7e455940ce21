using System.Collections.Immutable;

namespace RedisFailover;

/// <summary>
/// What operators ask to be changed in <c>R/config</c>: each request is carried out in one transaction with its answer, or refused with
/// the reason. It also ends a pause whose time is up, and writes what is known again where the znode was lost.
/// </summary>
internal static class ConfigRequests
{
    /// <summary>
    /// What to do about <c>R/config</c> now; null for nothing, and while what failed has to wait: no failover waits for it.
    /// </summary>
    internal static PlanBuilder? Decide(Assessment a)
        => (Restored(a.View) ?? Ended(a) ?? Asked(a)) is { } plan
            && plan.Actions.All(x => !a.View.Running.Contains(x) && a.RetryOf(x) is null) ? plan : null;

    private static PlanBuilder? Restored(ClusterView view)
        => view is { Config: { } known, ConfigFault: { } fault }
            ? PlanBuilder.Because($"the cluster's configuration is written again as the leading monitor knows it: {fault}")
                .Do(new PublishConfig(known, view.ConfigVersion))
            : null;

    private static PlanBuilder? Ended(Assessment a)
    {
        if (a.View.Config is not { Pause: { } pause } config || a.View.IsPaused(a.Now))
        {
            return null;
        }

        string reason = $"failover is on again: the time of the pause is up (it was asked for by {pause.By})";
        return Publish(a.View, config with { Pause = null, Reason = reason }, HistoryKind.Resumed, null);
    }

    private static PlanBuilder? Asked(Assessment a)
    {
        Topology topology = a.Topology;
        // A change of master that is under way is finished first: to stop in the middle of it would leave writes waiting.
        OperatorRequest? request = a.View.Changes.FirstOrDefault(r => !topology.IsChangingMaster
            || !((r.Change is PauseFailover && topology.Waiting is null) || topology.State == TopologyState.SwitchingOver));
        if (request is null)
        {
            return null;
        }

        Outcome outcome = request.Change is not { } change ? Outcome.Refused(request.Fault ?? "it cannot be read")
            : a.View is { ConfigFault: { } fault, Config: null }
                ? Outcome.Refused($"the znode config is not readable ({fault}): correct or delete it first")
            : change is PauseFailover && topology.IsChangingMaster
                ? Outcome.Refused($"there is no master, and a failover waits: {topology.Reason}; it would stay so until the pause is over")
            : Changed(change, request.By, a);
        RequestStep step = new(
            request,
            new RequestAnswer(outcome.Next is null && !outcome.IsNothing
                ? RequestOutcome.Refused : RequestOutcome.Done, outcome.Words, topology.Master, topology.Epoch));
        return outcome.Next is { } next
            ? Publish(a.View, next with { Reason = outcome.Words }, outcome.Kind, step)
            : PlanBuilder.Because(outcome.Words).Do(new AnswerRequest(step));
    }

    private static PlanBuilder Publish(ClusterView view, ClusterConfig next, HistoryKind kind, RequestStep? step)
        => PlanBuilder.Because(next.Reason).Do(new PublishConfig(next, view.ConfigVersion)
        {
            Record = new HistoryEntry { Kind = kind, Epoch = view.Topology?.Epoch ?? 0, Reason = next.Reason },
            Request = step,
        });

    private static Outcome Changed(ConfigChange change, string by, Assessment a)
    {
        ClusterConfig config = a.View.Config ?? ClusterConfig.Empty;
        return change switch
        {
            PauseFailover pause => new Outcome(
                config with { Pause = new FailoverPause { By = by, Note = pause.Note, For = pause.For } },
                HistoryKind.Paused,
                $"failover is paused {(pause.For is { } time ? $"for {Words.Lasting(time)}" : "until it is resumed")}, as {by} "
                    + $"asked{(pause.Note.Length > 0 ? $": {Words.Quoted(pause.Note)}" : "")}"),
            ResumeFailover => config.Pause is null ? Outcome.Nothing("failover is not paused")
                : new Outcome(config with { Pause = null }, HistoryKind.Resumed, $"failover is on again, as {by} asked"),
            ChangeNodes nodes => NodeChanges.Apply(nodes, by, config, a),
            AdoptNode adoption => NodeAdoption.Apply(adoption, by, config, a),
            ChangeSettings settings => Changed(settings, by, config, a.View.ConfigVersion),
            _ => throw new ArgumentOutOfRangeException(nameof(change), change, "A change that is not carried out."),
        };
    }

    private static Outcome Changed(ChangeSettings change, string by, ClusterConfig config, int version)
    {
        if (change.ExpectedVersion is { } seen && seen != version)
        {
            return Outcome.Refused(
                $"the cluster's configuration is of version {version}, not {seen}: somebody else has changed it meanwhile; look again");
        }

        // One that was never changed cannot be given back: more likely it is misspelt.
        if (change.Values.FirstOrDefault(v => v.Value is null && !config.Settings.ContainsKey(v.Key)) is { Key: { } unchanged })
        {
            return Outcome.Refused($"{Words.Quoted(unchanged)} is not among the settings that were changed for all monitors "
                + $"({(config.Settings.IsEmpty ? "none" : string.Join(", ", config.Settings.Keys))}): there is nothing to give back");
        }

        ImmutableSortedDictionary<string, string> settings = config.Settings
            .RemoveRange(change.Values.Where(v => v.Value is null).Select(v => v.Key))
            .SetItems(change.Values.Where(v => v.Value is not null).Select(v => KeyValuePair.Create(v.Key, v.Value!)));
        return settings.SequenceEqual(config.Settings) ? Outcome.Nothing("all of it is set so already")
            : new Outcome(config with { Settings = settings }, HistoryKind.Config, $"changed for all monitors, as {by} asked: {change}");
    }

    /// <summary>What becomes of a change.</summary>
    /// <param name="Next">The configuration with it; null: nothing is written.</param>
    /// <param name="Kind">What the history calls it.</param>
    /// <param name="Words">What is answered.</param>
    internal sealed record Outcome(ClusterConfig? Next, HistoryKind Kind, string Words)
    {
        /// <summary>Whether it is so already.</summary>
        internal bool IsNothing { get; private init; }

        internal static Outcome Refused(string why) => new(null, HistoryKind.Refused, why);

        internal static Outcome Nothing(string why) => new(null, HistoryKind.Refused, $"{why}: nothing to do") { IsNothing = true };
    }
}
