using System.Collections.Concurrent;
using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using System.Runtime.CompilerServices;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;
using NUnit.Framework;
using RedisFailover.Client;
using RedisFailover.Shared;
using RedisFailover.UnitTests.ZooKeeper;
using StackExchange.Redis;
using Waiting = RedisFailover.UnitTests.ZooKeeper.Waiting;

namespace RedisFailover.UnitTests.Client;

/// <summary>How a connection begins and how it ends.</summary>
[TestFixture]
public sealed class ConnectionTests
{
    [Test]
    public async Task A_handler_may_dispose_the_connection_and_wait_for_it()
    {
        await using var master = new WarmupNode(isMaster: true);
        WarmupTopologies topologies = Topologies(master.Address);
        FailoverConnection connection = await FailoverConnection.ConnectAsync(topologies, null, default).WithinDeadline();
        var disposed = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        int told = 0;
        connection.TopologyChanged += topology =>
        {
            if (topology.Epoch == 2)
            {
                connection.DisposeAsync().AsTask().GetAwaiter().GetResult();
                disposed.SetResult();
            }
        };
        connection.TopologyChanged += topology => told += topology.Epoch == 2 ? 1 : 0;
        topologies.Publish(new Topology { Epoch = 2, Master = master.Address, State = TopologyState.Ok });
        await disposed.Task.WithinDeadline();
        Assert.That(told, Is.Zero, "no other handler begins");
    }

    [Test]
    public async Task A_logger_that_throws_does_not_end_the_following_of_topologies()
    {
        await using var master = new WarmupNode(isMaster: true);
        WarmupTopologies topologies = Topologies(master.Address);
        using var logs = new ThrowingLoggers();
        await using FailoverConnection connection = await FailoverConnection.ConnectAsync(
            topologies, new FailoverOptions { LoggerFactory = logs }, default).WithinDeadline();
        topologies.Publish(new Topology { Epoch = 2, Master = master.Address, State = TopologyState.Ok });
        await Waiting.Until(() => connection.Topology.Epoch == 2);
        topologies.Publish(new Topology { Epoch = 3, Master = master.Address, State = TopologyState.Ok });
        await Waiting.Until(() => connection.Topology.Epoch == 3);
        Assert.That(logs.Thrown, Is.GreaterThan(1));
    }

    [Test]
    public async Task Each_line_of_a_password_file_is_tried_before_a_node_counts_as_one_that_refuses()
    {
        string file = Path.GetTempFileName();
        try
        {
            await File.WriteAllLinesAsync(file, ["old", "new"]);
            await using var master = new ScriptedRedis(AnswerToNew);
            await using var replica = new ScriptedRedis(AnswerToNew);
            await using FailoverConnection connection = await FailoverConnection.ConnectAsync(
                Topologies(master.Address, replica.Address), new FailoverOptions { PasswordFile = file }, default).WithinDeadline();
            Assert.That(connection.Status.TakesWrites, Is.True);
            await Waiting.Until(() => connection.Status.Unreachable.IsEmpty);
        }
        finally
        {
            File.Delete(file);
        }

        static string? AnswerToNew(string[] command)
            => command[0] is "HELLO" or "AUTH" && !command.Contains("new") ? "-WRONGPASS invalid username-password pair.\r\n"
                : command[0] == "AUTH" ? "+OK\r\n" : null;
    }

    [Test]
    public async Task While_there_is_no_master_one_attempt_waits_for_each_connection()
    {
        await using var nodes = new NodeSet(new FailoverOptions(), NullLogger.Instance);
        ConfigurationOptions options = nodes.Template;
        var tunnel = new MasterTunnel(nodes, evenFenced: false);
        NodeConfiguration.LeadToMaster(options, nodes.Options, tunnel);
        options.ConnectTimeout = 300;
        options.HeartbeatInterval = TimeSpan.FromMilliseconds(10);
        var asked = new CountedRetry(options.ReconnectRetryPolicy);
        options.ReconnectRetryPolicy = asked;
        await using ConnectionMultiplexer multiplexer = await ConnectionMultiplexer.ConnectAsync(options).WithinDeadline();
        await Waiting.Until(() => asked.Times > 20);
        Assert.That(tunnel.Waiting, Is.InRange(1, 2));

        // They are there when there is one.
        await using var master = new WarmupNode(isMaster: true);
        nodes.Apply(new Topology { Epoch = 1, Master = master.Address, State = TopologyState.Ok });
        await Waiting.Until(() => multiplexer.IsConnected && tunnel.Waiting == 0);
    }

