using System.Collections.Immutable;

namespace RedisFailover.ZooKeeper;

/// <summary>What an election is about.</summary>
public sealed record LeaderElectionOptions
{
    /// <summary>The ephemeral znode that the leader holds, for people and for older releases. Missing parents are created.</summary>
    public required string LeaderPath { get; init; }

    /// <summary>
    /// The persistent znode that names the leader and its heartbeat, and whose version is the fencing token. Created when missing; never
    /// delete it.
    /// </summary>
    public required string TermPath { get; init; }

    /// <summary>
    /// This candidate; unique among all processes, past ones included, and per process start. A client has one candidate for a pair of
    /// paths: a second one takes the first one's lead for an earlier one of its own.
    /// </summary>
    public required string CandidateId { get; init; }

    /// <summary>Makes the content of <see cref="LeaderPath"/>; called once per attempt.</summary>
    public required Func<ReadOnlyMemory<byte>> LeaderData { get; init; }

    /// <summary>Completes when this process may stand for election in that session; asked before each attempt. Default: at once.</summary>
    public Func<ZooKeeperSession, CancellationToken, Task>? Admission { get; init; }

    /// <summary>
    /// How long an empty term is left to others who should rather have it; asked once for each. A silent leader is replaced without regard
    /// to this. Default: not at all.
    /// </summary>
    public Func<TimeSpan>? Deference { get; init; }

    /// <summary>
    /// Asked before each beat, on the beats' own thread: false when what acts by this lead has stopped working, which ends it. Default:
    /// it works.
    /// </summary>
    public Func<bool>? IsAlive { get; init; }
}

/// <summary>
/// Elects one leader among a handful of candidates. One znode decides: the term. If it is empty anybody stands at once; otherwise the
/// leader that it names is replaced when its heartbeat was not seen to change for 1.25 of its lease. Either is one transaction that writes
/// the term, the leader's ephemeral znode and the winner's own heartbeat, and that fails if the old leader's heartbeat has changed. A
/// leader of an older release names no heartbeat, and is left to its session.
/// </summary>
public sealed class LeaderElection
{
    private static readonly TimeSpan RetryAfterError = TimeSpan.FromSeconds(1);

    private readonly ZooKeeperClient _client;
    private readonly LeaderElectionOptions _options;
    private readonly LeaseKeeper _keeper;

    /// <summary>While there is no connection: how often it is looked for.</summary>
    private static readonly TimeSpan NotConnected = TimeSpan.FromMilliseconds(50);

    /// <summary>The heartbeat that was taken for silent and was not, and the version that it was known by.</summary>
    private (string? Path, int Version) _mistaken;

    /// <summary>The empty term that was left to others already.</summary>
    private int _deferred = -1;

    /// <summary>
    /// What undoes a campaign that was cancelled, or leadership given up: it must not undo the next one, which finds the same znode.
    /// </summary>
    private Task _withdrawal = Task.CompletedTask;

    /// <summary>An election over the sessions of this client, with leases of the default length and heartbeats beside the term.</summary>
    public LeaderElection(ZooKeeperClient client, LeaderElectionOptions options)
        : this(new LeaseKeeper(client, DefaultLease(options)), options)
    {
    }

    /// <summary>An election by this heartbeat, which serves any number of elections.</summary>
    public LeaderElection(LeaseKeeper keeper, LeaderElectionOptions options)
    {
        ArgumentNullException.ThrowIfNull(keeper);
        ArgumentNullException.ThrowIfNull(options);
        ZnodePath.Validate(options.LeaderPath);
        ZnodePath.Validate(options.TermPath);
        ArgumentException.ThrowIfNullOrEmpty(options.CandidateId);
        (_client, _keeper, _options) = (keeper.Client, keeper, options);
    }

