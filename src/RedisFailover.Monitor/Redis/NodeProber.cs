using System.Collections.Immutable;
using System.Globalization;
using System.Net.Sockets;
using System.Threading.Channels;
using RedisFailover.Monitor.Hosting;
using RedisFailover.Shared;

namespace RedisFailover.Monitor.Redis;

/// <summary>
/// Watches one node over a connection of its own, and reports what it sees; it judges nothing. A closed connection is seen at
/// once, a hang by a heartbeat with a deadline. The leader's commands travel over the same connection.
/// </summary>
internal sealed class NodeProber : IAsyncDisposable
{
    private static readonly TimeSpan InfoInterval = TimeSpan.FromSeconds(1);
    private static readonly Backoff Retry = new(TimeSpan.FromMilliseconds(1), TimeSpan.FromMilliseconds(250));

    private readonly NodeAddress _node;
    private readonly RedisCredentials _credentials;
    private readonly FailoverPolicy _policy;
    private readonly NodeNames _names;
    private readonly ChannelWriter<Observation> _observations;
    private readonly MonotonicClock _clock;
    private readonly CancellationTokenSource _stop = new();
    private readonly Task _running;
    private RedisConnection? _connection;
    private (RedisConnection Connection, string Leader)? _fenced;
    private bool _servesStaleData = true;
    private MinReplicas? _minReplicas;
    private bool _isOld;
    private bool _stopsWritesOnSaveError;

    internal NodeProber(
        NodeAddress node, RedisCredentials credentials, FailoverPolicy policy, NodeNames names, ChannelWriter<Observation> observations, MonotonicClock clock)
    {
        _node = node;
        _credentials = credentials;
        _policy = policy;
        _names = names;
        _observations = observations;
        _clock = clock;
        _running = RunAsync(_stop.Token);
    }

    /// <summary>Ends when the prober is disposed; a fault is a bug.</summary>
    internal Task Running => _running;

    /// <summary>
    /// Sends commands in one go, followed by INFO, and waits until all are answered or the probe time-out has passed.
    /// </summary>
    /// <returns>The replies without INFO's; what INFO said, null when it was refused; when it was asked.</returns>
    /// <exception cref="IOException">There is no connection, or it ended: whether the commands were carried out is not known.</exception>
    /// <exception cref="TimeoutException">No answer in time: whether the commands were carried out is not known.</exception>
    internal async Task<(RespValue[] Replies, NodeInfo? Info, TimeSpan Asked)> CommandAsync(
        IReadOnlyList<string[]> commands, CancellationToken cancellationToken)
    {
        RedisConnection connection = Volatile.Read(ref _connection) ?? throw new IOException($"there is no connection to {_node}");
        TimeSpan asked = _clock.Now;
        Task<RespValue>[] sent = [.. commands.Select(c => connection.SendAsync(c)), connection.SendAsync("INFO")];
        RespValue[] replies = await Task.WhenAll(sent).WaitAsync(_policy.ProbeTimeout, _clock.Provider, cancellationToken);
        RespValue info = replies[^1];
        return (replies[..^1], info.IsError ? null : await ReadAsync(info, cancellationToken), asked);
    }

    /// <summary>
    /// Makes sure, once for each connection and term, that no former leader's connection to this node is left (<see cref="FormerLeaders"/>).
    /// Returns null where that is so already.
    /// </summary>
    /// <exception cref="IOException">There is no connection, or it ended.</exception>
    internal Task? EndFormerLeaders(string leader, CancellationToken cancellationToken)
    {
        RedisConnection connection = Volatile.Read(ref _connection) ?? throw new IOException($"there is no connection to {_node}");
        return _fenced is { } fenced && fenced.Connection == connection && fenced.Leader == leader ? null : EndAsync();

        async Task EndAsync()
        {
            await FormerLeaders.EndAsync(connection, leader).WaitAsync(_policy.ProbeTimeout, _clock.Provider, cancellationToken);
            _fenced = (connection, leader);
        }
    }

    /// <summary>What min-replicas-to-write and min-replicas-max-lag have just been set to.</summary>
    internal void Learned(MinReplicas set) => Volatile.Write(ref _minReplicas, set);

    /// <summary>Sends MULTI … EXEC in one go, the last command before EXEC being INFO, and waits for the replies.</summary>
    /// <returns>All replies; what INFO said, null when it did not.</returns>
    /// <exception cref="IOException">As <see cref="CommandAsync"/>.</exception>
    /// <exception cref="TimeoutException">As <see cref="CommandAsync"/>.</exception>
    internal async Task<(RespValue[] Replies, NodeInfo? Info)> TransactionAsync(IReadOnlyList<string[]> commands, CancellationToken cancellationToken)
    {
        RedisConnection connection = Volatile.Read(ref _connection) ?? throw new IOException($"there is no connection to {_node}");
        Task<RespValue>[] sent = [.. commands.Select(c => connection.SendAsync(c))];
        RespValue[] replies = await Task.WhenAll(sent).WaitAsync(_policy.ProbeTimeout, _clock.Provider, cancellationToken);
        return (replies, replies[^1] is { Kind: RespKind.Array, Items: [.., { Kind: RespKind.String } info] } ? await ReadAsync(info, cancellationToken) : null);
    }

