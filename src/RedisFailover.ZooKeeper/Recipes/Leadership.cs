using System.Collections.Immutable;

namespace RedisFailover.ZooKeeper;

/// <summary>
/// A lead that was won: bound to one session and one term. Its <see cref="Lease"/> says whether to act now, its <see cref="Fence"/> makes sure
/// that no write of a deposed leader gets through, <see cref="Lost"/> says when it is over for good.
/// </summary>
/// <remarks>
/// Renewed every sixth of the session timeout by a write that a quorum must accept. Pings would not do: measured on 3.8.0, a server cut off from
/// its quorum answers them for 5 s after the ensemble has expired the session and elected another leader.
/// </remarks>
public sealed class Leadership : IAsyncDisposable
{
    private readonly ZooKeeperClient _client;
    private readonly ZooKeeperSession _session;
    private readonly LeaderElectionOptions _options;
    private readonly Action<Task>? _withdrawing;
    private readonly CancellationTokenSource _lost = new();
    private readonly CancellationTokenSource _stop = new();
    private Task _renewing = Task.CompletedTask;
    private CancellationTokenRegistration _ended;
    private int _over;

    /// <param name="client">The client.</param>
    /// <param name="session">The session that won the lead.</param>
    /// <param name="options">What it is about.</param>
    /// <param name="term">The version of the term znode.</param>
    /// <param name="withdrawing">Told of what deletes the leader's znode in the end: no campaign of this candidate may go on before it is completed.</param>
    internal Leadership(ZooKeeperClient client, ZooKeeperSession session, LeaderElectionOptions options, int term, Action<Task>? withdrawing = null)
    {
        (_client, _session, _options, _withdrawing) = (client, session, options, withdrawing);
        Term = term;
        Lease = new Lease(client.Time, () => session.SessionTimeout / 2);
        Fence = ZnodeOperation.Check(options.TermPath, term);
        Lost = _lost.Token;
    }

    /// <summary>The version of the term znode: grows with every change of leader, and is the fencing token.</summary>
    public int Term { get; }

    /// <summary>Whether to act at this moment.</summary>
    public Lease Lease { get; }

    /// <summary>Goes through only while nobody else was elected. Put it first into every multi, or use <see cref="CommitAsync"/>.</summary>
    public ZnodeOperation Fence { get; }

    /// <summary>Cancelled once, when the leadership is over for good: session ended, term taken by another, or given up. The lease has ended before.</summary>
    public CancellationToken Lost { get; }

    /// <summary>Applies the operations if nobody else was elected meanwhile. Success renews the lease as well.</summary>
    /// <param name="operations">What to do, in order.</param>
    /// <param name="cancellationToken">Stops the waiting; what was sent may be applied.</param>
    /// <returns>One result per operation given, the fence not counted.</returns>
    /// <exception cref="ZooKeeperException">
    /// As <see cref="ZooKeeperSession.MultiAsync"/>, with <see cref="ZooKeeperException.FailedIndex"/> counted in the operations given; -1 is the
    /// fence: another was elected (BadVersion), the term was deleted (NoNode), or the session is over; <see cref="Lost"/> is cancelled.
    /// </exception>
    public async Task<ImmutableArray<ZnodeOperationResult>> CommitAsync(
        ImmutableArray<ZnodeOperation> operations, CancellationToken cancellationToken = default)
    {
        var sentAt = Moment.Now(_client.Time);
        TimeSpan length = _session.SessionTimeout / 2;
        try
        {
            ImmutableArray<ZnodeOperationResult> results = await _session
                .MultiAsync(operations.IsDefault ? [Fence] : operations.Insert(0, Fence), cancellationToken).ConfigureAwait(false);

            // It may have waited for a connection, and that one may have brought another timeout.
            TimeSpan now = _session.SessionTimeout / 2;
            Lease.Renew(sentAt, now < length ? now : length);
            return results.RemoveAt(0);
        }
        catch (ZooKeeperException e) when (e.FailedIndex is { } index)
        {
            var failure = new ZooKeeperException(e.Code, e.Operation, e.Path, failedIndex: index - 1, inner: e);
            if (index == 0)
            {
                End(e.Code == ZooKeeperErrorCode.BadVersion ? "another was elected" : failure.Message);
            }

            throw failure;
        }
    }

    /// <summary>Gives up the lead: ends the lease, then deletes the leader's znode, so that another takes over without waiting for the session to expire.</summary>
    /// <param name="cancellationToken">Stops the waiting; the znode is deleted all the same.</param>
    /// <exception cref="ZooKeeperException">
    /// It is not known whether the znode is deleted. That is tried in the background until it is known, or the session has ended; this
    /// candidate's next campaign waits for it.
    /// </exception>
    public Task ResignAsync(CancellationToken cancellationToken = default) => Resign().WaitAsync(cancellationToken);

    /// <summary>
    /// Resigns if that is still due, and stops the renewal. Waits for the server's answer at most a third of the session timeout, and without a
    /// connection not at all: the resignation then follows as soon as there is one.
    /// </summary>
    public async ValueTask DisposeAsync()
    {
        Task resigned = Resign();
        if (_session.State == ZooKeeperSessionState.Connected)
        {
            try
            {
                await resigned.WaitAsync(_session.SessionTimeout / 3, _client.Time).ConfigureAwait(false);
            }
            catch (Exception e) when (e is ZooKeeperException or TimeoutException)
            {
                // It goes on in the background.
            }
        }

        await _ended.DisposeAsync().ConfigureAwait(false);
        await _renewing.ConfigureAwait(false);
    }

