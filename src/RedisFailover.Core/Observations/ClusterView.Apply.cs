using System.Collections.Immutable;

namespace RedisFailover;

/// <content>What each observation changes.</content>
internal sealed partial record ClusterView
{
    /// <summary>The view after an observation.</summary>
    public ClusterView Apply(Observation observation, FailoverPolicy policy)
    {
        ArgumentNullException.ThrowIfNull(observation);
        ArgumentNullException.ThrowIfNull(policy);
        ClusterView view = Applied(observation, policy);
        if (policy.NodesAreShared && view.Nodes.Count > Nodes.Count)
        {
            // The last words of a node that was removed.
            view = view.WithNodesOf(policy);
        }

        return WithReach(view.WithWaits(observation.At, policy).WithSight(observation.At, policy), observation, policy);
    }

    /// <summary>Who is waited for no longer, as his time is up.</summary>
    private ClusterView WithWaits(TimeSpan at, FailoverPolicy policy)
    {
        if (Term is null)
        {
            return this;
        }

        ClusterView view = Awaited.IsEmpty || at < LeadingSince + policy.ViewLifetime ? this : this with { Awaited = Awaited.Clear() };
        return WaitsForRegistered && at >= LeadingSince + policy.RegistrationWait ? view with { WaitsForRegistered = false } : view;
    }

    /// <summary>Whether this monitor reaches nobody, and since when.</summary>
    private ClusterView WithSight(TimeSpan at, FailoverPolicy policy)
    {
        ClusterView view = this;
        if (BlindSince is { } since && !IsBlind)
        {
            // What was counted in the dark says nothing of a node: which is found first is chance. One that was gone before stays so.
            view = view with
            {
                Nodes = Nodes.SetItems(Nodes.Values.Where(n => n.IsOutOfSight && n.FailingSince >= since - policy.ProbeTimeout)
                    .Select(n => KeyValuePair.Create(n.Address, n.CountedAnew(at)))),
            };
        }

        view = view.IsBlind != BlindSince is not null ? view with { BlindSince = view.IsBlind ? at : null } : view;
        return view.IsBlind ? view with { BlindAt = at }
            : view.BlindAt is not null && view.SeesTheSameMaster ? view with { BlindAt = null } : view;
    }

    /// <summary>Whether another monitor sees more than the leader, and since when.</summary>
    private ClusterView WithReach(ClusterView view, Observation observation, FailoverPolicy policy)
    {
        if (view.Term is null)
        {
            return view.OutseenSince is null ? view : view with { OutseenSince = null };
        }

        bool same = view.Term == Term && ReferenceEquals(view.OtherMonitors, OtherMonitors)
            && (ReferenceEquals(view.Nodes, Nodes) || observation is not (NodeAnswered or NodeBeat or NodeFailed or ActionFinished)
                || SameReach(observation, view));
        return same ? view
            : Reachability.Better(view, policy) is null ? view with { OutseenSince = null }
            : view with { OutseenSince = view.OutseenSince ?? observation.At };
    }

    /// <summary>Whether it brings no news: a node that answers has answered again. What time alone changes has alarms of its own.</summary>
    public bool HasHeard(Observation observation) => observation is NodeBeat beat && Node(beat.Node).IsAnswering;

    /// <summary>
    /// Whether nothing is under way or open after a decision, so that figures alone change nothing. With write safety they do: who has
    /// everything is told by offsets.
    /// </summary>
    public bool IsAtRestAfter(Decision decision, FailoverPolicy policy)
        => decision is { Actions.IsEmpty: true, Problems.IsEmpty: true, Warning: null }
            && this is { Running.IsEmpty: true, Topology.State: TopologyState.Ok } && policy.WriteSafety == WriteSafetyMode.None;

    /// <summary>Whether a node that answers has said again what it said before, figures aside.</summary>
    public bool HasHeardAlmost(Observation observation)
        => observation is NodeAnswered answered && Node(answered.Node) is { IsAnswering: true, Info: { } known }
            && known.DiffersInFiguresAlone(answered.Info);

    private bool SameReach(Observation observation, ClusterView after)
    {
        NodeAddress? node = observation switch
        {
            NodeAnswered o => o.Node,
            NodeBeat o => o.Node,
            NodeFailed o => o.Node,
            ActionFinished o => o.Action.On,
            _ => null,
        };
        return node is null
            || (Node(node).Condition == after.Node(node).Condition && Node(node).ProbeFailure == after.Node(node).ProbeFailure);
    }

