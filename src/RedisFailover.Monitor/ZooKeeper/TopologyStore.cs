using System.Collections.Immutable;
using Microsoft.Extensions.Logging;
using RedisFailover.Monitor.Hosting;
using RedisFailover.ZooKeeper;

namespace RedisFailover.Monitor.ZooKeeper;

/// <summary>Reads and writes the znodes that tell of the topology. Every write carries the leader's fencing token.</summary>
internal sealed class TopologyStore(ZooKeeperClient zooKeeper, ZnodePaths paths, string monitorId, MonotonicClock clock, ILogger logger) : IDisposable
{
    private readonly SemaphoreSlim _history = new(1, 1);

    /// <inheritdoc/>
    public void Dispose() => _history.Dispose();

    /// <summary>What the znode holds now: read after a sync, so that nothing that was acknowledged before is missed.</summary>
    internal async Task<TopologyRead> ReadAsync(CancellationToken cancellationToken)
    {
        ZooKeeperSession session = await zooKeeper.GetSessionAsync(cancellationToken);
        await session.SyncAsync(paths.Nodes, cancellationToken);
        Znode? nodes = await GetAsync(session, paths.Nodes, cancellationToken);
        Znode? history = await GetAsync(session, paths.History, cancellationToken);
        return Interpret(clock.Now, nodes, synced: true) with { LastEpoch = LastEpoch(history) };
    }

    /// <summary>What a value of the znode means.</summary>
    internal static TopologyRead Interpret(TimeSpan now, Znode? znode, bool synced)
    {
        // An empty znode is how some create the path beforehand.
        if (znode is null || znode.Data.IsEmpty)
        {
            return new TopologyRead(now, znode?.Stat.Version ?? -1, null, null, 0, synced);
        }

        try
        {
            return new TopologyRead(now, znode.Stat.Version, TopologyJson.Parse(znode.Data), null, 0, synced);
        }
        catch (FormatException e)
        {
            return new TopologyRead(now, znode.Stat.Version, null, e.Message, 0, synced);
        }
    }

    /// <summary>Writes the topology if we still lead and nobody has changed it since it was read.</summary>
    /// <returns>The znode's new version.</returns>
    /// <exception cref="ZooKeeperException">It was refused, or its fate is not known.</exception>
    internal async Task<int> PublishAsync(Leadership leadership, PublishTopology publication, CancellationToken cancellationToken)
    {
        byte[] data = TopologyJson.Write(publication.Next with { ChangedAt = clock.Provider.GetUtcNow(), ChangedBy = monitorId });
        ZnodeOperation write = publication.ExpectedVersion < 0
            ? ZnodeOperation.Create(paths.Nodes, data)
            : ZnodeOperation.SetData(paths.Nodes, data, publication.ExpectedVersion);
        TimeSpan begun = clock.Now;
        ImmutableArray<ZnodeOperation> operations = [write];
        operations = publication.ClearsWish ? operations.Add(ZnodeOperation.Delete(paths.ManualFailover)) : operations;
        operations = publication.Request is { } step ? operations.Add(Operation(step)) : operations;
        ImmutableArray<ZnodeOperationResult> results;
        while (true)
        {
            try
            {
                results = await leadership.CommitAsync(operations, cancellationToken);
                break;
            }
            catch (ZooKeeperException e) when (e.FailedIndex is > 0 and var index && operations[index].Kind != ZnodeOperationKind.Check)
            {
                // The operator took the wish back meanwhile, or hung something below it: no reason not to publish. One that is only
                // taken up with this must still be there.
                operations = operations.RemoveAt(index);
            }
        }

        if (publication.Record is { } record)
        {
            double millis = (clock.Now - begun).TotalMilliseconds;
            _ = RecordAsync(leadership, record with { Millis = WithPublication(record.Millis, millis) }, cancellationToken);
        }

        return results[0].Stat?.Version ?? 0;
    }

