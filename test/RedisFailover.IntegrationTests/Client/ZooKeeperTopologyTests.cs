using System.Collections.Concurrent;
using System.Diagnostics;
using NUnit.Framework;
using RedisFailover.Client;
using RedisFailover.IntegrationTests.Harness;
using RedisFailover.ZooKeeper;
using StackExchange.Redis;

namespace RedisFailover.IntegrationTests.Client;

[TestFixture]
public sealed class ZooKeeperTopologyTests
{
    private ZooKeeperServer _server = null!;
    private ZooKeeperClient _zooKeeper = null!;
    private ZooKeeperSession _session = null!;

    [OneTimeSetUp]
    public async Task StartAsync()
    {
        _server = (await SharedZooKeeper.GetAsync()).Servers[0];
        _zooKeeper = new ZooKeeperClient(new ZooKeeperOptions { Connection = ZooKeeperConnectionString.Parse(_server.ConnectionString) });
        _session = await _zooKeeper.GetSessionAsync();
    }

    [OneTimeTearDown]
    public async Task StopAsync()
    {
        await _zooKeeper.DisposeAsync();
    }

    [Test]
    public async Task Connecting_without_the_znode_says_so_when_its_time_is_over()
    {
        FailoverConnectException failure = await Failing.WithAsync<FailoverConnectException>(
            () => FailoverConnection.ConnectAsync($"{_server.ConnectionString}/nowhere",
                new FailoverOptions { ConnectTimeout = TimeSpan.FromMilliseconds(700) }));
        Assert.That(failure.Message, Does.Contain("/nowhere/nodes does not exist").And.Contain(_server.ConnectionString));
    }

    [Test]
    public async Task Connecting_without_ZooKeeper_says_so_when_its_time_is_over()
    {
        FailoverConnectException failure = await Failing.WithAsync<FailoverConnectException>(
            () => FailoverConnection.ConnectAsync($"127.0.0.1:{FreePorts.Next()}/r",
                new FailoverOptions { ConnectTimeout = TimeSpan.FromMilliseconds(500) }));
        Assert.That(failure.Message, Does.Contain("does not answer"));
    }

    [Test]
    public async Task Connecting_waits_for_a_znode_that_is_written_meanwhile()
    {
        await using RedisServer redis = await RedisServer.StartAsync();
        Task<FailoverConnection> connecting = FailoverConnection.ConnectAsync($"{_server.ConnectionString}/late");
        await PublishAsync("/late", PublishedTopology.Of(1, redis.Address));
        await using FailoverConnection connection = await connecting;
        Assert.That(await connection.GetDatabase().StringSetAsync("key", 1), Is.True);
        Assert.That(connection.Topology.Master, Is.EqualTo(redis.Address));
    }

    [Test]
    public async Task After_its_first_connection_a_process_goes_through_a_failover()
    {
        await using RedisServer redis = await RedisServer.StartAsync();
        await PublishAsync("/warm-up", PublishedTopology.Of(1, redis.Address));
        await using FailoverConnection connection = await FailoverConnection.ConnectAsync($"{_server.ConnectionString}/warm-up");
        Assert.That(await Warmup.Done.WaitAsync(TimeSpan.FromSeconds(30)), Is.True);
    }

    [Test]
    public async Task A_topology_of_a_lower_epoch_is_refused()
    {
        await using RedisServer first = await RedisServer.StartAsync();
        await using RedisServer second = await RedisServer.StartAsync();
        await PublishAsync("/epochs", PublishedTopology.Of(5, first.Address));
        await using FailoverConnection connection = await FailoverConnection.ConnectAsync($"{_server.ConnectionString}/epochs");
        var seen = new ConcurrentQueue<long>();
        connection.TopologyChanged += topology => seen.Enqueue(topology.Epoch);
        await PublishAsync("/epochs", PublishedTopology.Of(4, second.Address));
        await PublishAsync("/epochs", PublishedTopology.Of(6, first.Address) with { Reason = "the end" });
        await Eventually.HoldsAsync("epoch 6 is in force", () => connection.Topology.Epoch == 6);
        await Eventually.HoldsAsync("epoch 6 was told", () => seen.Contains(6));
        Assert.That(seen, Has.None.EqualTo(4));
    }

