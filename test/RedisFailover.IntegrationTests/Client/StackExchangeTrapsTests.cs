using System.Diagnostics;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using NUnit.Framework;
using RedisFailover.Client;
using RedisFailover.IntegrationTests.Harness;
using StackExchange.Redis;

namespace RedisFailover.IntegrationTests.Client;

/// <summary>What StackExchange.Redis does that the client covers, each with a test that fails without the cover.</summary>
[TestFixture]
[NonParallelizable]
public sealed class StackExchangeTrapsTests
{
    // What must not wait for a timeout is told from what does by the length of these, on any machine.
    private static readonly FailoverOptions s_patient = new()
    {
        OperationTimeout = TimeSpan.FromSeconds(90), ConnectTimeout = TimeSpan.FromSeconds(90), WriteWait = TimeSpan.FromSeconds(90),
    };

    [Test]
    public async Task An_asynchronous_call_ends_when_its_node_hangs()
    {
        var options = new FailoverOptions { OperationTimeout = TimeSpan.FromMilliseconds(300), WriteWait = TimeSpan.FromMilliseconds(500) };
        await using ReplicatedRedis redis = await ReplicatedRedis.StartAsync(replicas: 1, options);
        IDatabase database = redis.Connection.GetDatabase();
        await database.StringSetAsync("key", 1);
        redis.Master.Freeze();
        long start = Stopwatch.GetTimestamp();
        MayHaveBeenAppliedException failure = await Failing.WithAsync<MayHaveBeenAppliedException>(() => database.StringSetAsync("key", 2));
        TimeSpan taken = Stopwatch.GetElapsedTime(start);
        redis.Master.Thaw();
        Assert.That(taken, Is.LessThan(TimeSpan.FromSeconds(20)), "41 s without this library's own deadline");
        Assert.That(failure.Node, Is.EqualTo(redis.Master.Address));
    }

    [Test]
    public async Task Calls_in_flight_on_a_frozen_master_end_when_another_is_published()
    {
        await using ReplicatedRedis redis = await ReplicatedRedis.StartAsync(options: s_patient);
        IDatabase database = redis.Connection.GetDatabase();
        await database.StringSetAsync("key", 1);
        await Eventually.HoldsAsync("the replica has it", ct
            => redis.Servers[1].CommandAsync(["GET", "key"], ct), reply => reply.Text == "1");
        redis.Master.Freeze();
        RedisServer frozen = redis.Master;
        Task<bool> write = database.StringSetAsync("key", 2);
        Task<RedisValue> read = database.StringGetAsync("key", CommandFlags.DemandMaster);
        Task blocking = Failing.WithAsync<MayHaveBeenAppliedException>(() => Task.Run(() => database.StringSet("key", 3)));
        await redis.Servers[1].CommandAsync("REPLICAOF", "NO", "ONE");
        redis.AnnounceFailover();
        await Eventually.HoldsAsync("the announcement is known", () => redis.Connection.Topology.Master is null);
        Assert.That(write.IsCompleted, Is.False, "the announcement alone ends nothing: in a switchover the old master still answers");
        long start = Stopwatch.GetTimestamp();
        redis.Publish(redis.Servers[1], frozen);
        await Failing.WithAsync<MayHaveBeenAppliedException>(() => write);
        await blocking;
        Assert.That((int)await read, Is.EqualTo(1), "a read goes to the new master");
        TimeSpan taken = Stopwatch.GetElapsedTime(start);
        frozen.Thaw();
        TestContext.Out.WriteLine($"ended after {taken.TotalMilliseconds:0.0} ms");
        Assert.That(taken, Is.LessThan(TimeSpan.FromSeconds(40)), "not by the timeout");
    }

    [Test]
    public async Task Mastership_may_go_back_and_forth_between_two_nodes()
    {
        await using ReplicatedRedis redis = await ReplicatedRedis.StartAsync(replicas: 1);
        IDatabase database = redis.Connection.GetDatabase();
        for (int round = 1; round <= 6; round++)
        {
            RedisServer old = redis.Master;
            RedisServer next = redis.Servers.Single(server => server != old);
            redis.AnnounceFailover(TopologyState.SwitchingOver);
            await next.CommandAsync("REPLICAOF", "NO", "ONE");
            await old.CommandAsync("REPLICAOF", "127.0.0.1", next.Port.ToString());
            redis.Publish(next);
            Assert.That(await database.StringSetAsync("round", round, flags: CommandFlags.DemandMaster), Is.True);
            Assert.That((await next.CommandAsync("GET", "round")).Text, Is.EqualTo(round.ToString()));
        }
    }

