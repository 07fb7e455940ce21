using System.Collections.Immutable;

namespace RedisFailover.ZooKeeper;

/// <summary>
/// The latest list of one znode's children, followed over reconnects and sessions like a <see cref="WatchedValue"/>. Get one from
/// <see cref="ZooKeeperClient.WatchChildren"/>.
/// </summary>
public sealed class WatchedChildren : IAsyncDisposable
{
    private readonly Latest<ZnodeChildren> _latest = new(static children => children.Stat.ChildrenZxid);
    private readonly CallbackQueue _callbacks;
    private readonly Follower _follower;
    private readonly string _path;

    internal WatchedChildren(ZooKeeperClient client, string path)
    {
        _path = path;
        _callbacks = new CallbackQueue(client.Logger);
        _follower = new Follower(client, path, ReadAsync);
    }

    /// <summary>
    /// The names last read, sorted by their characters' codes; null if the parent did not exist then, or was not read yet.
    /// </summary>
    public ImmutableArray<string>? Current => _latest.Value?.Names;

    /// <summary>True once the parent was read, or found missing.</summary>
    public bool IsRead => _latest.IsRead;

    /// <summary>Told of every new list, null for a missing parent, in order, on the thread pool.</summary>
    public event Action<ImmutableArray<string>?>? Changed;

    /// <summary>
    /// The current list when it is known, then each newer one; null means that the parent does not exist. Ends by cancellation only.
    /// </summary>
    /// <param name="cancellationToken">Ends the enumeration with an <see cref="OperationCanceledException"/>.</param>
    public async IAsyncEnumerable<ImmutableArray<string>?> ChangesAsync(
        [System.Runtime.CompilerServices.EnumeratorCancellation] CancellationToken cancellationToken = default)
    {
        await foreach (ZnodeChildren? children in _latest.FollowAsync(cancellationToken).ConfigureAwait(false))
        {
            yield return children?.Names;
        }
    }

    /// <summary>Stops following. <see cref="Current"/> keeps its value.</summary>
    public ValueTask DisposeAsync() => _follower.DisposeAsync();

    private async Task ReadAsync(ZooKeeperSession session, Watcher watcher, bool firstOfSession, CancellationToken cancellationToken)
    {
        ZnodeChildren? value = await Follower.ReadOrMissingAsync(
            session, _path, watcher, () => session.GetChildrenInlineAsync(_path, watcher, cancellationToken), cancellationToken)
                .ConfigureAwait(false);
        value = value is null ? null : value with { Names = value.Names.Sort(StringComparer.Ordinal) };
        if (_latest.Publish(value, firstOfSession) && Changed is not null)
        {
            _callbacks.Raise(() => Changed, value?.Names);
        }
    }
}
