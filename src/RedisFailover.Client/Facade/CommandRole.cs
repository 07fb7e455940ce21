namespace RedisFailover.Client;

/// <summary>The bits of <see cref="CommandFlags"/> that choose between master and replica.</summary>
internal static class CommandRole
{
    private const CommandFlags Mask = CommandFlags.DemandMaster | CommandFlags.DemandReplica;

    public static CommandFlags Role(this CommandFlags flags) => flags & Mask;

    /// <summary>For the multiplexer of one node, which would judge the role by its own idea of itself.</summary>
    public static CommandFlags WithoutRole(this CommandFlags flags) => flags & ~Mask;
}
