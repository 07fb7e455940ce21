namespace RedisFailover.ZooKeeper;

/// <summary>What the znodes of an election held at one moment.</summary>
/// <param name="Leader">The leader's znode; null when there is none. Somebody may have put one there that is no leader's.</param>
/// <param name="Term">The term: who leads, and its version, the fencing token.</param>
internal sealed record ElectionState(Znode? Leader, Znode Term)
{
    /// <summary>Whom the term names.</summary>
    internal TermData Holder { get; } = TermData.Read(Term.Data);

    /// <summary>Whether a session holds the leader's znode: one that no session holds is no leader's.</summary>
    internal bool IsHeld => Leader is { Stat.EphemeralOwner: not 0 };
}

/// <summary>Reads the znodes of an election, and makes those that are missing.</summary>
internal sealed class ElectionZnodes(LeaderElectionOptions options)
{
    /// <summary>
    /// Both in one round trip. Whoever goes by this checks the version of the term in the same transaction (S3): the two need not be of one
    /// moment.
    /// </summary>
    internal async Task<ElectionState> ReadAsync(ZooKeeperSession session, ElectionNews? news, CancellationToken cancellationToken)
    {
        while (true)
        {
            // The three are answered in this order.
            Task sync = session.SyncAsync(options.TermPath, cancellationToken);
            Task<Znode?> leader = GetAsync(session, options.LeaderPath, news, cancellationToken);
            Task<Znode?> term = GetAsync(session, options.TermPath, news, cancellationToken);
            await Task.WhenAll(sync, leader, term).ConfigureAwait(false);
            if (await term.ConfigureAwait(false) is { } found)
            {
                return new ElectionState(await leader.ConfigureAwait(false), found);
            }

            await EnsureLeadersParentAsync(session, cancellationToken).ConfigureAwait(false);
            await session.EnsurePathAsync(options.TermPath, cancellationToken).ConfigureAwait(false);
        }
    }

    internal Task EnsureLeadersParentAsync(ZooKeeperSession session, CancellationToken cancellationToken)
    {
        int slash = options.LeaderPath.LastIndexOf('/');
        return session.EnsurePathAsync(slash > 0 ? options.LeaderPath[..slash] : "/", cancellationToken);
    }

    /// <summary>
    /// Deletes what somebody hung below the znode in the leader's place; what a session holds stays. Whether nothing is left there.
    /// </summary>
    internal Task<bool> ClearAsync(ZooKeeperSession session, CancellationToken cancellationToken)
        => ClearBelowAsync(session, options.LeaderPath, cancellationToken);

    private static async Task<bool> ClearBelowAsync(ZooKeeperSession session, string path, CancellationToken cancellationToken)
    {
        bool isClear = true;
        try
        {
            foreach (string name in (await session.GetChildrenAsync(path, null, cancellationToken).ConfigureAwait(false)).Names)
            {
                string child = $"{path}/{name}";
                ZnodeStat? stat = await session.ExistsAsync(child, null, cancellationToken).ConfigureAwait(false);
                if (stat is { EphemeralOwner: not 0 } || !await ClearBelowAsync(session, child, cancellationToken).ConfigureAwait(false))
                {
                    isClear = false;
                }
                else if (stat is not null)
                {
                    await session.DeleteAsync(child, -1, cancellationToken).ConfigureAwait(false);
                }
            }
        }
        catch (ZooKeeperException e) when (e.Code == ZooKeeperErrorCode.NoNode)
        {
            // Somebody else was quicker.
        }

        return isClear;
    }

    private static async Task<Znode?> GetAsync(
        ZooKeeperSession session, string path, ElectionNews? news, CancellationToken cancellationToken)
    {
        try
        {
            return await session.GetDataWatchedAsync(path, news?.Watcher, cancellationToken).ConfigureAwait(false);
        }
        catch (ZooKeeperException e) when (e.Code == ZooKeeperErrorCode.NoNode)
        {
            return null;
        }
    }
}

/// <summary>One watch for the term and the leader's znode: completed when either changes, or the session ends.</summary>
internal sealed class ElectionNews : IDisposable
{
    private readonly TaskCompletionSource _come = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly ZooKeeperSession _session;
    private readonly LeaderElectionOptions _options;

    internal ElectionNews(ZooKeeperSession session, LeaderElectionOptions options)
    {
        (_session, _options) = (session, options);
        Watcher = new Watcher(_ => _come.TrySetResult(), Inline: true);
    }

    internal Watcher Watcher { get; }

    internal Task Come => _come.Task;

    public void Dispose()
    {
        _session.Forget(_options.TermPath, Watcher);
        _session.Forget(_options.LeaderPath, Watcher);
    }
}
