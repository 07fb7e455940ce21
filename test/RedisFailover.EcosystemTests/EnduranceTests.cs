using System.Diagnostics;
using System.Globalization;
using NUnit.Framework;
using RedisFailover.IntegrationTests.Harness;
using StackExchange.Redis;

namespace RedisFailover.EcosystemTests;

/// <summary>
/// Failovers one after the other, by a real monitor, while an application has open what applications have: a lease with a handler, a queue
/// and an event, a cache, a SignalR host, options for a multiplexer of its own.
/// </summary>
[TestFixture]
[NonParallelizable]
public sealed class EnduranceTests
{
    /// <summary>Every so many a kill -9, the others switchovers.</summary>
    private const int Killed = 20;

    private static readonly TimeSpan s_limit = TimeSpan.FromSeconds(90);

    [Test]
    public Task A_few_failovers_leave_nothing_behind() => FailOverAsync(6);

    [Test]
    [Category("Nightly")]
    [Explicit("Minutes")]
    public Task Many_leave_nothing_behind() => FailOverAsync(Endurance.Failovers);

    private static async Task FailOverAsync(int failovers)
    {
        await using Monitored system = await Monitored.StartAsync();
        Access access = Access.Through(system.Connection);
        Library[] libraries = [Libraries.Caching(access), await Libraries.SignalRAsync(access)];
        await using IConnectionMultiplexer lease = system.Connection.AsMultiplexer();
        RedisChannel news = RedisChannel.Literal("news");
        int heard = -1;
        int restored = 0;
        lease.ConnectionRestored += (_, _) => Interlocked.Increment(ref restored);
        await lease.GetSubscriber().SubscribeAsync(news, (_, message) => Volatile.Write(ref heard, (int)message));
        ChannelMessageQueue queue = await lease.GetSubscriber().SubscribeAsync(news);
        await using ConnectionMultiplexer led = await ConnectionMultiplexer.ConnectAsync(system.Connection.ConfigurationOptions());

        Left before = default;
        long began = Stopwatch.GetTimestamp();
        for (int i = 0; i < failovers; i++)
        {
            await FailOverAsync(system, kill: i % Killed == Killed / 4);
            foreach (Library library in libraries)
            {
                await GoesOnAsync(library.Name, () => library.ActAsync(i, CancellationToken.None));
            }

            await GoesOnAsync("what is led", () => led.GetDatabase().StringSetAsync("led", i));
            await Eventually.HoldsAsync("the handler hears", async _ =>
            {
                await lease.GetDatabase().PublishAsync(news, i);
                return Volatile.Read(ref heard) == i;
            }, isHeard => isHeard, s_limit);
            while (queue.TryRead(out _))
            {
            }

            if (i == Math.Min(15, failovers / 2))
            {
                before = await LeftAsync(system);
                TestContext.Progress.WriteLine($"after {i + 1}: {before}");
            }
            else if (i % 100 == 99)
            {
                TestContext.Progress.WriteLine($"after {i + 1}: {await LeftAsync(system)}");
            }
        }

        TimeSpan taken = Stopwatch.GetElapsedTime(began);
        Left after = default;
        // The monitor's watches are among them, and come with what it does for the first time.
        await Eventually.HoldsAsync(
            "what was closed is gone", async _ => after = await LeftAsync(system),
            left => left.Sockets <= before.Sockets + 4 && left.Watches <= before.Watches + 10, s_limit);
        TestContext.Progress.WriteLine(
            $"{failovers} failovers in {taken.TotalSeconds:0} s, {restored} connections restored: before {before}; after {after}");
        foreach (Library library in libraries)
        {
            await library.DisposeAsync();
        }

        Assert.That(after.Threads, Is.LessThan(before.Threads + 8));
        Assert.That(after.Bytes, Is.LessThan(before.Bytes + 4_000_000));
        Assert.That(after.MonitorFiles, Is.LessThan(before.MonitorFiles + 20));
    }

    /// <summary>Returns when another node is master and the others follow it.</summary>
    private static async Task FailOverAsync(Monitored system, bool kill)
    {
        NodeAddress before = system.Connection.Topology.Master!;
        if (kill)
        {
            await system.Cluster.Node(before).KillAsync();
            await Eventually.HoldsAsync(
                "another one is master", () => system.Connection.Topology.Master is { } now && now != before, s_limit);
            await system.Cluster.Node(before).RestartAsync();
        }
        else
        {
            // Refused as long as no replica has come near enough since the last one.
            await GoesOnAsync("switchover", async () =>
            {
                using var limit = new CancellationTokenSource(s_limit);
                await system.Connection.FailoverAsync(cancellationToken: limit.Token);
            });
        }

        await system.Cluster.WaitUntilWholeAsync(s_limit);
        await Eventually.HoldsAsync("every node is connected", () => system.Connection.Status.Unreachable.IsEmpty, s_limit);
    }

    private static async Task GoesOnAsync(string who, Func<Task> act)
    {
        string? said = null;
        await Eventually.HoldsAsync($"{who} goes on", async _ =>
        {
            try
            {
                await act();
                return true;
            }
            catch (Exception failure) when (failure is RedisException or TimeoutException or InvalidOperationException
                or RedisFailover.Client.FailoverException)
            {
                said = failure.Message;
                return false;
            }
        }, isDone => isDone, s_limit, () => said ?? "");
    }

    private static async Task<Left> LeftAsync(Monitored system)
    {
        using var process = Process.GetCurrentProcess();
        int sockets = Directory.GetFiles("/proc/self/fd")
            .Count(file => new FileInfo(file).LinkTarget?.StartsWith("socket:", StringComparison.Ordinal) == true);
        string watches = (await system.Cluster.ZooKeeper.Servers[0].FourLetterAsync("wchs")).Split("Total watches:")[1];
        int monitor = system.Cluster.Monitors[0].Process.Pid;

        // What the test itself keeps, and grows: the processes' output and the client's log.
        IEnumerable<string> lines = system.Cluster.Redis.Select(redis => redis.Process).Append(system.Cluster.Monitors[0].Process)
            .Append(system.Cluster.ZooKeeper.Servers[0].Process).SelectMany(server => server.Log).Concat(system.Log);
        long kept = lines.Sum(line => (line.Length * 2L) + 40);
        return new Left(
            sockets, process.Threads.Count, int.Parse(watches, CultureInfo.InvariantCulture),
            GC.GetTotalMemory(forceFullCollection: true) - kept, Directory.GetFiles($"/proc/{monitor}/fd").Length);
    }

    private readonly record struct Left(int Sockets, int Threads, int Watches, long Bytes, int MonitorFiles);
}
