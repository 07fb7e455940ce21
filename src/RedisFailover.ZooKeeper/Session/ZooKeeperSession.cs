using System.Collections.Immutable;

namespace RedisFailover.ZooKeeper;

/// <summary>
/// Exactly one ZooKeeper session, from its creation to its end, over as many connections as it takes. It is never replaced by another one
/// silently: when it ends, <see cref="Ended"/> is cancelled and every operation fails. <see cref="ZooKeeperClient"/> makes the next.
/// </summary>
/// <remarks>
/// All members are safe for concurrent use. Requests are pipelined and answered in the order in which they were made. A request made while
/// there is no connection waits for one, until the session ends; beyond 2^20 of them, or 64 MB to write, they fail with
/// <see cref="ZooKeeperErrorCode.Throttled"/>. When a connection is lost, what was sent and not answered fails with
/// <see cref="ZooKeeperErrorCode.ConnectionLoss"/>; nothing is sent twice. Cancelling a request stops the waiting, not the request: a write
/// that was sent may be applied. Watch callbacks run one at a time and in order; one that blocks delays those after it. They and awaiting
/// code run on the thread that has just read for them, or on the thread pool. One of them that blocks holds up neither replies nor pings:
/// from a thread that has not come back for 2 to 4 ms the reading is taken away. Each connection has one such thread. Pings, time limits
/// and reconnects run on the thread pool, though: so many that block at once as to starve it delay them, and the session may be lost.
/// </remarks>
public sealed class ZooKeeperSession : IZnodes, IAsyncDisposable
{
    private readonly ZooKeeperOptions _options;
    private readonly TimeProvider _time;
    private readonly SessionParts _parts;
    private readonly SessionLifetime _lifetime;
    private readonly SessionLoop _loop;
    private readonly ZnodeRequests _znodes;
    private readonly CancellationTokenSource _ended = new();
    private readonly CancellationTokenSource _closing = new();
    private readonly TaskCompletionSource _disposal = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly bool _ownsLog;
    private Task _running = Task.CompletedTask;

    private ZooKeeperSession(ZooKeeperOptions options, LogQueue? log, FormerSession? former)
    {
        (_options, _time, _ownsLog) = (options, options.TimeProvider, log is null);
        _parts = SessionParts.For(options, log ?? LogQueue.For(options));
        _lifetime = new SessionLifetime(_parts, _ended, former?.RefusedScheme);
        _loop = new SessionLoop(_parts, _lifetime, former, _closing.Token);
        _znodes = new ZnodeRequests(options.AclOf);
        Ended = _ended.Token;
    }

    /// <summary>The id that the server gave the session.</summary>
    public long SessionId => _parts.Identity.Id;

    /// <summary>The timeout T that the server granted; it may change with a reconnect to a server that is configured otherwise.</summary>
    public TimeSpan SessionTimeout => _parts.Identity.Timeout;

    /// <summary>The state at this moment.</summary>
    public ZooKeeperSessionState State => _lifetime.State;

    /// <summary>
    /// Cancelled once, when the session has expired, was closed, or had its credentials refused. Callbacks registered on it run on the
    /// thread pool, before or after <see cref="StateChanged"/>, which waits for its turn.
    /// </summary>
    public CancellationToken Ended { get; }

    /// <summary>
    /// How long ago the server last answered, anything. Pings count: this says nothing about the quorum (see <see cref="Lease"/>).
    /// </summary>
    public TimeSpan SinceLastContact => LastContact.Elapsed(_time);

    internal Moment LastContact => _parts.Requests.Live?.LastReceive ?? _parts.Identity.LastContact;

    internal bool HasEnded => _lifetime.HasEnded;

    internal TimeProvider Time => _time;

    /// <inheritdoc cref="SessionLoop.ServerCount"/>
    internal int ServerCount => _loop.ServerCount;

    /// <inheritdoc cref="SessionLoop.ConnectedAt"/>
    internal long ConnectedAt => _loop.ConnectedAt;

    internal CallbackQueue Callbacks => _parts.Callbacks;

    /// <inheritdoc cref="SessionIdentity.LastZxid"/>
    internal long LastZxid => _parts.Identity.LastZxid;

