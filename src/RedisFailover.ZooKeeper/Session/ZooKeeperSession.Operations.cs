using System.Collections.Immutable;

namespace RedisFailover.ZooKeeper;

/// <content>The operations. Each throws <see cref="ZooKeeperException"/>, or <see cref="OperationCanceledException"/> when its token is
/// cancelled.</content>
public sealed partial class ZooKeeperSession
{
    /// <summary>Creates a znode and returns its path, with the counter that a sequential mode appended.</summary>
    /// <param name="path">The znode; its parent must exist.</param>
    /// <param name="data">Its data, at most about 1 MB; copied before the call returns.</param>
    /// <param name="mode">Its kind. For the modes with a time to live use <see cref="CreateWithTtlAsync"/>.</param>
    /// <param name="acl">Its access control list; default is <see cref="ZnodeAcl.Open"/>.</param>
    /// <param name="cancellationToken">Stops the waiting; a request that was sent may be applied.</param>
    /// <exception cref="ZooKeeperException">NodeExists, NoNode (no parent), NoAuth, NoChildrenForEphemerals, InvalidAcl, ConnectionLoss,
    /// SessionExpired.</exception>
    /// <exception cref="ArgumentException">The path is malformed, the mode needs a time to live, or an entry of the list is
    /// null.</exception>
    public async Task<string> CreateAsync(
        string path,
        ReadOnlyMemory<byte> data,
        CreateMode mode = CreateMode.Persistent,
        ImmutableArray<ZnodeAcl> acl = default,
        CancellationToken cancellationToken = default)
    {
        if (mode == CreateMode.Container)
        {
            return (await CreateWithStatAsync(path, data, mode, acl, cancellationToken).ConfigureAwait(false)).Path;
        }

        CheckCreate(path, mode, acl, wantsTtl: false);
        return await Send(
            new PlainRequest<string>(
                OpCode.Create, path, CreateBody(path, data, mode, acl), static (ref body, session) => session.ToClientPath(body.String())),
            cancellationToken).ConfigureAwait(false);
    }

    /// <summary>As <see cref="CreateAsync"/>, and returns the new znode's state too (create2). Servers from 3.5 on.</summary>
    /// <inheritdoc cref="CreateAsync" path="/param"/>
    /// <exception cref="ZooKeeperException">As <see cref="CreateAsync"/>; Unimplemented on an older server.</exception>
    /// <exception cref="ArgumentException">The path is malformed, the mode needs a time to live, or an entry of the list is
    /// null.</exception>
    public Task<CreatedZnode> CreateWithStatAsync(
        string path,
        ReadOnlyMemory<byte> data,
        CreateMode mode = CreateMode.Persistent,
        ImmutableArray<ZnodeAcl> acl = default,
        CancellationToken cancellationToken = default)
    {
        CheckCreate(path, mode, acl, wantsTtl: false);
        OpCode op = mode == CreateMode.Container ? OpCode.CreateContainer : OpCode.Create2;
        return Send(new PlainRequest<CreatedZnode>(op, path, CreateBody(path, data, mode, acl), ReadCreated), cancellationToken).AsTask();
    }

    /// <summary>Creates a znode that the server deletes when it has no children and was not written for a while.</summary>
    /// <param name="path">The znode; its parent must exist.</param>
    /// <param name="data">Its data, at most about 1 MB; copied before the call returns.</param>
    /// <param name="timeToLive">How long; from 1 ms to 2^40 - 1 ms, about 34.8 years; servers refuse more with BadArguments.</param>
    /// <param name="mode"><see cref="CreateMode.PersistentWithTtl"/> (default) or
    /// <see cref="CreateMode.PersistentSequentialWithTtl"/>.</param>
    /// <param name="acl">Its access control list; default is <see cref="ZnodeAcl.Open"/>.</param>
    /// <param name="cancellationToken">Stops the waiting; a request that was sent may be applied.</param>
    /// <exception cref="ZooKeeperException">As <see cref="CreateAsync"/>; Unimplemented where the server does not enable it
    /// (zookeeper.extendedTypesEnabled).</exception>
    /// <exception cref="ArgumentException">The path is malformed, the mode has no time to live, or an entry of the list is
    /// null.</exception>
    public Task<CreatedZnode> CreateWithTtlAsync(
        string path,
        ReadOnlyMemory<byte> data,
        TimeSpan timeToLive,
        CreateMode mode = CreateMode.PersistentWithTtl,
        ImmutableArray<ZnodeAcl> acl = default,
        CancellationToken cancellationToken = default)
    {
        CheckCreate(path, mode, acl, wantsTtl: true);
        ArgumentOutOfRangeException.ThrowIfLessThan(timeToLive, TimeSpan.FromMilliseconds(1));
        Action<JuteWriter, string> body = CreateBody(path, data, mode, acl);
        return Send(
            new PlainRequest<CreatedZnode>(
                OpCode.CreateTtl,
                path,
                (writer, chroot) =>
                {
                    body(writer, chroot);
                    writer.Int64((long)timeToLive.TotalMilliseconds);
                },
                ReadCreated),
            cancellationToken).AsTask();
    }

