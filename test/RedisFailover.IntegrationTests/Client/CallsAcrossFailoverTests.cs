using System.Diagnostics;
using NUnit.Framework;
using RedisFailover.Client;
using RedisFailover.IntegrationTests.Harness;
using StackExchange.Redis;

namespace RedisFailover.IntegrationTests.Client;

/// <summary>What the caller of each kind of call sees while the master changes.</summary>
[TestFixture]
public sealed class CallsAcrossFailoverTests
{
    [Test]
    public async Task Writes_wait_while_there_is_no_master_blocking_ones_too()
    {
        await using ReplicatedRedis redis = await ReplicatedRedis.StartAsync(replicas: 1);
        IDatabase database = redis.Connection.GetDatabase();
        redis.AnnounceFailover();
        await Eventually.HoldsAsync("the announcement is known", () => redis.Connection.Topology.Master is null);
        Task<bool> awaited = database.StringSetAsync("awaited", 1);
        Task<bool> blocking = Task.Run(() => database.StringSet("blocking", 1));
        Assert.That((string?)await database.StringGetAsync("nothing"), Is.Null, "reads go on");
        await redis.Servers[1].CommandAsync("REPLICAOF", "NO", "ONE");
        Assert.That(awaited.IsCompleted || blocking.IsCompleted, Is.False);
        redis.Publish(redis.Servers[1], redis.Master);
        Assert.That(await awaited && await blocking, Is.True);
        Assert.That((await redis.Servers[1].CommandAsync("EXISTS", "awaited", "blocking")).Text, Is.EqualTo("2"));
    }

    [Test]
    public async Task A_write_that_finds_no_master_in_time_says_that_it_was_not_applied()
    {
        await using ReplicatedRedis redis =
            await ReplicatedRedis.StartAsync(replicas: 1, new FailoverOptions { WriteWait = TimeSpan.FromMilliseconds(200) });
        IDatabase database = redis.Connection.GetDatabase();
        redis.AnnounceFailover();
        await Eventually.HoldsAsync("the announcement is known", () => redis.Connection.Topology.Master is null);
        NotAppliedException awaited = await Failing.WithAsync<NotAppliedException>(() => database.StringSetAsync("key", 1));
        await Failing.WithAsync<NotAppliedException>(() => Task.Run(() => database.StringSet("key", 1)));
        await Failing.WithAsync<NotAppliedException>(() => database.CreateTransaction().ExecuteAsync());
        Assert.That(awaited.Message, Does.Contain("within 200 ms").And.Contain("no master").And.Contain("not applied"));
    }

    [Test]
    public async Task A_write_that_a_just_demoted_node_refuses_goes_to_the_new_master()
    {
        await using ReplicatedRedis redis = await ReplicatedRedis.StartAsync(replicas: 1);
        RedisServer old = redis.Master;
        RedisServer next = redis.Servers[1];
        IDatabase database = redis.Connection.GetDatabase();
        await database.StringSetAsync("key", 0);
        await next.CommandAsync("REPLICAOF", "NO", "ONE");
        await old.CommandAsync("REPLICAOF", "127.0.0.1", next.Port.ToString());

        // Nothing has been published: the client still sends to the old one.
        Task<bool> single = database.StringSetAsync("single", 1);
        Task<bool> blocking = Task.Run(() => database.StringSet("blocking", 1));
        Task<RedisResult> script = database.ScriptEvaluateAsync("return redis.call('set', KEYS[1], 1)", ["script"]);
        IBatch batch = database.CreateBatch();
        Task<bool> batched = batch.StringSetAsync("batched", 1);
        batch.Execute();
        ITransaction transaction = database.CreateTransaction();
        Task<bool> inside = transaction.StringSetAsync("transaction", 1);
        Task<bool> committed = transaction.ExecuteAsync();
        await Task.WhenAny(Task.WhenAll(single, blocking, script, batched, committed), Task.Delay(50));
        Assert.That(single.IsCompleted, Is.False);
        redis.Publish(next);
        Assert.That(await single && await blocking && await batched && await committed && await inside, Is.True);
        await script;
        Assert.That((await next.CommandAsync("EXISTS", "single", "blocking", "script", "batched", "transaction")).Text, Is.EqualTo("5"));
    }

