using System.Collections.Immutable;

namespace RedisFailover.ZooKeeper;

/// <content>Credentials and access control lists, and the removal of watches.</content>
public sealed partial class ZooKeeperSession
{
    private ImmutableArray<ZooKeeperAuth> _auth;

    /// <summary>Reads a znode's access control list.</summary>
    /// <param name="path">The znode.</param>
    /// <param name="cancellationToken">Stops the waiting.</param>
    /// <exception cref="ZooKeeperException">NoNode, NoAuth, ConnectionLoss, SessionExpired.</exception>
    public Task<ZnodeAccess> GetAclAsync(string path, CancellationToken cancellationToken = default)
    {
        ZnodePath.Validate(path);
        return Send(
            new PlainRequest<ZnodeAccess>(
                OpCode.GetAcl,
                path,
                (writer, chroot) => writer.Path(chroot, path),
                static (ref body, _) => new ZnodeAccess(body.Acl(), body.Stat())),
            cancellationToken).AsTask();
    }

    /// <summary>Replaces a znode's access control list and returns the state after it.</summary>
    /// <param name="path">The znode.</param>
    /// <param name="acl">The new entries, at least one.</param>
    /// <param name="aclVersion">The <see cref="ZnodeStat.AclVersion"/> expected; -1 (default) for any.</param>
    /// <param name="cancellationToken">Stops the waiting; a request that was sent may be applied.</param>
    /// <exception cref="ZooKeeperException">NoNode, BadVersion, NoAuth, InvalidAcl, ConnectionLoss, SessionExpired.</exception>
    /// <exception cref="ArgumentException">The path is malformed, or an entry of the list is null.</exception>
    public Task<ZnodeStat> SetAclAsync(
        string path, ImmutableArray<ZnodeAcl> acl, int aclVersion = -1, CancellationToken cancellationToken = default)
    {
        ZnodePath.Validate(path);
        ZnodeAcl.Validate(acl);
        return Send(
            new PlainRequest<ZnodeStat>(
                OpCode.SetAcl,
                path,
                (writer, chroot) =>
                {
                    writer.Path(chroot, path);
                    writer.Acl(acl.IsDefault ? [] : acl);
                    writer.Int32(aclVersion);
                },
                static (ref body, _) => body.Stat()),
            cancellationToken).AsTask();
    }

    /// <summary>Adds credentials to the session, now and on every connection to come.</summary>
    /// <param name="auth">The credentials.</param>
    /// <param name="cancellationToken">Stops the waiting; the credentials are added all the same.</param>
    /// <exception cref="ZooKeeperException">AuthFailed: the server refused them, and the session is over. ConnectionLoss,
    /// SessionExpired.</exception>
    public async Task AddAuthAsync(ZooKeeperAuth auth, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(auth);
        lock (_gate)
        {
            _auth = _auth.Add(auth);
        }

        await Send(new AuthRequest(auth), cancellationToken).ConfigureAwait(false);
    }

    /// <summary>Who the server takes this session for: pairs of scheme and id. Servers from 3.7 on.</summary>
    /// <param name="cancellationToken">Stops the waiting.</param>
    /// <exception cref="ZooKeeperException">Unimplemented on an older server, which closes the connection too. ConnectionLoss,
    /// SessionExpired.</exception>
    public Task<ImmutableArray<(string Scheme, string Id)>> WhoAmIAsync(CancellationToken cancellationToken = default)
        => Send(
            new PlainRequest<ImmutableArray<(string Scheme, string Id)>>(
                OpCode.WhoAmI,
                null,
                static (_, _) => { },
                static (ref body, _) =>
                {
                    int count = body.Count(8);
                    var identities = ImmutableArray.CreateBuilder<(string, string)>(count);
                    for (int i = 0; i < count; i++)
                    {
                        identities.Add((body.String(), body.String()));
                    }

                    return identities.MoveToImmutable();
                }),
            cancellationToken).AsTask();

    /// <summary>
    /// Removes all watches of this session on a znode, here and on the server. Their callbacks are told
    /// <see cref="WatchedEventType.DataWatchRemoved"/> or <see cref="WatchedEventType.ChildWatchRemoved"/>. Servers from 3.5 on.
    /// </summary>
    /// <param name="path">The znode.</param>
    /// <param name="cancellationToken">Stops the waiting.</param>
    /// <exception cref="ZooKeeperException">NoWatcher: there was none. Unimplemented on an older server. ConnectionLoss,
    /// SessionExpired.</exception>
    public Task RemoveWatchesAsync(string path, CancellationToken cancellationToken = default)
    {
        const int any = 3;
        ZnodePath.Validate(path);
        return Send(
            new PlainRequest<bool>(
                OpCode.RemoveWatches,
                path,
                (writer, chroot) =>
                {
                    writer.Path(chroot, path);
                    writer.Int32(any);
                },
                (ref _, session) =>
                {
                    session.TellRemoved(path);
                    return true;
                }),
            cancellationToken).AsTask();
    }
}
