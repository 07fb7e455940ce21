using System.Collections.Immutable;

namespace RedisFailover.ZooKeeper;

/// <summary>The kinds of operations that a multi is made of.</summary>
public enum ZnodeOperationKind
{
    /// <summary>Compare the version.</summary>
    Check,

    /// <summary>Create a znode.</summary>
    Create,

    /// <summary>Write data.</summary>
    SetData,

    /// <summary>Delete a znode.</summary>
    Delete,
}

/// <summary>One operation of a multi: all are applied, or none.</summary>
public sealed record ZnodeOperation
{
    private ZnodeOperation(ZnodeOperationKind kind, string path)
    {
        Kind = kind;
        Path = path;
    }

    /// <summary>Which operation.</summary>
    public ZnodeOperationKind Kind { get; }

    /// <summary>The znode.</summary>
    public string Path { get; }

    /// <summary>The data to write; empty for the kinds that write none. Not copied here, but when the multi is called.</summary>
    public ReadOnlyMemory<byte> Data { get; private init; }

    /// <summary>The expected version; -1 for any.</summary>
    public int Version { get; private init; } = -1;

    /// <summary>The mode of a create.</summary>
    public CreateMode Mode { get; private init; }

    /// <summary>The access control list of a create; empty: the session's own (<see cref="ZooKeeperOptions.AclOf"/>).</summary>
    public ImmutableArray<ZnodeAcl> Acl { get; private init; } = [];

    /// <summary>
    /// Goes through only if the znode exists with this version of its data. It compares nothing else: a re-created znode of the same
    /// version passes.
    /// </summary>
    /// <param name="path">The znode.</param>
    /// <param name="version">The version expected; -1 asks for existence only.</param>
    /// <exception cref="ArgumentException">The path is malformed.</exception>
    public static ZnodeOperation Check(string path, int version)
        => new(ZnodeOperationKind.Check, ZnodePath.Validate(path)) { Version = version };

    /// <summary>Creates a znode.</summary>
    /// <param name="path">The znode; its parent must exist.</param>
    /// <param name="data">Its data; all operations together at most about 1 MB. Not to be changed before
    /// <see cref="ZooKeeperSession.MultiAsync"/> was called.</param>
    /// <param name="mode">Its kind; the modes with a time to live are not possible inside a multi.</param>
    /// <param name="acl">Its access control list; default is <see cref="ZnodeAcl.Open"/>.</param>
    /// <exception cref="ArgumentException">The path is malformed, the mode needs a time to live, or an entry of the list is
    /// null.</exception>
    public static ZnodeOperation Create(
        string path, ReadOnlyMemory<byte> data, CreateMode mode = CreateMode.Persistent, ImmutableArray<ZnodeAcl> acl = default)
    {
        if (mode is CreateMode.PersistentWithTtl or CreateMode.PersistentSequentialWithTtl)
        {
            throw new ArgumentException("A znode with a time to live cannot be created inside a multi.", nameof(mode));
        }

        ZnodeAcl.Validate(acl);
        return new(ZnodeOperationKind.Create, ZnodePath.Validate(path, CreateModes.IsSequential(mode)))
        {
            Data = data,
            Mode = mode,
            Acl = acl.IsDefault ? [] : acl,
        };
    }

    /// <summary>Writes a znode's data.</summary>
    /// <param name="path">The znode.</param>
    /// <param name="data">The new data. Not to be changed before <see cref="ZooKeeperSession.MultiAsync"/> was called.</param>
    /// <param name="version">The version expected; -1 for any.</param>
    /// <exception cref="ArgumentException">The path is malformed.</exception>
    public static ZnodeOperation SetData(string path, ReadOnlyMemory<byte> data, int version = -1)
        => new(ZnodeOperationKind.SetData, ZnodePath.Validate(path)) { Data = data, Version = version };

    /// <summary>Deletes a znode that has no children.</summary>
    /// <param name="path">The znode.</param>
    /// <param name="version">The version expected; -1 for any.</param>
    /// <exception cref="ArgumentException">The path is malformed.</exception>
    public static ZnodeOperation Delete(string path, int version = -1)
        => new(ZnodeOperationKind.Delete, ZnodePath.Validate(path)) { Version = version };
}

/// <summary>What one operation of a successful multi answered.</summary>
/// <param name="Kind">Which operation.</param>
/// <param name="Path">Create: the path of the new znode, with the counter of a sequential mode. Otherwise null.</param>
/// <param name="Stat">
/// SetData: the state after the write. Create of a <see cref="CreateMode.Container"/>: the new znode's state. Otherwise null: servers
/// answer the other creates of a multi with the path alone, checks and deletes with nothing.
/// </param>
public sealed record ZnodeOperationResult(ZnodeOperationKind Kind, string? Path, ZnodeStat? Stat);
