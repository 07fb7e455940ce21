using System.Collections.Immutable;

namespace RedisFailover.ZooKeeper;

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
    private readonly ElectionZnodes _znodes;
    private readonly LeaderSilence _silence;
    private readonly Withdrawals _withdrawals = new();

    /// <summary>The empty term that was left to others already.</summary>
    private int _deferred = -1;

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
        _znodes = new ElectionZnodes(options);
        _silence = new LeaderSilence(keeper);
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
            await _withdrawals.Pending.WaitAsync(cancellationToken).ConfigureAwait(false);
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

                _options.Failed?.Invoke(e);
                await Task.Delay(RetryAfterError, _client.Time, cancellationToken).ConfigureAwait(false);
            }
        }
    }

    /// <summary>
    /// Waits until what undoes a cancelled campaign or a resignation is done: before the session is closed, which would leave the term to a
    /// heartbeat that is gone.
    /// </summary>
    /// <param name="cancellationToken">Ends the waiting.</param>
    /// <exception cref="OperationCanceledException">Cancelled.</exception>
    public Task WithdrawnAsync(CancellationToken cancellationToken = default)
        => _withdrawals.Pending.WaitAsync(cancellationToken);

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

    /// <summary>One look at the term, and at most one attempt to be elected. Null: look again.</summary>
    private async Task<Leadership?> TryAsync(ZooKeeperSession session, CancellationToken cancellationToken)
    {
        if (_options.Admission is { } admission)
        {
            await admission(session, cancellationToken).ConfigureAwait(false);
        }

        SessionHeartbeat heart = await _keeper.HeartAsync(session, cancellationToken).ConfigureAwait(false);
        using var news = new ElectionNews(session, _options);
        ElectionState state = await _znodes.ReadAsync(session, news, cancellationToken).ConfigureAwait(false);
        TermData holder = state.Holder;
        if (holder.Candidate == _options.CandidateId || state.Leader?.Stat.EphemeralOwner == session.SessionId)
        {
            // What this candidate won before is over, or was never known to it: nobody has to wait for it. Whoever takes over replaces the
            // leader's znode in the same transaction, so one of this session says that nobody has, whatever the term holds.
            return await TryAcquireAsync(heart, state, null, cancellationToken).ConfigureAwait(false);
        }

        if (holder.IsVacant || (holder.Heartbeat is null && !state.IsHeld))
        {
            return await IsTakenByAnotherAsync(state.Term.Stat.Version, news.Come, cancellationToken).ConfigureAwait(false)
                ? null
                : await TryAcquireAsync(heart, state, null, cancellationToken).ConfigureAwait(false);
        }

        if (holder.Heartbeat is null)
        {
            await news.Come.WaitAsync(cancellationToken).ConfigureAwait(false);
            return null;
        }

        return await _silence.WaitAsync(session, state, news.Come, cancellationToken).ConfigureAwait(false) is { } silent
            ? await TryAcquireAsync(heart, state, silent, cancellationToken).ConfigureAwait(false)
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

    private async Task<Leadership?> TryAcquireAsync(
        SessionHeartbeat heart, ElectionState state, Sighting? silent, CancellationToken cancellationToken)
    {
        var transaction = new ElectionTransaction(_options, state, silent, heart.Path, _keeper.Status.Length);
        Task<(ImmutableArray<ZnodeOperationResult> Results, Beat Beat)> attempt =
            _keeper.Renewal.BeatWithAsync(heart, transaction.Operations);
        try
        {
            (ImmutableArray<ZnodeOperationResult> results, Beat beat) = await attempt.WaitAsync(cancellationToken).ConfigureAwait(false);
            if (silent is not null)
            {
                Log.TookOver(_client.Logger, _options.CandidateId, state.Holder.Candidate,
                    _client.Time.GetElapsedTime(silent.SeenAt).TotalMilliseconds);
            }

            return await StartLeadershipAsync(heart, ElectionTransaction.Term(results), beat).ConfigureAwait(false);
        }
        catch (ZooKeeperException e) when (transaction.Meaning(e) != ElectionFailure.Other)
        {
            switch (transaction.Meaning(e))
            {
                case ElectionFailure.HolderBeats:
                    _silence.WasMistaken(silent!);
                    break;
                case ElectionFailure.NoParent:
                    await _znodes.EnsureLeadersParentAsync(heart.Session, cancellationToken).ConfigureAwait(false);
                    break;
                // The holder is silent or there is none, and the znode is not that of a session: nobody leads.
                case ElectionFailure.InTheWay when await _znodes.ClearAsync(heart.Session, cancellationToken).ConfigureAwait(false):
                    Log.Cleared(_client.Logger, _options.LeaderPath);
                    break;
                case ElectionFailure.InTheWay:
                    throw;
            }

            return null;
        }
        catch (Exception e) when (e is OperationCanceledException or ZooKeeperException { Code: ZooKeeperErrorCode.ConnectionLoss })
        {
            // Also when it is completed: then it was a moment after the cancellation.
            _withdrawals.Add(WithdrawAsync(heart, attempt.MayFailUnseen()));
            throw;
        }
    }

    private async Task<Leadership?> StartLeadershipAsync(SessionHeartbeat heart, int term, Beat beat)
    {
        var leadership = new Leadership(_client, heart.Session, _options, term, _keeper, heart, _withdrawals.Add);
        if (leadership.Start(beat))
        {
            return leadership;
        }

        await leadership.DisposeAsync().ConfigureAwait(false);
        return null;
    }

    /// <summary>
    /// The campaign was cancelled while its transaction was under way, or the reply was lost: if that wins all the same, leadership must
    /// not stay with somebody who does not know.
    /// </summary>
    private async Task WithdrawAsync(SessionHeartbeat heart, Task attempt)
    {
        await attempt.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        await Withdrawal.RunAsync(_client, heart.Session, UndoAsync(), UndoAsync).ConfigureAwait(false);

        async Task UndoAsync()
        {
            ElectionState state = await _znodes.ReadAsync(heart.Session, null, _client.Disposing).ConfigureAwait(false);
            if (state.Holder.Candidate == _options.CandidateId && state.Holder.Heartbeat == heart.Path)
            {
                await Withdrawal.EmptyAsync(heart.Session, _options, state.Term.Stat.Version, _client.Disposing).ConfigureAwait(false);
            }
        }
    }
}
