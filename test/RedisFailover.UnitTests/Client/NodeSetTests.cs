using System.Diagnostics;
using System.Net;
using System.Runtime.CompilerServices;
using Microsoft.Extensions.Logging.Abstractions;
using NUnit.Framework;
using RedisFailover.Client;
using StackExchange.Redis;

namespace RedisFailover.UnitTests.Client;

/// <summary>Which topology is in force and what a call is told; the nodes are ports on which nobody listens.</summary>
[TestFixture]
public sealed class NodeSetTests
{
    private static readonly NodeAddress s_a = new("127.0.0.1", 1);
    private static readonly NodeAddress s_b = new("127.0.0.1", 2);

    [Test]
    public async Task A_lower_epoch_is_refused_and_an_equal_one_is_not()
    {
        await using var nodes = new NodeSet(new FailoverOptions(), NullLogger.Instance);
        Assert.That(nodes.Apply(new Topology { Epoch = 3, Master = s_a, State = TopologyState.Ok }), Is.True);
        Assert.That(nodes.Apply(new Topology { Epoch = 2, Master = s_b, State = TopologyState.Ok }), Is.False);
        Assert.That(nodes.Current.Topology.Master, Is.EqualTo(s_a));
        Assert.That(nodes.Apply(new Topology { Epoch = 3, Master = s_a, Replicas = [s_b], State = TopologyState.Ok }), Is.True);
        Assert.That(nodes.Current.Topology.Replicas, Is.EqualTo(new[] { s_b }));
    }

    [Test]
    public async Task Of_topologies_that_come_at_the_same_time_a_lower_epoch_never_takes_the_place_of_a_higher_one()
    {
        await using var nodes = new NodeSet(new FailoverOptions(), NullLogger.Instance);
        int back = 0;
        int rounds = 0;
        using var round = new Barrier(2, _ => back += nodes.Current.Topology.Epoch < 2 * rounds++ ? 1 : 0);
        await Task.WhenAll(new[] { 1, 2 }.Select(epoch => Task.Factory.StartNew(() => Take(epoch),
            CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default)));
        Assert.That(back, Is.Zero, $"of {rounds} times the lower one stayed");

        // Both of a round at once; then the higher one has to be in force.
        void Take(int first)
        {
            round.SignalAndWait();
            for (int epoch = first; epoch <= 100_000; epoch += 2)
            {
                nodes.Apply(new Topology { Epoch = epoch, State = TopologyState.NoMaster });
                round.SignalAndWait();
            }
        }
    }

    [Test]
    public async Task Each_topology_supersedes_the_snapshot_before_it()
    {
        await using var nodes = new NodeSet(new FailoverOptions(), NullLogger.Instance);
        Snapshot before = nodes.Current;
        nodes.Apply(new Topology { Epoch = 1, State = TopologyState.NoMaster });
        Assert.That(before.Superseded.IsCompleted, Is.True);
        Assert.That(nodes.Current.Superseded.IsCompleted, Is.False);
    }

    [Test]
    public async Task Two_sets_share_no_snapshot()
    {
        await using var one = new NodeSet(new FailoverOptions(), NullLogger.Instance);
        await using var other = new NodeSet(new FailoverOptions(), NullLogger.Instance);
        one.Apply(new Topology { Epoch = 1, State = TopologyState.NoMaster });
        Assert.That(other.Current.Superseded.IsCompleted, Is.False);
    }

    [Test]
    public async Task During_a_change_of_master_the_old_one_stays_linked_and_when_it_is_over_it_does_not()
    {
        await using var nodes = new NodeSet(new FailoverOptions(), NullLogger.Instance);
        nodes.Apply(new Topology { Epoch = 1, Master = s_a, Replicas = [s_b], State = TopologyState.Ok });
        nodes.Apply(new Topology { Epoch = 2, Replicas = [s_b], State = TopologyState.SwitchingOver });
        Assert.That(nodes.States().Select(state => state.Address), Is.EquivalentTo(new[] { s_a, s_b }));
        nodes.Apply(new Topology { Epoch = 2, Master = s_b, State = TopologyState.Ok });
        Assert.That(nodes.States().Select(state => state.Address), Is.EquivalentTo(new[] { s_b }));
    }

