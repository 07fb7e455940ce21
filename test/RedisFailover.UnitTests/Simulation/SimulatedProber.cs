using RedisFailover.Monitor.Redis;

namespace RedisFailover.UnitTests.Simulation;

/// <summary>
/// Watches one node for a monitor, as NodeProber does: its deadlines, its retries, and when it counts a failure; and carries the leader's
/// commands.
/// </summary>
internal sealed class SimulatedProber(SimulatedMonitor monitor, SimulatedRedis node) : ICommandedNode
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
    private (NodeConnection Connection, int Term, Task Ending)? _fence;
    private MinReplicas _minReplicas = MinReplicas.Default;

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

    public string ReplicaOf => "REPLICAOF";

    public async Task<(RespValue[] Replies, NodeInfo? Info, TimeSpan Asked)> CommandAsync(
        IReadOnlyList<string[]> commands, CancellationToken cancellationToken)
    {
        NodeConnection connection = commands.Count > 0 ? Fenced() : Current();
        FailoverAction? action = monitor.Sending(node.Address);
        Lead? lead = monitor.LastLead;
        Mutant mutant = monitor.Mutant;
        TimeSpan asked = monitor.Clock;
        return await AskAsync<(RespValue[] Replies, NodeInfo? Info, TimeSpan Asked)>(connection, () =>
        {
            bool denied = node.Denied.Contains(monitor);
            RespValue[] replies = [.. commands.Select(c => denied ? RespValue.Error("NOPERM")
                : mutant.Skips(c) ? RespValue.String("OK")
                : node.Execute(c, connection))];
            if (action is not null && lead is not null)
            {
                monitor.Ledger.Executed(monitor, lead, action, node, replies.FirstOrDefault(r => r.IsError)?.Text);
            }

            NodeInfo? info = denied ? null : node.Info();
            return (replies, mutant.SkipsDetach && action is Detach && info is { Role: NodeRole.Replica }
                ? info with { MasterAddress = NodeInfo.Nowhere, LinkUp = false } : info, asked);
        }, cancellationToken);
    }

    public Task<(RespValue[] Replies, NodeInfo? Info)> TransactionAsync(
        IReadOnlyList<string[]> commands, CancellationToken cancellationToken)
        => throw new NotSupportedException("the simulated Redis is newer than 6.2");

    /// <summary>What has reached a simulated replica it has read.</summary>
    public Task ReadOnAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    public async Task InspectAsync(CancellationToken cancellationToken)
    {
        (_, NodeInfo? info, TimeSpan asked) = await CommandAsync([], cancellationToken);
        Report(info ?? throw new IOException($"{node.Address} refuses INFO"), asked);
    }

    public Task? EndFormerLeaders(int term, CancellationToken cancellationToken)
    {
        NodeConnection connection = Current();
        if (_fence is { } fence && fence.Connection == connection && fence.Term == term
            && (!fence.Ending.IsCompleted || fence.Ending.IsCompletedSuccessfully))
        {
            return fence.Ending.IsCompletedSuccessfully ? null : fence.Ending;
        }

        Task<bool> ending = AskAsync(connection, () =>
        {
            if (!node.Denied.Contains(monitor))
            {
                node.EndFormerLeaders(connection, term);
            }

            return true;
        }, cancellationToken);
        _fence = (connection, term, ending);
        return ending;
    }

    /// <summary>All that are cut off follow the topology by themselves.</summary>
    public Task CutApplicationsAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    public void Forget(params ReadOnlySpan<string> command)
    {
        string[] words = command.ToArray();
        if (_connection is { } connection && _isReady)
        {
            connection.Send(_ =>
            {
                if (!node.Denied.Contains(monitor))
                {
                    node.Execute(words, connection);
                }
            });
        }
    }

    public void KeepRole() => Forget("CONFIG", "REWRITE");

    public void Learned(MinReplicas set) => _minReplicas = set;

    public MinReplicas LearnedCount(int count) => _minReplicas with { Count = count };

    /// <summary>Its leader's name, which ends the connections of former ones.</summary>
    internal void Rename()
    {
        if (_connection is not null && _isReady && monitor.Lead is { MayAct: true } lead)
        {
            // Whoever sends a command waits for it.
            _ = EndFormerLeaders(lead.Term, CancellationToken.None);
        }
    }

    private NodeConnection Current()
        => _isReady && _connection is { } connection ? connection : throw new IOException($"there is no connection to {node.Address}");

    private NodeConnection Fenced()
    {
        NodeConnection connection = Current();
        return _fence is { } fence && fence.Connection == connection ? connection
            : throw new IOException($"the connection to {node.Address} is another than the one on which former leaders were cut off");
    }

    /// <summary>Has something done on the node; its answer goes on in the event in which it comes.</summary>
    private async Task<T> AskAsync<T>(NodeConnection connection, Func<T> run, CancellationToken cancellationToken)
    {
        var answer = new TaskCompletionSource<T>();
        var waiting = new Waiting(why => answer.TrySetException(new IOException(why)));
        _waiting.Add(waiting);
        connection.Send(reply =>
        {
            T result = run();
            reply(() =>
            {
                _lastReply = monitor.Clock.Ticks;
                if (_waiting.Remove(waiting))
                {
                    answer.TrySetResult(result);
                }
            });
        });
        monitor.After(Timeout, () =>
        {
            if (_waiting.Remove(waiting))
            {
                answer.TrySetException(new TimeoutException());
            }
        });
        await using CancellationTokenRegistration stop = cancellationToken.UnsafeRegister(_ =>
        {
            _waiting.Remove(waiting);
            answer.TrySetCanceled(cancellationToken);
        }, null);
        return await answer.Task;
    }

    private void Report(NodeInfo info, TimeSpan asked)
    {
        _minReplicas = info.MinReplicas ?? _minReplicas;
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
        Rename();
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
