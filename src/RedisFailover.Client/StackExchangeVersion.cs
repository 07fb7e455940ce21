#if STACKEXCHANGE_REDIS_1
global using NodeMultiplexer = StackExchange.Redis.ConnectionMultiplexer;
#else
global using NodeMultiplexer = StackExchange.Redis.IConnectionMultiplexer;
#endif
using StackExchange.Redis;

namespace RedisFailover.Client;

/// <summary>
/// Everything that differs between StackExchange.Redis 1.2.6 and 2.x/3.x: names, members, and traps that one has and the other has
/// not. No other file of this project mentions a version.
/// </summary>
internal static class StackExchangeVersion
{
#if STACKEXCHANGE_REDIS_1
    public const CommandFlags PreferReplica = CommandFlags.PreferSlave;
    public const CommandFlags DemandReplica = CommandFlags.DemandSlave;

    public static bool IsReplica(IServer server) => server.IsSlave;

    /// <summary>
    /// Why it could not connect, without what it advises: that concerns options which are not the application's to set. And with what it
    /// leaves out: through TLS it is the first to be told of a password.
    /// </summary>
    public static string WithoutAdvice(string message)
        => message.Replace("; to create a disconnected multiplexer, disable AbortOnConnectFail", "", StringComparison.Ordinal)
            .Replace("AuthenticationFailure on PING", "It refuses the password, or was given none (AuthenticationFailure on PING)", StringComparison.Ordinal);

    /// <summary>True when this version knows ACL user names.</summary>
    public static bool KnowsUsers => false;

    public static void Configure(ConfigurationOptions configuration, string? user, int timeout)
    {
        // The user was refused by the options' validation before it comes here.
        _ = user;
        configuration.ResponseTimeout = timeout;

        // No SocketManager for all nodes, though each costs a thread: the one that writes for a manager waits for the replies to the
        // conditions of a transaction, and meanwhile what goes to the other nodes is not written. With a helper from the thread pool
        // waiting in its place, the pool may lack the thread that is to read that reply.
    }

    public static Task<RedisResult> ReplicationInfoAsync(IDatabase database) => database.ExecuteAsync("INFO", "replication");

    /// <summary>
    /// How many replies have come: what was sent, but for what still waits. Not the calls that are over, for those that have timed out are among them: the one
    /// in a transaction that waits for its condition does, and would be taken for an answer.
    /// </summary>
    public static long Answered(ConnectionMultiplexer multiplexer)
        => multiplexer.GetCounters().Interactive is var calls ? calls.OperationCount - calls.SentItemsAwaitingResponse : 0;

    /// <param name="multiplexer">Just connected.</param>
    /// <param name="each">Whether each caller is resumed by a work item of its own; else one thread resumes them one after the other.</param>
    public static void Configure(ConnectionMultiplexer multiplexer, bool each)
    {
        multiplexer.IncludeDetailInExceptions = false;
        multiplexer.PreserveAsyncOrder = !each;
    }

    /// <summary>
    /// Whether a caller that is resumed here and blocks holds up nobody else. It does on the reader, which is always the continuation
    /// of a read and as such a task, whereas what the reader hands over runs as plain work items; and where one of these resumes all.
    /// </summary>
    public static bool MayBlock(ConnectionMultiplexer multiplexer)
        => Task.CurrentId is null && Thread.CurrentThread.IsThreadPoolThread && !multiplexer.PreserveAsyncOrder;

    /// <summary>Messages reach the handler in their order. Callers are resumed one after the other then, too.</summary>
    public static Task SubscribeInOrderAsync(ConnectionMultiplexer multiplexer, RedisChannel channel, Action<RedisChannel, RedisValue> handler)
    {
        multiplexer.PreserveAsyncOrder = true;
        return multiplexer.GetSubscriber().SubscribeAsync(channel, handler);
    }
#else
    public const CommandFlags PreferReplica = CommandFlags.PreferReplica;
    public const CommandFlags DemandReplica = CommandFlags.DemandReplica;

    public static bool IsReplica(IServer server) => server.IsReplica;

    /// <summary>Why it could not connect, without what it advises: that concerns options which are not the application's to set.</summary>
    public static string WithoutAdvice(string message)
        => message.IndexOf(" To allow this multiplexer to continue", StringComparison.Ordinal) is > 0 and var advice ? message[..advice] : message;

