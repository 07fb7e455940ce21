using System.Collections.Immutable;

namespace RedisFailover.ZooKeeper;

/// <summary>
/// The one write that gives and renews leases: the own heartbeat, behind the fences of all terms that this process leads, in one
/// transaction (S1). Whoever sees the heartbeat stand still knows when all of them have ended.
/// </summary>
/// <param name="client">Whose sessions are used.</param>
/// <param name="owner">The name in the heartbeat.</param>
/// <param name="length">How long the leases are.</param>
/// <param name="hasten">Has the next beat sent at once.</param>
internal sealed class LeaseRenewal(ZooKeeperClient client, string owner, MeasuredLease length, Action hasten)
{
    /// <summary>Beats are noted, limit the leases and are sent in one order: that of this lock.</summary>
    private readonly Lock _gate = new();
    private ImmutableArray<Leadership> _leads = [];
    private long? _notHeldSince;
    private bool _told;

    /// <summary>All that this process leads.</summary>
    internal ImmutableArray<Leadership> Leads
    {
        get
        {
            lock (_gate)
            {
                return _leads;
            }
        }
    }

    /// <summary>For how long this process leads without a lease; null while it does not lead, or holds all its leases.</summary>
    internal TimeSpan? NotHeldFor
    {
        get
        {
            lock (_gate)
            {
                return _notHeldSince is { } since ? client.Time.GetElapsedTime(since) : null;
            }
        }
    }

    /// <summary>Notes since when leadership has no lease.</summary>
    internal void NoteWhatIsHeld()
    {
        lock (_gate)
        {
            _notHeldSince = _leads.All(static l => l.Lease.IsHeld) ? null : _notHeldSince ?? client.Time.GetTimestamp();
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
                lead.Lease.Renew(beat.SentAt, heart.Beats.Bounded(beat));
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

    /// <summary>The oldest beat without an answer, for how long the servers have had it, and how many there are; null for none.</summary>
    internal (Beat Oldest, TimeSpan For, int Count)? Unanswered(SessionHeartbeat heart)
    {
        lock (_gate)
        {
            return heart.Beats.Oldest is { } oldest ? (oldest, heart.TakenBy(oldest), heart.Beats.Awaited) : null;
        }
    }

    /// <summary>Counts a move to another server because of this beat; false if it has just been answered, and nothing is counted.</summary>
    internal bool TryCountMove(SessionHeartbeat heart, Beat unanswered)
    {
        lock (_gate)
        {
            if (heart.Beats.Oldest != unanswered)
            {
                return false;
            }

            heart.Moves++;
            return true;
        }
    }

    /// <summary>A beat that renews all that is led by this heartbeat. Goes on where the reply is read. Does not throw.</summary>
    internal async Task BeatAsync(SessionHeartbeat heart)
    {
        ImmutableArray<Leadership> leads = LedBy(heart);
        (Task<ImmutableArray<ZnodeOperationResult>> reply, Beat beat) = Send(heart, [.. leads.Select(static l => l.Fence)]);
        try
        {
            await reply.ConfigureAwait(false);
            Acknowledged(heart, beat);
            lock (_gate)
            {
                TimeSpan length = heart.Beats.Bounded(beat);
                foreach (Leadership lead in leads)
                {
                    lead.Lease.Renew(beat.SentAt, length);
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
                Log.LeaseRenewalFailed(client.Logger, leads[0].CandidateId, leads[0].Term, e.Message);
            }
        }
    }

    /// <summary>
    /// Applies the operations together with a beat, which is the last of the transaction: winning an election is a beat (S2).
    /// </summary>
    /// <returns>The results of the operations given, and the beat that leadership won by them is bounded by.</returns>
    internal async Task<(ImmutableArray<ZnodeOperationResult> Results, Beat Beat)> BeatWithAsync(
        SessionHeartbeat heart, ImmutableArray<ZnodeOperation> operations)
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

    /// <summary>All terms in one round: those that are others' by now are dropped, and the rest is renewed at once.</summary>
    private async Task DropRefusedAsync(SessionHeartbeat heart, ImmutableArray<Leadership> leads)
    {
        try
        {
            await Task.CompletedTask.ConfigureAwait(ConfigureAwaitOptions.ForceYielding);
            ImmutableArray<Leadership> rest = [.. leads.Where(static l => !l.IsOver)];
            if (rest.Length > 1)
            {
                await heart.Session.SyncAsync(rest[0].TermPath, client.Disposing).ConfigureAwait(false);
                ZnodeStat?[] terms = await Task.WhenAll(rest.Select(l => heart.Session.ExistsAsync(l.TermPath, null, client.Disposing)))
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

        hasten();
    }

    /// <summary>A beat and what goes with it, in the order in which they are noted here. It publishes its own length (S4).</summary>
    private (Task<ImmutableArray<ZnodeOperationResult>> Reply, Beat Beat) Send(
        SessionHeartbeat heart, ImmutableArray<ZnodeOperation> operations)
    {
        lock (_gate)
        {
            Beat beat = heart.Beats.Send(length.Length(heart.Session.SessionTimeout));
            foreach (Leadership lead in _leads)
            {
                if (lead.Heart == heart)
                {
                    lead.Lease.Limit(beat.SentAt, beat.Length);
                }
            }

            byte[] data = new HeartbeatData(owner, beat.Length, length.LongestWrite).ToBytes();
            return (heart.Session.MultiInlineAsync(operations.Add(ZnodeOperation.SetData(heart.Path, data))).AsTask(), beat);
        }
    }

    private void Acknowledged(SessionHeartbeat heart, Beat beat)
    {
        lock (_gate)
        {
            TimeSpan took = heart.TakenBy(beat);
            heart.Beats.Acknowledge(beat);

            // The first write of a process, and what was held up with the process, say nothing of the ensemble.
            if (heart.HasBeaten && beat.SentAt.Monotonic > heart.LateAt)
            {
                length.Wrote(took);
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
        foreach (Leadership lead in LedBy(heart))
        {
            lead.Ended($"its heartbeat cannot be written: {failure.Message}");
        }

        Log.HeartbeatFailed(client.Logger, heart.Path, failure.Message);
        heart.Lost.TrySetResult();
    }

    private ImmutableArray<Leadership> LedBy(SessionHeartbeat heart) => [.. Leads.Where(l => l.Heart == heart)];
}
