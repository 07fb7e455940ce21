using System.Collections.Immutable;

namespace RedisFailover.ZooKeeper;

/// <summary>A znode's state, as every server keeps it (ZooKeeper's <c>Stat</c>).</summary>
/// <param name="CreatedZxid">The transaction that created it (czxid).</param>
/// <param name="ModifiedZxid">The transaction that last wrote its data (mzxid). Grows over the znode's life and across re-creation.</param>
/// <param name="CreatedAt">When it was created, by the clock of the ensemble's leader, in milliseconds since 1970 (UTC).</param>
/// <param name="ModifiedAt">When its data was last written, in the same unit.</param>
/// <param name="Version">Counts the writes of its data, from 0. Starts anew when the znode is created again.</param>
/// <param name="ChildrenVersion">Counts the changes of its children (cversion).</param>
/// <param name="AclVersion">Counts the changes of its access control list (aversion).</param>
/// <param name="EphemeralOwner">The session that an ephemeral znode belongs to; 0 for the others.</param>
/// <param name="DataLength">Bytes of data.</param>
/// <param name="ChildCount">Number of children.</param>
/// <param name="ChildrenZxid">The transaction that last created or deleted a child (pzxid).</param>
public readonly record struct ZnodeStat(
    long CreatedZxid,
    long ModifiedZxid,
    long CreatedAt,
    long ModifiedAt,
    int Version,
    int ChildrenVersion,
    int AclVersion,
    long EphemeralOwner,
    int DataLength,
    int ChildCount,
    long ChildrenZxid);

/// <summary>A znode's data and state at one moment.</summary>
/// <param name="Data">The data, in memory of its own; empty when the znode holds none.</param>
/// <param name="Stat">The state that belongs to exactly this data.</param>
public sealed record Znode(ReadOnlyMemory<byte> Data, ZnodeStat Stat);

/// <summary>The children of a znode at one moment.</summary>
/// <param name="Names">The names, without the parent's path, in no particular order.</param>
/// <param name="Stat">The parent's state.</param>
public sealed record ZnodeChildren(ImmutableArray<string> Names, ZnodeStat Stat);

/// <summary>A znode that was just created.</summary>
/// <param name="Path">Its path (without the chroot), with the counter that a sequential mode appended.</param>
/// <param name="Stat">Its state.</param>
public sealed record CreatedZnode(string Path, ZnodeStat Stat);
