using System.Collections.Immutable;
using Microsoft.Extensions.Logging;
using RedisFailover.Monitor.Options;
using RedisFailover.Shared;
using RedisFailover.ZooKeeper;

namespace RedisFailover.Monitor.Hosting;

/// <summary>
/// The clusters of this process. They come and go while it runs; one that fails is begun anew, and touches no other. Where a process has
/// one cluster by its command line, its failure is the process' own.
/// </summary>
internal sealed class ClusterSet(SharedParts shared, ILogger logger)
{
    private static readonly Backoff Anew = new(TimeSpan.FromSeconds(1), TimeSpan.FromMinutes(1));

    private readonly Lock _gate = new();
    private readonly TaskCompletionSource _failed = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private ImmutableSortedDictionary<string, Entry> _entries = ImmutableSortedDictionary.Create<string, Entry>(StringComparer.Ordinal);
    private volatile string? _hindrance;
    private bool _isAway;

    /// <summary>Those that are monitored now, by their names.</summary>
    internal IEnumerable<ClusterMonitor> All => Volatile.Read(ref _entries).Values.Select(e => e.Monitor);

    /// <summary>Why a cluster that there is cannot be monitored; null where all are. Said by whoever finds the clusters.</summary>
    internal string? Hindrance
    {
        get => _hindrance;
        set => _hindrance = value;
    }

    /// <summary>Fails when the process cannot go on because its only cluster cannot.</summary>
    internal Task Failed => _failed.Task;

    /// <summary>The cluster of that name; null where there is none.</summary>
    internal ClusterMonitor? Find(string name) => Volatile.Read(ref _entries).GetValueOrDefault(name)?.Monitor;

    /// <summary>Monitors exactly these from now on: new ones begin, those gone or changed end, the rest goes on untouched.</summary>
    internal async Task ChangeAsync(IReadOnlyCollection<MonitorOptions> wanted)
    {
        List<Task> endings = [];
        foreach ((string name, Entry entry) in _entries)
        {
            MonitorOptions? next = wanted.FirstOrDefault(o => o.Name == name);
            if (next is null)
            {
                endings.Add(EndAsync(entry, isRemoved: true));
            }
            else if (!next.IsSameClusterAs(entry.Monitor.Options))
            {
                endings.Add(BeginAnewAsync(entry, next));
            }
        }

        await Task.WhenAll(endings);
        foreach (MonitorOptions options in wanted.Where(o => !_entries.ContainsKey(o.Name)))
        {
            Begin(options);
        }
    }

    /// <summary>Ends all of them, each in order.</summary>
    internal Task EndAsync() => Task.WhenAll(_entries.Values.Select(entry => EndAsync(entry, isRemoved: false)));

    /// <summary>ZooKeeper is away, or back.</summary>
    internal void TellOfZooKeeper(bool isAway)
    {
        ClusterMonitor[] all;
        lock (_gate)
        {
            _isAway = isAway;
            all = [.. All];
        }

        foreach (ClusterMonitor cluster in all)
        {
            cluster.TellOfZooKeeper(isAway);
        }
    }

    private void Begin(MonitorOptions options)
    {
        shared.Rights.Cover(new ZnodePaths(options.ZnodePath));
        if (shared.HasMany)
        {
            Log.ClusterBegins(logger, options.Name, options.ZnodePath, string.Join(',', options.Nodes));
        }

        Entry entry = Enter(options);
        entry.Running = KeepRunningAsync(entry);
    }

    /// <summary>In its place, so that whoever asks for the cluster meanwhile gets an answer.</summary>
    private async Task BeginAnewAsync(Entry entry, MonitorOptions options)
    {
        await StopAsync(entry);
        if (options.ZnodePath != entry.Monitor.Options.ZnodePath)
        {
            await entry.Monitor.WithdrawAsync();
        }

        shared.Rights.Uncover(new ZnodePaths(entry.Monitor.Options.ZnodePath));
        shared.Rights.Cover(new ZnodePaths(options.ZnodePath));
        Log.ClusterBegins(logger, options.Name, options.ZnodePath, string.Join(',', options.Nodes));
        Entry anew = Enter(options, entry.Monitor);
        anew.Running = KeepRunningAsync(anew);
        entry.Stop.Dispose();
    }

    private static async Task StopAsync(Entry entry)
    {
        await entry.Stop.CancelAsync();
        await entry.Running;
    }

    private async Task EndAsync(Entry entry, bool isRemoved)
    {
        await StopAsync(entry);
        if (shared.HasMany && isRemoved)
        {
            await entry.Monitor.WithdrawAsync();
            Log.ClusterEnds(logger, entry.Monitor.Name);
        }

        lock (_gate)
        {
            _entries = _entries.Remove(entry.Monitor.Name);
        }

        shared.Rights.Uncover(new ZnodePaths(entry.Monitor.Options.ZnodePath));
        entry.Stop.Dispose();
    }

    /// <summary>A cluster that fails by a defect, or by what stands in its znodes, is begun anew, ever later.</summary>
    private async Task KeepRunningAsync(Entry entry)
    {
        for (int failures = 0; ; failures++)
        {
            try
            {
                await Task.CompletedTask.ConfigureAwait(ConfigureAwaitOptions.ForceYielding);
                await entry.Monitor.RunAsync(entry.Stop.Token);
            }
            catch (OperationCanceledException) when (entry.Stop.IsCancellationRequested)
            {
                return;
            }
#pragma warning disable CA1031 // Not swallowed: told, and the only cluster of a process takes that down.
            catch (Exception e)
#pragma warning restore CA1031
            {
                if (!shared.HasMany || e is ZooKeeperException { Code: ZooKeeperErrorCode.AuthFailed })
                {
                    _failed.TrySetException(e);
                    return;
                }

                TimeSpan pause = Anew.After(failures);
                Log.ClusterFailed(logger, entry.Monitor.Name, e.GetType().Name, Words.Quoted(e.Message), pause.TotalSeconds, e);
                // What it saw last would be its vote as long as the process' heartbeat goes on.
                await entry.Monitor.WithdrawAsync();
                await Task.Delay(pause, shared.Clock.Provider, entry.Stop.Token).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
                if (entry.Stop.IsCancellationRequested)
                {
                    return;
                }

                lock (_gate)
                {
                    entry.Monitor = New(entry.Monitor.Options, entry.Monitor);
                }
            }
        }
    }

    private Entry Enter(MonitorOptions options, ClusterMonitor? before = null)
    {
        lock (_gate)
        {
            var entry = new Entry(New(options, before));
            _entries = _entries.SetItem(options.Name, entry);
            return entry;
        }
    }

    /// <summary>
    /// Under the gate, and until it has its place: a change of ZooKeeper's in between would not be told to it.
    /// </summary>
    private ClusterMonitor New(MonitorOptions options, ClusterMonitor? before)
    {
        var cluster = new ClusterMonitor(options, shared, shared.HasMany ? new ClusterLogger(logger, options.Name) : logger)
        {
            Before = before is null ? null : (before.View, shared.Clock.Now),
        };
        if (_isAway)
        {
            cluster.TellOfZooKeeper(isAway: true);
        }

        return cluster;
    }

    private sealed class Entry(ClusterMonitor monitor)
    {
        private volatile ClusterMonitor _monitor = monitor;

        internal ClusterMonitor Monitor
        {
            get => _monitor;
            set => _monitor = value;
        }

        internal CancellationTokenSource Stop { get; } = new();

        internal Task Running { get; set; } = Task.CompletedTask;
    }
}
