using System.Diagnostics;
using NUnit.Framework;
using RedisFailover.ZooKeeper;
using static RedisFailover.IntegrationTests.ZooKeeper.RealServer;

namespace RedisFailover.IntegrationTests.ZooKeeper;

/// <summary>
/// Many callers on one session while the connection fails in all manners; at the end every znode has the version that its writer counted.
/// </summary>
[TestFixture]
public sealed class HammerTests
{
    private const int Callers = 64;

    [Test]
    public Task For_10_seconds_64_callers_count_every_write_through_random_faults() => HammerAsync(TimeSpan.FromSeconds(10));

    [Test]
    [Category("Nightly")]
    [Explicit("Two minutes long.")]
    public Task For_2_minutes_64_callers_count_every_write_through_random_faults() => HammerAsync(TimeSpan.FromMinutes(2));

    private static async Task HammerAsync(TimeSpan duration)
    {
        int seed = Random.Shared.Next();
        string root = FreshRoot();
        await using var proxy = new FrameProxy(Server.Port);
        await using ZooKeeperSession session = await ConnectAsync(proxy.ConnectionString, root, LongTimeout);
        long id = session.SessionId;
        using var stop = new CancellationTokenSource(duration);
        Task<int> faults = FaultsAsync(proxy, new Random(seed), stop.Token);
        Writer[] writers = [.. Enumerable.Range(0, Callers).Select(i => new Writer(session, $"/{i}", new Random(seed + i)))];
        await Task.WhenAll(writers.Select(writer => Task.Run(() => writer.RunAsync(stop.Token))));
        int faulted = await faults;

        Assert.That(session.State, Is.Not.EqualTo(ZooKeeperSessionState.Expired));
        Assert.That(session.SessionId, Is.EqualTo(id));
        await using ZooKeeperSession direct = await ConnectAsync(root: root);
        await direct.SyncAsync("/");
        foreach (Writer writer in writers)
        {
            Znode final = await direct.GetDataAsync(writer.Path);
            Assert.That((final.Stat.Version, Text(final)), Is.EqualTo((writer.Version, $"{writer.Path}:{writer.Version}")), $"seed {seed}");
        }

        TestContext.Out.WriteLine(
            $"{faulted} faults, {writers.Sum(w => w.Version)} writes, {writers.Sum(w => w.Reads)} reads, "
            + $"{writers.Sum(w => w.Ambiguous)} ambiguous of which {writers.Sum(w => w.AmbiguousApplied)} were applied, "
            + $"{writers.Sum(w => w.Cancelled)} cancelled");
        Assert.That(writers.Min(w => w.Version), Is.GreaterThan(0));
        Assert.That(faulted, Is.GreaterThan(10));
    }

    private static async Task<int> FaultsAsync(FrameProxy proxy, Random random, CancellationToken stop)
    {
        int count = 0;
        try
        {
            while (true)
            {
                await Task.Delay(random.Next(20, 250), stop);
                count++;
                switch (random.Next(6))
                {
                    case 0:
                        proxy.Reset();
                        break;
                    case 1:
                        _ = proxy.LoseReplyTo(OpCode.SetData);
                        break;
                    case 2:
                        _ = proxy.LoseReplyTo(OpCode.GetData);
                        break;
                    case 3:
                        proxy.Split = true;
                        await Task.Delay(random.Next(30), stop);
                        break;
                    case 4:
                        proxy.Delay = TimeSpan.FromMilliseconds(2);
                        await Task.Delay(random.Next(30), stop);
                        break;
                    default:
                        proxy.BlackHole();
                        await Task.Delay(random.Next(200), stop);
                        if (random.Next(2) == 0)
                        {
                            proxy.Reset();
                        }

                        break;
                }

                proxy.Heal();
            }
        }
        catch (OperationCanceledException)
        {
            proxy.Heal();
            return count;
        }
    }

    /// <summary>The only writer of one znode: it always knows the version, or finds out.</summary>
    private sealed class Writer(ZooKeeperSession session, string path, Random random)
    {
        internal string Path => path;

        internal int Version { get; private set; }

        internal int Reads { get; private set; }

        internal int Ambiguous { get; private set; }

        internal int AmbiguousApplied { get; private set; }

        internal int Cancelled { get; private set; }

        internal async Task RunAsync(CancellationToken stop)
        {
            await CreateAsync();
            while (!stop.IsCancellationRequested)
            {
                using var cancel = new CancellationTokenSource();
                if (random.Next(20) == 0)
                {
                    cancel.CancelAfter(TimeSpan.FromMilliseconds(random.Next(5)));
                }

                try
                {
                    if (random.Next(2) == 0)
                    {
                        ZnodeStat written = await session.SetDataAsync(path, Bytes($"{path}:{Version + 1}"), Version, cancel.Token);
                        Version++;
                        Assert.That(written.Version, Is.EqualTo(Version));
                    }
                    else
                    {
                        Znode read = await session.GetDataAsync(path, null, cancel.Token);
                        Reads++;
                        Assert.That((read.Stat.Version, Text(read)), Is.EqualTo((Version, $"{path}:{Version}")));
                    }
                }
                catch (ZooKeeperException e) when (e.Code == ZooKeeperErrorCode.ConnectionLoss)
                {
                    Ambiguous += e.MayHaveBeenApplied ? 1 : 0;
                    AmbiguousApplied += await FindOutAsync() && e.MayHaveBeenApplied ? 1 : 0;
                }
                catch (OperationCanceledException)
                {
                    Cancelled++;
                    await FindOutAsync();
                }
            }
        }

        private async Task CreateAsync()
        {
            while (true)
            {
                try
                {
                    await session.CreateAsync(path, Bytes($"{path}:0"));
                    return;
                }
                catch (ZooKeeperException e) when (e.Code == ZooKeeperErrorCode.NodeExists)
                {
                    return;
                }
                catch (ZooKeeperException e) when (e.Code == ZooKeeperErrorCode.ConnectionLoss)
                {
                    // Again.
                }
            }
        }

        /// <summary>
        /// True if the write of unknown outcome was applied. Its request was before this read in the session's order: it cannot come
        /// later.
        /// </summary>
        private async Task<bool> FindOutAsync()
        {
            long start = Stopwatch.GetTimestamp();
            while (true)
            {
                try
                {
                    await session.SyncAsync(path);
                    Znode now = await session.GetDataAsync(path);
                    Assert.That(now.Stat.Version, Is.EqualTo(Version).Or.EqualTo(Version + 1));
                    bool applied = now.Stat.Version == Version + 1;
                    Version = now.Stat.Version;
                    Assert.That(Text(now), Is.EqualTo($"{path}:{Version}"));
                    return applied;
                }
                catch (ZooKeeperException e) when (e.Code == ZooKeeperErrorCode.ConnectionLoss
                    && Stopwatch.GetElapsedTime(start) < Deadline)
                {
                    // Again.
                }
            }
        }
    }
}
