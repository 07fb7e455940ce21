using Microsoft.Extensions.Logging.Abstractions;
using NUnit.Framework;
using RedisFailover.Monitor.Hosting;
using RedisFailover.UnitTests.ZooKeeper;

namespace RedisFailover.UnitTests.Monitor;

[TestFixture]
[FixtureLifeCycle(LifeCycle.InstancePerTestCase)]
public sealed class ElectionBackoffTests
{
    private readonly ManualTime _time = new();

    [Test]
    public void Who_has_not_given_up_the_lead_need_not_wait() => Assert.That(New().WaitAsync(default).IsCompletedSuccessfully);

    [Test]
    public async Task It_lasts_for_two_probes_and_twice_as_long_each_time_and_ten_seconds_at_most()
    {
        ElectionBackoff abstention = New();
        foreach (int seconds in (int[])[2, 4, 8, 10, 10])
        {
            abstention.Begin();
            Task waiting = abstention.WaitAsync(default);
            _time.Advance(TimeSpan.FromSeconds(seconds) - TimeSpan.FromMilliseconds(1));
            Assert.That(_time.PendingTimers, Is.EqualTo(1), $"It waits for {seconds} s.");
            _time.Advance(TimeSpan.FromMilliseconds(1));
            await waiting.WithinDeadline();
        }

        // After a long time without a resignation it begins anew.
        _time.Advance(TimeSpan.FromMinutes(6));
        abstention.Begin();
        Task again = abstention.WaitAsync(default);
        _time.Advance(TimeSpan.FromSeconds(2));
        await again.WithinDeadline();
    }

    [Test]
    public async Task It_ends_when_more_nodes_answer_than_at_the_resignation()
    {
        ElectionBackoff abstention = New();
        abstention.Sees(1);
        abstention.Begin();
        abstention.Sees(0);
        abstention.Sees(1);
        Task waiting = abstention.WaitAsync(default);
        Assert.That(waiting.IsCompleted, Is.False);
        abstention.Sees(2);
        await waiting.WithinDeadline();
        Assert.That(abstention.WaitAsync(default).IsCompletedSuccessfully);
    }

    [Test]
    public async Task It_ends_when_the_lead_may_not_be_free()
    {
        ElectionBackoff abstention = New();
        abstention.Begin();
        Task waiting = abstention.WaitAsync(default);
        abstention.Revoke();
        await waiting.WithinDeadline();
    }

    private ElectionBackoff New() => new(new FailoverPolicy { Nodes = [] }, new MonotonicClock(_time), NullLogger.Instance);
}
