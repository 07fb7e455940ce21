namespace RedisFailover.ZooKeeper;

/// <summary>
/// Deletes the leader's znode of a candidate that no longer leads. Nobody else can lead before that is done or the session has ended, and a
/// session that reconnects does not end: so a lost reply is no reason to leave it at that.
/// </summary>
internal static class Withdrawal
{
    private static readonly TimeSpan RetryAfterError = TimeSpan.FromSeconds(1);

    /// <summary>Until an attempt is answered, the session has ended or the client is disposed. Does not throw.</summary>
    /// <param name="client">The client.</param>
    /// <param name="session">The session that holds the znode.</param>
    /// <param name="attempt">The first attempt, which is under way.</param>
    /// <param name="again">The next one. A request that is made without a connection waits for one.</param>
    internal static async Task RunAsync(ZooKeeperClient client, ZooKeeperSession session, Task attempt, Func<Task> again)
    {
        bool told = false;
        try
        {
            while (true)
            {
                try
                {
                    await attempt.ConfigureAwait(false);
                    return;
                }
                catch (ZooKeeperException e) when (e.Code == ZooKeeperErrorCode.Closing || session.HasEnded)
                {
                    // The znode goes with the session.
                    return;
                }
                catch (ZooKeeperException e) when (e.Code == ZooKeeperErrorCode.ConnectionLoss)
                {
                    // Deleted or not: the next attempt finds out.
                }
                catch (ZooKeeperException e)
                {
                    if (!told)
                    {
                        told = true;
                        Log.ElectionFailed(client.Logger, e.Message);
                    }

                    await Task.Delay(RetryAfterError, client.Time, client.Disposing).ConfigureAwait(false);
                }

                attempt = again();
            }
        }
        catch (OperationCanceledException)
        {
            // The client closes its session.
        }
    }

    /// <summary>Deletes the znode of that term; one of another term is somebody else's.</summary>
    internal static async Task DeleteAsync(ZooKeeperSession session, LeaderElectionOptions options, int term, CancellationToken cancellationToken)
    {
        try
        {
            await session.MultiAsync(
                [ZnodeOperation.Check(options.TermPath, term), ZnodeOperation.Delete(options.LeaderPath)], cancellationToken).ConfigureAwait(false);
        }
        catch (ZooKeeperException e) when (e.Code is ZooKeeperErrorCode.BadVersion or ZooKeeperErrorCode.NoNode || session.HasEnded)
        {
            // It is gone, or somebody else leads already.
        }
    }
}
