using System.Collections.Concurrent;
using System.Diagnostics;
using System.Globalization;
using NUnit.Framework;
using RedisFailover.Client;
using RedisFailover.IntegrationTests.Harness;
using StackExchange.Redis;

namespace RedisFailover.IntegrationTests.Client;

/// <summary>Fifty callers that write in every way there is, and read, while the master is killed, frozen and switched.</summary>
[TestFixture]
[NonParallelizable]
public sealed class MixedLoadTests
{
    private const int Callers = 50;

    // Nothing may fail for want of patience on a slow machine.
    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(90);

    [TestCase(1, 1, 0)]
    [TestCase(6, 3, 10, Category = "Nightly", Explicit = true, Reason = "A minute and more")]
    public async Task Callers_meet_ambiguous_writes_at_worst_and_nothing_acknowledged_is_lost_without_a_failover_to_account_for_it(
        int rounds, int monitors, int secondsEach)
    {
        await using Cluster cluster = await Cluster.StartAsync(new ClusterOptions { Monitors = monitors });
        await cluster.WaitUntilWholeAsync(s_patience);
        await using FailoverConnection connection = await FailoverConnection.ConnectAsync(
            cluster.ConnectionString, new FailoverOptions { ConnectTimeout = s_patience, WriteWait = s_patience });
        using CancellationTokenSource stop = new();
        Caller[] callers = [.. Enumerable.Range(0, Callers).Select(number => new Caller(number, connection))];
        Task[] running = [.. callers.Select(caller => Task.Run(() => caller.RunAsync(stop.Token)))];
        await GoesOnAsync();
        for (int round = 0; round < rounds; round++)
        {
            Task pace = Task.Delay(TimeSpan.FromSeconds(secondsEach));
            RedisServer killed = await MasterAsync();
            await MeasuredAsync("kill", () =>
            {
                killed.Kill();
                return Task.CompletedTask;
            });
            await killed.KillAsync();
            await killed.RestartAsync();
            await cluster.WaitUntilWholeAsync(s_patience);

            RedisServer frozen = await MasterAsync();
            await MeasuredAsync("freeze", () =>
            {
                frozen.Freeze();
                return Task.CompletedTask;
            });
            frozen.Thaw();
            await cluster.WaitUntilWholeAsync(s_patience);

            await MeasuredAsync("switchover", ()
                => connection.FailoverAsync(cancellationToken: new CancellationTokenSource(s_patience).Token));
            await cluster.WaitUntilWholeAsync(s_patience);
            await pace;
        }

        await stop.CancelAsync();
        await Task.WhenAll(running);
        TestContext.Out.WriteLine(
            $"{callers.Sum(caller => caller.Acknowledged.Count)} acknowledged, {callers.Sum(caller => caller.Failures.Count)} ambiguous");
        Assert.That(callers.SelectMany(caller => caller.Failures), Has.All.InstanceOf<MayHaveBeenAppliedException>(), cluster.Explain());
        await EveryLossIsAccountedForAsync(cluster, callers);

        Task GoesOnAsync()
        {
            int[] before = [.. callers.Select(caller => caller.Count)];
            return Eventually.HoldsAsync("every caller goes on", ()
                => callers.All(caller => caller.Count >= before[caller.Number] + 20), s_patience, cluster.Explain);
        }

        async Task<RedisServer> MasterAsync() => cluster.Node((await cluster.TopologyAsync()).Master!);

        async Task MeasuredAsync(string what, Func<Task> fault)
        {
            Topology before = connection.Topology;
            foreach (Caller caller in callers)
            {
                caller.Longest = default;
            }

            long start = Stopwatch.GetTimestamp();
            await fault();
            await Eventually.HoldsAsync(
                "the client has another master", ()
                    => connection.Topology is { Master: not null } now && now.Master != before.Master, s_patience, cluster.Explain);
            TimeSpan failover = Stopwatch.GetElapsedTime(start);
            await GoesOnAsync();
            TestContext.Out.WriteLine(
                string.Create(CultureInfo.InvariantCulture,
                    $"{what}: another master after {failover.TotalMilliseconds:0} ms, longest call "
                        + $"{callers.Max(caller => caller.Longest).TotalMilliseconds:0} ms"));
        }
    }