    /// <summary>True when this version knows ACL user names.</summary>
    public static bool KnowsUsers => true;

    public static void Configure(ConfigurationOptions configuration, string? user, int timeout)
    {
        // A call on a lost connection must fail at once, so that it can go to another node, and not queue for it.
        configuration.BacklogPolicy = BacklogPolicy.FailFast;
        configuration.User = user;
        configuration.IncludeDetailInExceptions = false;

        // Whether the node answers is what counts, not how many calls stand before this one: the link watches that.
        configuration.AsyncTimeout = int.MaxValue;
        _ = timeout;
    }

    /// <summary>How many replies have come: what was sent, but for what still waits. This version counts no completed calls.</summary>
    public static long Answered(ConnectionMultiplexer multiplexer)
        => multiplexer.GetCounters().Interactive is var calls ? calls.OperationCount - calls.SentItemsAwaitingResponse : 0;

    /// <summary>By a script: this version takes INFO for an administrator's command and refuses it without AllowAdmin.</summary>
    public static Task<RedisResult> ReplicationInfoAsync(IDatabase database) => database.ScriptEvaluateAsync("return redis.call('INFO', 'replication')");

    public static void Configure(ConnectionMultiplexer multiplexer, bool each) => _ = (multiplexer, each);

    /// <summary>Callers are never resumed on the reader.</summary>
    public static bool MayBlock(ConnectionMultiplexer multiplexer) => true;

    /// <summary>Messages reach the handler in their order: this version keeps that of a queue alone, and runs bare handlers beside each other.</summary>
    public static async Task SubscribeInOrderAsync(ConnectionMultiplexer multiplexer, RedisChannel channel, Action<RedisChannel, RedisValue> handler)
        => (await multiplexer.GetSubscriber().SubscribeAsync(channel).ConfigureAwait(false)).OnMessage(message => handler(message.Channel, message.Message));
#endif

    /// <summary>The bits of <see cref="CommandFlags"/> that choose a role; stripped before a call reaches a multiplexer of one node.</summary>
    public const CommandFlags RoleMask = CommandFlags.DemandMaster | DemandReplica;

    /// <summary>How many calls were written to the socket so far, and how many wait for that.</summary>
    public static (long Sent, long Unsent) Sent(ConnectionMultiplexer multiplexer)
        => multiplexer.GetCounters().Interactive is var calls ? (calls.OperationCount, calls.PendingUnsentItems) : (0, 0);

    /// <summary>What a multiplexer throws, before sending, for a write to a node that it believes to be a replica.</summary>
    public static bool IsRefusedForRole(RedisCommandException failure)
        => failure.Message.StartsWith("Command cannot be issued to a slave", StringComparison.Ordinal)
            || failure.Message.StartsWith("Command cannot be issued to a replica", StringComparison.Ordinal);
}

#if !STACKEXCHANGE_REDIS_1
// Members that the later interfaces have and that are no methods: the generator leaves them to us.
internal sealed partial class FailoverDatabase
{
    int IDatabaseAsync.Database => ((IDatabase)this).Database;
}

internal abstract partial class QueuedCalls
{
    private protected int DatabaseNumber => _nodes.DatabaseNumber(_db);
}

internal sealed partial class FailoverBatch
{
    int IDatabaseAsync.Database => DatabaseNumber;
}

internal sealed partial class FailoverTransaction
{
    int IDatabaseAsync.Database => DatabaseNumber;

    ConditionResult ITransactionAsync.AddCondition(Condition condition) => ((ITransaction)this).AddCondition(condition);

    Task<bool> ITransactionAsync.ExecuteAsync(CommandFlags flags) => ((ITransaction)this).ExecuteAsync(flags);

    bool ITransactionAsync.WasWatchConflict => _last?.WasWatchConflict ?? false;
}

internal sealed partial class FailoverSubscriber
{
    // Queues belong to the multiplexer that made them: they do not move to another node. Subscriptions with a handler do.
    ChannelMessageQueue ISubscriber.Subscribe(RedisChannel channel, CommandFlags flags) => nodes.Master().Multiplexer.GetSubscriber().Subscribe(channel, flags);

    Task<ChannelMessageQueue> ISubscriber.SubscribeAsync(RedisChannel channel, CommandFlags flags)
        => nodes.Master().Multiplexer.GetSubscriber().SubscribeAsync(channel, flags);
}
#endif