    private ClusterView Applied(Observation observation, FailoverPolicy policy) => observation switch
    {
        NodeAnswered o => (HandedOver == o.Node && Node(o.Node).Info?.RunId != o.Info.RunId ? this with { HandedOver = null } : this)
            .With(Node(o.Node).Answered(o.At, o.Latency).Informed(o.Info, o.Asked)).WithOneNameFor(o.Info.RunId, policy),
        // Whether it was restarted meanwhile, and with what, only INFO tells: till then it is not back.
        NodeBeat o
            => Node(o.Node) is { Info: null } or { ProbeFailure: not (null or ProbeFailure.Silent) }
                ? this : With(Node(o.Node).Answered(o.At, o.Latency)),
        NodeFailed o => With(Node(o.Node).Failed(o, policy)),
        MonitorCame o => OtherMonitors.ContainsKey(o.MonitorId) ? this
            : this with { OtherMonitors = OtherMonitors.Add(o.MonitorId, MonitorReport.None), Awaited = Awaited.Remove(o.MonitorId) },
        MonitorReported o
            => this with { OtherMonitors = OtherMonitors.SetItem(o.MonitorId, o.Report), Awaited = Awaited.Remove(o.MonitorId),
                VotesHeardAt = o.At },
        MonitorLeft o
            => this with { OtherMonitors = OtherMonitors.Remove(o.MonitorId),
                Awaited = AwaitedAt(o.At, policy).SetItem(o.MonitorId, o.At) },
        MembersSeen o => this with { Registered = o.Others },
        LeadershipGained o => Elected(o, policy),
        LeadershipLost => Deposed(),
        ZooKeeperLost o => this with { ZooKeeperLostAt = ZooKeeperLostAt ?? o.At },
        ZooKeeperBack => this with { ZooKeeperLostAt = null },
        TopologyRead o => Read(o),
        OperatorWished o => AskedFor(this with { ManualFailover = o.Wish, WishHeard = true }, o.At),
        RequestsSeen o => AskedFor(
            this with { Requests = [.. o.Pending.Where(r => r.IsSwitchover)], Changes = [.. o.Pending.Where(r => !r.IsSwitchover)] }, o.At),
        ConfigRead o => Read(o),
        ActionFinished o => Finished(o, policy),
        Tick => this,
        _ => throw new ArgumentOutOfRangeException(nameof(observation), observation, "An observation that is not applied."),
    };

    /// <summary>A leader trusts nothing that it heard before its election: it reads the topology first.</summary>
    private ClusterView Elected(LeadershipGained gained, FailoverPolicy policy) => Forgotten() with
    {
        Term = gained.Term,
        LeadingSince = gained.At,
        Awaited = AwaitedAt(gained.At, policy),
        WaitsForRegistered = true,
        OutseenSince = null,
        GaveUpAt = null,
        Unpublished = null,
        // What the replicas said was asked for other purposes: a request is heard once they have answered the new leader.
        WishedAt = gained.At,
    };

    /// <summary>Nor does one that leads no longer follow what the others see.</summary>
    private ClusterView Deposed() => Forgotten() with
    {
        Term = null,
        WaitsForRegistered = false,
        Running = Running.Remove(new Resign("")),
        OtherMonitors = OtherMonitors.ToImmutableDictionary(m => m.Key, _ => MonitorReport.None),
    };

    /// <summary>The topology, and what was under way by it, are one term's: the next one reads them anew.</summary>
    private ClusterView Forgotten() => this with
    {
        TopologyKnown = false,
        TopologyIsOurs = false,
        Progress = null,
        HandedOver = null,
        Resumption = null,
        ResumptionEndsAt = null,
        Failed = Failed.Clear(),
    };

    /// <summary>Who went away longer ago than a session time-out was not here under the leader before.</summary>
    private ImmutableDictionary<string, TimeSpan> AwaitedAt(TimeSpan at, FailoverPolicy policy)
        => Awaited.RemoveRange(Awaited.Where(m => m.Value <= at - policy.ViewLifetime).Select(m => m.Key));

    private ClusterView AskedFor(ClusterView next, TimeSpan at)
        => next with { WishedAt = next.Wish == Wish && next.Request?.Id == Request?.Id ? WishedAt : at };