    /// <summary>Answers an operator's request, unless it was answered or taken back meanwhile.</summary>
    internal async Task AnswerAsync(Leadership leadership, RequestStep step, CancellationToken cancellationToken)
    {
        try
        {
            await leadership.CommitAsync([Operation(step)], cancellationToken);
        }
        catch (ZooKeeperException e) when (e.FailedIndex == 0)
        {
            // Nobody waits for it any more.
        }
    }

    /// <summary>Removes the operator's wish in manual_failover.</summary>
    internal async Task ClearWishAsync(Leadership leadership, CancellationToken cancellationToken)
    {
        try
        {
            await leadership.CommitAsync([ZnodeOperation.Delete(paths.ManualFailover)], cancellationToken);
        }
        catch (ZooKeeperException e) when (e.Code is ZooKeeperErrorCode.NoNode or ZooKeeperErrorCode.NotEmpty)
        {
            // It is gone already, or somebody hung something below it and has to remove that himself.
        }
    }

    /// <summary>Adds an entry to the history. One that cannot be written is logged and given up: no failover waits for it.</summary>
    internal async Task RecordAsync(Leadership leadership, HistoryEntry entry, CancellationToken cancellationToken)
    {
        entry = entry with { At = clock.Provider.GetUtcNow(), By = monitorId };
        try
        {
            await _history.WaitAsync(cancellationToken);
            try
            {
                ZooKeeperSession session = await zooKeeper.GetSessionAsync(cancellationToken);
                Znode? znode = await GetAsync(session, paths.History, cancellationToken);
                ImmutableArray<HistoryEntry> entries = Entries(znode);
                byte[] data = HistoryJson.Write(entries.Add(entry));
                await leadership.CommitAsync(
                    [znode is null ? ZnodeOperation.Create(paths.History, data) : ZnodeOperation.SetData(paths.History, data, znode.Stat.Version)],
                    cancellationToken);
            }
            finally
            {
                _history.Release();
            }
        }
        catch (ZooKeeperException e)
        {
            Log.HistoryNotWritten(logger, entry.Reason, e.Message);
        }
        catch (OperationCanceledException) when (cancellationToken.IsCancellationRequested)
        {
            Log.HistoryNotWritten(logger, entry.Reason, "the lead was lost");
        }
    }

    /// <summary>Each to the version that was read: a request is taken up once and answered once, whoever leads.</summary>
    private ZnodeOperation Operation(RequestStep step)
        => step.Answer is { } answer
            ? ZnodeOperation.SetData(
                paths.Request(step.Request.Id),
                (step.Request with { Answer = answer with { At = clock.Provider.GetUtcNow(), By = monitorId } }).Write(),
                step.Request.Version)
            : ZnodeOperation.Check(paths.Request(step.Request.Id), step.Request.Version);

    private ImmutableArray<HistoryEntry> Entries(Znode? znode)
    {
        try
        {
            return znode is null ? [] : HistoryJson.Parse(znode.Data);
        }
        catch (FormatException e)
        {
            Log.HistoryNotReadable(logger, e.Message);
            return [];
        }
    }

    private long LastEpoch(Znode? history) => Entries(history).Select(e => e.Epoch).DefaultIfEmpty(0).Max();

    private static ImmutableArray<KeyValuePair<string, double>> WithPublication(ImmutableArray<KeyValuePair<string, double>> steps, double millis)
        => steps is [.. var before, { Key: "total" } total]
            ? [.. before, KeyValuePair.Create("publication", millis), KeyValuePair.Create("total", total.Value + millis)]
            : steps;

    private static async Task<Znode?> GetAsync(ZooKeeperSession session, string path, CancellationToken cancellationToken)
    {
        try
        {
            return await session.GetDataAsync(path, null, cancellationToken);
        }
        catch (ZooKeeperException e) when (e.Code == ZooKeeperErrorCode.NoNode)
        {
            return null;
        }
    }
}