    [Test]
    public async Task A_request_for_another_master_that_nobody_answers_is_taken_back_when_its_caller_gives_up()
    {
        await using RedisServer redis = await RedisServer.StartAsync();
        await PublishAsync("/nobody", PublishedTopology.Of(1, redis.Address));
        await using FailoverConnection connection = await FailoverConnection.ConnectAsync($"{_server.ConnectionString}/nobody");
        using var stop = new CancellationTokenSource();
        Task<Topology> asked = connection.FailoverAsync(cancellationToken: stop.Token);
        string requests = new ZnodePaths("/nobody").Requests;
        await Eventually.HoldsAsync("it is asked", ct
            => _session.ExistsAsync(requests, cancellationToken: ct), found => found is { ChildCount: 1 });
        await stop.CancelAsync();
        await Failing.WithAsync<OperationCanceledException>(() => asked);
        Assert.That((await _session.ExistsAsync(requests))!.Value.ChildCount, Is.Zero);
    }

    [TestCase(false)]
    [TestCase(true)]
    public async Task A_request_is_taken_back_also_when_its_caller_gives_up_before_ZooKeeper_has_confirmed_it(bool isReplyLost)
    {
        string root = isReplyLost ? "/lost" : "/slow";
        string requests = new ZnodePaths(root).Requests;
        await using RedisServer redis = await RedisServer.StartAsync();
        await using FaultProxy link = FaultProxy.Start("127.0.0.1", _server.Port);
        await PublishAsync(root, PublishedTopology.Of(1, redis.Address));
        await using FailoverConnection connection = await FailoverConnection.ConnectAsync($"127.0.0.1:{link.Port}{root}");
        using var stop = new CancellationTokenSource();
        link.Set(LinkState.Healthy with { Delay = TimeSpan.FromMilliseconds(400) });
        Task<Topology> asked = connection.FailoverAsync(cancellationToken: stop.Token);
        await Eventually.HoldsAsync("it is asked", ct
            => _session.ExistsAsync(requests, cancellationToken: ct), found => found is { ChildCount: 1 });
        link.Set(LinkState.AnswersLost);
        await stop.CancelAsync();
        if (isReplyLost)
        {
            link.Reset();
        }

        link.Heal();
        await Failing.WithAsync<OperationCanceledException>(() => asked);
        Assert.That((await _session.ExistsAsync(requests))!.Value.ChildCount, Is.Zero);
    }

    [Test]
    public async Task From_the_znode_to_the_first_write_on_the_new_master_takes_milliseconds()
    {
        List<double> times = [];
        for (int round = 0; round < 7; round++)
        {
            await using RedisServer old = await RedisServer.StartAsync();
            await using RedisServer next = await RedisServer.StartAsync(new RedisServerOptions { ReplicaOf = old.Address });
            await Eventually.HoldsAsync("the replica is in sync", ct
                => next.InfoAsync("replication", ct), info => info["master_link_status"] == "up");
            string root = $"/signal{round}";
            await PublishAsync(root, PublishedTopology.Of(1, old.Address, next.Address));
            await using FailoverConnection connection = await FailoverConnection.ConnectAsync(_server.ConnectionString + root);
            IDatabase database = connection.GetDatabase();
            await database.StringSetAsync("key", 0);
            await old.KillAsync();
            await PublishAsync(root, PublishedTopology.Of(2, null, next.Address));
            Task<bool> write = database.StringSetAsync("key", 1);
            await next.CommandAsync("REPLICAOF", "NO", "ONE");
            long signal = Stopwatch.GetTimestamp();
            Task publishing = PublishAsync(root, PublishedTopology.Of(2, next.Address));
            await write;
            times.Add(Stopwatch.GetElapsedTime(signal).TotalMilliseconds);
            await publishing;
        }

        TestContext.Out.WriteLine("setData sent until a waiting write is acknowledged, ms: "
            + string.Join(" ", times.Select(time => time.ToString("0.0"))));
        Assert.That(times.Order().ElementAt(3), Is.LessThan(10_000), "median: a multiplexer by itself learns it after a minute");
    }

    private async Task PublishAsync(string root, Topology topology)
    {
        string path = new ZnodePaths(root).Nodes;
        await _session.EnsurePathAsync(root);
        if (await _session.ExistsAsync(path) is null)
        {
            await _session.CreateAsync(path, TopologyJson.Write(topology));
        }
        else
        {
            await _session.SetDataAsync(path, TopologyJson.Write(topology));
        }
    }
}
