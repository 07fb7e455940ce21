using System.Collections.Concurrent;
using System.Diagnostics.Metrics;
using System.Runtime.CompilerServices;
using Microsoft.Extensions.Logging.Abstractions;
using NUnit.Framework;
using RedisFailover.Client;
using RedisFailover.UnitTests.ZooKeeper;
using StackExchange.Redis;
using Waiting = RedisFailover.UnitTests.ZooKeeper.Waiting;

namespace RedisFailover.UnitTests.Client;

/// <summary>What becomes of a transaction whose master refuses it or falls silent.</summary>
[TestFixture]
public sealed class TransactionTests
{
    /// <summary>Whose counts these are: other tests count in the same process.</summary>
    private static readonly AsyncLocal<ConcurrentQueue<string>?> s_counted = new();

    private const string Discarded = "-EXECABORT Transaction discarded because of previous errors.\r\n";

    [Test]
    public async Task One_that_is_discarded_by_a_node_that_takes_writes_when_it_is_asked_why_goes_once_more()
    {
        int executed = 0;
        await using var redis = new ScriptedRedis(command => command[0] switch
        {
            "SADD" => executed == 0 ? "-NOREPLICAS Not enough good replicas to write.\r\n" : "+QUEUED\r\n",
            "EXEC" => executed++ == 0 ? Discarded : "*1\r\n:1\r\n",
            _ => null,
        });
        await using NodeSet nodes = await ConnectAsync(redis, new FailoverOptions());
        ITransaction transaction = ((IDatabase)new FailoverDatabase(nodes, -1, null)).CreateTransaction();
        Task<bool> inside = transaction.SetAddAsync("key", 1);
        Assert.That(await transaction.ExecuteAsync().WithinDeadline(), Is.True);
        Assert.That(await inside.WithinDeadline(), Is.True);
        Assert.That(executed, Is.EqualTo(2));
    }

    [Test]
    public async Task A_WAIT_in_a_batch_goes_again_with_the_write_that_it_is_to_confirm()
    {
        int written = 0;
        int waited = 0;
        await using var redis = new ScriptedRedis(command => command[0] switch
        {
            "SADD" => written++ == 0 ? "-NOREPLICAS Not enough good replicas to write.\r\n" : ":1\r\n",
            "WAIT" => ++waited == 1 ? ":7\r\n" : ":1\r\n",
            _ => null,
        });
        await using NodeSet nodes = await ConnectAsync(redis, new FailoverOptions());
        IBatch batch = ((IDatabase)new FailoverDatabase(nodes, -1, null)).CreateBatch();
        Task<bool> write = batch.SetAddAsync("key", 1);
        Task<RedisResult> confirmed = batch.ExecuteAsync("WAIT", "1", "1000");
        batch.Execute();
        Assert.That(await write.WithinDeadline(), Is.True);
        Assert.That((int)await confirmed.WithinDeadline(), Is.EqualTo(1), "the first one told of earlier writes");
    }

    [Test]
    public async Task A_read_in_a_batch_whose_reply_is_lost_is_sent_again_and_a_write_is_not()
    {
        int read = 0;
        await using var redis = new ScriptedRedis(command
                => command[0] switch { "SADD" => ScriptedRedis.Garbage, "GET" => ++read == 1
                    ? ScriptedRedis.Garbage : "$1\r\nx\r\n", _ => null });
        await using NodeSet nodes = await ConnectAsync(redis, new FailoverOptions());
        IBatch batch = ((IDatabase)new FailoverDatabase(nodes, -1, null)).CreateBatch();
        Task<bool> write = batch.SetAddAsync("key", 1);
        Task<RedisValue> value = batch.StringGetAsync("key");
        batch.Execute();
        Assert.That(async () => await write.WithinDeadline(), Throws.TypeOf<MayHaveBeenAppliedException>());
        Assert.That((string?)await value.WithinDeadline(), Is.EqualTo("x"));
        Assert.That(redis.Seen.Count(c => c == "SADD"), Is.EqualTo(1));
    }