    [Test]
    public async Task A_write_whose_reply_was_lost_says_that_it_may_have_been_applied_unless_the_caller_allows_repeating()
    {
        foreach (bool repeat in new[] { false, true })
        {
            await using ReplicatedRedis redis = await ReplicatedRedis.StartAsync(replicas: 1,
                    new FailoverOptions { RetryAmbiguous = repeat ? RetryCategory.All : RetryCategory.None });
            IDatabase database = redis.Connection.GetDatabase();
            await database.StringSetAsync("key", 0);
            redis.Master.Freeze();
            Task<bool> write = database.StringSetAsync("key", 1);
            IBatch batch = database.CreateBatch();
            Task<bool> batched = batch.StringSetAsync("batched", 1);
            batch.Execute();
            Task<bool> marked = database.AsIdempotent().StringSetAsync("marked", 1);
            Task<bool> markedBlocking = Task.Run(() => database.AsIdempotent().StringSet("marked too", 1));
            await Eventually.HoldsAsync("all are sent", () => SentTo(redis) >= 4);
            await redis.Master.KillAsync();
            if (repeat)
            {
                await redis.FailOverAsync(redis.Servers[1]);
                Assert.That(await write, Is.True);
                Assert.That((int)await database.StringGetAsync("key", CommandFlags.DemandMaster), Is.EqualTo(1));
            }
            else
            {
                await Failing.WithAsync<MayHaveBeenAppliedException>(() => write);
                await redis.FailOverAsync(redis.Servers[1]);
            }

            Assert.That(await marked && await markedBlocking, Is.True, "marked as idempotent, call by call");
            Assert.That(await database.KeyExistsAsync("marked", CommandFlags.DemandMaster)
                && await database.KeyExistsAsync("marked too", CommandFlags.DemandMaster), Is.True);
            await Failing.WithAsync<MayHaveBeenAppliedException>(() => batched);
        }
    }

    [Test]
    public async Task A_write_that_a_frozen_master_never_answered_keeps_its_category()
    {
        await using ReplicatedRedis redis = await ReplicatedRedis.StartAsync(
            replicas: 1, new FailoverOptions { RetryAmbiguous = RetryCategory.LastWins });
        IDatabase database = redis.Connection.GetDatabase();
        await database.StringSetAsync("counter", 0);
        redis.Master.Freeze();
        Task<bool> set = database.StringSetAsync("key", 1);
        Task<long> increment = database.StringIncrementAsync("counter");
        await Eventually.HoldsAsync("both are sent", () => SentTo(redis) >= 2);
        await redis.FailOverAsync(redis.Servers[1]);

        Assert.That(await set, Is.True, "the last of several SETs wins");
        await Failing.WithAsync<MayHaveBeenAppliedException>(() => increment);
        Assert.That((int)await database.StringGetAsync("key", CommandFlags.DemandMaster), Is.EqualTo(1));
    }

    [Test]
    public async Task An_error_of_the_command_is_the_callers_and_is_not_repeated()
    {
        await using ReplicatedRedis redis = await ReplicatedRedis.StartAsync(replicas: 0);
        IDatabase database = redis.Connection.GetDatabase();
        await database.StringSetAsync("text", "a");
        await redis.Master.CommandAsync("CONFIG", "RESETSTAT");
        RedisServerException failure = await Failing.WithAsync<RedisServerException>(() => database.ListLeftPushAsync("text", 1));
        Assert.That(failure.Message, Does.StartWith("WRONGTYPE"));
        Assert.That(() => database.ListLeftPush("text", 1), Throws.TypeOf<RedisServerException>());
        Assert.That((await redis.Master.InfoAsync("commandstats"))["cmdstat_lpush"], Does.StartWith("calls=2,"));
    }

