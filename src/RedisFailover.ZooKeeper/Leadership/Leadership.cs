using System.Collections.Immutable;

namespace RedisFailover.ZooKeeper;

/// <summary>
/// Won leadership: bound to one session and one term. Its <see cref="Lease"/> says whether to act now, its <see cref="Fence"/> makes
/// sure that no write of a deposed leader gets through, <see cref="Lost"/> says when it is over for good.
/// </summary>
/// <remarks>
/// Renewed by its <see cref="LeaseKeeper"/>, and by nothing else: a write that goes through proves that the leader is alive, but nobody who
/// watches its heartbeat sees it. Pings would not do either: measured on 3.8.0, a server cut off from its quorum answers them for 5 s after
/// the ensemble has expired the session and elected another leader.
/// </remarks>
public sealed class Leadership : ILeadership, IAsyncDisposable
{
    private readonly ZooKeeperClient _client;
    private readonly ZooKeeperSession _session;
    private readonly LeaderElectionOptions _options;
    private readonly Action<Task>? _withdrawing;
    private readonly LeaseKeeper? _keeper;
    private readonly CancellationTokenSource _lost = new();
    private CancellationTokenRegistration _ended;
    private int _over;
    private ReadOnlyMemory<byte>? _shown;

    /// <param name="client">The client.</param>
    /// <param name="session">The session that won the election.</param>
    /// <param name="options">What it is about.</param>
    /// <param name="term">The version of the term znode.</param>
    /// <param name="keeper">What renews it.</param>
    /// <param name="heart">The heartbeat by which it was won.</param>
    /// <param name="withdrawing">Told of what empties the term in the end: no campaign of this candidate may go on before it is
    /// completed.</param>
    internal Leadership(
        ZooKeeperClient client, ZooKeeperSession session, LeaderElectionOptions options, int term, LeaseKeeper? keeper = null,
            SessionHeartbeat? heart = null, Action<Task>? withdrawing = null)
    {
        (_client, _session, _options, _withdrawing, _keeper) = (client, session, options, withdrawing, keeper);
        Term = term;
        Heart = heart;
        Lease = new Lease(client.Time, () => LeaseRules.Longest(session.SessionTimeout));
        Fence = ZnodeOperation.Check(options.TermPath, term);
        Lost = _lost.Token;
    }

    /// <summary>The version of the term znode: grows with every change of leader, and is the fencing token.</summary>
    public int Term { get; }

    /// <summary>Whether to act at this moment.</summary>
    public Lease Lease { get; }

    bool ILeadership.MayAct => Lease.IsHeld;

    bool ILeadership.IsOf(IZnodes session) => session == _session;

    internal SessionHeartbeat? Heart { get; }

    internal string TermPath => _options.TermPath;

    internal string CandidateId => _options.CandidateId;

    /// <summary>Whether what acts by it works.</summary>
    internal bool IsAlive => _options.IsAlive?.Invoke() != false;

    internal bool IsOver => Volatile.Read(ref _over) != 0;

    /// <summary>Goes through only while nobody else was elected. Put it first into every multi, or use <see cref="CommitAsync"/>.</summary>
    public ZnodeOperation Fence { get; }

    /// <summary>
    /// Cancelled once, when the leadership is over for good: session ended, term taken by another, or given up. The lease has ended
    /// before.
    /// </summary>
    public CancellationToken Lost { get; }

    /// <summary>Applies the operations if nobody else was elected meanwhile. The lease is not renewed by that.</summary>
    /// <param name="operations">What to do, in order.</param>
    /// <param name="cancellationToken">Stops the waiting; what was sent may be applied.</param>
    /// <returns>One result per operation given, the fence not counted.</returns>
    /// <exception cref="ZooKeeperException">
    /// As <see cref="ZooKeeperSession.MultiAsync"/>, with <see cref="ZooKeeperException.FailedIndex"/> counted in the operations given;
    /// -1 is the
    /// fence: another was elected (BadVersion), the term was deleted (NoNode), or the session is over; <see cref="Lost"/> is cancelled.
    /// </exception>
    public async Task<ImmutableArray<ZnodeOperationResult>> CommitAsync(
        ImmutableArray<ZnodeOperation> operations, CancellationToken cancellationToken = default)
    {
        try
        {
            ImmutableArray<ZnodeOperationResult> results = await _session
                .MultiAsync(operations.IsDefault ? [Fence] : operations.Insert(0, Fence), cancellationToken).ConfigureAwait(false);
            return results.RemoveAt(0);
        }
        catch (ZooKeeperException e) when (e.FailedIndex is { } index)
        {
            var failure = new ZooKeeperException(e.Code, e.Operation, e.Path, failedIndex: index - 1, inner: e);
            if (index == 0)
            {
                Refused(failure);
            }

            throw failure;
        }
    }

