using System.Collections.Immutable;
using RedisFailover.Monitor.Hosting;
using RedisFailover.ZooKeeper;

namespace RedisFailover.Monitor.ZooKeeper;

/// <summary>
/// Reads and writes <c>R/config</c>. Every write carries the leader's fencing token and the answer to the request that it fulfils.
/// </summary>
/// <param name="sessions">The session that there is, as soon as there is one.</param>
/// <param name="paths">The cluster's znodes.</param>
/// <param name="monitorId">This monitor.</param>
/// <param name="clock">The clock.</param>
/// <param name="storeTime">The wall clock that all monitors share, by which a pause begins and ends; null while it is not known.</param>
/// <param name="fault">Why settings cannot hold, in one line; null where they can.</param>
internal sealed class ConfigStore(
    Func<CancellationToken, ValueTask<IZnodes>> sessions, ZnodePaths paths, string monitorId, MonotonicClock clock,
    Func<DateTimeOffset?> storeTime, Func<ClusterConfig, string?> fault)
{
    /// <summary>What the znode holds now; after the caller's sync.</summary>
    internal async Task<ConfigRead> ReadAsync(CancellationToken cancellationToken)
    {
        IZnodes session = await sessions(cancellationToken);
        try
        {
            return Interpret(await session.GetDataAsync(paths.Config, null, cancellationToken), synced: true);
        }
        catch (ZooKeeperException e) when (e.Code == ZooKeeperErrorCode.NoNode)
        {
            return Interpret(null, synced: true);
        }
    }

    /// <summary>What a value of the znode means.</summary>
    internal ConfigRead Interpret(Znode? znode, bool synced)
    {
        if (znode is null)
        {
            return new ConfigRead(clock.Now, -1, null, null, synced);
        }

        try
        {
            ClusterConfig config = ClusterConfigJson.Parse(znode.Data);
            return new ConfigRead(clock.Now, znode.Stat.Version, config, null, synced)
            {
                PauseLeft = config.Pause?.Until is { } until ? until - storeTime() : null,
            };
        }
        catch (FormatException e)
        {
            return new ConfigRead(clock.Now, znode.Stat.Version, null, e.Message, synced);
        }
    }

    /// <summary>
    /// Writes it if we still lead and nobody has changed it since it was read; settings that cannot hold are answered with the reason.
    /// </summary>
    /// <returns>The znode's new version and what was written; null where it was refused.</returns>
    /// <exception cref="ZooKeeperException">It was not written, or its fate is not known.</exception>
    internal async Task<(int Version, ClusterConfig? Written)> PublishAsync(
        ILeadership lead, PublishConfig publication, TopologyStore store, CancellationToken cancellationToken)
    {
        if (publication.Request is { Request.Change: ChangeSettings, Answer: { } answer } step && fault(publication.Next) is { } wrong)
        {
            await store.AnswerAsync(lead, step with { Answer = answer with { Outcome = RequestOutcome.Refused, Reason = wrong } },
                cancellationToken);
            return (-1, null);
        }

        ClusterConfig config = Signed(publication.Next);
        byte[] data = ClusterConfigJson.Write(config);
        ImmutableArray<ZnodeOperation> operations =
        [
            publication.ExpectedVersion < 0
                ? ZnodeOperation.Create(paths.Config, data) : ZnodeOperation.SetData(paths.Config, data, publication.ExpectedVersion),
        ];
        operations = publication.Request is { } request ? operations.Add(store.Operation(request)) : operations;
        ImmutableArray<ZnodeOperationResult> results = await lead.CommitAsync(operations, cancellationToken);
        if (publication.Record is { } record)
        {
            _ = store.RecordAsync(lead, record, cancellationToken);
        }

        return (results[0].Stat?.Version ?? 0, config);
    }

    private ClusterConfig Signed(ClusterConfig config)
    {
        DateTimeOffset now = storeTime() ?? clock.Provider.GetUtcNow();
        return config with
        {
            ChangedAt = now,
            ChangedBy = monitorId,
            Pause = config.Pause is { Since: var since } pause && since == default
                ? pause with { Since = now, Until = now + pause.For } : config.Pause,
        };
    }
}