    /// <summary>Asks for INFO now and reports the answer.</summary>
    internal async Task InspectAsync(CancellationToken cancellationToken)
    {
        (_, NodeInfo? info, TimeSpan asked) = await CommandAsync([], cancellationToken);
        if (info is { Loading: true })
        {
            Report(new NodeFailed(_clock.Now, _node, Evidence.Loading, "it is loading its data set"));
        }
        else if (info is not null)
        {
            Report(new NodeAnswered(_clock.Now, asked, _node, info, _clock.Now - asked));
        }
    }

    /// <summary>Sends a command whose reply is of no interest, such as CONFIG REWRITE where there is no file.</summary>
    internal void Forget(params ReadOnlySpan<string> command) => _ = Volatile.Read(ref _connection)?.SendAsync(command);

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        await _stop.CancelAsync();
        await _running.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        _stop.Dispose();
    }

    private async Task RunAsync(CancellationToken cancellationToken)
    {
        int refusals = 0;
        try
        {
            while (true)
            {
                TimeSpan begun = _clock.Now;
                (Evidence evidence, string detail) = await SessionAsync(cancellationToken);
                bool counted = evidence is not (Evidence.Silent or Evidence.Loading);
                if (counted)
                {
                    Report(new NodeFailed(_clock.Now, _node, evidence, detail));
                }

                // A closed connection is tried again at once: only the next attempt tells whether the node is gone. A refusal
                // costs nothing and is repeated until it is judged, without a timer (which takes 4 ms where a millisecond was
                // meant), then ever more slowly; our own faults do not mend themselves in milliseconds.
                // A node that accepts connections only to close them (maxclients, a proxy without a server) is no better than one
                // that refuses them.
                refusals = evidence is Evidence.Refused or Evidence.Unreachable || (evidence == Evidence.Closed && _clock.Now - begun < _policy.ProbeTimeout)
                    ? refusals + 1
                    : 0;
                TimeSpan retry = evidence switch
                {
                    Evidence.Denied or Evidence.Nonsense => TimeSpan.FromSeconds(1),
                    _ => Retry.After(refusals - _policy.MaxFailures),
                };
                if (evidence is Evidence.Closed or Evidence.Refused && refusals < _policy.MaxFailures)
                {
                    await Task.Yield();
                }
                else
                {
                    await Task.Delay(retry, _clock.Provider, cancellationToken);
                }
            }
        }
        catch (OperationCanceledException) when (cancellationToken.IsCancellationRequested)
        {
            // The monitor stops.
        }
    }

    /// <summary>One connection from its making to its end, and how it ended.</summary>
    private async Task<(Evidence Evidence, string Detail)> SessionAsync(CancellationToken cancellationToken)
    {
        RedisConnection? connection;
        SocketError error;
        using var deadline = new CancellationTokenSource(_policy.ProbeTimeout, _clock.Provider);
        using var either = CancellationTokenSource.CreateLinkedTokenSource(deadline.Token, cancellationToken);
        try
        {
            (connection, error) = await RedisConnection.ConnectAsync(_node, _clock.Provider, either.Token);
        }
        catch (OperationCanceledException) when (!cancellationToken.IsCancellationRequested)
        {
            string detail = $"no connection within {_policy.ProbeTimeout.TotalMilliseconds:0} ms";
            Report(new NodeFailed(_clock.Now, _node, Evidence.Silent, detail));
            return (Evidence.Silent, detail);
        }

        if (connection is null)
        {
            (Evidence evidence, string why) = (Classify(error), Describe(error));
            if (evidence == Evidence.Silent)
            {
                Report(new NodeFailed(_clock.Now, _node, evidence, why));
            }

            return (evidence, why);
        }

        await using (connection)
        {
            if (_credentials.Command is { } login && await LogInAsync(connection, login, cancellationToken) is { } refused)
            {
                return refused;
            }

            try
            {
                return await BeatAsync(connection, cancellationToken);
            }
            finally
            {
                Volatile.Write(ref _connection, null);
            }
        }
    }

    /// <summary>Null when the node accepts our credentials or does not answer at all, which the heartbeat will tell.</summary>
    private async Task<(Evidence Evidence, string Detail)?> LogInAsync(RedisConnection connection, string[] login, CancellationToken cancellationToken)
    {
        Task<RespValue> reply = connection.SendAsync(login);
        try
        {
            RespValue value = await reply.WaitAsync(_policy.ProbeTimeout, _clock.Provider, cancellationToken);
            // Redis without a password says so; that is no reason not to watch it.
            return value.IsError && !value.Text!.Contains("without any password", StringComparison.Ordinal)
                && !value.Text.Contains("no password is set", StringComparison.Ordinal)
                && !value.IsErrorOf("LOADING")
                    ? (Evidence.Denied, $"it refuses our credentials ({value.Text.Split(' ')[0]})")
                    : null;
        }
        catch (TimeoutException)
        {
            return null;
        }
        catch (IOException e)
        {
            return End(e);
        }
    }

    private async Task<(Evidence Evidence, string Detail)> BeatAsync(RedisConnection connection, CancellationToken cancellationToken)
    {
        Volatile.Write(ref _connection, connection);
        TaskCompletionSource<(Evidence, string)> fault = new(TaskCreationOptions.RunContinuationsAsynchronously);
        TimeSpan interval = _policy.ProbeTimeout / 2;
        TimeSpan nextInfo = _clock.Now;
        TimeSpan nextBeat = _clock.Now;
        TimeSpan silenceBegins = _clock.At(connection.LastReply);
        int missed = 0;
        _ = LearnSettingsAsync(connection);
        while (true)
        {
            TimeSpan now = _clock.Now;
            if (now >= nextBeat)
            {
                bool info = now >= nextInfo;
                _ = BeatOnceAsync(connection, info, fault, cancellationToken);
                nextInfo = info ? now + InfoInterval : nextInfo;
                nextBeat = now + interval;
            }

            TimeSpan next = silenceBegins + ((missed + 1) * _policy.ProbeTimeout);
            TimeSpan wake = next < nextBeat ? next : nextBeat;
            Task ended = await Task.WhenAny(connection.Closed, fault.Task, Task.Delay(wake > now ? wake - now : TimeSpan.Zero, _clock.Provider, cancellationToken));
            cancellationToken.ThrowIfCancellationRequested();
            if (ended == fault.Task)
            {
                return await fault.Task;
            }

            if (ended == connection.Closed)
            {
                return End(await connection.Closed);
            }

            TimeSpan lastReply = _clock.At(connection.LastReply);
            if (lastReply > silenceBegins)
            {
                silenceBegins = lastReply;
                missed = 0;
            }

            TimeSpan late = _clock.Now - wake;
            if (late > _policy.ProbeTimeout / 4)
            {
                // This process itself was held up (paused, starved): what was answered meanwhile may not have been read yet, so
                // the node gets that time back.
                silenceBegins += late;
            }
            else if (_clock.Now >= silenceBegins + ((missed + 1) * _policy.ProbeTimeout))
            {
                missed++;
                string detail = $"no answer for {missed * _policy.ProbeTimeout.TotalMilliseconds:0} ms";
                Report(new NodeFailed(_clock.Now, _node, Evidence.Silent, detail));
                if (missed >= _policy.MaxFailures)
                {
                    return (Evidence.Silent, detail);
                }
            }
        }
    }

    private async Task BeatOnceAsync(
        RedisConnection connection, bool askInfo, TaskCompletionSource<(Evidence, string)> fault, CancellationToken cancellationToken)
    {
        TimeSpan asked = _clock.Now;
        try
        {
            // Only where it is managed; before 6.2 every switchover touches it.
            bool asksMinReplicas = askInfo && (_isOld || _policy.WriteSafety == WriteSafetyMode.Replicated);
            Task<RespValue>? minReplicas = asksMinReplicas ? connection.SendAsync("CONFIG", "GET", "min-slaves-*") : null;
            RespValue reply = await connection.SendAsync(askInfo ? "INFO" : "PING");
            if (minReplicas is not null)
            {
                Volatile.Write(ref _minReplicas, MinReplicasIn(await minReplicas));
            }

            TimeSpan now = _clock.Now;
            if (reply.IsErrorOf("LOADING"))
            {
                Report(new NodeFailed(now, _node, Evidence.Loading, "it is loading its data set"));
            }
            else if (reply.IsErrorOf("NOAUTH") || reply.IsErrorOf("NOPERM") || reply.IsErrorOf("WRONGPASS"))
            {
                fault.TrySetResult((Evidence.Denied, $"it refuses our credentials ({reply.Text})"));
            }
            else if (askInfo && reply.IsError)
            {
                fault.TrySetResult((Evidence.Nonsense, $"it refuses INFO ({reply.Text})"));
            }
            else if (askInfo && await ReadAsync(reply, cancellationToken) is var info)
            {
                if (info.SaveFailed)
                {
                    // An operator helps himself by CONFIG SET; it is looked at as long as it matters.
                    _ = LearnSettingsAsync(connection);
                }

                Report(info.Loading
                    ? new NodeFailed(now, _node, Evidence.Loading, "it is loading its data set")
                    : new NodeAnswered(now, asked, _node, info, now - asked));
            }
            else
            {
                // Any other answer, an error too (MISCONF, a renamed PING), comes from a process that lives.
                Report(new NodeBeat(now, _node, now - asked));
            }
        }
        catch (IOException)
        {
            // The connection ended; its end is reported once, by whoever waits for it.
        }
        catch (FormatException e)
        {
            fault.TrySetResult((Evidence.Nonsense, e.Message));
        }
        catch (OperationCanceledException) when (cancellationToken.IsCancellationRequested)
        {
            // The monitor stops.
        }
    }

    /// <summary>
    /// Whether it would answer reads without a link to its master, and whether it refuses writes when it cannot save. Where CONFIG is
    /// not allowed, the harmless is assumed: it does, and it does not.
    /// </summary>
    private async Task LearnSettingsAsync(RedisConnection connection)
    {
        try
        {
            Task<RespValue> staleReads = connection.SendAsync("CONFIG", "GET", "slave-serve-stale-data");
            Task<RespValue> stops = connection.SendAsync("CONFIG", "GET", "stop-writes-on-bgsave-error");
            Task<RespValue> savePoints = connection.SendAsync("CONFIG", "GET", "save");
            _servesStaleData = Setting(await staleReads) is not "no";
            // Redis refuses writes only where it is meant to save by itself.
            _stopsWritesOnSaveError = Setting(await stops) is "yes" && Setting(await savePoints) is { Length: > 0 };
        }
        catch (IOException)
        {
            // As above.
        }
    }

    private static string? Setting(RespValue reply) => reply is { Kind: RespKind.Array, Items: [_, { Text: var value }] } ? value : null;

    private static MinReplicas? MinReplicasIn(RespValue reply)
    {
        int? count = null;
        int? lag = null;
        for (int i = 0; reply.Kind == RespKind.Array && i + 1 < reply.Items.Length; i += 2)
        {
            int? value = int.TryParse(reply.Items[i + 1].Text, NumberStyles.None, CultureInfo.InvariantCulture, out int number) ? number : null;
            count = reply.Items[i].Text == "min-slaves-to-write" ? value : count;
            lag = reply.Items[i].Text == "min-slaves-max-lag" ? value : lag;
        }

        return count is null || lag is null ? null : new MinReplicas(count.Value, lag.Value);
    }

    private async ValueTask<NodeInfo> ReadAsync(RespValue reply, CancellationToken cancellationToken)
    {
        NodeInfo info = NodeInfo.Parse(reply.Text ?? "") with { ServesStaleData = _servesStaleData, MinReplicas = Volatile.Read(ref _minReplicas), StopsWritesOnSaveError = _stopsWritesOnSaveError };
        _isOld = !info.PausesWritesAlone;
        if (_policy.WriteSafety == WriteSafetyMode.Replicated && !info.Attached.IsEmpty)
        {
            ImmutableArray<NodeAddress>.Builder attached = ImmutableArray.CreateBuilder<NodeAddress>(info.Attached.Length);
            foreach (NodeAddress replica in info.Attached)
            {
                attached.Add(await _names.IdentifyAsync(replica, cancellationToken));
            }

            info = info with { Attached = attached.MoveToImmutable() };
        }

        return info.MasterAddress is { } master ? info with { MasterAddress = await _names.IdentifyAsync(master, cancellationToken) } : info;
    }

    private void Report(Observation observation) => _observations.TryWrite(observation);

    private static (Evidence Evidence, string Detail) End(Exception reason) => reason switch
    {
        RedisProtocolException => (Evidence.Nonsense, reason.Message),
        IOException { InnerException: RedisProtocolException protocol } => (Evidence.Nonsense, protocol.Message),
        _ => (Evidence.Closed, "connection closed by the node"),
    };

    private static Evidence Classify(SocketError error) => error switch
    {
        SocketError.ConnectionRefused => Evidence.Refused,
        SocketError.TimedOut => Evidence.Silent,
        SocketError.ConnectionReset or SocketError.ConnectionAborted => Evidence.Closed,
        _ => Evidence.Unreachable,
    };

    private static string Describe(SocketError error) => error switch
    {
        SocketError.ConnectionRefused => "connection refused",
        SocketError.HostNotFound or SocketError.NoData or SocketError.TryAgain => "its host name does not resolve",
        _ => new SocketException((int)error).Message,
    };
}
