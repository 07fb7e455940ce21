namespace RedisFailover.UnitTests.Simulation;

/// <summary>Watches one node for a monitor, as NodeProber does: its deadlines, its retries, and when it counts a failure.</summary>
internal sealed class SimulatedProber(SimulatedMonitor monitor, SimulatedRedis node)
{
    private const long InfoInterval = World.Second;
    private const long FirstRetry = World.Ms;
    private const long LongestRetry = 250 * World.Ms;

    /// <summary>For so long a node that said that it is full may close connections without saying it again.</summary>
    private const long IsFull = 10 * World.Second;

    private readonly FailoverPolicy _policy = monitor.Policy;
    private readonly List<Waiting> _waiting = [];
    private NodeConnection? _connection;
    private bool _isReady;
    private long _retry = FirstRetry;
    private int _refusals;
    private long _lastReply;
    private long _silenceBegins;
    private long _nextBeat;
    private long _nextInfo;
    private bool _isLoading;
    private int _missed;
    private long _begun;
    private long _fullUntil = long.MinValue;

    private long Timeout => _policy.ProbeTimeout.Ticks;

    internal void Start()
    {
        NodeConnection connection = _connection = new NodeConnection(monitor, node);
        _isReady = false;
        _begun = monitor.Clock.Ticks;
        connection.Connect(
            () => Ready(connection),
            () => End(connection, ProbeFailure.Refused, "connection refused"),
            () => End(connection, ProbeFailure.Closed, "connection closed by the node"),
            () =>
            {
                _fullUntil = monitor.Clock.Ticks + IsFull;
                End(connection, ProbeFailure.AuthRefused, Full);
            });
        monitor.After(Timeout, () =>
        {
            if (_connection == connection && !_isReady)
            {
                string detail = $"no connection within {_policy.ProbeTimeout.TotalMilliseconds:0} ms";
                Failed(ProbeFailure.Silent, detail);
                End(connection, ProbeFailure.Silent, detail);
            }
        });
    }

    private static string Full => "it takes no more connections (maxclients), so that the monitors cannot watch it";

    internal void Abandon() => _connection?.Abandon();

    /// <summary>Runs a command and INFO on the node; its answer, or why there is none.</summary>
    internal void Command(Func<SimulatedRedis, string?> run, Action<string?, NodeInfo?, TimeSpan> answered, Action<string> failed)
    {
        if (_connection is not { } connection || !_isReady)
        {
            failed($"there is no connection to {node.Address}");
            return;
        }

        TimeSpan asked = monitor.Clock;
        var waiting = new Waiting(failed);
        _waiting.Add(waiting);
        connection.Send(answer =>
        {
            bool denied = node.Denied.Contains(monitor);
            string? error = denied ? "NOPERM" : run(node);
            NodeInfo? info = denied ? null : node.Info();
            answer(() =>
            {
                _lastReply = monitor.Clock.Ticks;
                if (_waiting.Remove(waiting))
                {
                    answered(error, info, asked);
                }
            });
        });
        monitor.After(Timeout, () =>
        {
            if (_waiting.Remove(waiting))
            {
                failed("no answer in time");
            }
        });
    }

    internal void Forget(Action<SimulatedRedis, NodeConnection> run)
    {
        if (_connection is { } connection && _isReady)
        {
            connection.Send(_ =>
            {
                if (!node.Denied.Contains(monitor))
                {
                    run(node, connection);
                }
            });
        }
    }

    internal void Report(NodeInfo info, TimeSpan asked)
    {
        if (info.Loading)
        {
            Failed(ProbeFailure.Loading, "it is loading its data set");
        }
        else
        {
            monitor.Observe(new NodeAnswered(monitor.Clock, asked, node.Address, info, monitor.Clock - asked));
        }
    }

