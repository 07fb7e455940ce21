using System.Collections.Immutable;

namespace RedisFailover.Client;

/// <summary>
/// Plays a failover once per process, in the background, after the first connection has been made: two made-up nodes on the loopback
/// device, a master that dies under calls in flight, a replica that is promoted. .NET compiles code when it first runs, and throws its
/// first exceptions slowly: that cost the first real failover of an application more than all the rest of it.
/// </summary>
internal static class Warmup
{
    /// <summary>How long the whole play may take; what is not played then is compiled when it is needed.</summary>
    private static readonly TimeSpan s_limit = TimeSpan.FromSeconds(5);

    /// <summary>After connecting an application has code of its own to compile and callers who wait for it.</summary>
    private static readonly TimeSpan s_delay = TimeSpan.FromSeconds(1);

    /// <summary>Of the <see cref="Calls"/>, those that name the key.</summary>
    private const int Data = 6;

    private static readonly TaskCompletionSource<ImmutableArray<string>> s_played = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private static int s_begun;

    /// <summary>Completes with what was played to its end, in this process.</summary>
    internal static Task<ImmutableArray<string>> Played => s_played.Task;

    /// <summary>Begins the play in a while, unless it was before, and returns at once.</summary>
    public static void Begin()
    {
        if (Interlocked.Exchange(ref s_begun, 1) == 0)
        {
            // Unsafe: what the caller's context carries, its activity for one, is none of the play's.
            ThreadPool.UnsafeQueueUserWorkItem(static _ => _ = RunLaterAsync(), null);
        }
    }

    /// <returns>What was played to its end.</returns>
    internal static async Task<ImmutableArray<string>> RunAsync()
    {
        var played = ImmutableArray.CreateBuilder<string>();
        try
        {
            using var limit = new CancellationTokenSource(s_limit);
            await PlayAsync(played, limit.Token).ConfigureAwait(false);
        }
#pragma warning disable CA1031 // Whatever goes wrong in a play (no loopback device, for one) is not the application's concern.
        catch (Exception)
#pragma warning restore CA1031
        {
        }

        return played.ToImmutable();
    }

    private static async Task RunLaterAsync()
    {
        await Task.Delay(s_delay).ConfigureAwait(false);
        s_played.SetResult(await RunAsync().ConfigureAwait(false));
    }

    private static async Task PlayAsync(ImmutableArray<string>.Builder played, CancellationToken cancellation)
    {
        var master = new WarmupNode(isMaster: true);
        await using ConfiguredAsyncDisposable masterEnds = master.ConfigureAwait(false);
        var replica = new WarmupNode(isMaster: false);
        await using ConfiguredAsyncDisposable replicaEnds = replica.ConfigureAwait(false);
        var topologies = new WarmupTopologies();
        using var log = new SilentLog();
        topologies.Publish(
            new Topology { Epoch = 1, Master = master.Address, Replicas = [replica.Address], State = TopologyState.Ok,
                Reason = "rehearsal" });
        FailoverConnection connection = await FailoverConnection.ConnectAsync(
            topologies, new FailoverOptions { LoggerFactory = log, ConnectTimeout = s_limit, WriteWait = s_limit, IsTold = false },
                cancellation).ConfigureAwait(false);
        await using ConfiguredAsyncDisposable connectionEnds = connection.ConfigureAwait(false);
        connection.TopologyChanged += static _ => { };
        master.Refuse(commands: Data);
        await EndedAsync(Calls(connection), played, "refused at first").ConfigureAwait(false);

        // In flight when the master dies.
        Task silent = master.FallSilent(commands: Data);
        Task[] inFlight = Calls(connection);
        await silent.WaitAsync(cancellation).ConfigureAwait(false);
        await master.DisposeAsync().ConfigureAwait(false);
        await InForceAsync(connection, static current => current.Master is null, cancellation).ConfigureAwait(false);

        // They wait until the next master is published and its multiplexer lets writes through.
        Task[] waiting = Calls(connection);
        topologies.Publish(new Topology
        {
            Epoch = 2,
            Replicas = [replica.Address],
            Unavailable = [master.Address],
            State = TopologyState.FailingOver,
            Reason = "rehearsal",
            Intent = new FailoverIntent(master.Address, null) { Since = DateTimeOffset.UnixEpoch },
        });
        await InForceAsync(connection, static current => current.Topology.Epoch == 2, cancellation).ConfigureAwait(false);
        replica.Promote();
        topologies.Publish(new Topology
        {
            Epoch = 2,
            Master = replica.Address,
            Unavailable = [master.Address],
            State = TopologyState.Ok,
            Reason = "rehearsal",
            LastChange = new HistoryEntry
            {
                Kind = HistoryKind.Failover, Epoch = 2, From = master.Address, To = replica.Address, Reason = "rehearsal", BytesBehind = 0,
                    Millis = [new("total", 1)],
            },
        });
        await EndedAsync(inFlight, played, "in flight").ConfigureAwait(false);
        await EndedAsync(waiting, played, "waiting").ConfigureAwait(false);
    }

    private static async Task InForceAsync(FailoverConnection connection, Func<Snapshot, bool> condition, CancellationToken cancellation)
    {
        while (connection.Nodes.Current is var current && !condition(current))
        {
            await current.Superseded.WaitAsync(cancellation).ConfigureAwait(false);
        }
    }

    /// <summary>Calls with each kind of result, whose paths are compiled one by one, and one that blocks.</summary>
    private static Task[] Calls(FailoverConnection connection)
    {
        IDatabase database = connection.GetDatabase();
        const CommandFlags ToMaster = CommandFlags.DemandMaster;
        Task[] calls =
        [
            database.SetAddAsync("rehearsal", "1"),
            database.StringIncrementAsync("rehearsal"),
            database.StringIncrementAsync("rehearsal", 1.0),
            database.StringGetAsync("rehearsal", ToMaster),
            database.StringGetAsync([(RedisKey)"rehearsal"], ToMaster),
            database.PingAsync(ToMaster),

            // On a thread of its own: the pool's are the application's.
            Task.Factory.StartNew(()
                => database.SetAdd("rehearsal", "1"), CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default),
        ];

        // A play that is broken off awaits nobody: their failures are seen all the same.
        Waiting.Forget(Task.WhenAll(calls));
        return calls;
    }

    private static async Task EndedAsync(Task[] calls, ImmutableArray<string>.Builder played, string what)
    {
        int applied = 0;
        int ambiguous = 0;
        foreach (Task call in calls)
        {
            try
            {
                await call.ConfigureAwait(false);
                applied++;
            }
            catch (MayHaveBeenAppliedException)
            {
                ambiguous++;
            }
        }

        played.Add($"{what}: {applied} applied, {ambiguous} may have been");
    }

    /// <summary>Formats what it is given, and keeps nothing.</summary>
    private sealed class SilentLog : ILoggerFactory, ILogger
    {
        public ILogger CreateLogger(string categoryName) => this;

        public void AddProvider(ILoggerProvider provider)
        {
        }

        public IDisposable? BeginScope<TState>(TState state)
            where TState : notnull
            => null;

        public bool IsEnabled(LogLevel logLevel) => true;

        public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception,
            Func<TState, Exception?, string> formatter) => formatter(state, exception);

        public void Dispose()
        {
        }
    }
}
