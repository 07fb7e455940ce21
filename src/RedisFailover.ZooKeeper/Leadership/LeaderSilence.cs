namespace RedisFailover.ZooKeeper;

/// <summary>
/// When a follower takes over: once the leader's heartbeat was seen unchanged for so long that the lease that it publishes is over, by this
/// side's monotonic clock alone.
/// </summary>
internal sealed class LeaderSilence(LeaseKeeper keeper)
{
    /// <summary>While there is no connection: how often it is looked for.</summary>
    private static readonly TimeSpan NotConnected = TimeSpan.FromMilliseconds(50);

    private readonly TimeProvider _time = keeper.Client.Time;

    /// <summary>The heartbeat that was taken for silent and was not, and the version that it was known by.</summary>
    private (string? Path, int Version) _mistaken;

    /// <summary>Waits until the heartbeat of the term's holder is silent.</summary>
    /// <param name="session">The session that watches.</param>
    /// <param name="state">The term and the leader's znode as they were read.</param>
    /// <param name="news">Completes when either has changed.</param>
    /// <param name="cancellationToken">Ends the waiting.</param>
    /// <returns>What was seen; null as soon as there is something new about the term, or about the session.</returns>
    internal async Task<Sighting?> WaitAsync(
        ZooKeeperSession session, ElectionState state, Task news, CancellationToken cancellationToken)
    {
        HeartbeatWatch watch = keeper.Watch(state.Holder.Heartbeat!);
        Task over = Task.Delay(Timeout.Infinite, session.Ended);
        while (!news.IsCompleted && !session.HasEnded)
        {
            (Sighting? seen, Task changed) = watch.Look();
            Task due;
            if (seen is null || IsLeftToItsSession(seen, state))
            {
                due = changed;
            }
            else if (session.State != ZooKeeperSessionState.Connected)
            {
                // What is heard after the reconnect counts from there.
                due = Task.Delay(NotConnected, _time, cancellationToken);
            }
            else
            {
                TimeSpan left = Patience(seen, state, session) - _time.GetElapsedTime(seen.SameSince(session));
                if (left <= TimeSpan.Zero)
                {
                    return seen;
                }

                due = Task.Delay(left + TimeSpan.FromMilliseconds(1), _time, cancellationToken);
            }

            await Task.WhenAny(news, changed, due, over).WaitAsync(cancellationToken).ConfigureAwait(false);
        }

        return null;
    }

    /// <summary>
    /// The transaction has found that heartbeat changed: this side had not heard, and what it hears next counts twice as long.
    /// </summary>
    internal void WasMistaken(Sighting seen) => _mistaken = (seen.Path, seen.Version);

    /// <summary>
    /// Where the leader's znode stands though its heartbeat is gone, or is not to be seen from here (another chroot), it is left to its
    /// session (S6). And what was taken for silent once has to be heard of first.
    /// </summary>
    private bool IsLeftToItsSession(Sighting seen, ElectionState state)
        => _mistaken == (seen.Path, seen.Version) || (seen.IsGone && state.IsHeld);

    /// <summary>
    /// For how long it has to be the same: by the lease that stands in the heartbeat itself (S4), with room for both clocks (S8).
    /// </summary>
    private TimeSpan Patience(Sighting seen, ElectionState state, ZooKeeperSession session)
        => LeaseRules.SilentAfter(seen.Lease > TimeSpan.Zero ? seen.Lease : Unseen(state, session)) * (IsDoubted(seen) ? 2 : 1);

    /// <summary>
    /// The lease of a heartbeat that was gone before it was ever seen: with the leader's znode its session is over, and with that its lease
    /// as good as.
    /// </summary>
    private static TimeSpan Unseen(ElectionState state, ZooKeeperSession session)
        => !state.IsHeld && state.Holder.Lease > TimeSpan.Zero ? state.Holder.Lease : LeaseRules.Longest(session.SessionTimeout);

    /// <summary>This side has been late with its beats, and has not seen a few in time since.</summary>
    private bool IsDoubted(Sighting seen) => _mistaken.Path == seen.Path && !seen.IsGone && seen.Version < _mistaken.Version + 4;
}
