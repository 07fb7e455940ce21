using System.Collections.Immutable;
using System.Text;

namespace RedisFailover.ZooKeeper;

/// <summary>What an election is about.</summary>
public sealed record LeaderElectionOptions
{
    /// <summary>The ephemeral znode that the leader holds. Missing parents are created.</summary>
    public required string LeaderPath { get; init; }

    /// <summary>The persistent znode whose data is the leader's id and whose version is the fencing token. Created when missing; never delete it.</summary>
    public required string TermPath { get; init; }

    /// <summary>
    /// This candidate; unique among all processes, past ones included, and per process start. A client has one candidate for a pair of paths:
    /// a second one on the same session takes the first one's znode for a leftover of its own and deposes it.
    /// </summary>
    public required string CandidateId { get; init; }

    /// <summary>Makes the content of <see cref="LeaderPath"/>; called once per attempt.</summary>
    public required Func<ReadOnlyMemory<byte>> LeaderData { get; init; }
}

/// <summary>
/// Elects one leader among a handful of candidates: each tries one multi that creates the leader's ephemeral znode and writes its own id into
/// the term. The losers watch the leader's znode. There are no sequential znodes, so a create whose reply was lost leaves no ghost behind.
/// </summary>
public sealed class LeaderElection
{
    private static readonly TimeSpan RetryAfterError = TimeSpan.FromSeconds(1);

    private readonly ZooKeeperClient _client;
    private readonly LeaderElectionOptions _options;
    private readonly byte[] _id;

    /// <summary>What undoes a campaign that was cancelled, or a lead given up: it must not undo the next one, which finds the same znode.</summary>
    private Task _withdrawal = Task.CompletedTask;

    /// <summary>An election over the sessions of this client.</summary>
    public LeaderElection(ZooKeeperClient client, LeaderElectionOptions options)
    {
        ArgumentNullException.ThrowIfNull(client);
        ArgumentNullException.ThrowIfNull(options);
        ZnodePath.Validate(options.LeaderPath);
        ZnodePath.Validate(options.TermPath);
        ArgumentException.ThrowIfNullOrEmpty(options.CandidateId);
        (_client, _options) = (client, options);
        _id = Encoding.UTF8.GetBytes(options.CandidateId);
    }

    /// <summary>Waits until this candidate leads, over any number of sessions.</summary>
    /// <param name="cancellationToken">Gives up; an attempt in flight that wins all the same is undone.</param>
    /// <exception cref="ZooKeeperException">There is no session, for a reason that <see cref="ZooKeeperClient.GetSessionAsync"/> throws.</exception>
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

    private async Task<Leadership?> TryAsync(ZooKeeperSession session, CancellationToken cancellationToken)
    {
        // Before anything else: after a lost reply, or a leadership given up with its reply lost, this session may hold the lead already.
        (Znode? leader, Znode term) = await ReadAsync(session, cancellationToken).ConfigureAwait(false);
        if (leader is not null)
        {
            if (leader.Stat.EphemeralOwner != session.SessionId)
            {
                await WaitForVacancyAsync(session, cancellationToken).ConfigureAwait(false);
                return null;
            }

            if (term.Data.Span.SequenceEqual(_id))
            {
                return await TakeOfficeAsync(session, term.Stat.Version, null, cancellationToken).ConfigureAwait(false);
            }

            // Mine, but the term says otherwise: a leftover that would block everybody, me included.
            await session.DeleteAsync(_options.LeaderPath, leader.Stat.Version, cancellationToken).ConfigureAwait(false);
        }

        var sentAt = Moment.Now(_client.Time);
        Task<ImmutableArray<ZnodeOperationResult>> attempt = session.MultiAsync(
            [
                ZnodeOperation.Create(_options.LeaderPath, _options.LeaderData(), CreateMode.Ephemeral),
                ZnodeOperation.SetData(_options.TermPath, _id, term.Stat.Version),
            ],
            CancellationToken.None);
        ImmutableArray<ZnodeOperationResult> results;
        try
        {
            results = await attempt.WaitAsync(cancellationToken).ConfigureAwait(false);
        }
        catch (ZooKeeperException e) when (e.Code is ZooKeeperErrorCode.NodeExists or ZooKeeperErrorCode.BadVersion)
        {
            // Another was faster.
            return null;
        }
        catch (ZooKeeperException e) when (e.Code == ZooKeeperErrorCode.NoNode)
        {
            // Somebody has deleted what is above; the term is looked after where it is read.
            await EnsureParentAsync(session, _options.LeaderPath, cancellationToken).ConfigureAwait(false);
            return null;
        }
        catch (OperationCanceledException)
        {
            // Also when it is completed: then it was a moment after the cancellation.
            Withdrawing(WithdrawAsync(session, attempt));
            throw;
        }

        return await TakeOfficeAsync(session, results[1].Stat!.Value.Version, sentAt, cancellationToken).ConfigureAwait(false);
    }

