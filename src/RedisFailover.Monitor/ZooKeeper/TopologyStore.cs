using System.Collections.Immutable;
using Microsoft.Extensions.Logging;
using RedisFailover.Monitor.Hosting;
using RedisFailover.ZooKeeper;

namespace RedisFailover.Monitor.ZooKeeper;

/// <summary>Reads and writes the znodes that tell of the topology. Every write carries the leader's fencing token.</summary>
/// <param name="sessions">The session that there is, as soon as there is one.</param>
/// <param name="paths">The cluster's znodes.</param>
/// <param name="monitorId">This monitor.</param>
/// <param name="clock">The clock.</param>
/// <param name="logger">Where what cannot be written is told.</param>
internal sealed class TopologyStore(
    Func<CancellationToken, ValueTask<IZnodes>> sessions, ZnodePaths paths, string monitorId, MonotonicClock clock, ILogger logger)
{
    /// <summary>
    /// How long the history waits after a publication. The clients read the new topology just then, and a ZooKeeper server answers no read
    /// before the writes that it received earlier are on its disk.
    /// </summary>
    private static readonly TimeSpan ReadersFirst = TimeSpan.FromMilliseconds(25);

    /// <summary>Entries stand in the order in which things happened, also where one waits for the readers.</summary>
    private readonly OneAtATime _entries = new();

    /// <summary>The term in which the topology was last read.</summary>
    private int _readTerm = -1;

    /// <summary>Told of each topology that the leader reads or has written, before it can act by it.</summary>
    internal Action<Topology>? Seen { get; set; }

    /// <summary>Told why the history cannot be read, or an entry not be written; null: one was.</summary>
    internal Action<ZooKeeperException?>? HistoryFailed { get; init; }

    /// <summary>
    /// What the znode holds now, so that nothing is missed that was acknowledged before: read after a sync, or as the first thing after the
    /// election. A change of master that its leader published and did not live to note in the history is noted now.
    /// </summary>
    internal async Task<TopologyRead> ReadAsync(ILeadership lead, Func<Task> beside, CancellationToken cancellationToken)
    {
        IZnodes session = await sessions(cancellationToken);
        // One round trip: what is asked on one session is answered in order, and each answer may wait for a write that came before it. The
        // election is such a write: all that former leaders have written lies before it, and what they try after it fails at their fence.
        bool isOrdered = _readTerm != lead.Term && lead.IsOf(session);
        _readTerm = lead.Term;
        Task sync = isOrdered ? Task.CompletedTask : session.SyncAsync(paths.Nodes, cancellationToken);
        Task<Znode?> nodes = GetAsync(session, paths.Nodes, cancellationToken);
        Task<Znode?> changes = HistoryAsync(session, cancellationToken);
        await Task.WhenAll(sync, nodes, changes, beside());
        Znode? history = await changes;
        TopologyRead read = Interpret(clock.Now, clock.Provider.GetUtcNow(), await nodes, synced: true) with
        {
            LastEpoch = LastEpoch(history),
        };
        if (read.Topology is { } topology)
        {
            Seen?.Invoke(topology);
            if (Unrecorded(topology, Entries(history)) is not null)
            {
                _ = RecordMissingAsync(lead, topology, cancellationToken);
            }
        }

        return read;
    }

    /// <summary>
    /// The entry that the history lacks about the last change of master, or null. Of a topology that was not written by such a monitor
    /// only the epoch and the master are known.
    /// </summary>
    internal static HistoryEntry? Unrecorded(Topology topology, ImmutableArray<HistoryEntry> history)
    {
        if (topology.LastChange is { } change)
        {
            return history.Any(e => e.Epoch == change.Epoch && e.Kind == change.Kind && e.By == change.By && e.At >= change.At) ? null
                : change with
                {
                    Reason =
                        $"{change.Reason} (noted afterwards, as {change.By} did not get to it: how long the publication took is not known)",
                    Millis = [.. change.Millis.Where(step => step.Key != "total")],
                };
        }

        return topology is not { State: TopologyState.Ok, Epoch: > 0 }
            || history.Any(e => e.Epoch >= topology.Epoch
                && e.Kind is HistoryKind.Adopted or HistoryKind.Failover or HistoryKind.Switchover or HistoryKind.Restored) ? null
            : new HistoryEntry
            {
                Kind = history.LastOrDefault(e => e.To is not null) is not { } last ? HistoryKind.Adopted
                    : last.To == topology.Master ? HistoryKind.Overwritten
                    : HistoryKind.Failover,
                Epoch = topology.Epoch,
                From = history.LastOrDefault(e => e.To is not null)?.To,
                To = topology.Master,
                Reason = $"{topology.Reason} (noted afterwards, from the topology alone: how long it took and what was lost is not known)",
            };
    }

    /// <summary>What a value of the znode means.</summary>
    internal static TopologyRead Interpret(TimeSpan now, DateTimeOffset wallClock, Znode? znode, bool synced)
    {
        // An empty znode is how some create the path beforehand.
        if (znode is null || znode.Data.IsEmpty)
        {
            return new TopologyRead(now, znode?.Stat.Version ?? -1, null, null, 0, synced);
        }

        try
        {
            Topology topology = TopologyJson.Parse(znode.Data);
            return new TopologyRead(now, znode.Stat.Version, topology, null, 0, synced)
            {
                // By two machines' clocks, which may differ.
                ChangeAge = topology.Intent?.Since is { } since ? TimeSpan.FromTicks(Math.Max(0, (wallClock - since).Ticks)) : null,
            };
        }
        catch (FormatException e)
        {
            return new TopologyRead(now, znode.Stat.Version, null, e.Message, 0, synced);
        }
    }

    /// <summary>Writes the topology if we still lead and nobody has changed it since it was read.</summary>
    /// <returns>The znode's new version, and what was written.</returns>
    /// <exception cref="ZooKeeperException">It was refused, or its fate is not known.</exception>
    internal async Task<(int Version, Topology Written)> PublishAsync(ILeadership lead, PublishTopology publication,
        CancellationToken cancellationToken)
    {
        Topology topology = Signed(publication);
        byte[] data = TopologyJson.Write(topology);
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
                results = await lead.CommitAsync(operations, cancellationToken);
                break;
            }
            catch (ZooKeeperException e) when (e.FailedIndex is > 0 and var index && operations[index].Kind != ZnodeOperationKind.Check)
            {
                // The operator took the wish back meanwhile, or hung something below it: no reason not to publish. One that is only
                // taken up with this must still be there.
                operations = operations.RemoveAt(index);
            }
        }

        Seen?.Invoke(topology);
        if (publication.Record is { } record)
        {
            double millis = (clock.Now - begun).TotalMilliseconds;
            HistoryEntry signed = Signed(record with { Millis = WithPublication(record.Millis, millis) });
            _ = RecordAsync(lead, signed, Unless(signed), cancellationToken, ReadersFirst);
        }

        return (results[0].Stat?.Version ?? 0, topology);
    }

    /// <summary>
    /// With who and when; an intent also with the time of the first failure, the end of a change with what the history will say of it.
    /// </summary>
    private Topology Signed(PublishTopology publication)
    {
        DateTimeOffset now = clock.Provider.GetUtcNow();
        Topology topology = publication.Next with
        {
            ChangedAt = now, ChangedBy = monitorId, Incarnation = publication.Next.Incarnation ?? Guid.NewGuid().ToString("N"),
        };
        if (topology.Intent is { Since: null } intent)
        {
            topology =
                topology with { Intent = intent with { Since = publication.FailingSince is { } since ? now - (clock.Now - since) : now } };
        }

        return publication.Record is { } record ? topology with { LastChange = record with { At = now, By = monitorId } } : topology;
    }

    /// <summary>Answers an operator's request, unless it was answered or taken back meanwhile.</summary>
    internal async Task AnswerAsync(ILeadership lead, RequestStep step, CancellationToken cancellationToken)
    {
        try
        {
            await lead.CommitAsync([Operation(step)], cancellationToken);
        }
        catch (ZooKeeperException e) when (e.FailedIndex == 0)
        {
            // Nobody waits for it any more.
        }
    }

    /// <summary>Removes the operator's wish in manual_failover.</summary>
    internal async Task ClearWishAsync(ILeadership lead, CancellationToken cancellationToken)
    {
        try
        {
            await lead.CommitAsync([ZnodeOperation.Delete(paths.ManualFailover)], cancellationToken);
        }
        catch (ZooKeeperException e) when (e.Code is ZooKeeperErrorCode.NoNode or ZooKeeperErrorCode.NotEmpty)
        {
            // It is gone already, or somebody hung something below it and has to remove that himself.
        }
    }

    /// <summary>Adds an entry to the history. One that cannot be written is logged and given up: no failover waits for it.</summary>
    internal Task RecordAsync(ILeadership lead, HistoryEntry entry, CancellationToken cancellationToken)
    {
        HistoryEntry signed = Signed(entry);
        return RecordAsync(lead, signed, Unless(signed), cancellationToken);
    }

    /// <summary>The entry, unless it is there: its writing may have been applied though nobody was told.</summary>
    private static Func<ImmutableArray<HistoryEntry>, HistoryEntry?> Unless(HistoryEntry entry)
        => entries => entries.Any(e => (e.Kind, e.Epoch, e.By) == (entry.Kind, entry.Epoch, entry.By)
            && (e.At - entry.At).Duration() < TimeSpan.FromMilliseconds(1)) ? null : entry;

    private HistoryEntry Signed(HistoryEntry entry) => entry with { At = clock.Provider.GetUtcNow(), By = monitorId };

    /// <summary>Unless it is there by now: this monitor's own entry may have been on its way.</summary>
    private Task RecordMissingAsync(ILeadership lead, Topology topology, CancellationToken cancellationToken)
        => RecordAsync(
            lead,
            null,
            entries => Unrecorded(topology, entries) is { } entry ? entry with
            {
                At = entry.At != default ? entry.At : topology.ChangedAt != default ? topology.ChangedAt : clock.Provider.GetUtcNow(),
                By = entry.By.Length > 0 ? entry.By : topology.ChangedBy,
            }
            : null,
            cancellationToken);

    private async Task RecordAsync(
        ILeadership lead,
        HistoryEntry? entry,
        Func<ImmutableArray<HistoryEntry>, HistoryEntry?> entryFor,
        CancellationToken cancellationToken,
        TimeSpan delay = default)
    {
        bool hasEntered = false;
        try
        {
            await _entries.EnterAsync(cancellationToken);
            hasEntered = true;
            if (delay > TimeSpan.Zero)
            {
                await Task.Delay(delay, clock.Provider, cancellationToken);
            }

            while (!await TryRecordAsync(lead, entryFor, cancellationToken))
            {
                // The connection was lost, and it is not known whether it was written: that is read with the next one.
            }
        }
        catch (ZooKeeperException e)
        {
            Untold(entry, e.Message);
            // Without a right to it, or over the quota say: more will not be written either.
            bool isOver = e.Code is ZooKeeperErrorCode.SessionExpired or ZooKeeperErrorCode.Closing || e.FailedIndex == -1;
            HistoryFailed?.Invoke(isOver ? null : e);
        }
        catch (OperationCanceledException) when (cancellationToken.IsCancellationRequested)
        {
            Untold(entry, "leadership was lost");
        }
        finally
        {
            if (hasEntered)
            {
                _entries.Leave();
            }
        }
    }

    /// <summary>False where the connection was lost meanwhile.</summary>
    private async Task<bool> TryRecordAsync(
        ILeadership lead, Func<ImmutableArray<HistoryEntry>, HistoryEntry?> entryFor, CancellationToken cancellationToken)
    {
        IZnodes session = await sessions(cancellationToken);
        try
        {
            Znode? znode = await GetAsync(session, paths.History, cancellationToken);
            ImmutableArray<HistoryEntry> entries = Entries(znode);
            if (entryFor(entries) is { } entry)
            {
                byte[] data = HistoryJson.Write(entries.Add(entry));
                await lead.CommitAsync(
                    [znode is null
                        ? ZnodeOperation.Create(paths.History, data) : ZnodeOperation.SetData(paths.History, data, znode.Stat.Version)],
                    cancellationToken);
                Log.Recorded(logger, entry);
                HistoryFailed?.Invoke(null);
            }

            return true;
        }
        catch (ZooKeeperException e) when (e.Code == ZooKeeperErrorCode.ConnectionLoss)
        {
            return false;
        }
    }

    /// <summary>What could not be written is at least in the log.</summary>
    private void Untold(HistoryEntry? entry, string failure)
    {
        if (entry is not null)
        {
            Log.Recorded(logger, entry);
        }

        Log.HistoryNotWritten(logger, entry?.Reason ?? "an entry that is missing", failure);
    }

    /// <summary>Each to the version that was read: a request is taken up once and answered once, whoever leads.</summary>
    internal ZnodeOperation Operation(RequestStep step)
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

    private static ImmutableArray<KeyValuePair<string, double>> WithPublication(ImmutableArray<KeyValuePair<string, double>> steps,
        double millis)
        => steps is [.. var before, { Key: "total" } total]
            ? [.. before, KeyValuePair.Create("publication", millis), KeyValuePair.Create("total", total.Value + millis)]
            : steps.IsEmpty ? steps : steps.Add(KeyValuePair.Create("publication", millis));

    /// <summary>A history that may not be read keeps nobody from leading.</summary>
    private async Task<Znode?> HistoryAsync(IZnodes session, CancellationToken cancellationToken)
    {
        try
        {
            return await GetAsync(session, paths.History, cancellationToken);
        }
        catch (ZooKeeperException e) when (e.Code == ZooKeeperErrorCode.NoAuth)
        {
            HistoryFailed?.Invoke(e);
            return null;
        }
    }

    private static async Task<Znode?> GetAsync(IZnodes session, string path, CancellationToken cancellationToken)
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