    private ClusterView Without(OperatorRequest? request, TimeSpan at)
        => request is null ? this : AskedFor(this with { Requests = Requests.RemoveAll(r => r.Id == request.Id) }, at);

    /// <summary>
    /// One server that answers under two names (an address and a host name, say) would be told to follow itself. It keeps the name that the
    /// topology knows the master by, or the first in the configuration; under the others it is not watched.
    /// </summary>
    private ClusterView WithOneNameFor(string runId, FailoverPolicy policy)
    {
        ImmutableArray<NodeAddress> names = runId.Length == 0 ? []
            : [.. Nodes.Values.Where(n => n is { IsOnline: true, FailingSince: null } && n.Info!.RunId == runId).Select(n => n.Address)];
        if (names.Length < 2)
        {
            return this;
        }

        NodeAddress one = Topology?.Master is { } master && names.Contains(master)
            ? master : policy.Nodes.FirstOrDefault(names.Contains) ?? names[0];
        return this with
        {
            Nodes = Nodes.SetItems(names.Where(n => n != one).Select(n => KeyValuePair.Create(
                n, new NodeView(n) { ProbeFailure = ProbeFailure.NotRedis, SameServerAs = one,
                    Detail = $"it is the same server as {one}, by its run id" }))),
        };
    }

    private ClusterView With(NodeView node) => this with { Nodes = Nodes.SetItem(node.Address, node) };

    private ClusterView Read(TopologyRead found)
    {
        // A monitor of an older release leaves it out.
        TopologyRead read = found.Topology is { Incarnation: null } bare && Topology is { Incarnation: not null } kept
            && bare.Epoch >= LastEpoch
            ? found with { Topology = bare with { Incarnation = kept.Incarnation, FormerIncarnations = kept.FormerIncarnations } }
            : found;
        if (Term is not null && !read.Synced)
        {
            return this with { TopologyKnown = TopologyKnown && read.Version == Version, VersionHeard = read.Version };
        }

        return Topology is { } ours && read.Topology is { } foreign && IsForeign(read.Version, foreign) ? KeptOver(read, ours, foreign)
            : Topology is { } known && read.Topology is { } back && back.Epoch < LastEpoch ? KeptOverOlder(read, known, back)
            : Taken(read);
    }

    /// <summary>
    /// What is known holds, and is written again: at an epoch that those follow who have followed the foreign one.
    /// </summary>
    private ClusterView KeptOver(TopologyRead read, Topology ours, Topology foreign) => this with
    {
        TopologyKnown = true,
        Version = read.Version,
        TopologyFault = $"what the znode holds was written by somebody who does not lead: epoch {foreign.Epoch}, "
                + $"{TopologyJson.Name(foreign.State)}, master {foreign.Master?.ToString() ?? "none"}; {WriterOf(foreign)}",
        LastEpoch = Math.Max(Math.Max(LastEpoch, read.LastEpoch), foreign.Epoch),
        Progress = ours.IsChangingMaster ? Progress : null,
        Unacknowledged = null,
    };

    /// <summary>
    /// Clients refuse it: what is known holds, and a leader writes it again. A watch may be late and tell of the past.
    /// </summary>
    private ClusterView KeptOverOlder(TopologyRead read, Topology known, Topology back) => this with
    {
        TopologyKnown = Term is not null,
        Version = read.Version,
        StoreWentBack = read.Synced && !TopologyIsOurs,
        TopologyFault = read.Synced
            ? $"the epoch in the znode went back from {LastEpoch} to {back.Epoch}, which no monitor writes; {WriterOf(back)}"
            : TopologyFault,
        LastEpoch = Math.Max(LastEpoch, read.LastEpoch),
        Progress = known.IsChangingMaster
            ? Progress ?? new MasterChangeProgress(read.At, read.At, Inherited: true) { Before = null, InheritedEpoch = known.Epoch }
            : null,
    };