    [Test]
    public async Task A_node_whose_name_stands_for_another_address_is_connected_to_there()
    {
        await using var master = new WarmupNode(isMaster: true);
        IPAddress address = IPAddress.Loopback;
        var names = new HostAddresses(TimeProvider.System, (_, _) => Task.FromResult(new[] { address }));
        await using var nodes = new NodeSet(new FailoverOptions(), NullLogger.Instance, names) { NameInterval = TimeSpan.FromSeconds(0.2) };
        var told = new ConcurrentQueue<string?>();
        nodes.Connectivity += (_, why) => told.Enqueue(why);
        NodeAddress named = new("redis1", master.Address.Port);
        nodes.Apply(new Topology { Epoch = 1, Master = named, State = TopologyState.Ok });
        await Waiting.Until(() => nodes.Current.ConnectedMaster is not null);

        address = IPAddress.Parse("127.0.0.2");
        using var there = new TcpListener(address, named.Port);
        there.Start();
        await Waiting.Until(() => told.Count > 1);
        Assert.That(told.ElementAt(1), Is.EqualTo("its host name stands for another address now"));
    }

    [Test]
    public async Task A_connection_that_was_led_to_the_old_master_is_cut_though_another_was_led_to_the_new_one_meanwhile()
    {
        await using var nodes = new NodeSet(new FailoverOptions(), NullLogger.Instance);
        var tunnel = new MasterTunnel(nodes, evenFenced: true);
        await using var old = new WarmupNode(isMaster: true);
        await using var next = new WarmupNode(isMaster: true);
        using var socket = new Socket(SocketType.Stream, ProtocolType.Tcp);
        using var other = new Socket(SocketType.Stream, ProtocolType.Tcp);
        TaskCompletionSource isLed = new(), othersTurn = new();
        await BecomesMasterAsync(old.Address, 1);

        Task first = ConnectAsync(socket, old.Address, isLed, othersTurn.Task);
        await isLed.Task;
        await BecomesMasterAsync(next.Address, 2);
        await ConnectAsync(other, next.Address, new TaskCompletionSource(), Task.CompletedTask);
        othersTurn.SetResult();
        await first;
        Assert.That((socket.SafeHandle.IsClosed, other.SafeHandle.IsClosed), Is.EqualTo((true, false)));

        async Task BecomesMasterAsync(NodeAddress node, int epoch)
        {
            nodes.Apply(new Topology { Epoch = epoch, Master = node, State = TopologyState.Ok });
            await Waiting.Until(() => nodes.Current.ConnectedMaster?.Address == node);
        }

        async Task ConnectAsync(Socket made, NodeAddress master, TaskCompletionSource led, Task turn)
        {
            EndPoint? to = await tunnel.GetSocketConnectEndpointAsync(MasterTunnel.EndPoint, default);
            Assert.That(((IPEndPoint)to!).Port, Is.EqualTo(master.Port));
            led.SetResult();
            await turn;
            await tunnel.BeforeSocketConnectAsync(MasterTunnel.EndPoint, ConnectionType.Subscription, made, default);
        }
    }

    [Test]
    public async Task The_applications_own_TLS_options_are_asked_for_the_node_and_not_for_the_made_up_end_point()
    {
        await using var nodes = new NodeSet(
            new FailoverOptions
            {
                ConfigureNode = o
                    => o.SslClientAuthenticationOptions = host
                        => new System.Net.Security.SslClientAuthenticationOptions { TargetHost = host },
            },
            NullLogger.Instance);
        ConfigurationOptions options = nodes.Template;
        var tunnel = new MasterTunnel(nodes, evenFenced: false);
        NodeConfiguration.LeadToMaster(options, nodes.Options, tunnel);
        Assert.That(options.SslClientAuthenticationOptions!("master.invalid").TargetHost,
            Is.EqualTo(tunnel.Host).And.Not.EqualTo("master.invalid"));
    }

