using System.Net;
using System.Security.Authentication;
using System.Threading.Channels;
using RedisFailover.Monitor.Hosting;
using RedisFailover.Shared;

namespace RedisFailover.Monitor.Redis;

/// <summary>
/// Keeps a connection to one node and reports what it sees; it judges nothing. On it beats a <see cref="PingLoop"/>, and the leader's
/// commands travel over it; when it ends it is made anew, at once or ever more slowly.
/// </summary>
internal sealed class NodeProber : ICommandedNode, IAsyncDisposable
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

    /// <summary>After this a connected node's name is looked up again.</summary>
    private static readonly TimeSpan NameLifetime = TimeSpan.FromSeconds(5);

    private static readonly Backoff Retry = new(TimeSpan.FromMilliseconds(1), TimeSpan.FromMilliseconds(250));

    private readonly NodeAddress _node;
    private readonly RedisCredentials _credentials;
    private readonly FailoverPolicy _policy;
    private readonly NodeInfoReader _said;
    private readonly ClientNames _clients;
    private readonly NodeNames _names;
    private readonly TcpDialer _dialer;
    private readonly ChannelWriter<Observation> _observations;
    private readonly MonotonicClock _clock;
    private readonly Func<bool>? _isLeading;
    private readonly Lock _gate = new();
    private readonly CancellationTokenSource _stop = new();
    private readonly Task _running;
    private RedisConnection? _connection;
    private (RedisConnection Connection, string Name, Task Ending)? _fence;

    internal NodeProber(
        NodeAddress node, RedisCredentials credentials, FailoverPolicy policy, NodeNames names, ChannelWriter<Observation> observations,
        MonotonicClock clock, ClientNames? clients = null, Func<bool>? isLeading = null)
    {
        _node = node;
        _credentials = credentials;
        _policy = policy;
        _clients = clients ?? new ClientNames(ZnodePaths.DefaultRoot, "", "");
        _said = new NodeInfoReader(policy, names, _clients, credentials.Tls is not null);
        _names = names;
        _dialer = new TcpDialer(names.Hosts, clock.Provider);
        _observations = observations;
        _clock = clock;
        _isLeading = isLeading;
        _running = RunAsync(_stop.Token);
    }

    /// <summary>Ends when the prober is disposed; a fault is a bug.</summary>
    internal Task Running => _running;

    /// <inheritdoc/>
    public async Task<(RespValue[] Replies, NodeInfo? Info, TimeSpan Asked)> CommandAsync(
        IReadOnlyList<string[]> commands, CancellationToken cancellationToken)
    {
        RedisConnection connection = commands.Count > 0 ? Fenced() : Current();
        TimeSpan asked = _clock.Now;
        RespValue[] replies = await connection.SendAllAsync([.. commands, ["INFO"]])
            .WaitAsync(_policy.ProbeTimeout, _clock.Provider, cancellationToken);
        RespValue info = replies[^1];
        return (replies[..^1], info.IsError ? null : await _said.ReadAsync(info, cancellationToken), asked);
    }

    /// <inheritdoc/>
    public Task? EndFormerLeaders(int term, CancellationToken cancellationToken)
    {
        RedisConnection connection = Current();
        string name = _clients.Leader(term);
        lock (_gate)
        {
            if (_fence is { } fence && fence.Connection == connection && fence.Name == name
                && (!fence.Ending.IsCompleted || fence.Ending.IsCompletedSuccessfully))
            {
                return fence.Ending.IsCompletedSuccessfully ? null : fence.Ending;
            }

            Task ending = NodeFence.EndFormerLeadersAsync(connection, _clients, name)
                .WaitAsync(_policy.ProbeTimeout, _clock.Provider, cancellationToken);
            _fence = (connection, name, ending);
            return ending;
        }
    }

    private RedisConnection Current() => Volatile.Read(ref _connection) ?? throw new IOException($"there is no connection to {_node}");

    /// <summary>
    /// The connection on which former leaders were cut off, which this leader's own successor ends in turn. A leader that was frozen after
    /// it had looked at its lease finds that one closed; the new one that is made as it wakes must not carry its command.
    /// </summary>
    private RedisConnection Fenced()
    {
        RedisConnection connection = Current();
        lock (_gate)
        {
            return _fence is { } fence && fence.Connection == connection ? connection
                : throw new IOException($"the connection to {_node} is another than the one on which former leaders were cut off");
        }
    }

    /// <summary>
    /// Names the connection anew: this monitor has begun to lead, which ends former leaders' connections, or has learned the incarnation.
    /// Nobody waits for it here: whoever sends a command waits for the fence by itself.
    /// </summary>
    internal void Rename()
    {
        if (Volatile.Read(ref _connection) is { } connection)
        {
            Name(connection);
        }
    }

    /// <inheritdoc/>
    public string ReplicaOf => _said.ReplicaOf;

    /// <inheritdoc/>
    public void Learned(MinReplicas set) => _said.Learned(set);

    /// <inheritdoc/>
    public MinReplicas LearnedCount(int count) => _said.LearnedCount(count);

    /// <inheritdoc/>
    public async Task<(RespValue[] Replies, NodeInfo? Info)> TransactionAsync(IReadOnlyList<string[]> commands,
        CancellationToken cancellationToken)
    {
        RespValue[] replies = await Fenced().SendAllAsync(commands).WaitAsync(_policy.ProbeTimeout, _clock.Provider, cancellationToken);
        return (replies, replies[^1] is { Kind: RespKind.Array, Items: [.., { Kind: RespKind.String } info] }
            ? await _said.ReadAsync(info, cancellationToken) : null);
    }

    /// <inheritdoc/>
    public async Task InspectAsync(CancellationToken cancellationToken)
    {
        (_, NodeInfo? info, TimeSpan asked) = await CommandAsync([], cancellationToken);
        if (info is { Loading: true })
        {
            Report(new NodeFailed(_clock.Now, _node, ProbeFailure.Loading, "it is loading its data set"));
        }
        else if (info is not null)
        {
            Report(new NodeAnswered(_clock.Now, asked, _node, info, _clock.Now - asked));
        }
        else
        {
            throw new IOException($"{_node} refuses INFO");
        }
    }

    /// <inheritdoc/>
    public async Task CutApplicationsAsync(CancellationToken cancellationToken)
    {
        if (Volatile.Read(ref _connection) is not { } connection)
        {
            return;
        }

        try
        {
            string? list = await NodeFence.ListAsync(connection, NodeFence.MostClients).WaitAsync(cancellationToken);
            string[][] kills = [.. ClientNames.Applications(list ?? "").Select(id => (string[])["CLIENT", "KILL", "ID", id])];
            if (kills.Length > 0)
            {
                _ = connection.SendAllAsync(kills);
            }
        }
        catch (IOException)
        {
            // The connection ended, and with it the node's clients may have lost theirs.
        }
    }

    /// <inheritdoc/>
    public void Forget(params ReadOnlySpan<string> command) => _ = Volatile.Read(ref _connection)?.SendAsync(command);

    /// <inheritdoc/>
    public void KeepRole()
    {
        if (Volatile.Read(ref _connection) is { } connection)
        {
            _ = KeepAsync(connection);
        }

        async Task KeepAsync(RedisConnection connection)
        {
            try
            {
                _said.LearnedRewrite(await connection.SendAsync("CONFIG", "REWRITE"));
            }
            catch (IOException)
            {
                // Whether it was written is not known.
            }
        }
    }

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
        (TimeSpan Until, string Detail) refusal = (TimeSpan.MinValue, "");
        try
        {
            while (true)
            {
                TimeSpan begun = _clock.Now;
                (ProbeFailure evidence, string detail) = await SessionAsync(cancellationToken);
                if (evidence == ProbeFailure.AuthRefused)
                {
                    refusal = (_clock.Now + Refuses, detail);
                }
                else if (evidence == ProbeFailure.Closed && begun < refusal.Until && _clock.Now - begun < _policy.ProbeTimeout)
                {
                    // It serves those who are connected: wrong credentials are no more of a reason to replace it.
                    (evidence, detail) = (ProbeFailure.AuthRefused, refusal.Detail);
                }

                bool counted = evidence is not (ProbeFailure.Silent or ProbeFailure.Loading);
                if (counted)
                {
                    Report(new NodeFailed(_clock.Now, _node, evidence, detail));
                }

                // A closed connection is tried again at once: only the next attempt tells whether the node is gone. A refusal costs nothing
                // and is repeated until it is judged, without a timer (which takes 4 ms where a millisecond was meant), then ever more
                // slowly. A node that accepts connections only to close them (maxclients, a proxy without a server) is no better than one
                // that refuses them.
                refusals = evidence is ProbeFailure.Refused or ProbeFailure.Unreachable
                    || (evidence == ProbeFailure.Closed && _clock.Now - begun < _policy.ProbeTimeout)
                    ? refusals + 1
                    : 0;
                TimeSpan retry = evidence switch
                {
                    ProbeFailure.AuthRefused or ProbeFailure.NotRedis => TimeSpan.FromSeconds(1),
                    ProbeFailure.Local => OurFault,
                    _ => Retry.After(refusals - _policy.MaxFailures),
                };
                if (evidence == ProbeFailure.Closed && refusals < _policy.MaxFailures && _policy.NodeStrategy != NodeStrategy.Consensus
                    && _isLeading?.Invoke() == false)
                {
                    await Task.Delay(LeaderFirst, _clock.Provider, cancellationToken);
                }
                else if (evidence is ProbeFailure.Closed or ProbeFailure.Refused && refusals < _policy.MaxFailures)
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
    private async Task<(ProbeFailure ProbeFailure, string Detail)> SessionAsync(CancellationToken cancellationToken)
    {
        RedisConnection? connection;
        Dialed dialed;
        try
        {
            (connection, dialed) =
                await RedisConnection.ConnectAsync(_node, _dialer, _clock.Provider, _policy.ProbeTimeout, cancellationToken,
                    _credentials.Tls);
        }
        catch (AuthenticationException e)
        {
            return (ProbeFailure.AuthRefused, $"no TLS with it: {Words.Quoted(e.Message)}");
        }

        if (connection is null)
        {
            ProbeFailure evidence = Classify(dialed.Fault);
            if (evidence == ProbeFailure.Silent)
            {
                Report(new NodeFailed(_clock.Now, _node, evidence, dialed.Detail));
            }

            return (evidence, dialed.Detail);
        }

        await using (connection)
        {
            if (await LogInAsync(connection, cancellationToken) is { } refused)
            {
                return refused;
            }

            Volatile.Write(ref _connection, connection);
            try
            {
                Name(connection);
                int strikes = 0;
                var pings = new PingLoop(
                    _node, connection, _said, _policy, _observations, _clock, _isLeading,
                    async () => StandsElsewhere(dialed.EndPoint, ref strikes) && await ListensThereAsync(cancellationToken));
                return await pings.RunAsync(cancellationToken);
            }
            finally
            {
                Volatile.Write(ref _connection, null);
            }
        }
    }

    /// <summary>
    /// Whether the node's host name no longer stands for the address where it was found. Twice, as a name server may give its addresses by
    /// turns.
    /// </summary>
    private bool StandsElsewhere(IPEndPoint? found, ref int strikes)
    {
        bool isElsewhere = found is not null && _names.Hosts.Known(_node.Host, NameLifetime) is { IsEmpty: false } known
            && !known.Contains(found.Address);
        strikes = isElsewhere ? strikes + 1 : 0;
        return strikes >= 2;
    }

    /// <summary>A name that is wrong for a moment must not end a connection that works.</summary>
    private async Task<bool> ListensThereAsync(CancellationToken cancellationToken)
    {
        Dialed there = await _dialer.ConnectAsync(_node.Host, _node.Port, _policy.ProbeTimeout, cancellationToken);
        there.Socket?.Dispose();
        return there.Socket is not null;
    }

    /// <summary>During a rotation there are two passwords, of which a node accepts one or the other.</summary>
    private async Task<(ProbeFailure ProbeFailure, string Detail)?> LogInAsync(RedisConnection connection,
        CancellationToken cancellationToken)
    {
        (ProbeFailure ProbeFailure, string Detail)? outcome = null;
        foreach (string[] login in _credentials.Commands)
        {
            outcome = await LogInAsync(connection, login, cancellationToken);
            if (outcome is not { ProbeFailure: ProbeFailure.AuthRefused })
            {
                return outcome;
            }
        }

        return outcome;
    }

    /// <summary>Null when the node accepts our credentials or does not answer at all, which the heartbeat will tell.</summary>
    private async Task<(ProbeFailure ProbeFailure, string Detail)?> LogInAsync(RedisConnection connection, string[] login,
        CancellationToken cancellationToken)
    {
        // Whether it asks replicas for a password as well.
        Task<RespValue> before = connection.SendAsync("PING");
        Task<RespValue> reply = connection.SendAsync(login);
        try
        {
            RespValue value = await reply.WaitAsync(_policy.ProbeTimeout, _clock.Provider, cancellationToken);
            _said.LearnedPassword((await before).IsErrorOf("NOAUTH"));
            // Redis without a password says so; that is no reason not to watch it.
            return value.IsError && !value.Text!.Contains("without any password", StringComparison.Ordinal)
                && !value.Text.Contains("no password is set", StringComparison.Ordinal)
                && !value.IsErrorOf("LOADING")
                    ? (ProbeFailure.AuthRefused, $"it refuses our credentials ({value.Text.Split(' ')[0]})")
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

    private void Name(RedisConnection connection)
    {
        // One that leads must not be named as if it did not: the next leader's fence would pass it over.
        lock (_gate)
        {
            switch (_clients.Lead?.Invoke())
            {
                case null:
                    _ = connection.SendAsync("CLIENT", "SETNAME", _clients.Monitor);
                    _fence = null;
                    break;
                case { MayAct: true, Term: var term }:
                    _ = FenceAsync(term);
                    break;
                default:
                    // Its next command names it anew.
                    break;
            }
        }
    }

    private async Task FenceAsync(int term)
    {
        try
        {
            await (EndFormerLeaders(term, _stop.Token) ?? Task.CompletedTask);
        }
        catch (Exception e) when (e is IOException or TimeoutException or OperationCanceledException)
        {
            // The next command tries it again.
        }
    }

    private void Report(Observation observation) => _observations.TryWrite(observation);

    /// <summary>What the end of a connection tells.</summary>
    internal static (ProbeFailure ProbeFailure, string Detail) End(Exception reason) => reason switch
    {
        RedisRefusedException => (ProbeFailure.AuthRefused, reason.Message),
        IOException { InnerException: RedisRefusedException refused } => (ProbeFailure.AuthRefused, refused.Message),
        RedisProtocolException => (ProbeFailure.NotRedis, reason.Message),
        IOException { InnerException: RedisProtocolException protocol } => (ProbeFailure.NotRedis, protocol.Message),
        // With TLS 1.3 a node that does not accept our certificate says so only after the handshake.
        _ when Refused(reason) is { } refusal => (ProbeFailure.AuthRefused, $"it does not accept our certificate: {Words.Quoted(refusal)}"),
        _ => (ProbeFailure.Closed, "connection closed by the node"),
    };

    private static string? Refused(Exception? reason)
        => reason is null ? null
            : reason.Message.Contains("alert", StringComparison.OrdinalIgnoreCase)
                && reason.Message.Contains("SSL", StringComparison.OrdinalIgnoreCase) ? reason.Message
            : Refused(reason.InnerException);

    private static ProbeFailure Classify(DialFault fault) => fault switch
    {
        DialFault.Refused => ProbeFailure.Refused,
        DialFault.Closed => ProbeFailure.Closed,
        DialFault.Silent => ProbeFailure.Silent,
        DialFault.Unreachable => ProbeFailure.Unreachable,
        _ => ProbeFailure.Local,
    };
}