    /// <summary>The campaign was cancelled while its multi was under way: if that wins all the same, the lead must not stay with somebody who does not know.</summary>
    private async Task WithdrawAsync(ZooKeeperSession session, Task attempt)
    {
        await attempt.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        await Withdrawal.RunAsync(_client, session, UndoAsync(), UndoAsync).ConfigureAwait(false);

        async Task UndoAsync()
        {
            (Znode? leader, Znode term) = await ReadAsync(session, _client.Disposing).ConfigureAwait(false);
            if (leader?.Stat.EphemeralOwner == session.SessionId && term.Data.Span.SequenceEqual(_id))
            {
                await Withdrawal.DeleteAsync(session, _options, term.Stat.Version, _client.Disposing).ConfigureAwait(false);
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
        while (Interlocked.CompareExchange(ref _withdrawal, before.IsCompleted ? withdrawal : Task.WhenAll(before, withdrawal), before) != before);
    }

    private async Task<(Znode? Leader, Znode Term)> ReadAsync(ZooKeeperSession session, CancellationToken cancellationToken)
    {
        while (true)
        {
            // One round trip: the three are answered in this order.
            Task sync = session.SyncAsync(_options.TermPath, cancellationToken);
            Task<Znode?> leader = GetAsync(session, _options.LeaderPath, cancellationToken);
            Task<Znode?> term = GetAsync(session, _options.TermPath, cancellationToken);
            await Task.WhenAll(sync, leader, term).ConfigureAwait(false);
            if (await term.ConfigureAwait(false) is { } found)
            {
                return (await leader.ConfigureAwait(false), found);
            }

            await EnsureParentAsync(session, _options.LeaderPath, cancellationToken).ConfigureAwait(false);
            await session.EnsurePathAsync(_options.TermPath, cancellationToken).ConfigureAwait(false);
        }
    }

    private static async Task<Znode?> GetAsync(ZooKeeperSession session, string path, CancellationToken cancellationToken)
    {
        try
        {
            return await session.GetDataAsync(path, null, cancellationToken).ConfigureAwait(false);
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

    private async Task WaitForVacancyAsync(ZooKeeperSession session, CancellationToken cancellationToken)
    {
        var changed = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        var watcher = new Watcher(_ => changed.TrySetResult(), Inline: true);
        try
        {
            if (await session.ExistsInlineAsync(_options.LeaderPath, watcher, cancellationToken).ConfigureAwait(false) is not null)
            {
                await changed.Task.WaitAsync(cancellationToken).ConfigureAwait(false);
            }
        }
        finally
        {
            session.Forget(_options.LeaderPath, watcher);
        }
    }

    private async Task<Leadership?> TakeOfficeAsync(ZooKeeperSession session, int term, Moment? sentAt, CancellationToken cancellationToken)
    {
        var leadership = new Leadership(_client, session, _options, term, Withdrawing);
        try
        {
            if (await leadership.StartAsync(sentAt, cancellationToken).ConfigureAwait(false))
            {
                return leadership;
            }

            await leadership.DisposeAsync().ConfigureAwait(false);
            return null;
        }
        catch
        {
            await leadership.DisposeAsync().ConfigureAwait(false);
            throw;
        }
    }
}