    [Test]
    public async Task Connecting_does_not_wait_for_a_replica_that_hangs()
    {
        await using var master = new WarmupNode(isMaster: true);
        using var hangs = new TcpListener(IPAddress.Loopback, 0);
        hangs.Start();
        NodeAddress replica = new("127.0.0.1", ((IPEndPoint)hangs.LocalEndpoint).Port);
        var options = new FailoverOptions { ConnectTimeout = TimeSpan.FromMinutes(5) };
        await using FailoverConnection connection =
            await FailoverConnection.ConnectAsync(Topologies(master.Address, replica), options, default).WithinDeadline();
        Assert.That(connection.Status.TakesWrites, Is.True);
        Assert.That(connection.Status.Unreachable, Is.EqualTo(new[] { new UnreachableNode(replica, "it has not answered yet") }));
    }

    [Test]
    public async Task Connecting_does_not_wait_for_writes_that_are_held()
    {
        await using var master = new WarmupNode(isMaster: true);
        var options = new FailoverOptions { ConnectTimeout = TimeSpan.FromMinutes(5), WhenDisconnected = WhenDisconnected.FenceWrites };
        await using FailoverConnection connection = await FailoverConnection.ConnectAsync(
            new Unheard(new Topology { Epoch = 1, Master = master.Address, State = TopologyState.Ok }), options, default).WithinDeadline();
        await Waiting.Until(() => connection.Status is { TakesWrites: false, Fenced: true, TakesReads: true });
    }

    [Test]
    public async Task When_following_fails_the_log_says_so_and_the_end_closes_the_source()
    {
        await using var master = new WarmupNode(isMaster: true);
        var source = new Unheard(new Topology { Epoch = 1, Master = master.Address, State = TopologyState.Ok }) { Fails = true };
        using var logs = new KeptLog();
        FailoverConnection connection =
            await FailoverConnection.ConnectAsync(source, new FailoverOptions { LoggerFactory = logs }, default).WithinDeadline();
        await Waiting.Until(() => logs.Lines.Any(line => line.Contains("mistake", StringComparison.Ordinal)));
        await connection.DisposeAsync().AsTask().WithinDeadline();
        Assert.That(source.IsDisposed, Is.True);
    }

    [Test]
    public async Task Why_the_master_is_not_connected_stands_in_what_a_write_ends_with_and_in_the_status()
    {
        await using var master =
            new ScriptedRedis(command => command[0] is "HELLO" or "ECHO" or "INFO" ? "-NOAUTH Authentication required.\r\n" : null);
        await using var replica = new WarmupNode(isMaster: false);
        var options = new FailoverOptions { WriteWait = TimeSpan.FromMilliseconds(100) };
        await using FailoverConnection connection =
            await FailoverConnection.ConnectAsync(Topologies(master.Address, replica.Address), options, default).WithinDeadline();
        const string Why = "NOAUTH";
        await Waiting.Until(() => connection.Status.Unreachable is [{ Reason: var reason }]
            && reason.Contains(Why, StringComparison.Ordinal));
        Assert.That(connection.Status.Unreachable.Single().Reason, Does.Contain(Why));
        Assert.That(()
            => connection.GetDatabase().StringSet("key", 1),
                Throws.TypeOf<NotAppliedException>().With.Message.Contains($"{master.Address} is master at epoch 1 and could not take it (")
                    .And.Message.Contains(Why));
    }

