namespace RedisFailover;

/// <summary>What an action changes that is finished: done, or failed.</summary>
internal static class ActionOutcomes
{
    internal static ClusterView Finished(this ClusterView view, ActionFinished finished, FailoverPolicy policy)
    {
        // Leadership that was given up ends with LeadershipLost, which may come later; till then nothing more is to be done.
        bool resigned = finished is { Action: Resign, Failure: null };
        ClusterView next = resigned ? view : view with { Running = view.Running.Remove(finished.Action) };
        // What it says while it loads is not what it holds.
        if (finished.Info is { Loading: false } info && finished.Action.On is { } node)
        {
            next = next.With(next.Node(node).Answered(finished.At, next.Node(node).Latency)
                .Informed(info, finished.Asked, policy.MaxReplicaStaleness));
        }

        return finished.Failure is { } failure ? next.Undone(finished, failure, policy)
            : (next with { Failed = next.Failed.Remove(finished.Action) }).Done(finished).Corrected(view, finished);
    }

    /// <summary>What was detached by this cluster's own leader, or was restarted, is no other's doing.</summary>
    private static ClusterView Corrected(this ClusterView view, ClusterView before, ActionFinished finished)
        => finished.Action is Follow or Demote && finished.Action.On is { } node
            && before.Topology is { State: TopologyState.Ok, Master: { } master }
            && before.Node(node) is { Info: { IsDetached: false } info, Corrected: var known }
            ? view.With(view.Node(node) with { Corrected = Corrections.Counted(known, info.RunId, master, finished.At) })
            : view;

    /// <summary>Whether a publication that failed was applied is not known: the znode tells.</summary>
    private static ClusterView Undone(this ClusterView view, ActionFinished finished, string failure, FailoverPolicy policy)
        => finished.Action switch
        {
            PublishTopology lost => view with
            {
                TopologyKnown = false,
                Unacknowledged = (lost.Next, failure, lost.Afterwards),
                Unpublished = (finished.At, failure, (view.Unpublished?.Times ?? 0) + 1),
            },
            PublishConfig => view.WithFailed(finished, policy.RetryDelay, failure) with { TopologyKnown = false },
            Inspect => view.WithFailed(finished, policy.InspectRetryDelay, failure),
            ResumeWrites resume => view.StillHeld(resume, finished, failure, policy),
            _ => view.WithFailed(finished, policy.RetryDelay, failure),
        };

    private static ClusterView WithFailed(this ClusterView view, ActionFinished finished, TimeSpan retryAfter, string failure)
        => view with { Failed = view.Failed.SetItem(finished.Action, new(finished.At + retryAfter, failure, finished.Refused)) };

    /// <summary>Writes stay held until the pause ends by itself, unless the node is told in time.</summary>
    private static ClusterView StillHeld(
        this ClusterView view, ResumeWrites resume, ActionFinished finished, string failure, FailoverPolicy policy)
    {
        TimeSpan until = view.ResumptionEndsAt ?? finished.At + policy.PauseLimit;
        return finished.At >= until || view.Topology?.Master != resume.Node ? view with { Resumption = null, ResumptionEndsAt = null }
            : view.WithFailed(finished, policy.RetryDelay, failure) with { Resumption = resume, ResumptionEndsAt = until };
    }

    private static ClusterView Done(this ClusterView view, ActionFinished finished) => finished.Action switch
    {
        ResumeWrites => view with { Resumption = null, ResumptionEndsAt = null },
        PublishTopology publication => view.Published(publication, finished),
        PauseWrites => view with { Progress = view.Progress is { } p ? p with { PausedAt = finished.At, HoldsWrites = true } : null },
        Promote promote => view with
        {
            Progress = view.Progress is { } p
                ? p with { Promoted = promote.Node, PromotedAt = finished.At, PromotedDespite = promote.Despite } : null,
        },
        Demote demotion => view with { HandedOver = view.HandedOver == demotion.Node ? null : view.HandedOver },
        PublishConfig config => view.Published(config, finished),
        AnswerRequest answer => view with { Changes = view.Changes.RemoveAll(r => r.Id == answer.Step.Request.Id) },
        RefuseWish { Request: { } step } => view.Without(step.Request, finished.At),
        RefuseWish => view.WithoutWish(finished.At),
        _ => view,
    };

    private static ClusterView Published(this ClusterView view, PublishConfig publication, ActionFinished finished)
    {
        ClusterView next = publication.Request is { } step
            ? view with { Changes = view.Changes.RemoveAll(r => r.Id == step.Request.Id) } : view;
        return view.Term is null || finished.WrittenConfig is not { } written || finished.Version < view.ConfigVersion ? next : next with
        {
            Config = written,
            ConfigVersion = finished.Version,
            ConfigFault = null,
            PauseEndsAt = publication.Next.Pause is not { } pause ? null
                // Written again as it was: its end stands.
                : pause == view.Config?.Pause ? view.PauseEndsAt : finished.At + pause.For,
        };
    }

    private static ClusterView Published(this ClusterView view, PublishTopology publication, ActionFinished finished)
    {
        if (view.Term is null || finished.Version < view.Version)
        {
            return view;
        }

        ClusterView heard = publication.ClearsWish ? view.WithoutWish(finished.At) : view;
        heard = publication.Request is { Answer: not null } answered ? heard.Without(answered.Request, finished.At) : heard;
        bool goesOn = publication.Next.IsChangingMaster;
        return heard with
        {
            Topology = finished.Written ?? publication.Next,
            FailedOverAt = view.IsFailover(publication.Next, publication.Record?.Kind) ? finished.At : view.FailedOverAt,
            GaveUpAt = view.Topology is { State: TopologyState.SwitchingOver, Intent.From: { } was } && publication.Next.Master == was
                ? finished.At : view.GaveUpAt,
            // What the watch told meanwhile is the publication, what was there before, or somebody else's write upon it.
            TopologyKnown = view.VersionHeard is not { } version || version == finished.Version || version == publication.ExpectedVersion,
            TopologyFault = null,
            StoreWentBack = false,
            TopologyIsOurs = true,
            Unacknowledged = null,
            Unpublished = null,
            Resumption = publication.Afterwards ?? (goesOn ? null : view.Resumption),
            ResumptionEndsAt = publication.Afterwards is null && !goesOn ? view.ResumptionEndsAt : null,
            Version = finished.Version,
            LastEpoch = Math.Max(view.LastEpoch, publication.Next.Epoch),
            HandedOver = view.HandedOverBy(publication.Next),
            Progress = goesOn && view.Progress is { } progress ? progress with { IntentAt = progress.IntentAt ?? finished.At } : null,
        };
    }

    private static NodeAddress? HandedOverBy(this ClusterView view, Topology written)
        => view.Topology is { State: TopologyState.SwitchingOver, Intent.From: { } from } && written.Master is { } next && next != from
            && !view.Node(from).IsReplica ? from : view.HandedOver;
}
