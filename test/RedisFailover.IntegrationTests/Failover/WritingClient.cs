using System.Collections.Immutable;
using System.Diagnostics;
using RedisFailover.Client;
using RedisFailover.IntegrationTests.Harness;
using StackExchange.Redis;

namespace RedisFailover.IntegrationTests.Failover;

/// <summary>
/// A client of the library that adds one number after the other to a set, a few hundred a second, and keeps those that were acknowledged.
/// </summary>
internal sealed class WritingClient : IAsyncDisposable
{
    private const string Key = "written";
    private readonly FailoverConnection _connection;
    private readonly Cluster _cluster;
    private readonly CancellationTokenSource _stop = new();
    private readonly Lock _lock = new();
    private readonly List<long> _acknowledged = [];
    private readonly List<Exception> _errors = [];
    private readonly Task _writing;
    private long _lastBegun;

    private WritingClient(FailoverConnection connection, Cluster cluster)
    {
        _connection = connection;
        _cluster = cluster;
        _writing = WriteAsync();
    }

    internal ImmutableArray<Exception> Errors
    {
        get
        {
            lock (_lock)
            {
                return [.. _errors];
            }
        }
    }

    internal static async Task<WritingClient> StartAsync(Cluster cluster)
        => new(
            await FailoverConnection.ConnectAsync(cluster.ConnectionString,
                new FailoverOptions { Password = cluster.Options.RedisOptions.Password }), cluster);

    /// <summary>What it follows.</summary>
    internal Topology Topology => _connection.Topology;

    /// <summary>Waits for so many acknowledged writes more.</summary>
    internal Task WaitForWritesAsync(int more)
    {
        int before = Count();
        return Eventually.HoldsAsync($"{more} more writes are acknowledged", () => Count() >= before + more, explain: Explain);
    }

    /// <summary>Waits until a write that was begun after that moment is acknowledged.</summary>
    internal Task WaitForWriteBegunAfterAsync(long timestamp)
        => Eventually.HoldsAsync("A write is acknowledged again", () => Volatile.Read(ref _lastBegun) > timestamp, explain: Explain);

    /// <summary>Ends the writing and compares what was acknowledged with what the master holds.</summary>
    internal async Task<int> StopAndCountLostAsync()
    {
        await _stop.CancelAsync();
        await _writing;
        RedisServer master = _cluster.Node((await _cluster.TopologyAsync()).Master!);
        HashSet<string?> kept = [.. (await master.CommandAsync("SMEMBERS", Key)).Items.Select(item => item.Text)];
        return _acknowledged.Count(number => !kept.Contains(number.ToString(System.Globalization.CultureInfo.InvariantCulture)));
    }

    public async ValueTask DisposeAsync()
    {
        await _stop.CancelAsync();
        await _writing;
        await _connection.DisposeAsync();
        _stop.Dispose();
    }

    private int Count()
    {
        lock (_lock)
        {
            return _acknowledged.Count;
        }
    }

    private string Explain()
        => $"errors of the client: {string.Join(" | ", Errors.Select(error => error.Message).Distinct().Take(5))}\n{_cluster.Explain()}";

    /// <summary>A write is begun every few milliseconds, whether or not the one before is answered.</summary>
    private async Task WriteAsync()
    {
        IDatabase database = _connection.GetDatabase();
        List<Task> pending = [];
        using PeriodicTimer timer = new(TimeSpan.FromMilliseconds(4));
        try
        {
            for (long number = 0; await timer.WaitForNextTickAsync(_stop.Token); number++)
            {
                pending.Add(WriteOneAsync(database, number));
                pending.RemoveAll(task => task.IsCompleted);
            }
        }
        catch (OperationCanceledException)
        {
            await Task.WhenAll(pending);
        }
    }

    private async Task WriteOneAsync(IDatabase database, long number)
    {
        long begun = Stopwatch.GetTimestamp();
        try
        {
            await database.SetAddAsync(Key, number);
            lock (_lock)
            {
                _acknowledged.Add(number);
                _lastBegun = Math.Max(_lastBegun, begun);
            }
        }
        catch (Exception e) when (e is RedisException or FailoverException or TimeoutException)
        {
            lock (_lock)
            {
                _errors.Add(e);
            }
        }
    }
}
