namespace RedisFailover;

/// <content>What a failed probe changes.</content>
internal sealed partial record NodeView
{
    /// <summary>Its failures count from now: those before were this monitor's own.</summary>
    internal NodeView CountedAnew(TimeSpan at) => this with
    {
        Condition = Condition == NodeCondition.Unavailable ? NodeCondition.Unknown : Condition,
        Failures = 0,
        FailingSince = FailingSince is null ? null : at,
    };

    /// <summary>
    /// Whether it is out of sight for good: not for a probe that was late. What this monitor itself lacks is not counted in probes.
    /// </summary>
    internal bool StaysOutOfSight(FailoverPolicy policy)
        => IsOutOfSight && (ProbeFailure == RedisFailover.ProbeFailure.Local || Failures >= policy.MaxFailures);

    private static bool IsOfUs(ProbeFailure failure) => failure == RedisFailover.ProbeFailure.AuthRefused;

    internal NodeView Connected(NewConnectionTried tried) => this with
    {
        WritesPausedSince = tried.ProbeFailure == RedisFailover.ProbeFailure.WritesHeld ? WritesPausedSince ?? tried.Since : null,
        RefusesConnections = tried.ProbeFailure is not { } failure || failure == RedisFailover.ProbeFailure.WritesHeld ? null
            : (RefusesConnections is { } before && IsOfUs(before.Failure) == IsOfUs(failure) ? before.Since : tried.Since, failure,
                tried.Detail),
    };

    /// <summary>A probe failed. What it proves depends on how: see <see cref="RedisFailover.ProbeFailure"/>.</summary>
    internal NodeView Failed(NodeFailed failure, FailoverPolicy policy)
    {
        if (LeadsAstray)
        {
            // It is the other node that failed, as far as anybody knows.
            return this;
        }

        NodeView said = this with { ProbeFailure = failure.ProbeFailure, Detail = failure.Detail };
        return failure.ProbeFailure switch
        {
            RedisFailover.ProbeFailure.AuthRefused => said.RefusedUs(),
            RedisFailover.ProbeFailure.Busy => said.FoundBusy(failure.At),
            RedisFailover.ProbeFailure.Loading => said.FoundLoading(failure.At, policy),
            RedisFailover.ProbeFailure.NotRedis or RedisFailover.ProbeFailure.Local => said,
            _ => said.Unanswered(failure, policy),
        };
    }

    /// <summary>It lives, whatever failed before: only what it would say of itself is not known.</summary>
    private NodeView RefusedUs() => this with
    {
        Condition = Condition == NodeCondition.Unavailable ? NodeCondition.Unknown : Condition,
        Failures = 0,
        FailingSince = null,
        GoneSince = null,
        LoadingSince = null,
        BusySince = null,
    };

    /// <summary>It lives and keeps what it has; when it serves again nobody knows: time decides, not the number of probes.</summary>
    private NodeView FoundBusy(TimeSpan at) => this with
    {
        Failures = 0,
        FailingSince = null,
        GoneSince = null,
        LastFailedAt = at,
        LoadingSince = null,
        BusySince = BusySince ?? at,
    };

    /// <summary>It lives, and will serve when it is done: time decides, not the number of probes.</summary>
    private NodeView FoundLoading(TimeSpan at, FailoverPolicy policy)
    {
        TimeSpan since = LoadingSince ?? at;
        bool stuck = at - since >= policy.LoadingTimeout;
        return this with
        {
            Failures = 0,
            FailingSince = FailingSince ?? at,
            GoneSince = GoneSince ?? at,
            LastFailedAt = at,
            LoadingSince = since,
            // Once it has answered it loads nothing but a copy, unless it is restarted.
            CopySeenAt = CopySeenAt ?? at,
            Condition = stuck ? NodeCondition.Unavailable : Condition,
            OnlineSince = stuck ? null : OnlineSince,
        };
    }

    private NodeView Unanswered(NodeFailed failure, FailoverPolicy policy)
    {
        bool isSilent = failure.ProbeFailure == RedisFailover.ProbeFailure.Silent;
        int failures = Failures + 1;
        bool isGone = failures >= policy.MaxFailures;
        return this with
        {
            Failures = failures,
            FailingSince = FailingSince ?? failure.At,
            GoneSince = GoneSince ?? (isSilent ? AnsweredAt : null) ?? failure.At,
            LastFailedAt = failure.At,
            // Silence may be a part of the loading, or of being busy.
            LoadingSince = isSilent ? LoadingSince : null,
            BusySince = isSilent ? BusySince : null,
            Condition = isGone ? NodeCondition.Unavailable : Condition,
            OnlineSince = isGone ? null : OnlineSince,
        };
    }
}