    [TestCase("-WRONGPASS invalid username-password pair or user is disabled.",
        "it refuses the password (WRONGPASS invalid username-password pair or user is disabled.)")]
    public async Task A_refused_connection_says_why(string said, string told)
    {
        await using var redis =
            new ScriptedRedis(command => command[0] is "HELLO" or "AUTH" or "ECHO" or "INFO" or "PING" ? said + "\r\n" : null);
        var options = new FailoverOptions { Password = "secret", ConnectTimeout = TimeSpan.FromMinutes(5) };
        Assert.That(
            async () => await FailoverConnection.ConnectAsync(Topologies(redis.Address), options, default).WithinDeadline(),
            Throws.TypeOf<FailoverConnectException>().With.Message.StartsWith($"None of the nodes can be reached: {redis.Address}: ")
                .And.Message.Contains(told));
    }

    [Test]
    public void Why_ZooKeeper_cannot_be_reached_is_told()
    {
        var free = new TcpListener(IPAddress.Loopback, 0);
        free.Start();
        EndPoint closed = free.LocalEndpoint;
        free.Stop();
        var options = new FailoverOptions { ConnectTimeout = TimeSpan.FromSeconds(2) };
        Assert.That(
            async () => await FailoverConnection.ConnectAsync($"{closed}/x", options, default).WithinDeadline(),
            Throws.TypeOf<FailoverConnectException>().With.Message
                .Contains($"ZooKeeper ({closed}/x) does not answer: {closed}: Connection refused"));
    }

    [Test]
    public async Task A_node_without_TLS_is_told_from_others_in_time()
    {
        using var plain = new TcpListener(IPAddress.Loopback, 0);
        plain.Start();
        NodeAddress address = new("127.0.0.1", ((IPEndPoint)plain.LocalEndpoint).Port);
        var options = new FailoverOptions { ConfigureNode = node => node.Ssl = true, ConnectTimeout = TimeSpan.FromSeconds(5) };
        Assert.That(
            async () => await FailoverConnection.ConnectAsync(Topologies(address), options, default).WithinDeadline(),
            Throws.TypeOf<FailoverConnectException>().With.Message.Contains("no answer within 4000 ms: it hangs, or speaks no TLS"));
    }

    [Test]
    public async Task It_can_be_disposed_by_owners_that_do_not_await()
    {
        await using var master = new WarmupNode(isMaster: true);
        FailoverConnection connection = await FailoverConnection.ConnectAsync(Topologies(master.Address), null, default).WithinDeadline();
        ((IDisposable)connection).Dispose();
        Assert.That(() => connection.GetDatabase().StringSet("key", 1), Throws.TypeOf<ObjectDisposedException>());
    }

    [Test]
    public async Task Its_orderly_end_is_no_outage()
    {
        List<Activity> begun = [];
        using ActivityListener listener = new()
        {
            ShouldListenTo = source => source.Name == FailoverDiagnostics.ActivitySourceName,
            Sample = (ref ActivityCreationOptions<ActivityContext> _) => ActivitySamplingResult.AllData,
            ActivityStarted = activity =>
            {
                lock (begun)
                {
                    begun.Add(activity);
                }
            },
        };
        ActivitySource.AddActivityListener(listener);
        await using var master = new WarmupNode(isMaster: true);
        FailoverConnection connection = await FailoverConnection.ConnectAsync(Topologies(master.Address), null, default).WithinDeadline();
        Assert.That(connection.Status.TakesWrites, Is.True);
        await connection.DisposeAsync();
        lock (begun)
        {
            Assert.That(begun.Select(activity => activity.GetTagItem("redis_failover.former_master")),
                Has.None.EqualTo(master.Address.ToString()));
        }
    }

    [Test]
    public async Task The_number_of_the_default_database_is_that_of_the_configuration()
    {
        await using var master = new WarmupNode(isMaster: true);
        var options = new FailoverOptions { ConfigureNode = node => node.DefaultDatabase = 3 };
        await using FailoverConnection connection = await FailoverConnection.ConnectAsync(Topologies(master.Address), options, default)
            .WithinDeadline();
        Assert.That(connection.GetDatabase().Database, Is.EqualTo(3));
        Assert.That(connection.GetDatabase(5).Database, Is.EqualTo(5));
        await master.DisposeAsync();
        await Waiting.Until(() => connection.Nodes.Current.Master is null);
        Assert.That(connection.GetDatabase().Database, Is.EqualTo(3), "also while nobody is there");
    }

