using System.Collections.Immutable;
using System.Globalization;
using System.Runtime.CompilerServices;
using System.Security.Cryptography;

namespace RedisFailover.ZooKeeper;

/// <summary>
/// Another heartbeat of the same process, beside the election's znodes, for those who look for heartbeats there and not where the first
/// one is, and while such a process beats there. It shows that its owner is alive, and nothing more: leases go by the first one alone.
/// </summary>
/// <param name="keeper">The first heartbeat.</param>
/// <param name="heartbeatsPath">The parent of the heartbeats there.</param>
internal sealed class PerClusterHeartbeat(LeaseKeeper keeper, string heartbeatsPath)
{
    private static readonly TimeSpan LookEvery = TimeSpan.FromSeconds(1);

    private string? _path;
    private ZooKeeperSession? _session;

    /// <summary>Follows the heartbeats there, and beats while one of them needs it; until it is cancelled.</summary>
    /// <param name="isAlive">Asked before each beat: false when what shows itself by this has stopped to work.</param>
    /// <param name="cancellationToken">Ends it; the znode goes.</param>
    public async Task KeepAsync(Func<bool> isAlive, CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(isAlive);
        if (heartbeatsPath == keeper.HeartbeatsPath)
        {
            await Task.Delay(Timeout.InfiniteTimeSpan, keeper.Client.Time, cancellationToken).ConfigureAwait(false);
        }

        WatchedChildren names = keeper.Client.WatchChildren(heartbeatsPath);
        await using ConfiguredAsyncDisposable disposing = names.ConfigureAwait(false);
        try
        {
            while (true)
            {
                try
                {
                    ZooKeeperSession session = await keeper.Client.GetSessionAsync(cancellationToken).ConfigureAwait(false);
                    await LookAsync(session, IsNeeded(names.Current ?? [], session), isAlive, cancellationToken).ConfigureAwait(false);
                }
                catch (ZooKeeperException e)
                {
                    // It stands there still when a connection is lost. Otherwise the next round finds out.
                    _session = e.Code == ZooKeeperErrorCode.ConnectionLoss ? _session : null;
                }

                TimeSpan wait = _session is null ? LookEvery : LeaseRules.BeatEvery(keeper.Status.Length);
                await Task.Delay(wait, keeper.Client.Time, cancellationToken).ConfigureAwait(false);
            }
        }
        finally
        {
            await RemoveAsync(CancellationToken.None).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        }
    }

    private async Task LookAsync(ZooKeeperSession session, bool isNeeded, Func<bool> isAlive, CancellationToken cancellationToken)
    {
        if (!isNeeded)
        {
            await RemoveAsync(cancellationToken).ConfigureAwait(false);
        }
        else if (_session != session)
        {
            await CreateAsync(session, cancellationToken).ConfigureAwait(false);
        }
        else if (isAlive() && keeper.IsAlive)
        {
            await session.SetDataAsync(_path!, Data(), -1, cancellationToken).ConfigureAwait(false);
        }
    }

    /// <summary>Whether somebody beats there who does not beat elsewhere.</summary>
    private bool IsNeeded(ImmutableArray<string> names, ZooKeeperSession session)
    {
        string own = Prefix(session);
        bool needed = false;
        foreach (string name in names.Where(n => !n.StartsWith(own, StringComparison.Ordinal)))
        {
            needed |= keeper.Watch($"{heartbeatsPath}/{name}").Current is { IsGone: false, IsSecond: false };
        }

        return needed;
    }

    private async Task CreateAsync(ZooKeeperSession session, CancellationToken cancellationToken)
    {
        string path = $"{heartbeatsPath}/{Prefix(session)}{RandomNumberGenerator.GetHexString(8, lowercase: true)}";
        await session.CreateAsync(path, Data(), CreateMode.Ephemeral, default, cancellationToken).ConfigureAwait(false);
        (_path, _session) = (path, session);
    }

    private async Task RemoveAsync(CancellationToken cancellationToken)
    {
        if (_session is not { } session)
        {
            return;
        }

        _session = null;
        try
        {
            await session.DeleteAsync(_path!, -1, cancellationToken).ConfigureAwait(false);
        }
        catch (ZooKeeperException)
        {
            // It goes with its session.
        }
    }

    private ReadOnlyMemory<byte> Data()
    {
        LeaseStatus status = keeper.Status;
        return new HeartbeatData(keeper.Owner, status.Length, status.Write, keeper.HeartbeatPath ?? keeper.HeartbeatsPath).ToBytes();
    }

    private string Prefix(ZooKeeperSession session)
        => string.Create(CultureInfo.InvariantCulture, $"{keeper.Owner}-{session.SessionId:x}-");
}