    [Test]
    public async Task A_node_that_comes_back_is_connected_again_and_the_write_that_waited_for_it_succeeds()
    {
        await using ReplicatedRedis redis = await ReplicatedRedis.StartAsync(replicas: 0);
        IDatabase database = redis.Connection.GetDatabase();
        await database.StringSetAsync("key", 1);
        await redis.Master.KillAsync();
        await Eventually.HoldsAsync("the loss is noticed", () => redis.Connection.Nodes.Current.Master is null);
        Task<bool> waiting = database.StringSetAsync("key", 2);
        await redis.Master.RestartAsync();
        Assert.That(await waiting, Is.True);
    }

    [Test]
    public async Task A_connection_that_the_server_kills_is_replaced_and_no_read_fails()
    {
        await using ReplicatedRedis redis = await ReplicatedRedis.StartAsync(replicas: 1);
        IDatabase database = redis.Connection.GetDatabase();
        for (int i = 0; i < 5; i++)
        {
            await redis.Master.CommandAsync("CLIENT", "KILL", "TYPE", "normal");
            await redis.Servers[1].CommandAsync("CLIENT", "KILL", "TYPE", "normal");
            await database.StringGetAsync("key");
            database.StringGet("key", CommandFlags.DemandMaster);
        }
    }

    [Test]
    public async Task A_wrong_password_is_told_at_once_and_by_name()
    {
        await using RedisServer redis = await RedisServer.StartAsync(new RedisServerOptions { Password = "right" });
        var topology = new PublishedTopology();
        topology.Publish(PublishedTopology.Of(1, redis.Address));
        long start = Stopwatch.GetTimestamp();
        FailoverConnectException failure = await Failing.WithAsync<FailoverConnectException>(
            () => FailoverConnection.ConnectAsync(topology, s_patient with { Password = "wrong" }, default));
        Assert.That(Stopwatch.GetElapsedTime(start), Is.LessThan(TimeSpan.FromSeconds(40)), "not by the timeout");
        Assert.That(failure.Message, Does.Contain("WRONGPASS").And.Not.Contain("wrong\""));
    }

    [TestCase("wrong")]
    [TestCase(null)]
    public async Task A_wrong_password_is_told_at_once_through_TLS_too(string? password)
    {
        using var key = RSA.Create(2048);
        var request = new CertificateRequest("CN=redis", key, HashAlgorithmName.SHA256, RSASignaturePadding.Pkcs1);
        using X509Certificate2 certificate =
            request.CreateSelfSigned(TimeProvider.System.GetUtcNow().AddDays(-1), TimeProvider.System.GetUtcNow().AddDays(1));
        using var directory = new TemporaryDirectory("redis-tls");
        await File.WriteAllTextAsync(directory.File("certificate.pem"), certificate.ExportCertificatePem());
        await File.WriteAllTextAsync(directory.File("key.pem"), key.ExportPkcs8PrivateKeyPem());
        NodeAddress encrypted = new("127.0.0.1", FreePorts.Next());
        await using RedisServer redis = await RedisServer.StartAsync(new RedisServerOptions
        {
            Password = "right",
            ConfLines =
            [
                $"tls-port {encrypted.Port}", $"tls-cert-file {directory.File("certificate.pem")}",
                    $"tls-key-file {directory.File("key.pem")}",
                $"tls-ca-cert-file {directory.File("certificate.pem")}", "tls-auth-clients no",
            ],
        });
        FailoverOptions options = s_patient with
        {
            ConfigureNode = node =>
            {
                node.Ssl = true;
                node.CertificateValidation += (_, shown, _, _) => shown?.GetCertHashString() == certificate.Thumbprint;
            },
        };
        long start = Stopwatch.GetTimestamp();
        FailoverConnectException failure = await Failing.WithAsync<FailoverConnectException>(
            () => FailoverConnection.ConnectAsync(Published(), options with { Password = password }, default));
        Assert.That(Stopwatch.GetElapsedTime(start), Is.LessThan(TimeSpan.FromSeconds(40)), "not by the timeout");
        Assert.That(failure.Message, Does.Contain("password"));
        await using FailoverConnection connection =
            await FailoverConnection.ConnectAsync(Published(), options with { Password = "right" }, default);
        Assert.That(await connection.GetDatabase().StringSetAsync("key", 1), Is.True);

        // Whoever failed to connect has ended his.
        PublishedTopology Published()
        {
            var topology = new PublishedTopology();
            topology.Publish(PublishedTopology.Of(1, encrypted));
            return topology;
        }
    }

    [Test]
    public async Task The_right_password_connects()
    {
        await using ReplicatedRedis redis = await ReplicatedRedis.StartAsync(
            replicas: 1, new FailoverOptions { Password = "right" }, new RedisServerOptions { Password = "right" });
        Assert.That(await redis.Connection.GetDatabase().StringSetAsync("key", 1), Is.True);
    }