    [Test]
    public async Task A_change_among_the_replicas_leaves_the_masters_connection_alone()
    {
        await using ReplicatedRedis redis = await ReplicatedRedis.StartAsync(
            options: new FailoverOptions { ConfigureNode = node => node.AllowAdmin = true },
                redis: new RedisServerOptions { ConfLines = ["enable-debug-command yes"] });
        LiveNode before = redis.Connection.Nodes.Current.Master!;
        await redis.Connection.GetDatabase().StringSetAsync("key", 1);
        Task<RedisResult> slow = redis.Connection.GetDatabase().ExecuteAsync("DEBUG", "SLEEP", "0.3");
        redis.Publish(redis.Master, redis.Servers[1]);
        await Eventually.HoldsAsync("the replica has left", () => redis.Connection.Nodes.Current.Replicas.Length == 1);
        await slow;
        Assert.That(redis.Connection.Nodes.Current.Master, Is.SameAs(before));
    }

    [Test]
    public async Task A_transaction_with_conditions_commits_or_says_why_not()
    {
        await using ReplicatedRedis redis = await ReplicatedRedis.StartAsync(replicas: 1);
        IDatabase database = redis.Connection.GetDatabase();
        await database.StringSetAsync("key", 1);
        ITransaction holds = database.CreateTransaction();
        ConditionResult condition = holds.AddCondition(Condition.StringEqual("key", 1));
        Task<long> incremented = holds.StringIncrementAsync("key");
        Assert.That(await holds.ExecuteAsync(), Is.True);
        Assert.That(condition.WasSatisfied, Is.True);
        Assert.That(await incremented, Is.EqualTo(2));

        ITransaction fails = database.CreateTransaction();
        fails.AddCondition(Condition.StringEqual("key", 1));
        Task<long> never = fails.StringIncrementAsync("key");
        Assert.That(fails.Execute(), Is.False);
        await Failing.WithAsync<OperationCanceledException>(() => never);

    }

    [Test]
    public async Task A_transaction_with_conditions_is_not_applied_to_the_old_master_that_would_still_take_it()
    {
        await using ReplicatedRedis redis = await ReplicatedRedis.StartAsync(replicas: 1);
        IDatabase database = redis.Connection.GetDatabase();
        await database.StringSetAsync("key", 1);
        ITransaction transaction = database.CreateTransaction();
        transaction.AddCondition(Condition.StringEqual("key", 1));
        Task<bool> inside = transaction.StringSetAsync("key", 2);

        // The old one has not been demoted and stays linked, as a replica: it would commit.
        RedisServer old = redis.Master;
        await redis.Servers[1].CommandAsync("REPLICAOF", "NO", "ONE");
        redis.AnnounceFailover();
        redis.Publish(redis.Servers[1]);
        await Eventually.HoldsAsync("the new master is known", ()
            => redis.Connection.Nodes.Current.Master?.Address == redis.Servers[1].Address);
        await Failing.WithAsync<NotAppliedException>(() => transaction.ExecuteAsync());
        await Failing.WithAsync<NotAppliedException>(() => inside);
        Assert.That((await old.CommandAsync("GET", "key")).Text, Is.EqualTo("1"));
    }

    [Test]
    public async Task A_scan_stays_on_one_node()
    {
        await using ReplicatedRedis redis = await ReplicatedRedis.StartAsync(replicas: 2);
        IDatabase database = redis.Connection.GetDatabase();
        await database.HashSetAsync("hash", [.. Enumerable.Range(0, 2000).Select(i => new HashEntry(i, i))]);
        await Task.WhenAll(redis.Servers.Skip(1).Select(replica =>
            Eventually.HoldsAsync("replicated", ct => replica.CommandAsync(["HLEN", "hash"], ct), reply => reply.Text == "2000")));
        Assert.That(database.HashScan("hash", pageSize: 50).Count(), Is.EqualTo(2000));
        int scanned = 0;
        foreach (RedisServer server in redis.Servers)
        {
            scanned += (await server.InfoAsync("commandstats")).ContainsKey("cmdstat_hscan") ? 1 : 0;
        }

        Assert.That(scanned, Is.EqualTo(1));
    }

