namespace RedisFailover.ZooKeeper;

/// <summary>
/// Empties the term of a candidate that no longer leads, and deletes the leader's znode with it: anybody may stand at once then. The
/// heartbeat goes on, and nobody else can lead before this is done or the session has ended: so a lost reply is no reason to leave it at
/// that.
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
                    // Emptied or not: the next attempt finds out.
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

    /// <summary>Empties the term if it is still that one; a later one is somebody else's.</summary>
    internal static async Task EmptyAsync(ZooKeeperSession session, LeaderElectionOptions options, int term,
        CancellationToken cancellationToken)
    {
        var empty = ZnodeOperation.SetData(options.TermPath, default, term);
        try
        {
            await session.MultiAsync([empty, ZnodeOperation.Delete(options.LeaderPath)], cancellationToken).ConfigureAwait(false);
        }
        catch (ZooKeeperException e) when (e is { FailedIndex: 1, Code: ZooKeeperErrorCode.NoNode or ZooKeeperErrorCode.NotEmpty })
        {
            // Somebody has deleted the leader's znode, or put another in its place: the term is emptied all the same.
            await EmptyAloneAsync(session, options, term, cancellationToken).ConfigureAwait(false);
        }
        catch (ZooKeeperException e) when (e.Code is ZooKeeperErrorCode.BadVersion or ZooKeeperErrorCode.NoNode || session.HasEnded)
        {
            // It is empty, or somebody else leads already.
        }
    }

    private static async Task EmptyAloneAsync(ZooKeeperSession session, LeaderElectionOptions options, int term,
        CancellationToken cancellationToken)
    {
        try
        {
            await session.SetDataAsync(options.TermPath, default, term, cancellationToken).ConfigureAwait(false);
        }
        catch (ZooKeeperException e) when (e.Code is ZooKeeperErrorCode.BadVersion or ZooKeeperErrorCode.NoNode || session.HasEnded)
        {
            // As above.
        }
    }
}
