using System.Collections.Immutable;

namespace RedisFailover.ZooKeeper;

/// <summary>
/// The operations on znodes as requests: what each checks before it is sent, writes, and reads from its reply.
/// </summary>
/// <param name="aclOf">The access control list of what is created without one; null, or an empty one, for
/// <see cref="ZnodeAcl.Open"/>.</param>
internal sealed class ZnodeRequests(Func<string, ImmutableArray<ZnodeAcl>>? aclOf)
{
    internal Request<string> Create(string path, ReadOnlyMemory<byte> data, CreateMode mode, ImmutableArray<ZnodeAcl> acl)
    {
        Validate(path, mode, acl, wantsTtl: false);
        return new PlainRequest<string>(
            OpCode.Create, path, CreateBody(path, data, mode, acl), static (ref body, watches) => watches.ToClientPath(body.String()));
    }

    internal Request<CreatedZnode> CreateWithStat(string path, ReadOnlyMemory<byte> data, CreateMode mode, ImmutableArray<ZnodeAcl> acl)
    {
        Validate(path, mode, acl, wantsTtl: false);
        OpCode op = mode == CreateMode.Container ? OpCode.CreateContainer : OpCode.Create2;
        return new PlainRequest<CreatedZnode>(op, path, CreateBody(path, data, mode, acl), ReadCreated);
    }

    internal Request<CreatedZnode> CreateWithTtl(
        string path, ReadOnlyMemory<byte> data, TimeSpan timeToLive, CreateMode mode, ImmutableArray<ZnodeAcl> acl)
    {
        Validate(path, mode, acl, wantsTtl: true);
        ArgumentOutOfRangeException.ThrowIfLessThan(timeToLive, TimeSpan.FromMilliseconds(1));
        Action<JuteWriter, string> body = CreateBody(path, data, mode, acl);
        return new PlainRequest<CreatedZnode>(
            OpCode.CreateTtl,
            path,
            (writer, chroot) =>
            {
                body(writer, chroot);
                writer.Int64((long)timeToLive.TotalMilliseconds);
            },
            ReadCreated);
    }

    /// <summary>Creates a persistent, empty znode by its path on the server, outside of the chroot if need be.</summary>
    /// <param name="serverPath">The path on the server.</param>
    /// <param name="clientPath">The same as users know it.</param>
    internal Request<bool> CreateOnServer(string serverPath, string clientPath)
        => new PlainRequest<bool>(
            OpCode.Create,
            clientPath,
            (writer, _) => CreateBody(serverPath, default, CreateMode.Persistent, DefaultAcl(clientPath))(writer, ""),
            static (ref _, _) => true);

    internal Request<ImmutableArray<ZnodeOperationResult>> Multi(ImmutableArray<ZnodeOperation> operations)
    {
        int missing = operations.IndexOf(null!);
        return missing < 0
            ? new MultiRequest(operations, DefaultAcl)
            : throw new ArgumentException($"Operation {missing} is null.", nameof(operations));
    }

    internal static Request<bool> Delete(string path, int version)
    {
        ZnodePath.Validate(path);
        return new PlainRequest<bool>(
            OpCode.Delete,
            path,
            (writer, chroot) =>
            {
                writer.Path(chroot, path);
                writer.Int32(version);
            },
            static (ref _, _) => true);
    }

    internal static Request<bool> Sync(string path)
    {
        ZnodePath.Validate(path);
        return new PlainRequest<bool>(OpCode.Sync, path, (writer, chroot) => writer.Path(chroot, path), static (ref _, _) => true);
    }

    internal static Request<ZnodeAccess> GetAcl(string path)
    {
        ZnodePath.Validate(path);
        return new PlainRequest<ZnodeAccess>(
            OpCode.GetAcl,
            path,
            (writer, chroot) => writer.Path(chroot, path),
            static (ref body, _) => new ZnodeAccess(body.Acl(), body.Stat()));
    }

    internal static Request<ZnodeStat> SetAcl(string path, ImmutableArray<ZnodeAcl> acl, int aclVersion)
    {
        ZnodePath.Validate(path);
        ZnodeAcl.Validate(acl);
        return new PlainRequest<ZnodeStat>(
            OpCode.SetAcl,
            path,
            (writer, chroot) =>
            {
                writer.Path(chroot, path);
                writer.Acl(acl.IsDefault ? [] : acl);
                writer.Int32(aclVersion);
            },
            static (ref body, _) => body.Stat());
    }

    internal static Request<ImmutableArray<(string Scheme, string Id)>> WhoAmI()
        => new PlainRequest<ImmutableArray<(string Scheme, string Id)>>(
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
            });

    internal static Request<bool> RemoveWatches(string path)
    {
        const int any = 3;
        ZnodePath.Validate(path);
        return new PlainRequest<bool>(
            OpCode.RemoveWatches,
            path,
            (writer, chroot) =>
            {
                writer.Path(chroot, path);
                writer.Int32(any);
            },
            (ref _, watches) =>
            {
                watches.TellRemoved(path);
                return true;
            });
    }

    private static void Validate(string path, CreateMode mode, ImmutableArray<ZnodeAcl> acl, bool wantsTtl)
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
        => aclOf?.Invoke(path) is { IsDefaultOrEmpty: false } acl ? acl : ZnodeAcl.Open;

    private static CreatedZnode ReadCreated(ref JuteReader body, WatchRegistry watches)
        => new(watches.ToClientPath(body.String()), body.Stat());
}