    /// <summary>Deletes a znode that has no children.</summary>
    /// <param name="path">The znode.</param>
    /// <param name="version">The version expected; -1 (default) for any.</param>
    /// <param name="cancellationToken">Stops the waiting; a request that was sent may be applied.</param>
    /// <exception cref="ZooKeeperException">NoNode, BadVersion, NotEmpty, NoAuth, ConnectionLoss, SessionExpired.</exception>
    public Task DeleteAsync(string path, int version = -1, CancellationToken cancellationToken = default)
    {
        ZnodePath.Validate(path);
        return Send(
            new PlainRequest<bool>(
                OpCode.Delete,
                path,
                (writer, chroot) =>
                {
                    writer.Path(chroot, path);
                    writer.Int32(version);
                },
                static (ref _, _) => true),
            cancellationToken).AsTask();
    }

    /// <summary>Returns the znode's state, or null if it does not exist.</summary>
    /// <param name="path">The znode.</param>
    /// <param name="watcher">Told once of the next creation, deletion or write; null (default) for no watch.</param>
    /// <param name="cancellationToken">Stops the waiting. A read that was cancelled has set no watch: its callback is never told.</param>
    /// <exception cref="ZooKeeperException">ConnectionLoss, SessionExpired.</exception>
    public Task<ZnodeStat?> ExistsAsync(string path, Action<WatchedEvent>? watcher = null, CancellationToken cancellationToken = default)
        => Send(new ExistsRequest(ZnodePath.Validate(path), User(watcher)), cancellationToken).AsTask();

    /// <summary>Reads a znode.</summary>
    /// <param name="path">The znode.</param>
    /// <param name="watcher">Told once of the next write or deletion, unless the read fails; null (default) for no watch.</param>
    /// <param name="cancellationToken">Stops the waiting. A read that was cancelled has set no watch: its callback is never told.</param>
    /// <exception cref="ZooKeeperException">NoNode, NoAuth, ConnectionLoss, SessionExpired.</exception>
    public ValueTask<Znode> GetDataAsync(string path, Action<WatchedEvent>? watcher = null, CancellationToken cancellationToken = default)
        => Send(GetDataRequest.Rent(ZnodePath.Validate(path), User(watcher)), cancellationToken);

    /// <summary>Writes a znode's data and returns the state after it.</summary>
    /// <param name="path">The znode.</param>
    /// <param name="data">The new data, at most about 1 MB; copied before the call returns.</param>
    /// <param name="version">The version expected; -1 (default) for any.</param>
    /// <param name="cancellationToken">Stops the waiting; a request that was sent may be applied.</param>
    /// <exception cref="ZooKeeperException">NoNode, BadVersion, NoAuth, MarshallingError (too large), ConnectionLoss,
    /// SessionExpired.</exception>
    public ValueTask<ZnodeStat> SetDataAsync(
        string path, ReadOnlyMemory<byte> data, int version = -1, CancellationToken cancellationToken = default)
        => Send(SetDataRequest.Rent(ZnodePath.Validate(path), data, version), cancellationToken);

