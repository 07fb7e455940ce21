namespace RedisFailover.Client;

/// <summary>One established connection to one node: a multiplexer of its own, replaced when it breaks, never repaired.</summary>
internal sealed class LiveNode
{
    /// <summary>For so long the library may take to notice that its connection was cut.</summary>
    private static readonly TimeSpan s_cutting = TimeSpan.FromMilliseconds(100);

    private readonly TimeProvider _time;
    private readonly AddressTunnel? _tunnel;
    private readonly bool _isCounted;
    private readonly IDatabase?[] _databases = new IDatabase?[17];
    private readonly TaskCompletionSource<string> _broken = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private long _latencyTicks;
    private long _freshAsOf;

    public LiveNode(NodeAddress address, ConnectionMultiplexer multiplexer, ConfigurationOptions configuration, TimeProvider time)
    {
        Address = address;
        _time = time;
        _tunnel = configuration.Tunnel as AddressTunnel;
        _isCounted = !configuration.HighIntegrity;
        Multiplexer = multiplexer;
        Server = multiplexer.GetServer(multiplexer.GetEndPoints()[0]);
        multiplexer.ConnectionFailed += (_, failed) =>
        {
            if (failed.ConnectionType == ConnectionType.Interactive)
            {
                _broken.TrySetResult(failed.FailureType.ToString());
            }
        };
    }

    public NodeAddress Address { get; }

    public ConnectionMultiplexer Multiplexer { get; }

    public IServer Server { get; }

    /// <summary>Which of its name's addresses had answered; null where the application's own tunnel leads there.</summary>
    public IPEndPoint? FoundAt => _tunnel?.Found;

    /// <summary>Whether it was given up: it did not answer, or its name stands for another address now.</summary>
    public bool WasGivenUp { get; set; }

    /// <summary>Completes, with the reason, when the connection is lost; that a node hangs <see cref="NodeLink"/> sees.</summary>
    public Task<string> Broken => _broken.Task;

    /// <summary>Whether its multiplexer lets writes through: after a promotion once it has configured itself anew.</summary>
    public bool TakesWrites => !Server.IsReplica;

    /// <summary>Whether the application prefers to read from it: <see cref="FailoverOptions.PreferNode"/>.</summary>
    public bool IsPreferred { get; set; } = true;

    /// <summary>It holds every write acknowledged before this timestamp (<see cref="ReplicaLag"/>); 0 while not known.</summary>
    public long FreshAsOf
    {
        get => Volatile.Read(ref _freshAsOf);
        set => Volatile.Write(ref _freshAsOf, value);
    }

    /// <summary>The question how far it is, by <see cref="ReplicaLag"/>, that it owes the answer to; null where there is none.</summary>
    public Task<(long Asked, ReplicationPlace? Place)>? Place { get; set; }

    /// <summary>How long the last ping took. Zero before the first.</summary>
    public TimeSpan Latency
    {
        get => new(Volatile.Read(ref _latencyTicks));
        set => Volatile.Write(ref _latencyTicks, value.Ticks);
    }

    public IDatabase Database(int number)
        => (uint)(number + 1) < (uint)_databases.Length
            ? _databases[number + 1] ??= Multiplexer.GetDatabase(number)
            : Multiplexer.GetDatabase(number);

    /// <summary>Grows with whatever it sends, a part of a long reply too.</summary>
    /// <remarks>Through the application's own tunnel only whole replies are counted: calls that were sent, but for those that still wait.
    /// With HighIntegrity 3.4 counts each call twice when it is sent, so that nothing follows from it there: the ping alone
    /// tells.</remarks>
    public long Heard => _tunnel?.Heard ?? (_isCounted && Multiplexer.GetCounters().Interactive is var calls
        ? calls.OperationCount - calls.SentItemsAwaitingResponse : 0);

    /// <summary>Ends its calls in flight; not on this thread, on which their callers may continue.</summary>
    public void Close() => _ = Task.Run(CloseAsync);

    private async Task CloseAsync()
    {
        if (_tunnel is not null && !_broken.Task.IsCompleted)
        {
            _tunnel.Cut();
            await Task.WhenAny(_broken.Task, Task.Delay(s_cutting, _time)).ConfigureAwait(false);
        }

        Multiplexer.Close(allowCommandsToComplete: false);
    }
}