    /// <inheritdoc cref="SessionIdentity.Password"/>
    internal ReadOnlyMemory<byte> Password => _parts.Identity.Password;

    /// <inheritdoc cref="SessionIdentity.LeftBehind"/>
    internal FormerSession? LeftBehind => _parts.Identity.LeftBehind;

    /// <summary>Told of every change of <see cref="State"/>, in order, on the thread pool.</summary>
    public event Action<ZooKeeperSessionState>? StateChanged
    {
        add => _lifetime.StateChanged += value;
        remove => _lifetime.StateChanged -= value;
    }

    /// <summary>Creates a session; keeps trying all hosts until one accepts it.</summary>
    /// <param name="options">How to reach the ensemble.</param>
    /// <param name="cancellationToken">Ends the trying.</param>
    /// <exception cref="ArgumentOutOfRangeException">The session timeout is out of range.</exception>
    /// <exception cref="ArgumentException">The connection, the source of time or one of the credentials is null.</exception>
    /// <exception cref="ZooKeeperException">
    /// The server refused the credentials (<see cref="ZooKeeperErrorCode.AuthFailed"/>); or something failed that is no matter of servers
    /// and network (<see cref="ZooKeeperErrorCode.SystemError"/>, the message says what).
    /// </exception>
    /// <exception cref="OperationCanceledException">Cancelled before a server accepted the session.</exception>
    public static async Task<ZooKeeperSession> ConnectAsync(ZooKeeperOptions options, CancellationToken cancellationToken = default)
    {
        ZooKeeperSession session = Start(ZooKeeperOptions.Validate(options), null, null);
        await session.EstablishAsync(cancellationToken).ConfigureAwait(false);
        return session;
    }

    /// <summary>Begins to connect.</summary>
    /// <param name="options">How to reach the ensemble.</param>
    /// <param name="log">Where its owner logs, so that the lines of both keep their order; null for one of its own.</param>
    /// <param name="former">The session that this one replaces, to be closed first; null for none.</param>
    internal static ZooKeeperSession Start(ZooKeeperOptions options, LogQueue? log, FormerSession? former)
    {
        var session = new ZooKeeperSession(options, log, former);
        session._running = Task.Run(session._loop.RunAsync, CancellationToken.None);
        return session;
    }

    /// <summary>Waits until a server has accepted the session and its credentials; disposes it if that fails.</summary>
    internal async Task EstablishAsync(CancellationToken cancellationToken)
    {
        try
        {
            await _lifetime.Established.WaitAsync(cancellationToken).ConfigureAwait(false);
        }
        catch
        {
            await DisposeAsync().ConfigureAwait(false);
            throw;
        }
    }

    /// <summary>
    /// Closes the session: the server deletes its ephemeral znodes at once. Waits for the server's confirmation at most a third of the
    /// session timeout; without a connection it does not wait, and the server lets the session expire. Then it waits, at most as long
    /// again, until the logger has all that was logged. Later calls wait for the first.
    /// </summary>
    public async ValueTask DisposeAsync()
    {
        if (!_parts.Requests.BeginClosing())
        {
            await _disposal.Task.ConfigureAwait(false);
            return;
        }

        try
        {
            if (State == ZooKeeperSessionState.Connected)
            {
                await SayGoodbyeAsync().ConfigureAwait(false);
            }

            await _closing.CancelAsync().ConfigureAwait(false);
            await _running.ConfigureAwait(false);
            if (_ownsLog)
            {
                await _parts.Logger.WrittenAsync(SessionTimeout / 3, _time).ConfigureAwait(false);
            }
        }
        finally
        {
            _disposal.TrySetResult();
        }
    }

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
        => mode == CreateMode.Container
            ? (await CreateWithStatAsync(path, data, mode, acl, cancellationToken).ConfigureAwait(false)).Path
            : await Send(_znodes.Create(path, data, mode, acl), cancellationToken).ConfigureAwait(false);

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
        => Send(_znodes.CreateWithStat(path, data, mode, acl), cancellationToken).AsTask();

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
        => Send(_znodes.CreateWithTtl(path, data, timeToLive, mode, acl), cancellationToken).AsTask();

