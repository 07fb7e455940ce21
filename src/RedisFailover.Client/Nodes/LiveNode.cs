using StackExchange.Redis;

namespace RedisFailover.Client;

/// <summary>
/// One established connection to one node: a multiplexer of its own, used until it breaks and then replaced, never repaired.
/// </summary>
internal sealed class LiveNode
{
    /// <summary>A node that hangs takes nothing more once its socket's buffer is full: what waits for that is not waited for any longer.</summary>
    private const int MostLooks = 20;

    private static readonly TimeSpan s_grace = TimeSpan.FromMilliseconds(20), s_look = TimeSpan.FromMilliseconds(1);

    private readonly IDatabase?[] _databases = new IDatabase?[17];
    private readonly TaskCompletionSource<string> _broken = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly TaskCompletionSource _closed = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly IServer _server;
    private long _latencyTicks;
    private long _freshAsOf;

    public LiveNode(NodeAddress address, ConnectionMultiplexer multiplexer)
    {
        Address = address;
        Multiplexer = multiplexer;
        _server = multiplexer.GetServer(multiplexer.GetEndPoints()[0]);
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

    /// <summary>Completes, with the reason, when the connection is lost. A node that hangs loses no connection: see the watch in <see cref="NodeLink"/>.</summary>
    public Task<string> Broken => _broken.Task;

    /// <summary>Whether its multiplexer lets writes through. It learns a promotion only from ConfigureAsync, see <see cref="MasterRole"/>.</summary>
    public bool TakesWrites => !StackExchangeVersion.IsReplica(_server);

    /// <summary>Whether the application prefers to read from it: <see cref="FailoverOptions.PreferNode"/>.</summary>
    public bool IsPreferred { get; set; } = true;

    /// <summary>It holds every write that had been acknowledged at this moment (a timestamp); 0 while that is not known. See <see cref="ReplicaLag"/>.</summary>
    public long FreshAsOf
    {
        get => Volatile.Read(ref _freshAsOf);
        set => Volatile.Write(ref _freshAsOf, value);
    }

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

    /// <summary>
    /// Ends its calls in flight, at once or, where something is just being sent, a few milliseconds later. Not Dispose, which waits for a node that no
    /// longer answers; and not on the caller's thread, because whoever awaits those calls may continue on the thread that ends them. To be called
    /// when no new calls come: 1.2.6 loses sight of one that it takes from its queue while it is closed, and that one would never end.
    /// </summary>
    public void Close() => _ = CloseAsync();

    /// <summary>
    /// Its end, or this node's: closing ends all calls that the library knows of, and 1.2.6 loses sight of a transaction with a condition when
    /// the connection breaks before EXEC is sent. Nobody can say then how far it came.
    /// </summary>
    public async Task<T> EndsAsync<T>(Task<T> sent, TimeProvider time)
    {
        if (await Task.WhenAny(sent, _closed.Task).ConfigureAwait(false) != sent)
        {
            // What the library ends it ends on other threads.
            await Task.WhenAny(sent, Task.Delay(s_grace, time)).ConfigureAwait(false);
        }

        return sent.IsCompleted
            ? await sent.ConfigureAwait(false)
            : throw new OperationCanceledException($"The connection to {Address} was lost, and the call with it.");
    }

    private async Task CloseAsync()
    {
        await Task.CompletedTask.ConfigureAwait(ConfigureAwaitOptions.ForceYielding);
        try
        {
            await SentAsync().ConfigureAwait(false);
        }
        finally
        {
            try
            {
                Multiplexer.Close(allowCommandsToComplete: false);
            }
            finally
            {
                _closed.TrySetResult();
            }
        }
    }

    /// <summary>Returns when the library's writer has nothing to do, or does not get on.</summary>
    private async Task SentAsync()
    {
        long before = -1;
        for (int looks = 0; looks < MostLooks && StackExchangeVersion.Sent(Multiplexer) is var (sent, unsent) && (unsent > 0 || sent != before); looks++)
        {
            before = sent;

            // It is about the library's threads: the real clock, whatever time a test may have.
            await Task.Delay(s_look).ConfigureAwait(false);
        }
    }
}
