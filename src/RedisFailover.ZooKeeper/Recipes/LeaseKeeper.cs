using System.Collections.Immutable;
using System.Globalization;

namespace RedisFailover.ZooKeeper;

/// <summary>
/// One process' heartbeat: an ephemeral znode that is written every third of a lease, from a thread of its own. The same write renews the
/// leases of all leads that the process has, each behind its fence: whoever sees the heartbeat stand still knows when they have ended.
/// Follows the heartbeats of the others as well. Lives as long as its client.
/// </summary>
#pragma warning disable CA1001 // Its event is waited for until the client is disposed, and is nobody's resource then.
public sealed class LeaseKeeper
#pragma warning restore CA1001
{
    /// <summary>With so many beats unanswered another one would tell nobody anything.</summary>
    private const int MostAwaited = 16;

    private static readonly TimeSpan RetryAfterError = TimeSpan.FromSeconds(1);

    private readonly Lock _gate = new();
    private readonly ZooKeeperClient _client;
    private readonly LeaseOptions _options;
    private readonly LeaseLength _length;
    private readonly long _start;
    private readonly AutoResetEvent _due = new(false);
    private readonly PeerHeartbeats _peers;
    private ImmutableArray<Leadership> _leads = [];
    private volatile SessionHeartbeat? _heart;
    private TaskCompletionSource _changed = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private bool _told;
    private long? _notHeldSince;

    /// <summary>Begins to beat with the client's next session.</summary>
    /// <param name="client">Whose sessions to use.</param>
    /// <param name="options">How.</param>
    /// <exception cref="ArgumentException">A path or the name is malformed, or the length is less than 100 ms.</exception>
    public LeaseKeeper(ZooKeeperClient client, LeaseOptions options)
    {
        ArgumentNullException.ThrowIfNull(client);
        (_client, _options) = (client, LeaseOptions.Validate(options));
        _length = new LeaseLength(options.Length);
        _start = client.Time.GetTimestamp();
        client.Disposing.UnsafeRegister(static e => ((AutoResetEvent)e!).Set(), _due);
        // A beat waits for no connection, so that none is late and tells of a lease that is over; the first comes with the connection.
        client.StateChanged += _ => Hasten();
        _ = Task.Run(RunAsync);
        _peers = new PeerHeartbeats(client, _options);
        new Thread(BeatUntilDisposed) { IsBackground = true, Name = "ZooKeeper heartbeat" }.Start();
    }

    /// <summary>What the leases are like at this moment.</summary>
    public LeaseStatus Status
    {
        get
        {
            lock (_gate)
            {
                TimeSpan timeout = _heart?.Session.SessionTimeout ?? _client.SessionTimeout;
                TimeSpan now = Now;
                return new LeaseStatus(_options.Length, _length.At(now, timeout), _length.Wanted(now), _length.LongestWrite(now), timeout,
                    _notHeldSince is { } since ? _client.Time.GetElapsedTime(since) : null);
            }
        }
    }

    internal ZooKeeperClient Client => _client;

    internal string Owner => _options.Owner;

    internal string HeartbeatsPath => _options.HeartbeatsPath;

    internal bool IsAlive => _options.IsAlive?.Invoke() != false;

    /// <summary>The path of this process' heartbeat; null while there is none.</summary>
    internal string? HeartbeatPath => _heart?.Path;

    private TimeSpan Now => _client.Time.GetElapsedTime(_start);

    /// <summary>All others whose heartbeats are there.</summary>
    public ImmutableArray<Peer> Peers => _peers.Present;

    /// <summary>What the heartbeats say of the process that has this session; null if it has none, as one of an older release.</summary>
    /// <param name="session">The session, as <see cref="ZnodeStat.EphemeralOwner"/> of its other znodes tells it.</param>
    public Peer? PeerOf(long session) => _peers.Of(session);

    /// <summary>The heartbeat of this session; waits until it is made.</summary>
    /// <exception cref="ZooKeeperException">The session has ended.</exception>
    internal async Task<SessionHeartbeat> HeartAsync(ZooKeeperSession session, CancellationToken cancellationToken)
    {
        while (true)
        {
            Task changed;
            lock (_gate)
            {
                if (_heart is { } heart && heart.Session == session)
                {
                    return heart;
                }

                changed = _changed.Task;
            }

            if (session.HasEnded)
            {
                throw new ZooKeeperException(ZooKeeperErrorCode.SessionExpired, "campaign", null);
            }

            await changed.WaitAsync(cancellationToken).ConfigureAwait(false);
        }
    }

    /// <summary>The heartbeat at that path; followed from now on.</summary>
    internal HeartbeatWatch Watch(string path) => _peers.Watch(path);

    /// <summary>Applies the operations together with a beat, which is the last of the transaction.</summary>
    /// <returns>The results of the operations given, and the beat that leadership won by them is bounded by.</returns>
    internal async Task<(ImmutableArray<ZnodeOperationResult> Results, Beat Beat)> BeatWithAsync(SessionHeartbeat heart,
        ImmutableArray<ZnodeOperation> operations)
    {
        (Task<ImmutableArray<ZnodeOperationResult>> reply, Beat beat) = Send(heart, operations);
        try
        {
            ImmutableArray<ZnodeOperationResult> results = await reply.ConfigureAwait(false);
            Acknowledged(heart, beat);
            return (results.RemoveAt(results.Length - 1), beat);
        }
        catch (ZooKeeperException e)
        {
            Failed(heart, beat, e, operations.Length);
            throw;
        }
        finally
        {
            // Whoever campaigns goes on after this: not on the read loop.
            await Task.CompletedTask.ConfigureAwait(ConfigureAwaitOptions.ForceYielding);
        }
    }

    /// <summary>Renews this lead from now on.</summary>
    /// <param name="lead">The leadership that is held by these beats.</param>
    /// <param name="beat">The one that gave it.</param>
    internal void Keep(Leadership lead, Beat beat)
    {
        lock (_gate)
        {
            _leads = _leads.Add(lead);
            if (lead.Heart is { } heart)
            {
                lead.Renew(heart.Beats.Bounding(beat));
            }
        }

        if (lead.Heart is { Lost.Task.IsCompleted: true })
        {
            // It was lost between the transaction and here: nobody would renew this lease.
            lead.Ended("its heartbeat was lost");
        }
    }

    /// <summary>Leadership is over; without any there is no lease to miss.</summary>
    internal void Drop(Leadership lead)
    {
        lock (_gate)
        {
            _leads = _leads.Remove(lead);
            _notHeldSince = _leads.IsEmpty ? null : _notHeldSince;
        }
    }

    /// <summary>
    /// Another took over while this process was connected and beating all the time: the lease is too short for this ensemble.
    /// </summary>
    internal void Deposed()
    {
        lock (_gate)
        {
            if (_heart is { } heart && _client.Time.GetElapsedTime(Math.Max(heart.LateAt, heart.Session.ConnectedAt))
                > 2 * LeaseRules.SilentAfter(_length.At(Now, heart.Session.SessionTimeout)))
            {
                _length.Deposed(Now);
            }
        }
    }

    private void Hasten()
    {
        if (_heart is { } heart)
        {
            heart.NextAt = _client.Time.GetTimestamp();
            _due.Set();
        }
    }

    private async Task RunAsync()
    {
        bool told = false;
        while (!_client.Disposing.IsCancellationRequested)
        {
            try
            {
                ZooKeeperSession session = await _client.GetSessionAsync(_client.Disposing).ConfigureAwait(false);
                string path = await HeartbeatZnode.CreateAsync(session, _options, LengthFor(session), _client.Disposing)
                    .ConfigureAwait(false);
                var heart = new SessionHeartbeat(session, path, _client.Time);
                Replace(heart);
                told = false;
                await Task.WhenAny(heart.Lost.Task, Task.Delay(Timeout.Infinite, session.Ended)).ConfigureAwait(false);
                Replace(null);
            }
            catch (ZooKeeperException e)
            {
                if (!told
                    && e.Code is not (ZooKeeperErrorCode.ConnectionLoss or ZooKeeperErrorCode.SessionExpired or ZooKeeperErrorCode.Closing))
                {
                    told = true;
                    Log.HeartbeatFailed(_client.Logger, _options.HeartbeatsPath, e.Message);
                }

                await Task.Delay(
                    e.Code == ZooKeeperErrorCode.ConnectionLoss ? TimeSpan.Zero : RetryAfterError, _client.Time, _client.Disposing)
                        .ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            }
            catch (Exception e) when (e is OperationCanceledException or ObjectDisposedException
                && _client.Disposing.IsCancellationRequested)
            {
                return;
            }
        }
    }

    private TimeSpan LengthFor(ZooKeeperSession session)
    {
        lock (_gate)
        {
            return _length.At(Now, session.SessionTimeout);
        }
    }

    private void Replace(SessionHeartbeat? heart)
    {
        TaskCompletionSource waiters;
        lock (_gate)
        {
            _heart = heart;
            waiters = _changed;
            _changed = new(TaskCreationOptions.RunContinuationsAsynchronously);
        }

        waiters.TrySetResult();
        _due.Set();
    }

    /// <summary>The beats' own thread: neither the pool's work nor what holds it up delays them.</summary>
    private void BeatUntilDisposed()
    {
        while (!_client.Disposing.IsCancellationRequested)
        {
            SessionHeartbeat? heart = _heart;
            TimeSpan wait = heart is null
                ? Timeout.InfiniteTimeSpan : TimeSpan.FromTicks(Math.Max(0, -_client.Time.GetElapsedTime(heart.NextAt).Ticks));
            if (heart is null || wait > TimeSpan.Zero)
            {
                WaitUntilDue(wait);
                continue;
            }

            TimeSpan length = TimeToBeat(heart);
            heart.NextAt = _client.Time.GetTimestamp()
                + (long)(LeaseRules.BeatEvery(length).TotalSeconds * _client.Time.TimestampFrequency);
            ResignToFasterPeer(length);
            ResignUnresponsiveLeads();
            if (_options.IsAlive?.Invoke() != false && MayBeat(heart))
            {
                _ = BeatAsync(heart);
            }
        }
    }

    /// <summary>
    /// A lead whose lease cannot be kept is given up if another process writes twice as fast: its way to the servers is the better one.
    /// </summary>
    private void ResignToFasterPeer(TimeSpan length)
    {
        ImmutableArray<Leadership> leads;
        TimeSpan write;
        lock (_gate)
        {
            if (_notHeldSince is not { } since || _client.Time.GetElapsedTime(since) < 3 * length)
            {
                return;
            }

            (leads, write) = (_leads, _length.LongestWrite(Now));
        }

        // Without a connection nobody's way is known to be the better one.
        if (_heart?.Session.State != ZooKeeperSessionState.Connected || write <= length)
        {
            return;
        }

        if (Peers.FirstOrDefault(p => p.IsBeating && 2 * p.Write <= write) is { } quicker)
        {
            foreach (Leadership lead in leads)
            {
                lead.Ended(string.Create(
                    CultureInfo.InvariantCulture,
                    $"its writes take {write.TotalMilliseconds:0} ms, longer than the lease, those of {quicker.Owner} "
                        + $"{quicker.Write.TotalMilliseconds:0} ms"));
            }
        }
    }

    /// <summary>A lead by which nobody acts any more is given up, so that another one does; the other leads go on.</summary>
    private void ResignUnresponsiveLeads()
    {
        ImmutableArray<Leadership> leads;
        lock (_gate)
        {
            leads = _leads;
        }

        foreach (Leadership lead in leads)
        {
            if (!lead.IsAlive)
            {
                lead.Ended("nothing is decided by it any more");
            }
        }
    }

    private void WaitUntilDue(TimeSpan wait)
    {
        if (wait == Timeout.InfiniteTimeSpan)
        {
            _due.WaitOne();
            return;
        }

        if (_client.Time == TimeProvider.System)
        {
            _due.WaitOne(wait + TimeSpan.FromMilliseconds(1));
            return;
        }

        using ITimer timer = _client.Time.CreateTimer(static e => ((AutoResetEvent)e!).Set(), _due, wait, Timeout.InfiniteTimeSpan);
        _due.WaitOne();
    }

    /// <summary>Notes how late the beats' thread is, and since when leadership has no lease; returns the length of the lease.</summary>
    private TimeSpan TimeToBeat(SessionHeartbeat heart)
    {
        lock (_gate)
        {
            bool held = _leads.All(static l => l.Lease.IsHeld);
            _notHeldSince = held ? null : _notHeldSince ?? _client.Time.GetTimestamp();
            TimeSpan length = _length.At(Now, heart.Session.SessionTimeout);
            if (_client.Time.GetElapsedTime(heart.NextAt) > LeaseRules.BeatEvery(length))
            {
                // This process itself was held up: frozen, starved, or its machine slept.
                heart.LateAt = _client.Time.GetTimestamp();
            }

            return length;
        }
    }

    /// <summary>
    /// Not without a connection, nor while too much is unanswered. A beat that is unanswered for a lease means that this server may have
    /// lost its quorum: the session moves to the next one. Where no server has answered any it is they that are slow, and each move would
    /// only take away the answer: after each move twice as long is waited, up to a session.
    /// </summary>
    private bool MayBeat(SessionHeartbeat heart)
    {
        if (heart.Session.State != ZooKeeperSessionState.Connected)
        {
            return false;
        }

        TimeSpan unanswered;
        lock (_gate)
        {
            if (heart.Beats.Oldest is not { } oldest)
            {
                return true;
            }

            unanswered = TakenBy(heart, oldest);
            _length.Wrote(unanswered, Now);
            TimeSpan patience = oldest.Length * (1 << Math.Min(heart.Moves, 6));
            patience = patience < heart.Session.SessionTimeout ? patience : heart.Session.SessionTimeout;
            if (unanswered <= patience || heart.Session.HostCount == 1)
            {
                return heart.Beats.Awaited < MostAwaited;
            }

            heart.Moves++;
        }

        heart.Session.MoveOn($"a write was not answered for {unanswered.TotalMilliseconds:0} ms");
        return false;
    }

    /// <summary>
    /// For how long the servers have had it: neither what this process slept through nor the time without a connection counts.
    /// </summary>
    private TimeSpan TakenBy(SessionHeartbeat heart, Beat beat)
        => _client.Time.GetElapsedTime(Math.Max(beat.SentAt.Monotonic, Math.Max(heart.LateAt, heart.Session.ConnectedAt)));

    private async Task BeatAsync(SessionHeartbeat heart)
    {
        ImmutableArray<Leadership> leads;
        lock (_gate)
        {
            leads = [.. _leads.Where(l => l.Heart == heart)];
        }

        (Task<ImmutableArray<ZnodeOperationResult>> reply, Beat beat) = Send(heart, [.. leads.Select(static l => l.Fence)]);
        try
        {
            // Goes on where the reply is read.
            await reply.ConfigureAwait(false);
            Acknowledged(heart, beat);
            lock (_gate)
            {
                Beat bound = heart.Beats.Bounding(beat);
                foreach (Leadership lead in leads)
                {
                    lead.Renew(bound);
                }

                _told = false;
            }
        }
        catch (ZooKeeperException e)
        {
            Failed(heart, beat, e, leads.Length);
            if (e.FailedIndex is { } index && index < leads.Length)
            {
                leads[index].Refused(e);
                _ = DropRefusedAsync(heart, leads);
            }
            else if (!leads.IsEmpty && e.FailedIndex is null && !heart.Session.HasEnded && !_told)
            {
                _told = true;
                Log.LeaseRenewalFailed(_client.Logger, leads[0].CandidateId, leads[0].Term, e.Message);
            }
        }
    }

    /// <summary>All terms in one round: those that are others' by now are dropped, and the rest is renewed at once.</summary>
    private async Task DropRefusedAsync(SessionHeartbeat heart, ImmutableArray<Leadership> leads)
    {
        try
        {
            await Task.CompletedTask.ConfigureAwait(ConfigureAwaitOptions.ForceYielding);
            ImmutableArray<Leadership> rest = [.. leads.Where(static l => !l.IsOver)];
            if (rest.Length > 1)
            {
                await heart.Session.SyncAsync(rest[0].TermPath, _client.Disposing).ConfigureAwait(false);
                ZnodeStat?[] terms = await Task.WhenAll(rest.Select(l => heart.Session.ExistsAsync(l.TermPath, null, _client.Disposing)))
                    .ConfigureAwait(false);
                for (int i = 0; i < terms.Length; i++)
                {
                    if (terms[i]?.Version != rest[i].Term)
                    {
                        rest[i].Refused(null);
                    }
                }
            }
        }
        catch (Exception e) when (e is ZooKeeperException or OperationCanceledException)
        {
            // The next beat finds out.
        }

        Hasten();
    }

    /// <summary>A beat and what goes with it, in the order in which they are noted here.</summary>
    private (Task<ImmutableArray<ZnodeOperationResult>> Reply, Beat Beat) Send(SessionHeartbeat heart,
        ImmutableArray<ZnodeOperation> operations)
    {
        lock (_gate)
        {
            TimeSpan now = Now;
            Beat beat = heart.Beats.Send(_length.At(now, heart.Session.SessionTimeout));
            foreach (Leadership lead in _leads)
            {
                if (lead.Heart == heart)
                {
                    lead.Lease.Limit(beat.SentAt, beat.Length);
                }
            }

            byte[] data = new HeartbeatData(_options.Owner, beat.Length, _length.LongestWrite(now)).ToBytes();
            return (heart.Session.MultiInlineAsync(operations.Add(ZnodeOperation.SetData(heart.Path, data))).AsTask(), beat);
        }
    }

    private void Acknowledged(SessionHeartbeat heart, Beat beat)
    {
        lock (_gate)
        {
            TimeSpan took = TakenBy(heart, beat);
            heart.Beats.Acknowledge(beat);

            // The first write of a process, and what was held up with the process, say nothing of the ensemble.
            if (heart.HasBeaten && beat.SentAt.Monotonic > heart.LateAt)
            {
                _length.Wrote(took, Now);
            }

            heart.HasBeaten = true;
            heart.Moves = 0;
        }
    }

    private void Failed(SessionHeartbeat heart, Beat beat, ZooKeeperException failure, int beatIndex)
    {
        lock (_gate)
        {
            if (failure.FailedIndex is null)
            {
                SentBeats.Lose(beat);
                return;
            }

            heart.Beats.Refuse(beat);
        }

        if (failure.FailedIndex == beatIndex)
        {
            Lose(heart, failure);
        }
    }

    /// <summary>
    /// Somebody has deleted the heartbeat: everybody waits for its leases to end, and so they do. The next one has another name.
    /// </summary>
    private void Lose(SessionHeartbeat heart, ZooKeeperException failure)
    {
        ImmutableArray<Leadership> leads;
        lock (_gate)
        {
            leads = [.. _leads.Where(l => l.Heart == heart)];
        }

        foreach (Leadership lead in leads)
        {
            lead.Ended($"its heartbeat cannot be written: {failure.Message}");
        }

        Log.HeartbeatFailed(_client.Logger, heart.Path, failure.Message);
        heart.Lost.TrySetResult();
    }
}
