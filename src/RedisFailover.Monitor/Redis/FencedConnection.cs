using RedisFailover.Monitor.Hosting;

namespace RedisFailover.Monitor.Redis;

/// <summary>
/// The connection to one node that works now, and the name that it bears. What changes something goes over it only once former leaders were
/// cut off (<see cref="FormerLeaderFence"/>).
/// </summary>
/// <param name="node">The node.</param>
/// <param name="names">What connections are called.</param>
/// <param name="within">How long the node may take to cut former leaders off.</param>
/// <param name="clock">The source of time.</param>
/// <param name="stopping">Cancelled when the node is watched no longer.</param>
internal sealed class FencedConnection(
    NodeAddress node, ClientNames names, TimeSpan within, MonotonicClock clock, CancellationToken stopping)
{
    private readonly Lock _gate = new();
    private RedisConnection? _connection;
    private (RedisConnection Connection, string Name, Task Ending)? _fence;

    /// <summary>Who else is connected to the node.</summary>
    internal required ClientList Clients { get; init; }

    /// <summary>Null while there is none.</summary>
    internal RedisConnection? Any => Volatile.Read(ref _connection);

    /// <exception cref="IOException">There is none.</exception>
    internal RedisConnection Current => Any ?? throw new IOException($"there is no connection to {node}");

    /// <summary>
    /// The connection on which former leaders were cut off, which this leader's own successor ends in turn. A leader that was frozen after
    /// it had looked at its lease finds that one closed; the new one that is made as it wakes must not carry its command.
    /// </summary>
    /// <exception cref="IOException">There is none, or it is another.</exception>
    internal RedisConnection Fenced
    {
        get
        {
            RedisConnection connection = Current;
            lock (_gate)
            {
                return _fence is { } fence && fence.Connection == connection ? connection
                    : throw new IOException($"the connection to {node} is another than the one on which former leaders were cut off");
            }
        }
    }

    /// <summary>This one works; null: it has ended.</summary>
    internal void Set(RedisConnection? connection)
    {
        Volatile.Write(ref _connection, connection);
        if (connection is not null)
        {
            Name(connection);
        }
    }

    /// <summary>
    /// Names the connection anew: this monitor has begun to lead, which ends former leaders' connections, or has learned the incarnation.
    /// Nobody waits for it here: whoever sends a command waits for the fence by itself.
    /// </summary>
    internal void Rename()
    {
        if (Any is { } connection)
        {
            Name(connection);
        }
    }

    /// <summary>
    /// Makes sure, once for each connection and name, that no former leader's connection to this node is left. Returns null where that is
    /// so already.
    /// </summary>
    /// <exception cref="IOException">There is no connection, or it ended.</exception>
    internal Task? EndFormerLeaders(int term, CancellationToken cancellationToken)
    {
        RedisConnection connection = Current;
        string name = names.Leader(term);
        lock (_gate)
        {
            if (_fence is { } fence && fence.Connection == connection && fence.Name == name
                && (!fence.Ending.IsCompleted || fence.Ending.IsCompletedSuccessfully))
            {
                return fence.Ending.IsCompletedSuccessfully ? null : fence.Ending.WaitAsync(cancellationToken);
            }

            // It is everybody's who waits for it, whoever began it.
            Task ending = FormerLeaderFence.EndAsync(connection, Clients, names, name)
                .WaitAsync(within, clock.Provider, CancellationToken.None);
            _fence = (connection, name, ending);
            return ending.WaitAsync(cancellationToken);
        }
    }

    private void Name(RedisConnection connection)
    {
        // One that leads must not be named as if it did not: the next leader's fence would pass it over.
        lock (_gate)
        {
            switch (names.Lead?.Invoke())
            {
                case null:
                    _ = connection.SendAsync("CLIENT", "SETNAME", names.Monitor);
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
            await (EndFormerLeaders(term, stopping) ?? Task.CompletedTask);
        }
        catch (Exception e) when (e is IOException or TimeoutException or OperationCanceledException)
        {
            // The next command tries it again.
        }
    }
}