    private ClusterView Taken(TopologyRead read)
    {
        ClusterView view = this with
        {
            TopologyKnown = Term is not null,
            Version = read.Version,
            Topology = read.Topology ?? Topology,
            FailedOverAt = read.Topology is { } next && IsFailover(next, next.LastChange?.Kind) ? read.At : FailedOverAt,
            TopologyFault = read.Fault ?? (read.Topology is null && Topology is not null ? "the znode is missing" : null),
            LastEpoch = Math.Max(Math.Max(LastEpoch, read.LastEpoch), read.Topology?.Epoch ?? 0),
            StoreWentBack = read.Version < 0 && Topology is not null && !TopologyIsOurs && read.Synced,
            TopologyIsOurs = Term is not null,
            Unacknowledged = null,
            // It was written after all: what failed was the reply.
            Unpublished = Unacknowledged is not null && read.Version > Version ? null : Unpublished,
            Resumption = read.Version > Version && Unacknowledged?.Afterwards is { } resume
                && read.Topology is { State: TopologyState.Ok } ok
                && ok.Master == resume.Node ? resume : Resumption,
        };
        return view.Topology is { IsChangingMaster: true }
            ? view with
            {
                Progress = view.Progress ?? new MasterChangeProgress(read.At, read.At, Inherited: true)
                {
                    InheritedEpoch = view.Topology.Epoch,
                    Before = read.ChangeAge,
                    BegunBy = view.Topology.ChangedBy is { Length: > 0 } by ? by : null,
                },
            }
            : view with { Progress = null };
    }

    /// <summary>
    /// What a watch tells a leader late, from before its own write, is no news. A znode that is lost is written again by the leader.
    /// </summary>
    private ClusterView Read(ConfigRead read)
        => Term is not null && !read.Synced && read.Config is not null && read.Version < ConfigVersion ? this
            : this with
            {
                ConfigVersion = read.Version,
                ConfigFault = read.Fault ?? (read.Config is null && Config is not null ? "the znode is missing" : null),
                Config = read.Config ?? Config,
                PauseEndsAt = read.Config is null ? PauseEndsAt : read.At + read.PauseLeft,
            };

    private static string WriterOf(Topology topology)
        => topology.ChangedBy.Length > 0 ? $"it names '{topology.ChangedBy}' as its writer" : "it names no writer";

    /// <summary>
    /// Whether somebody wrote it who does not lead: a leader that has read the znode once knows all that came after, and what it wrote
    /// without hearing of it. With a lower epoch it is said so, in other words.
    /// </summary>
    private bool IsForeign(int version, Topology read)
        => Term is not null && TopologyIsOurs && version != Version && read.Epoch >= LastEpoch
            && !(Unacknowledged is { Next: var ours }
            && (ours.Epoch, ours.State, ours.Master, ours.Reason) == (read.Epoch, read.State, read.Master, read.Reason));

    /// <summary>
    /// Whether this topology, which follows the one that is known, ends a failover: to another master, and not by a planned switchover.
    /// </summary>
    private bool IsFailover(Topology next, HistoryKind? change)
        => Topology is { Epoch: > 0 } known && next is { State: TopologyState.Ok, Master: { } master }
            && (known.State == TopologyState.FailingOver ? known.Intent?.From is { } from && from != master
                : (next.Epoch > known.Epoch || known.State == TopologyState.SwitchingOver) && change == HistoryKind.Failover
                    && master != (known.Intent?.From ?? known.Master));

    private ClusterView Finished(ActionFinished finished, FailoverPolicy policy)
    {
        // Leadership that was given up ends with LeadershipLost, which may come later; till then nothing more is to be done.
        bool resigned = finished is { Action: Resign, Failure: null };
        ClusterView view = resigned ? this : this with { Running = Running.Remove(finished.Action) };
        if (finished.Info is { } info && finished.Action.On is { } node)
        {
            view = view.With(view.Node(node).Answered(finished.At, view.Node(node).Latency).Informed(info, finished.Asked));
        }

        return finished.Failure is { } failure ? view.Undone(finished, failure, policy)
            : (view with { Failed = view.Failed.Remove(finished.Action) }).Done(finished);
    }

    /// <summary>Whether a publication that failed was applied is not known: the znode tells.</summary>
    private ClusterView Undone(ActionFinished finished, string failure, FailoverPolicy policy) => finished.Action switch
    {
        PublishTopology lost
            => this with { TopologyKnown = false, Unacknowledged = (lost.Next, failure, lost.Afterwards),
                Unpublished = (finished.At, failure, (Unpublished?.Times ?? 0) + 1) },
        PublishConfig
            => this with { TopologyKnown = false,
                Failed = Failed.SetItem(finished.Action, (finished.At + policy.RetryDelay, failure)) },
        Inspect => this with { Failed = Failed.SetItem(finished.Action, (finished.At + policy.InspectRetryDelay, failure)) },
        ResumeWrites resume => StillHeld(resume, finished.At, failure, policy),
        _ => this with { Failed = Failed.SetItem(finished.Action, (finished.At + policy.RetryDelay, failure)) },
    };