    [Test]
    public async Task One_that_is_fired_and_forgotten_returns_at_once_and_its_tasks_end()
    {
        await using var redis = new ScriptedRedis(command
                => command[0] switch { "SADD" => "+QUEUED\r\n", "EXEC" => ScriptedRedis.Garbage, _ => null });
        await using NodeSet nodes = await ConnectAsync(redis, new FailoverOptions());
        ITransaction transaction = ((IDatabase)new FailoverDatabase(nodes, -1, null)).CreateTransaction();
        Task<bool> inside = transaction.SetAddAsync("key", 1);
        Task<bool> executed = transaction.ExecuteAsync(CommandFlags.FireAndForget);
        Assert.That(executed.IsCompletedSuccessfully);
        Assert.That(await executed, Is.False);
        Assert.That(async () => await inside.WithinDeadline(), Throws.Exception);
    }

    [Test]
    public async Task One_whose_command_is_wrong_is_discarded_twice_and_says_so()
    {
        int executed = 0;
        await using var redis = new ScriptedRedis(command => command[0] switch
        {
            "SADD" => "-ERR wrong number of arguments for 'sadd' command\r\n",
            "EXEC" => ++executed > 0 ? Discarded : null,
            _ => null,
        });
        await using NodeSet nodes = await ConnectAsync(redis, new FailoverOptions());
        ITransaction transaction = ((IDatabase)new FailoverDatabase(nodes, -1, null)).CreateTransaction();
        Task<bool> inside = transaction.SetAddAsync("key", 1);
        Assert.That(async ()
            => await transaction.ExecuteAsync().WithinDeadline(),
                Throws.TypeOf<RedisServerException>().With.Message.StartsWith("EXECABORT"));
        Assert.That(async () => await inside.WithinDeadline(), Throws.TypeOf<RedisServerException>());
        Assert.That(executed, Is.EqualTo(2));
    }

    [Test]
    public async Task One_that_is_executed_blocking_on_a_master_that_falls_silent_may_have_been_applied()
    {
        bool silent = false;
        await using var redis = new ScriptedRedis(command
                => (silent |= command[0] == "EXEC") ? ScriptedRedis.NoAnswer : command[0] == "SADD" ? "+QUEUED\r\n" : null);
        await using NodeSet nodes =
            await ConnectAsync(redis, new FailoverOptions { WriteWait = TimeSpan.Zero, OperationTimeout = TimeSpan.FromMilliseconds(400) });
        ITransaction transaction = ((IDatabase)new FailoverDatabase(nodes, -1, null)).CreateTransaction();
        _ = transaction.SetAddAsync("key", 1);
        Task<bool> executing = Task.Factory.StartNew(()
                => transaction.Execute(), CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default);
        Assert.That(async () => await executing.WithinDeadline(), Throws.TypeOf<MayHaveBeenAppliedException>());
    }

    [Test]
    public async Task One_with_a_condition_ends_wherever_its_connection_breaks([Values("WATCH", "GET", "MULTI", "EXEC")] string last)
    {
        bool broken = false;
        await using var redis = new ScriptedRedis(command =>
        {
            broken |= command[0] == last;
            return command[0] switch
            {
                _ when broken => throw new IOException("It dies."),
                "WATCH" => "+OK\r\n",
                "GET" => ScriptedRedis.Bulk("token"),
                "DEL" or "UNLINK" => "+QUEUED\r\n",
                "EXEC" => "*1\r\n:1\r\n",
                _ => null,
            };
        });
        await using NodeSet nodes = await ConnectAsync(redis, new FailoverOptions { WriteWait = TimeSpan.Zero });
        IDatabase database = new FailoverDatabase(nodes, -1, null);
        ITransaction transaction = database.CreateTransaction();
        transaction.AddCondition(Condition.StringEqual("lock", "token"));
        Task<bool> inside = transaction.KeyDeleteAsync("lock");
        Assert.That(async () => await transaction.ExecuteAsync().WithinDeadline(), Throws.InstanceOf<FailoverException>());
        Assert.That(broken, Is.True);
        Assert.That(async () => await inside.WithinDeadline(), Throws.InstanceOf<FailoverException>());
    }

