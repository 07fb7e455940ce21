using System.Collections.Immutable;
using RedisFailover.Monitor.Hosting;
using RedisFailover.ZooKeeper;

namespace RedisFailover.Monitor.Http;

/// <summary>The znodes of a cluster as they were at most a second ago; null where one does not exist.</summary>
internal sealed record ClusterReading(
    ReadOnlyMemory<byte>? Leader,
    ReadOnlyMemory<byte>? Problems,
    ReadOnlyMemory<byte>? History,
    ImmutableSortedDictionary<string, ReadOnlyMemory<byte>> Monitors);

/// <summary>Reads them for whoever asks by HTTP, once a second at most however many do: ZooKeeper serves failovers first.</summary>
internal sealed class ClusterReadings(MonitorService monitor, ZnodePaths paths, TimeProvider time)
{
    private static readonly TimeSpan Fresh = TimeSpan.FromSeconds(1);
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(2);

    private readonly Lock _lock = new();
    private Task<ClusterReading?> _reading = Task.FromResult<ClusterReading?>(null);
    private long? _readAt;

    /// <summary>Null where ZooKeeper does not answer in time.</summary>
    internal Task<ClusterReading?> NowAsync()
    {
        lock (_lock)
        {
            if (_reading.IsCompleted && !(_readAt is { } at && time.GetElapsedTime(at) < Fresh))
            {
                _readAt = time.GetTimestamp();
                _reading = ReadAsync();
            }

            return _reading;
        }
    }

    private async Task<ClusterReading?> ReadAsync()
    {
        if (monitor.ZooKeeper is not { } client)
        {
            return null;
        }

        using var deadline = new CancellationTokenSource(Patience, time);
        try
        {
            ZooKeeperSession session = await client.GetSessionAsync(deadline.Token);
            var monitors = ImmutableSortedDictionary.CreateBuilder<string, ReadOnlyMemory<byte>>(StringComparer.Ordinal);
            foreach (string id in (await session.GetChildrenAsync(paths.Monitors, cancellationToken: deadline.Token)).Names)
            {
                if (await DataAsync(session, paths.Monitor(id), deadline.Token) is { } data)
                {
                    monitors.Add(id, data);
                }
            }

            return new ClusterReading(
                await DataAsync(session, paths.Leader, deadline.Token),
                await DataAsync(session, paths.Problems, deadline.Token),
                await DataAsync(session, paths.History, deadline.Token),
                monitors.ToImmutable());
        }
        catch (Exception e) when (e is ZooKeeperException or OperationCanceledException)
        {
            return null;
        }
    }

    private static async Task<ReadOnlyMemory<byte>?> DataAsync(ZooKeeperSession session, string path, CancellationToken cancellationToken)
    {
        try
        {
            return (await session.GetDataAsync(path, cancellationToken: cancellationToken)).Data;
        }
        catch (ZooKeeperException e) when (e.Code == ZooKeeperErrorCode.NoNode)
        {
            return null;
        }
    }
}