    [Test]
    public async Task Locks_and_prepared_scripts_work_as_with_the_bare_library()
    {
        await using ReplicatedRedis redis = await ReplicatedRedis.StartAsync(replicas: 1);
        IDatabase database = redis.Connection.GetDatabase();
        Assert.That(await database.LockTakeAsync("lock", "me", TimeSpan.FromSeconds(30)), Is.True);
        Assert.That(database.LockTake("lock", "you", TimeSpan.FromSeconds(30)), Is.False);
        Assert.That((string?)await database.LockQueryAsync("lock"), Is.EqualTo("me"));
        Assert.That(database.LockRelease("lock", "me"), Is.True);
        LuaScript script = LuaScript.Prepare("redis.call('set', @key, @value)");
        await database.ScriptEvaluateAsync(script, new { key = (RedisKey)"scripted", value = 5 });
        Assert.That((int)await database.StringGetAsync("scripted", CommandFlags.DemandMaster), Is.EqualTo(5));
        await redis.FailOverAsync(redis.Servers[1]);
        await database.ScriptEvaluateAsync(script, new { key = (RedisKey)"scripted", value = 6 });
        Assert.That((int)await database.StringGetAsync("scripted", CommandFlags.DemandMaster), Is.EqualTo(6));
    }

    [Test]
    public async Task The_state_of_the_caller_is_on_its_tasks()
    {
        await using ReplicatedRedis redis = await ReplicatedRedis.StartAsync(replicas: 0);
        IDatabase database = redis.Connection.GetDatabase(asyncState: "mine");
        Task<bool> write = database.StringSetAsync("key", 1);
        await write;
        Assert.That(write.AsyncState, Is.EqualTo("mine"));
        Assert.That(database.Wait(database.StringIncrementAsync("key")), Is.EqualTo(2));
    }

    [Test]
    public async Task Under_load_a_killed_master_costs_ambiguous_calls_only_and_a_switchover_none()
    {
        await using ReplicatedRedis redis = await ReplicatedRedis.StartAsync(replicas: 2);
        IDatabase database = redis.Connection.GetDatabase();
        using var stop = new CancellationTokenSource();
        int[] acknowledged = new int[20];
        List<Exception> failures = [];
        TimeSpan longest = default;
        Task[] callers = [.. Enumerable.Range(0, 20).Select(caller => Task.Run(async () =>
        {
            while (!stop.IsCancellationRequested)
            {
                long start = Stopwatch.GetTimestamp();
                try
                {
                    await database.StringIncrementAsync("counter" + caller);
                    Interlocked.Increment(ref acknowledged[caller]);
                    await database.StringGetAsync("counter" + caller);
                }
                catch (Exception failure)
                {
                    lock (failures)
                    {
                        failures.Add(failure);
                    }
                }

                lock (failures)
                {
                    longest = Stopwatch.GetElapsedTime(start) is var taken && taken > longest ? taken : longest;
                }
            }
        }))];
        int Calls() => acknowledged.Sum();
        await Eventually.HoldsAsync("the load runs", () => Calls() > 2000);

        RedisServer first = redis.Master;
        redis.AnnounceFailover(TopologyState.SwitchingOver);
        await redis.Servers[1].CommandAsync("REPLICAOF", "NO", "ONE");
        await first.CommandAsync("REPLICAOF", "127.0.0.1", redis.Servers[1].Port.ToString());
        await redis.Servers[2].CommandAsync("REPLICAOF", "127.0.0.1", redis.Servers[1].Port.ToString());
        redis.Publish(redis.Servers[1]);
        int switched = Calls();
        await Eventually.HoldsAsync("the load goes on", () => Calls() > switched + 2000);
        Assert.That(failures, Is.Empty, "a switchover");

        await redis.Master.KillAsync();
        await redis.FailOverAsync(redis.Servers[2]);
        int failedOver = Calls();
        await Eventually.HoldsAsync("the load goes on", () => Calls() > failedOver + 2000);
        await stop.CancelAsync();
        await Task.WhenAll(callers);
        TestContext.Out.WriteLine($"{Calls()} acknowledged, {failures.Count} ambiguous, longest call {longest.TotalMilliseconds:0} ms");
        Assert.That(failures, Has.All.InstanceOf<MayHaveBeenAppliedException>());
        Assert.That(failures, Has.Count.LessThanOrEqualTo(20), "one for each caller at most");
    }

    /// <summary>How many calls wait for their replies from the master.</summary>
    private static long SentTo(ReplicatedRedis redis)
    {
        ConnectionCounters calls = redis.Connection.Nodes.Current.Master!.Multiplexer.GetCounters().Interactive;
        return calls.PendingUnsentItems == 0 ? calls.SentItemsAwaitingResponse : 0;
    }
}