    [TestCase("batch", ".ambiguous")]
    [TestCase("transaction", ".ambiguous")]
    [TestCase("transaction with a condition", ".ambiguous")]
    [TestCase("transaction with a condition of another master", ".not_applied")]
    public async Task How_it_ended_is_counted_once(string kind, string counter)
    {
        ConcurrentQueue<string> counted = s_counted.Value = [];
        using MeterListener listener = Listen();
        await using var redis = new ScriptedRedis(command => command[0] switch
        {
            "SADD" when kind == "batch" => ScriptedRedis.Garbage,
            "SADD" => "+QUEUED\r\n",
            "WATCH" => "+OK\r\n",
            "GET" => ScriptedRedis.Bulk("token"),
            "EXEC" => ScriptedRedis.Garbage,
            _ => null,
        });
        await using var other = new ScriptedRedis();
        await using NodeSet nodes = await ConnectAsync(redis, new FailoverOptions { WriteWait = TimeSpan.Zero });
        IDatabase database = new FailoverDatabase(nodes, -1, null);
        IBatch batch = kind == "batch" ? database.CreateBatch() : database.CreateTransaction();
        if (kind.Contains("condition", StringComparison.Ordinal))
        {
            ((ITransaction)batch).AddCondition(Condition.StringEqual("lock", "token"));
        }

        Task<bool> inside = batch.SetAddAsync("key", 1);
        if (counter == ".not_applied")
        {
            nodes.Apply(new Topology { Epoch = 2, Master = other.Address, State = TopologyState.Ok });
            await Waiting.Until(
                () => nodes.Current.Master?.Address == other.Address, () => nodes.States()[0].Failure ?? "connected");
        }

        Task executing = batch is ITransaction transaction ? transaction.ExecuteAsync() : Task.Run(batch.Execute);
        Assert.That(async () => await inside.WithinDeadline(), Throws.InstanceOf<FailoverException>());
        await executing.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        Assert.That(counted, Is.EqualTo(new[] { "redis_failover.client" + counter }));
    }

    private static MeterListener Listen()
    {
        var listener = new MeterListener
        {
            InstrumentPublished = (instrument, listener) =>
            {
                if (instrument.Meter.Name == FailoverDiagnostics.MeterName)
                {
                    listener.EnableMeasurementEvents(instrument);
                }
            },
        };
        listener.SetMeasurementEventCallback<long>((instrument, _, _, _) => s_counted.Value?.Enqueue(instrument.Name));
        listener.Start();
        return listener;
    }

    [Test]
    public async Task One_that_fails_leaves_no_exception_that_nobody_has_seen()
    {
        List<Exception> unseen = [];
        void Unseen(object? sender, UnobservedTaskExceptionEventArgs seen)
        {
            lock (unseen)
            {
                unseen.AddRange(
                    seen.Exception.InnerExceptions.Where(failure => failure.Message.Contains("epoch 4711", StringComparison.Ordinal)));
            }
        }

        TaskScheduler.UnobservedTaskException += Unseen;
        try
        {
            await using var nodes = new NodeSet(new FailoverOptions { WriteWait = TimeSpan.Zero }, NullLogger.Instance);
            nodes.Apply(new Topology { Epoch = 4711, State = TopologyState.NoMaster });
            await FailAsync(nodes);
            for (int i = 0; i < 3; i++)
            {
                GC.Collect();
                GC.WaitForPendingFinalizers();
            }

            lock (unseen)
            {
                Assert.That(unseen, Is.Empty);
            }
        }
        finally
        {
            TaskScheduler.UnobservedTaskException -= Unseen;
        }
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static async Task FailAsync(NodeSet nodes)
    {
        ITransaction transaction = ((IDatabase)new FailoverDatabase(nodes, -1, null)).CreateTransaction();
        _ = transaction.SetAddAsync("key", 1);
        try
        {
            await transaction.ExecuteAsync();
            Assert.Fail("There is no master.");
        }
        catch (NotAppliedException)
        {
            // Whoever executes it is told; the task inside nobody looks at.
        }
    }

    private static async Task<NodeSet> ConnectAsync(ScriptedRedis redis, FailoverOptions options)
    {
        var nodes = new NodeSet(options, NullLogger.Instance);
        nodes.Apply(new Topology { Epoch = 1, Master = redis.Address, State = TopologyState.Ok });
        await Waiting.Until(() => nodes.Current.Master is not null, () => nodes.States()[0].Failure ?? "connected");
        return nodes;
    }
}
