using RedisFailover.ZooKeeper;

namespace RedisFailover.Monitor.Hosting;

/// <summary>What ZooKeeper refuses this monitor, or would refuse, as problems of its own; from any thread.</summary>
internal sealed class ZooKeeperRefusals(ProblemKeeper problems, string id, MonotonicClock clock)
{
    /// <summary>Attempts to be elected that fail are made again after a second: without one for so long they fail no more.</summary>
    private static readonly TimeSpan BetweenAttempts = TimeSpan.FromSeconds(5);

    private readonly Lock _gate = new();
    private string? _seat;
    private (ZooKeeperException Failure, TimeSpan At)? _election;
    private string? _successor;
    private string? _beside;
    private ZooKeeperException? _history;

    /// <summary>The rights on this monitor's own place are refused, with what ZooKeeper says; null: they are not.</summary>
    internal void Seat(string? refused) => Change(() => _seat = refused);

    /// <summary>An attempt to be elected has failed.</summary>
    internal void Election(ZooKeeperException failure) => Change(() => _election = (failure, clock.Now));

    /// <summary>While it leads: what the next leader's election would be refused, and what this one keeps beside the topology.</summary>
    internal void Leading(string? successor, string? beside) => Change(() =>
    {
        (_successor, _beside) = (successor, beside);
        // The right was given since.
        _history = beside is null && _history is { Code: ZooKeeperErrorCode.NoAuth } ? null : _history;
    });

    /// <summary>An entry of the history could not be written, and why; null: the last one was.</summary>
    internal void History(ZooKeeperException? failure) => Change(() => _history = failure);

    /// <summary>It does not lead any more.</summary>
    internal void NotLeading() => Change(() => (_successor, _beside, _history) = (null, null, null));

    /// <summary>Looks whether what was refused is over.</summary>
    internal void Look() => Change(() => { });

    private void Change(Action change)
    {
        lock (_gate)
        {
            change();
            _election = clock.Now - _election?.At > BetweenAttempts ? null : _election;
            problems.Set(ProblemCatalogue.ZooKeeperRightsMissing, RightsMissing());
            problems.Set(ProblemCatalogue.NoLeader, NotElected());
            problems.Set(ProblemCatalogue.TopologyNotWritten, NotWritten());
        }
    }

    private Problem? RightsMissing()
        => _seat is { } seat ? Problem.OfMonitors(
                ProblemCatalogue.ZooKeeperRightsMissing,
                $"ZooKeeper refuses {id} its rights ({Words.Quoted(seat)}): it neither votes nor leads", id)
            : _election is { Failure: { Code: ZooKeeperErrorCode.NoAuth } failure } ? Problem.OfMonitors(
                ProblemCatalogue.ZooKeeperRightsMissing,
                $"ZooKeeper refuses {id} what it needs to be elected ({Words.Quoted(failure.Message)}): it cannot lead", id) with
            {
                Advice = "Give the monitors' credential for ZooKeeper all rights on R itself and on the znode that the message names: "
                    + "zkCli.sh getAcl and setAcl. They go on by themselves.",
            }
            : null;

    private Problem? NotElected()
        => _election is { Failure: { Code: not ZooKeeperErrorCode.NoAuth } failure } ? Problem.OfMonitors(
                ProblemCatalogue.NoLeader, $"{id} cannot be elected: {Words.Quoted(failure.Message)}", id) with
            {
                Advice = failure.Code == ZooKeeperErrorCode.NotEmpty
                    ? "A znode stands in the leader's place that is no leader's, with a session's below it: zkCli.sh deleteall R/leader."
                    : "See the message: it has ZooKeeper's words.",
            }
            : null;

    private Problem? NotWritten()
    {
        string? beside = _beside is { } refused
            ? $"{id} leads and may not write what it keeps beside the topology ({Words.Quoted(refused)}): it is not noted"
            : _history is { } failure
            ? $"{id} leads and cannot write the history ({Words.Quoted(failure.Message)}): changes are not noted there"
            : null;
        return _successor is { } successor ? Problem.OfMonitors(
                ProblemCatalogue.TopologyNotWritten,
                $"{id} leads, and no other monitor could after it ({Words.Quoted(successor)}): if {id} dies, nobody replaces the master"
                    + (beside is null ? "" : $"; {beside}"),
                id)
            : beside is null ? null
            : Problem.OfMonitors(ProblemCatalogue.TopologyNotWritten, beside, id) with { Severity = ProblemSeverity.Warning };
    }
}