    /// <summary>Waits until this candidate leads, over any number of sessions.</summary>
    /// <param name="cancellationToken">Gives up; an attempt in flight that wins all the same is undone.</param>
    /// <exception cref="ZooKeeperException">There is no session, for a reason that <see cref="ZooKeeperClient.GetSessionAsync"/>
    /// throws.</exception>
    /// <exception cref="OperationCanceledException">Cancelled.</exception>
    /// <exception cref="ObjectDisposedException">The client is disposed.</exception>
    public async Task<Leadership> CampaignAsync(CancellationToken cancellationToken = default)
    {
        bool told = false;
        while (true)
        {
            // Ends with its session at the latest.
            await Volatile.Read(ref _withdrawal).WaitAsync(cancellationToken).ConfigureAwait(false);
            ZooKeeperSession session = await _client.GetSessionAsync(cancellationToken).ConfigureAwait(false);
            try
            {
                if (await TryAsync(session, cancellationToken).ConfigureAwait(false) is { } leadership)
                {
                    return leadership;
                }

                told = false;
            }
            catch (ZooKeeperException e) when (e.Code == ZooKeeperErrorCode.ConnectionLoss || session.HasEnded)
            {
                // The next attempt waits for a connection, and finds out what became of this one.
            }
            catch (ZooKeeperException e)
            {
                if (!told)
                {
                    told = true;
                    Log.ElectionFailed(_client.Logger, e.Message);
                }

                await Task.Delay(RetryAfterError, _client.Time, cancellationToken).ConfigureAwait(false);
            }
        }
    }

    private static LeaseOptions DefaultLease(LeaderElectionOptions options)
    {
        ArgumentNullException.ThrowIfNull(options);
        string term = ZnodePath.Validate(options.TermPath);
        return new LeaseOptions
        {
            HeartbeatsPath = term[..term.LastIndexOf('/')] + "/heartbeats",
            Owner = (options.CandidateId ?? "").Replace('/', '-'),
        };
    }

    private async Task<Leadership?> TryAsync(ZooKeeperSession session, CancellationToken cancellationToken)
    {
        if (_options.Admission is { } admission)
        {
            await admission(session, cancellationToken).ConfigureAwait(false);
        }

        SessionHeartbeat heart = await _keeper.HeartAsync(session, cancellationToken).ConfigureAwait(false);
        using var news = new News(session, _options);
        (Znode? leader, Znode term) = await ReadAsync(session, news, cancellationToken).ConfigureAwait(false);
        var holder = TermData.Read(term.Data);
        if (holder.Candidate == _options.CandidateId || leader?.Stat.EphemeralOwner == session.SessionId)
        {
            // What this candidate won before is over, or was never known to it: nobody has to wait for it. Whoever takes over replaces the
            // leader's znode in the same transaction, so one of this session says that nobody has, whatever the term holds.
            return await TryAcquireAsync(heart, term, leader, null, cancellationToken).ConfigureAwait(false);
        }

        if (holder.IsVacant || (holder.Heartbeat is null && leader is null))
        {
            return await IsTakenByAnotherAsync(term.Stat.Version, news.Come, cancellationToken).ConfigureAwait(false)
                ? null
                : await TryAcquireAsync(heart, term, leader, null, cancellationToken).ConfigureAwait(false);
        }

        if (holder.Heartbeat is null)
        {
            await news.Come.WaitAsync(cancellationToken).ConfigureAwait(false);
            return null;
        }

        // A heartbeat that was gone before it was ever seen: with the leader's znode its session is over, and with that its lease as good
        // as.
        TimeSpan unseen = leader is null && holder.Lease > TimeSpan.Zero ? holder.Lease : LeaseRules.Longest(session.SessionTimeout);
        return await WaitForSilenceAsync(session, (holder.Heartbeat, unseen), leader is not null, news.Come, cancellationToken)
            .ConfigureAwait(false) is { } silent
            ? await TryAcquireAsync(heart, term, leader, silent, cancellationToken).ConfigureAwait(false)
            : null;
    }

    /// <summary>
    /// Leaves an empty term to others for a moment, where they should rather have it; true as soon as there is something new about it.
    /// </summary>
    private async Task<bool> IsTakenByAnotherAsync(int term, Task news, CancellationToken cancellationToken)
    {
        if (_deferred == term || _options.Deference?.Invoke() is not { } wait || wait <= TimeSpan.Zero)
        {
            return false;
        }

        _deferred = term;
        using var over = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        Task first = await Task.WhenAny(news, Task.Delay(wait, _client.Time, over.Token)).ConfigureAwait(false);
        await over.CancelAsync().ConfigureAwait(false);
        cancellationToken.ThrowIfCancellationRequested();
        return first == news;
    }

