using StackExchange.Redis;

namespace RedisFailover.Client;

/// <summary>
/// Everything that differs between StackExchange.Redis 1.2.6 and 2.x/3.x: names, and traps that one has and the other has not.
/// No other file of this project mentions a version.
/// </summary>
internal static class StackExchangeVersion
{
#if STACKEXCHANGE_REDIS_1
    public const CommandFlags PreferReplica = CommandFlags.PreferSlave;
    public const CommandFlags DemandReplica = CommandFlags.DemandSlave;

    /// <summary>An await that races with the reply resumes user code on the socket's reader; if it blocks, the connection stalls.</summary>
    public const bool ReaderThreadCanBeStolen = true;

    public static bool IsReplica(IServer server) => server.IsSlave;

    /// <summary>True when this version knows ACL user names.</summary>
    public static bool KnowsUsers => false;

    public static void Configure(ConfigurationOptions configuration, string? user)
    {
        // Refused by the options' validation before it comes here.
        _ = configuration;
        _ = user;
    }
#else
    public const CommandFlags PreferReplica = CommandFlags.PreferReplica;
    public const CommandFlags DemandReplica = CommandFlags.DemandReplica;
    public const bool ReaderThreadCanBeStolen = false;

    public static bool IsReplica(IServer server) => server.IsReplica;

    /// <summary>True when this version knows ACL user names.</summary>
    public static bool KnowsUsers => true;

    public static void Configure(ConfigurationOptions configuration, string? user)
    {
        // A call on a lost connection must fail at once, so that it can go to another node, and not queue for it.
        configuration.BacklogPolicy = BacklogPolicy.FailFast;
        configuration.User = user;
    }
#endif

    /// <summary>The bits of <see cref="CommandFlags"/> that choose a role; stripped before a call reaches a multiplexer of one node.</summary>
    public const CommandFlags RoleMask = CommandFlags.DemandMaster | DemandReplica;

    /// <summary>What a multiplexer throws, before sending, for a write to a node that it believes to be a replica.</summary>
    public static bool IsRefusedForRole(RedisCommandException failure)
        => failure.Message.StartsWith("Command cannot be issued to a slave", StringComparison.Ordinal)
            || failure.Message.StartsWith("Command cannot be issued to a replica", StringComparison.Ordinal);
}
