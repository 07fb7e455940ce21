namespace RedisFailover.ZooKeeper;

/// <summary>Another's heartbeat as it was last read.</summary>
/// <param name="Path">Its path.</param>
/// <param name="Session">The session that it belongs to; 0 when it was never seen.</param>
/// <param name="Version">Which beat it was; -1 when the znode is gone.</param>
/// <param name="Owner">Its owner's name; empty when it was never seen.</param>
/// <param name="Lease">How long its owner's leases last; zero when it was never seen.</param>
/// <param name="Write">The longest of its owner's recent writes.</param>
internal sealed record Sighting(string Path, long Session, int Version, string Owner, TimeSpan Lease, TimeSpan Write)
{
    /// <summary>
    /// When the reply came that told of this version first, by the monotonic clock: the watch's event says nothing of a version (S5).
    /// </summary>
    internal required long SeenAt { get; init; }

    /// <summary>Whether its owner beats elsewhere, and here only for those who look here.</summary>
    internal bool IsSecond { get; init; }

    /// <summary>Whether this side has seen it change.</summary>
    internal bool HasChanged { get; init; }

    internal bool IsGone => Version < 0;

    /// <summary>
    /// Since when it has been the same, as far as this side can know: what it heard before its own last reconnect does not count.
    /// </summary>
    internal long SameSince(ZooKeeperSession session) => Math.Max(SeenAt, session.ConnectedAt);
}

/// <summary>
/// Follows one heartbeat: every version that is read is stamped where the reply is read, before anything else is done with it.
/// </summary>
internal sealed class HeartbeatWatch : IAsyncDisposable
{
    private readonly string _path;
    private readonly TimeProvider _time;
    private readonly Follower _follower;
    private volatile Step _step = new(null);

    internal HeartbeatWatch(ZooKeeperClient client, string path)
    {
        (_path, _time) = (path, client.Time);
        _follower = new Follower(client, path, ReadAsync);
    }

    /// <summary>Null until it was read.</summary>
    internal Sighting? Current => _step.Value;

    /// <summary>What was seen last, and what completes when something else is seen.</summary>
    internal (Sighting? Seen, Task Changed) Look()
    {
        Step step = _step;
        return (step.Value, step.Next.Task);
    }

    public ValueTask DisposeAsync() => _follower.DisposeAsync();

    private async Task ReadAsync(ZooKeeperSession session, Watcher watcher, bool firstOfSession, CancellationToken cancellationToken)
    {
        Znode? znode = await Follower.ReadOrMissingAsync(
            session, _path, watcher, () => session.GetDataInlineAsync(_path, watcher, cancellationToken), cancellationToken)
                .ConfigureAwait(false);
        long at = _time.GetTimestamp();
        Sighting? before = _step.Value;
        int version = znode?.Stat.Version ?? -1;
        if (before?.Version == version)
        {
            return;
        }

        HeartbeatData? data = znode is null ? null : HeartbeatData.Read(znode.Data);
        Step last = _step;
        _step = new Step(new Sighting(
            _path,
            znode?.Stat.EphemeralOwner ?? before?.Session ?? 0,
            version,
            data?.Owner ?? before?.Owner ?? "",
            data?.Lease ?? before?.Lease ?? TimeSpan.Zero,
            data?.Write ?? before?.Write ?? TimeSpan.Zero)
        {
            SeenAt = at,
            IsSecond = data?.Home is not null,
            // One that was gone and is there again comes from a store that was put back: nobody writes it.
            HasChanged = before is { IsGone: false },
        });
        last.Next.TrySetResult();
    }

    private sealed class Step(Sighting? value)
    {
        internal Sighting? Value { get; } = value;

        internal TaskCompletionSource Next { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);
    }
}