    /// <summary>Lists a znode's children.</summary>
    /// <param name="path">The znode.</param>
    /// <param name="watcher">Told once when a child is created or deleted or the znode itself is deleted; null (default) for no
    /// watch.</param>
    /// <param name="cancellationToken">Stops the waiting. A read that was cancelled has set no watch: its callback is never told.</param>
    /// <exception cref="ZooKeeperException">NoNode, NoAuth, ConnectionLoss, SessionExpired.</exception>
    public Task<ZnodeChildren> GetChildrenAsync(
        string path, Action<WatchedEvent>? watcher = null, CancellationToken cancellationToken = default)
        => Send(new GetChildrenRequest(ZnodePath.Validate(path), User(watcher)), cancellationToken).AsTask();

    /// <summary>Applies all operations as one transaction, or none of them.</summary>
    /// <param name="operations">What to do, in order; together at most about 1 MB. Their data are copied before the call returns.</param>
    /// <param name="cancellationToken">Stops the waiting; a request that was sent may be applied.</param>
    /// <returns>One result per operation; <see cref="ZnodeOperationResult"/> says what it holds for which.</returns>
    /// <exception cref="ZooKeeperException">The code of the operation that failed, with its index; ConnectionLoss,
    /// SessionExpired.</exception>
    /// <exception cref="ArgumentException">An operation is null.</exception>
    public Task<ImmutableArray<ZnodeOperationResult>> MultiAsync(
        ImmutableArray<ZnodeOperation> operations, CancellationToken cancellationToken = default)
    {
        if (operations.IsDefaultOrEmpty)
        {
            return Task.FromResult(ImmutableArray<ZnodeOperationResult>.Empty);
        }

        int missing = operations.IndexOf(null!);
        return missing < 0
            ? Send(new MultiRequest(operations, DefaultAcl), cancellationToken).AsTask()
            : throw new ArgumentException($"Operation {missing} is null.", nameof(operations));
    }

    /// <summary>
    /// Waits until the server of this connection has seen what the ensemble's leader had committed. The reads after it see that.
    /// </summary>
    /// <param name="path">Any path; the servers do not look at it.</param>
    /// <param name="cancellationToken">Stops the waiting.</param>
    /// <exception cref="ZooKeeperException">ConnectionLoss, SessionExpired.</exception>
    public Task SyncAsync(string path, CancellationToken cancellationToken = default)
        => Send(SyncRequest(path), cancellationToken).AsTask();

    /// <summary>
    /// Creates the znode and its parents as far as they are missing, the chroot included: persistent, empty, open to everybody.
    /// </summary>
    /// <param name="path">The znode; "/" for the chroot alone.</param>
    /// <param name="cancellationToken">Stops the waiting.</param>
    /// <exception cref="ZooKeeperException">NoAuth (it is missing and may not be created), ConnectionLoss, SessionExpired.</exception>
    public async Task EnsurePathAsync(string path, CancellationToken cancellationToken = default)
    {
        string full = ZnodePath.Prefix(_options.Connection.Chroot, ZnodePath.Validate(path));
        for (int slash = full.IndexOf('/', 1); full.Length > 1; slash = full.IndexOf('/', slash + 1))
        {
            string serverPath = slash < 0 ? full : full[..slash];
            try
            {
                await Send(
                    new PlainRequest<bool>(
                        OpCode.Create,
                        ToClientPath(serverPath),
                        (writer, _)
                            => CreateBody(serverPath, default, CreateMode.Persistent, DefaultAcl(ToClientPath(serverPath)))(writer, ""),
                        static (ref _, _) => true),
                    cancellationToken).ConfigureAwait(false);
            }
            catch (ZooKeeperException e) when (e.Code == ZooKeeperErrorCode.NodeExists
                || (e.Code == ZooKeeperErrorCode.NoAuth && slash > 0))
            {
                // There already; or a parent that we may not write to, below which the rest may exist.
            }
            catch (ZooKeeperException e) when (e.Code == ZooKeeperErrorCode.NoAuth)
            {
                // A parent in which we may create nothing says that first, whether the znode exists or not.
                if (await ExistsAsync(path, null, cancellationToken).ConfigureAwait(false) is null)
                {
                    throw;
                }
            }

            if (slash < 0)
            {
                return;
            }
        }
    }