    /// <summary>Deletes a znode that has no children.</summary>
    /// <param name="path">The znode.</param>
    /// <param name="version">The version expected; -1 (default) for any.</param>
    /// <param name="cancellationToken">Stops the waiting; a request that was sent may be applied.</param>
    /// <exception cref="ZooKeeperException">NoNode, BadVersion, NotEmpty, NoAuth, ConnectionLoss, SessionExpired.</exception>
    public Task DeleteAsync(string path, int version = -1, CancellationToken cancellationToken = default)
        => Send(ZnodeRequests.Delete(path, version), cancellationToken).AsTask();

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
        => operations.IsDefaultOrEmpty
            ? Task.FromResult(ImmutableArray<ZnodeOperationResult>.Empty)
            : Send(_znodes.Multi(operations), cancellationToken).AsTask();

    /// <summary>
    /// Waits until the server of this connection has seen what the ensemble's leader had committed. The reads after it see that.
    /// </summary>
    /// <param name="path">Any path; the servers do not look at it.</param>
    /// <param name="cancellationToken">Stops the waiting.</param>
    /// <exception cref="ZooKeeperException">ConnectionLoss, SessionExpired.</exception>
    public Task SyncAsync(string path, CancellationToken cancellationToken = default)
        => Send(ZnodeRequests.Sync(path), cancellationToken).AsTask();

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
                await Send(_znodes.CreateOnServer(serverPath, _parts.Watches.ToClientPath(serverPath)), cancellationToken)
                    .ConfigureAwait(false);
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

    /// <summary>Reads a znode's access control list.</summary>
    /// <param name="path">The znode.</param>
    /// <param name="cancellationToken">Stops the waiting.</param>
    /// <exception cref="ZooKeeperException">NoNode, NoAuth, ConnectionLoss, SessionExpired.</exception>
    public Task<ZnodeAccess> GetAclAsync(string path, CancellationToken cancellationToken = default)
        => Send(ZnodeRequests.GetAcl(path), cancellationToken).AsTask();

    /// <summary>Replaces a znode's access control list and returns the state after it.</summary>
    /// <param name="path">The znode.</param>
    /// <param name="acl">The new entries, at least one.</param>
    /// <param name="aclVersion">The <see cref="ZnodeStat.AclVersion"/> expected; -1 (default) for any.</param>
    /// <param name="cancellationToken">Stops the waiting; a request that was sent may be applied.</param>
    /// <exception cref="ZooKeeperException">NoNode, BadVersion, NoAuth, InvalidAcl, ConnectionLoss, SessionExpired.</exception>
    /// <exception cref="ArgumentException">The path is malformed, or an entry of the list is null.</exception>
    public Task<ZnodeStat> SetAclAsync(
        string path, ImmutableArray<ZnodeAcl> acl, int aclVersion = -1, CancellationToken cancellationToken = default)
        => Send(ZnodeRequests.SetAcl(path, acl, aclVersion), cancellationToken).AsTask();

    /// <summary>Adds credentials to the session, now and on every connection to come.</summary>
    /// <param name="auth">The credentials.</param>
    /// <param name="cancellationToken">Stops the waiting; the credentials are added all the same.</param>
    /// <exception cref="ZooKeeperException">AuthFailed: the server refused them, and the session is over. ConnectionLoss,
    /// SessionExpired.</exception>
    public async Task AddAuthAsync(ZooKeeperAuth auth, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(auth);
        _loop.AddAuth(auth);
        await Send(new AuthRequest(auth), cancellationToken).ConfigureAwait(false);
    }

    /// <summary>Who the server takes this session for: pairs of scheme and id. Servers from 3.7 on.</summary>
    /// <param name="cancellationToken">Stops the waiting.</param>
    /// <exception cref="ZooKeeperException">Unimplemented on an older server, which closes the connection too. ConnectionLoss,
    /// SessionExpired.</exception>
    public Task<ImmutableArray<(string Scheme, string Id)>> WhoAmIAsync(CancellationToken cancellationToken = default)
        => Send(ZnodeRequests.WhoAmI(), cancellationToken).AsTask();

