namespace RedisFailover.ZooKeeper;

/// <summary>
/// The latest value of one znode, followed over reconnects and sessions. It delivers state, not events: values in between may be skipped,
/// the last one never is, and it never goes back to an older one (by <see cref="ZnodeStat.ModifiedZxid"/>, which grows across re-creation
/// too). Get one from <see cref="ZooKeeperClient.Watch"/>.
/// </summary>
/// <remarks>
/// The one exception to "never back": an ensemble whose data was wiped and that has therefore accepted a new session; then what it holds is
/// the truth. While there is no connection the last known value stays.
/// </remarks>
public sealed class WatchedValue : IAsyncDisposable
{
    private readonly Latest<Znode> _latest = new(static value => value.Stat.ModifiedZxid);
    private readonly CallbackQueue _callbacks;
    private readonly Follower _follower;
    private readonly string _path;

    internal WatchedValue(ZooKeeperClient client, string path, TimeSpan settle)
    {
        _path = path;
        _callbacks = new CallbackQueue(client.Logger);
        _follower = new Follower(client, path, ReadAsync, settle);
    }

    /// <summary>The value last read; null if the znode did not exist then, or was not read yet (see <see cref="IsRead"/>).</summary>
    public Znode? Current => _latest.Value;

    /// <summary>True once the znode was read, or found missing.</summary>
    public bool IsRead => _latest.IsRead;

    /// <summary>
    /// Told of every new value, null for a missing znode, in order, on the thread pool. Does not tell what was there before subscribing.
    /// </summary>
    public event Action<Znode?>? Changed;

    /// <summary>
    /// The current value when it is known, then each newer one; null means that the znode does not exist. Ends by cancellation only.
    /// </summary>
    /// <param name="cancellationToken">Ends the enumeration with an <see cref="OperationCanceledException"/>.</param>
    public IAsyncEnumerable<Znode?> ChangesAsync(CancellationToken cancellationToken = default) => _latest.FollowAsync(cancellationToken);

    /// <summary>Stops following. <see cref="Current"/> keeps its value.</summary>
    public ValueTask DisposeAsync() => _follower.DisposeAsync();

    private async Task ReadAsync(ZooKeeperSession session, Watcher watcher, bool firstOfSession, CancellationToken cancellationToken)
    {
        Znode? value = await Follower.ReadOrMissingAsync(
            session, _path, watcher, () => session.GetDataInlineAsync(_path, watcher, cancellationToken), cancellationToken)
                .ConfigureAwait(false);
        if (_latest.Publish(value, firstOfSession) && Changed is not null)
        {
            _callbacks.Raise(() => Changed, value);
        }
    }
}
