namespace RedisFailover.ZooKeeper;

/// <summary>The operations of the wire protocol (ZooKeeper's <c>ZooDefs.OpCode</c>).</summary>
internal enum OpCode
{
    Create = 1,
    Delete = 2,
    Exists = 3,
    GetData = 4,
    SetData = 5,
    GetAcl = 6,
    SetAcl = 7,
    Sync = 9,
    Ping = 11,
    GetChildren2 = 12,
    Check = 13,
    Multi = 14,
    Create2 = 15,
    RemoveWatches = 18,
    CreateContainer = 19,
    CreateTtl = 21,
    Auth = 100,
    SetWatches = 101,
    WhoAmI = 107,
    CloseSession = -11,
}

/// <summary>The request numbers with a meaning of their own; ordinary requests count from 1 to int.MaxValue - 1.</summary>
internal static class Xid
{
    internal const int Notification = -1;
    internal const int Ping = -2;
    internal const int Auth = -4;
    internal const int SetWatches = -8;

    internal static int Next(int xid) => xid >= int.MaxValue - 1 ? 1 : xid + 1;
}
