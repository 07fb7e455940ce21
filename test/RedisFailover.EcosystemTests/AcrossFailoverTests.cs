using NUnit.Framework;

namespace RedisFailover.EcosystemTests;

/// <summary>
/// Libraries that know nothing of failovers, on the client, while the master is lost: all of them at once, on real servers.
/// </summary>
[TestFixture]
public sealed class AcrossFailoverTests
{
    /// <summary>For how long a library that nobody leads to the next master is watched.</summary>
    private static readonly TimeSpan s_bound = TimeSpan.FromSeconds(70);

    /// <summary>The table of the documents: a column for each run, in the order in which they ran.</summary>
    private static readonly List<(string Column, Outcome[] Outcomes)> s_columns = [];

    [OneTimeTearDown]
    public void Print_the_table()
    {
        TestContext.Progress.WriteLine("Longest gap / errors / lost");
        TestContext.Progress.WriteLine($"| library | {string.Join(" | ", s_columns.Select(ran => ran.Column))} |");
        TestContext.Progress.WriteLine($"|---|{string.Concat(s_columns.Select(_ => "---|"))}");
        foreach (string library in s_columns.SelectMany(ran => ran.Outcomes).Select(outcome => outcome.Library).Distinct())
        {
            IEnumerable<string> cells = s_columns.Select(ran => ran.Outcomes.Single(outcome => outcome.Library == library).Cell);
            TestContext.Progress.WriteLine($"| {library} | {string.Join(" | ", cells)} |");
        }
    }

    [TestCase("kill -9")]
    [TestCase("SIGSTOP")]
    [TestCase("switchover")]
    public async Task Every_library_goes_on(string fault)
    {
        await using Monitored system = await Monitored.StartAsync();
        Outcome[] outcomes = await WatchAsync(Access.Through(system.Connection), system, fault, TimeSpan.FromSeconds(2));
        Print($"this client, {fault}", outcomes);
        Assert.Multiple(() =>
        {
            foreach (Outcome outcome in outcomes)
            {
                Assert.That(outcome.DoneAfterwards, Is.GreaterThan(0), $"{outcome.Library} goes on; it said {outcome.LastError}");
                if (fault == "switchover" && !outcome.MayMiss)
                {
                    Assert.That(outcome.Lost, Is.Zero, $"{outcome.Library} loses nothing in a switchover");
                }
            }

            // Whoever misses a message can read of it.
            bool isTold = system.Log.Any(l => l.Contains("stood still", StringComparison.Ordinal));
            Assert.That(isTold || !outcomes.Any(o => o.MayMiss && o.Lost > 0), "messages were missed without a word");
        });
    }

    /// <summary>What the others are compared with, so that one run prints the whole table of the documents.</summary>
    [Test]
    [Explicit]
    [Category("Nightly")]
    public Task Compared_as_it_is_with_this_client([Values("kill -9", "SIGSTOP", "switchover")] string fault)
        => Every_library_goes_on(fault);

    /// <summary>The same libraries without this client, each on a multiplexer over all nodes.</summary>
    [Test]
    [Explicit]
    [Category("Nightly")]
    public async Task Compared_with_a_bare_multiplexer([Values("kill -9", "SIGSTOP", "switchover")] string fault)
    {
        await using Monitored system = await Monitored.StartAsync();
        Outcome[] outcomes = await CompareAsync(Access.Bare(system.Nodes), system, fault);
        Print($"bare, {fault}", outcomes);
        if (fault != "switchover")
        {
            Assert.That(outcomes.Max(o => o.LongestGap), Is.GreaterThan(TimeSpan.FromSeconds(2)), "otherwise this client is not needed");
        }
    }

    /// <summary>
    /// And with Sentinel in the place of the monitors, as StackExchange.Redis follows it; SENTINEL FAILOVER is the switchover.
    /// </summary>
    [Test]
    [Explicit]
    [Category("Nightly")]
    public async Task Compared_with_Sentinel([Values("kill -9", "SIGSTOP", "switchover")] string fault)
    {
        await using Sentinelled system = await Sentinelled.StartAsync();
        Print($"Sentinel, {fault}", await CompareAsync(Access.Bare(system.ConnectionString), system, fault));
    }

    /// <summary>
    /// A multiplexer that follows sentinels looks for the master once a second on a thread of the pool, and blocks it for seconds. Twelve
    /// in one process take up to a hundred threads: without them at hand, how slowly the pool grows would be measured instead.
    /// </summary>
    private static async Task<Outcome[]> CompareAsync(Access access, IStruck system, string fault)
    {
        ThreadPool.GetMinThreads(out int workers, out int ports);
        ThreadPool.SetMinThreads(500, ports);
        try
        {
            return await WatchAsync(access, system, fault, s_bound);
        }
        finally
        {
            ThreadPool.SetMinThreads(workers, ports);
        }
    }

    private static async Task<Outcome[]> WatchAsync(Access access, IStruck system, string fault, TimeSpan afterwards)
    {
        Library[] libraries = await Libraries.AllAsync(access);
        using var stop = new CancellationTokenSource();
        int moment = (int)Moment.Before;
        Task<Outcome[]> watching = Task.WhenAll(libraries.Select(
            library => Task.Run(() => Outcome.WatchAsync(library, () => (Moment)Volatile.Read(ref moment), stop.Token))));
        try
        {
            await Task.Delay(TimeSpan.FromSeconds(4));
            Volatile.Write(ref moment, (int)Moment.Struck);
            await Task.Delay(TimeSpan.FromMilliseconds(200));
            await system.StrikeAsync(fault);
            await Task.Delay(TimeSpan.FromSeconds(1));
            Volatile.Write(ref moment, (int)Moment.Afterwards);
            await Task.Delay(afterwards);
        }
        finally
        {
            await stop.CancelAsync();
            await watching;
            system.Thaw();
            foreach (Library library in libraries)
            {
                await library.DisposeAsync();
            }
        }

        return await watching;
    }

    private static void Print(string fault, Outcome[] outcomes)
    {
        s_columns.Add((fault, outcomes));
        TestContext.Progress.WriteLine($"{fault,-36} {"done",6} {"errors",7} {"gap ms",7} {"lost",5}");
        foreach (Outcome outcome in outcomes)
        {
            TestContext.Progress.WriteLine(
                $"{outcome.Library,-36} {outcome.Done,6} {outcome.Errors,7} {outcome.LongestGap.TotalMilliseconds,7:0} {outcome.Lost,5}  "
                    + $"{outcome.LastError?[..Math.Min(outcome.LastError.Length, 110)]}");
        }
    }
}