    internal ValueTask<Znode> GetDataInlineAsync(string path, Watcher watcher, CancellationToken cancellationToken = default)
        => SendInline(GetDataRequest.Rent(path, watcher), cancellationToken);

    /// <summary>As <see cref="GetDataAsync"/>, with a watch of this project's own.</summary>
    internal ValueTask<Znode> GetDataWatchedAsync(string path, Watcher? watcher, CancellationToken cancellationToken)
        => Send(GetDataRequest.Rent(path, watcher), cancellationToken);

    /// <summary>As <see cref="MultiAsync"/>, sent from this thread at once: nothing on the thread pool has to come first.</summary>
    internal ValueTask<ImmutableArray<ZnodeOperationResult>> MultiInlineAsync(ImmutableArray<ZnodeOperation> operations)
    {
        ValueTask<ImmutableArray<ZnodeOperationResult>> reply =
            SendInline(new MultiRequest(operations, DefaultAcl), CancellationToken.None);
        Volatile.Read(ref _live)?.Flush();
        return reply;
    }

    internal ValueTask<ZnodeStat?> ExistsInlineAsync(string path, Watcher watcher, CancellationToken cancellationToken = default)
        => SendInline(new ExistsRequest(path, watcher), cancellationToken);

    internal ValueTask<ZnodeChildren> GetChildrenInlineAsync(string path, Watcher watcher, CancellationToken cancellationToken = default)
        => SendInline(new GetChildrenRequest(path, watcher), cancellationToken);

    internal ValueTask<bool> SyncInlineAsync(string path, CancellationToken cancellationToken)
        => SendInline(SyncRequest(path), cancellationToken);

    private static PlainRequest<bool> SyncRequest(string path)
    {
        ZnodePath.Validate(path);
        return new PlainRequest<bool>(OpCode.Sync, path, (writer, chroot) => writer.Path(chroot, path), static (ref _, _) => true);
    }

    private static Watcher? User(Action<WatchedEvent>? watcher) => watcher is null ? null : new Watcher(watcher, Inline: false);

    private static void CheckCreate(string path, CreateMode mode, ImmutableArray<ZnodeAcl> acl, bool wantsTtl)
    {
        ZnodeAcl.Validate(acl);
        ZnodePath.Validate(path, CreateModes.IsSequential(mode));
        if (CreateModes.HasTtl(mode) != wantsTtl)
        {
            throw new ArgumentException($"{mode} {(wantsTtl ? "has no time to live" : "needs a time to live")}.", nameof(mode));
        }
    }

    private Action<JuteWriter, string> CreateBody(string path, ReadOnlyMemory<byte> data, CreateMode mode, ImmutableArray<ZnodeAcl> acl)
        => (writer, chroot) =>
        {
            writer.Path(chroot, path, mode);
            writer.Buffer(data.Span);
            writer.Acl(acl.IsDefaultOrEmpty ? DefaultAcl(path) : acl);
            writer.Int32((int)mode);
        };

    private ImmutableArray<ZnodeAcl> DefaultAcl(string path)
        => _options.AclOf?.Invoke(path) is { IsDefaultOrEmpty: false } acl ? acl : ZnodeAcl.Open;

    private static CreatedZnode ReadCreated(ref JuteReader body, ZooKeeperSession session)
        => new(session.ToClientPath(body.String()), body.Stat());

    /// <summary>For tests: any request at all.</summary>
    internal Task<T> SendAsync<T>(Request<T> request) => Send(request, CancellationToken.None).AsTask();

    private ValueTask<T> Send<T>(Request<T> request, CancellationToken cancellationToken)
    {
        if (cancellationToken.IsCancellationRequested)
        {
            return ValueTask.FromCanceled<T>(cancellationToken);
        }

        ValueTask<T> result = request.AsValueTask();
        Submit(request);
        request.CancelWith(cancellationToken);
        return result;
    }

    /// <summary>For this project's own code, which goes on where the reply is read: it must not block.</summary>
    private ValueTask<T> SendInline<T>(Request<T> request, CancellationToken cancellationToken)
    {
        request.ContinuesInline = true;
        return Send(request, cancellationToken);
    }
}