    /// <summary>
    /// Waits until the heartbeat was seen unchanged for so long that the lease that it publishes is over, by this side's monotonic clock
    /// alone. Null as soon as there is something new about the term, or about the session.
    /// </summary>
    private async Task<Sighting?> WaitForSilenceAsync(
        ZooKeeperSession session, (string Path, TimeSpan Unseen) heartbeat, bool holdsLeader, Task news,
        CancellationToken cancellationToken)
    {
        (string path, TimeSpan unseen) = heartbeat;
        HeartbeatWatch watch = _keeper.Watch(path);
        Task over = Task.Delay(Timeout.Infinite, session.Ended);
        while (!news.IsCompleted && !session.HasEnded)
        {
            (Sighting? seen, Task changed) = watch.Look();
            Task due = Task.CompletedTask;
            // Where the leader's znode stands though its heartbeat is gone, or is not to be seen from here (another chroot), it is left to
            // its session.
            if (seen is null || _mistaken == (path, seen.Version) || (seen.IsGone && holdsLeader))
            {
                due = changed;
            }
            else if (session.State != ZooKeeperSessionState.Connected)
            {
                // What is heard after the reconnect counts from there.
                due = Task.Delay(NotConnected, _client.Time, cancellationToken);
            }
            else
            {
                TimeSpan patience = LeaseRules.SilentAfter(seen.Lease > TimeSpan.Zero ? seen.Lease : unseen) * (IsDoubted(seen) ? 2 : 1);
                TimeSpan left = patience - _client.Time.GetElapsedTime(seen.SameSince(session));
                if (left <= TimeSpan.Zero)
                {
                    return seen;
                }

                due = Task.Delay(left + TimeSpan.FromMilliseconds(1), _client.Time, cancellationToken);
            }

            await Task.WhenAny(news, changed, due, over).WaitAsync(cancellationToken).ConfigureAwait(false);
        }

        return null;
    }

    /// <summary>This side has been late with its beats, and has not seen a few in time since.</summary>
    private bool IsDoubted(Sighting seen) => _mistaken.Path == seen.Path && !seen.IsGone && seen.Version < _mistaken.Version + 4;

    /// <summary>The transaction that makes this candidate the leader: of an empty term, or of one whose holder is silent.</summary>
    private async Task<Leadership?> TryAcquireAsync(SessionHeartbeat heart, Znode term, Znode? leader, Sighting? silent,
        CancellationToken cancellationToken)
    {
        var operations = ImmutableArray.CreateBuilder<ZnodeOperation>();
        operations.Add(
            ZnodeOperation.SetData(_options.TermPath, new TermData(_options.CandidateId, heart.Path, _keeper.Status.Length).ToBytes(),
                term.Stat.Version));
        int check = -1;
        if (silent is { IsGone: false })
        {
            check = operations.Count;
            operations.Add(ZnodeOperation.Check(silent.Path, silent.Version));
        }

        if (leader is not null)
        {
            operations.Add(ZnodeOperation.Delete(_options.LeaderPath));
        }

        operations.Add(ZnodeOperation.Create(_options.LeaderPath, _options.LeaderData(), CreateMode.Ephemeral));
        Task<(ImmutableArray<ZnodeOperationResult> Results, Beat Beat)> attempt = _keeper.BeatWithAsync(heart, operations.ToImmutable());
        try
        {
            (ImmutableArray<ZnodeOperationResult> results, Beat beat) = await attempt.WaitAsync(cancellationToken).ConfigureAwait(false);
            if (silent is not null)
            {
                // A heartbeat that is gone names nobody any more.
                Log.TookOver(_client.Logger, _options.CandidateId, TermData.Read(term.Data).Candidate,
                    _client.Time.GetElapsedTime(silent.SeenAt).TotalMilliseconds);
            }

            return await StartLeadershipAsync(heart, results[0].Stat!.Value.Version, beat).ConfigureAwait(false);
        }
        catch (ZooKeeperException e) when (e.FailedIndex == check && check > 0)
        {
            // It lives, and this side had not heard: what it hears next counts twice as long.
            _mistaken = (silent!.Path, silent.Version);
            return null;
        }
        catch (ZooKeeperException e) when (e.FailedIndex is not null && e.Code == ZooKeeperErrorCode.NoNode
            && e.FailedIndex == operations.Count - 1)
        {
            // Somebody has deleted what is above; the term is looked after where it is read.
            await EnsureParentAsync(heart.Session, _options.LeaderPath, cancellationToken).ConfigureAwait(false);
            return null;
        }
        catch (ZooKeeperException e) when (e.FailedIndex is not null
            && e.Code is ZooKeeperErrorCode.NodeExists or ZooKeeperErrorCode.BadVersion or ZooKeeperErrorCode.NoNode)
        {
            // Another was faster, the leader's znode came or went meanwhile, or this heartbeat is gone: look again.
            return null;
        }
        catch (Exception e) when (e is OperationCanceledException or ZooKeeperException { Code: ZooKeeperErrorCode.ConnectionLoss })
        {
            // Also when it is completed: then it was a moment after the cancellation.
            Withdrawing(WithdrawAsync(heart, attempt.MayFailUnseen()));
            throw;
        }
    }