    [Test]
    public async Task Closing_beside_a_frozen_node_does_not_wait_for_it()
    {
        await using ReplicatedRedis redis = await ReplicatedRedis.StartAsync(replicas: 1, s_patient);
        redis.Master.Freeze();
        _ = redis.Connection.GetDatabase().StringSetAsync("key", 1).ContinueWith(task => task.Exception, TaskScheduler.Default);
        long start = Stopwatch.GetTimestamp();
        await redis.Connection.DisposeAsync();
        TimeSpan taken = Stopwatch.GetElapsedTime(start);
        redis.Master.Thaw();
        Assert.That(taken, Is.LessThan(TimeSpan.FromSeconds(40)), "not by the timeout");
    }

    [Test]
    public async Task Calls_that_are_sent_while_a_hung_node_is_given_up_all_end()
    {
        var options = new FailoverOptions { OperationTimeout = TimeSpan.FromMilliseconds(300), WriteWait = TimeSpan.FromMilliseconds(200) };
        for (int round = 0; round < 5; round++)
        {
            await using ReplicatedRedis redis = await ReplicatedRedis.StartAsync(replicas: 0, options);
            IDatabase database = redis.Connection.GetDatabase();
            await database.LockTakeAsync("lock", "token", TimeSpan.FromMinutes(5));
            redis.Master.Freeze();
            Task released = database.LockReleaseAsync("lock", "token");
            Task first = database.StringSetAsync("key", "value");
            Task<List<Task>>[] senders = [.. Enumerable.Range(0, 8).Select(_ => Task.Run(async () =>
            {
                List<Task> sent = [];
                while (!first.IsCompleted)
                {
                    sent.Add(database.StringSetAsync("key", "value"));
                    await (sent.Count % 20 == 0 ? Task.Delay(TimeSpan.FromMilliseconds(1)) : Task.CompletedTask)
                        .ConfigureAwait(ConfigureAwaitOptions.ForceYielding);
                }

                return sent;
            }))];
            List<Task> all = [.. (await Task.WhenAll(senders)).SelectMany(sent => sent), first, released];
            await Eventually.HoldsAsync($"all of {all.Count} calls end", () => all.TrueForAll(call => call.IsCompleted));
            redis.Master.Thaw();
        }
    }

    [Test]
    public async Task A_lock_call_on_a_hung_master_does_not_prolong_the_others_time()
    {
        var options = new FailoverOptions { OperationTimeout = TimeSpan.FromSeconds(1), WriteWait = TimeSpan.FromMilliseconds(500) };
        await using ReplicatedRedis redis = await ReplicatedRedis.StartAsync(replicas: 0, options);
        IDatabase database = redis.Connection.GetDatabase();
        await database.LockTakeAsync("lock", "token", TimeSpan.FromMinutes(5));
        redis.Master.Freeze();
        Task released = database.LockReleaseAsync("lock", "token");
        long start = Stopwatch.GetTimestamp();
        Task set = database.StringSetAsync("key", "value");

        // Nor do those that are sent meanwhile.
        List<Task> more = [];
        while (!set.IsCompleted)
        {
            more.Add(database.StringSetAsync("key", "value"));
            await Task.Delay(TimeSpan.FromMilliseconds(5));
        }

        TimeSpan taken = Stopwatch.GetElapsedTime(start);
        await Eventually.HoldsAsync("all calls end", () => released.IsCompleted && more.TrueForAll(call => call.IsCompleted));
        redis.Master.Thaw();
        TestContext.Out.WriteLine($"the write ended after {taken.TotalMilliseconds:0} ms");
        Assert.That(set.IsFaulted, Is.True);
        Assert.That(taken, Is.LessThan(options.OperationTimeout * 1.7), "the lock call's time-out is no answer of the node");
    }

    [Test]
    public async Task A_lock_call_that_waits_for_a_hung_master_holds_up_no_other_node()
    {
        await using ReplicatedRedis redis = await ReplicatedRedis.StartAsync(replicas: 1, s_patient);
        IDatabase database = redis.Connection.GetDatabase();
        await database.LockTakeAsync("lock", "token", TimeSpan.FromMinutes(5));
        await Eventually.HoldsAsync("the replica has it", ct
            => redis.Servers[1].CommandAsync(["GET", "lock"], ct), reply => reply.Text == "token");
        redis.Master.Freeze();
        Task<bool> released = database.LockReleaseAsync("lock", "token");
        await Task.Delay(TimeSpan.FromMilliseconds(100));
        long start = Stopwatch.GetTimestamp();
        for (int i = 0; i < 3; i++)
        {
            Assert.That((string?)await database.StringGetAsync("lock"), Is.EqualTo("token"));
        }

        TimeSpan taken = Stopwatch.GetElapsedTime(start);
        redis.Master.Thaw();
        Assert.That(await released, Is.True);
        TestContext.Out.WriteLine($"three reads from the replica took {taken.TotalMilliseconds:0.0} ms");
        Assert.That(taken, Is.LessThan(s_patient.OperationTimeout / 10),
            "else each waits until something else is to be written, a ping in the end");
    }
}
