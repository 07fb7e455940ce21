using System.Threading.Channels;
using RedisFailover.Monitor.Hosting;

namespace RedisFailover.Monitor.Redis;

/// <summary>
/// One node that is watched: a <see cref="ProbeLoop"/> keeps a connection to it and reports what it sees, and the leader's commands travel
/// over that connection. It judges nothing.
/// </summary>
internal sealed class NodeProber : ICommandedNode, IAsyncDisposable
{
    private readonly NodeAddress _node;
    private readonly FailoverPolicy _policy;
    private readonly NodeInfoReader _said;
    private readonly ChannelWriter<Observation> _observations;
    private readonly MonotonicClock _clock;
    private readonly CancellationTokenSource _stop = new();
    private readonly FencedConnection _connection;
    private readonly ClientList _clients;

    internal NodeProber(
        NodeAddress node, RedisCredentials credentials, FailoverPolicy policy, NodeNames names, ChannelWriter<Observation> observations,
        MonotonicClock clock, ClientNames? clients = null, Func<bool>? isLeading = null, TimeSpan? connectsAnewAfter = null)
    {
        (_node, _policy, _observations, _clock) = (node, policy, observations, clock);
        clients ??= new ClientNames(ZnodePaths.DefaultRoot, "", "");
        // Behind it the fence needs time for what it ends.
        _clients = new ClientList(policy.ProbeTimeout * 0.75, clock);
        _said = new NodeInfoReader(policy, names, clients, _clients, credentials.Tls is not null);
        _connection = new FencedConnection(node, clients, policy.ProbeTimeout, clock, _stop.Token) { Clients = _clients };
        var loop = new ProbeLoop(
            new Probed(node, policy, _said, observations, clock, isLeading)
            {
                ConnectsAnewAfter = connectsAnewAfter ?? TimeSpan.FromSeconds(5),
            },
            _connection, credentials, names);
        Running = loop.RunAsync(_stop.Token);
    }

    /// <summary>Ends when the prober is disposed; a fault is a bug.</summary>
    internal Task Running { get; }

    /// <inheritdoc/>
    public async Task<(RespValue[] Replies, NodeInfo? Info, TimeSpan Asked)> CommandAsync(
        IReadOnlyList<string[]> commands, CancellationToken cancellationToken)
    {
        RedisConnection connection = commands.Count > 0 ? _connection.Fenced : _connection.Current;
        TimeSpan asked = _clock.Now;
        RespValue[] replies = await connection.SendAllAsync([.. commands, ["INFO"]])
            .WaitAsync(_policy.ProbeTimeout, _clock.Provider, cancellationToken);
        RespValue info = replies[^1];
        return (replies[..^1], info.IsError ? null : await _said.ReadAsync(info, cancellationToken), asked);
    }

    /// <inheritdoc/>
    public Task? EndFormerLeaders(int term, CancellationToken cancellationToken) => _connection.EndFormerLeaders(term, cancellationToken);

    /// <inheritdoc cref="FencedConnection.Rename"/>
    internal void Rename() => _connection.Rename();

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
        RespValue[] replies = await _connection.Fenced.SendAllAsync(commands)
            .WaitAsync(_policy.ProbeTimeout, _clock.Provider, cancellationToken);
        return (replies, replies[^1] is { Kind: RespKind.Array, Items: [.., { Kind: RespKind.String } info] }
            ? await _said.ReadAsync(info, cancellationToken) : null);
    }

    /// <inheritdoc/>
    public async Task ReadOnAsync(CancellationToken cancellationToken)
    {
        // From its first answer on: before, it may be held up still.
        TimeSpan? until = null;
        (long Applied, long Read)? before = null;
        while ((await CommandAsync([], cancellationToken)).Info is { Role: NodeRole.Replica, LinkUp: true } info
            && before != (info.Offset, info.ReadOffset) && !(_clock.Now >= until))
        {
            until ??= _clock.Now + (_policy.ProbeTimeout / 2);
            before = (info.Offset, info.ReadOffset);
        }
    }

    /// <inheritdoc/>
    public async Task InspectAsync(CancellationToken cancellationToken)
    {
        (_, NodeInfo? info, TimeSpan asked) = await CommandAsync([], cancellationToken);
        if (info is { Loading: true })
        {
            _observations.TryWrite(new NodeFailed(_clock.Now, _node, ProbeFailure.Loading, "it is loading its data set"));
        }
        else if (info is not null)
        {
            _observations.TryWrite(new NodeAnswered(_clock.Now, asked, _node, info, _clock.Now - asked));
        }
        else
        {
            throw new IOException($"{_node} refuses INFO");
        }
    }

    /// <inheritdoc/>
    public async Task CutApplicationsAsync(CancellationToken cancellationToken)
    {
        if (_connection.Any is not { } connection)
        {
            return;
        }

        try
        {
            string? list = await _clients.ReadAsync(connection, ClientList.Most).WaitAsync(cancellationToken);
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
    public void Forget(params ReadOnlySpan<string> command) => _ = _connection.Any?.SendAsync(command);

    /// <inheritdoc/>
    public void KeepRole()
    {
        if (_connection.Any is { } connection)
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
        await Running.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        _stop.Dispose();
    }
}
