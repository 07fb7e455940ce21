using System.Diagnostics.CodeAnalysis;

namespace RedisFailover.Client;

/// <summary>Goes through a failover once per process, in the background, after the first connection: two made-up nodes on the loopback
/// device, a master that dies under calls in flight, a replica that is promoted. Compiling that, and its first exceptions, cost the first
/// real failover more than all the rest of it.</summary>
internal static class Warmup
{
    /// <summary>How long all of it may take; what is not reached then is compiled when it is needed.</summary>
    private static readonly TimeSpan s_limit = TimeSpan.FromSeconds(5);

    /// <summary>After connecting an application has code of its own to compile and callers who wait for it.</summary>
    private static readonly TimeSpan s_delay = TimeSpan.FromSeconds(1);

    /// <summary>Of the <see cref="Calls"/>, those that name the key.</summary>
    private const int Data = 6;

    private static readonly TaskCompletionSource<bool> s_done = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private static int s_begun;

    /// <summary>Completes with whether it came to its end, in this process.</summary>
    internal static Task<bool> Done => s_done.Task;

    /// <summary>Begins in a while, unless it has before, and returns at once.</summary>
    public static void Begin()
    {
        if (Interlocked.Exchange(ref s_begun, 1) == 0)
        {
            // Unsafe: what the caller's context carries, its activity for one, is none of this one's.
            ThreadPool.UnsafeQueueUserWorkItem(static _ => _ = RunLaterAsync(), null);
        }
    }

    private static async Task RunLaterAsync()
    {
        await Task.Delay(s_delay).ConfigureAwait(false);
        s_done.SetResult(await RunAsync().ConfigureAwait(false));
    }

    /// <returns>Whether it came to its end.</returns>
    [SuppressMessage("Design", "CA1031", Justification = "What goes wrong, without a loopback device say, is no application's concern.")]
    internal static async Task<bool> RunAsync()
    {
        try
        {
            using var limit = new CancellationTokenSource(s_limit);
            await FailOverAsync(limit.Token).ConfigureAwait(false);
            return true;
        }
        catch (Exception)
        {
            return false;
        }
    }

    private static async Task FailOverAsync(CancellationToken cancellation)
    {
        var master = new WarmupNode(isMaster: true);
        await using ConfiguredAsyncDisposable masterEnds = master.ConfigureAwait(false);
        var replica = new WarmupNode(isMaster: false);
        await using ConfiguredAsyncDisposable replicaEnds = replica.ConfigureAwait(false);
        var topologies = new WarmupTopologies();
        var topology = new Topology
        {
            Epoch = 1, Master = master.Address, Replicas = [replica.Address], State = TopologyState.Ok, Reason = WarmupNode.Key,
        };
        topologies.Publish(topology);
        FailoverConnection connection = await FailoverConnection.ConnectAsync(
            topologies, new FailoverOptions { ConnectTimeout = s_limit, WriteWait = s_limit, IsTold = false }, cancellation)
                .ConfigureAwait(false);
        await using ConfiguredAsyncDisposable connectionEnds = connection.ConfigureAwait(false);
        connection.TopologyChanged += static _ => { };
        master.Refuse(commands: Data);
        await Task.WhenAll(Calls(connection)).ConfigureAwait(false);

        // In flight when the master dies.
        Task silent = master.FallSilent(commands: Data);
        Task[] inFlight = Calls(connection);
        await silent.WaitAsync(cancellation).ConfigureAwait(false);
        await master.DisposeAsync().ConfigureAwait(false);
        await InForceAsync(connection, static current => current.Master is null, cancellation).ConfigureAwait(false);

        // They wait until the next master is published and its multiplexer lets writes through.
        Task[] waiting = Calls(connection);
        topologies.Publish(topology with
        {
            Epoch = 2,
            Master = null,
            Unavailable = [master.Address],
            State = TopologyState.FailingOver,
            Intent = new FailoverIntent(master.Address, null) { Since = DateTimeOffset.UnixEpoch },
        });
        await InForceAsync(connection, static current => current.Topology.Epoch == 2, cancellation).ConfigureAwait(false);
        replica.Promote();
        topologies.Publish(topology with
        {
            Epoch = 2,
            Master = replica.Address,
            Replicas = [],
            Unavailable = [master.Address],
            LastChange = new HistoryEntry
            {
                Kind = HistoryKind.Failover, Epoch = 2, From = master.Address, To = replica.Address, Reason = WarmupNode.Key,
                BytesBehind = 0, Millis = [new("total", 1)],
            },
        });
        await Task.WhenAll(inFlight).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        await Task.WhenAll(waiting).ConfigureAwait(false);
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
            database.SetAddAsync(WarmupNode.Key, "1"),
            database.StringIncrementAsync(WarmupNode.Key),
            database.StringIncrementAsync(WarmupNode.Key, 1.0),
            database.StringGetAsync(WarmupNode.Key, ToMaster),
            database.StringGetAsync([(RedisKey)WarmupNode.Key], ToMaster),
            database.PingAsync(ToMaster),

            // On a thread of its own: the pool's are the application's.
            Task.Factory.StartNew(()
                => database.SetAdd(WarmupNode.Key, "1"), CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default),
        ];

        // Where it is broken off nobody awaits them: their failures are seen all the same.
        Waiting.Forget(Task.WhenAll(calls));
        return calls;
    }
}