    /// <summary>Writes stay held until the pause ends by itself, unless the node is told in time.</summary>
    private ClusterView StillHeld(ResumeWrites resume, TimeSpan at, string failure, FailoverPolicy policy)
    {
        TimeSpan until = ResumptionEndsAt ?? at + policy.PauseLimit;
        return at >= until || Topology?.Master != resume.Node ? this with { Resumption = null, ResumptionEndsAt = null } : this with
        {
            Resumption = resume,
            ResumptionEndsAt = until,
            Failed = Failed.SetItem(resume, (at + policy.RetryDelay, failure)),
        };
    }

    private ClusterView Done(ActionFinished finished) => finished.Action switch
    {
        ResumeWrites => this with { Resumption = null, ResumptionEndsAt = null },
        PublishTopology publication => Published(publication, finished),
        PauseWrites => this with { Progress = Progress is { } p ? p with { PausedAt = finished.At, HoldsWrites = true } : null },
        Promote promote
            => this with { Progress = Progress is { } p
                ? p with { Promoted = promote.Node, PromotedAt = finished.At, PromotedDespite = promote.Despite } : null },
        Demote demotion => this with { HandedOver = HandedOver == demotion.Node ? null : HandedOver },
        PublishConfig config => Published(config, finished),
        AnswerRequest answer => this with { Changes = Changes.RemoveAll(r => r.Id == answer.Step.Request.Id) },
        RefuseWish { Request: { } step } => Without(step.Request, finished.At),
        RefuseWish => WithoutWish(finished.At),
        _ => this,
    };

    /// <summary>
    /// After the znode was removed. If the watch has told since of a wish, that may be the next one: then the watch has the last
    /// word.
    /// </summary>
    private ClusterView WithoutWish(TimeSpan at) => WishHeard ? this : AskedFor(this with { ManualFailover = null }, at);

    private ClusterView Published(PublishConfig publication, ActionFinished finished)
    {
        ClusterView view = publication.Request is { } step ? this with { Changes = Changes.RemoveAll(r => r.Id == step.Request.Id) } : this;
        return Term is null || finished.WrittenConfig is not { } written || finished.Version < ConfigVersion ? view : view with
        {
            Config = written,
            ConfigVersion = finished.Version,
            ConfigFault = null,
            PauseEndsAt = publication.Next.Pause is not { } pause ? null
                // Written again as it was: its end stands.
                : pause == Config?.Pause ? PauseEndsAt : finished.At + pause.For,
        };
    }

    private ClusterView Published(PublishTopology publication, ActionFinished finished)
    {
        if (Term is null || finished.Version < Version)
        {
            return this;
        }

        ClusterView view = publication.ClearsWish ? WithoutWish(finished.At) : this;
        return (publication.Request is { Answer: not null } answered ? view.Without(answered.Request, finished.At) : view) with
        {
            Topology = finished.Written ?? publication.Next,
            FailedOverAt = IsFailover(publication.Next, publication.Record?.Kind) ? finished.At : FailedOverAt,
            GaveUpAt = Topology is { State: TopologyState.SwitchingOver, Intent.From: { } was } && publication.Next.Master == was
                ? finished.At : GaveUpAt,
            // What the watch told meanwhile is the publication, what was there before, or somebody else's write upon it.
            TopologyKnown = VersionHeard is not { } heard || heard == finished.Version || heard == publication.ExpectedVersion,
            TopologyFault = null,
            StoreWentBack = false,
            TopologyIsOurs = true,
            Unacknowledged = null,
            Unpublished = null,
            Resumption = publication.Afterwards ?? (publication.Next.IsChangingMaster ? null : Resumption),
            ResumptionEndsAt = publication.Afterwards is null && !publication.Next.IsChangingMaster ? ResumptionEndsAt : null,
            Version = finished.Version,
            LastEpoch = Math.Max(LastEpoch, publication.Next.Epoch),
            HandedOver = Topology is { State: TopologyState.SwitchingOver, Intent.From: { } from } && publication.Next.Master is { } next
                && next != from
                && !Node(from).IsReplica
                ? from
                : HandedOver,
            Progress = publication.Next.IsChangingMaster && Progress is { } progress
                ? progress with { IntentAt = progress.IntentAt ?? finished.At } : null,
        };
    }
}