    [Test]
    public async Task A_call_without_a_node_says_what_it_waited_for_and_how_long()
    {
        await using var nodes = new NodeSet(new FailoverOptions { WriteWait = TimeSpan.FromMilliseconds(30) }, NullLogger.Instance);
        nodes.Apply(new Topology { Epoch = 4, State = TopologyState.NoMaster });
        NotAppliedException? failure = null;
        try
        {
            await ((IDatabase)new FailoverDatabase(nodes, -1, null)).StringSetAsync("key", 1);
        }
        catch (NotAppliedException caught)
        {
            failure = caught;
        }

        Assert.That(failure!.Message,
            Is.EqualTo("No master took the call within 30 ms: there is no master (epoch 4). It was not applied."));
    }

    [Test]
    public async Task While_writes_are_held_a_call_says_so()
    {
        await using var nodes = new NodeSet(new FailoverOptions { WriteWait = TimeSpan.FromMilliseconds(30) }, NullLogger.Instance);
        nodes.Apply(new Topology { Epoch = 4, Master = s_a, State = TopologyState.Ok });
        nodes.Hold(WriteHold.ZooKeeperSilent, held: true);
        IDatabase database = new FailoverDatabase(nodes, -1, null);
        Assert.That(()
            => database.StringSet("key", 1),
                Throws.TypeOf<NotAppliedException>().With.Message.Contains("writes are held while ZooKeeper cannot be reached"));
    }

    [Test]
    public async Task A_call_that_waits_is_traced_as_its_callers_child_and_one_that_does_not_is_not()
    {
        List<Activity> seen = [];
        using ActivityListener listener = new()
        {
            ShouldListenTo = source => source.Name == FailoverDiagnostics.ActivitySourceName,
            Sample = (ref ActivityCreationOptions<ActivityContext> _) => ActivitySamplingResult.AllData,
            ActivityStopped = seen.Add,
        };
        ActivitySource.AddActivityListener(listener);
        await using var nodes = new NodeSet(new FailoverOptions { WriteWait = TimeSpan.FromMilliseconds(30) }, NullLogger.Instance);
        nodes.Apply(new Topology { Epoch = 4, State = TopologyState.NoMaster });
        IDatabase database = new FailoverDatabase(nodes, -1, null);
        using Activity caller = new Activity("caller").Start();
        Assert.That(() => database.StringSet("key", 1), Throws.TypeOf<NotAppliedException>());
        Activity waiting = seen.Single(activity => activity.ParentId == caller.Id);
        Assert.That(waiting.OperationName, Is.EqualTo("redis_failover.wait"));
        Assert.That(waiting.GetTagItem("redis_failover.class"), Is.EqualTo("write"));
    }

    [Test]
    public void Only_a_database_of_ours_repeats_calls()
        => Assert.That(() => FailoverDatabaseExtensions.AsIdempotent(null!), Throws.ArgumentException);

    [Test]
    public async Task Asking_whether_it_is_connected_waits_for_nobody()
    {
        await using var nodes = new NodeSet(new FailoverOptions(), NullLogger.Instance);
        Assert.That(new FailoverDatabase(nodes, -1, null) is IDatabase database && database.IsConnected("key"), Is.False);
    }

    [Test]
    public async Task So_does_asking_a_batch_or_a_transaction()
    {
        await using var nodes = new NodeSet(new FailoverOptions { WriteWait = TimeSpan.FromMilliseconds(30) }, NullLogger.Instance);
        IDatabase database = new FailoverDatabase(nodes, -1, null);
        Assert.That(database.CreateBatch().IsConnected("key"), Is.False);
        Assert.That(database.CreateTransaction().IsConnected("key"), Is.False);
    }

