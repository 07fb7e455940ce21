using System.Collections.Immutable;

namespace RedisFailover;

/// <summary>What the monitors' user may do on a node.</summary>
[Flags]
internal enum NodeRights
{
    /// <summary>Nothing.</summary>
    None = 0,

    /// <summary>Make it a master or a replica. Without it there is neither failover nor switchover.</summary>
    ChangeRole = 1,

    /// <summary>Hold its clients' writes. Without it there is no switchover.</summary>
    HoldWrites = 2,

    /// <summary>Let held writes go on (since Redis 6.2). Without it a switchover that is undone holds them until its time is up.</summary>
    ResumeWrites = 4,

    /// <summary>
    /// End connections: a former leader's, and those of a former master's clients. Without it there is no fence at the node.
    /// </summary>
    CutClients = 8,

    /// <summary>See who is connected. Without it there is no fence at the node, and other controllers are not seen.</summary>
    ListClients = 16,

    /// <summary>Name its own connection. Without it the next leader cannot tell whom to cut off.</summary>
    NameConnection = 32,

    /// <summary>Read the settings that INFO leaves out.</summary>
    ReadSettings = 64,

    /// <summary>Change min-replicas-to-write. Without it there is no write safety, and no switchover before Redis 6.2.</summary>
    ChangeSettings = 128,

    /// <summary>Write the role into the node's file (CONFIG REWRITE). Without it the role is forgotten with a restart.</summary>
    KeepRole = 256,
}

/// <summary>One thing that a monitor has to be able to do on a node, and by which command. The only list of these.</summary>
/// <param name="Right">Which.</param>
/// <param name="Command">The command and its subcommand, as ACL rules write it: "client|pause".</param>
/// <param name="Harmless">
/// A form of the command that does nothing and is refused for that, after the rights have been looked at; empty where there is none: such a
/// command is asked for in a transaction that is discarded.
/// </param>
internal sealed record NodeRight(NodeRights Right, string Command, ImmutableArray<string> Harmless)
{
    /// <summary>What stands for <see cref="Command"/> where that is denied or has another name; null: nothing does.</summary>
    public string? Instead { get; init; }

    /// <summary>
    /// All of them. Watching itself (INFO) is not among them: without it a node is not watched at all, which is told in its own
    /// way.
    /// </summary>
    public static ImmutableArray<NodeRight> All { get; } =
    [
        new(NodeRights.ChangeRole, "replicaof", ["REPLICAOF", "127.0.0.1", "none"]) { Instead = "slaveof" },
        new(NodeRights.HoldWrites, "client|pause", ["CLIENT", "PAUSE", "none"]),
        new(NodeRights.ResumeWrites, "client|unpause", []),
        new(NodeRights.CutClients, "client|kill", ["CLIENT", "KILL", "ID", "none"]),
        new(NodeRights.ListClients, "client|list", ["CLIENT", "LIST", "TYPE", "none"]),
        new(NodeRights.NameConnection, "client|setname", ["CLIENT", "SETNAME", "no spaces"]),
        new(NodeRights.ReadSettings, "config|get", ["CONFIG", "GET", "redis-failover-none"]),
        new(NodeRights.ChangeSettings, "config|set", ["CONFIG", "SET", "redis-failover-none", "1"]),
        new(NodeRights.KeepRole, "config|rewrite", []),
    ];

    /// <summary>The commands of these rights, as ACL rules write them.</summary>
    public static ImmutableArray<string> Commands(NodeRights rights) => [.. All.Where(r => rights.HasFlag(r.Right)).Select(r => r.Command)];

    /// <summary>The least that the monitors' user needs, as ACL SETUSER takes it: no keys, and of commands these alone.</summary>
    /// <param name="version">Redis' version: before 6.2 there are no rules for channels.</param>
    public static string MinimalAcl(Version version)
    {
        ArgumentNullException.ThrowIfNull(version);
        // A discarded transaction asks for rights; before 6.2 a real one holds writes. PUBLISH tells clients of a change of master, ACL LOG
        // why a replica is refused.
        // FAILOVER is for its ABORT alone.
        string[] beside = ["info", "ping", "multi", "exec", "discard", "publish", "acl|log",
            .. version >= new Version(6, 2) ? new[] { "failover|abort" } : []];
        IEnumerable<string> commands = beside.Concat(All.Select(r => r.Command));
        string channels = version >= new Version(6, 2) ? $" resetchannels &{MasterChangedChannel}" : "";
        return $"resetkeys{channels} -@all {string.Join(' ', commands.Select(c => "+" + c))}";
    }

    /// <summary>The channel on which StackExchange.Redis listens for changes of master.</summary>
    public const string MasterChangedChannel = "__Booksleeve_MasterChanged";
}