    /// <summary>
    /// Gives up leadership: ends the lease, then empties the term and deletes the leader's znode, so that another stands at once.
    /// </summary>
    /// <param name="cancellationToken">Stops the waiting; the term is emptied all the same.</param>
    /// <exception cref="ZooKeeperException">
    /// It is not known whether the term is empty. That is tried in the background until it is known, or the session has ended; this
    /// candidate's next campaign waits for it.
    /// </exception>
    public Task ResignAsync(CancellationToken cancellationToken = default) => Resign().WaitAsync(cancellationToken);

    /// <summary>
    /// Resigns if that is still due, and stops the renewal. Waits for the server's answer at most a third of the session timeout, and
    /// without a connection not at all: the resignation then follows as soon as there is one.
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
    }

    /// <summary>The term is not this lead's any more.</summary>
    /// <param name="failure">What the fence answered; null if the term was read.</param>
    internal void Refused(ZooKeeperException? failure)
    {
        bool deposed = failure is null or { Code: ZooKeeperErrorCode.BadVersion };
        if (End(deposed ? "another was elected" : failure!.Message) && deposed)
        {
            _keeper?.Deposed();
        }
    }

    /// <summary>It cannot go on: the term is emptied if it is still this lead's, so that nobody waits for a lease that has ended.</summary>
    internal void Ended(string why) => End(why, () => _session.HasEnded ? Task.CompletedTask : Withdraw(told: false).MayFailUnseen());

    /// <summary>Ends leadership and has the term emptied, whatever it takes. The task returned is the first attempt.</summary>
    private Task Resign()
    {
        Task attempt = Task.CompletedTask;
        End(null, () => attempt = Withdraw(told: true));
        return attempt;
    }

    private Task Withdraw(bool told)
    {
        Task attempt = AttemptAsync();
        Task withdrawal = Withdrawal.RunAsync(_client, _session, attempt, AttemptAsync);
        _withdrawing?.Invoke(withdrawal);
        return attempt;

        async Task AttemptAsync()
        {
            await Withdrawal.EmptyAsync(_session, _options, Term, CancellationToken.None).ConfigureAwait(false);
            if (told)
            {
                Log.Resigned(_client.Logger, _options.CandidateId, Term);
            }
        }
    }

    /// <summary>Has the lease kept, and watches the leader's znode. False if leadership is over before it has a lease.</summary>
    /// <param name="beat">The beat that won the election.</param>
    internal bool Start(Beat beat)
    {
        _keeper?.Renewal.Keep(this, beat);
        _ended = _session.Ended.UnsafeRegister(static l => ((Leadership)l!).End("the session ended"), this);
        _ = RewatchAsync();
        if (IsOver)
        {
            return false;
        }

        Log.Elected(_client.Logger, _options.CandidateId, Term);
        return true;
    }

    /// <summary>
    /// An operator who deletes the leader's znode ends leadership, and a monitor of an older release stands at once. What somebody else
    /// writes into it is overwritten: people and tools read there who leads.
    /// </summary>
    private async Task<bool> WatchLeaderAsync()
    {
        var watcher = new Watcher(OnLeaderEvent, Inline: true);
        Znode? znode = await Follower.ReadOrMissingAsync(
            _session, _options.LeaderPath, watcher, () => _session.GetDataInlineAsync(_options.LeaderPath, watcher), CancellationToken.None)
                .ConfigureAwait(false);
        if (znode?.Stat.EphemeralOwner != _session.SessionId)
        {
            return false;
        }

        _shown ??= znode.Data;
        if (!znode.Data.Span.SequenceEqual(_shown.Value.Span))
        {
            await _session.SetDataAsync(_options.LeaderPath, _shown.Value, znode.Stat.Version).ConfigureAwait(false);
        }

        return true;
    }

    private void OnLeaderEvent(WatchedEvent what)
    {
        switch (what.Type)
        {
            case WatchedEventType.Deleted:
                _ = EndDeletedAsync();
                break;
            case WatchedEventType.SessionEnded:
                End("the session ended");
                break;
            default:
                _ = RewatchAsync();
                break;
        }
    }

    /// <summary>
    /// The lease ends at once; whether somebody took over or has only deleted the znode is found out for those who read the log.
    /// </summary>
    private async Task EndDeletedAsync()
    {
        Lease.End();
        try
        {
            await CommitAsync([]).ConfigureAwait(false);
        }
        catch (ZooKeeperException)
        {
            // The fence has ended leadership, or nobody can be asked.
        }

        Ended("its znode was deleted");
    }

    private async Task RewatchAsync()
    {
        while (!IsOver)
        {
            try
            {
                if (!await WatchLeaderAsync().ConfigureAwait(false))
                {
                    await EndDeletedAsync().ConfigureAwait(false);
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

    /// <summary>
    /// Once: the lease first, then what empties the term, then those who listen: they may campaign again at once, and wait for that.
    /// Without a reason it is this side's own wish.
    /// </summary>
    private bool End(string? why, Func<Task>? withdraw = null)
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

        _keeper?.Renewal.Drop(this);
        _ = withdraw?.Invoke();

        // Not on this thread, which may be the read loop.
        _ = CallbackQueue.CancelAsync(_lost, _client.Logger);
        return true;
    }
}
