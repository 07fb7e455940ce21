using RedisFailover.Shared;

namespace RedisFailover.Monitor.Redis;

/// <summary>When a node is tried again after a connection to it has ended, or could not be made.</summary>
/// <param name="policy">How many failures count, and after what time.</param>
/// <param name="isLeading">Whether this monitor leads; null where nobody knows.</param>
internal sealed class ProbeRetry(FailoverPolicy policy, Func<bool>? isLeading)
{
    /// <summary>
    /// How long a monitor that does not lead waits before it looks again at a node that closed its connection. The leader judges a node
    /// that is gone without the others' votes, and they would take the processor time that it needs, where they share a machine.
    /// </summary>
    private static readonly TimeSpan LeaderFirst = TimeSpan.FromMilliseconds(25);

    /// <summary>
    /// How long a node that closes new connections counts as one that lives and refuses them, after it has said so: not every refusal can
    /// be read before the connection is gone.
    /// </summary>
    private static readonly TimeSpan Refuses = TimeSpan.FromSeconds(10);

    /// <summary>What is amiss on this machine does not mend itself in milliseconds.</summary>
    private static readonly TimeSpan OurFault = TimeSpan.FromMilliseconds(100);

    /// <summary>Somebody has to mend the credentials, or what is there instead of Redis.</summary>
    private static readonly TimeSpan Unwanted = TimeSpan.FromSeconds(1);

    private static readonly Backoff Retry = new(TimeSpan.FromMilliseconds(1), TimeSpan.FromMilliseconds(250));

    private int _refusals;
    private (TimeSpan Until, string Detail) _refusal = (TimeSpan.MinValue, "");

    /// <summary>What the end counts as, after those before it.</summary>
    /// <param name="end">How it ended.</param>
    /// <param name="begun">When the attempt began.</param>
    /// <param name="now">When it was over.</param>
    internal (ProbeFailure Failure, string Detail) Ended((ProbeFailure Failure, string Detail) end, TimeSpan begun, TimeSpan now)
    {
        bool wasShort = now - begun < policy.ProbeTimeout;
        if (end.Failure == ProbeFailure.AuthRefused)
        {
            _refusal = (now + Refuses, end.Detail);
        }
        else if (end.Failure == ProbeFailure.Closed && begun < _refusal.Until && wasShort)
        {
            // It serves those who are connected: wrong credentials are no more of a reason to replace it.
            end = (ProbeFailure.AuthRefused, _refusal.Detail);
        }

        // A node that accepts connections only to close them (maxclients, a proxy without a server) is no better than one that refuses
        // them.
        bool refused = end.Failure is ProbeFailure.Refused or ProbeFailure.Unreachable || (end.Failure == ProbeFailure.Closed && wasShort);
        _refusals = refused ? _refusals + 1 : 0;
        return end;
    }

    /// <summary>
    /// How long to wait after such an end; null: no longer than it takes others to run. A closed connection is tried again at once: only
    /// the next attempt tells whether the node is gone. A refusal costs nothing and is repeated until it is judged, without a timer (which
    /// takes 4 ms where a millisecond was meant), then ever more slowly.
    /// </summary>
    internal TimeSpan? After(ProbeFailure failure)
    {
        bool isJudged = _refusals >= policy.MaxFailures;
        if (failure == ProbeFailure.Closed && !isJudged && policy.NodeStrategy != NodeStrategy.Consensus && isLeading?.Invoke() == false)
        {
            return LeaderFirst;
        }

        return failure switch
        {
            ProbeFailure.Closed or ProbeFailure.Refused when !isJudged => null,
            ProbeFailure.AuthRefused or ProbeFailure.NotRedis => Unwanted,
            ProbeFailure.Local => OurFault,
            _ => Retry.After(_refusals - policy.MaxFailures),
        };
    }
}
