using System.Globalization;
using System.Security.Cryptography;

namespace RedisFailover.ZooKeeper;

/// <summary>The znode of a heartbeat, as it is made.</summary>
internal static class HeartbeatZnode
{
    /// <summary>
    /// A name of its own for every attempt (S7): a znode that was made and lost its reply is never taken for this one's beginning.
    /// </summary>
    internal static async Task<string> CreateAsync(
        ZooKeeperSession session, LeaseOptions options, TimeSpan length, CancellationToken cancellationToken)
    {
        string parent = options.HeartbeatsPath == "/" ? "" : options.HeartbeatsPath;
        string? unsure = null;
        while (true)
        {
            string once = RandomNumberGenerator.GetHexString(8, lowercase: true);
            string path = string.Create(CultureInfo.InvariantCulture, $"{parent}/{options.Owner}-{session.SessionId:x}-{once}");
            try
            {
                if (unsure is not null)
                {
                    await DeleteAsync(session, unsure).ConfigureAwait(false);
                    unsure = null;
                }

                await session.CreateAsync(path, new HeartbeatData(options.Owner, length, TimeSpan.Zero).ToBytes(), CreateMode.Ephemeral,
                    default, cancellationToken)
                    .ConfigureAwait(false);
                return path;
            }
            catch (ZooKeeperException e) when (e.Code == ZooKeeperErrorCode.NoNode)
            {
                await session.EnsurePathAsync(options.HeartbeatsPath, cancellationToken).ConfigureAwait(false);
            }
            catch (ZooKeeperException e) when (e.Code == ZooKeeperErrorCode.ConnectionLoss && !session.HasEnded)
            {
                unsure ??= path;
            }
        }
    }

    private static async Task DeleteAsync(ZooKeeperSession session, string path)
    {
        try
        {
            await session.DeleteAsync(path).ConfigureAwait(false);
        }
        catch (ZooKeeperException e) when (e.Code == ZooKeeperErrorCode.NoNode)
        {
            // It was never made.
        }
    }
}
