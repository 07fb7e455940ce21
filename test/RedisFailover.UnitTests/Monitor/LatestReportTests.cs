using NUnit.Framework;
using RedisFailover.Monitor.ZooKeeper;
using RedisFailover.UnitTests.ZooKeeper;

namespace RedisFailover.UnitTests.Monitor;

[TestFixture]
[FixtureLifeCycle(LifeCycle.InstancePerTestCase)]
public sealed class LatestReportTests
{
    private static readonly MonitorReport First = MonitorReport.None with { ConfigVersion = 1 };
    private static readonly MonitorReport Second = MonitorReport.None with { ConfigVersion = 2 };

    /// <summary>It does not move by itself: what comes did not wait.</summary>
    private readonly ManualTime _time = new();

    [Test]
    public async Task What_was_urgent_stays_so_until_it_is_told()
    {
        var latest = new LatestReport(_time, () => false);
        latest.Set(First, urgent: true);
        latest.Set(Second, urgent: false);
        Assert.That(await latest.NextAsync(default).WithinDeadline(), Is.EqualTo(Second));

        latest.Set(First, urgent: false);
        Task<MonitorReport> patient = latest.NextAsync(default);
        latest.Set(null, urgent: true);
        Assert.That(await patient.WithinDeadline(), Is.EqualTo(First));
    }

    [Test]
    public async Task What_came_while_an_older_one_waited_is_not_lost_with_the_session()
    {
        var latest = new LatestReport(_time, () => false);
        using var session = new CancellationTokenSource();
        latest.Set(First, urgent: false);
        Task<MonitorReport> waiting = latest.NextAsync(session.Token);
        latest.Set(Second, urgent: false);
        await session.CancelAsync();

        Assert.That(async () => await waiting.WithinDeadline(), Throws.InstanceOf<OperationCanceledException>());
        Assert.That(latest.Value, Is.EqualTo(Second));
    }

    [Test]
    public async Task A_leaders_own_vote_waits_and_others_are_told_the_latest()
    {
        var latest = new LatestReport(_time, () => true);
        latest.Set(First, urgent: true);
        Task<MonitorReport> waiting = latest.NextAsync(default);
        latest.Set(Second, urgent: true);
        Assert.That(waiting.IsCompleted, Is.False);

        _time.Advance(TimeSpan.FromMilliseconds(50));
        Assert.That(await waiting.WithinDeadline(), Is.EqualTo(Second));
    }
}
