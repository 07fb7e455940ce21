using System.Collections.Immutable;
using System.Text.Json;
using System.Threading.Channels;
using Microsoft.Extensions.Logging;
using RedisFailover.Monitor.Hosting;
using RedisFailover.ZooKeeper;

namespace RedisFailover.Monitor.ZooKeeper;

/// <summary>The content of <c>R/members/&lt;id&gt;</c>.</summary>
/// <param name="Host">Where the monitor runs.</param>
/// <param name="Since">When it registered.</param>
/// <param name="AwaySince">Since when the leader has missed it; null while it is here.</param>
internal sealed record MemberZnode(string Host, DateTime Since, DateTime? AwaySince);

/// <summary>
/// The registered monitors, <c>R/members</c>: persistent, so that a majority right after an election is one of all that belong here. Each
/// monitor enters its name, and takes it off when it stops in order; the leader takes off those that were away for monitor-absence.
/// </summary>
internal sealed class MemberRegister(
    ZooKeeperClient zooKeeper, MonitorSeat seat, ZnodePaths paths, string id, ChannelWriter<Observation> observations,
        MonotonicClock clock, ILogger logger)
{
    private static readonly TimeSpan RetryDelay = TimeSpan.FromSeconds(1);
    private static readonly TimeSpan TendInterval = TimeSpan.FromSeconds(10);
    private readonly Channel<bool> _missing =
        Channel.CreateBounded<bool>(new BoundedChannelOptions(1) { FullMode = BoundedChannelFullMode.DropOldest });
    private volatile bool _entered;

    /// <summary>Reports who is registered, whenever that changes.</summary>
    internal async Task WatchAsync(CancellationToken cancellationToken)
    {
        await using WatchedChildren members = zooKeeper.WatchChildren(paths.Members);
        await foreach (ImmutableArray<string>? names in members.ChangesAsync(cancellationToken))
        {
            observations.TryWrite(new MembersSeen(clock.Now, [.. (names ?? []).Where(n => n != id)]));
            if (names?.Contains(id) != true)
            {
                _missing.Writer.TryWrite(true);
            }
        }
    }

    /// <summary>Keeps our own name on the list, once this monitor has its place among the others.</summary>
    internal async Task KeepAsync(CancellationToken cancellationToken)
    {
        while (true)
        {
            await _missing.Reader.ReadAsync(cancellationToken);
            ZooKeeperSession session = await zooKeeper.GetSessionAsync(cancellationToken);
            await seat.EnteredAsync(session, cancellationToken);
            if (!await TryEnterAsync(session, cancellationToken))
            {
                _missing.Writer.TryWrite(true);
                await Task.Delay(RetryDelay, clock.Provider, cancellationToken);
            }
        }
    }

    /// <summary>Takes our name off: this monitor stops in order, or does not belong here.</summary>
    /// <exception cref="ZooKeeperException">It is not known whether it is off.</exception>
    internal async Task LeaveAsync(CancellationToken cancellationToken)
    {
        if (!_entered)
        {
            return;
        }

        _entered = false;
        ZooKeeperSession session = await zooKeeper.GetSessionAsync(cancellationToken);
        try
        {
            await session.DeleteAsync(paths.Member(id), -1, cancellationToken);
        }
        catch (ZooKeeperException e) when (e.Code == ZooKeeperErrorCode.NoNode)
        {
            // Somebody was quicker.
        }
    }

    /// <summary>While this monitor leads: notes since when the others are away, and forgets those that are for too long.</summary>
    internal async Task TendAsync(Leadership leadership, Func<TimeSpan> monitorAbsence, CancellationToken cancellationToken)
    {
        try
        {
            while (true)
            {
                TimeSpan absence = monitorAbsence();
                await Task.Delay(absence / 4 < TendInterval ? absence / 4 : TendInterval, clock.Provider, cancellationToken);
                try
                {
                    await TendOnceAsync(leadership, absence, cancellationToken);
                }
                catch (ZooKeeperException)
                {
                    // The next time: nothing is urgent here.
                }
            }
        }
        catch (OperationCanceledException) when (cancellationToken.IsCancellationRequested)
        {
            // Leadership is over.
        }
    }

    private async Task<bool> TryEnterAsync(ZooKeeperSession session, CancellationToken cancellationToken)
    {
        try
        {
            await session.EnsurePathAsync(paths.Members, cancellationToken);
            await session.CreateAsync(paths.Member(id), Content(clock.Provider.GetUtcNow(), null), CreateMode.Persistent, default,
                cancellationToken);
        }
        catch (ZooKeeperException e) when (e.Code == ZooKeeperErrorCode.NodeExists)
        {
            // From its former life; the leader takes note that it is back.
        }
        catch (ZooKeeperException)
        {
            return false;
        }

        return _entered = true;
    }

    private async Task TendOnceAsync(Leadership leadership, TimeSpan absence, CancellationToken cancellationToken)
    {
        ZooKeeperSession session = await zooKeeper.GetSessionAsync(cancellationToken);
        ImmutableArray<string> here = (await session.GetChildrenAsync(paths.Monitors, cancellationToken: cancellationToken)).Names;
        foreach (string name in (await session.GetChildrenAsync(paths.Members, cancellationToken: cancellationToken)).Names)
        {
            Znode znode = await session.GetDataAsync(paths.Member(name), null, cancellationToken);
            MemberZnode member = Parse(znode);
            DateTimeOffset now = clock.Provider.GetUtcNow();
            if (here.Contains(name) == (member.AwaySince is null))
            {
                if (member.AwaySince is { } since && now.UtcDateTime - since >= absence)
                {
                    await leadership.CommitAsync([ZnodeOperation.Delete(paths.Member(name), znode.Stat.Version)], cancellationToken);
                    Log.MemberForgotten(logger, name, (now.UtcDateTime - since).TotalHours);
                }

                continue;
            }

            byte[] content = JsonSerializer.SerializeToUtf8Bytes(
                member with { AwaySince = here.Contains(name) ? null : now.UtcDateTime }, MonitorJson.Default.MemberZnode);
            await leadership.CommitAsync([ZnodeOperation.SetData(paths.Member(name), content, znode.Stat.Version)], cancellationToken);
        }
    }

    private static ReadOnlyMemory<byte> Content(DateTimeOffset now, DateTime? awaySince)
        => JsonSerializer.SerializeToUtf8Bytes(new MemberZnode(Environment.MachineName, now.UtcDateTime, awaySince),
            MonitorJson.Default.MemberZnode);

    /// <summary>One that nobody can read is a name all the same.</summary>
    private static MemberZnode Parse(Znode znode)
    {
        try
        {
            return JsonSerializer.Deserialize(znode.Data.Span, MonitorJson.Default.MemberZnode) ?? new MemberZnode("", default, null);
        }
        catch (JsonException)
        {
            return new MemberZnode("", default, null);
        }
    }
}