    /// <summary>
    /// Removes all watches of this session on a znode, here and on the server. Their callbacks are told
    /// <see cref="WatchedEventType.DataWatchRemoved"/> or <see cref="WatchedEventType.ChildWatchRemoved"/>. Servers from 3.5 on.
    /// </summary>
    /// <param name="path">The znode.</param>
    /// <param name="cancellationToken">Stops the waiting.</param>
    /// <exception cref="ZooKeeperException">NoWatcher: there was none. Unimplemented on an older server. ConnectionLoss,
    /// SessionExpired.</exception>
    public Task RemoveWatchesAsync(string path, CancellationToken cancellationToken = default)
        => Send(ZnodeRequests.RemoveWatches(path), cancellationToken).AsTask();

    /// <summary>Gives the connection up and goes on with the next server.</summary>
    internal void MoveOn(string why) => _parts.Requests.Live?.Abort(why);

    /// <inheritdoc cref="WatchRegistry.Forget"/>
    internal void Forget(string clientPath, Watcher watcher) => _parts.Watches.Forget(clientPath, watcher);

    /// <summary>As <see cref="GetDataAsync"/>, with a watch of this project's own.</summary>
    internal ValueTask<Znode> GetDataWatchedAsync(string path, Watcher? watcher, CancellationToken cancellationToken)
        => Send(GetDataRequest.Rent(path, watcher), cancellationToken);

    internal ValueTask<Znode> GetDataInlineAsync(string path, Watcher watcher, CancellationToken cancellationToken = default)
        => SendInline(GetDataRequest.Rent(path, watcher), cancellationToken);

    internal ValueTask<ZnodeStat?> ExistsInlineAsync(string path, Watcher watcher, CancellationToken cancellationToken = default)
        => SendInline(new ExistsRequest(path, watcher), cancellationToken);

    internal ValueTask<ZnodeChildren> GetChildrenInlineAsync(string path, Watcher watcher, CancellationToken cancellationToken = default)
        => SendInline(new GetChildrenRequest(path, watcher), cancellationToken);

    internal ValueTask<bool> SyncInlineAsync(string path, CancellationToken cancellationToken)
        => SendInline(ZnodeRequests.Sync(path), cancellationToken);

    /// <summary>As <see cref="MultiAsync"/>, sent from this thread at once: nothing on the thread pool has to come first.</summary>
    internal ValueTask<ImmutableArray<ZnodeOperationResult>> MultiInlineAsync(ImmutableArray<ZnodeOperation> operations)
    {
        ValueTask<ImmutableArray<ZnodeOperationResult>> reply = SendInline(_znodes.Multi(operations), CancellationToken.None);
        _parts.Requests.Live?.Flush();
        return reply;
    }

    /// <summary>For tests: any request at all.</summary>
    internal Task<T> SendAsync<T>(Request<T> request) => Send(request, CancellationToken.None).AsTask();

    private static Watcher? User(Action<WatchedEvent>? watcher) => watcher is null ? null : new Watcher(watcher, Inline: false);

    private ValueTask<T> Send<T>(Request<T> request, CancellationToken cancellationToken)
    {
        if (cancellationToken.IsCancellationRequested)
        {
            return ValueTask.FromCanceled<T>(cancellationToken);
        }

        ValueTask<T> result = request.AsValueTask();
        _parts.Requests.Submit(request);
        request.CancelWith(cancellationToken);
        return result;
    }

    /// <summary>For this project's own code, which goes on where the reply is read: it must not block.</summary>
    private ValueTask<T> SendInline<T>(Request<T> request, CancellationToken cancellationToken)
    {
        request.ContinuesInline = true;
        return Send(request, cancellationToken);
    }

    private async Task SayGoodbyeAsync()
    {
        try
        {
            var request = new PlainRequest<bool>(OpCode.CloseSession, null, static (_, _) => { }, static (ref _, _) => true);
            if (_parts.Requests.Live?.TrySend(request) == true)
            {
                await request.AsValueTask().AsTask().MayFailUnseen().WaitAsync(SessionTimeout / 3, _time).ConfigureAwait(false);
            }
        }
        catch (Exception e) when (e is ZooKeeperException or TimeoutException)
        {
            // Unconfirmed: the server lets the session expire.
        }
    }
}