    [Test]
    public async Task After_its_end_a_call_is_told_that_it_is_closed()
    {
        var nodes = new NodeSet(new FailoverOptions(), NullLogger.Instance);
        await nodes.DisposeAsync();
        IDatabase database = new FailoverDatabase(nodes, -1, null);
        Assert.That(() => database.StringSet("key", 1), Throws.TypeOf<ObjectDisposedException>());
    }

    [Test]
    public async Task What_waits_when_it_ends_is_told_so_and_watching_ends()
    {
        var connection = await FailoverConnection.ConnectAsync(new NoMaster(), null, default);
        Task<bool> write = connection.GetDatabase().StringSetAsync("key", 1);
        Task<Topology> failover = connection.FailoverAsync();
        List<Topology> seen = [];
        Task watching = Task.Run(async () =>
        {
            await foreach (Topology topology in connection.WatchTopologyAsync())
            {
                seen.Add(topology);
            }
        });
        await connection.DisposeAsync();
        await watching.WaitAsync(TimeSpan.FromMinutes(1));
        Assert.That(seen, Has.Count.LessThanOrEqualTo(1));
        Assert.That(async () => await write.WaitAsync(TimeSpan.FromMinutes(1)), Throws.TypeOf<ObjectDisposedException>());
        Assert.That(async () => await failover.WaitAsync(TimeSpan.FromMinutes(1)), Throws.TypeOf<ObjectDisposedException>());
        Assert.That(async () => await connection.FailoverAsync(), Throws.TypeOf<ObjectDisposedException>());
    }

    [Test]
    public async Task A_server_is_found_by_its_host_name_however_that_is_written()
    {
        await using var nodes = new NodeSet(new FailoverOptions(), NullLogger.Instance);
        nodes.Apply(new Topology { Epoch = 1, Master = new NodeAddress("localhost", 1), State = TopologyState.Ok });
        EndPoint expected = new DnsEndPoint("localhost", 1);
        await using var lease = new FailoverMultiplexer(nodes);
        Assert.That(lease.GetServer("LocalHost", 1).EndPoint, Is.EqualTo(expected));
        Assert.That(lease.GetServer("LocalHost:1").EndPoint, Is.EqualTo(expected));
        Assert.That(lease.GetServer(new DnsEndPoint("LocalHost", 1)).EndPoint, Is.EqualTo(expected));
    }

    [Test]
    public async Task A_closed_lease_takes_no_condition_of_a_transaction_either()
    {
        await using var nodes = new NodeSet(new FailoverOptions { WriteWait = TimeSpan.FromMilliseconds(30) }, NullLogger.Instance);
        var lease = new FailoverMultiplexer(nodes);
        ITransaction transaction = lease.GetDatabase().CreateTransaction();
        await lease.DisposeAsync();
        Assert.That(() => transaction.AddCondition(Condition.KeyExists("key")), Throws.TypeOf<ObjectDisposedException>());
    }

    [Test]
    public void What_a_failure_says_about_the_call() => Assert.Multiple(() =>
    {
        Assert.That(Failures.Judge(new ObjectDisposedException("multiplexer")), Is.EqualTo(Outcome.NotApplied));
        Assert.That(Failures.Judge(new TaskCanceledException()), Is.EqualTo(Outcome.Ambiguous));
        Assert.That(Failures.Judge(new ArgumentException("argument")), Is.EqualTo(Outcome.CommandFailed));
    });

    /// <summary>A cluster without a master, whose monitors take every request and do nothing.</summary>
    private sealed class NoMaster : ITopologySource
    {
        public string Problem => "";

        public TimeSpan? SinceLastContact => TimeSpan.Zero;

        public TimeSpan SessionTimeout => TimeSpan.FromSeconds(4);

        public async IAsyncEnumerable<Topology> TopologiesAsync([EnumeratorCancellation] CancellationToken cancellationToken)
        {
            yield return new Topology { Epoch = 1, State = TopologyState.NoMaster };
            await Task.Delay(Timeout.Infinite, cancellationToken);
        }

        public Task AskFailoverAsync(NodeAddress? target, CancellationToken cancellationToken) => Task.CompletedTask;

        public ValueTask DisposeAsync() => default;
    }
}