    /// <summary>Ends the lead and has its znode deleted, whatever it takes. The task returned is the first attempt.</summary>
    private Task Resign()
    {
        if (!End(null))
        {
            return Task.CompletedTask;
        }

        Task attempt = AttemptAsync();
        Task withdrawal = Withdrawal.RunAsync(_client, _session, attempt, AttemptAsync);
        _withdrawing?.Invoke(withdrawal);
        return attempt;

        async Task AttemptAsync()
        {
            await Withdrawal.DeleteAsync(_session, _options, Term, CancellationToken.None).ConfigureAwait(false);
            Log.Resigned(_client.Logger, _options.CandidateId, Term);
        }
    }

    /// <summary>Watches the leader's znode, then starts to renew. False if the znode is gone again.</summary>
    /// <param name="sentAt">When the write was sent that won the lead; null if the lead was found to be held, which proves nothing about now.</param>
    /// <param name="cancellationToken">Stops the waiting.</param>
    internal async Task<bool> StartAsync(Moment? sentAt, CancellationToken cancellationToken)
    {
        if (sentAt is null)
        {
            await CommitAsync([], cancellationToken).ConfigureAwait(false);
        }
        else
        {
            Lease.Renew(sentAt.Value, _session.SessionTimeout / 2);
        }

        _ended = _session.Ended.UnsafeRegister(static l => ((Leadership)l!).End("the session ended"), this);
        if (!await WatchLeaderAsync().MayFailUnseen().WaitAsync(cancellationToken).ConfigureAwait(false))
        {
            End("its znode was deleted");
            return false;
        }

        Log.Elected(_client.Logger, _options.CandidateId, Term);
        _renewing = RenewAsync();
        return true;
    }

    /// <summary>An operator may delete the leader's znode: then the next leader is elected within milliseconds, lease or not.</summary>
    private async Task<bool> WatchLeaderAsync()
    {
        var watcher = new Watcher(OnLeaderEvent, Inline: true);
        ZnodeStat? stat = await _session.ExistsInlineAsync(_options.LeaderPath, watcher).ConfigureAwait(false);

        // Whoever campaigns goes on after this: not on the read loop.
        await Task.CompletedTask.ConfigureAwait(ConfigureAwaitOptions.ForceYielding);
        return stat?.EphemeralOwner == _session.SessionId;
    }

    private void OnLeaderEvent(WatchedEvent what)
    {
        switch (what.Type)
        {
            case WatchedEventType.Deleted:
                End("its znode was deleted");
                break;
            case WatchedEventType.SessionEnded:
                End("the session ended");
                break;
            default:
                _ = RewatchAsync();
                break;
        }
    }

    private async Task RewatchAsync()
    {
        while (Volatile.Read(ref _over) == 0)
        {
            try
            {
                if (!await WatchLeaderAsync().ConfigureAwait(false))
                {
                    End("its znode was deleted");
                }

                return;
            }
            catch (ZooKeeperException e) when (e.Code == ZooKeeperErrorCode.ConnectionLoss)
            {
                // Without the watch its deletion would be noticed too late; the next one waits for a connection.
            }
            catch (ZooKeeperException)
            {
                // Renewals go on, and find out.
                return;
            }
        }
    }

    private async Task RenewAsync()
    {
        bool told = false;
        try
        {
            while (!_stop.IsCancellationRequested)
            {
                try
                {
                    // A renewal that had to wait for a connection comes back old; then the next one follows at once.
                    if (Lease.Remaining > _session.SessionTimeout / 4)
                    {
                        await Task.Delay(_session.SessionTimeout / 6, _client.Time, _stop.Token).ConfigureAwait(false);
                    }

                    await CommitAsync([], _stop.Token).ConfigureAwait(false);
                    told = false;
                }
                catch (ZooKeeperException e) when (e.FailedIndex is null && !_session.HasEnded)
                {
                    if (!told)
                    {
                        told = true;
                        Log.LeaseRenewalFailed(_client.Logger, _options.CandidateId, Term, e.Message);
                    }

                    if (e.Code != ZooKeeperErrorCode.ConnectionLoss)
                    {
                        await Task.Delay(_session.SessionTimeout / 6, _client.Time, _stop.Token).ConfigureAwait(false);
                    }
                }
            }
        }
        catch (ZooKeeperException e)
        {
            End(e.Message);
        }
        catch (OperationCanceledException)
        {
            // Over.
        }
    }

    /// <summary>Once: the lease first, then those who listen. Without a reason it is this side's own wish.</summary>
    private bool End(string? why)
    {
        Lease.End();
        if (Interlocked.Exchange(ref _over, 1) != 0)
        {
            return false;
        }

        if (why is not null)
        {
            Log.LeadershipLost(_client.Logger, _options.CandidateId, Term, why);
        }

        // Not on this thread, which may be the read loop.
        _ = _stop.CancelAsync();
        _ = CallbackQueue.CancelAsync(_lost, _client.Logger);
        return true;
    }
}