    /// <summary>
    /// The campaign was cancelled while its multi was under way, or the reply was lost: if that wins all the same, leadership must not stay
    /// with somebody who does not know.
    /// </summary>
    private async Task WithdrawAsync(SessionHeartbeat heart, Task attempt)
    {
        await attempt.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        await Withdrawal.RunAsync(_client, heart.Session, UndoAsync(), UndoAsync).ConfigureAwait(false);

        async Task UndoAsync()
        {
            (_, Znode term) = await ReadAsync(heart.Session, null, _client.Disposing).ConfigureAwait(false);
            if (TermData.Read(term.Data) is { } holder && holder.Candidate == _options.CandidateId && holder.Heartbeat == heart.Path)
            {
                await Withdrawal.EmptyAsync(heart.Session, _options, term.Stat.Version, _client.Disposing).ConfigureAwait(false);
            }
        }
    }

    private void Withdrawing(Task withdrawal)
    {
        Task before;
        do
        {
            before = Volatile.Read(ref _withdrawal);
        }
        while (
            Interlocked.CompareExchange(ref _withdrawal, before.IsCompleted
                ? withdrawal : Task.WhenAll(before, withdrawal), before) != before);
    }

    /// <summary>
    /// Waits until what undoes a cancelled campaign or a resignation is done: before the session is closed, which would leave the term to a
    /// heartbeat that is gone.
    /// </summary>
    /// <param name="cancellationToken">Ends the waiting.</param>
    /// <exception cref="OperationCanceledException">Cancelled.</exception>
    public Task WithdrawnAsync(CancellationToken cancellationToken = default)
        => Volatile.Read(ref _withdrawal).WaitAsync(cancellationToken);

    private async Task<(Znode? Leader, Znode Term)> ReadAsync(ZooKeeperSession session, News? news, CancellationToken cancellationToken)
    {
        while (true)
        {
            // One round trip: the three are answered in this order.
            Task sync = session.SyncAsync(_options.TermPath, cancellationToken);
            Task<Znode?> leader = GetAsync(session, _options.LeaderPath, news, cancellationToken);
            Task<Znode?> term = GetAsync(session, _options.TermPath, news, cancellationToken);
            await Task.WhenAll(sync, leader, term).ConfigureAwait(false);
            if (await term.ConfigureAwait(false) is { } found)
            {
                return (await leader.ConfigureAwait(false), found);
            }

            await EnsureParentAsync(session, _options.LeaderPath, cancellationToken).ConfigureAwait(false);
            await session.EnsurePathAsync(_options.TermPath, cancellationToken).ConfigureAwait(false);
        }
    }

    private static async Task<Znode?> GetAsync(ZooKeeperSession session, string path, News? news, CancellationToken cancellationToken)
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

    private static Task EnsureParentAsync(ZooKeeperSession session, string path, CancellationToken cancellationToken)
    {
        int slash = path.LastIndexOf('/');
        return session.EnsurePathAsync(slash > 0 ? path[..slash] : "/", cancellationToken);
    }

    private async Task<Leadership?> StartLeadershipAsync(SessionHeartbeat heart, int term, Beat beat)
    {
        var leadership = new Leadership(_client, heart.Session, _options, term, _keeper, heart, Withdrawing);
        if (leadership.Start(beat))
        {
            return leadership;
        }

        await leadership.DisposeAsync().ConfigureAwait(false);
        return null;
    }

    /// <summary>One watch for the term and the leader's znode: completed when either changes, or the session ends.</summary>
    private sealed class News : IDisposable
    {
        private readonly TaskCompletionSource _come = new(TaskCreationOptions.RunContinuationsAsynchronously);
        private readonly ZooKeeperSession _session;
        private readonly LeaderElectionOptions _options;

        internal News(ZooKeeperSession session, LeaderElectionOptions options)
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
}
