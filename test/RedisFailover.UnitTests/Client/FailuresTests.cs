using System.Diagnostics;
using Microsoft.Extensions.Logging.Abstractions;
using NUnit.Framework;
using RedisFailover.Client;
using RedisFailover.UnitTests.ZooKeeper;
using StackExchange.Redis;
using Waiting = RedisFailover.UnitTests.ZooKeeper.Waiting;

namespace RedisFailover.UnitTests.Client;

/// <summary>What StackExchange.Redis' failures say of a call, on a server whose answers are scripted.</summary>
[TestFixture]
public sealed class FailuresTests
{
    private static readonly TimeSpan s_timeout = TimeSpan.FromSeconds(2);

    [TestCase("READONLY You can't write against a read only replica.")]
    [TestCase("ERR Error running script (call to f_5): @user_script:1: -READONLY You can't write against a read only replica.")]
    [TestCase("LOADING Redis is loading the dataset in memory")]
    [TestCase("MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.")]
    [TestCase("NOREPLICAS Not enough good replicas to write.")]
    [TestCase("BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.")]
    [TestCase("UNBLOCKED force unblock from blocking operation, instance state changed (master -> replica?)")]
    public async Task A_node_that_takes_no_command_is_waited_for(string said)
    {
        int refused = 0;
        await using var redis = new ScriptedRedis(command => command[0] == "SADD" && refused++ < 3 ? $"-{said}\r\n" : null);
        await using NodeSet nodes = await ConnectAsync(redis, new FailoverOptions());
        Assert.That(await Database(nodes).SetAddAsync("key", 1).WithinDeadline(), Is.True);
        Assert.That(refused, Is.EqualTo(4));
    }

    [TestCase("WRONGTYPE Operation against a key holding the wrong kind of value")]
    [TestCase("OOM command not allowed when used memory > 'maxmemory'.")]
    [TestCase("BUSYGROUP Consumer Group name already exists")]
    [TestCase("BUSYKEY Target key name already exists.")]
    [TestCase("ERR unknown command")]
    public async Task An_error_of_the_command_is_the_callers(string said)
    {
        await using var redis = new ScriptedRedis(command => command[0] == "SADD" ? $"-{said}\r\n" : null);
        await using NodeSet nodes = await ConnectAsync(redis, new FailoverOptions());
        Assert.That(async ()
            => await Database(nodes).SetAddAsync("key", 1).WithinDeadline(),
                Throws.TypeOf<RedisServerException>().With.Message.Contains(said));
        Assert.That(redis.Seen.Count(command => command == "SADD"), Is.EqualTo(1));
    }

    [Test]
    public async Task A_lock_call_on_a_hung_master_holds_no_thread_and_is_not_answered_with_False([Values] bool extends)
    {
        bool silent = false;
        await using var redis = new ScriptedRedis(_ => silent ? ScriptedRedis.NoAnswer : null);
        await using NodeSet nodes = await ConnectAsync(redis, Impatient);
        silent = true;
        long start = Stopwatch.GetTimestamp();
        Task<bool> call = extends
            ? Database(nodes).LockExtendAsync("lock", "token", TimeSpan.FromMinutes(1)) : Database(nodes).LockReleaseAsync("lock", "token");
        Assert.That(Stopwatch.GetElapsedTime(start), Is.LessThan(s_timeout / 2));
        Assert.That(async () => await call.WithinDeadline(), Throws.TypeOf<MayHaveBeenAppliedException>());
        Assert.That(redis.Seen, Does.Contain("EVAL").And.Not.Contain("WATCH"));
    }

    [Test]
    public async Task A_transaction_with_conditions_on_a_hung_master_holds_no_thread_and_is_not_answered_with_False()
    {
        bool silent = false;
        await using var redis = new ScriptedRedis(command => (silent |= command[0] == "WATCH") ? ScriptedRedis.NoAnswer : null);
        await using NodeSet nodes = await ConnectAsync(redis, Impatient);
        ITransaction transaction = Database(nodes).CreateTransaction();
        transaction.AddCondition(Condition.StringEqual("lock", "token"));
        _ = transaction.SetAddAsync("key", 1);
        long start = Stopwatch.GetTimestamp();
        Task<bool> executing = transaction.ExecuteAsync();
        Assert.That(Stopwatch.GetElapsedTime(start), Is.LessThan(s_timeout / 2));
        Assert.That(async () => await executing.WithinDeadline(), Throws.InstanceOf<FailoverException>(), "not False");
    }

