using System.Collections.Immutable;

namespace RedisFailover;

/// <summary>What changes when actions are started, whatever becomes of them.</summary>
internal static class ActionStarts
{
    internal static ClusterView Started(this ClusterView before, ImmutableArray<FailoverAction> actions, TimeSpan now)
    {
        ClusterView view = before with { Running = before.Running.Union(actions) };
        foreach (FailoverAction action in actions)
        {
            view = action switch
            {
                PublishTopology p => view with { VersionHeard = null, WishHeard = view.WishHeard && !p.ClearsWish },
                RefuseWish { Request: null } => view with { WishHeard = false },
                _ => view,
            };
        }

        if (view.Progress is { } current && actions.Any(a => a is ResumeWrites))
        {
            view = view with { Progress = current with { PausedAt = null, HoldsWrites = false } };
        }

        if (view.Progress is { } holding && actions.Any(a => a is PauseWrites))
        {
            // Whatever becomes of the answer.
            view = view with { Progress = holding with { HoldsWrites = true } };
        }

        if (view.Progress is { } choosing && actions.Any(a => a is Promote))
        {
            view = view with { Progress = choosing with { ChosenAt = now } };
        }

        return actions.OfType<PublishTopology>().FirstOrDefault(p => p.Next.IsChangingMaster) is { } intent
            ? view.Begun(intent.Next, now) : view;
    }

    /// <summary>A change of master begins, or another is made of the one that is under way.</summary>
    private static ClusterView Begun(this ClusterView view, Topology intent, TimeSpan now)
    {
        NodeView? from = intent.Intent?.From is { } address ? view.Node(address) : null;
        (TimeSpan lostAt, TimeSpan countedFrom) = (from?.FailingSince ?? now, from?.GoneSince ?? now);
        if (view.Progress is { } running)
        {
            // A switchover whose master is lost becomes a failover: what was asked before says nothing about who has most now.
            return view.Topology is { State: TopologyState.SwitchingOver, Master: not null } && intent.State == TopologyState.FailingOver
                ? view with { Progress =
                    running with { StartedAt = now, LostAt = lostAt, CountedFrom = countedFrom, IntentAt = null, PausedAt = null,
                        ChosenAt = null, Before = TimeSpan.Zero, BegunBy = null } }
                : view;
        }

        // What failed in an earlier change says nothing about this one.
        return view with
        {
            Progress = new MasterChangeProgress(now, lostAt, Inherited: false) { CountedFrom = countedFrom },
            Failed = view.Failed.RemoveRange(view.Failed.Keys.Where(a => a is PauseWrites or Promote)),
        };
    }
}