    [Test]
    public async Task A_scan_whose_node_is_lost_says_so()
    {
        await using var redis = new ScriptedRedis(command => command[0] != "HSCAN" ? null
            : command[2] == "0" ? $"*2\r\n{ScriptedRedis.Bulk("5")}*2\r\n{ScriptedRedis.Bulk("field")}{ScriptedRedis.Bulk("value")}"
            : ScriptedRedis.NoAnswer);
        await using var nodes = new NodeSet(new FailoverOptions(), NullLogger.Instance);
        nodes.Apply(new Topology { Epoch = 1, Master = redis.Address, State = TopologyState.Ok });
        await Waiting.Until(() => nodes.Current.Master is not null, () => nodes.States()[0].Failure ?? "connected");
        IEnumerable<HashEntry> scan = ((IDatabase)new FailoverDatabase(nodes, -1, null)).HashScan("hash", pageSize: 1);
        Assert.That(scan, Is.AssignableTo<IScanningCursor>());
        using IEnumerator<HashEntry> items = scan.GetEnumerator();
        Assert.That(items.MoveNext(), Is.True);
        Assert.That(items.Current.Name, Is.EqualTo((RedisValue)"field"));
        Task<bool> next =
            Task.Factory.StartNew(items.MoveNext, CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default);
        await Waiting.Until(() => redis.Seen.Count(command => command == "HSCAN") == 2);
        nodes.Apply(new Topology { Epoch = 2, State = TopologyState.NoMaster });
        Assert.That(async ()
            => await next.WithinDeadline(),
                Throws.TypeOf<ScanInterruptedException>()
                    .With.Message.EqualTo(
                        $"{redis.Address} was lost in the middle of a scan, whose cursor belongs to that node: begin a new scan."));
    }

    private static WarmupTopologies Topologies(NodeAddress master, params NodeAddress[] replicas)
    {
        var topologies = new WarmupTopologies();
        topologies.Publish(new Topology { Epoch = 1, Master = master, Replicas = [.. replicas], State = TopologyState.Ok });
        return topologies;
    }

    /// <summary>A topology from a ZooKeeper that nothing is heard of.</summary>
    private sealed class Unheard(Topology topology) : ITopologySource
    {
        public bool Fails { get; init; }

        public bool IsDisposed { get; private set; }

        public string Problem => "";

        public TimeSpan? SinceLastContact => null;

        public TimeSpan SessionTimeout => TimeSpan.FromSeconds(4);

        public async IAsyncEnumerable<Topology> TopologiesAsync([EnumeratorCancellation] CancellationToken cancellationToken)
        {
            yield return topology;
            await (Fails ? Task.FromException(new InvalidOperationException("mistake")) : Task.Delay(Timeout.Infinite, cancellationToken));
        }

        public Task AskFailoverAsync(NodeAddress? target, CancellationToken cancellationToken) => throw new NotSupportedException();

        public ValueTask DisposeAsync()
        {
            IsDisposed = true;
            return default;
        }
    }

    private sealed class KeptLog : ILoggerFactory, ILogger
    {
        public ConcurrentQueue<string> Lines { get; } = [];

        public ILogger CreateLogger(string categoryName) => this;

        public void AddProvider(ILoggerProvider provider)
        {
        }

        public IDisposable? BeginScope<TState>(TState state)
            where TState : notnull
            => null;

        public bool IsEnabled(LogLevel logLevel) => true;

        public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception,
            Func<TState, Exception?, string> formatter) => Lines.Enqueue($"{formatter(state, exception)} {exception?.Message}");

        public void Dispose()
        {
        }
    }

    private sealed class CountedRetry(IReconnectRetryPolicy policy) : IReconnectRetryPolicy
    {
        private int _times;

        public int Times => Volatile.Read(ref _times);

        public bool ShouldRetry(long currentRetryCount, int timeElapsedMillisecondsSinceLastRetry)
        {
            Interlocked.Increment(ref _times);
            return policy.ShouldRetry(currentRetryCount, timeElapsedMillisecondsSinceLastRetry);
        }
    }
}
