using System.Collections.Immutable;
using System.Diagnostics;
using System.Globalization;
using NUnit.Framework;

namespace RedisFailover.UnitTests.Simulation;

/// <summary>
/// Thousands of small clusters in virtual time, each with its own faults. See README.txt beside this file for how to run one seed
/// alone and what SIMULATION_* variables there are.
/// </summary>
[TestFixture]
[Category("Slow")]
public sealed class SimulationTests
{
    private const int Least = 400;
    private static readonly TimeSpan Budget = TimeSpan.FromSeconds(20);

    private static IEnumerable<string> Mutants() => Mutant.All.Select(m => m.Name);

    [Test]
    public void Holds_under_faults()
    {
        ulong first = Number("SIMULATION_SEED", 1);
        int count = (int)Number("SIMULATION_COUNT", 10_000);
        var watch = Stopwatch.StartNew();
        bool limited = Environment.GetEnvironmentVariable("SIMULATION_COUNT") is null;
        Outcome outcome =
            Search(Mutant.None, first, count, n => limited && n >= Least && watch.Elapsed > Budget, (int)Number("SIMULATION_FAILURES", 1));
        TestContext.Out.WriteLine(outcome.Summary(watch.Elapsed));
        if (outcome.Failed is [var seed, ..])
        {
            foreach (ulong each in outcome.Failed)
            {
                TestContext.Out.WriteLine($"Seed {each}: {Report.Violation(each, Mutant.None)}");
            }

            Assert.Fail(Report.Of(seed, Mutant.None));
        }
    }

    [TestCaseSource(nameof(Mutants))]
    public void Notices_that(string name)
    {
        Mutant mutant = Mutant.All.First(m => m.Name == name);
        Outcome outcome = Search(mutant, 1, 3_000, _ => false, failures: 1);
        TestContext.Out.WriteLine(
            $"{name}: {outcome.Ran} seeds: {(outcome.Failed is [var seed, ..] ? Report.Violation(seed, mutant) : "nothing")}");
        Assert.That(outcome.Failed, Is.Not.Empty, "the simulation does not notice");
    }

    [Test]
    public void Is_the_same_each_time()
    {
        for (ulong seed = 1; seed <= 10; seed++)
        {
            string first = Report.Story(seed);
            string second = Report.Story(seed);
            Assert.That(second, Is.EqualTo(first));
        }
    }

    private static ulong Number(string variable, ulong otherwise)
        => ulong.TryParse(Environment.GetEnvironmentVariable(variable), CultureInfo.InvariantCulture, out ulong number)
            ? number : otherwise;

    /// <summary>Runs seeds on two threads until so many failed.</summary>
    private static Outcome Search(Mutant mutant, ulong first, int count, Func<int, bool> isEnough, int failures)
    {
        int next = -1;
        int ran = 0;
        long events = 0;
        long virtualTime = 0;
        int failovers = 0;
        int switchovers = 0;
        int safeWrites = 0;
        int expected = 0;
        var failed = new SortedSet<ulong>();
        Parallel.For(0, 2, new ParallelOptions { MaxDegreeOfParallelism = 2 }, _ =>
        {
            while (true)
            {
                int i = Interlocked.Increment(ref next);
                lock (failed)
                {
                    if (i >= count || failed.Count >= failures || isEnough(ran))
                    {
                        return;
                    }
                }

                ulong seed = first + (ulong)i;
                var simulation = new Simulation(seed, mutant, told: false);
                bool holds = Report.Holds(simulation);
                lock (failed)
                {
                    ran++;
                    events += simulation.Events;
                    virtualTime += simulation.Length;
                    failovers += simulation.Ledger.Failovers;
                    switchovers += simulation.Ledger.Switchovers;
                    safeWrites += simulation.Ledger.SafeWrites;
                    expected += simulation.Expected;
                    if (!holds)
                    {
                        failed.Add(seed);
                    }
                }
            }
        });
        return new Outcome(ran, events, virtualTime, failovers, switchovers, safeWrites, expected, failed.ToImmutableArray());
    }

    private sealed record Outcome(int Ran, long Events, long VirtualTime, int Failovers, int Switchovers, int SafeWrites, int Expected,
        ImmutableArray<ulong> Failed)
    {
        internal string Summary(TimeSpan took) => string.Create(
            CultureInfo.InvariantCulture,
            $"{Ran} seeds in {took.TotalSeconds:0.0} s ({Ran / took.TotalSeconds:0}/s), {Events / Math.Max(1, Ran)} events and "
                + $"{VirtualTime / World.Second / Math.Max(1, Ran)} virtual seconds each, {Failovers} failovers ({Expected} of them "
                + $"expected at once), {Switchovers} switchovers, {SafeWrites} safe writes");
    }
}