    private void Ready(NodeConnection connection)
    {
        if (_connection != connection)
        {
            return;
        }

        _isReady = true;
        _silenceBegins = _lastReply = _nextBeat = _nextInfo = monitor.Clock.Ticks;
        _missed = 0;
        Beat(connection);
    }

    private void Beat(NodeConnection connection)
    {
        long now = monitor.Clock.Ticks;
        if (now >= _nextBeat)
        {
            bool info = now >= _nextInfo || _isLoading;
            Ask(connection, info);
            _nextInfo = info ? now + InfoInterval : _nextInfo;
            _nextBeat = now + (Timeout / 2);
        }

        long wake = Math.Min(_silenceBegins + ((_missed + 1) * Timeout), _nextBeat);
        monitor.After(wake - now, () => Wake(connection, wake));
    }

    private void Wake(NodeConnection connection, long wake)
    {
        if (_connection != connection)
        {
            return;
        }

        long now = monitor.Clock.Ticks;
        if (_lastReply > _silenceBegins)
        {
            _silenceBegins = _lastReply;
            _missed = 0;
        }

        long late = now - wake;
        if (late > Timeout / 4)
        {
            _silenceBegins += late;
        }
        else if (now >= _silenceBegins + ((_missed + 1) * Timeout))
        {
            _missed++;
            string detail = $"no answer for {_missed * _policy.ProbeTimeout.TotalMilliseconds:0} ms";
            Failed(ProbeFailure.Silent, detail);
            if (_missed >= _policy.MaxFailures)
            {
                End(connection, ProbeFailure.Silent, detail);
                return;
            }
        }

        Beat(connection);
    }

    private void Ask(NodeConnection connection, bool askInfo)
    {
        TimeSpan asked = monitor.Clock;
        connection.Send(answer =>
        {
            NodeInfo? info = askInfo ? node.Info() : null;
            bool denied = node.Denied.Contains(monitor);
            bool loading = node.IsLoading;
            answer(() =>
            {
                _lastReply = monitor.Clock.Ticks;
                _isLoading = loading && !denied;
                if (denied)
                {
                    End(connection, ProbeFailure.AuthRefused, "it refuses our credentials (NOPERM)");
                }
                else if (loading)
                {
                    Failed(ProbeFailure.Loading, "it is loading its data set");
                }
                else if (info is not null)
                {
                    Report(info, asked);
                }
                else
                {
                    monitor.Observe(new NodeBeat(monitor.Clock, node.Address, monitor.Clock - asked));
                }
            });
        });
    }

    private void End(NodeConnection connection, ProbeFailure evidence, string detail)
    {
        if (_connection != connection)
        {
            return;
        }

        if (evidence == ProbeFailure.Closed && _begun < _fullUntil && monitor.Clock.Ticks - _begun < Timeout)
        {
            (evidence, detail) = (ProbeFailure.AuthRefused, Full);
        }

        connection.Abandon();
        _connection = null;
        _isReady = false;
        Waiting[] waiting = [.. _waiting];
        _waiting.Clear();
        foreach (Waiting one in waiting)
        {
            one.Failed(detail);
        }

        if (evidence is not ProbeFailure.Silent)
        {
            Failed(evidence, detail);
        }

        _refusals = evidence is ProbeFailure.Refused ? _refusals + 1 : 0;
        _retry = _refusals <= _policy.MaxFailures ? FirstRetry : Math.Min(_retry * 2, LongestRetry);
        bool atOnce = evidence == ProbeFailure.Closed || (evidence == ProbeFailure.Refused && _refusals < _policy.MaxFailures);
        monitor.After(atOnce ? 0 : evidence == ProbeFailure.AuthRefused ? World.Second : _retry, Start);
    }

    private void Failed(ProbeFailure evidence, string detail)
        => monitor.Observe(new NodeFailed(monitor.Clock, node.Address, evidence, detail));

    private sealed class Waiting(Action<string> failed)
    {
        internal Action<string> Failed => failed;
    }
}