    /// <summary>
    /// A write that was acknowledged and is not there must have been on a master that was lost: between the epoch in which it was
    /// acknowledged and that of its caller's next write that is there, the history has a failover. A switchover accounts for nothing.
    /// </summary>
    private static async Task EveryLossIsAccountedForAsync(Cluster cluster, Caller[] callers)
    {
        Topology topology = await cluster.TopologyAsync();
        RedisServer master = cluster.Node(topology.Master!);
        long[] failovers =
            [.. (await cluster.HistoryAsync()).Where(entry => entry.Kind == HistoryKind.Failover).Select(entry => entry.Epoch)];
        int lost = 0;
        foreach (Caller caller in callers)
        {
            HashSet<string?> kept = [.. (await master.CommandAsync("SMEMBERS", caller.Key)).Items.Select(item => item.Text)];
            long until = topology.Epoch;
            foreach ((long number, long epoch) in Enumerable.Reverse(caller.Acknowledged))
            {
                if (kept.Contains(number.ToString(CultureInfo.InvariantCulture)))
                {
                    until = epoch;
                    continue;
                }

                lost++;
                Assert.That(failovers.Any(failover => failover >= epoch && failover <= until), Is.True,
                    $"write {number} of {caller.Key}, acknowledged in epoch {epoch}, is not there; the next that is: epoch {until}");
            }
        }

        TestContext.Out.WriteLine($"{lost} acknowledged writes were lost with their masters, in {failovers.Length} failovers");
    }

    private sealed class Caller(int number, FailoverConnection connection)
    {
        private int _count;

        public int Number => number;

        public string Key { get; } = "load:" + number.ToString(CultureInfo.InvariantCulture);

        public List<(long Number, long Epoch)> Acknowledged { get; } = [];

        public ConcurrentQueue<Exception> Failures { get; } = [];

        public TimeSpan Longest { get; set; }

        public int Count => Volatile.Read(ref _count);

        /// <summary>A write and two reads a hundred times a second.</summary>
        public async Task RunAsync(CancellationToken stop)
        {
            IDatabase database = connection.GetDatabase();
            using PeriodicTimer timer = new(TimeSpan.FromMilliseconds(10));
            for (long written = 0; !stop.IsCancellationRequested; written++)
            {
                await timer.WaitForNextTickAsync(CancellationToken.None);
                await CallAsync(async () =>
                {
                    await WriteAsync(database, written);
                    Acknowledged.Add((written, connection.Topology.Epoch));
                    Interlocked.Increment(ref _count);
                });
                await CallAsync(() => database.SetContainsAsync(Key, written));
                await CallAsync(() => database.SetLengthAsync(Key, CommandFlags.DemandMaster));
            }
        }

        /// <summary>The same write by one call, in a batch, in a transaction, by a script, and under a lock, in turn.</summary>
        private async Task WriteAsync(IDatabase database, long written)
        {
            switch (written % 5)
            {
                case 0:
                    await database.SetAddAsync(Key, written);
                    break;
                case 1:
                    IBatch batch = database.CreateBatch();
                    Task<bool> batched = batch.SetAddAsync(Key, written);
                    batch.Execute();
                    await batched;
                    break;
                case 2:
                    ITransaction transaction = database.CreateTransaction();
                    Task<bool> inside = transaction.SetAddAsync(Key, written);
                    Assert.That(await transaction.ExecuteAsync(), Is.True);
                    await inside;
                    break;
                case 3:
                    await database.ScriptEvaluateAsync("return redis.call('SADD', KEYS[1], ARGV[1])", [Key], [written]);
                    break;
                default:
                    // Nobody else takes it: when it is taken already, an earlier release may not have been applied.
                    await database.LockTakeAsync("lock:" + Key, written, TimeSpan.FromMinutes(5));
                    await database.SetAddAsync(Key, written);
                    await database.LockReleaseAsync("lock:" + Key, written);
                    break;
            }
        }

        private async Task CallAsync(Func<Task> call)
        {
            long start = Stopwatch.GetTimestamp();
            try
            {
                await call();
            }
            catch (Exception failure)
            {
                Failures.Enqueue(failure);
            }

            TimeSpan taken = Stopwatch.GetElapsedTime(start);
            Longest = taken > Longest ? taken : Longest;
        }
    }
}