    [Test]
    public async Task A_call_that_was_never_sent_is_told_as_not_applied()
    {
        bool silent = false;
        await using var redis = new ScriptedRedis(command => (silent |= command[0] == "WATCH") ? ScriptedRedis.NoAnswer : null);
        await using NodeSet nodes = await ConnectAsync(redis, Impatient);

        // Waits for the replies to its condition, and all others behind it for their turn.
        ITransaction transaction = Database(nodes).CreateTransaction();
        transaction.AddCondition(Condition.StringEqual("lock", "token"));
        Task<bool> executing = transaction.ExecuteAsync();
        await Waiting.Until(() => silent);
        Task<bool>[] calls = [.. Enumerable.Range(0, 50).Select(number => Database(nodes).SetAddAsync("key", number))];
        await ((Task)Task.WhenAll([.. calls, executing])).WithinDeadline().ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        int ambiguous = calls.Count(call => call.Exception?.InnerException is MayHaveBeenAppliedException);
        Assert.That(calls.Count(call => call.Exception?.InnerException is NotAppliedException) + ambiguous, Is.EqualTo(calls.Length));
        Assert.That(ambiguous, Is.LessThanOrEqualTo(redis.Seen.Count(command => command == "SADD")), "those alone that were sent");
    }

    [TestCase("SORT", CommandFlags.CommandRetryWriteLastWins)]
    [TestCase("getex", CommandFlags.CommandRetryWriteLastWins)]
    [TestCase("HGETEX", CommandFlags.CommandRetryWriteLastWins)]
    [TestCase("LTRIM", CommandFlags.CommandRetryWriteAccumulating)]
    [TestCase("ZREMRANGEBYRANK", CommandFlags.CommandRetryWriteAccumulating)]
    [TestCase("CLIENT", CommandFlags.CommandRetryNever)]
    [TestCase("GET", CommandFlags.None)]
    public void A_command_by_name_that_may_write_by_its_arguments_is_no_read(string command, CommandFlags category) => Assert.Multiple(() =>
    {
        Assert.That(Failures.ByName(command, CommandFlags.None), Is.EqualTo(category));
        Assert.That(Failures.ByName(command, CommandFlags.CommandRetryAlways), Is.EqualTo(CommandFlags.CommandRetryAlways), "the caller's");
    });

    [Test]
    public async Task A_call_that_removes_by_position_is_sent_again_only_where_all_are()
    {
        await using var redis =
            new ScriptedRedis(command => command[0] is "LTRIM" or "SREM" && command.Length > 0 ? ScriptedRedis.Garbage : null);
        await using NodeSet nodes = await ConnectAsync(redis, new FailoverOptions
        {
            RetryAmbiguous = RetryCategory.LastWins,
            WriteWait = TimeSpan.FromSeconds(1),
        });
        Assert.That(async ()
            => await Database(nodes).ListTrimAsync("queue", 10, -1).WithinDeadline(), Throws.TypeOf<MayHaveBeenAppliedException>());
        Assert.That(redis.Seen.Count(command => command == "LTRIM"), Is.EqualTo(1));
    }

    private static FailoverOptions Impatient => new() { OperationTimeout = s_timeout, WriteWait = TimeSpan.Zero };

#pragma warning disable CA1859 // its members are those of the interface
    private static IDatabase Database(NodeSet nodes) => new FailoverDatabase(nodes, -1, null);
#pragma warning restore CA1859

    private static async Task<NodeSet> ConnectAsync(ScriptedRedis redis, FailoverOptions options)
    {
        var nodes = new NodeSet(options, NullLogger.Instance);
        nodes.Apply(new Topology { Epoch = 1, Master = redis.Address, State = TopologyState.Ok });
        await Waiting.Until(() => nodes.Current.Master is not null, () => nodes.States()[0].Failure ?? "connected");
        return nodes;
    }
}
