using NUnit.Framework;
using RedisFailover.Monitor.ZooKeeper;
using RedisFailover.UnitTests.ZooKeeper;

namespace RedisFailover.UnitTests.Monitor;

[TestFixture]
public sealed class StoreClockTests
{
    [TestCase(0, 10, Description = "the same clock")]
    [TestCase(-30, 30, Description = "a write that took a minute")]
    [TestCase(1.5, 1.6, Description = "little")]
    public void What_may_be_right_is_no_problem(double sent, double answered)
        => Assert.That(Compared(sent, answered), Is.Null);

    [TestCase(63, 63.1, "63 s ahead of")]
    [TestCase(-63, -62, "62 s behind")]
    public void A_clock_that_is_wrong_is_told_with_its_side(double sent, double answered, string said)
    {
        Problem? problem = Compared(sent, answered);

        Assert.That(problem?.Code, Is.EqualTo(ProblemCatalogue.ClockDiffers));
        Assert.That(problem!.Message, Does.Contain($"is {said} that of ZooKeeper's leader"));
    }

    [Test]
    public void It_shows_the_stores_time_whatever_this_hosts_clock_says_or_is_set_to()
    {
        var host = new ManualTime();
        var clock = new StoreClock(host);
        int told = 0;
        clock.Known = () => told++;
        Assert.That(clock.Now, Is.Null, "nothing is known yet");

        DateTimeOffset stamped = host.GetUtcNow().AddHours(-2);
        clock.Compare("m1", host.GetUtcNow(), stamped);
        host.Advance(TimeSpan.FromSeconds(5));
        host.Suspend(TimeSpan.FromDays(1));

        Assert.That(clock.Now, Is.EqualTo(stamped.AddSeconds(5)));
        clock.Compare("m1", host.GetUtcNow(), stamped);
        Assert.That(told, Is.EqualTo(1));
    }

    /// <summary>Of a write that got its time so long after it was sent, and was answered so long after it got its time.</summary>
    private static Problem? Compared(double sent, double answered)
    {
        var host = new ManualTime();
        DateTimeOffset stamped = host.GetUtcNow().AddSeconds(-answered);
        return new StoreClock(host).Compare("m1", stamped.AddSeconds(sent), stamped);
    }
}
